"""Third-order attention in seven ways, forward and with the backward pass; and on several threads."""

from pytest_benchmark.fixture import BenchmarkFixture
from replay import entries, replay

from attention_limits.performance.attention import third_order_contests, thread_contests
from attention_limits.performance.contests import Contest


@entries(third_order_contests([64, 128, 256, 512], seed=0, compiled=True))
def bench_third_order(benchmark: BenchmarkFixture, contest: Contest, way: str) -> None:
    replay(benchmark, contest, way)


@entries(thread_contests([256, 512], seed=0))
def bench_threads(benchmark: BenchmarkFixture, contest: Contest, way: str) -> None:
    replay(benchmark, contest, way)
