"""Eight attention models: trained one after the other, and as ensembles of several sizes. Compare within a group."""

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from attention_limits.experiments.ensembles import train_ensemble
from attention_limits.experiments.training import Schedule, attention_model, fresh_batches, train
from attention_limits.problems.sparse_averaging import SparseAveraging

MODELS = 8
STEPS = 40
#: (N, m, batch size): from steps that are all overhead to steps that are all arithmetic.
CASES = [(20, 64, 8), (20, 64, 32), (32, 16, 32), (32, 128, 32)]


def run(num_tokens: int, embed_dim: int, batch_size: int, group: int) -> Callable[[], list[list[float]]]:
    """Training all models, in groups of so many; 0: one after the other by `train`."""
    problem = SparseAveraging(num_tokens, 3, 4)
    schedule = Schedule(STEPS, warmup_steps=10)

    def work() -> list[list[float]]:
        models, batches = [], []
        for seed in range(MODELS):
            generator = torch.Generator().manual_seed(seed)
            models.append(attention_model(problem, embed_dim, generator=generator))
            batches.append(fresh_batches(problem, batch_size, generator=generator))
        if group == 0:
            pairs = zip(models, batches, strict=True)
            return [train(model, data, schedule, description=None).errors for model, data in pairs]
        runs = []
        for start in range(0, MODELS, group):
            part = slice(start, start + group)
            size = len(models[part])
            runs += train_ensemble(models[part], batches[part], [schedule] * size, description=None)
        return [run.errors for run in runs]

    return work


@pytest.mark.parametrize("group", [0, 1, 2, 4, 8], ids=lambda group: f"groups of {group}" if group else "one by one")
@pytest.mark.parametrize(("num_tokens", "embed_dim", "batch_size"), CASES)
def bench_ensembles(benchmark: BenchmarkFixture, num_tokens: int, embed_dim: int, batch_size: int, group: int) -> None:
    benchmark.group = f"{MODELS} attention models, N = {num_tokens}, m = {embed_dim}, batch {batch_size}, {STEPS} steps"
    found = benchmark(run(num_tokens, embed_dim, batch_size, group))
    expected = run(num_tokens, embed_dim, batch_size, 0)()
    # The first steps agree to rounding; later ones drift apart, as Adam amplifies it.
    torch.testing.assert_close(torch.tensor(found)[:, :5], torch.tensor(expected)[:, :5], rtol=1e-3, atol=1e-4)
