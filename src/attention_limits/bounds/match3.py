"""Why Match3 needs bits (Theorem 7 of the paper): disjointness inside it, and its one-way complexity counted exactly.

The first token has the residue 1 and is known to both parties. Then two residues u and v complete it when
v = −1 − u. This pairs the residues, except for a fixed point 2u = −1 when M is odd. The residue 1 itself is the filler:
its partner −2 is never used. What remains is ⌊(M − 2)/2⌋ pairs, for M ≥ 4. A party that holds at most one member of
each pair can't complete the triple by itself.

Letters: N = num_tokens, M = modulus, n = num_bits.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from math import comb

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from attention_limits.hypotheses import require_integer
from attention_limits.problems.matching import Match3

Strings = Bool[Tensor, "strings num_bits"]

#: The residue of the first token, and what fills places that say nothing.
FILLER = 1


def residue_pairs(modulus: int) -> Int[Tensor, "pairs members"]:
    """The ⌊(M − 2)/2⌋ pairs {u, −1 − u}, the smaller member first; without a fixed point and the pair {1, −2}.

    Raises:
        ValueError: unless M ≥ 4. For M = 3 the filler completes itself, 1 + 1 + 1 = 3, and for M = 2 there is no pair.

    Example:
        >>> residue_pairs(9).tolist()
        [[0, 8], [2, 6], [3, 5]]
    """
    require_integer("modulus", modulus, 1)
    if modulus < 4:
        raise ValueError(f"the pairs {{u, −1 − u}} need M ≥ 4, got M = {modulus}")
    smaller = torch.tensor([u for u in range(modulus // 2) if u != FILLER])
    return torch.stack([smaller, modulus - 1 - smaller], dim=1)


@dataclass(frozen=True)
class DisjointnessInMatch3:
    """DISJ on n bits as the first output of Match3, for N ≥ 2n + 1 and M ≥ 2n + 2.

    Token 0 is the filler 1. Alice's token i, 1 ≤ i ≤ n, is the smaller member of pair i if a_i = 1; Bob's token n + i
    is the larger member if b_i = 1; all else is the filler. No two residues of one party are partners, so the first
    output is 1 if and only if both members of a pair are there: Match3(x)_0 = DISJ(a, b).

    Raises:
        ValueError: unless n ≥ 1, N ≥ 2n + 1 and M ≥ 2n + 2.

    Example: a = 10 and b = 11 have an element in common, and 1 + 0 + 5 = 6.
        >>> reduction = DisjointnessInMatch3(num_bits=2, num_tokens=5, modulus=6)
        >>> x = reduction.inputs(torch.tensor([[True, False]]), torch.tensor([[True, True]]))
        >>> x.tolist(), reduction.problem.target(x)[0, 0].item()
        ([[1, 0, 1, 5, 3]], True)
    """

    num_bits: int
    num_tokens: int
    modulus: int

    def __post_init__(self) -> None:
        for name, value in (("num_bits", self.num_bits), ("num_tokens", self.num_tokens), ("modulus", self.modulus)):
            require_integer(name, value, 1)
        bits = self.num_bits
        if self.num_tokens < 2 * bits + 1:
            raise ValueError(f"the reduction needs N ≥ {2 * bits + 1} for n = {bits}, got N = {self.num_tokens}")
        if self.modulus < 2 * bits + 2:
            raise ValueError(f"the reduction needs M ≥ {2 * bits + 2} for n = {bits}, got M = {self.modulus}")

    @property
    def problem(self) -> Match3:
        """The Match3 that is asked for."""
        return Match3(self.num_tokens, self.modulus)

    @cached_property
    def pairs(self) -> Int[Tensor, "num_bits members"]:
        """The first n pairs of `residue_pairs`."""
        return residue_pairs(self.modulus)[: self.num_bits]

    def inputs(self, alice: Strings, bob: Strings) -> Int[Tensor, "strings tokens"]:
        """The sequences for a batch of pairs of strings."""
        tokens = torch.full((len(alice), self.num_tokens), FILLER)
        tokens[:, 1 : self.num_bits + 1] = torch.where(alice, self.pairs[:, 0], FILLER)
        tokens[:, self.num_bits + 1 : 2 * self.num_bits + 1] = torch.where(bob, self.pairs[:, 1], FILLER)
        return tokens


def num_different_rows(num_tokens: int, modulus: int) -> int:
    """1 + Σ_{j ≤ N−2} C(⌊(M−2)/2⌋, j) 2^j: different rows of the table of Match3(1, Alice's N − 2 tokens, Bob's one)_1.

    Alice's tokens that complete a triple by themselves all give the one row of ones. Otherwise she holds at most one
    member of each pair; the row is 1 exactly at the partners of what she holds and at a fixed point, so it tells which.

    Raises:
        ValueError: unless N ≥ 3 and M ≥ 4.

    Example:
        >>> num_different_rows(3, 6), num_different_rows(5, 6)
        (6, 10)
    """
    _require_one_way(num_tokens, modulus)
    pairs = (modulus - 2) // 2
    return 1 + sum(comb(pairs, held) * 2**held for held in range(min(num_tokens - 2, pairs) + 1))


def one_way_bits(num_tokens: int, modulus: int) -> int:
    """⌈log₂⌉ of `num_different_rows`: bits that Alice must send, and that are enough.

    Example:
        >>> one_way_bits(65, 66)
        51
    """
    return (num_different_rows(num_tokens, modulus) - 1).bit_length()


def count_different_rows(num_tokens: int, modulus: int) -> int:
    """The same number, counted from the table of all of Alice's multisets against all of Bob's residues.

    The first output doesn't depend on the order of the other tokens, so that one order of each multiset is enough.
    """
    _require_one_way(num_tokens, modulus)
    held = torch.tensor(list(combinations_with_replacement(range(modulus), num_tokens - 2)))
    problem = Match3(num_tokens, modulus)
    columns = []
    for residue in range(modulus):
        first, last = torch.full((len(held), 1), FILLER), torch.full((len(held), 1), residue)
        columns.append(problem.target(torch.cat([first, held, last], dim=1))[:, 0])
    return len(torch.stack(columns, dim=1).unique(dim=0))


def _require_one_way(num_tokens: int, modulus: int) -> None:
    require_integer("num_tokens", num_tokens, 1)
    if num_tokens < 3:
        raise ValueError(f"Alice needs a token besides the first and Bob's: N ≥ 3, got N = {num_tokens}")
    require_integer("modulus", modulus, 1)
    if modulus < 4:
        raise ValueError(f"the count of rows needs M ≥ 4, got M = {modulus}")
