"""Learning to detect pairs and triples: lengths, what the recipe needs, and a search among pairwise layers.

At every length a step shows about the same number of labels, and the modulus balances them. The three architectures
have about as many parameters: third-order attention has the width that is asked for, the others are matched to it.

Letters: N = num_tokens, M = modulus, F = number of frequencies.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from attention_limits.experiments.detectors import PROBLEMS, READ_INS, MatchingTrial
from attention_limits.experiments.trials import TrialRunner, matched_size, num_parameters
from attention_limits.hypotheses import require_integer

DETECTION_ARCHITECTURES = MatchingTrial.known_architectures
#: Those that see two tokens at a time.
PAIRWISE = ["one layer", "two layers"]
#: What of the recipe is changed, one thing at a time. A rate or a size is a factor on the recipe's.
VARIANTS: dict[str, dict[str, Any]] = {
    "the recipe": {},
    "no short sequences": {"short_steps": 0},
    "one random draw of frequencies": {"num_draws": 1},
    "the lowest frequencies": {"num_draws": 0},
    "three frequencies": {"num_frequencies": 3},
    "eight frequencies": {"num_frequencies": 8},
    "linear read-in": {"read": "linear"},
    "network as read-in": {"read": "network"},
    "scores start at 1": {"score_scale": 1.0},
    "scores start at 8": {"score_scale": 8.0},
    "half the width": {"size": 0.5},
    "no residual": {"residual": False},
    "a third of the rate": {"peak_rate": 1 / 3},
    "three times the rate": {"peak_rate": 3.0},
}
#: The rates of the search among pairwise layers, as factors on the recipe's.
SEARCHED_RATES = (1 / 3, 1.0, 3.0)
#: How many times the steps the best setting of a search is given.
LONGER = 10


def detection_trial(
    problem: str,
    architecture: str,
    *,
    num_tokens: int,
    num_steps: int,
    short_steps: int,
    size: int,
    step_labels: int,
    peak_rate: float,
) -> MatchingTrial:
    """A model trained by the recipe, with the modulus that balances the labels and seed 0.

    Args:
        problem: "match2" or "match3".
        architecture: of `DETECTION_ARCHITECTURES`; the pairwise ones get the width that matches the parameters.
        num_steps: of training, ``short_steps`` of them on sequences of `detectors.SHORT_TOKENS` tokens.
        size: the width of third-order attention.
        step_labels: labels of a step, batch size times N, rounded down to whole sequences.
        peak_rate: Adam's learning rate after the warm-up.
    """
    if not step_labels >= num_tokens:
        raise ValueError(f"step_labels must be at least N = {num_tokens}, got {step_labels}")
    widest = MatchingTrial(
        architecture="third order",
        problem=problem,
        num_tokens=num_tokens,
        modulus=PROBLEMS[problem].balanced_modulus(num_tokens),
        size=size,
        num_steps=num_steps,
        short_steps=short_steps,
        batch_size=step_labels // num_tokens,
        peak_rate=peak_rate,
    )
    alike = replace(widest, architecture=architecture)
    return replace(alike, size=matched_size(alike, num_parameters(widest)))


def _seeds(trial: MatchingTrial, seed: int, count: int) -> list[MatchingTrial]:
    require_integer("number of seeds", count, 1)
    return [replace(trial, seed=number) for number in range(seed, seed + count)]


def detection_frame(
    run: TrialRunner, trials: Sequence[MatchingTrial], labels: Sequence[str] | None = None
) -> pd.DataFrame:
    """A row for each trial: what it is and what came out, the learning curve as a list in ``curve``.

    ``labels`` fill a column ``variant``.
    """
    rows = []
    for index, (trial, result) in enumerate(zip(trials, run(trials), strict=True)):
        what = {
            "problem": trial.problem,
            "architecture": trial.architecture,
            "N": trial.num_tokens,
            "M": trial.modulus,
            "seed": trial.seed,
            "width": trial.size,
            "num_steps": trial.num_steps,
            "short_steps": trial.short_steps,
            "batch": trial.batch_size,
            "rate": trial.peak_rate,
            "read": trial.read,
            "frequencies": trial.num_frequencies,
            "variant": labels[index] if labels else "",
            "parameters": result["num_parameters"],
        }
        measured = ("accuracy", "loss", "constant", "rule", "gap", "seconds", "curve")
        rows.append(what | {name: result[name] for name in measured})
    return pd.DataFrame(rows)


def conjecture(
    run: TrialRunner,
    *,
    token_grid: Sequence[int],
    step_grid: Sequence[int],
    short_grid: Sequence[int],
    size: int,
    step_labels: int,
    peak_rate: float,
    num_seeds: int,
    seed: int,
) -> pd.DataFrame:
    """Match3 at each length, by all architectures and seeds.

    Args:
        run: computes trials.
        token_grid: N, with ``step_grid`` and ``short_grid``, the steps of each and how many of them are short.
        size, step_labels, peak_rate: see `detection_trial`.
        num_seeds: repetitions, from ``seed`` on.
    """
    trial_of = partial(detection_trial, size=size, step_labels=step_labels, peak_rate=peak_rate)
    lengths = zip(token_grid, step_grid, short_grid, strict=True)
    return detection_frame(run, _by_length(trial_of, "match3", lengths, seed, num_seeds))


def _by_length(
    trial_of: Callable[..., MatchingTrial],
    problem: str,
    lengths: Iterable[tuple[int, int, int]],
    seed: int,
    num_seeds: int,
) -> list[MatchingTrial]:
    """All architectures and seeds at each length: N, steps, and how many of them are short."""
    return [
        trial
        for tokens, steps, short in lengths
        for architecture in DETECTION_ARCHITECTURES
        for trial in _seeds(
            trial_of(problem, architecture, num_tokens=tokens, num_steps=steps, short_steps=short), seed, num_seeds
        )
    ]


def learning_match(
    run: TrialRunner,
    *,
    token_grid: Sequence[int],
    step_grid: Sequence[int],
    short_grid: Sequence[int],
    size: int,
    step_labels: int,
    peak_rate: float,
    num_seeds: int,
    pair_steps: int,
    varied_tokens: int,
    varied_steps: int,
    varied_seeds: int,
    gap_frequencies: Sequence[int],
    gap_draws: int,
    search_tokens: Sequence[int],
    search_frequencies: Sequence[int],
    search_steps: int,
    seed: int,
) -> pd.DataFrame:
    """All that the page on learning triples shows; its parts are told apart by a column ``series``.

    Args:
        run: computes trials.
        token_grid, step_grid, short_grid, size, step_labels, peak_rate, num_seeds, seed: see `conjecture`.
        pair_steps: of training on pairs, none of them short; ``varied_seeds`` repetitions.
        varied_tokens: N at which third order is trained with one thing changed, and with single draws of frequencies.
        varied_steps: of training there, half of them on short sequences; ``varied_seeds`` repetitions of each variant.
        gap_frequencies: numbers of frequencies that are drawn ``gap_draws`` times each, one draw a seed.
        search_tokens: N at which pairwise layers are searched, with ``search_frequencies`` many frequencies each.
        search_steps: of each model of the search; the best is then given `LONGER` times as many.

    Returns:
        `detection_frame` with ``series``: "triples" (`conjecture`), "pairs", "variants" (the name in ``variant``),
        "draws", "search" and "longer".
    """
    trial_of = partial(detection_trial, size=size, step_labels=step_labels, peak_rate=peak_rate)
    third_order = trial_of(
        "match3", "third order", num_tokens=varied_tokens, num_steps=varied_steps, short_steps=varied_steps // 2
    )
    pairs = _by_length(trial_of, "match2", [(tokens, pair_steps, 0) for tokens in token_grid], seed, varied_seeds)
    variants = [
        (trial, name)
        for name, changes in VARIANTS.items()
        for trial in _seeds(_changed(third_order, changes), seed, varied_seeds)
    ]
    draws = [
        trial
        for count in gap_frequencies
        for trial in _seeds(replace(third_order, num_frequencies=count, num_draws=1), seed, gap_draws)
    ]
    triples = conjecture(
        run,
        token_grid=token_grid,
        step_grid=step_grid,
        short_grid=short_grid,
        size=size,
        step_labels=step_labels,
        peak_rate=peak_rate,
        num_seeds=num_seeds,
        seed=seed,
    )
    search, longer = pairwise_search(
        run,
        search_tokens=search_tokens,
        search_frequencies=search_frequencies,
        search_steps=search_steps,
        num_seeds=varied_seeds,
        size=size,
        step_labels=step_labels,
        peak_rate=peak_rate,
        seed=seed,
    )
    parts = {
        "triples": triples,
        "pairs": detection_frame(run, pairs),
        "variants": detection_frame(run, [trial for trial, _ in variants], [name for _, name in variants]),
        "draws": detection_frame(run, draws),
        "search": search,
        "longer": longer,
    }
    return pd.concat([part.assign(series=name) for name, part in parts.items()], ignore_index=True)


def _changed(trial: MatchingTrial, changes: dict[str, Any]) -> MatchingTrial:
    """One of `VARIANTS`."""
    factors = {name: getattr(trial, name) * factor for name, factor in changes.items() if name in ("size", "peak_rate")}
    return replace(trial, **{**changes, **{name: type(getattr(trial, name))(value) for name, value in factors.items()}})


def pairwise_search(
    run: TrialRunner,
    *,
    search_tokens: Sequence[int],
    search_frequencies: Sequence[int],
    search_steps: int,
    num_seeds: int,
    size: int,
    step_labels: int,
    peak_rate: float,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pairwise layers on triples at many settings, one seed each, and the best setting of each kind for longer.

    All combinations of `detectors.READ_INS`, ``search_frequencies`` and `SEARCHED_RATES`; half of the steps show short
    sequences. For each N and architecture the setting with the largest accuracy is then trained for `LONGER` times as
    many steps, by ``num_seeds`` seeds.
    """
    trials = []
    for tokens, architecture in product(search_tokens, PAIRWISE):
        base = detection_trial(
            "match3",
            architecture,
            num_tokens=tokens,
            num_steps=search_steps,
            short_steps=search_steps // 2,
            size=size,
            step_labels=step_labels,
            peak_rate=peak_rate,
        )
        trials += [
            replace(base, read=read, num_frequencies=count, peak_rate=peak_rate * factor, seed=seed)
            for read, count, factor in product(READ_INS, search_frequencies, SEARCHED_RATES)
        ]
    search = detection_frame(run, trials)
    best = [trials[rows["accuracy"].idxmax()] for _, rows in search.groupby(["N", "architecture"], sort=False)]
    longer = [
        replace(trial, num_steps=LONGER * trial.num_steps, short_steps=LONGER * trial.short_steps) for trial in best
    ]
    return search, detection_frame(run, [one for trial in longer for one in _seeds(trial, seed, num_seeds)])


