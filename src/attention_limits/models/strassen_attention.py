"""Strassen attention: a query looks at all pairs of tokens, and a pair's score is a sum of three scores of two tokens.

a_i = Σ_{j,k} softmax_{j,k}(f_i·g_j + g_j·h_k + h_k·f_i) (v_j ∘ w_k), ∘ entry by entry (Kozachinskiy and others, 2025).
There the score is divided by √m; here it is not, as in Definition 1 of the paper.

`over_pairs` is written to be read and goes through all N³ scores. `by_products` needs exponentials of 3 N² numbers and
products of N × N matrices, and refuses scores that are too large for it.

Letters: N tokens, m = embed, d = value_dim; f, g, h = query, first_key, second_key; v, w = first_value, second_value.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


class PairScores(NamedTuple):
    """The three tables of which a score is the sum: alpha[i, j] + beta[j, k] + gamma[k, i]."""

    alpha: Shaped[Tensor, "*batch tokens tokens"]
    beta: Shaped[Tensor, "*batch tokens tokens"]
    gamma: Shaped[Tensor, "*batch tokens tokens"]


def pair_scores(
    query: Float[Tensor, "*batch tokens embed"],
    first_key: Float[Tensor, "*batch tokens embed"],
    second_key: Float[Tensor, "*batch tokens embed"],
) -> PairScores:
    """f_i·g_j, g_j·h_k and h_k·f_i."""
    return PairScores(query @ first_key.mT, first_key @ second_key.mT, second_key @ query.mT)


def over_pairs(
    scores: PairScores,
    first_value: Float[Tensor, "*batch tokens value_dim"],
    second_value: Float[Tensor, "*batch tokens value_dim"],
) -> Float[Tensor, "*batch tokens value_dim"]:
    """The definition, a query after the other: N² scores are held at a time. No score is too large.

    Raises:
        ValueError: for a score that is not finite.

    Example: all scores are equal, so that the output is the mean of v times the mean of w.
        >>> flat = PairScores(*torch.zeros(3, 2, 2))
        >>> over_pairs(flat, torch.tensor([[1.0], [3.0]]), torch.tensor([[4.0], [6.0]])).flatten()
        tensor([10., 10.])
    """
    _require_finite(scores)
    outputs = []
    for place in range(first_value.shape[-2]):
        table = scores.alpha[..., place, :, None] + scores.beta + scores.gamma[..., None, :, place]
        weights = torch.softmax(table.flatten(-2), dim=-1).unflatten(-1, table.shape[-2:])
        outputs.append(torch.einsum("...jk,...jd,...kd->...d", weights, first_value, second_value))
    return torch.stack(outputs, dim=-2)


def by_products(
    scores: PairScores,
    first_value: Float[Tensor, "*batch tokens value_dim"],
    second_value: Float[Tensor, "*batch tokens value_dim"],
) -> Float[Tensor, "*batch tokens value_dim"]:
    """The same by matrix products (their Theorem 4.1), for scores that are small enough.

    With X, Y, Z the exponentials of alpha, beta, gamma it is (X diag(v) Y diag(w) Z)_ii / (X Y Z)_ii for each
    coordinate of the values.

    The largest entries of each row of alpha, of beta and of each column of gamma are subtracted first: that changes no
    softmax, and no exponential is above 1. What is below the smallest normal number η may be lost, which is at most
    8 N² η of (X Y Z)_ii and, relative to the largest values, of the numerator. So (X Y Z)_ii ≥ 8 N² η/ε is asked for,
    and then this costs no more than one rounding.

    Raises:
        ValueError: for a score that is not finite; for a query whose pairs all weigh less than that, naming its place,
            how many nats it lies below the largest entries, and how many the format leaves.
    """
    _require_finite(scores)
    alpha, beta, gamma = scores
    left = (alpha - alpha.amax(dim=-1, keepdim=True)).exp()
    middle = (beta - beta.amax(dim=(-2, -1), keepdim=True)).exp()
    right = (gamma - gamma.amax(dim=-2, keepdim=True)).exp().mT
    scales = [value.abs().amax(dim=-2, keepdim=True) for value in (first_value, second_value)]
    first, second = (
        torch.cat([torch.ones_like(value[..., :1]), value / scale.clamp(min=torch.finfo(scale.dtype).tiny)], dim=-1)
        for value, scale in zip((first_value, second_value), scales, strict=True)
    )
    # Coordinate 0 has the values 1: it is the denominator. Rows are (…, coordinate, i, j), then (…, coordinate, i, k).
    sums = (left.unsqueeze(-3) * first.mT.unsqueeze(-2)) @ middle.unsqueeze(-3)
    sums = (sums * (right.unsqueeze(-3) * second.mT.unsqueeze(-2))).sum(dim=-1).mT
    weight, numerator = sums[..., :1], sums[..., 1:]
    room = product_room(alpha.dtype, alpha.shape[-1])
    lost = (~(weight[..., 0] >= math.exp(-room))).nonzero()
    if len(lost):
        place = tuple(lost[0].tolist())
        raise ValueError(
            f"query {place}: its pairs lie {shortfall(scores)[place].item():.1f} nats below the product of "
            f"the largest exponentials, and {alpha.dtype} leaves {room:.1f} at N = {alpha.shape[-1]}; go over all pairs"
        )
    return numerator / weight * scales[0] * scales[1]


def shortfall(scores: PairScores) -> Float[Tensor, "*batch tokens"]:
    """How many nats a query's pairs, all together, lie below the largest entries that `by_products` subtracts.

    Example: query 0 reaches two pairs, which score 0, and the largest entries are 0, 7 and 0.
        >>> tables = torch.zeros(3, 2, 2)
        >>> tables[0, 0, 1], tables[1, 1, 1] = -1000.0, 7.0
        >>> round(shortfall(PairScores(*tables))[0].item() + math.log(2), 4)
        7.0
    """
    alpha, beta, gamma = scores
    largest = alpha.amax(dim=-1) + beta.amax(dim=(-2, -1)).unsqueeze(-1) + gamma.amax(dim=-2)
    pairs = [
        (alpha[..., query, :, None] + beta + gamma[..., None, :, query]).flatten(-2).logsumexp(dim=-1)
        for query in range(alpha.shape[-1])
    ]
    return largest - torch.stack(pairs, dim=-1)


def product_room(dtype: torch.dtype, num_tokens: int) -> float:
    """ln(ε/η) − ln(8 N²): how many nats a query's pairs may lie below the largest entries in `by_products`."""
    limits = torch.finfo(dtype)
    return math.log(limits.eps) - math.log(limits.tiny) - math.log(8 * num_tokens**2)


