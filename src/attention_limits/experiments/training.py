"""A small training loop: deterministic for a seed, with snapshots, and stopped cleanly by Ctrl-C.

Errors are relative: for sparse averaging the mean squared error divided by the target's variance, so that the best
constant scores 1.
"""

import contextlib
import math
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from attention_limits.hypotheses import require_integer
from attention_limits.models.attention import (
    MultiHeadAttention,
    SelfAttentionUnit,
    Transformer,
    multilayer_perceptron,
)
from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs
from attention_limits.runtime import progress

#: A model's tensors by name, as `state_dict` and `named_parameters` name them.
StateDict = dict[str, Tensor]
#: From a model's outputs and the targets to one number, the mean over the batch.
Loss = Callable[[Tensor, Tensor], Tensor]
#: Steps whose samples are drawn at once, which takes half the time of drawing step by step.
STEPS_AT_ONCE = 16


class Batch(NamedTuple):
    """One step's training data: what the model reads, and what its outputs are compared with."""

    tokens: Tensor
    targets: Tensor


def mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean of (output − target)² over all coordinates."""
    return (outputs - targets).square().mean()


@dataclass(frozen=True)
class Schedule:
    """Learning rate: linear warm-up to the peak, then half a cosine down to 0. A pure function of the step."""

    num_steps: int
    peak: float = 5e-3  # Adam's; our choice, found on N = 20, q = 3
    warmup_steps: int = 100

    def __post_init__(self) -> None:
        require_integer("num_steps", self.num_steps, 1)
        require_integer("warmup_steps", self.warmup_steps, 0)
        if not self.peak > 0:
            raise ValueError(f"peak learning rate must be positive, got {self.peak}")

    def rate(self, step: int) -> float:
        """The learning rate of step 0…num_steps − 1."""
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, self.num_steps - self.warmup_steps)
        return self.peak * (1 + math.cos(math.pi * progress)) / 2


def attention_model(
    problem: SparseAveraging, embed_dim: int, *, generator: torch.Generator, hidden_dim: int = 128
) -> Transformer:
    """One self-attention unit after an input network of one hidden layer: (z, y, i) → R^m, then Definition 1 on R^m."""
    network = multilayer_perceptron((problem.token_dim, hidden_dim, embed_dim), generator=generator)
    unit = SelfAttentionUnit(embed_dim, embed_dim, problem.value_dim, generator=generator)
    return Transformer([MultiHeadAttention([unit])], [network, nn.Identity()])


def fresh_batches(
    problem: SparseAveraging, batch_size: int, *, generator: torch.Generator, device: torch.device | str | None = None
) -> Iterator[Batch]:
    """New random samples at every step."""
    while True:
        inputs = problem.sample(STEPS_AT_ONCE * batch_size, generator=generator, device=device)
        chunks = problem.encode(inputs).split(batch_size), problem.target(inputs).split(batch_size)
        yield from map(Batch, *chunks)


def fixed_batches(
    problem: SparseAveraging,
    num_samples: int,
    batch_size: int,
    *,
    generator: torch.Generator,
    device: torch.device | str | None = None,
) -> Iterator[Batch]:
    """Batches drawn with replacement from ``num_samples`` samples that are drawn once."""
    inputs = problem.sample(num_samples, generator=generator, device=device)
    tokens, targets = problem.encode(inputs), problem.target(inputs)
    while True:
        chosen = torch.randint(0, num_samples, (batch_size,), generator=generator, device=generator.device)
        yield Batch(tokens[chosen.to(tokens.device)], targets[chosen.to(tokens.device)])


@dataclass
class TrainingRun:
    """What training leaves: the relative training error of every step done, and the states asked for."""

    errors: list[float] = field(default_factory=list)
    snapshots: dict[int, StateDict] = field(default_factory=dict)
    #: True if Ctrl-C ended it early; the model is then whole, after `steps_done` complete steps.
    interrupted: bool = False

    @property
    def steps_done(self) -> int:
        """Complete steps."""
        return len(self.errors)


def train(
    model: nn.Module,
    batches: Iterator[Batch],
    schedule: Schedule,
    *,
    target_variance: float = 1.0,
    loss_function: Loss = mean_squared_error,
    snapshot_steps: tuple[int, ...] = (),
    description: str | None = "training",
) -> TrainingRun:
    """Train ``model`` in place with Adam.

    The first Ctrl-C ends the run after the step in progress and returns what there is; a second one raises.

    Args:
        batches: yields the data of each step.
        schedule: gives the number of steps and their learning rates.
        target_variance: unit of the recorded errors: they are the loss divided by it.
        loss_function: what is minimised.
        snapshot_steps: numbers of complete steps, from 0 to num_steps, after which the state is kept.
        description: the label of the progress bar; None for no bar.

    Raises:
        ValueError: for a snapshot outside the run.
        FloatingPointError: if the loss stops being finite, naming the step.
    """
    for step in snapshot_steps:
        if not 0 <= step <= schedule.num_steps:
            raise ValueError(f"snapshot step {step} lies outside 0…{schedule.num_steps}")
    run = TrainingRun()
    optimiser = torch.optim.Adam(model.parameters(), lr=schedule.peak)
    losses: list[Tensor] = []
    with _stop_on_interrupt() as stop, progress(range(schedule.num_steps), description) as steps:
        for step in steps:
            if step in snapshot_steps:
                run.snapshots[step] = _copy_state(model)
            for group in optimiser.param_groups:
                group["lr"] = schedule.rate(step)
            tokens, targets = next(batches)
            loss = loss_function(model(tokens), targets)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())  # kept on the device: reading it each step would stall a GPU
            if step % 100 == 0 and not bool(loss.isfinite()):
                raise FloatingPointError(f"the loss is {loss.item()} at step {step}: lower the learning rate")
            if stop.is_set():
                run.interrupted = True
                break
    run.errors = (torch.stack(losses) / target_variance).tolist()
    if not math.isfinite(run.errors[-1]):
        raise FloatingPointError(f"the loss is {run.errors[-1]} at step {run.steps_done - 1}: lower the learning rate")
    if run.steps_done in snapshot_steps:
        run.snapshots[run.steps_done] = _copy_state(model)
    return run


def _copy_state(model: nn.Module) -> StateDict:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@contextlib.contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """Turn the first SIGINT into an event; change nothing where it can't be caught or is ignored."""
    stop = threading.Event()
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or previous is signal.SIG_IGN:
        yield stop
        return

    def note(signum: int, frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)


class Evaluation(NamedTuple):
    """How a one-unit model does on new samples."""

    #: Mean squared error over the target's variance.
    error: float
    #: Mean attention weight on the q tokens asked for, between 0 and 1.
    attention_mass: float


def evaluate(model: Transformer, problem: SparseAveraging, inputs: SparseAveragingInputs) -> Evaluation:
    """Relative error and attention mass of a model of one layer and one head on ``inputs``."""
    with torch.no_grad():
        output, attentions = model.attend(problem.encode(inputs))
        weights = attentions[0][:, 0].gather(-1, inputs.pointers)
        error = (output - problem.target(inputs)).square().mean() / problem.target_variance
    return Evaluation(error.item(), weights.sum(dim=-1).mean().item())
