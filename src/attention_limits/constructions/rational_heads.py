"""Attention heads in rational numbers: what k heads with a linear read-out compute, exactly.

The input is x ∈ {0, 1}ⁿ, a token (bit, place) each, and one more token "?", where the output is read. Each bit at each
place has its own key and its own value (the *joint* model of Rajaraman, Sundaram and Tesfaye, 2026, arXiv 2609.04046;
the lemma is their scalar normal form). The query of "?" does not depend on x. So a head has weights r > 0, the
exponentials of its scores, and values u, which the read-out has made numbers:

    head(x) = (r_? u_? + Σ_i r_{x_i,i} u_{x_i,i}) / (r_? + Σ_i r_{x_i,i}).

Both sums are affine in x. Conversely, each quotient of affine functions A/B with B > 0 on the cube is a head: let
r_{1,i} − r_{0,i} be the slope of B at x_i, with the smaller of the two just above 0, and give "?" what is left of B(0);
the values then follow from A. `RationalHead` is the quotient, `HeadWeights` the head.

Letters: n bits, k heads, c = |x| the number of ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.models.attention import MultiHeadAttention, SelfAttentionUnit

#: a_0 + Σ a_i x_i as (a_0, a_1, …, a_n).
Affine = tuple[Fraction, ...]


@dataclass(frozen=True)
class HeadWeights:
    """A head by its weights and values, of the bits 0 and 1 at each place and of "?".

    Raises:
        ValueError: unless all weights are positive, and n ≥ 1 places have two weights and two values each.
    """

    weights: tuple[tuple[Fraction, Fraction], ...]
    values: tuple[tuple[Fraction, Fraction], ...]
    query_weight: Fraction
    query_value: Fraction

    def __post_init__(self) -> None:
        if not 1 <= len(self.weights) == len(self.values):
            raise ValueError(
                f"n ≥ 1 places need as many weights as values, got {len(self.weights)}, {len(self.values)}"
            )
        least = min(self.query_weight, *(weight for pair in self.weights for weight in pair))
        if least <= 0:
            raise ValueError(f"weights of a softmax are positive, got {least}")

    def output(self, bits: Sequence[int]) -> Fraction:
        """The mean of the values under the softmax, exactly."""
        shares = [pair[bit] for pair, bit in zip(self.weights, bits, strict=True)]
        sums = (share * pair[bit] for share, pair, bit in zip(shares, self.values, bits, strict=True))
        return (self.query_weight * self.query_value + sum(sums)) / (self.query_weight + sum(shares))

    @property
    def largest_value(self) -> Fraction:
        """The largest |u|."""
        return max(abs(self.query_value), *(abs(value) for pair in self.values for value in pair))


@dataclass(frozen=True)
class RationalHead:
    """A head as a quotient of affine functions, the lower one positive on the cube.

    Raises:
        ValueError: for a denominator that is not positive on {0, 1}ⁿ, n ≥ 1, or a numerator of another length.
    """

    numerator: Affine
    denominator: Affine

    def __post_init__(self) -> None:
        if not 2 <= len(self.numerator) == len(self.denominator):
            raise ValueError(
                f"numerator and denominator need n + 1 ≥ 2 numbers each, got {len(self.numerator)}, "
                f"{len(self.denominator)}"
            )
        if self.least_denominator <= 0:
            raise ValueError(f"a denominator must be positive on the cube, its least value is {self.least_denominator}")

    @property
    def num_bits(self) -> int:
        """n."""
        return len(self.denominator) - 1

    @property
    def least_denominator(self) -> Fraction:
        """The least value of the denominator on the cube."""
        return self.denominator[0] + sum(min(slope, Fraction(0)) for slope in self.denominator[1:])

    def output(self, bits: Sequence[int]) -> Fraction:
        """A(x)/B(x)."""
        return affine(self.numerator, bits) / affine(self.denominator, bits)

    def to_weights(self) -> HeadWeights:
        """The same head by weights and values: half of the denominator's least value goes to "?"."""
        spare = self.least_denominator / 2
        low = [max(-slope, Fraction(0)) + spare / self.num_bits for slope in self.denominator[1:]]
        weights = tuple((weight, weight + slope) for weight, slope in zip(low, self.denominator[1:], strict=True))
        values = tuple((Fraction(0), slope / pair[1]) for slope, pair in zip(self.numerator[1:], weights, strict=True))
        return HeadWeights(weights, values, spare, self.numerator[0] / spare)

    @classmethod
    def from_weights(cls, head: HeadWeights) -> "RationalHead":
        """The quotient that a head computes."""
        products = [
            (weights[0] * values[0], weights[1] * values[1])
            for weights, values in zip(head.weights, head.values, strict=True)
        ]
        numerator = (head.query_weight * head.query_value + sum(zero for zero, _ in products),)
        denominator = (head.query_weight + sum(zero for zero, _ in head.weights),)
        return cls(
            (*numerator, *(one - zero for zero, one in products)),
            (*denominator, *(one - zero for zero, one in head.weights)),
        )


