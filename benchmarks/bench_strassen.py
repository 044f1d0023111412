"""Strassen attention over all pairs, by matrix products, and as third-order attention."""

from pytest_benchmark.fixture import BenchmarkFixture
from replay import entries, replay

from attention_limits.performance.contests import Contest
from attention_limits.performance.strassen import strassen_contests


@entries(strassen_contests([64, 128, 256, 512], seed=0))
def bench_strassen(benchmark: BenchmarkFixture, contest: Contest, way: str) -> None:
    replay(benchmark, contest, way)
