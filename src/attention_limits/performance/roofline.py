"""What this machine can do at best, and the least time of third-order attention that follows.

Three probes are run as contests with a single way: the product of two matrices, 2^x, and the copy of a large array.
Their ``count`` is the work of one call, so that count over seconds is a rate; the best round counts.

Letters: N tokens, m = embed_dim, d = value_dim.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attention_limits.performance.contests import Contest, Measurement, Way

TOPIC = "machine"
#: Rows of the square matrices, numbers that stay in the caches, and numbers that do not (64 MiB in float32).
MATRIX, CACHED, LARGE = 1024, 2**17, 2**24


@dataclass(frozen=True)
class MachineRates:
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
    """The three probes, each with the work of one call as its count."""
    return [
        _probe("matrix product", _matrices, lambda x: torch.mm(x[0], x[1], out=x[2]), 2 * MATRIX**3),
        _probe("2^x", _exponents, lambda x: torch.exp2(x[0], out=x[1]), CACHED),
        _probe("copy", _arrays, lambda x: x[1].copy_(x[0]), 2 * 4 * LARGE),
    ]


def _probe(name: str, draw: Callable[[], list[Tensor]], way: Way, work: int) -> Contest:
    return Contest(TOPIC, {}, draw, {name: way}, tolerance=0.0, count=work)


def _matrices() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(MATRIX, MATRIX, generator=generator) for _ in range(3)]


def _exponents() -> list[Tensor]:
    numbers = torch.rand(CACHED, generator=torch.Generator().manual_seed(0)) - 1
    return [numbers, torch.empty_like(numbers)]


def _arrays() -> list[Tensor]:
    return [torch.ones(LARGE), torch.zeros(LARGE)]


def machine_rates(measurements: Sequence[Measurement]) -> MachineRates:
    """The rates from the best rounds of the probes.

    Raises:
        ValueError: naming a probe that is not among the measurements.
    """
    best = {m.way: m.count / min(m.seconds) for m in measurements if m.topic == TOPIC}
    for name in ("matrix product", "2^x", "copy"):
        if name not in best:
            raise ValueError(f"the measurements of the machine lack {name!r}")
    return MachineRates(best["matrix product"], 1 / best["2^x"], best["copy"])


def floor(num_tokens: int, embed_dim: int, value_dim: int, of: MachineRates) -> float:
    """The least seconds of a forward pass that visits all N³ scores: 2N³(m + d) operations and N³ exponentials.

    A bound under the assumption that arithmetic does not overlap with exponentials, as on one thread in float32. A form
    that visits unordered pairs does half of it.

    Example:
        >>> floor(10, 3, 1, MachineRates(flops=8000.0, exp_seconds=0.5, bandwidth=1.0))
        501.0
    """
    scores = num_tokens**3
    return 2 * scores * (embed_dim + value_dim) / of.flops + scores * of.exp_seconds
