"""Trials on pairs and triples: models of equal size, labels that are right, ensembles, and what is refused."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from attention_limits.experiments.detectors import (
    PROBLEMS,
    Detector,
    MatchingTrial,
    ThirdOrderLayer,
)
from attention_limits.experiments.trials import matched_size, num_parameters, run_trials
from attention_limits.models.tensor_attention import tensor_attention
from attention_limits.problems.matching import Match2, Match3


def trial(**changes: Any) -> MatchingTrial:
    fields = {"architecture": "one layer", "problem": "match3", "num_tokens": 4, "modulus": 7, "size": 5}
    return MatchingTrial(**{**fields, "num_steps": 12, "batch_size": 4, **changes})


@pytest.mark.parametrize("size", [20, 24, 40])
def test_architectures_are_matched_within_five_per_cent(size: int) -> None:
    widest = trial(architecture="third order", size=size)
    for architecture in MatchingTrial.known_architectures:
        alike = trial(architecture=architecture)
        alike = replace(alike, size=matched_size(alike, num_parameters(widest)))
        assert num_parameters(alike) == pytest.approx(num_parameters(widest), rel=0.05)
    assert matched_size(widest, num_parameters(widest)) == size
    assert matched_size(widest, 1) == 1


@pytest.mark.parametrize("problem", PROBLEMS)
def test_batches_are_residues_with_their_labels(problem: str) -> None:
    data = trial(problem=problem).batches(torch.Generator().manual_seed(0))
    brute: Match2 | Match3 = PROBLEMS[problem](4, 7)
    for _ in range(20):  # more than are drawn at once
        residues, labels = next(data)
        assert residues.shape == labels.shape == (4, 4)
        assert labels.equal(brute.brute_force(residues).float())


def test_a_third_order_layer_is_tensor_attention_of_its_projections() -> None:
    layer = ThirdOrderLayer(3, generator=torch.Generator().manual_seed(0))
    tokens = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1))
    keys = (tokens @ layer.first_key, tokens @ layer.second_key)
    values = (tokens @ layer.first_value, tokens @ layer.second_value)
    torch.testing.assert_close(layer(tokens), tensor_attention(tokens @ layer.query, keys, values))


@pytest.mark.parametrize("kinds", [("pairwise",), ("pairwise", "pairwise"), ("third order",)])
def test_a_detector_knows_no_order_of_tokens_and_no_residue_beyond_the_modulus(kinds: tuple[str, ...]) -> None:
    model = Detector(7, 6, kinds, generator=torch.Generator().manual_seed(0))
    residues = torch.randint(0, 7, (3, 5), generator=torch.Generator().manual_seed(1))
    order = torch.tensor([4, 2, 0, 1, 3])
    torch.testing.assert_close(model(residues)[:, order], model(residues[:, order]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(residues), model(residues + 7))
    changed = residues.clone()
    changed[:, 0] = (changed[:, 0] + 1) % 7
    assert (model(changed) - model(residues))[:, 1:].abs().max() > 1e-4  # others are looked at


@pytest.mark.parametrize("architecture", MatchingTrial.known_architectures)
def test_seeds_are_trained_together_as_they_are_alone(architecture: str) -> None:
    seeds = [trial(architecture=architecture, seed=seed) for seed in range(3)]
    together = run_trials(seeds)
    assert [result["group"] for result in together] == [3] * 3
    for one, result in zip(seeds, together, strict=True):
        (alone,) = run_trials([one])
        assert result["loss"] == pytest.approx(alone["loss"], rel=1e-3)  # float32 sums in another order


def test_what_is_measured() -> None:
    (result,) = run_trials([trial(problem="match2", modulus=3, num_steps=400, size=12, batch_size=16)])
    assert result["accuracy"] > 0.97  # three residues are soon learned
    assert result["loss"] < 0.2
    ones = float(Match2(4, 3).label_probability())
    assert result["constant"] == pytest.approx(max(ones, 1 - ones), abs=0.02)  # 8,000 labels, correlated in fours
    (untrained,) = run_trials([trial(num_steps=1, peak_rate=1e-9)])
    assert untrained["accuracy"] < 0.97
    assert math.isfinite(untrained["loss"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"problem": "match4"}, "unknown problem 'match4': use match2 or match3"),
        ({"architecture": "lstm"}, "unknown architecture 'lstm': use one layer, two layers, third order"),
        ({"modulus": 1}, "modulus must be at least 2, got 1"),
        ({"size": 0}, "size must be at least 1, got 0"),
    ],
)
def test_a_trial_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        trial(**changes)
