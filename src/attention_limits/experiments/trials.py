"""Trials: one model to train and all that its result depends on, as plain data; and how a list of them is computed.

A trial is frozen and hashable, its fields are numbers and strings, so that it can be sent to another process, written
into a store and found there again. Its result depends on nothing else, but for rounding.
"""

import contextlib
import hashlib
import inspect
import json
import math
import time
import uuid
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from attention_limits.dependencies import code_digest, dependencies
from attention_limits.experiments.ensembles import group_size, train_ensemble
from attention_limits.experiments.training import Batch, Schedule, TrainingRun, train
from attention_limits.hypotheses import require_integer

#: What a trial leaves: numbers by name, and the learning curve as a list.
Result = dict[str, Any]
#: Computes trials, in their order: in this process (`run_trials`), or through a store and many processes (`sweeps`).
TrialRunner = Callable[[Sequence["Trial"]], list[Result]]
#: Points of a learning curve: the training error averaged over as many stretches of equal length.
CURVE_POINTS = 50
#: Test samples are drawn from a seed of their own, the same for all trials of one problem.
TEST_SEED = 10**6


@dataclass(frozen=True, kw_only=True)
class Trial(ABC):
    """One model to train, and all that its result depends on.

    Args:
        architecture: one of `known_architectures`.
        num_tokens: N.
        num_steps: steps of Adam; the first 100, or half of them if that is less, are warm-up.
        batch_size: samples of a step.
        peak_rate: Adam's learning rate after the warm-up.
        seed: of the initial weights and of the training data.
        size: what the architecture's width is.

    Raises:
        ValueError: for a value that makes no sense, naming it.
    """

    architecture: str
    num_tokens: int
    num_steps: int = 2500
    batch_size: int = 32
    peak_rate: float = 5e-3
    seed: int = 0
    size: int = 64

    #: The architectures that this kind of trial knows.
    known_architectures: ClassVar[tuple[str, ...]] = ()
    #: `trial_digest`, taken when the class was loaded: a file that is edited later is not what runs.
    code: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.code = trial_digest(cls)

    def __post_init__(self) -> None:
        known = ", ".join(self.known_architectures)
        if self.architecture not in self.known_architectures:
            raise ValueError(f"unknown architecture {self.architecture!r}: use {known}")
        for name in ("num_tokens", "num_steps", "batch_size"):
            require_integer(name, getattr(self, name), 1)
        require_integer("seed", self.seed, 0)
        require_integer("size", self.size, 1)
        if not 0 < self.peak_rate < math.inf:
            raise ValueError(f"peak_rate must be positive and finite, got {self.peak_rate}")

    @property
    def schedule(self) -> Schedule:
        """Learning rate over the steps."""
        return Schedule(self.num_steps, peak=self.peak_rate, warmup_steps=min(100, self.num_steps // 2))

    @property
    def error_unit(self) -> float:
        """What a loss is divided by to become an error; 1 by default."""
        return 1.0

    @property
    @abstractmethod
    def family(self) -> Hashable | None:
        """Equal for trials that can be trained as one ensemble; None if this one is trained alone."""

    @abstractmethod
    def build(self, generator: torch.Generator) -> nn.Module:
        """The model, with fresh weights from ``generator``, on its device."""

    @abstractmethod
    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """The training data, drawn from ``generator``, on its device."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What is minimised: one number, the mean over the batch."""

    @abstractmethod
    def evaluate(self, model: nn.Module, generator: torch.Generator) -> dict[str, float]:
        """What is measured on test samples, by name; they are drawn from ``generator``, on its device."""


def as_json(trial: Trial) -> dict[str, Any]:
    """A trial as JSON: its kind and all of its fields."""
    return {"kind": type(trial).__name__, **asdict(trial)}


def from_json(data: dict[str, Any]) -> Trial:
    """The trial that `as_json` wrote.

    Raises:
        ValueError: for a kind that no loaded module defines, and for fields that the kind does not have or refuses.
    """
    kinds = {kind.__name__: kind for kind in Trial.__subclasses__()}
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind not in kinds:
        raise ValueError(f"unknown kind of trial {kind!r}: use {', '.join(sorted(kinds))}")
    try:
        return kinds[kind](**fields)
    except TypeError as error:
        raise ValueError(f"no {kind}: {error}") from error


def place_in_group(trial: Trial) -> tuple[Any, ...]:
    """What trials of one family are sorted by: narrow ones first, then by their other fields."""
    return (trial.size, *astuple(trial))


def group_name(group: Sequence[Trial]) -> str:
    """A name for trials that are trained as one: the last bits of a result depend on its company."""
    return hashlib.sha256(json.dumps([as_json(trial) for trial in group], sort_keys=True).encode()).hexdigest()[:16]


def trial_digest(kind: type[Trial]) -> str:
    """A hash of the code that computes a trial: torch's version, and the modules that its class and bases import.

    Studies, figures and pages do not enter, nor do comments and docstrings: they do not change what a trial gives. A
    class that is defined elsewhere enters with its source, or, where there is none, with a code that is never seen
    again. Another minor version of Python may write syntax trees otherwise; all is computed anew then.
    """
    parts = [version("torch").partition("+")[0]]  # whatever it was built for
    parts.append(code_digest(dependencies("\n".join(f"import {base.__module__}" for base in kind.__mro__))))
    for base in kind.__mro__:
        if issubclass(base, Trial) and not base.__module__.startswith("attention_limits."):
            try:
                parts.append(inspect.getsource(base))
            except (OSError, TypeError):
                parts.append(uuid.uuid4().hex)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def run_trials(trials: Sequence[Trial], device: torch.device | str = "cpu") -> list[Result]:
    """Train and evaluate ``trials`` here and now, those of one family stacked as `group_size` says.

    On a CPU one thread is used: small models are slower on two, and the result does not depend on how many there are.

    Returns:
        For each trial, in order, what `Trial.evaluate` measures, and ``num_parameters``, ``seconds`` (of training, on a
        CPU its own time; of an ensemble an equal share), ``group`` (how many were trained as one), ``group_name``
        (`group_name`), ``diverged`` (whether the loss stopped being finite; the other numbers then mean nothing) and
        ``curve`` (the training error, at most `CURVE_POINTS` means over stretches of equal length).
    """
    device = torch.device(device)
    results: dict[Trial, Result] = {}
    for group in groups(trials, device):
        results.update(zip(group, run_group(group, device), strict=True))
    return [results[trial] for trial in trials]


def groups(trials: Sequence[Trial], device: torch.device) -> list[list[Trial]]:
    """The trials, each once, in groups that are trained as one: a family's, narrow ones first.

    They depend on the whole list only, and not on its order, so that a sweep that goes on where it was stopped makes
    the same groups.
    """
    families: dict[Hashable, list[Trial]] = {}
    for trial in dict.fromkeys(trials):
        families.setdefault(trial if trial.family is None else (type(trial), trial.family), []).append(trial)
    found = []
    for family in families.values():
        family.sort(key=place_in_group)
        group: list[Trial] = []
        for trial in family:
            # Narrow models are padded to the widest of their group, so a group's widths stay within a factor of 2.
            if group and (len(group) >= _most(trial, device) or trial.size > 2 * group[0].size):
                found.append(group)
                group = []
            group.append(trial)
        found.append(group)
    return found


def _most(trial: Trial, device: torch.device) -> int:
    """How many such models make a group."""
    return group_size(num_parameters(trial), trial.batch_size * trial.num_tokens, device)


@cache
def num_parameters(trial: Trial) -> int:
    """The numbers that training changes in a trial's model."""
    return sum(tensor.numel() for tensor in trial.build(torch.Generator()).parameters())


def matched_size(trial: Trial, parameters: int) -> int:
    """The size at which a trial's architecture comes closest to so many parameters; the smaller one of two.

    Raises:
        ValueError: unless ``parameters`` is at least 1.
    """
    require_integer("parameters", parameters, 1)

    def count(size: int) -> int:
        return num_parameters(replace(trial, size=size))

    above = 1
    while count(above) < parameters:
        above *= 2
    above = bisect_left(range(above + 1), parameters, lo=1, key=count)  # the smallest size with as many or more
    return min((size for size in (above - 1, above) if size), key=lambda size: abs(count(size) - parameters))


def run_group(group: Sequence[Trial], device: torch.device | str = "cpu") -> list[Result]:
    """Train and evaluate trials of one family as one, or a single one alone; see `run_trials`."""
    device = torch.device(device)
    with _as_trials_run(device):
        generators = [torch.Generator(device).manual_seed(trial.seed) for trial in group]
        models = [trial.build(generator) for trial, generator in zip(group, generators, strict=True)]
        clock = time.process_time if device.type == "cpu" else time.perf_counter  # other work then does not count
        start = clock()
        runs = _train(group, models, [trial.batches(g) for trial, g in zip(group, generators, strict=True)])
        seconds = (clock() - start) / len(group)
        return [
            {
                **trial.evaluate(model, torch.Generator(device).manual_seed(TEST_SEED)),
                "num_parameters": num_parameters(trial),
                "seconds": seconds,
                "group": len(group),
                "group_name": group_name(group),
                "diverged": not all(map(math.isfinite, run.errors[-1:])),
                "curve": curve(run.errors),
            }
            for trial, model, run in zip(group, models, runs, strict=True)
        ]


def train_alone(
    trial: Trial, device: torch.device | str = "cpu", *, snapshot_steps: tuple[int, ...] = ()
) -> tuple[nn.Module, TrainingRun]:
    """A trial's model, trained by itself, for those who want more of it than numbers; see `training.train`."""
    device = torch.device(device)
    with _as_trials_run(device):
        generator = torch.Generator(device).manual_seed(trial.seed)
        model = trial.build(generator)
        run = train(
            model,
            trial.batches(generator),
            trial.schedule,
            target_variance=trial.error_unit,
            loss_function=trial.loss,
            snapshot_steps=snapshot_steps,
            description=f"seed {trial.seed}",
        )
    return model, run


@contextlib.contextmanager
def _as_trials_run(device: torch.device) -> Iterator[None]:
    """One thread on a CPU, and no opt_einsum: else results would depend on whether it is installed."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        with torch.backends.opt_einsum.flags(enabled=False):
            yield
    finally:
        torch.set_num_threads(threads)


def _train(group: Sequence[Trial], models: list[nn.Module], batches: list[Iterator[Batch]]) -> list[TrainingRun]:
    first = group[0]
    if len(group) > 1:
        return train_ensemble(
            models,
            batches,
            [trial.schedule for trial in group],
            target_variances=[trial.error_unit for trial in group],
            loss_function=first.loss,
            description=None,
        )
    try:
        run = train(
            models[0],
            batches[0],
            first.schedule,
            target_variance=first.error_unit,
            loss_function=first.loss,
            description=None,
        )
    except FloatingPointError:
        return [TrainingRun([math.nan])]
    if run.interrupted:
        raise KeyboardInterrupt
    return [run]


def curve(errors: Sequence[float]) -> list[float]:
    """Errors of all steps as at most `CURVE_POINTS` means over stretches of equal length."""
    points = min(CURVE_POINTS, len(errors))
    edges = [len(errors) * point // points for point in range(points + 1)]
    return [sum(errors[low:high]) / (high - low) for low, high in pairwise(edges)]
