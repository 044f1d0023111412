"""Training: the schedule, the data, determinism, snapshots, Ctrl-C, and what is measured."""

import dataclasses
import math
import signal
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from attention_limits.experiments.training import (
    Batch,
    Schedule,
    TrainingRun,
    attention_model,
    evaluate,
    fixed_batches,
    fresh_batches,
    train,
)
from attention_limits.models.attention import Transformer
from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs

TASK = SparseAveraging(num_tokens=5, sparsity=2, value_dim=2)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def new_model(seed: int = 0) -> Transformer:
    return attention_model(TASK, 16, generator=seeded(seed), hidden_dim=32)


def run_training(
    num_steps: int, *, model: nn.Module | None = None, batches: Iterator[Batch] | None = None, **options: Any
) -> tuple[nn.Module, TrainingRun]:
    """A short run on the small task."""
    model = model or new_model()
    batches = batches or fresh_batches(TASK, 8, generator=seeded(1))
    schedule = Schedule(num_steps, warmup_steps=5)
    return model, train(model, batches, schedule, target_variance=TASK.target_variance, **options)


def states_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


def interrupting(batches: Iterator[Batch], *steps: int) -> Iterator[Batch]:
    """The same batches, with a Ctrl-C while those of ``steps`` are made."""
    for step, batch in enumerate(batches):
        if step in steps:
            signal.raise_signal(signal.SIGINT)
        yield batch


@given(st.integers(1, 400), st.integers(0, 120), st.floats(1e-5, 1))
def test_the_schedule_rises_linearly_and_falls_as_half_a_cosine(num_steps: int, warmup: int, peak: float) -> None:
    schedule = Schedule(num_steps, peak, warmup)
    rates = [schedule.rate(step) for step in range(num_steps)]
    for step, rate in enumerate(rates):
        if step < warmup:
            expected = peak * (step + 1) / warmup
        else:
            expected = peak * math.cos(math.pi / 2 * (step - warmup) / (num_steps - warmup)) ** 2  # half-angle form
        assert rate == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert min(rates) > 0
    assert max(rates) <= peak * (1 + 1e-15)  # a product and a quotient, each rounded
    if num_steps > warmup:
        assert rates[warmup] == peak
    assert schedule.rate(max(num_steps, warmup)) == pytest.approx(0 if num_steps > warmup else peak, abs=1e-15)
    assert rates == [Schedule(num_steps, peak, warmup).rate(step) for step in range(num_steps)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
        ({"num_steps": 5, "warmup_steps": -1}, "warmup_steps must be at least 0, got -1"),
        ({"num_steps": 5, "peak": 0.0}, "peak learning rate must be positive, got 0.0"),
        ({"num_steps": 5, "peak": float("nan")}, "peak learning rate must be positive, got nan"),
    ],
)
def test_a_schedule_without_steps_or_rate_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schedule(**options)


def test_a_schedule_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Schedule(5).peak = 1.0  # type: ignore[misc]


