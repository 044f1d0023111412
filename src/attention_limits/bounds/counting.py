"""Counting: a token that is to ask for any q-subset must be able to tell the subsets apart, in log₂ C(N, q) bits.

If f ε-approximates sparse averaging, then two subsets with |y ∖ y'| > εq can't give token i the same content φ(x_i):
for the values of `separating_values` their averages are 2|y ∖ y'|/q > 2ε apart. For ε < 1/q that is any two subsets;
for larger ε it is any two members of a packing. Integers and fractions, except where a float is asked for.

Letters: N = num_tokens, q = sparsity, ε = accuracy, B bits of φ(x_i).
"""

import math
from collections.abc import Iterable
from fractions import Fraction

import torch
from jaxtyping import Float
from torch import Tensor

from attention_limits.hypotheses import require_accuracy, require_integer, require_sparse_averaging


def least_bits(count: int) -> int:
    """The least B with 2^B ≥ ``count``, that is ⌈log₂ count⌉, in integers: the bits that tell ``count`` things apart.

    Example:
        >>> [least_bits(count) for count in (1, 2, 3, 4, 5)]
        [0, 1, 2, 2, 3]
    """
    require_integer("count", count, 1)
    return (count - 1).bit_length()


def ball_size(num_tokens: int, sparsity: int, radius: int) -> int:
    """The q-subsets y' with |y ∖ y'| ≤ ``radius`` around any one y: Σ_{j ≤ radius} C(q, j) C(N−q, j)."""
    require_sparse_averaging(num_tokens, sparsity, 1)
    require_integer("radius", radius, 0)
    return sum(math.comb(sparsity, j) * math.comb(num_tokens - sparsity, j) for j in range(min(radius, sparsity) + 1))


def guaranteed_packing(num_tokens: int, sparsity: int, accuracy: float | Fraction) -> int:
    """⌈C(N, q) / ball⌉: so many q-subsets exist that differ pairwise in more than εq elements, at least.

    A packing that can't be enlarged covers all subsets with its balls of radius ⌊εq⌋. For ε < 1/q these are single
    points and the number is C(N, q). A float ε is taken for the binary fraction that it is.
    """
    require_sparse_averaging(num_tokens, sparsity, 1)
    require_accuracy(float(accuracy))
    ball = ball_size(num_tokens, sparsity, math.floor(Fraction(accuracy) * sparsity))
    return -(-math.comb(num_tokens, sparsity) // ball)


def required_bits(num_tokens: int, sparsity: int, accuracy: float | Fraction) -> int:
    """The bits that φ(x_i) must have for some f to ε-approximate sparse averaging, 0 < ε < 1: ⌈log₂ of the packing⌉.

    Example: ε = 1/4 < 1/q tells all C(7, 3) = 35 subsets apart.
        >>> required_bits(7, 3, Fraction(1, 4))
        6
    """
    return least_bits(guaranteed_packing(num_tokens, sparsity, accuracy))


def log2(number: int | Fraction) -> float:
    """log₂ of a positive integer or fraction of any size, as a float, for plots and tables."""
    exact = Fraction(number)
    if not exact > 0:
        raise ValueError(f"log₂ needs a positive number, got {number}")
    return math.log2(exact.numerator) - math.log2(exact.denominator)


def greedy_packing(subsets: Iterable[Iterable[int]], accuracy: float | Fraction) -> list[frozenset[int]]:
    """Take each of these q-subsets in turn unless it is within ε q of one taken before: |y ∖ y'| > εq for any two."""
    limit = Fraction(accuracy)
    taken: list[frozenset[int]] = []
    for subset in map(frozenset, subsets):
        if all(len(subset - other) > limit * len(subset) for other in taken):
            taken.append(subset)
    return taken


def separating_values(
    first: Iterable[int], second: Iterable[int], *, num_tokens: int, own_token: int, value_dim: int = 1
) -> Float[Tensor, "tokens value_dim"]:
    """Values under which the averages over two q-subsets are 2|y ∖ y'|/q apart, the own token's being e₁ always.

    One of the differences y ∖ y' and y' ∖ y has the value e₁, the other −e₁, all other tokens 0. The own token's value
    is part of φ(x_i), so it must not depend on the two: it is e₁, and if it lies in a difference, that one gets e₁.
    """
    y, other = set(first), set(second)
    if not len(y) == len(other) > 0:
        raise ValueError(f"two subsets of one size q ≥ 1 are needed, got sizes {len(y)} and {len(other)}")
    tokens = y | other | {own_token}
    if not (min(tokens) >= 0 and max(tokens) < num_tokens):
        raise ValueError(f"tokens must lie in 0…{num_tokens - 1}, got {sorted(tokens)}")
    plus, minus = (other - y, y - other) if own_token in other - y else (y - other, other - y)
    values = torch.zeros(num_tokens, value_dim, dtype=torch.float64)
    values[sorted(plus | {own_token}), 0] = 1.0
    values[sorted(minus), 0] = -1.0
    return values