def accuracy_table(frame: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Mean accuracy over seeds with its t-interval, least and largest, for each problem, length and architecture.

    One seed has no interval: its ends are nan. An interval may reach beyond [0, 1], as t-intervals do.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie strictly between 0 and 1, got {confidence}")

    def summary(accuracies: "pd.Series[float]") -> "pd.Series[float]":
        values = accuracies.to_numpy(dtype=float)
        low = high = float("nan")
        if len(values) > 1:
            half = stats.sem(values) * stats.t.ppf((1 + confidence) / 2, len(values) - 1)
            low, high = float(np.mean(values) - half), float(np.mean(values) + half)
        return pd.Series(
            {
                "seeds": len(values),
                "mean": np.mean(values),
                "low": low,
                "high": high,
                "least": min(values),
                "most": max(values),
            }
        )

    grouped = frame.groupby(["problem", "N", "architecture"], sort=False)["accuracy"]
    return grouped.apply(summary).unstack().reset_index()


def overview(frame: pd.DataFrame) -> pd.DataFrame:
    """`accuracy_table` by problem, N and architecture, with the seeds' mean M, width, parameters, constant, seconds."""
    by = ["problem", "N", "architecture"]
    sizes = frame.groupby(by, sort=False)[["M", "width", "parameters", "constant", "seconds"]].mean()
    return accuracy_table(frame).set_index(by).join(sizes)


def excess_parameters(frame: pd.DataFrame) -> float:
    """How many more parameters the largest model has than the smallest of its length, as a share: the largest share."""
    counts = frame.groupby("N")["parameters"]
    return float((counts.max() / counts.min() - 1).max())
