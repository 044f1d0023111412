"""Ensembles: the same models as training each alone, padding that stays zero, and how many are stacked."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from attention_limits.experiments import ensembles
from attention_limits.experiments.ensembles import MOST_ON_CPU, MOST_ON_GPU, group_size, train_ensemble
from attention_limits.experiments.training import Batch, Schedule, attention_model, fresh_batches, train
from attention_limits.models.feedforward import feedforward_network
from attention_limits.problems.sparse_averaging import SparseAveraging

TASK = SparseAveraging(num_tokens=6, sparsity=2, value_dim=3)
#: (architecture, width, peak, seed): widths, peaks and seeds all differ within an ensemble.
MIXED = [(4, 5e-3, 0), (4, 1e-3, 1), (7, 5e-3, 2), (16, 2e-3, 3)]
STEPS = 60
#: Both runs do the same operations in float64, but sum in another order. Adam divides by the gradient's size, and so
#: turns a rounding error of 1e-16 in a gradient near its epsilon of 1e-8 into one of 1e-8 of a step; over 60 steps of
#: 5e-3 that is below 1e-8.
TOLERANCE = 1e-8


def build(kind: str, width: int, seed: int) -> tuple[nn.Module, Iterator[Batch]]:
    generator = torch.Generator().manual_seed(seed)
    if kind == "attention":
        model: nn.Module = attention_model(TASK, width, generator=generator, hidden_dim=10)
    else:
        model = feedforward_network(TASK, width, [5], generator=generator)
    data = fresh_batches(TASK, 4, generator=generator)
    return model.double(), (Batch(tokens.double(), targets.double()) for tokens, targets in data)


@pytest.mark.parametrize("kind", ["attention", "feedforward"])
def test_an_ensemble_trains_each_model_as_if_it_were_alone(kind: str) -> None:
    schedules = [Schedule(STEPS, peak=peak, warmup_steps=10) for _, peak, _ in MIXED]
    alone, together = ([build(kind, width, seed) for width, _, seed in MIXED] for _ in range(2))
    expected = [
        train(model, data, schedule, target_variance=TASK.target_variance)
        for (model, data), schedule in zip(alone, schedules, strict=True)
    ]
    models, batches = zip(*together, strict=True)
    runs = train_ensemble(models, batches, schedules, target_variances=[TASK.target_variance] * len(MIXED))
    for (model, _), other, run, reference in zip(alone, models, runs, expected, strict=True):
        torch.testing.assert_close(run.errors, reference.errors, rtol=TOLERANCE, atol=TOLERANCE)
        assert run.errors[-1] != run.errors[0]
        assert run.steps_done == STEPS
        for name, parameter in other.named_parameters():
            torch.testing.assert_close(parameter, model.get_parameter(name), rtol=TOLERANCE, atol=TOLERANCE)


def test_the_comparison_sees_a_model_that_trains_with_another_ones_learning_rate() -> None:
    schedules = [Schedule(STEPS, peak=peak, warmup_steps=10) for _, peak, _ in MIXED]
    models, batches = zip(*(build("attention", width, seed) for width, _, seed in MIXED), strict=True)
    runs = train_ensemble(models, batches, schedules[::-1])
    model, data = build("attention", MIXED[0][0], MIXED[0][2])
    reference = train(model, data, schedules[0])
    assert max(abs(a - b) for a, b in zip(runs[0].errors, reference.errors, strict=True)) > 1e3 * TOLERANCE


def test_padding_stays_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {}
    stack = ensembles._stack

    def keep(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        kept.update(stack(states))
        return kept

    monkeypatch.setattr(ensembles, "_stack", keep)
    models, batches = zip(*(build("attention", width, seed) for width, _, seed in MIXED), strict=True)
    train_ensemble(models, batches, [Schedule(STEPS)] * len(MIXED))
    query = kept["layers.0.heads.0.query"].detach()
    assert query.shape == (4, 16, 16)
    assert query[0, 4:].abs().max() == query[0, :, 4:].abs().max() == 0
    assert query[0, :4, :4].abs().min() > 0


def test_a_model_that_diverges_leaves_the_others_alone() -> None:
    schedule = Schedule(STEPS, warmup_steps=5)

    def poisoned(data: Iterator[Batch]) -> Iterator[Batch]:
        for step, (tokens, targets) in enumerate(data):
            yield Batch(tokens, targets * (math.inf if step == 20 else 1))

    (first, its_data), (second, other_data) = build("attention", 4, 0), build("attention", 4, 1)
    runs = train_ensemble([first, second], [poisoned(its_data), other_data], [schedule] * 2)
    assert math.isnan(runs[0].errors[-1])
    assert math.isfinite(runs[0].errors[19])
    reference = train(*build("attention", 4, 1), schedule)
    torch.testing.assert_close(runs[1].errors, reference.errors, rtol=TOLERANCE, atol=TOLERANCE)


def test_an_interrupted_ensemble_leaves_its_models_as_they_were() -> None:
    def interrupted(data: Iterator[Batch]) -> Iterator[Batch]:
        yield next(data)
        raise KeyboardInterrupt

    model, data = build("attention", 4, 0)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(KeyboardInterrupt):
        train_ensemble([model], [interrupted(data)], [Schedule(5)])
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_what_cannot_be_stacked_is_refused() -> None:
    (model, data), (other, _) = build("attention", 4, 0), build("feedforward", 4, 0)
    with pytest.raises(ValueError, match="at least one model"):
        train_ensemble([], [], [])
    with pytest.raises(ValueError, match="models of one architecture are needed"):
        train_ensemble([model, other], [data, data], [Schedule(5)] * 2)
    with pytest.raises(ValueError, match="1 models need as many batches, got 2"):
        train_ensemble([model], [data, data], [Schedule(5)])
    with pytest.raises(ValueError, match="agree in steps and warm-up, got"):
        train_ensemble([model, model], [data, data], [Schedule(5), Schedule(6)])


def test_a_groups_size_follows_the_work_of_a_step() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    sizes = [group_size(25_000, tokens, cpu) for tokens in (1, 160, 640, 1024, 4096, 10**6)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == MOST_ON_CPU
    assert sizes[-1] == 1
    assert group_size(1, 1, gpu) == MOST_ON_GPU
    assert group_size(25_000, 640, gpu) > group_size(25_000, 640, cpu)
    for bad in ((0, 5), (5, 0)):
        with pytest.raises(ValueError, match="must be at least 1, got 0"):
            group_size(*bad, cpu)
