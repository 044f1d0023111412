"""The study of architectures on a tiny grid, and its analysis on data whose answer is known."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.studies.architectures import (
    PEAK_RATES,
    RATES_TRIED,
    TIMING_STEPS,
    compare_architectures,
    counted_size,
    steps_to_reach,
    summarise_errors,
)
from attention_limits.experiments.trials import Result, Trial, matched_size, num_parameters, run_trials

TINY: dict[str, Any] = {
    "num_tokens": 4,
    "sparsity": 2,
    "value_dim": 2,
    "embed_dim": 6,
    "num_steps": 4,
    "batch_size": 3,
    "num_samples": 8,
    "attention_sizes": [3],
    "feedforward_sizes": [8],
    "recurrent_sizes": [3],
    "large_size": 5,
    "large_layers": 2,
    "large_steps": 6,
    "num_seeds": 2,
    "seed": 7,
}


def _attention(**changes: Any) -> AveragingTrial:
    return AveragingTrial(**{"architecture": "attention", "num_tokens": 20, "sparsity": 3, "size": 64, **changes})


@pytest.fixture(scope="module")
def calls_and_frame() -> tuple[list[list[Trial]], pd.DataFrame]:
    """What the tiny study asked for, call by call, and what it returned."""
    calls: list[list[Trial]] = []

    def run(trials: Sequence[Trial]) -> list[Result]:
        calls.append(list(trials))
        return run_trials(trials)

    return calls, compare_architectures(run, **TINY)


def test_the_study_has_a_row_for_each_trial_of_its_grid(
    calls_and_frame: tuple[list[list[Trial]], pd.DataFrame],
) -> None:
    calls, frame = calls_and_frame
    counts = frame.groupby("series").size().to_dict()
    assert counts == {"equal": 4 * 2 * 2, "rates": 4 * 2, "sizes": 3, "large": 1}
    assert len(calls) == 2  # all of training in one call, so that it can be shared out, and the timing
    assert len(calls[0]) == len(set(calls[0])) == len(frame)
    equal = frame[frame["series"] == "equal"]
    assert set(equal.groupby(["architecture", "num_samples"])["seed"].agg(tuple)) == {(7, 8)}
    assert set(frame.loc[frame["series"] != "equal", "seed"]) == {7}
    large = frame[frame["series"] == "large"].iloc[0]
    assert (large["architecture"], large["size"], large["num_layers"], large["num_steps"]) == (
        "bidirectional lstm",
        5,
        2,
        6,
    )


def test_rows_carry_what_their_own_trials_left(calls_and_frame: tuple[list[list[Trial]], pd.DataFrame]) -> None:
    calls, frame = calls_and_frame
    for index in (0, 1, len(frame) // 2, len(frame) - 1):
        trial, row = calls[0][index], frame.iloc[index]
        assert isinstance(trial, AveragingTrial)
        assert (trial.architecture, trial.size, trial.seed, trial.peak_rate) == (
            row["architecture"],
            row["size"],
            row["seed"],
            row["peak_rate"],
        )
        # Alone or stacked, the result is the same but for rounding.
        assert run_trials([trial])[0]["error"] == pytest.approx(row["error"], rel=1e-3)
        assert row["training_error"] == row["curve"][-1]
        assert row["num_parameters"] == num_parameters(trial)


def test_the_time_of_a_step_comes_from_a_model_that_is_trained_alone(
    calls_and_frame: tuple[list[list[Trial]], pd.DataFrame],
) -> None:
    calls, frame = calls_and_frame
    models = frame.groupby(["architecture", "size", "num_layers"])
    assert len(calls[1]) == len(models)
    assert len({trial.family for trial in calls[1] if trial.family}) == sum(t.family is not None for t in calls[1])
    assert {trial.num_steps for trial in calls[1]} == set(range(TIMING_STEPS, TIMING_STEPS + len(models)))
    assert (models["step_seconds"].nunique() == 1).all()
    assert (frame["step_seconds"] > 0).all()


def test_all_architectures_get_within_5_percent_of_the_parameters_of_attention() -> None:
    for embed_dim, tokens, sparsity, value_dim in ((64, 20, 3, 4), (32, 12, 2, 2), (128, 50, 8, 4)):
        attention = _attention(size=embed_dim, num_tokens=tokens, sparsity=sparsity, value_dim=value_dim)
        wanted = num_parameters(attention)
        for architecture in PEAK_RATES:
            trial = replace(attention, architecture=architecture)
            found = num_parameters(replace(trial, size=matched_size(trial, wanted)))
            assert found == pytest.approx(wanted, rel=0.05), architecture


def test_no_other_size_is_closer_than_the_matched_one() -> None:
    trial = AveragingTrial(architecture="bidirectional lstm", num_tokens=6, sparsity=2, value_dim=2)
    for wanted in (1, 200, 1234, 5000):
        sizes = {size: abs(num_parameters(replace(trial, size=size)) - wanted) for size in range(1, 40)}
        assert matched_size(trial, wanted) == min(sizes, key=lambda size: sizes[size])


def test_the_counted_size_of_an_lstm_is_that_of_both_vectors_and_all_layers_in_one_direction() -> None:
    assert counted_size(_attention(architecture="lstm", size=5)) == 10
    assert counted_size(_attention(architecture="bidirectional lstm", size=5, num_layers=2)) == 20
    assert counted_size(_attention(architecture="feedforward", size=5)) == 5
    assert counted_size(_attention(size=5)) == 5


def test_the_declared_rates_lie_among_those_that_were_tried() -> None:
    assert PEAK_RATES.keys() == RATES_TRIED.keys()
    for architecture, rate in PEAK_RATES.items():
        assert min(RATES_TRIED[architecture]) < rate < max(RATES_TRIED[architecture])


def test_the_interval_of_a_spread_covers_the_true_mean_as_often_as_it_says() -> None:
    generator = np.random.default_rng(3)
    draws = np.exp(generator.normal(math.log(0.2), 0.5, size=(2000, 5)))
    covered = sum(found.low <= 0.2 <= found.high for found in map(summarise_errors, draws.tolist()))
    assert covered / 2000 == pytest.approx(0.95, abs=0.02)  # four standard deviations of a proportion


def test_a_spread_reports_range_and_median() -> None:
    found = summarise_errors([0.4, 0.1, 0.2])
    assert (found.least, found.median, found.most) == (0.1, 0.2, 0.4)
    assert found.low < 0.2 < found.high  # the geometric mean
    assert math.isnan(summarise_errors([0.3]).low)


@pytest.mark.parametrize(
    ("errors", "message"), [([], "needs at least one error"), ([0.1, math.nan], "finite"), ([0.0], "positive")]
)
def test_a_spread_refuses_what_is_no_error(errors: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        summarise_errors(errors)


def test_a_curve_that_dips_and_comes_back_has_not_reached_the_level() -> None:
    assert steps_to_reach([0.9, 0.04, 0.2, 0.03, 0.02], 50, 0.05) == 40
    assert steps_to_reach([0.01, 0.01], 50, 0.05) == 25
    assert steps_to_reach([0.01, math.nan], 50, 0.05) == math.inf
    with pytest.raises(ValueError, match="at least one point"):
        steps_to_reach([], 50, 0.05)


def test_a_size_needs_a_number_of_parameters() -> None:
    with pytest.raises(ValueError, match="parameters must be at least 1, got 0"):
        matched_size(_attention(), 0)
