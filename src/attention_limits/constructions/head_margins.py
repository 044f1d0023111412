"""How far from 0 the output of k heads can stay on k-bit parity while values lie in [−1, 1].

A symmetric head has the denominator |c − p| with a pole p outside [0, k]. For given poles the largest margin is a
linear program in the values; it is solved in floats, and the margin of what is found is computed exactly. Poles are
tried on geometric grids, on one side of [0, k] or on both. So `parity_margin` is a margin that exists, not the largest.

Letters: k heads and bits, c the number of ones, p poles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog

from attention_limits.constructions.rational_heads import HeadWeights
from attention_limits.hypotheses import require_integer

#: The weight of the light bit, where the heavy one has 1 more: next to nothing.
LIGHT = Fraction(1, 2**30)
#: Distances of the nearest and the farthest pole that are tried.
NEAREST, FARTHEST = (0.01, 0.03, 0.1, 0.3, 1.0), (1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True)
class Margin:
    """Heads that compute k-bit parity, and the least |output| over the inputs, with values in [−1, 1]."""

    heads: list[HeadWeights]
    margin: Fraction
    poles: tuple[Fraction, ...]


def parity_margin(num_heads: int) -> Margin:
    """The best margin found for k-bit parity by k heads.

    Raises:
        ValueError: unless 1 ≤ k ≤ 12: a float's linear program sees no smaller margins.

    Example:
        >>> round(float(parity_margin(2).margin), 2)
        0.66
    """
    require_integer("num_heads", num_heads, 1)
    if num_heads > 12:
        raise ValueError(f"margins are found in float64 up to k = 12 heads, got k = {num_heads}")
    best: Margin | None = None
    tried: set[tuple[Fraction, ...]] = set()
    for near, far, left in product(NEAREST, FARTHEST, sorted({0, num_heads // 2, num_heads})):
        below, above = _geometric(near, far, left), _geometric(near, far, num_heads - left)
        poles = (*(-distance for distance in below), *(num_heads + distance for distance in above))
        if len(set(poles)) < num_heads or poles in tried:
            continue
        tried.add(poles)
        heads = best_values(poles)
        margin = exact_margin(heads)
        if best is None or margin > best.margin:
            best = Margin(heads, margin, poles)
    assert best is not None  # the grid has poles for every k
    return best


def best_values(poles: Sequence[Fraction | int]) -> list[HeadWeights]:
    """Heads with these poles and, up to the rounding of a float's linear program, the best values in [−1, 1].

    Where the program fails all values are 0, and so is the margin.

    Raises:
        ValueError: unless all k ≥ 1 poles lie outside [0, k], by more than the light weights add up to.
    """
    num_bits = len(poles)
    if not poles or any(-2 * num_bits * LIGHT <= pole <= num_bits * (1 + 2 * LIGHT) for pole in poles):
        raise ValueError(
            f"k ≥ 1 poles must lie outside [0, k], got {[float(pole) for pole in poles]} for k = {num_bits}"
        )
    weights = [_weights(Fraction(pole), num_bits) for pole in poles]
    ones = np.arange(num_bits + 1)
    columns: list[Float[np.ndarray, " levels"]] = []
    for zero, one, query in weights:
        shares = np.stack([(num_bits - ones) * float(zero), ones * float(one), np.full(num_bits + 1, float(query))])
        columns += list(shares / shares.sum(axis=0))
    signs = (-1.0) ** ones
    table = np.column_stack([-signs[:, None] * np.column_stack(columns), np.ones(num_bits + 1)])
    bounds = [(-1, 1)] * len(columns) + [(None, None)]
    found = linprog(np.r_[np.zeros(len(columns)), -1], table, np.zeros(num_bits + 1), bounds=bounds, method="highs")
    solved = found.x if found.status == 0 else np.zeros(len(columns) + 1)
    values = [min(max(Fraction(float(u)), Fraction(-1)), Fraction(1)) for u in solved]
    return [
        HeadWeights(
            ((zero, one),) * num_bits, ((values[3 * j], values[3 * j + 1]),) * num_bits, query, values[3 * j + 2]
        )
        for j, (zero, one, query) in enumerate(weights)
    ]


def exact_margin(heads: Sequence[HeadWeights]) -> Fraction:
    """The least (−1)^c times the output over c = 0, …, k ones: positive if the heads compute parity.

    Raises:
        ValueError: for a head whose weights or values depend on the place.
    """
    for head in heads:
        if len(set(head.weights)) > 1 or len(set(head.values)) > 1:
            raise ValueError(f"margins are of symmetric heads, got weights {head.weights}, values {head.values}")
    num_bits = len(heads[0].weights)
    return min((-1) ** ones * _level(heads, ones, num_bits) for ones in range(num_bits + 1))


def _level(heads: Sequence[HeadWeights], ones: int, num_bits: int) -> Fraction:
    """The output on c ones."""
    total = Fraction(0)
    for head in heads:
        zero, one = head.weights[0]
        shares = ((num_bits - ones) * zero, ones * one, head.query_weight)
        values = (*head.values[0], head.query_value)
        total += sum((s * u for s, u in zip(shares, values, strict=True)), Fraction(0)) / sum(shares)
    return total


def _weights(pole: Fraction, num_bits: int) -> tuple[Fraction, Fraction, Fraction]:
    """Weights of 0, 1 and "?" whose sum is |c − p|: the heavy bit is 1 where p < 0, and 0 where p > n."""
    query = (-pole if pole < 0 else pole - num_bits) - num_bits * LIGHT
    return (LIGHT, 1 + LIGHT, query) if pole < 0 else (1 + LIGHT, LIGHT, query)


def _geometric(near: float, far: float, count: int) -> list[Fraction]:
    return [Fraction(float(d)) for d in np.geomspace(near, far, count)] if count else []
