"""Trying all tuples against counting, sorting and convolution."""

from pytest_benchmark.fixture import BenchmarkFixture
from replay import entries, replay

from attention_limits.performance.contests import Contest
from attention_limits.performance.structure import evaluation_contests, long_contest, oracle_contests


@entries(oracle_contests([64, 128, 256, 512], [16, 32, 64, 128], seed=0))
def bench_oracles(benchmark: BenchmarkFixture, contest: Contest, way: str) -> None:
    replay(benchmark, contest, way)


@entries([*evaluation_contests([64, 128, 256, 512], seed=0), long_contest(10**6, 4 * 10**6, 3, seed=0)])
def bench_evaluation(benchmark: BenchmarkFixture, contest: Contest, way: str) -> None:
    replay(benchmark, contest, way)