def test_the_rate_of_every_step_reaches_the_optimiser(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    step = torch.optim.Adam.step

    def watched(self: torch.optim.Adam, *arguments: Any, **options: Any) -> Any:
        seen.append(self.param_groups[0]["lr"])
        return step(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    run_training(9)
    assert seen == [Schedule(9, warmup_steps=5).rate(step) for step in range(9)]


def test_a_seed_gives_the_same_run_bitwise(device: torch.device) -> None:
    def once(seed: int) -> tuple[nn.Module, TrainingRun]:
        batches = fresh_batches(TASK, 8, generator=seeded(seed), device=device)
        return run_training(12, model=new_model().to(device), batches=batches)

    (model, run), (again, same), (_, other) = once(1), once(1), once(2)
    assert run.errors == same.errors != other.errors
    assert states_equal(model.state_dict(), again.state_dict())


def test_training_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    run_training(3)
    assert torch.get_rng_state().equal(state)


def test_snapshots_are_the_states_after_as_many_steps() -> None:
    start = {name: tensor.clone() for name, tensor in new_model().state_dict().items()}
    schedule = Schedule(10, warmup_steps=5)
    model = new_model()
    run = train(
        model, fresh_batches(TASK, 8, generator=seeded(1)), schedule, target_variance=1.0, snapshot_steps=(0, 4, 10)
    )
    assert sorted(run.snapshots) == [0, 4, 10]
    assert states_equal(run.snapshots[0], start)
    assert states_equal(run.snapshots[10], dict(model.state_dict()))
    # The middle one by hand: the same four steps of Adam.
    by_hand, batches = new_model(), fresh_batches(TASK, 8, generator=seeded(1))
    optimiser = torch.optim.Adam(by_hand.parameters())
    for step in range(4):
        optimiser.param_groups[0]["lr"] = schedule.rate(step)
        tokens, targets = next(batches)
        optimiser.zero_grad()
        (by_hand(tokens) - targets).square().mean().backward()
        optimiser.step()
    assert states_equal(run.snapshots[4], dict(by_hand.state_dict()))


def test_snapshots_are_copies() -> None:
    model, run = run_training(3, snapshot_steps=(3,))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert any(tensor.any() for tensor in run.snapshots[3].values())


@pytest.mark.parametrize("step", [-1, 4])
def test_a_snapshot_outside_the_run_is_refused_before_it_starts(step: int) -> None:
    model = new_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=rf"snapshot step {step} lies outside 0…3"):
        run_training(3, model=model, snapshot_steps=(1, step))
    assert states_equal(before, dict(model.state_dict()))


def test_errors_are_the_loss_before_each_step_over_the_target_variance() -> None:
    _, run = run_training(4)
    tokens, targets = next(fresh_batches(TASK, 8, generator=seeded(1)))
    with torch.no_grad():
        loss = (new_model()(tokens) - targets).square().mean()
    assert run.steps_done == len(run.errors) == 4
    assert run.errors[0] == pytest.approx(loss.item() / TASK.target_variance, rel=1e-6)
    assert not run.interrupted


def test_training_reduces_the_error_of_a_small_problem() -> None:
    model, run = run_training(150, batches=fresh_batches(TASK, 32, generator=seeded(1)))
    inputs = TASK.sample(200, generator=seeded(2))
    untrained, trained = evaluate(new_model(), TASK, inputs), evaluate(model, TASK, inputs)
    assert trained.error < 0.5 < untrained.error
    assert trained.attention_mass > untrained.attention_mass + 0.1
    assert np.mean(run.errors[-10:]) < 0.5


def test_fresh_batches_never_repeat_and_fixed_batches_draw_from_their_samples() -> None:
    fresh = fresh_batches(TASK, 4, generator=seeded(0))
    seen = torch.cat([next(fresh).tokens for _ in range(20)])
    assert len(seen.flatten(1).unique(dim=0)) == 80
    fixed = fixed_batches(TASK, 6, 4, generator=seeded(0))
    batches = [next(fixed) for _ in range(20)]
    inputs = TASK.sample(6, generator=seeded(0))
    known, answers = TASK.encode(inputs), TASK.target(inputs)
    drawn = set()
    for tokens, targets in batches:
        assert tokens.shape == (4, 5, TASK.token_dim)
        for token, target in zip(tokens, targets, strict=True):
            (index,) = [i for i in range(6) if token.equal(known[i])]
            assert target.equal(answers[index])
            drawn.add(index)
    assert drawn == set(range(6))


def test_batches_of_a_seed_are_the_same_and_carry_the_exact_target(device: torch.device) -> None:
    for make in (
        lambda: fresh_batches(TASK, 4, generator=seeded(3), device=device),
        lambda: fixed_batches(TASK, 9, 4, generator=seeded(3), device=device),
    ):
        first, second = make(), make()
        for _ in range(3):
            one, two = next(first), next(second)
            assert one.tokens.equal(two.tokens)
            assert one.targets.equal(two.targets)
            assert one.tokens.device.type == device.type
            values, selection, _ = one.tokens.split([2, 5, 5], dim=-1)
            assert torch.allclose(selection @ values / 2, one.targets, atol=1e-6)


def test_a_first_interrupt_ends_the_run_after_the_step_in_progress() -> None:
    previous = signal.getsignal(signal.SIGINT)
    batches = interrupting(fresh_batches(TASK, 8, generator=seeded(1)), 6)
    model, run = run_training(50, batches=batches, snapshot_steps=(0, 7, 50))
    assert run.interrupted
    assert run.steps_done == 7
    assert signal.getsignal(signal.SIGINT) is previous
    assert sorted(run.snapshots) == [0, 7]
    # Whole: what the same seven steps give without an interrupt, under the same schedule.
    other = new_model()
    same = train(
        other,
        fresh_batches(TASK, 8, generator=seeded(1)),
        Schedule(50, warmup_steps=5),
        target_variance=TASK.target_variance,
        snapshot_steps=(7,),
    )
    assert states_equal(dict(model.state_dict()), same.snapshots[7])
    assert run.errors == same.errors[:7]


def test_an_interrupt_in_the_first_step_still_leaves_one_step() -> None:
    _, run = run_training(5, batches=interrupting(fresh_batches(TASK, 8, generator=seeded(1)), 0))
    assert (run.interrupted, run.steps_done) == (True, 1)


def test_a_second_interrupt_raises_and_the_handler_is_restored() -> None:
    previous = signal.getsignal(signal.SIGINT)

    def impatient() -> Iterator[Batch]:
        batch = next(fresh_batches(TASK, 8, generator=seeded(1)))
        yield batch
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        yield batch

    with pytest.raises(KeyboardInterrupt):
        run_training(5, batches=impatient())
    assert signal.getsignal(signal.SIGINT) is previous


def test_the_handler_is_restored_after_a_whole_run_and_after_an_error() -> None:
    def own(signum: int, frame: object) -> None:
        raise AssertionError("never called")

    previous = signal.signal(signal.SIGINT, own)
    try:
        run_training(2)
        assert signal.getsignal(signal.SIGINT) is own
        with pytest.raises(FloatingPointError):
            run_training(2, batches=spoiled(0))
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, previous)


