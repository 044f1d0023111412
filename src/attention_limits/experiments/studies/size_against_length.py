"""The smallest size at which training reaches an error, by bisection, and how it grows with the number of tokens.

Letters: N = num_tokens, q = sparsity, d' = value_dim; a size is m for attention, the width for a fully-connected
network, and the hidden units of a direction for a bidirectional LSTM.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.trials import TrialRunner
from attention_limits.hypotheses import require_integer

#: The architectures whose least sizes are searched for, in the order of the parameters that hold one entry for each.
SEARCHED_ARCHITECTURES = ("attention", "feedforward", "bidirectional lstm")
#: Slopes outside are not looked at, and deviations from a fit below this one (of ln size) count as this one.
SLOPES = (-10.0, 10.0)
LEAST_DEVIATION = 0.01


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


class GrowthFit(NamedTuple):
    """size ≈ factor · N^exponent."""

    #: The middle of the most likely exponents.
    exponent: float
    #: Its 95 % interval.
    low: float
    high: float
    factor: float
    #: Standard deviation of ln size about the line.
    deviation: float
    #: Searches with a bracket, and those without one: there the size is only known to be larger than the cap.
    bracketed: int
    censored: int


def fit_growth(num_tokens: ArrayLike, failed: ArrayLike, reached: ArrayLike, *, level: float = 0.95) -> GrowthFit:
    """Interval regression of ln size on ln N: each size is known only to lie in (failed, reached].

    Maximum likelihood with normal deviations; the interval is that of the profile likelihood, with the threshold at
    which it equals Student's interval if every size is known exactly. A size above a cap enters as (cap, infinity).

    Args:
        num_tokens: N of each search.
        failed: the largest size that failed; 0 if none.
        reached: the smallest one that reached the error; infinity if none.
        level: confidence.

    Returns:
        The fit. The likelihood has one hump in the exponent, as it is log-concave in (intercept, slope, 1) divided by
        the deviation; it may be flat on top, where many lines run through all intervals.

    Raises:
        ValueError: unless three searches at two different N have a bracket, and for intervals that are empty.
    """
    x, low, high = (np.asarray(column, dtype=float) for column in (num_tokens, failed, reached))
    if not len(x) == len(low) == len(high):
        raise ValueError(f"as many of each are needed, got {len(x)}, {len(low)}, {len(high)}")
    if not (bool((x > 0).all()) and bool(((low >= 0) & (low < high)).all())):
        raise ValueError("intervals must be 0 ≤ failed < reached")
    known = np.isfinite(high)
    count, places = int(known.sum()), len(np.unique(x[known]))
    if not (count >= 3 and places >= 2):
        raise ValueError(f"a growth needs 3 brackets at 2 different N, got {count} at {places}")
    centre = np.log(x[known]).mean()
    x = np.log(x) - centre
    with np.errstate(divide="ignore"):
        low, high = np.log(low), np.log(high)

    def profile(slope: float) -> tuple[float, Float[np.ndarray, " two"]]:
        """The largest log-likelihood with this slope, and (intercept/deviation, 1/deviation)."""
        lower, upper = low - slope * x, high - slope * x
        finite = np.concatenate([lower[np.isfinite(lower)], upper[np.isfinite(upper)]])
        start = 1 / max(finite.std(), LEAST_DEVIATION)
        best = optimize.minimize(
            lambda p: _negative_log_likelihood(p, lower, upper),
            np.array([np.median(finite) * start, start]),
            jac=True,
            method="L-BFGS-B",
            bounds=[(None, None), (1e-3, 1 / LEAST_DEVIATION)],
        )
        return -float(best.fun), best.x

    found = optimize.minimize_scalar(lambda s: -profile(s)[0], bounds=SLOPES, method="bounded", options={"xatol": 1e-4})
    peak, top = float(found.x), -float(found.fun)

    def edge(drop: float, bound: float) -> float:
        """Where the profile has fallen by ``drop``, between the peak and ``bound``; infinite if it does not."""
        if profile(bound)[0] > top - drop:
            return math.copysign(math.inf, bound)
        return float(optimize.brentq(lambda s: profile(s)[0] - top + drop, peak, bound, xtol=1e-4))

    freedom = count - 2
    quantile = stats.t.ppf((1 + level) / 2, freedom)
    drop = count / 2 * math.log1p(quantile**2 / freedom)
    exponent = (edge(1e-3, SLOPES[0]) + edge(1e-3, SLOPES[1])) / 2
    scaled, inverse = profile(exponent)[1]
    factor = math.exp(scaled / inverse - exponent * centre)
    limits = edge(drop, SLOPES[0]), edge(drop, SLOPES[1])
    return GrowthFit(exponent, *limits, factor, 1 / inverse, count, int((~known).sum()))


def _negative_log_likelihood(
    parameters: Float[np.ndarray, " two"], lower: Float[np.ndarray, " searches"], upper: Float[np.ndarray, " searches"]
) -> tuple[float, Float[np.ndarray, " two"]]:
    """−Σ ln(Φ(b) − Φ(a)) and its gradient, for a = lower γ − δ, b = upper γ − δ and the parameters (δ, γ).

    The difference is taken in the tail where no digits are lost.
    """
    shift, inverse = parameters
    a, b = lower * inverse - shift, upper * inverse - shift
    flip = a + b > 0
    below, above = np.where(flip, -b, a), np.where(flip, -a, b)
    log_above = special.log_ndtr(above)
    inside = -np.expm1(special.log_ndtr(below) - log_above)
    log_mass = log_above + np.log(np.maximum(inside, np.finfo(float).tiny))
    slopes = [np.exp(-end * end / 2 - math.log(2 * math.pi) / 2 - log_mass) for end in (a, b)]
    by_inverse = sum(
        sign * (np.where(np.isfinite(end), end, 0.0) * slope).sum()
        for sign, end, slope in ((1, lower, slopes[0]), (-1, upper, slopes[1]))
    )
    return -float(log_mass.sum()), np.array([float((slopes[1] - slopes[0]).sum()), float(by_inverse)])
