"""Which subsets of the keys a query can single out, decided exactly for any keys by linear programming (for Theorem 3).

Floating-point linear programming guesses a separating direction or a Radon partition, which is then checked in rational
arithmetic (`attention_limits.bounds.radon`). Where no guess passes, exact linear programming decides.

Letters as there: N keys u_j ∈ R^m, y a q-subset of them, w a direction, λ the weights of a partition.
"""

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat
from jaxtyping import Float
from scipy.optimize import linprog, nnls

from attention_limits.bounds.radon import (
    InvalidCertificateError,
    RadonPartition,
    SeparatingDirection,
    Subset,
    check_direction,
    check_partition,
    exact_keys,
    exact_rows,
    null_space,
    require_sparsity,
    require_subset,
    to_flint,
    to_fraction,
)

#: Multipliers of the linear program below this are taken for zero when the certificate is guessed.
SUPPORT_TOLERANCE = 1e-9

#: A vector z, or None and multipliers ν, for Gordan's alternative.
Guess = tuple[list[Fraction] | None, list[Fraction]]


def separate(keys: Any, subset: Sequence[int]) -> SeparatingDirection | RadonPartition:
    """Decide exactly whether a subset of the keys is separable, with the certificate.

    Args:
        keys: N keys, as `exact_keys` takes them.
        subset: q different tokens, 1 ≤ q < N.

    Example:
        >>> square = [[0, 0], [1, 0], [1, 1], [0, 1]]
        >>> separate(square, (0, 1)).margin  # a side
        Fraction(1, 1)
        >>> partition = separate(square, (0, 2))  # a diagonal: it crosses the other one
        >>> partition.positive, partition.negative
        ((0, 2), (1, 3))
    """
    exact = exact_keys(keys)
    chosen = require_subset(exact.nrows(), subset)
    outside = [j for j in range(exact.nrows()) if j not in chosen]
    # Directions with the same inner product on all of y: w = Σ_k z_k basis_k. What is left is Gordan's alternative,
    # rows · z > 0 for some z, or Σ ν_j row_j = 0 for some ν ≥ 0 other than zero.
    basis = null_space(_rows(exact, chosen[1:], minus=chosen[0]))
    differences = _rows(exact, outside, minus=chosen[0])
    rows = differences * basis * fmpq(-1)
    for found in gordan_guesses(rows):
        certificate = _certificate(exact, chosen, outside, basis, *found)
        if certificate is not None:
            return certificate
    raise InvalidCertificateError(
        f"no certificate for the subset {chosen}: exact linear programming gave a wrong answer"
    )


def separate_all(keys: Any, sparsity: int) -> list[SeparatingDirection] | RadonPartition:
    """Separating directions of all q-subsets in lexicographic order, or the certificate of the first one that has none.

    Raises:
        ValueError: unless 1 ≤ q < N.
    """
    exact = exact_keys(keys)
    require_sparsity(exact.nrows(), sparsity)
    found = []
    for subset in combinations(range(exact.nrows()), sparsity):
        answer = separate(keys, subset)
        if isinstance(answer, RadonPartition):
            return answer
        found.append(answer)
    return found


def gordan_guesses(rows: fmpq_mat) -> Iterator[Guess]:
    """Candidates for Gordan's alternative on ``rows``: from floats first, then from exact linear programming.

    Yields:
        A vector z, to be checked for rows · z > 0; or None and multipliers, to be checked for ν ≥ 0, not zero, with
        Σ ν_j row_j = 0. Not both exist (Gordan), and unless the exact solver errs the last candidate is right.
    """
    if not rows.ncols():  # y spans everything: any other key lies in its affine hull
        yield None, [Fraction(1)] + [Fraction(0)] * (rows.nrows() - 1)
        return
    table = exact_rows(rows)
    scale = [max(abs(row[k]) for row in table) or Fraction(1) for k in range(rows.ncols())]
    floats = np.array([[float(entry / unit) for entry, unit in zip(row, scale, strict=True)] for row in table])
    # Orthonormal columns: maximise the least of Q z' while the largest is at most 1.
    left, sizes, right = np.linalg.svd(floats, full_matrices=False)
    rank = int((sizes > sizes[0] * 1e-13).sum())
    left, back = left[:, :rank], right[:rank].T / sizes[:rank]
    # Whether 0 is a mean of the rows is a least-squares problem over non-negative weights, and far cheaper.
    with contextlib.suppress(RuntimeError):  # no convergence
        weights, distance = nnls(np.vstack([left.T, np.ones(len(left))]), np.append(np.zeros(rank), 1.0))
        if distance <= SUPPORT_TOLERANCE:
            yield from _dependencies(rows, weights)
    bounded = np.vstack([np.column_stack([-left, np.ones(len(left))]), np.column_stack([left, np.zeros(len(left))])])
    limits = np.repeat([0.0, 1.0], len(left))
    answer = linprog([0.0] * rank + [-1.0], bounded, limits, bounds=(None, None), method="highs")
    if answer.status == 0:
        yield [Fraction(float(z)) / unit for z, unit in zip(back @ answer.x[:rank], scale, strict=True)], []
        yield from _dependencies(rows, -answer.ineqlin.marginals[: len(left)])
    yield _exact_alternative(table)


