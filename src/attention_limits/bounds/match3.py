"""Why Match3 needs bits (Theorem 7 of the paper): disjointness inside it, and its one-way complexity counted exactly.

The first token has the residue 1 and is known to both parties. Then two residues u and v complete it when
v = −1 − u. This pairs the residues, except for a fixed point 2u = −1 when M is odd. The residue 1 itself is the filler:
its partner −2 is never used. What remains is ⌊(M − 2)/2⌋ pairs, for M ≥ 4. A party that holds at most one member of
each pair can't complete the triple by itself.

In the one-way form Alice holds the tokens 2 … N − 1 and Bob token N. What she holds is a set of members, which
`row_number` numbers; `hard_inputs` draws them, and `index_inputs` lists those in which she holds one of each pair.

Letters: N = num_tokens, M = modulus, n = num_bits, S = the set of Alice's residues and the filler.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from math import comb
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from attention_limits.bounds.counting import least_bits
from attention_limits.bounds.protocols import Bits, Conversation, Party, receive, run_protocol
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
    return least_bits(num_different_rows(num_tokens, modulus))


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


def row_number(held: Sequence[int], modulus: int) -> int:
    """The number of Alice's row, below `num_different_rows`; 0 is the row of ones, the others follow by the size of S.

    Args:
        held: the residues of her tokens.

    Example: fillers alone, one member of the only pair {0, 3}, the other one, and both.
        >>> [row_number(held, modulus=4) for held in ([1, 1], [0, 1], [1, 3], [0, 3])]
        [1, 2, 3, 0]
    """
    members = set(held) - {FILLER}
    if any((-1 - residue) % modulus in members | {FILLER} for residue in members):
        return 0
    sides = {member: place for place, pair in enumerate(_pairs(modulus)) for member in pair}
    chosen = sorted((sides[residue], residue) for residue in members)
    pairs, size = len(sides) // 2, len(chosen)
    smaller_sets = sum(comb(pairs, held) << held for held in range(size))
    places = sum(comb(place, count) for count, (place, _) in enumerate(chosen, 1))  # the combinatorial number system
    larger = sum((2 * residue >= modulus) << count for count, (_, residue) in enumerate(chosen))
    return 1 + smaller_sets + (places << size) + larger


def members_of_row(number: int, modulus: int) -> set[int] | None:
    """The members that Alice holds if this is her `row_number`; None for the row of ones.

    Example:
        >>> sorted(members_of_row(row_number([8, 2, 1, 2], modulus=9), modulus=9))
        [2, 8]
    """
    if number == 0:
        return None
    pairs, size, rest = _pairs(modulus), 0, number - 1
    while rest >= (sets := comb(len(pairs), size) << size):
        rest, size = rest - sets, size + 1
    places, larger = divmod(rest, 1 << size)
    members = set()
    for count in range(size, 0, -1):
        place = max(place for place in range(len(pairs)) if comb(place, count) <= places)
        places -= comb(place, count)
        members.add(pairs[place][larger >> (count - 1) & 1])
    return members


def send_row(tokens: Sequence[int], modulus: int) -> Conversation:
    """The first output from the fewest bits: Alice sends the number of her row, `one_way_bits`, and Bob answers.

    Args:
        tokens: the residues of tokens 1 … N; the first one must be the filler.
    """
    width = one_way_bits(len(tokens), modulus)

    def alice() -> Party:
        yield Bits(row_number(tokens[1:-1], modulus), width)

    def bob() -> Party:
        message = yield from receive(width)
        members, last = members_of_row(message.value, modulus), tokens[-1]
        return members is None or (-1 - last) % modulus in members | {FILLER, last}

    return run_protocol(alice(), bob(), capacity=width)


def hard_inputs(
    num_tokens: int, modulus: int, count: int, *, generator: torch.Generator
) -> Int[Tensor, "count tokens"]:
    """Sequences whose first output Bob's one token decides, in turns 1 and 0.

    Alice's set S is as in `num_different_rows`: at most one member of each pair, of a random size from 1 on, and
    fillers. Bob's token is −1 − u, for a random u in S every first time, and for one outside S every second time.

    Raises:
        ValueError: unless N ≥ 3 and M ≥ 4.
    """
    _require_one_way(num_tokens, modulus)
    pairs, inputs = residue_pairs(modulus), torch.full((count, num_tokens), FILLER)

    def draw(high: int, size: tuple[int, ...] = ()) -> Tensor:
        return torch.randint(high, size, generator=generator)

    for row in range(count):
        held = 1 + int(draw(min(num_tokens - 2, len(pairs))))
        places = torch.randperm(len(pairs), generator=generator)[:held]
        members = pairs[places, draw(2, (held,))]
        slots = 1 + torch.randperm(num_tokens - 2, generator=generator)[:held]
        inputs[row, slots] = members
        outside = pairs[~torch.isin(pairs, members)]
        candidates = members if row % 2 == 0 else outside
        inputs[row, -1] = (-1 - candidates[draw(len(candidates))]) % modulus
    return inputs


class IndexInputs(NamedTuple):
    """Strings a of n bits and questions i, each with the sequence in which Match3's first output is a_i."""

    inputs: Int[Tensor, "cases tokens"]
    answers: Bool[Tensor, " cases"]


def num_index_bits(num_tokens: int, modulus: int) -> int:
    """n = min(N − 2, ⌊(M−2)/2⌋): the bits that Alice's tokens can hold for Bob to ask for one of them.

    Example:
        >>> num_index_bits(65, 66), num_index_bits(65, 128)
        (32, 63)
    """
    _require_one_way(num_tokens, modulus)
    return min(num_tokens - 2, (modulus - 2) // 2)


def index_inputs(num_tokens: int, modulus: int) -> IndexInputs:
    """All 2^n n of them: Alice holds the smaller member of pair i if a_i = 1, else the larger, and Bob the larger one.

    Raises:
        ValueError: unless N ≥ 3 and M ≥ 4.

    Example: the pair {0, 3}; a = 0, then a = 1.
        >>> index_inputs(3, 4)
        IndexInputs(inputs=tensor([[1, 3, 3],
                [1, 0, 3]]), answers=tensor([False,  True]))
    """
    n = num_index_bits(num_tokens, modulus)
    pairs = residue_pairs(modulus)[:n]
    strings = (torch.arange(2**n).unsqueeze(1) >> torch.arange(n) & 1).bool()
    inputs = torch.full((2**n, n, num_tokens), FILLER)
    inputs[:, :, 1 : n + 1] = torch.where(strings, pairs[:, 0], pairs[:, 1]).unsqueeze(1)
    inputs[:, :, -1] = pairs[:, 1]
    return IndexInputs(inputs.flatten(0, 1), strings.flatten())


def _pairs(modulus: int) -> list[list[int]]:
    return residue_pairs(modulus).tolist()


def _require_one_way(num_tokens: int, modulus: int) -> None:
    require_integer("num_tokens", num_tokens, 1)
    if num_tokens < 3:
        raise ValueError(f"Alice needs a token besides the first and Bob's: N ≥ 3, got N = {num_tokens}")
    require_integer("modulus", modulus, 1)
    if modulus < 4:
        raise ValueError(f"the count of rows needs M ≥ 4, got M = {modulus}")
