"""The phase diagram: its grid of trials, and its analysis on maps whose transition is known."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.studies.phase_diagram import (
    over_seeds,
    phase_diagram,
    power_law,
    transition,
    transitions,
)
from attention_limits.experiments.trials import Result, Trial, run_trials

GRID: dict[str, Any] = {
    "num_tokens": 4,
    "value_dim": 2,
    "sparsity_grid": [1, 2],
    "embed_grid": [4, 8],
    "attention_rate": 5e-3,
    "address_sparsity_grid": [1, 3],
    "address_embed_grid": [2, 3, 4],
    "address_rate": 2e-2,
    "step_grid": [4, 2],
    "batch_size": 2,
    "num_seeds": 2,
    "seed": 7,
}


def synthetic(exponent: float, factor: float, *, sparsities: Sequence[int] = (1, 2, 4, 8), steep: float = 3.0) -> Any:
    """A frame whose share is level 1/4 at m* = factor · q^exponent exactly, straight in the logarithms."""
    return pd.DataFrame(
        {
            "map": "attention",
            "num_steps": 10,
            "sparsity": q,
            "embed_dim": m,
            "seed": seed,
            "share": 0.25 * (m / (factor * q**exponent)) ** -steep,
        }
        for q in sparsities
        for m in (1, 2, 4, 8, 16, 32, 64, 128)
        for seed in (0, 1, 2)
    )


def crossing(embed_dims: Sequence[float], shares: Sequence[float], level: float = 0.25) -> float:
    return transition(np.array(embed_dims, float), np.array(shares, float), level)


def test_the_study_trains_every_cell_of_both_maps_at_both_budgets() -> None:
    frame = phase_diagram(run_trials, **GRID)
    assert len(frame) == 2 * 2 * (2 * 2 + 2 * 3)
    assert frame["share"].notna().all()
    cells = frame.groupby(["map", "num_steps"])[["sparsity", "embed_dim", "seed"]].nunique()
    assert cells.loc["attention"].to_numpy().tolist() == [[2, 2, 2]] * 2
    assert cells.loc["address"].to_numpy().tolist() == [[2, 3, 2]] * 2
    assert np.allclose(frame["share"], frame["error"] / (1 - frame["sparsity"] / 4))


def test_all_cells_of_a_map_have_one_rate_and_all_trials_come_in_one_call() -> None:
    calls: list[Sequence[Trial]] = []

    def pretend(trials: Sequence[Trial]) -> list[Result]:
        calls.append(trials)
        lost = {"error": math.nan, "diverged": True, "num_parameters": 1, "seconds": 0.0}
        return [lost for _ in trials]

    frame = phase_diagram(pretend, **GRID)
    (trials,) = calls
    rates = {(trial.architecture, trial.peak_rate) for trial in trials if isinstance(trial, AveragingTrial)}
    assert rates == {("attention", 5e-3), ("address", 2e-2)}
    assert frame["share"].isna().all()
    assert over_seeds(transitions(frame, 0.25))["median"].eq(math.inf).all()


def test_the_study_refuses_a_sparsity_at_which_uniform_attention_is_exact() -> None:
    with pytest.raises(ValueError, match="q = 4 needs q < N = 4"):
        phase_diagram(run_trials, **GRID | {"sparsity_grid": [4]})


def test_transition_lies_where_the_logarithms_cross() -> None:
    assert crossing([2, 4, 8], [1, 0.5, 0.125]) == pytest.approx(math.sqrt(32))
    assert crossing([2, 4], [0.5, 0.25]) == pytest.approx(4)


def test_transition_says_on_which_side_of_the_map_it_lies() -> None:
    assert crossing([2, 4, 8], [0.2, 0.1, 0.05]) == 0
    assert crossing([2, 4, 8], [0.9, 0.8, 0.26]) == math.inf


def test_transition_is_not_moved_by_a_wide_unit_that_fails_nor_by_one_that_diverges() -> None:
    once = crossing([2, 4, 8, 16], [1, 0.5, 0.01, 0.01])
    assert crossing([2, 4, 8, 16], [1, 0.5, 0.01, 1.0]) == once
    assert crossing([2, 4, 8, 16], [1, 0.5, 0.01, math.nan]) == once
    assert crossing([2, 4], [1, math.nan]) == math.inf


def test_transition_takes_an_error_of_zero() -> None:
    assert 2 < crossing([2, 4], [0.9, 0.0]) < 4


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1])
def test_transition_refuses_a_level_outside_zero_and_one(level: float) -> None:
    with pytest.raises(ValueError, match="level must lie strictly between 0 and 1"):
        crossing([2, 4], [1, 0.1], level)


@pytest.mark.parametrize("embed_dims", [[4, 2], [2, 2], [0, 2]])
def test_transition_refuses_dimensions_that_do_not_rise(embed_dims: list[float]) -> None:
    with pytest.raises(ValueError, match="embed_dims must be positive and rise"):
        crossing(embed_dims, [1, 0.1])


def test_the_analysis_finds_the_power_law_that_a_map_was_made_from() -> None:
    # The crossing is exact between grid points, so the fit is too; a little scatter gives its interval a width.
    medians = over_seeds(transitions(synthetic(1.3, 3.0).sample(frac=1, random_state=0), 0.25))
    assert medians["median"].to_numpy() == pytest.approx([3.0 * q**1.3 for q in (1, 2, 4, 8)])
    scattered = medians["median"].to_numpy() * np.exp([0.01, -0.01, -0.01, 0.01])
    law = power_law(medians["sparsity"].to_numpy(float), scattered)
    assert law.exponent == pytest.approx(1.3, abs=0.01)
    assert law.factor == pytest.approx(3.0, rel=0.02)
    assert law.interval[0] < 1.3 < law.interval[1]
    middle, low, high = law.band(np.array([1.0, 3.0]))
    assert np.all((low < middle) & (middle < high))
    assert middle == pytest.approx(law.factor * np.array([1.0, 3.0]) ** law.exponent)


def test_a_map_of_another_law_is_told_apart() -> None:
    medians = over_seeds(transitions(synthetic(0.5, 3.0), 0.25))
    law = power_law(
        medians["sparsity"].to_numpy(float), medians["median"].to_numpy() * np.exp([0.01, -0.01, -0.01, 0.01])
    )
    assert law.interval[1] < 1


def test_the_interval_holds_the_exponent_as_often_as_it_says() -> None:
    generator, sparsities = np.random.default_rng(0), np.array([1.0, 2.0, 4.0, 8.0])
    held = 0
    for _ in range(400):
        low, high = power_law(sparsities, 2 * sparsities * np.exp(0.2 * generator.normal(size=4))).interval
        held += low < 1 < high
    # 380 expected; the standard deviation of a binomial with 400 draws is 4.4.
    assert 362 <= held <= 398


def test_transitions_outside_the_map_are_left_out_of_the_fit() -> None:
    sparsities = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    crossings = np.array([0.0, 4.0, 8.1, 15.9, math.inf])
    law, inside = power_law(sparsities, crossings), power_law(sparsities[1:4], crossings[1:4])
    assert (law.num_points, law.exponent) == (3, inside.exponent)


def test_two_points_have_no_law_and_no_band() -> None:
    law = power_law(np.array([1.0, 2.0, 4.0]), np.array([2.0, 4.0, math.inf]))
    assert math.isnan(law.exponent)
    assert all(map(math.isnan, law.interval))
    with pytest.raises(ValueError, match="2 points have no band: at least 3 are needed"):
        law.band(np.array([1.0]))


def test_the_median_is_inside_the_map_only_if_most_seeds_are() -> None:
    rows = {"map": "address", "num_steps": 5}
    found = pd.DataFrame(
        [{**rows, "sparsity": 1, "seed": s, "transition": t} for s, t in enumerate([4.0, math.inf, 5.0])]
        + [{**rows, "sparsity": 2, "seed": s, "transition": t} for s, t in enumerate([4.0, math.inf, math.inf])]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        medians = over_seeds(found)
    assert medians["median"].tolist() == [5.0, math.inf]
    assert medians[["least", "most"]].to_numpy().tolist() == [[4.0, math.inf]] * 2
