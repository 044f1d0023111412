"""The search for the smallest size: against trials with a known answer, and a growth that is known exactly."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from attention_limits.bounds.mean_error import least_mean_error
from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.studies.size_against_length import (
    SEARCHED_ARCHITECTURES,
    brackets,
    fit_growth,
    ladder,
    narrow_controls,
    searches_and_controls,
    size_against_length,
)
from attention_limits.experiments.trials import Result, run_trials
from attention_limits.problems.sparse_averaging import SparseAveraging

TINY: dict[str, Any] = {
    "attention_tokens": [3, 4],
    "feedforward_tokens": [3],
    "recurrent_tokens": [2],
    "size_caps": [16, 40, 8],
    "peak_rates": [5e-3, 1e-2, 4e-2],
    "sparsity": 1,
    "value_dim": 1,
    "target_error": 0.05,
    "num_steps": 2,
    "batch_size": 4,
    "num_seeds": 2,
    "seed": 5,
}


def answering(needed: Callable[[AveragingTrial], float]) -> Callable[[Sequence[Any]], list[Result]]:
    """A `TrialRunner` in which exactly the sizes from ``needed`` on reach the error; it remembers its calls."""

    def run(trials: Sequence[Any]) -> list[Result]:
        run.calls.append(list(trials))  # type: ignore[attr-defined]
        return [
            {
                "error": 0.01 if trial.size >= needed(trial) else 0.5,
                "num_parameters": 1,
                "seconds": 0.0,
                "diverged": False,
            }
            for trial in trials
        ]

    run.calls = []  # type: ignore[attr-defined]
    return run


def test_ladder_climbs_by_about_a_root_of_two_and_ends_at_the_cap() -> None:
    assert ladder(1) == [1]
    assert ladder(2) == [1, 2]
    assert ladder(1024)[-3:] == [512, 724, 1024]
    for largest in range(1, 300):
        sizes = ladder(largest)
        assert sizes == sorted(set(sizes))
        assert sizes[0] == 1
        assert sizes[-1] == largest
        assert all(high <= 2 * low for low, high in pairwise(sizes))


@pytest.mark.parametrize("needed", range(1, 18))
def test_the_search_brackets_the_size_that_is_needed(needed: int) -> None:
    run = answering(lambda trial: needed)
    found = brackets(size_against_length(run, **TINY))
    assert len(found) == 2 * (2 + 1 + 1)
    sizes = dict(zip(SEARCHED_ARCHITECTURES, map(ladder, TINY["size_caps"]), strict=True))
    for row in found.itertuples():
        of_architecture = [0, *sizes[row.architecture], math.inf]
        place = of_architecture.index(row.failed)
        assert row.failed < needed <= row.reached == of_architecture[place + 1]
    assert max(map(len, run.calls)) == len(found)  # type: ignore[attr-defined]
    asked = [trial for call in run.calls for trial in call]  # type: ignore[attr-defined]
    assert len(asked) == len(set(asked)) == found["trials"].sum()


def test_controls_have_half_the_width_and_cannot_reach_a_small_error() -> None:
    names = ("feedforward_tokens", "peak_rates", "sparsity", "value_dim", "batch_size", "seed")
    options = {name: TINY[name] for name in names} | {"feedforward_tokens": [4, 6], "num_steps": 150}
    controls = narrow_controls(run_trials, **options)
    assert list(controls["size"]) == [2, 3]
    for row in controls.itertuples():
        forced = least_mean_error(SparseAveraging(row.num_tokens, 1, 1), row.size)
        assert 0.2 < forced <= row.error + 0.05  # 1,000 test samples


def test_one_study_asks_for_the_searches_and_then_for_the_controls() -> None:
    run = answering(lambda trial: 5)
    trials, controls = searches_and_controls(run, **TINY)
    pd.testing.assert_frame_equal(trials, size_against_length(answering(lambda trial: 5), **TINY))
    (last,) = run.calls[trials["round"].max() + 1 :]  # type: ignore[attr-defined]
    assert [(trial.num_tokens, trial.size, trial.seed) for trial in last] == [(3, 1, TINY["seed"])]
    assert controls.to_numpy().tolist() == [[3, 1, 0.5]]


def test_all_open_searches_share_a_round() -> None:
    run = answering(lambda trial: 1 if trial.architecture == "attention" else math.inf)
    trials = size_against_length(run, **TINY)
    rounds = trials.groupby("round")["architecture"].agg(set)
    assert rounds[0] == set(SEARCHED_ARCHITECTURES)
    assert set().union(*rounds[1:]) == {"attention"}  # the others failed at the cap
    assert list(trials["round"]) == sorted(trials["round"])


def test_an_architecture_that_fails_at_the_cap_is_censored() -> None:
    found = brackets(size_against_length(answering(lambda trial: math.inf), **TINY))
    assert (found["reached"] == math.inf).all()
    assert (found["trials"] == 1).all()
    assert set(found["failed"]) == set(TINY["size_caps"])


def test_a_diverged_trial_has_failed() -> None:
    def run(trials: Sequence[Any]) -> list[Result]:
        return [{"error": math.nan, "num_parameters": 1, "seconds": 0.0, "diverged": True} for _ in trials]

    assert not size_against_length(run, **TINY)["reached"].any()


def test_trained_for_real_it_agrees_with_its_own_trials() -> None:
    options = {**TINY, "size_caps": [8, 16, 4], "num_steps": 40, "num_seeds": 1, "target_error": 0.7}
    trials = size_against_length(run_trials, **options)
    assert (trials["reached"] == (trials["error"] <= 0.7)).all()
    assert trials["reached"].any()
    again = size_against_length(run_trials, **options)
    pd.testing.assert_frame_equal(trials.drop(columns="seconds"), again.drop(columns="seconds"))


def test_a_bracket_that_is_none_is_refused() -> None:
    trials = size_against_length(answering(lambda trial: 5), **TINY)
    top = trials.groupby(["architecture", "num_tokens", "seed"])["size"].idxmax().iloc[0]
    trials.loc[top, "reached"] = False
    with pytest.raises(ValueError, match=r"failed and .* reached the error"):
        brackets(trials)


@pytest.mark.parametrize("name", ["size_caps", "peak_rates"])
def test_every_architecture_needs_its_entry(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} needs one entry for each of"):
        size_against_length(run_trials, **{**TINY, name: TINY[name][:2]})


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
