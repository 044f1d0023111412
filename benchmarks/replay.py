"""Hands the times of a race to pytest-benchmark, which tables them and writes the JSON.

pytest-benchmark times one function after the other. A race times all ways of a contest in turns; so it is run first,
once for each contest, and pytest-benchmark's clock then plays back its times.
"""

import functools
from collections.abc import Sequence

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from attention_limits.performance.contests import Contest, Measurement, race
from attention_limits.performance.report import race_details

#: Seconds of a race, unless five rounds take longer, or three at the sizes from which on a round takes seconds.
BUDGET, LARGE_TOKENS = 1.0, 512

_readings: list[float] = []


def recorded() -> float:
    """A clock that plays back a race."""
    return _readings.pop(0)


def entries(contests: Sequence[Contest]) -> pytest.MarkDecorator:
    """A test for each way of each contest."""
    pairs = [(contest, way) for contest in contests for way in (*contest.ways, *contest.missing)]
    return pytest.mark.parametrize(("contest", "way"), pairs, ids=[f"{contest.title}: {way}" for contest, way in pairs])


@functools.cache
def raced(contest: Contest) -> list[Measurement]:
    """The race, run once."""
    tokens = contest.sizes.get("N", 0)
    return race(contest, BUDGET, least=3 if isinstance(tokens, int) and tokens >= LARGE_TOKENS else 5)


def replay(benchmark: BenchmarkFixture, contest: Contest, way: str) -> None:
    """Enter one way of a race as a benchmark."""
    if way in contest.missing:
        pytest.skip(contest.missing[way])
    measurements = raced(contest)
    one = next(measurement for measurement in measurements if measurement.way == way)
    benchmark.group = contest.title
    benchmark.name = way
    benchmark.extra_info.update(race_details(one, measurements[0]))
    _readings.extend(reading for seconds in one.seconds for reading in (0.0, seconds))
    benchmark.pedantic(lambda: None, rounds=len(one.seconds))
