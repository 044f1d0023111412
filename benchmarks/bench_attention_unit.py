"""The unit of Definition 1 against torch's own attention."""

from pytest_benchmark.fixture import BenchmarkFixture
from replay import entries, replay

from attention_limits.performance.attention import unit_contests
from attention_limits.performance.contests import Contest


@entries(unit_contests([64, 256, 1024], seed=0))
def bench_attention_unit(benchmark: BenchmarkFixture, contest: Contest, way: str) -> None:
    replay(benchmark, contest, way)
