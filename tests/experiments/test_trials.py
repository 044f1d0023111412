"""Trials: plain data with hypotheses, grouped by family and width, and results that depend on the trial alone."""

import dataclasses
import math
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from attention_limits.experiments import trials
from attention_limits.experiments.averaging import Address, AveragingTrial
from attention_limits.experiments.training import TrainingRun
from attention_limits.experiments.trials import CURVE_POINTS, groups, run_trials
from attention_limits.problems.sparse_averaging import SparseAveraging

CPU = torch.device("cpu")


def trial(**changes: Any) -> AveragingTrial:
    fields = {"architecture": "attention", "num_tokens": 5, "sparsity": 2, "value_dim": 2, "size": 4, "num_steps": 12}
    return AveragingTrial(**{**fields, "batch_size": 4, **changes})


ONE_OF_EACH = [trial(architecture=name) for name in AveragingTrial.known_architectures]


def test_products_of_three_are_summed_in_the_same_order_where_opt_einsum_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = torch.backends.opt_einsum.m  # torch wraps it, and to set something on the wrapper would hide what is below
    monkeypatch.setattr(module, "is_available", lambda: True)
    monkeypatch.setattr(module, "enabled", True)
    monkeypatch.setattr(module, "strategy", "auto")
    seen = []

    def run(group: Any, models: Any, batches: Any) -> list[TrainingRun]:
        seen.append(torch.backends.opt_einsum.enabled)
        return [TrainingRun([1.0])]

    monkeypatch.setattr(trials, "_train", run)
    run_trials([trial()])
    assert seen == [False]
    assert torch.backends.opt_einsum.enabled


def test_results_come_in_the_order_of_the_trials_whatever_the_groups() -> None:
    wanted = [trial(size=size, seed=seed, sparsity=q) for seed in (1, 0) for size in (9, 4) for q in (1, 3)]
    wanted += [trial(architecture="lstm"), wanted[2]]
    results = run_trials(wanted)
    assert [result["group"] for result in results][-2:] == [1, results[2]["group"]]
    assert max(result["group"] for result in results) == 4
    for one, result in zip(wanted, results, strict=True):
        (alone,) = run_trials([one])
        # float32: rounding differs between groups and Adam amplifies it; another seed changes the error by 0.1.
        assert result["error"] == pytest.approx(alone["error"], rel=1e-3)
        assert result["num_parameters"] == alone["num_parameters"]


@pytest.mark.parametrize("one", ONE_OF_EACH, ids=lambda one: one.architecture)
def test_a_result_is_a_function_of_the_trial(one: AveragingTrial) -> None:
    torch.manual_seed(0)
    (first,) = run_trials([one])
    torch.manual_seed(1)
    (second,) = run_trials([pickle.loads(pickle.dumps(one))])
    first.pop("seconds"), second.pop("seconds")
    assert first == second
    assert not first["diverged"]
    assert len(first["curve"]) == 12
    (other,) = run_trials([dataclasses.replace(one, seed=1)])
    assert other["error"] != first["error"]
    assert 0 < first["error"] < 10


def test_the_error_is_that_of_the_trained_model_on_new_samples() -> None:
    seen: list[nn.Module] = []

    class Keeping(AveragingTrial):
        def evaluate(self, model: nn.Module, generator: torch.Generator) -> dict[str, float]:
            seen.append(model)
            return super().evaluate(model, generator)

    (result,) = run_trials([Keeping(**dataclasses.asdict(trial(num_steps=300)))])
    problem = SparseAveraging(5, 2, 2)
    inputs = problem.sample(4000, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        error = (seen[0](problem.encode(inputs)) - problem.target(inputs)).square().mean() / problem.target_variance
    assert result["error"] == pytest.approx(error.item(), rel=0.1)  # two samples of a mean
    assert result["error"] < 0.9
    assert result["curve"][-1] == pytest.approx(result["error"], rel=0.3)


def test_a_curve_averages_stretches_of_equal_length() -> None:
    assert trials.curve([3.0, 1.0]) == [3.0, 1.0]
    assert trials.curve([float(step) for step in range(4 * CURVE_POINTS)])[:2] == [1.5, 5.5]


def test_groups_keep_families_and_like_widths_together() -> None:
    wanted = [trial(size=size, seed=seed) for size in (64, 2, 4, 5) for seed in range(3)]
    wanted += [trial(architecture="lstm", seed=seed) for seed in range(2)] + [trial(num_steps=13)]
    found = groups(wanted, CPU)
    # Sizes 2, 4, 5 and 64 make {2, 4} of six, {5} of three and {64} of three; LSTMs and other lengths stay apart.
    assert sorted(len(group) for group in found) == [1, 1, 1, 3, 3, 6]
    assert {one for group in found for one in group} == set(wanted)
    for group in found:
        assert len({one.family for one in group}) == 1
        assert max(one.size for one in group) <= 2 * min(one.size for one in group)
    assert groups([one for group in found for one in group], CPU) == found


def test_a_trial_asked_for_twice_is_trained_once() -> None:
    assert groups([trial(), trial()], CPU) == [[trial()]]
    assert len(run_trials([trial(), trial()])) == 2
    assert run_trials([]) == []


def test_a_trial_that_diverges_says_so() -> None:
    wild = [trial(peak_rate=1e30, seed=seed, num_steps=200) for seed in range(2)]
    together, alone = run_trials(wild), run_trials(wild[:1])
    assert [result["diverged"] for result in together + alone] == [True] * 3
    assert math.isnan(together[0]["error"])


def test_the_thread_count_is_put_back() -> None:
    before = torch.get_num_threads()
    run_trials([trial()])
    assert torch.get_num_threads() == before


def test_fixed_samples_are_memorised_and_fresh_ones_are_not() -> None:
    fixed, fresh = run_trials([trial(num_samples=number, size=16, num_steps=600, num_tokens=8) for number in (4, 0)])
    assert fixed["curve"][-1] < fixed["error"] / 2
    assert fresh["curve"][-1] > fresh["error"] / 2


def test_an_address_is_a_softmax_over_positions_that_ignores_values() -> None:
    problem = SparseAveraging(4, 2, 3)
    model = Address(problem, 5, generator=torch.Generator().manual_seed(0))
    inputs = problem.sample(2, generator=torch.Generator().manual_seed(1))
    tokens = problem.encode(inputs)
    output = model(tokens)
    doubled = tokens.clone()
    doubled[..., :3] *= 2
    torch.testing.assert_close(model(doubled), 2 * output)
    ones = tokens.clone()
    ones[..., :3] = 1
    torch.testing.assert_close(model(ones), torch.ones(2, 4, 3))
    assert model.key.shape == (4, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "mamba"}, "unknown architecture 'mamba': use attention, address"),
        ({"sparsity": 6}, "sparsity q = 6 needs num_tokens N ≥ 6, got N = 5"),
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"peak_rate": math.inf}, "peak_rate must be positive and finite, got inf"),
        ({"num_layers": 2}, "num_layers of attention is 1, got 2"),
        ({"num_samples": -1}, "num_samples must be at least 0, got -1"),
    ],
)
def test_a_trial_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        trial(**changes)
