"""One at a time against many at once: training, certificates, units, checks of all inputs."""

from pytest_benchmark.fixture import BenchmarkFixture
from replay import entries, replay

from attention_limits.performance.batches import (
    ENSEMBLE_CASES,
    certificate_contest,
    ensemble_contests,
    exhaustive_contest,
    unit_contest,
)
from attention_limits.performance.contests import Contest


@entries(ensemble_contests(ENSEMBLE_CASES, 40))
def bench_ensembles(benchmark: BenchmarkFixture, contest: Contest, way: str) -> None:
    replay(benchmark, contest, way)


@entries([certificate_contest(256, 8, 1000, seed=0), unit_contest(64, 4, 16, seed=0), exhaustive_contest(4, 6)])
def bench_batches(benchmark: BenchmarkFixture, contest: Contest, way: str) -> None:
    replay(benchmark, contest, way)
