"""What a sum of pairwise scores costs: the middle table of a head for Match3 has a range that grows like M² (ours).

A head scores alpha(x, y) + beta(y, z) + gamma(z, x) on residues x of the query and y, z of a pair. Around a cell of
four neighbouring pairs alpha and gamma cancel, and what is left is a mixed difference of beta. It must be positive
wherever two corners of the cell complete x to M and the other two miss it by one. Besides, one head cannot serve all
multiples of M.

Letters: M = modulus, g = gap; x, y, z residues.
"""

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, Shaped
from scipy.optimize import linprog
from torch import Tensor

from attention_limits.hypotheses import require_integer
from attention_limits.models.strassen_attention import PairScores

Number = int | float


class Rectangle(NamedTuple):
    """Pairs (y, z) between the corners (row, column) and (row + rows, column + columns)."""

    row: int
    column: int
    rows: int
    columns: int


def mixed_difference(table: Shaped[Tensor, "modulus modulus"], rectangle: Rectangle) -> Shaped[Tensor, ""]:
    """table(y + a, z) + table(y, z + b) − table(y, z) − table(y + a, z + b); functions of y or z alone have none.

    Example:
        >>> y, z = torch.arange(5.0).unsqueeze(1), torch.arange(5.0)
        >>> mixed_difference(-(y + z) ** 2 + 7 * y, Rectangle(0, 1, 2, 3)).item()
        12.0
    """
    row, column, rows, columns = rectangle
    return (
        table[row + rows, column]
        + table[row, column + columns]
        - table[row, column]
        - table[row + rows, column + columns]
    )


def rectangles(modulus: int) -> list[Rectangle]:
    """Those whose mixed difference of beta is at least 2g · rows · columns: row + column + rows + columns ≤ M."""
    require_integer("modulus", modulus, 2)
    return [
        Rectangle(row, column, rows, columns)
        for row in range(modulus)
        for column in range(modulus - row)
        for rows in range(1, modulus - row - column)
        for columns in range(1, modulus - row - column - rows + 1)
    ]


def target_gap(scores: PairScores) -> Number:
    """g for T = M: the least score of a pair with x + y + z = M minus the largest with M − 1 or M + 1, over all x ≥ 1.

    Args:
        scores: tables over all residues, (M, M) each; integers give an integer.
    """
    modulus = len(scores.alpha)
    require_integer("modulus", modulus, 2)
    residues = torch.arange(modulus)
    pairs = residues.unsqueeze(1) + residues
    gaps = []
    for query in range(1, modulus):
        table = scores.alpha[query].unsqueeze(1) + scores.beta + scores.gamma[:, query]
        away = (pairs + query - modulus).abs()
        gaps.append((table[away == 0].min() - table[away == 1].max()).item())
    return min(gaps)


def middle_range(beta: Shaped[Tensor, "modulus modulus"]) -> Number:
    """Largest minus least entry on the pairs that some query x ≥ 1 needs for T = M: those with 1 ≤ y + z ≤ M − 1."""
    residues = torch.arange(len(beta))
    sums = residues.unsqueeze(1) + residues
    needed = beta[(sums >= 1) & (sums < len(beta))]
    return (needed.max() - needed.min()).item()


def least_range(modulus: int, gap: Number) -> Number:
    """g ⌊(M − 2)²/4⌋: no head with this gap has a smaller `middle_range`, wherever functions of y and z are put.

    Example:
        >>> least_range(26, 10)
        1440
    """
    require_integer("modulus", modulus, 2)
    if not 0 < gap < math.inf:
        raise ValueError(f"gap g must be positive and finite, got {gap}")
    return gap * ((modulus - 2) ** 2 // 4)


def largest_modulus(gap: Number, nats: float) -> int:
    """The largest M for which exponentials that span so many nats can hold the middle table."""
    if not 0 <= nats < math.inf:
        raise ValueError(f"nats must be at least 0 and finite, got {nats}")
    modulus = 2
    while least_range(modulus + 1, gap) <= nats:
        modulus += 1
    return modulus


def hard_input(modulus: int) -> Int[Tensor, "1 tokens"]:
    """(1, M/2 − 1, M − 2, 2): M − 2 is completed to M by 1 and 1 alone, and 2 by M/2 − 1 and M/2 − 1 alone.

    Raises:
        ValueError: unless M is even and at least 6.
    """
    if modulus < 6 or modulus % 2:
        raise ValueError(f"modulus must be even and at least 6, got {modulus}")
    return torch.tensor([[1, modulus // 2 - 1, modulus - 2, 2]])


def least_shortfall(modulus: int, gap: Number) -> float:
    """g (M/2 − 2)² − 2 ln 4: on `hard_input` some query's pairs lie as many nats below the largest entries, or more.

    Of every head for T = M in which pairs with x + y + z = M score at least g above all others.
    """
    hard_input(modulus)
    return gap * (modulus // 2 - 2) ** 2 - 2 * math.log(4)


def format_nats(dtype: torch.dtype) -> float:
    """ln of the quotient of the largest and the smallest positive number of a format, subnormal ones too.

    Example:
        >>> round(format_nats(torch.float64))
        1454
    """
    limits = torch.finfo(dtype)
    return math.log(limits.max) - math.log(limits.tiny) - math.log(limits.eps)


def best_single_gap(modulus: int, queries: Sequence[int]) -> float:
    """The largest gap of one head for all multiples of M at once, entries in [−1, 1], by a linear program in floats.

    For each x of ``queries`` every pair with x + y + z ≡ 0 (mod M) has to score that much above every other pair.

    Example: one query alone is no difficulty, two are one too many.
        >>> best_single_gap(5, [1]) > 0.5, abs(best_single_gap(5, [1, 3])) < 1e-9
        (True, True)
    """
    require_integer("modulus", modulus, 2)
    if not queries or any(not 0 <= x < modulus for x in queries):
        raise ValueError(f"queries must be residues in 0…{modulus - 1}, at least one, got {list(queries)}")
    size = modulus**2
    width = 3 * size + modulus + 1  # the three tables, a threshold for each x, and the gap
    rows = []
    for x, y, z in product(queries, range(modulus), range(modulus)):
        row = np.zeros(width)
        row[[x * modulus + y, size + y * modulus + z, 2 * size + z * modulus + x]] = 1
        row[3 * size + x] = -1
        if (x + y + z) % modulus == 0:
            row *= -1
            row[-1] = 1
        rows.append(row)
    bounds = [(-1, 1)] * (3 * size) + [(None, None)] * (modulus + 1)
    solved = linprog(-np.eye(width)[-1], A_ub=np.array(rows), b_ub=np.zeros(len(rows)), bounds=bounds)
    if not solved.success:
        raise ValueError(f"the linear program for M = {modulus} was not solved: {solved.message}")
    return float(-solved.fun)


def two_query_sum(scores: PairScores, query: int, other: int) -> Number:
    """What a single head would have to make positive, and what is 0 for all tables.

    The scores of query x on its M matching pairs minus those on the pairs that match x', and the same with x and x'
    exchanged.
    """
    modulus = len(scores.alpha)
    first = torch.arange(modulus)

    def total(x: int, matched: int) -> Tensor:
        second = (-matched - first) % modulus
        return (scores.alpha[x, first] + scores.beta[first, second] + scores.gamma[second, x]).sum()

    return (total(query, query) - total(query, other) + total(other, other) - total(other, query)).item()
