"""A contest between forms of Strassen attention: all pairs, matrix products, and third-order attention with 3m.

Letters: N tokens, m = embed_dim, d = value_dim.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from attention_limits.models.strassen_attention import as_third_order, by_products, over_pairs, pair_scores
from attention_limits.models.tensor_attention import tensor_attention
from attention_limits.performance.contests import Contest

#: m and d.
SIZES = (16, 2)
#: float64, relative to the largest entry: N² terms of one sign in the weights, each way in another order.
TOLERANCE = 1e-12


class Inputs(NamedTuple):
    """The five vectors of each token."""

    query: Float[Tensor, "tokens embed"]
    first_key: Float[Tensor, "tokens embed"]
    second_key: Float[Tensor, "tokens embed"]
    first_value: Float[Tensor, "tokens value_dim"]
    second_value: Float[Tensor, "tokens value_dim"]


def strassen_inputs(num_tokens: int, embed_dim: int, value_dim: int, seed: int) -> Inputs:
    """Normal vectors in float64; each of the three scores has the standard deviation 1."""
    generator = torch.Generator().manual_seed(seed)

    def normal(width: int) -> Tensor:
        return torch.randn(num_tokens, width, generator=generator, dtype=torch.float64)

    query, first, second = (normal(embed_dim) / embed_dim**0.25 for _ in range(3))
    return Inputs(query, first, second, normal(value_dim), normal(value_dim))


def all_pairs(inputs: Inputs) -> Tensor:
    """The definition."""
    return over_pairs(pair_scores(*inputs[:3]), *inputs[3:])


def matrix_products(inputs: Inputs) -> Tensor:
    """Exponentials of 3 N² scores, and products of matrices."""
    return by_products(pair_scores(*inputs[:3]), *inputs[3:])


def third_order(inputs: Inputs) -> Tensor:
    """This package's third-order attention, streamed, with 3m coordinates."""
    query, keys = as_third_order(*inputs[:3])
    return tensor_attention(query, keys, inputs[3:])


def strassen_contests(token_grid: Sequence[int], seed: int) -> list[Contest]:
    """The three forms at every N of the grid, forward, (m, d) as in `SIZES`."""
    embed_dim, value_dim = SIZES
    return [
        Contest(
            "Strassen attention",
            {"N": num_tokens, "m": embed_dim, "d": value_dim},
            partial(strassen_inputs, num_tokens, embed_dim, value_dim, seed),
            {"all pairs": all_pairs, "matrix products": matrix_products, "third order": third_order},
            TOLERANCE,
        )
        for num_tokens in token_grid
    ]