def test_training_runs_outside_the_main_thread_too() -> None:
    runs: list[TrainingRun] = []
    thread = threading.Thread(target=lambda: runs.append(run_training(2)[1]))
    thread.start()
    thread.join(timeout=60)
    assert [run.steps_done for run in runs] == [2]


def spoiled(step: int, entry: float = math.nan) -> Iterator[Batch]:
    """Batches whose targets are not finite from ``step`` on."""
    for index, (tokens, targets) in enumerate(fresh_batches(TASK, 4, generator=seeded(1))):
        yield Batch(tokens, targets if index < step else torch.full_like(targets, entry))


@pytest.mark.parametrize(("step", "num_steps", "named"), [(0, 3, 0), (2, 3, 2), (37, 150, 100), (1, 2, 1)])
@pytest.mark.parametrize("entry", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_an_error_that_names_a_step(
    step: int, num_steps: int, named: int, entry: float
) -> None:
    with pytest.raises(FloatingPointError, match=rf"the loss is (nan|inf) at step {named}: lower the learning rate"):
        run_training(num_steps, batches=spoiled(step, entry))


class Stub(Transformer):
    """A model whose attention and output are given."""

    def __init__(self, attention: torch.Tensor, output: torch.Tensor) -> None:
        super().__init__([], [nn.Identity()])
        self.answer = output, (attention,)

    def attend(self, tokens: torch.Tensor) -> Any:
        return self.answer


def test_an_evaluation_is_what_loops_compute() -> None:
    inputs = TASK.sample(7, generator=seeded(4))
    model = new_model(3)
    output, attentions = model.attend(TASK.encode(inputs))
    target = TASK.target(inputs)
    squares, masses = [], []
    for b in range(7):
        for i in range(5):
            squares += [(output[b, i, c] - target[b, i, c]).item() ** 2 for c in range(2)]
            masses.append(sum(attentions[0][b, 0, i, j].item() for j in inputs.pointers[b, i].tolist()))
    evaluation = evaluate(model, TASK, inputs)
    assert evaluation.error == pytest.approx(np.mean(squares) / TASK.target_variance, rel=1e-5)
    assert evaluation.attention_mass == pytest.approx(np.mean(masses), rel=1e-5)


def test_uniform_attention_has_mass_q_over_n_and_a_constant_scores_one_on_average() -> None:
    inputs = TASK.sample(20_000, generator=seeded(4))
    uniform, zero = torch.full((20_000, 1, 5, 5), 0.2), torch.zeros(20_000, 5, 2)
    evaluation = evaluate(Stub(uniform, zero), TASK, inputs)
    assert evaluation.attention_mass == pytest.approx(0.4, rel=1e-5)
    assert evaluation.error == pytest.approx(1, abs=0.02)  # 4 standard errors of 20 000 sequences


def test_the_exact_attention_scores_zero_with_all_its_mass_on_what_is_asked() -> None:
    inputs: SparseAveragingInputs = TASK.sample(10, generator=seeded(4))
    exact = torch.zeros(10, 1, 5, 5).scatter_(-1, inputs.pointers.unsqueeze(1), 0.5)
    evaluation = evaluate(Stub(exact, TASK.target(inputs)), TASK, inputs)
    assert evaluation == (0, 1)


def test_the_attention_model_has_one_head_of_the_dimension_asked_for() -> None:
    model = new_model()
    (layer,) = model.layers
    (unit,) = layer.heads
    assert [tuple(matrix.shape) for matrix in unit.parameters()] == [(16, 16), (16, 16), (16, 2)]
    assert model.maps[0][0].weight.shape == (32, TASK.token_dim)
    assert isinstance(model.maps[1], nn.Identity)
    assert all(parameter.requires_grad for parameter in model.parameters())
