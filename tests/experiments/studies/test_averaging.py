"""Studies of sparse averaging: which trials they ask for, what their rows say, and what attention is measured by."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from attention_limits.experiments.averaging import LATER_LAYERS, TEST_SAMPLES, AveragingTrial
from attention_limits.experiments.studies.averaging import learned_attention, narrow_networks, recurrent_errors
from attention_limits.experiments.training import evaluate
from attention_limits.experiments.trials import TEST_SEED, run_trials, train_alone
from attention_limits.models.attention import Transformer
from attention_limits.problems.sparse_averaging import worst_case_error

TASK: dict[str, Any] = {"num_tokens": 5, "sparsity": 2, "value_dim": 2, "num_steps": 3, "num_seeds": 2, "seed": 4}
TRAINED: dict[str, Any] = {"batch_size": 4, "peak_rate": 1e-2}


class Noting:
    """A `TrialRunner` that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[AveragingTrial] = []

    def __call__(self, trials: Sequence[Any]) -> list[dict[str, Any]]:
        self.asked += trials
        return [{"error": float(index)} for index in range(len(trials))]


def test_learned_attention_asks_for_a_unit_from_each_seed() -> None:
    run = Noting()
    found = learned_attention(run, embed_dim=7, **TASK, **TRAINED)
    fields = {key: TASK[key] for key in ("num_tokens", "sparsity", "value_dim", "num_steps")}
    first = AveragingTrial(architecture="attention", size=7, seed=4, **fields, **TRAINED)
    assert run.asked == [first, replace(first, seed=5)]
    assert found.to_dict("list") == {"seed": [4, 5], "num_steps": [3, 3], "error": [0.0, 1.0]}


def test_recurrent_errors_count_a_hidden_vector_and_a_cell() -> None:
    run = Noting()
    found = recurrent_errors(run, hidden_grid=[3, 6], **TASK, **TRAINED)
    assert [(t.architecture, t.size, t.seed) for t in run.asked] == [
        (name, size, seed) for name in ("lstm", "bidirectional lstm") for size in (3, 6) for seed in (4, 5)
    ]
    assert list(found["numbers"]) == [6, 6, 12, 12] * 2
    assert list(found["hidden"]) == [3, 3, 6, 6] * 2
    assert list(found["error"]) == list(range(8))


def test_narrow_networks_lack_one_unit_of_the_width_that_theorem_10_asks_for() -> None:
    run = Noting()
    found = narrow_networks(run, **TASK)
    assert [(t.architecture, t.size, t.seed) for t in run.asked] == [("deep feedforward", 9, seed) for seed in (4, 5)]
    assert list(found["seed"]) == [4, 5]
    model = run.asked[0].build(torch.Generator())
    widths = [layer.out_features for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    assert widths[-len(LATER_LAYERS) - 1 :] == [128, 128, 10]


def test_attention_is_measured_by_its_mass_and_its_distance_from_the_average() -> None:
    trial = AveragingTrial(architecture="attention", num_tokens=6, sparsity=2, size=12, num_steps=150, batch_size=8)
    (result,) = run_trials([trial])
    model, _ = train_alone(trial)
    assert isinstance(model, Transformer)
    inputs = trial.problem.sample(TEST_SAMPLES, generator=torch.Generator().manual_seed(TEST_SEED))
    expected = evaluate(model, trial.problem, inputs)
    assert result["error"] == pytest.approx(expected.error, rel=1e-5)
    assert result["attention_mass"] == pytest.approx(expected.attention_mass, rel=1e-5)
    with torch.no_grad():
        weights = model.attend(trial.problem.encode(inputs)).attention[0][:, 0]
    distance = worst_case_error(weights, inputs.pointers).mean().item()
    assert result["distance"] == pytest.approx(distance, rel=1e-5)
    assert 2 * (1 - result["attention_mass"]) <= distance + 1e-9 <= 2  # what lies off the subset counts twice
