"""The study of pairs and triples: its grids, its tables, what is searched, and what it refuses."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
import pytest

from attention_limits.experiments.detectors import READ_INS, MatchingTrial
from attention_limits.experiments.studies.detection import (
    DETECTION_ARCHITECTURES,
    LONGER,
    PAIRWISE,
    SEARCHED_RATES,
    VARIANTS,
    accuracy_table,
    conjecture,
    detection_trial,
    excess_parameters,
    learning_match,
    overview,
    pairwise_search,
)
from attention_limits.experiments.trials import Result, Trial, num_parameters

GRID: dict[str, Any] = {
    "token_grid": [4, 5],
    "step_grid": [4, 6],
    "short_grid": [0, 2],
    "size": 32,
    "step_labels": 17,
    "peak_rate": 1e-3,
    "num_seeds": 2,
    "seed": 7,
}
MORE: dict[str, Any] = {
    "pair_steps": 3,
    "varied_tokens": 4,
    "varied_steps": 8,
    "varied_seeds": 3,
    "gap_frequencies": [2, 3],
    "gap_draws": 4,
    "search_tokens": [4],
    "search_frequencies": [2, 3],
    "search_steps": 4,
}


class Remembering:
    """A runner that trains nothing: it keeps what it is asked for, and makes up accuracies by a rule."""

    def __init__(self) -> None:
        self.asked: list[MatchingTrial] = []

    def __call__(self, trials: Sequence[Trial]) -> list[Result]:
        results = []
        for trial in trials:
            assert isinstance(trial, MatchingTrial)
            self.asked.append(trial)
            best = trial.read == "linear" and trial.num_frequencies == 3 and trial.peak_rate > 2e-3
            results.append(
                {
                    "accuracy": 0.9 if best else 0.6,
                    **dict.fromkeys(("loss", "constant", "rule", "gap", "seconds"), 0.5),
                    "num_parameters": 100,
                    "curve": [0.5],
                }
            )
        return results


def test_the_grid_has_every_length_architecture_and_seed_with_like_numbers_of_labels_and_parameters() -> None:
    run = Remembering()
    frame = conjecture(run, **GRID)
    assert len(set(run.asked)) == len(run.asked) == len(frame) == 2 * len(DETECTION_ARCHITECTURES) * 2
    assert {trial.seed for trial in run.asked} == {7, 8}
    assert {(trial.num_tokens, trial.batch_size) for trial in run.asked} == {(4, 4), (5, 3)}
    assert {(trial.num_tokens, trial.num_steps, trial.short_steps) for trial in run.asked} == {(4, 4, 0), (5, 6, 2)}
    assert {trial.size for trial in run.asked if trial.architecture == "third order"} == {32}
    counts = [num_parameters(trial) for trial in run.asked if trial.num_tokens == 4 and trial.seed == 7]
    assert max(counts) <= 1.05 * min(counts)
    assert set(PAIRWISE) == set(DETECTION_ARCHITECTURES) - {"third order"}


def test_the_two_pages_share_their_trials_on_triples() -> None:
    alone, both = Remembering(), Remembering()
    triples = conjecture(alone, **GRID)
    frame = learning_match(both, **GRID, **MORE)
    assert set(alone.asked) < set(both.asked)
    again = frame[frame["series"] == "triples"].reset_index(drop=True)
    pd.testing.assert_frame_equal(triples, again[triples.columns])


def test_the_series_of_the_larger_study() -> None:
    run = Remembering()
    frame = learning_match(run, **GRID, **MORE)
    assert len(frame) == len(run.asked)
    part = dict(list(frame.groupby("series")))
    assert set(part) == {"triples", "pairs", "variants", "draws", "search", "longer"}
    pairs = part["pairs"]
    assert set(pairs["problem"]) == {"match2"}
    assert set(frame.loc[frame["series"] != "pairs", "problem"]) == {"match3"}
    assert len(pairs) == 2 * len(DETECTION_ARCHITECTURES) * 3
    assert (set(pairs["num_steps"]), set(pairs["short_steps"])) == ({3}, {0})
    variants = part["variants"]
    assert variants["variant"].value_counts().to_dict() == dict.fromkeys(VARIANTS, 3)
    assert set(variants["architecture"]) == {"third order"}
    assert set(variants["num_steps"]) == {8}
    draws = part["draws"]
    assert draws.groupby("frequencies")["seed"].apply(list).to_dict() == {2: [7, 8, 9, 10], 3: [7, 8, 9, 10]}
    drawn = [trial for trial in run.asked if trial.architecture == "third order" and trial.num_frequencies == 2]
    assert {trial.num_draws for trial in drawn} == {1}


def test_a_variant_changes_one_thing() -> None:
    run = Remembering()
    frame = learning_match(run, **GRID, **MORE)
    of_variants = [trial for trial in run.asked if trial.architecture == "third order" and trial.num_steps == 8]
    assert len(of_variants) == len(VARIANTS) * 3 + 2 * 4 < len(frame)
    recipe = asdict(of_variants[0])
    changed = {}
    for name, trial in zip(VARIANTS, of_variants[:: MORE["varied_seeds"]], strict=False):
        fields = {field: value for field, value in asdict(trial).items() if value != recipe[field]}
        assert set(fields) == set(VARIANTS[name])
        changed[name] = fields
    assert changed["half the width"] == {"size": 16}
    assert changed["three times the rate"]["peak_rate"] == pytest.approx(3e-3)
    assert changed["scores start at 8"] == {"score_scale": 8.0}


def test_the_search_tries_all_settings_and_gives_the_best_of_each_kind_more_steps_and_seeds() -> None:
    run = Remembering()
    search, longer = pairwise_search(
        run,
        search_tokens=[4, 5],
        search_frequencies=[2, 3],
        search_steps=6,
        num_seeds=2,
        size=12,
        step_labels=10,
        peak_rate=1e-3,
        seed=5,
    )
    assert len(search) == 2 * len(PAIRWISE) * len(READ_INS) * len(SEARCHED_RATES) * 2
    assert not search.duplicated(["N", "architecture", "read", "frequencies", "rate"]).any()
    assert set(search["seed"]) == {5}
    assert (set(search["num_steps"]), set(search["short_steps"])) == ({6}, {3})
    assert len(longer) == 2 * len(PAIRWISE) * 2
    assert set(longer["seed"]) == {5, 6}
    assert (set(longer["num_steps"]), set(longer["short_steps"])) == ({6 * LONGER}, {3 * LONGER})
    # What `Remembering` calls the best, at each length and depth.
    assert set(longer["read"]) == {"linear"}
    assert set(longer["frequencies"]) == {3}
    assert longer["rate"].unique() == pytest.approx([3e-3])
    assert len(longer.groupby(["N", "architecture"])) == 2 * len(PAIRWISE)


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
    settings: dict[str, Any] = {"num_tokens": 5, "num_steps": 4, "short_steps": 0, "size": 6, "peak_rate": 1e-3}
    with pytest.raises(ValueError, match="step_labels must be at least N = 5, got 4"):
        detection_trial("match3", "one layer", **settings, step_labels=4)
    with pytest.raises(ValueError, match="number of seeds must be at least 1, got 0"):
        conjecture(Remembering(), **{**GRID, "num_seeds": 0})
    with pytest.raises(ValueError, match="argument"):  # a length without its steps
        conjecture(Remembering(), **{**GRID, "step_grid": [4]})