def _dependencies(rows: fmpq_mat, multipliers: Float[np.ndarray, " rows"]) -> Iterator[Guess]:
    """The exact dependency among the rows whose multipliers are not zero, if there is just one."""
    support = [j for j, multiplier in enumerate(multipliers) if multiplier > SUPPORT_TOLERANCE]
    space = null_space(_rows(rows, support).transpose())
    if space.ncols() == 1:
        exact = dict(zip(support, (to_fraction(row[0]) for row in space.tolist()), strict=True))
        sign = -1 if any(value < 0 for value in exact.values()) else 1
        yield None, [sign * exact.get(j, Fraction(0)) for j in range(rows.nrows())]


def _exact_alternative(table: list[list[Fraction]]) -> Guess:
    """Gordan's alternative by exact linear programming (sympy), for what floats cannot decide."""
    from sympy import Matrix, Rational
    from sympy.solvers.simplex import linprog as exact_linprog

    rows = Matrix([[Rational(entry.numerator, entry.denominator) for entry in row] for row in table])
    count, width = rows.shape
    # Maximise g ≥ 0 subject to g ≤ rows · z ≤ 1 with z = z₊ − z₋: sympy 1.14 errs on free variables.
    signed = rows.row_join(-rows)
    above, below = (-signed).row_join(Matrix([1] * count)), signed.row_join(Matrix([0] * count))
    least, solution = exact_linprog([0] * 2 * width + [-1], above.col_join(below), Matrix([0] * count + [1] * count))
    if least < 0:
        positive, negative = solution[:width], solution[width : 2 * width]
        return [Fraction(str(z)) - Fraction(str(minus)) for z, minus in zip(positive, negative, strict=True)], []
    # No such z: Σ ν_j row_j = 0, Σ ν_j = 1 and ν ≥ 0, each equation as two inequalities.
    equations = rows.T.col_join(Matrix([[1] * count]))
    sides = Matrix([0] * width + [1])
    _, multipliers = exact_linprog([0] * count, equations.col_join(-equations), sides.col_join(-sides))
    return None, [Fraction(str(value)) for value in multipliers]


def _certificate(
    exact: fmpq_mat,
    chosen: Subset,
    outside: list[int],
    basis: fmpq_mat,
    coordinates: list[Fraction] | None,
    multipliers: list[Fraction],
) -> SeparatingDirection | RadonPartition | None:
    """The checked certificate that z or ν stands for, None if the guess was wrong."""
    try:
        if coordinates is not None:
            column = fmpq_mat([[to_flint(z)] for z in coordinates])
            return check_direction(exact, chosen, [to_fraction(row[0]) for row in (basis * column).tolist()])
        # Σ ν_j u_j lies in the affine hull of y: solve for the weights on y.
        equations = fmpq_mat(
            [[fmpq(1)] * len(chosen) + [fmpq(1)]]
            + [
                [exact[j, k] for j in chosen]
                + [sum((to_flint(v) * exact[j, k] for j, v in zip(outside, multipliers, strict=True)), fmpq(0))]
                for k in range(exact.ncols())
            ]
        )
        equations[0, len(chosen)] = sum((to_flint(v) for v in multipliers), fmpq(0))
        solved, rank = equations.rref()
        weights = {j: -value for j, value in zip(outside, multipliers, strict=True)}
        for row in range(rank):
            pivot = next(column for column in range(len(chosen) + 1) if solved[row, column] != 0)
            if pivot == len(chosen):
                return None
            weights[chosen[pivot]] = to_fraction(solved[row, len(chosen)])
        return check_partition(exact, chosen, [weights.get(j, Fraction(0)) for j in range(exact.nrows())])
    except InvalidCertificateError:
        return None


def _rows(matrix: fmpq_mat, chosen: Sequence[int], minus: int | None = None) -> fmpq_mat:
    """The chosen rows, less one row where ``minus`` is given."""
    shift = [matrix[minus, k] if minus is not None else fmpq(0) for k in range(matrix.ncols())]
    return fmpq_mat(
        len(chosen), matrix.ncols(), [matrix[j, k] - shift[k] for j in chosen for k in range(matrix.ncols())]
    )
