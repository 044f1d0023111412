"""Radon partitions and separating directions of keys, checked in rational arithmetic (for Theorem 3).

A q-subset y of the keys u_1, …, u_N ∈ R^m is *separable* if some w has ⟨w, u_j⟩ = c on y and ⟨w, u_j⟩ < c off y: y is
then the point set of an exposed face. Queries αw send the attention to the uniform distribution on y as α grows; for a
subset that is not separable no sequence of queries does. By Farkas' lemma y is *not* separable if and only if there is

    λ ∈ R^N with Σ λ_j = 0, Σ λ_j u_j = 0, λ_j ≤ 0 off y, and λ_j < 0 for some j off y.

Its positive part A ⊆ y and negative part B ⊄ y are a Radon partition: their convex hulls meet. This module checks such
certificates, and finds the partition that must exist when m is too small; `attention_limits.bounds.polytopes` finds
either certificate for any given subset.

A key's coordinates are taken for the rational numbers that they are (a float is one), so that every answer is a theorem
about the given keys.

Letters: N keys, m = embed_dim their coordinates, q = sparsity, y a q-subset, w a direction, λ = weights,
m* = min(2q, N−1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat

from attention_limits.hypotheses import require_integer

Vector = tuple[Fraction, ...]
Subset = tuple[int, ...]


class InvalidCertificateError(ValueError):
    """A certificate that does not prove what it should."""


@dataclass(frozen=True)
class SeparatingDirection:
    """A direction w with the same inner product on every key of y and a smaller one on every other key.

    Attributes:
        margin: min over j off y of c − ⟨w, u_j⟩, divided by the largest of these differences; exact, in (0, 1]. Affine
            maps of the keys leave it alone. A query that singles y out needs scores with log₂(1/margin) bits more than
            the gap that it leaves.
    """

    subset: Subset
    direction: Vector
    margin: Fraction


@dataclass(frozen=True)
class RadonPartition:
    """An affine dependency λ among the keys, Σ λ_j = 0 and Σ λ_j u_j = 0, with λ ≤ 0 off y and not zero there.

    Its two parts have a point in common, Σ_A λ_j u_j = Σ_B |λ_j| u_j (both over Σ_A λ_j). If all of A has the largest
    score then so has all of B, and part of B lies outside y.
    """

    subset: Subset
    weights: Vector

    @property
    def positive(self) -> Subset:
        """A = {λ > 0}, inside y."""
        return tuple(j for j, weight in enumerate(self.weights) if weight > 0)

    @property
    def negative(self) -> Subset:
        """B = {λ < 0}, not inside y."""
        return tuple(j for j, weight in enumerate(self.weights) if weight < 0)


def tight_dimension(num_tokens: int, sparsity: int) -> int:
    """m* = min(2q, N−1): the least dimension in which some N keys have all their q-subsets separable.

    Raises:
        ValueError: unless 1 ≤ q < N. For q = N there is nothing to separate: a zero query is exact.
    """
    require_sparsity(num_tokens, sparsity)
    return min(2 * sparsity, num_tokens - 1)


def exact_keys(keys: Any) -> fmpq_mat:
    """The keys as an N × m matrix of rationals, every float taken for the rational number that it is.

    Args:
        keys: (N, m) array, tensor or nested sequence of ints, Fractions or finite floats, N ≥ 1 and m ≥ 1.

    Raises:
        ValueError: if the keys are not a two-dimensional table, are empty, or not finite.
    """
    if isinstance(keys, fmpq_mat):
        return keys
    table = np.asarray(keys.tolist() if hasattr(keys, "tolist") else keys, dtype=object)
    if table.ndim != 2:
        raise ValueError(f"keys must be a table (tokens, embed_dim), got {table.ndim} dimensions")
    if table.size == 0:
        raise ValueError(f"keys must have at least one token and one coordinate, got shape {table.shape}")
    for entry in table.flat:
        number = isinstance(entry, int | float | Fraction | np.number) and not isinstance(entry, bool)
        if not number:
            raise ValueError(f"keys must be numbers, got {entry!r}")
        if not (not isinstance(entry, float) or np.isfinite(entry)):
            raise ValueError(f"keys must be finite, got {entry!r}")
    return fmpq_mat([[to_flint(Fraction(entry)) for entry in row] for row in table])


def check_direction(keys: Any, subset: Sequence[int], direction: Sequence[Any]) -> SeparatingDirection:
    """The direction as a checked `SeparatingDirection`.

    Raises:
        InvalidCertificateError: if its inner products differ on y, or another key's is not smaller.
    """
    exact = exact_keys(keys)
    chosen = require_subset(exact.nrows(), subset)
    if len(direction) != exact.ncols():
        raise ValueError(f"a direction has {exact.ncols()} coordinates, got {len(direction)}")
    vector = fmpq_mat([[to_flint(Fraction(entry))] for entry in direction])
    scores = [row[0] for row in (exact * vector).tolist()]
    gaps = [scores[chosen[0]] - score for j, score in enumerate(scores) if j not in chosen]
    if any(scores[j] != scores[chosen[0]] for j in chosen):
        raise InvalidCertificateError(f"the inner products on the subset {chosen} differ")
    if min(gaps) <= 0:
        raise InvalidCertificateError(
            f"a key outside the subset {chosen} has as large an inner product as those inside"
        )
    weights = tuple(to_fraction(row[0]) for row in vector.tolist())
    return SeparatingDirection(chosen, weights, to_fraction(min(gaps) / max(gaps)))


def check_partition(keys: Any, subset: Sequence[int], weights: Sequence[Any]) -> RadonPartition:
    """The weights as a checked `RadonPartition`.

    Raises:
        InvalidCertificateError: if they are no affine dependency of the keys, or are not ≤ 0 and somewhere < 0 off y.
    """
    exact = exact_keys(keys)
    chosen = require_subset(exact.nrows(), subset)
    if len(weights) != exact.nrows():
        raise ValueError(f"there are {exact.nrows()} keys, got {len(weights)} weights")
    partition = RadonPartition(chosen, tuple(Fraction(weight) for weight in weights))
    _require_dependency(exact, partition.weights)
    if not set(partition.positive) <= set(chosen):
        raise InvalidCertificateError(f"the positive part {partition.positive} is not inside the subset {chosen}")
    if set(partition.negative) <= set(chosen):
        raise InvalidCertificateError(f"the negative part {partition.negative} is inside the subset {chosen}")
    return partition


def failing_subset(keys: Any, sparsity: int) -> RadonPartition:
    """A q-subset that is not separable, found without search whenever m < m* = min(2q, N−1).

    It is the proof of the bound. Any m + 2 ≤ N keys have a Radon partition (A, B). Its smaller part has at most
    (m + 2)/2 < q + 1 keys; y is that part, filled up with other tokens, but not with the b in B of largest weight.

    Args:
        keys: N keys with m < min(2q, N−1) coordinates.
        sparsity: q, with 1 ≤ q < N.

    Returns:
        The subset with its checked partition, supported on the first m + 2 keys.

    Raises:
        ValueError: if m ≥ m*, where the argument does not apply.
    """
    exact = exact_keys(keys)
    tokens, dim = exact.nrows(), exact.ncols()
    least = tight_dimension(tokens, sparsity)
    if not dim < least:
        raise ValueError(f"m = {dim} is not below m* = min(2q, N−1) = {least} (q = {sparsity}, N = {tokens})")
    weights = affine_dependency(exact_rows(exact)[: dim + 2]) + (Fraction(0),) * (tokens - dim - 2)
    if sum(weight > 0 for weight in weights) > sum(weight < 0 for weight in weights):
        weights = tuple(-weight for weight in weights)
    smaller = [j for j, weight in enumerate(weights) if weight > 0]
    heaviest = min(range(tokens), key=lambda j: weights[j])
    # Outsiders of the partition come first, so that as much of B as possible stays out.
    others = sorted((j for j in range(tokens) if j not in smaller and j != heaviest), key=lambda j: weights[j] != 0)
    return check_partition(keys, sorted(smaller + others[: sparsity - len(smaller)]), weights)


def failing_cut(points: Any, sparsity: int) -> tuple[Subset, Vector]:
    """A q-subset y of n points that no hyperplane cuts off strictly, with the Radon partition that shows it.

    It exists in R^k whenever k ≤ min(2q, n−q) − 1 and n ≥ 2q: a partition of k + 2 points has a part of at most q
    points whose other part has at most n − q. With k = m + 1 it proves m ≥ min(2q−1, n−q−1) for position-only keys and
    any values, where n tokens may be pointed to.

    Returns:
        y, and weights λ with Σ λ_j = 0, Σ λ_j point_j = 0, λ > 0 only on y and λ < 0 only off y.

    Raises:
        ValueError: outside these conditions.
    """
    exact = exact_keys(points)
    count, dim = exact.nrows(), exact.ncols()
    require_sparsity(count, sparsity)
    if count < 2 * sparsity:
        raise ValueError(f"n = {count} points are fewer than 2q = {2 * sparsity}")
    least = min(2 * sparsity, count - sparsity)
    if not dim < least:
        raise ValueError(f"{dim} coordinates are not below min(2q, n−q) = {least} (q = {sparsity}, n = {count})")
    weights = affine_dependency(exact_rows(exact)[: dim + 2]) + (Fraction(0),) * (count - dim - 2)
    if sum(weight > 0 for weight in weights) > sum(weight < 0 for weight in weights):
        weights = tuple(-weight for weight in weights)
    inside = [j for j, weight in enumerate(weights) if weight > 0]
    free = [j for j, weight in enumerate(weights) if weight == 0]
    subset = tuple(sorted(inside + free[: sparsity - len(inside)]))
    _require_dependency(exact, weights)
    if len(subset) != sparsity or any((weights[j] < 0) == (j in subset) for j in range(count) if weights[j]):
        raise InvalidCertificateError(f"the weights do not keep {subset} from being cut off")
    return subset, weights


def forcing_accuracy(sparsity: int, *, bits: int = 40) -> Fraction:
    """The error ε₀ up to which the proof forces m ≥ m*, rounded down to a Fraction.

    With u = q ε₀ / 2 it is the root of u (1 + u)^{2q−1} = (1 − u)^{2q}, found by bisection in integers to 2^−bits.

    Example:
        >>> float(forcing_accuracy(1))  # the root is 2/3
        0.6666666666660603
    """
    require_integer("sparsity q", sparsity, 1)
    require_integer("bits", bits, 1)
    one = 2**bits
    low, high = 0, one
    while high - low > 1:
        middle = (low + high) // 2
        below = middle * (one + middle) ** (2 * sparsity - 1) < (one - middle) ** (2 * sparsity)
        low, high = (middle, high) if below else (low, middle)
    return Fraction(2 * low, sparsity * one)


def affine_dependency(keys: Any) -> Vector:
    """Rationals λ, not all zero, with Σ λ_j = 0 and Σ λ_j u_j = 0, largest |λ_j| = 1; m + 2 keys always have one.

    Raises:
        ValueError: if the keys are affinely independent.
    """
    exact = exact_keys(keys)
    columns = fmpq_mat([[fmpq(1), *row] for row in exact.tolist()]).transpose()
    space = null_space(columns)
    if not space.ncols() > 0:
        raise ValueError(f"these {exact.nrows()} keys are affinely independent")
    entries = [to_fraction(space[j, 0]) for j in range(exact.nrows())]
    largest = max(abs(entry) for entry in entries)
    return tuple(entry / largest for entry in entries)


def exact_rows(exact: fmpq_mat) -> list[list[Fraction]]:
    """A matrix of rationals as rows of Fractions."""
    return [[to_fraction(entry) for entry in row] for row in exact.tolist()]


def null_space(matrix: fmpq_mat) -> fmpq_mat:
    """A basis of {x : matrix · x = 0}, as the columns of a matrix."""
    width = matrix.ncols()
    reduced, rank = matrix.rref()
    pivots = [next(k for k in range(width) if reduced[row, k] != 0) for row in range(rank)]
    free = [k for k in range(width) if k not in pivots]
    basis = fmpq_mat(width, len(free))
    for column, k in enumerate(free):
        basis[k, column] = fmpq(1)
        for row, pivot in enumerate(pivots):
            basis[pivot, column] = -reduced[row, k]
    return basis


def _require_dependency(exact: fmpq_mat, weights: Sequence[Fraction]) -> None:
    row = fmpq_mat([[to_flint(weight) for weight in weights]])
    if sum(weights) != 0 or any(entry != 0 for entry in (row * exact).tolist()[0]):
        raise InvalidCertificateError("the weights are no affine dependency of the keys")


def require_sparsity(tokens: int, sparsity: int) -> None:
    """Refuse a sparsity outside 1 ≤ q < N."""
    require_integer("sparsity q", sparsity, 1)
    require_integer("num_tokens N", tokens, 1)
    if sparsity >= tokens:
        raise ValueError(
            f"sparsity q = {sparsity} needs q < N = {tokens} (at q = N a zero query is exact, nothing is separated)"
        )


def require_subset(tokens: int, subset: Sequence[int]) -> Subset:
    """The subset as a tuple; refused unless it has 1 ≤ q < N different tokens."""
    chosen = tuple(int(j) for j in subset)
    require_sparsity(tokens, len(chosen))
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"a subset's tokens must differ, got {chosen}")
    if not all(0 <= j < tokens for j in chosen):
        raise ValueError(f"a subset's tokens must lie in 0…{tokens - 1}, got {chosen}")
    return chosen


def to_flint(value: Fraction) -> fmpq:
    """A Fraction as the rational number type of the exact matrices; `to_fraction` is the inverse."""
    return fmpq(value.numerator, value.denominator)


def to_fraction(value: fmpq) -> Fraction:
    """A rational number of the exact matrices as a Fraction, in lowest terms.

    Example:
        >>> to_fraction(fmpq(6, -4))
        Fraction(-3, 2)
    """
    return Fraction(int(value.p), int(value.q))