class ThirdOrder(NamedTuple):
    """Query and keys of third-order attention, as `tensor_attention` takes them."""

    query: Float[Tensor, "*batch tokens embed"]
    keys: tuple[Float[Tensor, "*batch tokens embed"], Float[Tensor, "*batch tokens embed"]]


def as_third_order(
    query: Float[Tensor, "*batch tokens embed"],
    first_key: Float[Tensor, "*batch tokens embed"],
    second_key: Float[Tensor, "*batch tokens embed"],
) -> ThirdOrder:
    """The same scores as sums of products of three: (f, 1, f), (g, g, 1) and (1, h, h), so 3m coordinates.

    Example:
        >>> as_third_order(*torch.ones(3, 5, 4)).query.shape
        torch.Size([5, 12])
    """
    one = torch.ones_like(query)
    return ThirdOrder(
        torch.cat([query, one, query], dim=-1),
        (torch.cat([first_key, first_key, one], dim=-1), torch.cat([one, second_key, second_key], dim=-1)),
    )


def _require_finite(scores: PairScores) -> None:
    for name, table in scores._asdict().items():
        bad = (~table.isfinite()).nonzero()
        if len(bad):
            place = tuple(bad[0].tolist())
            raise ValueError(f"{name} must be finite, got {table[place].item()} at {place}")
