"""Third-order attention, streamed, against the plain einsum that holds all N³ scores. Compare within a group."""

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from attention_limits.models.tensor_attention import reference_attention, tensor_attention

#: (N, m, d).
CASES = [(64, 32, 32), (64, 5, 1), (128, 32, 32), (128, 5, 1), (512, 32, 32), (512, 5, 1)]


def draw(num_tokens: int, embed: int, dim: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = [embed, embed, embed, dim, dim]
    return [(0.3 * torch.randn(num_tokens, size, generator=generator)).requires_grad_() for size in sizes]


def plain(tensors: list[Tensor]) -> Tensor:
    query, first, second, left, right = tensors
    return reference_attention(query, (first, second), (left, right))


def streamed(tensors: list[Tensor]) -> Tensor:
    query, first, second, left, right = tensors
    return tensor_attention(query, (first, second), (left, right))


def same_keys(tensors: list[Tensor]) -> Tensor:
    query, key, _, value, _ = tensors
    return tensor_attention(query, (key, key), (value, value))


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "forward and backward"])
@pytest.mark.parametrize("way", [plain, streamed, same_keys], ids=lambda way: way.__name__.replace("_", " "))
@pytest.mark.parametrize(("num_tokens", "embed", "dim"), CASES)
def bench_third_order(
    benchmark: BenchmarkFixture,
    num_tokens: int,
    embed: int,
    dim: int,
    way: Callable[[list[Tensor]], Tensor],
    backward: bool,
) -> None:
    tensors = draw(num_tokens, embed, dim)
    if way is streamed:
        torch.testing.assert_close(way(tensors), plain(tensors), rtol=1e-4, atol=1e-5)
    benchmark.group = f"N = {num_tokens}, m = {embed}, d = {dim}, " + ("both" if backward else "forward")

    def work() -> None:
        if backward:
            way(tensors).sum().backward()
        else:
            with torch.no_grad():
                way(tensors)

    benchmark.pedantic(work, rounds=5 if num_tokens < 512 else 3, warmup_rounds=1)
