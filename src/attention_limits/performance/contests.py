"""Contests: named ways to compute the same thing from the same inputs, first shown to agree, then timed in turns.

All ways of a contest take turns within a round, and the order moves on by one from round to round. So what else the
machine does meets all of them alike, and the quotients of one round's times vary less than the times.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

#: What a way returns: one tensor or several, the same ones for all ways of a contest.
Answer = Tensor | tuple[Tensor, ...]
Way = Callable[[Any], Answer]
Clock = Callable[[], float]


class DisagreementError(ValueError):
    """A way whose results are not those of the first one."""


class Quartiles(NamedTuple):
    """A median between the lower and the upper quartile."""

    low: float
    median: float
    high: float


class GrowthExponent(NamedTuple):
    """The exponent a of seconds ~ N^a, with its 95 % interval."""

    low: float
    exponent: float
    high: float


@dataclass(frozen=True, eq=False)
class Contest:
    """Ways to compute one thing; each contest is equal to itself only.

    Attributes:
        topic: what is computed, without its sizes.
        sizes: the sizes by the letters that the tables show.
        draw: makes the inputs that every way gets; called once a race.
        ways: by name; the first one is what the others are compared with.
        tolerance: how far results may differ, relative to the largest entry of the first way's.
        count: how many inputs one call answers.
        missing: names of ways that this machine cannot run, with the reason.
    """

    topic: str
    sizes: Mapping[str, int | str]
    draw: Callable[[], Any]
    ways: Mapping[str, Way]
    tolerance: float
    count: int = 1
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Topic and sizes in one line."""
        return ", ".join([self.topic, *(f"{letter} = {size}" for letter, size in self.sizes.items())])

    def deviations(self, inputs: Any) -> dict[str, float]:
        """How far each way's results are from the first one's, by name.

        Raises:
            DisagreementError: naming contest, way and deviation, if it is above the tolerance.
        """
        names = list(self.ways)
        expected = _tensors(self.ways[names[0]](inputs))
        found = {names[0]: 0.0}
        for name in names[1:]:
            found[name] = _deviation(_tensors(self.ways[name](inputs)), expected)
            if not found[name] <= self.tolerance:
                raise DisagreementError(
                    f"{self.title}: {name!r} deviates from {names[0]!r} by {found[name]:.3g}, "
                    f"at most {self.tolerance:.3g} is allowed"
                )
        return found


@dataclass(frozen=True)
class Measurement:
    """One way's times in a race; round r of one way belongs to round r of the others."""

    topic: str
    way: str
    sizes: Mapping[str, int | str]
    seconds: tuple[float, ...]
    deviation: float
    count: int

    @property
    def quartiles(self) -> Quartiles:
        """Seconds of one call."""
        return quartiles(self.seconds)

    @property
    def rate(self) -> float:
        """Inputs answered in a second, by the median."""
        return self.count / self.quartiles.median


def race(
    contest: Contest, budget: float, *, least: int = 5, most: int = 25, clock: Clock = time.perf_counter
) -> list[Measurement]:
    """Check that all ways agree, which warms them up, then time them in turns.

    Args:
        contest: what is run.
        budget: seconds after which no further round begins, once there are ``least`` rounds.
        least, most: bounds on the number of rounds.
        clock: seconds from any origin.

    Returns:
        A measurement for each way, in their order.

    Raises:
        DisagreementError: if two ways do not agree; then nothing is timed.
    """
    if not 1 <= least <= most:
        raise ValueError(f"rounds must satisfy 1 ≤ least ≤ most, got {least} and {most}")
    inputs = contest.draw()
    deviations = contest.deviations(inputs)
    names = list(contest.ways)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    rounds, spent = 0, 0.0
    while rounds < most and (rounds < least or spent < budget):
        first = rounds % len(names)
        for name in names[first:] + names[:first]:
            start = clock()
            contest.ways[name](inputs)
            seconds[name].append(clock() - start)
            spent += seconds[name][-1]
        rounds += 1
    return [
        Measurement(contest.topic, name, contest.sizes, tuple(seconds[name]), deviations[name], contest.count)
        for name in names
    ]


def quartiles(numbers: Sequence[float]) -> Quartiles:
    """Median and quartiles.

    Example:
        >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0])
        Quartiles(low=2.0, median=3.0, high=4.0)
    """
    return Quartiles(*np.quantile(numbers, (0.25, 0.5, 0.75)).tolist())


def ratio(measurement: Measurement, other: Measurement) -> Quartiles:
    """How many times longer ``other`` takes, from the quotients of each round's two times."""
    return quartiles([theirs / ours for ours, theirs in zip(measurement.seconds, other.seconds, strict=True)])


def growth_exponent(sizes: Sequence[int], seconds: Sequence[float]) -> GrowthExponent:
    """The slope of log seconds over log size by least squares, with its 95 % interval from Student's distribution.

    Raises:
        ValueError: for fewer than three sizes, which leave no interval.
    """
    import statsmodels.api as sm  # a second and more, which the processes that measure memory need not pay

    if len(set(sizes)) < 3:
        raise ValueError(f"a growth exponent with an interval needs three sizes, got {list(sizes)}")
    model = sm.OLS(np.log(seconds), sm.add_constant(np.log(sizes))).fit()
    low, high = model.conf_int(alpha=0.05)[1]
    return GrowthExponent(float(low), float(model.params[1]), float(high))


def _tensors(answer: Answer) -> tuple[Tensor, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def _deviation(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> float:
    """The largest difference, each tensor relative to the largest entry expected, unless all are 0; inf if unlike."""
    if [tensor.shape for tensor in found] != [tensor.shape for tensor in expected]:
        return math.inf
    worst = 0.0
    for ours, theirs in zip(found, expected, strict=True):
        difference = (ours.detach().double() - theirs.detach().double()).abs().max().item()
        relative = difference / (theirs.detach().double().abs().max().item() or 1.0)
        worst = max(worst, relative if math.isfinite(relative) else math.inf)
    return worst
