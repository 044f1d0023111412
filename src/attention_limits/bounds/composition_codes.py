"""Best codes for functions on n points: how small an average error B bits allow, found by listing or by search.

A message has 2^B values, and for each of them Bob has an answer for every point: a *codeword* in [n]ⁿ. Alice does best
with the nearest one. So a code's error is the mean, over all nⁿ functions, of the share of points at which a function
differs from its nearest codeword, and every message and every way to read it is worth no more than some code.

**Volume.** k codewords have at most k C(n, j)(n − 1)^j functions at distance j, for each j. No code does better than
one for which all of these are different functions, filled in from j = 0 on until there are nⁿ.

Letters: n = num_points, B = bits, k = 2^B codewords.
"""

import math
from fractions import Fraction
from itertools import combinations, islice
from typing import NamedTuple

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from attention_limits.hypotheses import require_integer
from attention_limits.problems.composition import all_rows

#: The most codes that `best_code` lists; where there are more it searches.
MOST_LISTED = 50_000
#: Codes whose errors are computed at once.
BATCH_SIZE = 2_000


class Code(NamedTuple):
    """A code and its average error."""

    #: Numbers of the codewords, as `all_rows` lists the functions.
    codewords: tuple[int, ...]
    error: Fraction
    #: Whether no code of so many words has a smaller error: all were listed, or the volume bound is met.
    best: bool


def distances(num_points: int) -> UInt8[Tensor, "functions functions"]:
    """At how many points two functions differ, for all pairs.

    Raises:
        ValueError: unless 2 ≤ n ≤ 4.
    """
    require_integer("num_points", num_points, 2)
    if num_points > 4:
        raise ValueError(f"all pairs of functions are compared for n ≤ 4 only, got n = {num_points}")
    functions = all_rows(num_points, num_points)
    return (functions.unsqueeze(1) != functions).sum(dim=2).to(torch.uint8)


def code_error(num_points: int, codewords: tuple[int, ...]) -> Fraction:
    """The average error of a code, exactly.

    Example: of the functions on two points, 00 and 11; the others differ from both at one point.
        >>> code_error(2, (0, 3))
        Fraction(1, 4)
    """
    if not codewords:
        raise ValueError("a code needs at least one codeword, got none")
    differ = distances(num_points)
    return _as_error(int(differ[list(codewords)].amin(dim=0).sum()), num_points)


def volume_error(num_points: int, bits: int) -> Fraction:
    """The volume bound, in integers: no code of 2^B words has a smaller error.

    Example: one bit on three points; two words can have 12 functions at distance 1, and 13 are left for distance 2.
        >>> volume_error(3, 1)
        Fraction(38, 81)
    """
    require_integer("num_points", num_points, 2)
    require_integer("bits", bits, 0)
    left, total = num_points**num_points, 0
    for distance in range(num_points + 1):
        ball = math.comb(num_points, distance) * (num_points - 1) ** distance << bits
        filled = min(left, ball)
        left, total = left - filled, total + filled * distance
    return _as_error(total, num_points)


def best_code(num_points: int, bits: int, *, restarts: int, generator: torch.Generator) -> Code:
    """The best code of 2^B words if there are few enough to list, else the best that was found.

    Shifting all functions by one of them changes no distance, so that the first codeword may be function 0 and
    C(nⁿ − 1, k − 1) codes are left to list. The search replaces one codeword after the other by the best other one.

    Args:
        num_points: n, 2 to 4.
        bits: B.
        restarts: random codes from which the search starts.
        generator: draws them.
    """
    require_integer("restarts", restarts, 1)
    require_integer("bits", bits, 0)
    differ = distances(num_points)
    functions, size = len(differ), 2**bits
    if size >= functions:
        return Code(tuple(range(functions)), Fraction(0), best=True)
    if math.comb(functions - 1, size - 1) <= MOST_LISTED:
        total, codewords = _listed(differ, size)
        return Code(codewords, _as_error(total, num_points), best=True)
    total, codewords = min(_searched(differ, size, generator) for _ in range(restarts))
    error = _as_error(total, num_points)
    return Code(codewords, error, best=error == volume_error(num_points, bits))


def _listed(differ: Tensor, size: int) -> tuple[int, tuple[int, ...]]:
    """The least total distance of a code with function 0 in it, and such a code."""
    codes = combinations(range(1, len(differ)), size - 1)
    found: list[tuple[int, tuple[int, ...]]] = []
    while batch := list(islice(codes, BATCH_SIZE)):
        members = torch.tensor(batch, dtype=torch.int64).view(len(batch), size - 1)
        nearest = differ[0].expand(len(batch), -1)
        for column in members.unbind(dim=1):
            nearest = torch.minimum(nearest, differ[column])
        totals = nearest.sum(dim=1, dtype=torch.int64)
        place = int(totals.argmin())
        found.append((int(totals[place]), (0, *batch[place])))
    return min(found)


def _searched(differ: Tensor, size: int, generator: torch.Generator) -> tuple[int, tuple[int, ...]]:
    """A code that no change of one word improves."""
    code: Int[Tensor, " size"] = torch.randperm(len(differ), generator=generator)[:size]
    total, improved = int(differ[code].amin(dim=0).sum()), True
    while improved:
        improved = False
        for place in range(size):
            others = differ[torch.cat([code[:place], code[place + 1 :]])].amin(dim=0)
            totals = torch.minimum(differ, others).sum(dim=1, dtype=torch.int64)
            word = int(totals.argmin())
            if int(totals[word]) < total:
                code[place], total, improved = word, int(totals[word]), True
    return total, tuple(sorted(code.tolist()))


def _as_error(total: int, num_points: int) -> Fraction:
    """A total of distances over all functions as a share of all points."""
    return Fraction(total, num_points ** (num_points + 1))
