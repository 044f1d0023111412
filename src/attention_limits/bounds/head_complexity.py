"""How many heads a Boolean function needs, one layer with a linear read-out: both bounds, with exact certificates.

k heads give Σ A_j/B_j with affine A_j, B_j and B_j > 0 on the cube (`rational_heads`). Times Π B_j this is

    P = Σ_j A_j Π_{l≠j} B_l,

of degree at most k and with the same signs. So a function needs at least as many heads as its sign degree
(VerifiedMechanisms/xorformer, Theorem 6, on GitHub). For k heads on k + 1 bits Σ_x (−1)^{|x|} P(x) = 0, since each
monomial misses a bit (Rajaraman, Sundaram and Tesfaye, 2026, arXiv 2609.04046, Theorem 1).

Where this is not the whole truth: two heads give a P = A_1 B_2 + A_2 B_1, whose coefficients at x_i y_j, for two blocks
of bits x and y, are a matrix of rank at most 4 (xorformer, Theorem 13). And there are only so many sign patterns
(Warren, 1968).

Letters: n bits, k heads, A_j numerators, B_j denominators, P the cleared score.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations, product

from flint import fmpq_mat

from attention_limits.bounds.radon import InvalidCertificateError, to_flint
from attention_limits.bounds.sign_degree import (
    MOST_BITS_LISTED,
    SignDegree,
    alternative,
    cube,
    require_labels,
    sign_degree,
    signed,
)
from attention_limits.constructions.rational_heads import Affine, RationalHead, affine, output, symmetric_heads
from attention_limits.hypotheses import require_integer

#: Denominators of 2 and of 3 heads, found by search, that serve each of the 222 classes of functions of 4 bits whose
#: sign degree is 2 or 3; one head needs none, and four heads compute parity.
DENOMINATORS: dict[int, tuple[tuple[tuple[int, ...], ...], ...]] = {
    1: (((1, 0, 0, 0, 0),),),
    2: (((10, -1, -4, -2, 1), (7, -3, -1, 1, 2)), ((3, 3, 1, 0, -2), (18, -4, -4, -4, -3))),
    3: (((9, -2, -1, 2, -3), (6, 4, -2, 4, -3), (1, 4, 1, 4, 0)),),
}


@dataclass(frozen=True)
class HeadCount:
    """The least number of heads of a function: weights that do it, and the sign degree that excludes fewer."""

    heads: list[RationalHead]
    lower: SignDegree


def computes(heads: Sequence[RationalHead], labels: Sequence[int]) -> bool:
    """Whether the sum of the heads is negative where the label is 1, and positive where it is 0, on all inputs."""
    outputs = (output(heads, bits) for bits in cube(require_labels(labels)))
    return all(value < 0 if label else value > 0 for value, label in zip(outputs, labels, strict=True))


def cleared(heads: Sequence[RationalHead], bits: Sequence[int]) -> Fraction:
    """P(x): the sum of the heads times all their denominators, without dividing."""
    tops = [affine(head.numerator, bits) for head in heads]
    lows = [affine(head.denominator, bits) for head in heads]
    return sum(
        (top * math.prod(low for i, low in enumerate(lows) if i != j) for j, top in enumerate(tops)), Fraction(0)
    )


def alternating_sum(heads: Sequence[RationalHead]) -> Fraction:
    """Σ_x (−1)^{|x|} P(x) over all inputs: exactly 0 for fewer heads than bits, whatever the weights.

    Heads that compute parity give a sum of positive terms.
    """
    return sum(((-1) ** sum(bits) * cleared(heads, bits) for bits in cube(heads[0].num_bits)), Fraction(0))


def heads_with(labels: Sequence[int], denominators: Sequence[Sequence[int | Fraction]]) -> list[RationalHead] | None:
    """Heads with these denominators that compute a function, or None if there are none: decided exactly.

    Raises:
        ValueError: for denominators that are not positive on the cube, or of another length than n + 1.
    """
    num_bits = require_labels(labels)
    lows = [tuple(Fraction(entry) for entry in form) for form in denominators]
    for low in lows:
        RationalHead((Fraction(0),) * (num_bits + 1), low)  # which refuses what is no denominator
    rows = [[Fraction(entry) / affine(low, bits) for low in lows for entry in (1, *bits)] for bits in cube(num_bits)]
    vector, _ = alternative(signed(labels, rows))
    if vector is None:
        return None
    width = num_bits + 1
    return [RationalHead(tuple(vector[j * width : (j + 1) * width]), low) for j, low in enumerate(lows)]


def count_heads(labels: Sequence[int]) -> HeadCount:
    """The least number of heads of a function of at most 4 bits, with certificates: max(1, sign degree).

    Raises:
        ValueError: for more than 4 bits, where the two are known to part somewhere, or labels that are no function's.

    Example: equality of two pairs of bits needs two heads.
        >>> len(count_heads([int(x[:2] == x[2:]) for x in cube(4)]).heads)
        2
    """
    num_bits = require_labels(labels)
    if num_bits > MOST_BITS_LISTED:
        raise ValueError(f"heads are counted for n ≤ {MOST_BITS_LISTED} bits, got n = {num_bits}")
    lower = sign_degree(labels)
    wanted = max(1, lower.degree)
    if wanted == num_bits > 1:  # parity or its negation
        levels = [labels[2**ones - 1] for ones in range(num_bits + 1)]
        return HeadCount(_checked(symmetric_heads(levels), labels), lower)
    for denominators in DENOMINATORS[wanted]:
        for moved in _moved([form[: num_bits + 1] for form in denominators]):
            heads = heads_with(labels, moved)
            if heads is not None:
                return HeadCount(_checked(heads, labels), lower)
    raise InvalidCertificateError(f"no denominators of the list give {wanted} heads for {tuple(labels)}")


def _moved(denominators: Sequence[Sequence[int]]) -> Iterator[list[list[int]]]:
    """The denominators with places permuted and bits negated, themselves first."""
    places = range(len(denominators[0]) - 1)
    for order, flips in product(permutations(places), cube(len(places))):
        yield [
            [form[0] + sum(form[1 + i] for i in places if flips[i])]
            + [-form[1 + order[i]] if flips[order[i]] else form[1 + order[i]] for i in places]
            for form in denominators
        ]


def _checked(heads: list[RationalHead], labels: Sequence[int]) -> list[RationalHead]:
    if not computes(heads, labels):
        raise InvalidCertificateError(f"{len(heads)} heads do not compute {tuple(labels)}")
    return heads


def mixed_rank(form: Sequence[Sequence[int | Fraction]]) -> int:
    """The rank, over the rationals, of the coefficients of a quadratic polynomial at x_i y_j."""
    return int(fmpq_mat([[to_flint(Fraction(entry)) for entry in row] for row in form]).rank())


def two_head_form(first: RationalHead, second: RationalHead, block: int) -> list[list[Fraction]]:
    """The coefficients of P = A_1 B_2 + A_2 B_1 at x_i y_j; x are the first ``block`` bits, y the others.

    Their rank is at most 4: each product of affine forms gives two matrices of rank 1.
    """
    parts = ((first.numerator, second.denominator), (second.numerator, first.denominator))
    return [[_mixed(parts, 1 + i, 1 + block + j) for j in range(first.num_bits - block)] for i in range(block)]


def _mixed(parts: Sequence[tuple[Affine, Affine]], i: int, j: int) -> Fraction:
    return sum((left[i] * right[j] + left[j] * right[i] for left, right in parts), Fraction(0))


def ten_bit_score(bits: Sequence[int]) -> int:
    """Q = (Σ x_i)(Σ y_i) − 3 Σ x_i y_i with x, y ∈ {−1, 1}⁵, a bit 1 standing for −1 (xorformer, Theorem 13).

    Q ≡ 2 modulo 4. The function that is 1 where Q < 0 has sign degree 2, and two heads do not compute it.
    """
    signs = [1 - 2 * bit for bit in bits]
    x, y = signs[:5], signs[5:]
    return sum(x) * sum(y) - 3 * sum(a * b for a, b in zip(x, y, strict=True))


def patterns_suffice(num_bits: int, num_heads: int) -> bool:
    """Whether Warren's bound leaves k heads enough sign patterns for all 2^(2ⁿ) functions, decided in integers.

    With B_j(0) = 1 there are v = (2n + 1)k parameters, and 2ⁿ polynomials of degree k in them: at most
    (4ek2ⁿ/v)^v = (4e2ⁿ/(2n + 1))^v sign patterns occur. Where they don't suffice, some function needs more heads.

    Raises:
        ValueError: unless n ≥ 1 and k ≥ 1.

    Example: some function of 12 bits needs more than 12 heads.
        >>> patterns_suffice(11, 11), patterns_suffice(12, 12)
        (True, False)
    """
    require_integer("num_bits", num_bits, 1)
    require_integer("num_heads", num_heads, 1)
    inputs, parameters = 2**num_bits, (2 * num_bits + 1) * num_heads
    if inputs < parameters:  # Warren's theorem needs as many polynomials as variables
        return True
    base = 4 * Fraction(27183, 10000) * inputs / (2 * num_bits + 1)  # e < 2.7183
    return base.numerator**parameters >= 2**inputs * base.denominator**parameters
