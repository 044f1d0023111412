"""How the smallest size that reached an error grows with the number of tokens, from brackets alone.

Letters: N = num_tokens.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

#: Slopes outside are not looked at, and deviations from a fit below this one (of ln size) count as this one.
SLOPES = (-10.0, 10.0)
LEAST_DEVIATION = 0.01


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
