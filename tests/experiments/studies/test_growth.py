"""Growth from brackets: sizes that are known exactly, censored searches, and what is refused."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from attention_limits.experiments.studies.growth import fit_growth


def test_narrow_intervals_give_the_line_and_interval_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    tokens = np.repeat([8.0, 16.0, 32.0, 64.0], 3)
    sizes = np.exp(0.4 + 1.3 * np.log(tokens) + 0.2 * rng.standard_normal(12))
    fit = fit_growth(tokens, sizes / 1.0005, sizes * 1.0005)
    line = stats.linregress(np.log(tokens), np.log(sizes))
    half = stats.t.ppf(0.975, 10) * line.stderr
    assert fit.exponent == pytest.approx(line.slope, abs=2e-3)
    assert (fit.low, fit.high) == pytest.approx((line.slope - half, line.slope + half), abs=5e-3)
    assert fit.factor == pytest.approx(math.exp(line.intercept), rel=0.02)
    assert (fit.bracketed, fit.censored) == (12, 0)


def bracketed_sizes(exponent: float, seed: int, cap: float = math.inf) -> tuple[Any, Any, Any]:
    """Brackets on powers of √2 about 2 N^exponent e^(0.15 g); above ``cap`` they are censored."""
    rng = np.random.default_rng(seed)
    tokens = np.repeat([4.0, 8.0, 16.0, 32.0], 3)
    halves = 2 * np.log2(2 * tokens**exponent * np.exp(0.15 * rng.standard_normal(12)))
    failed, reached = 2 ** (np.floor(halves) / 2), 2 ** (np.ceil(halves) / 2)
    return tokens, np.where(reached > cap, cap, failed), np.where(reached > cap, math.inf, reached)


@pytest.mark.parametrize(("exponent", "cap"), [(0.0, math.inf), (1.0, math.inf), (1.0, 33.0), (2.0, 200.0)])
def test_the_interval_covers_the_exponent_that_made_the_sizes(exponent: float, cap: float) -> None:
    fits = [fit_growth(*bracketed_sizes(exponent, seed, cap)) for seed in range(12)]
    assert all(fit.low < fit.exponent < fit.high for fit in fits)
    # 95 % intervals: more than 3 misses among 12 have a probability of 2 in a thousand.
    assert sum(not fit.low <= exponent <= fit.high for fit in fits) <= 3
    assert np.median([fit.exponent for fit in fits]) == pytest.approx(exponent, abs=0.15)


def test_censored_sizes_are_not_taken_for_sizes() -> None:
    tokens, failed, reached = bracketed_sizes(2.0, 0, cap=200.0)
    censored = ~np.isfinite(reached)
    assert censored.any()
    wrong = fit_growth(tokens, np.where(censored, 190.0, failed), np.where(censored, 200.0, reached))
    assert wrong.exponent < 1.8 < fit_growth(tokens, failed, reached).exponent


def test_equal_brackets_give_an_interval_about_the_middle() -> None:
    tokens = np.repeat([8.0, 16.0], 2)
    fit = fit_growth(tokens, np.full(4, 4.0), np.full(4, 6.0))
    assert fit.exponent == pytest.approx(0, abs=0.02)
    assert fit.low < -0.3 < 0.3 < fit.high


@pytest.mark.parametrize(
    ("tokens", "failed", "reached", "message"),
    [
        ([8, 8, 8], [1, 1, 1], [2, 2, 2], "3 brackets at 2 different N, got 3 at 1"),
        ([8, 16, 16], [1, 1, 4], [2, 2, math.inf], "3 brackets at 2 different N, got 2 at 2"),
        ([8, 16, 16], [1, 1, 4], [2, 2, 4], "intervals must be 0 ≤ failed < reached"),
        ([8, 16], [1, 1, 4], [2, 2, 5], "as many of each are needed, got 2, 3, 3"),
    ],
)
def test_growth_refuses_what_gives_none(tokens: Any, failed: Any, reached: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_growth(tokens, failed, reached)
