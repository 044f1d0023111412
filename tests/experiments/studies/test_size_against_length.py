"""The search for the smallest size: against trials with a known answer, and a growth that is known exactly."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest

from attention_limits.bounds.mean_error import least_mean_error
from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.studies.size_against_length import (
    SEARCHED_ARCHITECTURES,
    brackets,
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
