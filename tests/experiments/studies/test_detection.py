"""The study of pairs and triples: its grid, its table, and what it refuses."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from attention_limits.experiments.studies.detection import (
    DETECTION_ARCHITECTURES,
    PAIRWISE,
    accuracy_table,
    conjecture,
    detection_trials,
    excess_parameters,
    learning_match,
    overview,
)
from attention_limits.experiments.trials import Result, Trial, run_trials

GRID: dict[str, Any] = {
    "token_grid": [3, 5],
    "size": 6,
    "num_steps": 4,
    "step_labels": 17,
    "peak_rate": 1e-3,
    "num_seeds": 2,
    "seed": 7,
}


def test_the_grid_has_every_length_architecture_and_seed_with_like_numbers_of_labels_and_parameters() -> None:
    trials = detection_trials("match3", **GRID)
    assert len(set(trials)) == len(trials) == 2 * len(DETECTION_ARCHITECTURES) * 2
    assert {trial.seed for trial in trials} == {7, 8}
    assert {(trial.num_tokens, trial.batch_size) for trial in trials} == {(3, 5), (5, 3)}


def test_the_two_pages_share_their_trials_on_triples() -> None:
    asked: list[set[Trial]] = []

    def remember(trials: Sequence[Trial]) -> list[Result]:
        asked.append(set(trials))
        return run_trials(trials)

    triples = conjecture(remember, **GRID)
    both = learning_match(remember, **GRID, pair_steps=3)
    assert asked[0] < asked[1]
    assert len(asked[1]) == 2 * len(asked[0])
    columns = ["architecture", "N", "seed", "accuracy"]
    again = both[both["problem"] == "match3"].reset_index(drop=True)
    pd.testing.assert_frame_equal(triples[columns], again[columns])
    assert set(both.loc[both["problem"] == "match2", "num_steps"]) == {3}
    assert set(PAIRWISE) == set(DETECTION_ARCHITECTURES) - {"third order"}


def test_the_table_gives_the_t_interval_of_the_mean() -> None:
    frame = pd.DataFrame(
        {"problem": "match3", "N": 8, "architecture": ["a"] * 3 + ["b"], "accuracy": [0.5, 0.6, 0.7, 0.9]}
    )
    first, second = accuracy_table(frame).to_dict("records")
    # Mean 0.6, standard error 0.1/√3, and 4.302653 is the 97.5 % point of Student's t with 2 degrees of freedom.
    assert first["mean"] == pytest.approx(0.6)
    assert first["high"] - first["mean"] == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-6)
    assert (first["least"], first["most"], first["seeds"]) == (0.5, 0.7, 3)
    assert math.isnan(second["low"])
    with pytest.raises(ValueError, match="confidence must lie strictly between 0 and 1, got 1"):
        accuracy_table(frame, 1.0)


def test_the_overview_joins_accuracies_with_sizes_averaged_over_seeds() -> None:
    frame = pd.DataFrame(
        {
            "problem": ["match2"] * 2 + ["match3"] * 3,
            "N": 8,
            "architecture": ["third order"] * 2 + ["third order", "one layer", "one layer"],
            "M": [11, 11, 52, 52, 52],
            "accuracy": [0.9, 1.0, 0.8, 0.5, 0.7],
            "width": [24, 24, 24, 30, 30],
            "parameters": [100, 100, 100, 104, 104],
            "constant": 0.5,
            "seconds": [1.0, 3.0, 4.0, 5.0, 7.0],
        }
    )
    found = overview(frame)
    names = [("match2", 8, "third order"), ("match3", 8, "third order"), ("match3", 8, "one layer")]
    assert set(found.index) == set(names)
    one = found.loc[names[-1]]
    assert one["mean"] == pytest.approx(0.6)
    assert (one["least"], one["most"], one["seeds"]) == (0.5, 0.7, 2)
    assert one[["M", "width", "parameters", "constant", "seconds"]].tolist() == [52, 30, 104, 0.5, 6.0]
    assert found["mean"]["match3", 8][PAIRWISE[:1]].max() == pytest.approx(0.6)
    assert found.loc[names[0], "seconds"] == 2.0
    assert excess_parameters(frame) == pytest.approx(0.04)


def test_excess_parameters_compare_models_of_one_length_only() -> None:
    frame = pd.DataFrame({"N": [8, 8, 16, 16], "parameters": [100, 101, 200, 210]})
    assert excess_parameters(frame) == pytest.approx(0.05)


def test_a_step_without_a_whole_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="step_labels must be at least N = 5, got 4"):
        detection_trials("match3", **{**GRID, "step_labels": 4})
    with pytest.raises(ValueError, match="num_seeds must be at least 1, got 0"):
        detection_trials("match3", **{**GRID, "num_seeds": 0})
