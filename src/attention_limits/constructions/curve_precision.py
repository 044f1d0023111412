"""How many bits the queries of Theorem 3 need: their size at unit margin, formats that are enough, errors in floats.

Letters as in `attention_limits.constructions.curves`; ε = accuracy, α = softmax_scale(N, q, ε, score_error=ε/2), M the
largest entry of a query of unit margin, R = αM.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.constructions.averaging_unit import softmax_scale
from attention_limits.constructions.curves import (
    largest_query_entry,
    moment_certificates,
    trigonometric_queries,
)
from attention_limits.problems.sparse_averaging import worst_case_error


def chebyshev_nodes(num_tokens: int) -> Float[Tensor, " tokens"]:
    """cos(π(j + ½)/N), the zeros of the N-th Chebyshev polynomial: dense near −1 and 1."""
    return torch.cos(math.pi * (torch.arange(num_tokens, dtype=torch.float64) + 0.5) / num_tokens)


def moment_entry_bits(nodes: Float[Tensor, " tokens"], subsets: Int[Tensor, "subsets sparsity"]) -> float:
    """log₂ of the largest entry of a query of unit margin on the moment curve, over ``subsets``."""
    return math.log2(moment_certificates(nodes, subsets).abs().max().item())


def trigonometric_entry_bits(num_tokens: int, subsets: Int[Tensor, "subsets sparsity"]) -> float:
    """log₂ of the largest √(a² + b²) over ``subsets`` and frequencies, a and b the entries at cos kθ and sin kθ.

    Turning a subset turns (a, b): this is the largest entry over all turns, up to the distance of the nodes.
    """
    queries = trigonometric_queries(num_tokens, subsets)
    cosine, sine = queries.chunk(2, dim=1)
    return math.log2(torch.hypot(cosine, sine).max().item())


class SufficientBits(NamedTuple):
    """Fixed-point bits with which the trigonometric unit is within ε, with proof; see `sufficient_bits`."""

    query_integer_bits: int
    query_fraction_bits: int
    key_fraction_bits: int

    @property
    def bits(self) -> int:
        """p, enough for every number: sign, integer and fractional bits; a key needs one integer bit."""
        return 1 + max(self.query_integer_bits + self.query_fraction_bits, 1 + self.key_fraction_bits)


def sufficient_bits(num_tokens: int, sparsity: int, accuracy: float) -> SufficientBits:
    """Bits that are enough for queries and keys of the trigonometric unit, for all q-subsets; q < N.

    With f fractional bits of the query's entries and g of the keys', a score of 2q products moves by at most
    2q (2^{−f−1} + R 2^{−g−1}): f = ⌈log₂(4q/ε)⌉ and g = ⌈log₂(4qR/ε)⌉ keep that within ε/2, for which α is chosen.
    """
    largest = _largest_scaled_entry(num_tokens, sparsity, accuracy)
    return SufficientBits(
        query_integer_bits=math.ceil(math.log2(largest + 1)),
        query_fraction_bits=math.ceil(math.log2(4 * sparsity / accuracy)),
        key_fraction_bits=max(0, math.ceil(math.log2(4 * sparsity / accuracy) + math.log2(max(largest, 1)))),
    )


def significand_bits(num_tokens: int, sparsity: int, accuracy: float) -> int:
    """Bits of a floating-point significand that are enough for the scores of the trigonometric unit, all q-subsets.

    With t bits, u = 2^{−t}, rounding keys and queries and summing 2q products moves a score by at most about
    (2q + 3) u · 2q R; t = ⌈log₂(4q (2q + 3) R/ε)⌉ keeps that within ε/2. The softmax's own rounding is left out.
    """
    largest = _largest_scaled_entry(num_tokens, sparsity, accuracy)
    return max(1, math.ceil(math.log2(4 * sparsity * (2 * sparsity + 3) / accuracy) + math.log2(max(largest, 1))))


def _largest_scaled_entry(num_tokens: int, sparsity: int, accuracy: float) -> float:
    """R = αM."""
    scale = softmax_scale(num_tokens, sparsity, accuracy, score_error=accuracy / 2)
    return scale * largest_query_entry(num_tokens, sparsity)


def largest_error(
    keys: Float[Tensor, "tokens embed_dim"],
    queries: Float[Tensor, "subsets embed_dim"],
    subsets: Int[Tensor, "subsets sparsity"],
    dtype: torch.dtype = torch.float64,
) -> float:
    """The worst error over all values and all ``subsets``, with keys and queries rounded to ``dtype``.

    Scores that are not finite count as the error 2, the largest that there is.
    """
    attention = torch.softmax(queries.to(dtype) @ keys.to(dtype).T, dim=-1)
    return worst_case_error(attention, subsets).nan_to_num(nan=2.0).max().item()
