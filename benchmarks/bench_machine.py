"""What the machine can do at best, and the memory of one call of third-order attention in a fresh process."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from replay import entries, replay

from attention_limits.performance.attention import FORMS
from attention_limits.performance.contests import Contest
from attention_limits.performance.memory import memory_use
from attention_limits.performance.report import memory_details
from attention_limits.performance.roofline import probes


@entries(probes())
def bench_rates(benchmark: BenchmarkFixture, contest: Contest, way: str) -> None:
    replay(benchmark, contest, way)


#: Of N = 2048 all N³ scores would be 34 GB.
MEMORY_CASES = [*((num_tokens, form) for num_tokens in (128, 256, 512) for form in FORMS), (2048, "streamed")]


@pytest.mark.parametrize("passes", ["forward", "both"])
@pytest.mark.parametrize(("num_tokens", "form"), MEMORY_CASES)
def bench_memory(benchmark: BenchmarkFixture, num_tokens: int, passes: str, form: str) -> None:
    benchmark.group = f"memory of a process, N = {num_tokens}, m = 5, d = 1, passes = {passes}"
    taken = benchmark.pedantic(memory_use, (form, num_tokens, 5, 1, passes))
    benchmark.extra_info.update(memory_details(taken))
