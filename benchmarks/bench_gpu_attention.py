"""Third-order attention on a GPU, float32: Triton kernels against torch's own ways. Compare within a group.

`extra_info` of the JSON gives each one's TFLOP/s, by the products that no way avoids.
"""

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention
from torch.nn.functional import scaled_dot_product_attention

from attention_limits.models.streamed_attention import streamed_attention
from attention_limits.models.tensor_attention import reference_attention

pytest.importorskip("triton", reason="Triton is published for Linux only")

from attention_limits.models.triton_attention import triton_attention

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

Way = Callable[..., Tensor]

TOKENS = (512, 1024, 2048, 4096)
#: (m, d).
WIDTHS = ((32, 32), (5, 1))
#: All N³ scores of N = 1024 are 4 GiB, and a backward pass holds several such tensors.
MOST_TOKENS = {"plain": 1024, "compiled": 1024, "flex": 512, "fused": 2048, "streamed": 4096, "triton": 4096}
#: Flex attention is written for no narrower heads, and fused attention falls back to a form that holds all scores.
LEAST_WIDTH = {"flex": 16, "fused": 16}

CASES = [
    (way, tokens, embed, dim)
    for way, most in MOST_TOKENS.items()
    for tokens in TOKENS
    for embed, dim in WIDTHS
    if tokens <= most and min(embed, dim) >= LEAST_WIDTH.get(way, 1)
]


def draw(tokens: int, embed: int, dim: int) -> list[Tensor]:
    """Query, keys and values, one entry each."""
    generator = torch.Generator().manual_seed(0)
    sizes = [embed, embed, embed, dim, dim]
    return [(0.3 * torch.randn(1, tokens, size, generator=generator)).cuda().requires_grad_() for size in sizes]


def plain(query: Tensor, first: Tensor, second: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """All N³ scores at once."""
    return reference_attention(query, (first, second), (left, right))


def pairs(left: Tensor, right: Tensor) -> Tensor:
    """The entrywise products of all pairs of tokens, as one head: (1, 1, N², width)."""
    return (left.unsqueeze(2) * right.unsqueeze(1)).flatten(1, 2).unsqueeze(1)


def fused(query: Tensor, first: Tensor, second: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Usual attention to N² keys, in torch's own kernel: each pair is one, and its key and value lie in memory."""
    return scaled_dot_product_attention(
        query.unsqueeze(1), pairs(first, second), pairs(left, right), scale=1.0
    ).squeeze(1)


def prepare(way: str) -> Way:
    """The function to time; what is compiled is compiled for one case."""
    if way == "triton":
        return triton_attention
    if way == "streamed":
        return streamed_attention
    if way == "plain":
        return plain
    if way == "fused":
        return fused
    torch.compiler.reset()
    if way == "compiled":
        return torch.compile(plain, dynamic=False)
    compiled = torch.compile(flex_attention, dynamic=False)

    def flex(query: Tensor, first: Tensor, second: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """The same through a kernel that is compiled."""
        return compiled(query.unsqueeze(1), pairs(first, second), pairs(left, right), scale=1.0).squeeze(1)

    return flex


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "forward and backward"])
@pytest.mark.parametrize(("way", "tokens", "embed", "dim"), CASES)
def bench_gpu_attention(
    benchmark: BenchmarkFixture, way: str, tokens: int, embed: int, dim: int, backward: bool
) -> None:
    tensors = draw(tokens, embed, dim)
    attend = prepare(way)
    benchmark.group = f"N = {tokens}, m = {embed}, d = {dim}, " + ("both" if backward else "forward")

    def work() -> None:
        if backward:
            attend(*tensors).sum().backward()
        else:
            with torch.no_grad():
                attend(*tensors)
        torch.cuda.synchronize()

    try:
        if way != "streamed":
            with torch.no_grad():
                torch.testing.assert_close(attend(*tensors), streamed_attention(*tensors), rtol=1e-4, atol=1e-5)
        benchmark.pedantic(work, rounds=5, warmup_rounds=2)
    except torch.cuda.OutOfMemoryError:
        pytest.skip(f"{way} does not fit into this GPU's memory")
    # One product for the scores and one for the values; each has three in the backward pass: itself, and two gradients.
    operations = 2 * tokens**3 * (embed + dim) * (4 if backward else 1)
    benchmark.extra_info["TFLOP/s"] = operations / benchmark.stats.stats.median / 1e12
