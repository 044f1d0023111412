"""Contests: agreement before times, turns, quartiles, quotients and growth; with a clock that is set by hand."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from attention_limits.performance.contests import (
    Contest,
    DisagreementError,
    Measurement,
    growth_exponent,
    quartiles,
    race,
    ratio,
)


class FakeClock:
    """A clock that stands still but for what a way adds to it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def taking(clock: FakeClock, seconds: Iterator[float] | float, log: list[str], name: str) -> Callable[[Tensor], Tensor]:
    """A way that doubles its input and moves the clock."""

    def way(inputs: Tensor) -> Tensor:
        log.append(name)
        clock.now += seconds if isinstance(seconds, float) else next(seconds)
        return 2 * inputs

    return way


def doubling(ways: dict[str, Callable[[Tensor], Tensor]]) -> Contest:
    return Contest("doubling", {"N": 2}, lambda: torch.tensor([1.0, 4.0]), ways, tolerance=1e-6, count=3)


def test_the_clock_is_read_before_and_after_each_call_and_nothing_else_counts() -> None:
    clock, log = FakeClock(), []
    contest = doubling({"slow": taking(clock, 2.0, log, "slow"), "fast": taking(clock, 0.5, log, "fast")})
    slow, fast = race(contest, budget=0.0, least=4, clock=clock)
    assert slow.seconds == (2.0,) * 4
    assert fast.seconds == (0.5,) * 4
    assert (slow.rate, fast.rate) == (1.5, 6.0)
    assert ratio(fast, slow) == (4.0, 4.0, 4.0)


def test_ways_take_turns_and_each_round_begins_with_another_one() -> None:
    clock, log = FakeClock(), []
    contest = doubling({name: taking(clock, 1.0, log, name) for name in "abc"})
    race(contest, budget=0.0, least=4, clock=clock)
    assert "".join(log) == "abc" + "abc" + "bca" + "cab" + "abc"  # the first three check that the results agree


def test_rounds_end_with_the_budget_and_stay_between_their_bounds() -> None:
    for budget, rounds in ((0.0, 5), (6.5, 7), (1e9, 25)):
        clock = FakeClock()
        (only,) = race(doubling({"only": taking(clock, 1.0, [], "only")}), budget, clock=clock)
        assert len(only.seconds) == rounds


def test_bounds_on_rounds_that_cross_are_refused() -> None:
    with pytest.raises(ValueError, match="1 ≤ least ≤ most, got 6 and 5"):
        race(doubling({"only": lambda x: x}), 1.0, least=6, most=5)


def test_quotients_are_of_the_same_round() -> None:
    plain = Measurement("t", "plain", {}, (2.0, 8.0, 3.0), 0.0, 1)
    other = Measurement("t", "other", {}, (1.0, 2.0, 1.0), 0.0, 1)
    assert ratio(other, plain) == quartiles([2.0, 4.0, 3.0])


def test_a_way_that_deviates_is_refused_before_anything_is_timed() -> None:
    clock, log = FakeClock(), []
    honest = doubling({"plain": taking(clock, 1.0, log, "plain")})
    broken = replace(honest, ways={**honest.ways, "broken": lambda inputs: 2.001 * inputs})
    with pytest.raises(DisagreementError, match=r"doubling, N = 2: 'broken' deviates from 'plain' by 0\.0005"):
        race(broken, 1.0, clock=clock)
    assert log == ["plain"]


@pytest.mark.parametrize(
    "wrong",
    [lambda x: 2 * x[:1], lambda x: math.nan * x, lambda x: (2 * x, x)],
    ids=["another shape", "not a number", "one tensor too many"],
)
def test_shapes_and_numbers_that_are_none_are_refused_too(wrong: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(DisagreementError, match="by inf"):
        doubling({"plain": lambda x: 2 * x, "wrong": wrong}).deviations(torch.ones(2))


def test_a_deviation_is_relative_to_the_largest_entry_unless_all_are_zero() -> None:
    contest = Contest("t", {}, lambda: None, {"plain": lambda x: x, "off": lambda x: x + 0.125}, tolerance=1.0)
    for entries, expected in (([0.25, 0.125], 0.5), ([8.0, 1.0], 0.015625), ([0.0, 0.0], 0.125)):
        assert contest.deviations(torch.tensor(entries))["off"] == expected


def test_the_exponent_of_a_power_is_found_with_an_interval_around_it() -> None:
    low, exponent, high = growth_exponent([10, 20, 40, 80], [5e-3, 4.1e-2, 3.1e-1, 2.6])
    assert low < 3 < high
    assert abs(exponent - 3) < 0.05
    with pytest.raises(ValueError, match=r"needs three sizes, got \[10, 20\]"):
        growth_exponent([10, 20], [1.0, 2.0])


@pytest.mark.parametrize(("excess", "agrees"), [(0.5e-6, True), (2e-6, False)])
def test_the_tolerance_is_where_agreement_ends(excess: float, agrees: bool) -> None:
    contest = doubling({"exact": lambda x: 2 * x.double(), "near": lambda x: 2 * x.double() * (1 + excess)})
    if agrees:
        assert contest.deviations(contest.draw())["near"] == pytest.approx(excess, rel=1e-6)
    else:
        with pytest.raises(DisagreementError, match="deviates from 'exact' by 2e-06, at most 1e-06"):
            contest.deviations(contest.draw())
