"""The smallest size at which training reaches an error, by bisection.

Letters: N = num_tokens, q = sparsity, d' = value_dim; a size is m for attention, the width for a fully-connected
network, and the hidden units of a direction for a bidirectional LSTM.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.trials import TrialRunner
from attention_limits.hypotheses import require_integer

#: The architectures whose least sizes are searched for, in the order of the parameters that hold one entry for each.
SEARCHED_ARCHITECTURES = ("attention", "feedforward", "bidirectional lstm")


def ladder(largest: int) -> list[int]:
    """The sizes that are tried: powers of √2, rounded, and ``largest``.

    Example:
        >>> ladder(20)
        [1, 2, 3, 4, 6, 8, 11, 16, 20]
    """
    require_integer("largest", largest, 1)
    powers = {1} | {round(2 ** (half / 2)) for half in range(2, 2 * largest.bit_length())}
    return sorted({size for size in powers if size < largest} | {largest})


class _Search:
    """Bisection on a ladder: the top first, then always the middle between a size that failed and one that reached."""

    def __init__(self, trial: AveragingTrial, largest: int) -> None:
        self.trial, self.sizes = trial, ladder(largest)
        self.failed, self.reached = -1, len(self.sizes)  # indices; both outside are not measured

    @property
    def open(self) -> bool:
        """Whether a size is left to try; not if the largest one failed."""
        return self.reached - self.failed > 1

    @property
    def next_index(self) -> int:
        """Which size comes next."""
        top = len(self.sizes) - 1
        return top if self.reached > top else (self.failed + self.reached) // 2

    def note(self, index: int, reached: bool) -> None:
        """Take in an outcome."""
        if reached:
            self.reached = index
        else:
            self.failed = index


def size_against_length(
    run: TrialRunner,
    *,
    attention_tokens: Sequence[int],
    feedforward_tokens: Sequence[int],
    recurrent_tokens: Sequence[int],
    size_caps: Sequence[int],
    peak_rates: Sequence[float],
    sparsity: int,
    value_dim: int,
    target_error: float,
    num_steps: int,
    batch_size: int,
    num_seeds: int,
    seed: int,
) -> pd.DataFrame:
    """Search the smallest size that reaches ``target_error``, for each architecture, N and seed.

    All searches go on together: a round trains the next size of each of them, in one call of ``run``. The budget of
    steps is the same for every size. A trial that diverges has failed.

    Args:
        run: computes trials.
        attention_tokens: the N of attention; ``feedforward_tokens`` and ``recurrent_tokens`` those of the others.
        size_caps: the largest size of each of `SEARCHED_ARCHITECTURES`; if it fails, no other is tried.
        peak_rates: Adam's learning rate after the warm-up, of each of them.
        sparsity: q.
        value_dim: d'.
        target_error: relative mean squared error on new samples.
        num_steps: of training.
        batch_size: samples of a step.
        num_seeds: searches for each architecture and N, from ``seed`` on.
        seed: the first seed.

    Returns:
        A row for each trial, in the order of training: architecture, num_tokens, seed, round, size, error, reached,
        num_parameters, seconds, diverged.

    Raises:
        ValueError: for lists that do not have an entry for each architecture.
    """
    for name, entries in (("size_caps", size_caps), ("peak_rates", peak_rates)):
        if len(entries) != len(SEARCHED_ARCHITECTURES):
            raise ValueError(f"{name} needs one entry for each of {SEARCHED_ARCHITECTURES}, got {entries}")
    grids = (attention_tokens, feedforward_tokens, recurrent_tokens)
    searches = [
        _Search(
            AveragingTrial(
                architecture=architecture,
                num_tokens=tokens,
                sparsity=sparsity,
                value_dim=value_dim,
                size=largest,
                num_steps=num_steps,
                batch_size=batch_size,
                peak_rate=rate,
                seed=number,
            ),
            largest,
        )
        for architecture, grid, largest, rate in zip(SEARCHED_ARCHITECTURES, grids, size_caps, peak_rates, strict=True)
        for tokens in grid
        for number in range(seed, seed + num_seeds)
    ]
    rows, number = [], 0
    while still_open := [search for search in searches if search.open]:
        indices = [search.next_index for search in still_open]
        trials = [
            replace(search.trial, size=search.sizes[index]) for search, index in zip(still_open, indices, strict=True)
        ]
        for search, index, trial, result in zip(still_open, indices, trials, run(trials), strict=True):
            reached = not result["diverged"] and result["error"] <= target_error
            search.note(index, reached)
            rows.append(
                {
                    "architecture": trial.architecture,
                    "num_tokens": trial.num_tokens,
                    "seed": trial.seed,
                    "round": number,
                    "size": trial.size,
                    "error": result["error"],
                    "reached": reached,
                    **{name: result[name] for name in ("num_parameters", "seconds", "diverged")},
                }
            )
        number += 1
    return pd.DataFrame(rows)


def narrow_controls(
    run: TrialRunner,
    *,
    feedforward_tokens: Sequence[int],
    peak_rates: Sequence[float],
    sparsity: int,
    value_dim: int,
    num_steps: int,
    batch_size: int,
    seed: int,
) -> pd.DataFrame:
    """Fully-connected networks of half the width N d', which no weights can bring to a small error; arguments as above.

    Returns:
        A row for each N: num_tokens, size and error.
    """
    trials = [
        AveragingTrial(
            architecture="feedforward",
            num_tokens=tokens,
            sparsity=sparsity,
            value_dim=value_dim,
            size=max(1, tokens * value_dim // 2),
            num_steps=num_steps,
            batch_size=batch_size,
            peak_rate=peak_rates[SEARCHED_ARCHITECTURES.index("feedforward")],
            seed=seed,
        )
        for tokens in feedforward_tokens
    ]
    rows = [(trial.num_tokens, trial.size, result["error"]) for trial, result in zip(trials, run(trials), strict=True)]
    return pd.DataFrame(rows, columns=["num_tokens", "size", "error"])


def searches_and_controls(
    run: TrialRunner,
    *,
    attention_tokens: Sequence[int],
    feedforward_tokens: Sequence[int],
    recurrent_tokens: Sequence[int],
    size_caps: Sequence[int],
    peak_rates: Sequence[float],
    sparsity: int,
    value_dim: int,
    target_error: float,
    num_steps: int,
    batch_size: int,
    num_seeds: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All that is trained: `size_against_length`, then `narrow_controls` from the first seed; arguments as above."""
    trials = size_against_length(
        run,
        attention_tokens=attention_tokens,
        feedforward_tokens=feedforward_tokens,
        recurrent_tokens=recurrent_tokens,
        size_caps=size_caps,
        peak_rates=peak_rates,
        sparsity=sparsity,
        value_dim=value_dim,
        target_error=target_error,
        num_steps=num_steps,
        batch_size=batch_size,
        num_seeds=num_seeds,
        seed=seed,
    )
    controls = narrow_controls(
        run,
        feedforward_tokens=feedforward_tokens,
        peak_rates=peak_rates,
        sparsity=sparsity,
        value_dim=value_dim,
        num_steps=num_steps,
        batch_size=batch_size,
        seed=seed,
    )
    return trials, controls


def brackets(trials: pd.DataFrame) -> pd.DataFrame:
    """What the search leaves for each architecture, N and seed, from the measured trials alone.

    Returns:
        A row for each, with ``failed``, the largest size that failed (0 if none did), ``reached``, the smallest size
        that reached the error (infinity if none did: the search is censored), ``trials`` and ``best``, the least error
        measured.

    Raises:
        ValueError: if a larger size failed than one that reached the error: then there is no bracket.
    """
    rows = []
    for key, group in trials.groupby(["architecture", "num_tokens", "seed"], sort=False):
        failed = group.loc[~group["reached"], "size"].max()
        reached = group.loc[group["reached"], "size"].min()
        low, high = (0 if np.isnan(failed) else int(failed)), (math.inf if np.isnan(reached) else int(reached))
        if not low < high:
            raise ValueError(f"{key}: size {low} failed and {high} reached the error, so that they are no bracket")
        rows.append((*key, low, high, len(group), group["error"].min()))
    columns = ["architecture", "num_tokens", "seed", "failed", "reached", "trials", "best"]
    return pd.DataFrame(rows, columns=columns)
