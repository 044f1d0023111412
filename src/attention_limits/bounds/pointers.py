"""How much rank a pointer set forces on the first layer, exactly (beside Theorem 10 of the paper).

For fixed pointers, values are averaged by A/q with A the 0/1 matrix of the pointers, and by nothing more than its rank.
Some A of full rank exist for every q < N; the error that a kernel vector forces then is read off A's inverse.

Letters: N tokens, q = sparsity, A the pointer matrix, y a subset, z values; a_y weights of subsets.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from flint import fmpq_mat, fmpz_mat
from scipy.optimize import linprog

from attention_limits.hypotheses import require_integer

#: The tokens that each of several subsets contains.
Subsets = Sequence[Sequence[int]]


def consecutive_pointers(num_tokens: int, sparsity: int) -> list[list[int]]:
    """Token i points to i, i+1, …, i+q−1 modulo N: the rank of A is N − gcd(N, q) + 1."""
    _require_sizes(num_tokens, sparsity, num_tokens)
    return [sorted((i + k) % num_tokens for k in range(sparsity)) for i in range(num_tokens)]


def block_pointers(num_tokens: int, sparsity: int, num_blocks: int) -> list[list[int]]:
    """Pointers of determinant ±q^b: b blocks of q + 1 tokens, each token pointing to the others of its block.

    A token i outside the blocks points to itself and to tokens 1, …, q − 1.

    Raises:
        ValueError: unless 1 ≤ q < N and 1 ≤ b ≤ N/(q + 1).
    """
    _require_sizes(num_tokens, sparsity, num_tokens - 1)
    require_integer("num_blocks", num_blocks, 1)
    inside, length = num_blocks * (sparsity + 1), sparsity + 1
    if inside > num_tokens:
        raise ValueError(f"{num_blocks} blocks of q + 1 = {length} tokens need N ≥ {inside}, got {num_tokens}")
    blocks = [[j for j in range(i - i % length, i - i % length + length) if j != i] for i in range(inside)]
    return blocks + [[*range(sparsity - 1), i] for i in range(inside, num_tokens)]


def pointer_matrix(subsets: Subsets, num_tokens: int) -> fmpz_mat:
    """A, with a row of zeros and ones for each subset; its ``rank()`` and ``det()`` are exact."""
    return fmpz_mat([[int(j in subset) for j in range(num_tokens)] for subset in map(set, subsets)])


def fixed_forced_error(subsets: Subsets, num_tokens: int) -> Fraction:
    """1/‖(A/q)⁻¹‖_∞ for N subsets: what a kernel vector forces under these pointers; 0 if A is singular.

    min ‖A z‖_∞/q over ‖z‖_∞ = 1 is this number, and it is the same for values in the unit ball of any R^{d'}.
    """
    sparsity = len(subsets[0])
    matrix = pointer_matrix(subsets, num_tokens)
    if matrix.det() == 0:
        return Fraction(0)
    inverse = fmpq_mat(matrix).inv()
    entries = [[Fraction(int(x.p), int(x.q)) for x in row] for row in inverse.table()]
    return 1 / (sparsity * max(sum(map(abs, row), Fraction(0)) for row in entries))


class LeastError(NamedTuple):
    """The least t with max_y |Σ_{j∈y} z_j|/q ≤ t for some z, max_j |z_j| = 1, between two exact bounds."""

    #: From the weights of the dual solution, checked in fractions.
    at_least: Fraction
    #: From the z of the primal solution, checked in fractions.
    at_most: Fraction


def least_error(subsets: Subsets, num_tokens: int) -> LeastError:
    """The least of max_y |Σ_{j∈y} z_j|/q over all z with max_j |z_j| = 1: a linear program for each j.

    The solver's floats are rounded to fractions of small denominator, and both bounds are then computed from those,
    exactly. z gives "at most". Weights a_y of the subsets with Σ|a_y| ≤ 1 give "at least": the maximum is at least
    Σ_y a_y Σ_{j∈y} z_j/q = Σ_j b_j z_j ≥ b_{j*} − Σ_{j≠j*} |b_j| with b_j = Σ_{y∋j} a_y/q, where z_{j*} = 1.
    """
    bounds = [_least_error_at(subsets, num_tokens, entry) for entry in range(num_tokens)]
    return LeastError(min(b.at_least for b in bounds), min(b.at_most for b in bounds))


def _least_error_at(subsets: Subsets, num_tokens: int, entry: int) -> LeastError:
    sparsity = len(subsets[0])
    incidence = np.zeros((len(subsets), num_tokens))
    incidence[np.arange(len(subsets))[:, None], np.asarray(subsets)] = 1 / sparsity
    solved = linprog(
        np.r_[np.zeros(num_tokens), 1],
        A_ub=np.c_[np.r_[incidence, -incidence], -np.ones(2 * len(subsets))],
        b_ub=np.zeros(2 * len(subsets)),
        bounds=[(1, 1) if j == entry else (-1, 1) for j in range(num_tokens)] + [(0, None)],
        method="highs",
    )
    if not solved.success:
        raise RuntimeError(f"the linear program for N = {num_tokens}, q = {sparsity} failed: {solved.message}")

    values = [max(Fraction(-1), min(Fraction(1), _rational(x))) for x in solved.x[:num_tokens]]
    values[entry] = Fraction(1)
    at_most = max(abs(sum((values[j] for j in subset), Fraction(0))) for subset in subsets) / sparsity

    signed = [_rational(x) for x in solved.ineqlin.marginals[len(subsets) :] - solved.ineqlin.marginals[: len(subsets)]]
    total = max(Fraction(1), sum((abs(weight) for weight in signed), Fraction(0)))
    pull = [Fraction(0)] * num_tokens
    for weight, subset in zip(signed, subsets, strict=True):
        for j in subset if weight else ():
            pull[j] += weight / (total * sparsity)
    # The signs of linprog's marginals are a convention: both signs of the weights are valid, the better one counts.
    rest = sum((abs(b) for j, b in enumerate(pull) if j != entry), Fraction(0))
    return LeastError(abs(pull[entry]) - rest, at_most)


def _rational(number: float) -> Fraction:
    return Fraction(number).limit_denominator(10**5)


def _require_sizes(num_tokens: int, sparsity: int, largest: int) -> None:
    require_integer("num_tokens", num_tokens, 1)
    require_integer("sparsity", sparsity, 1)
    name = "N" if largest == num_tokens else "N − 1"
    if sparsity > largest:
        raise ValueError(f"sparsity q = {sparsity} must be at most {name} = {largest}")