def affine(form: Affine, bits: Sequence[int]) -> Fraction:
    """a_0 + Σ a_i x_i."""
    return form[0] + sum(slope for slope, bit in zip(form[1:], bits, strict=True) if bit)


def output(heads: Sequence[RationalHead], bits: Sequence[int]) -> Fraction:
    """What the read-out sees: the sum of the heads. Its sign is the answer, negative for 1."""
    return sum((head.output(bits) for head in heads), Fraction(0))


def sign_changes(levels: Sequence[int]) -> list[int]:
    """The c for which a symmetric function changes between c and c + 1 ones.

    Args:
        levels: the n + 1 labels, 0 or 1, of inputs with 0, …, n ones.
    """
    return [ones for ones, (label, following) in enumerate(pairwise(levels)) if label != following]


def symmetric_heads(levels: Sequence[int], poles: Sequence[Fraction | int] | None = None) -> list[RationalHead]:
    """max(1, t) heads for a symmetric function with t sign changes.

    With P(c) = ± Π (c_l + ½ − c) over the changes, P(c)/Π |c − p_j| has the right signs, and is a constant plus
    Σ R_j/|c − p_j|; the first head takes the constant too.

    Args:
        levels: the n + 1 labels by the number of ones, n ≥ 1.
        poles: t different numbers outside [0, n]; −1, …, −t unless given, as in arXiv 2609.04046.

    Raises:
        ValueError: for labels other than 0 and 1, no bits, or other poles.

    Example: exclusive or, by two heads.
        >>> [[output(symmetric_heads([0, 1, 0]), (a, b)) > 0 for b in (0, 1)] for a in (0, 1)]
        [[True, False], [False, True]]
    """
    num_bits, changes = len(levels) - 1, sign_changes(levels)
    if num_bits < 1 or not set(levels) <= {0, 1}:
        raise ValueError(f"a symmetric function has n + 1 ≥ 2 labels, each 0 or 1, got {list(levels)}")
    sign = -1 if levels[0] else 1
    if not changes:
        return [
            RationalHead(_in_ones(Fraction(sign), Fraction(0), num_bits), _in_ones(Fraction(1), Fraction(0), num_bits))
        ]
    at = [Fraction(pole) for pole in (range(-1, -len(changes) - 1, -1) if poles is None else poles)]
    if len(set(at)) != len(changes) or len(at) != len(changes) or any(0 <= pole <= num_bits for pole in at):
        raise ValueError(
            f"{len(changes)} sign changes need as many different poles outside [0, {num_bits}], got "
            f"{[str(pole) for pole in at]}"
        )
    sides = [1 if pole < 0 else -1 for pole in at]  # |c − p| = ±(c − p) on the cube
    constant = Fraction(sign * (-1) ** len(changes) * math.prod(sides))
    heads = []
    for j, (pole, side) in enumerate(zip(at, sides, strict=True)):
        others = math.prod(
            (s * (pole - p) for i, (p, s) in enumerate(zip(at, sides, strict=True)) if i != j), start=Fraction(1)
        )
        residue = math.prod((ones + Fraction(1, 2) - pole for ones in changes), start=Fraction(sign)) / others
        shared = constant if j == 0 else Fraction(0)
        heads.append(
            RationalHead(
                _in_ones(residue - shared * side * pole, shared * side, num_bits),
                _in_ones(-side * pole, Fraction(side), num_bits),
            )
        )
    return heads


def _in_ones(constant: Fraction, slope: Fraction, num_bits: int) -> Affine:
    """Constant + slope · c."""
    return (constant, *([slope] * num_bits))


def bit_tokens(bits: Int[Tensor, "batch bits"]) -> Float[Tensor, "batch tokens model_dim"]:
    """The tokens of `attention_layer`, "?" last: a coordinate of its own for each bit at each place, 2n + 1 in all."""
    num_bits = bits.shape[1]
    chosen = torch.cat([2 * torch.arange(num_bits) + bits, torch.full((len(bits), 1), 2 * num_bits)], dim=1)
    return torch.nn.functional.one_hot(chosen, 2 * num_bits + 1).double()


def attention_layer(heads: Sequence[HeadWeights]) -> MultiHeadAttention:
    """The heads as a real softmax layer in float64 (Definition 2), with m = d' = 1: a score is ln r, a value u."""
    units = []
    for head in heads:
        weights = [*(weight for pair in head.weights for weight in pair), head.query_weight]
        values = [*(value for pair in head.values for value in pair), head.query_value]
        query = torch.zeros(len(weights), 1, dtype=torch.float64)
        query[-1] = 1.0
        # ln of a fraction as a difference: the fraction itself may be too small or too large for a float.
        key = torch.tensor([[math.log(w.numerator) - math.log(w.denominator)] for w in weights], dtype=torch.float64)
        value = torch.tensor([[float(u)] for u in values], dtype=torch.float64)
        units.append(SelfAttentionUnit.from_matrices(query, key, value))
    return MultiHeadAttention(units)
