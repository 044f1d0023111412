"""Sign degree (threshold degree) of Boolean functions, with certificates that are checked in exact arithmetic.

A polynomial p *sign-represents* f: {0, 1}ⁿ → {0, 1} if p > 0 where f = 0, and p < 0 where f = 1. The least degree of
such a p is the sign degree of f. By Gordan's theorem f has none of degree d if and only if there are multipliers
ν ≥ 0, not all 0, with Σ_x ν_x (−1)^{f(x)} x^S = 0 for all |S| ≤ d: summed with ν_x (−1)^{f(x)} every polynomial of
degree d gives 0, and one that sign-represents f would give more.

Letters: n bits; a function is its 2ⁿ labels, inputs in the order of ``itertools.product``; S a set of places.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, permutations, product

import numpy as np
from flint import fmpq_mat

from attention_limits.bounds.polytopes import gordan_guesses
from attention_limits.bounds.radon import InvalidCertificateError, Vector, to_flint, to_fraction

Labels = tuple[int, ...]
Rows = Sequence[Sequence[Fraction | int]]

#: Up to this n all functions are listed by class: 2^(2ⁿ) of them.
MOST_BITS_LISTED = 4


@dataclass(frozen=True)
class SignDegree:
    """The sign degree of a function, with both certificates.

    Attributes:
        polynomial: coefficients of the monomials of degree at most ``degree``, as `monomials` lists them.
        multipliers: ν, which excludes degree − 1; None for degree 0.
    """

    degree: int
    polynomial: Vector
    multipliers: Vector | None


def cube(num_bits: int) -> list[tuple[int, ...]]:
    """All inputs, the last bit running fastest."""
    return list(product((0, 1), repeat=num_bits))


def require_labels(labels: Sequence[int]) -> int:
    """The n of a function with 2ⁿ labels, n ≥ 1.

    Raises:
        ValueError: for another number of labels, or labels other than 0 and 1.
    """
    num_bits = len(labels).bit_length() - 1
    if num_bits < 1 or len(labels) != 2**num_bits or not set(labels) <= {0, 1}:
        raise ValueError(f"a function has 2^n labels, n ≥ 1, each 0 or 1, got {len(labels)}: {set(labels)}")
    return num_bits


def monomials(num_bits: int, degree: int) -> list[list[int]]:
    """x^S for all |S| ≤ degree, a row for each input."""
    places = [place for size in range(degree + 1) for place in combinations(range(num_bits), size)]
    return [[int(all(bits[i] for i in place)) for place in places] for bits in cube(num_bits)]


def alternative(rows: Rows) -> tuple[Vector | None, Vector | None]:
    """Gordan's alternative, decided exactly: z with rows · z > 0 and None, or None and ν ≥ 0 with Σ ν_j row_j = 0.

    Example:
        >>> alternative([[1], [2]])[1] is None, alternative([[1], [-1]])[0] is None
        (True, True)
    """
    matrix = fmpq_mat([[to_flint(Fraction(entry)) for entry in row] for row in rows])
    for vector, multipliers in gordan_guesses(matrix):
        if vector is not None:
            column = fmpq_mat([[to_flint(entry)] for entry in vector])
            if all(to_fraction(row[0]) > 0 for row in (matrix * column).tolist()):
                return tuple(vector), None
        elif excludes(rows, multipliers):
            return None, tuple(multipliers)
    raise InvalidCertificateError(f"exact linear programming gave a wrong answer for {len(rows)} rows")


def excludes(rows: Rows, multipliers: Sequence[Fraction | int]) -> bool:
    """Whether ν ≥ 0, not all 0, with Σ ν_j row_j = 0: then no z has rows · z > 0."""
    if min(multipliers) < 0 or not any(multipliers):
        return False
    columns = zip(*rows, strict=True)
    return all(sum(v * entry for v, entry in zip(multipliers, column, strict=True)) == 0 for column in columns)


def signed(labels: Sequence[int], rows: Rows) -> list[list[Fraction]]:
    """The rows, those of label 1 negated."""
    return [[Fraction(-entry if label else entry) for entry in row] for label, row in zip(labels, rows, strict=True)]


def sign_degree(labels: Sequence[int]) -> SignDegree:
    """The sign degree with its certificates, by at most n + 1 linear programs.

    Raises:
        ValueError: unless ``labels`` are a function's.

    Example:
        >>> sign_degree((0, 1, 1, 0)).degree, sign_degree((0, 0, 0, 1)).degree  # exclusive or, and
        (2, 1)
    """
    num_bits, multipliers = require_labels(labels), None
    for degree in range(num_bits + 1):
        polynomial, found = alternative(signed(labels, monomials(num_bits, degree)))
        if polynomial is not None:
            return SignDegree(degree, polynomial, multipliers)
        multipliers = found
    raise InvalidCertificateError("a function of n bits has a sign degree of at most n")  # pragma: no cover


def function_classes(num_bits: int) -> Iterator[tuple[Labels, int]]:
    """All functions up to permuting places, negating bits and negating the output: one of each class, and its size.

    Sign degree and heads are the same on a class: a head has a weight and a value for each bit at each place.

    Raises:
        ValueError: unless 1 ≤ n ≤ 4.
    """
    if not 1 <= num_bits <= MOST_BITS_LISTED:
        raise ValueError(f"classes are listed for 1 ≤ n ≤ {MOST_BITS_LISTED} bits, got n = {num_bits}")
    inputs, size = cube(num_bits), 2**num_bits
    number = {bits: index for index, bits in enumerate(inputs)}
    moves = np.array(
        [
            [number[tuple(bits[i] ^ flip for i, flip in zip(order, flips, strict=True))] for bits in inputs]
            for order in permutations(range(num_bits))
            for flips in inputs
        ]
    )
    powers = 1 << np.arange(size)
    seen = np.zeros(2**size, dtype=bool)
    for first in range(2**size):
        if not seen[first]:
            labels = (first >> np.arange(size)) & 1
            images = labels[moves] @ powers
            members = np.unique(np.concatenate([images, 2**size - 1 - images]))
            seen[members] = True
            yield tuple(labels.tolist()), len(members)


def polynomial_values(polynomial: Vector, num_bits: int, degree: int) -> list[Fraction]:
    """The values on the cube of a polynomial, given as in `SignDegree`."""
    rows = monomials(num_bits, degree)
    return [sum((a * b for a, b in zip(polynomial, row, strict=True)), Fraction(0)) for row in rows]
