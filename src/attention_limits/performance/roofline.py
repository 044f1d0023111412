"""What this machine can do at best, and the least time of third-order attention that follows.

Three probes are run as contests with a single way: the product of two matrices, 2^x, and the copy of a large array. Their
``count`` is the work of one call, so that count over seconds is a rate; the best round counts.

Letters: N tokens, m = embed_dim, d = value_dim.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from attention_limits.hypotheses import require
from attention_limits.performance.contests import Contest, Measurement

TOPIC = "machine"
#: Rows of the square matrices, numbers that stay in the caches, and numbers that do not (64 MiB in float32).
MATRIX, CACHED, LARGE = 1024, 2**17, 2**24


@dataclass(frozen=True)
class Machine:
    """Rates of one thread in float32.

    Attributes:
        flops: floating-point operations in a second, in a matrix product.
        exp_seconds: for one 2^x in place.
        bandwidth: bytes in a second, read and written, in a copy.
    """

    flops: float
    exp_seconds: float
    bandwidth: float


def probes() -> list[Contest]:
    """The three probes."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(MATRIX, MATRIX, generator=generator) for _ in range(2))
    product = torch.empty(MATRIX, MATRIX)
    numbers, powers = torch.rand(CACHED, generator=generator) - 1, torch.empty(CACHED)
    source, target = torch.rand(LARGE, generator=generator), torch.empty(LARGE)
    ways = {
        "matrix product": (lambda _: torch.mm(left, right, out=product), 2 * MATRIX**3),
        "2^x": (lambda _: torch.exp2(numbers, out=powers), CACHED),
        "copy": (lambda _: target.copy_(source), 2 * 4 * LARGE),
    }
    return [Contest(TOPIC, {}, lambda: None, {name: way}, 0.0, count=work) for name, (way, work) in ways.items()]


def machine(measurements: Sequence[Measurement]) -> Machine:
    """The rates from the best rounds of the probes.

    Raises:
        ValueError: naming a probe that is not among the measurements.
    """
    best = {m.way: m.count / min(m.seconds) for m in measurements if m.topic == TOPIC}
    for name in ("matrix product", "2^x", "copy"):
        require(name in best, f"the measurements of the machine lack {name!r}")
    return Machine(best["matrix product"], 1 / best["2^x"], best["copy"])


def floor(num_tokens: int, embed_dim: int, value_dim: int, of: Machine) -> float:
    """The least seconds of a forward pass that visits all N³ scores: 2N³(m + d) operations and N³ exponentials.

    A bound under the assumption that arithmetic does not overlap with exponentials, as on one thread in float32. A form
    that visits unordered pairs does half of it.

    Example:
        >>> floor(10, 3, 1, Machine(flops=8000.0, exp_seconds=0.5, bandwidth=1.0))
        501.0
    """
    scores = num_tokens**3
    return 2 * scores * (embed_dim + value_dim) / of.flops + scores * of.exp_seconds
