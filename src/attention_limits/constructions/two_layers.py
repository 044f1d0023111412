"""Match3 in two layers of width about N^{2/3}, or M/√N: tokens split the triples, or the sums, among them (ours).

**Cubes.** Positions lie in blocks of w. Token τ stands for three blocks (s; u ≤ v): B²(B + 1)/2 ≤ N tokens for B
blocks. In layer 1 it reads the residues of all three. By itself it finds which members of s are completed by one of u
and one of v. In layer 2 each token asks for the tokens that stand for its block, and reads the mean of their verdicts
in its own slot. Each triple of tokens lies in exactly one (s; {u, v}), so that the mean times B(B + 1)/2 counts the τ
that found one.

**Sums.** Residues lie in blocks of w. Token τ stands for u ≤ v: U(U + 1)/2 ≤ N tokens for U blocks. In layer 1 it
reads which residues of both occur, a share of at least 1/N where one does, and knows their sums (u + v)w + σ with 0 ≤
σ ≤ 2w − 2. In layer 2 each token looks for M − x and 2M − x, or 0 and M if x = 0, among the sums: t is held under the
address ⌊t/w⌋ or the one below, if by any. Both layers ask a quarter below an address and read it too, which tells
whether it occurs.

Letters: N = num_tokens, M = modulus, w = width of a block, B or U = num_blocks.
"""

from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor

from attention_limits.constructions.deep_matching import (
    NOWHERE,
    READING_ERROR,
    DeepMatcher,
    PositionBlocks,
    Sizes,
    completed,
    entry_bits,
    in_slots,
    largest_readable,
    occurring,
    reading_scale,
    require_modulus,
)
from attention_limits.constructions.fetch import GAP_AT_QUARTER, Fetch, FetchStep, fetch_layer, fetch_scale
from attention_limits.hypotheses import require_matching
from attention_limits.problems.matching import Match3


@dataclass(frozen=True)
class CubesPlan:
    """Blocks of positions, and what they take, for any N ≥ 1 and M ≥ 2.

    Example: 512 tokens in 9 blocks.
        >>> plan = CubesPlan(512, 189_000)
        >>> plan.num_blocks, plan.block, plan.sizes
        (9, 57, Sizes(depth=2, num_heads=3, width=171, bits=19))
    """

    num_tokens: int
    modulus: int

    def __post_init__(self) -> None:
        require_matching(self.num_tokens, self.modulus)
        problem = Match3(self.num_tokens, self.modulus)
        require_modulus(problem, largest_readable(self.num_tokens, self.block) + 1)

    @property
    def block(self) -> int:
        """w = ⌈N/B⌉ for the largest B with B²(B + 1)/2 ≤ N."""
        blocks = 1
        while (blocks + 1) ** 2 * (blocks + 2) // 2 <= self.num_tokens:
            blocks += 1
        return -(-self.num_tokens // blocks)

    @property
    def num_blocks(self) -> int:
        """⌈N/w⌉, at most B."""
        return -(-self.num_tokens // self.block)

    @property
    def scale(self) -> float:
        """c of both layers."""
        return reading_scale(self.num_tokens, self.modulus - 1)

    @property
    def triples(self) -> list[tuple[int, int, int]]:
        """(s; u ≤ v) of each token that stands for some."""
        blocks = range(self.num_blocks)
        return [(s, u, v) for s in blocks for v in blocks for u in range(v + 1)]

    @property
    def sizes(self) -> Sizes:
        """Two layers, of 3 heads and 3w value coordinates, then of one head and w."""
        scale, top = int(self.scale), self.num_blocks - 1
        idle = NOWHERE**2 if len(self.triples) < self.num_tokens else 0
        largest = max(self.modulus - 1, top**2, idle, 2 * scale * top, scale)
        return Sizes(2, 3, 3 * self.block, entry_bits(largest))


class CubesMatcher(DeepMatcher):
    """The two layers of a `CubesPlan`.

    Args:
        plan: N and M.
        triples: what tokens stand for, by default each block triple once.
    """

    def __init__(self, plan: CubesPlan, triples: list[tuple[int, int, int]] | None = None) -> None:
        self.plan = plan
        self._blocks = PositionBlocks(plan.num_tokens, plan.block, plan.triples if triples is None else triples)
        steps = [
            FetchStep(fetch_layer([plan.block] * 3, plan.scale), self._blocks.ask_lists, self._judge),
            FetchStep(fetch_layer([plan.block], plan.scale), self._blocks.ask_told, self._label),
        ]
        super().__init__(Match3(plan.num_tokens, plan.modulus), plan.sizes, steps)

    def _judge(self, registers: Tensor, outputs: Tensor) -> Tensor:
        """The verdicts on the members of s, after x_i."""
        verdicts = completed(self._blocks.lists(outputs), 0, self.plan.modulus)
        return torch.cat([registers, verdicts.double()], dim=-1)

    def _label(self, registers: Tensor, outputs: Tensor) -> Tensor:
        """How many tokens found a completion: the mean over B(B + 1)/2."""
        blocks = self.plan.num_blocks
        return self._blocks.own((blocks * (blocks + 1) // 2 * outputs).round())


@dataclass(frozen=True)
class SumsPlan:
    """Blocks of residues, and what they take, for any N ≥ 1 and M ≥ 2.

    Example: 1,024 tokens modulo 1,025, in 43 blocks.
        >>> plan = SumsPlan(1024, 1025)
        >>> plan.num_blocks, plan.block, plan.sizes
        (43, 24, Sizes(depth=2, num_heads=4, width=192, bits=14))
    """

    num_tokens: int
    modulus: int

    def __post_init__(self) -> None:
        require_matching(self.num_tokens, self.modulus)

    @property
    def block(self) -> int:
        """w = ⌈M/U⌉ for the largest U with U(U + 1)/2 ≤ N."""
        blocks = (isqrt(8 * self.num_tokens + 1) - 1) // 2
        return -(-self.modulus // blocks)

    @property
    def num_blocks(self) -> int:
        """⌈M/w⌉, at most U."""
        return -(-self.modulus // self.block)

    @property
    def scale(self) -> float:
        """c of both layers: shares are found within 1/(4N), and addresses, from −2 to 2(U − 1), within 1/8."""
        share = fetch_scale(self.num_tokens, spread=1, error=1 / (4 * self.num_tokens), gap=GAP_AT_QUARTER)
        address = fetch_scale(self.num_tokens, spread=2 * self.num_blocks, error=READING_ERROR, gap=GAP_AT_QUARTER)
        return max(2.0, share, address)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """u ≤ v of each token that stands for some."""
        return [(u, v) for v in range(self.num_blocks) for u in range(v + 1)]

    @property
    def sizes(self) -> Sizes:
        """Two layers: 2 heads of w + 1 value coordinates, 4 of 2w (sums from 0 to 2w − 2, and the address)."""
        scale, top = int(self.scale), 2 * (self.num_blocks - 1)
        asked = (2 * self.modulus - 1) // self.block  # the highest, for x = 1
        largest = max(top**2, NOWHERE**2, 2 * scale * asked - scale // 2, 5 * scale // 2)  # the last asks −5/4
        return Sizes(2, 4, max(8 * self.block, 2 * (self.block + 1)), entry_bits(largest))


class SumsMatcher(DeepMatcher):
    """The two layers of a `SumsPlan`.

    Args:
        plan: N and M.
        pairs: what tokens stand for, by default each pair of blocks once.
    """

    def __init__(self, plan: SumsPlan, pairs: list[tuple[int, int]] | None = None) -> None:
        self.plan = plan
        pairs = plan.pairs if pairs is None else pairs
        idle = plan.num_tokens - len(pairs)
        self._read = torch.tensor(pairs + [(0, 0)] * idle)  # (tokens, 2)
        self._told = torch.tensor([u + v for u, v in pairs] + [NOWHERE] * idle).double()
        steps = [
            FetchStep(fetch_layer([plan.block + 1] * 2, plan.scale), self._ask_blocks, self._add),
            FetchStep(fetch_layer([2 * plan.block] * 4, plan.scale), self._ask_sums, self._label),
        ]
        super().__init__(Match3(plan.num_tokens, plan.modulus), plan.sizes, steps)

    def _ask_blocks(self, registers: Tensor) -> list[Fetch]:
        residue = registers[..., 0]
        block, slot = residue // self.plan.block, (residue % self.plan.block).long()
        values = torch.cat([in_slots(torch.ones_like(residue), slot, self.plan.block), block.unsqueeze(-1)], dim=-1)
        return [Fetch((wanted - 0.25).expand(residue.shape), block, values) for wanted in self._read.unbind(-1)]

    def _add(self, registers: Tensor, outputs: Tensor) -> Tensor:
        """The sums of the residues of both blocks, less (u + v)w, after x_i."""
        wanted = self._read.double().unsqueeze(-1)
        first, second = occurring(outputs.unflatten(-1, (2, -1)), wanted, self.plan.num_tokens).unbind(-2)
        sums = torch.zeros(*first.shape[:-1], 2 * self.plan.block - 1, dtype=torch.bool)
        for slot in range(self.plan.block):
            sums[..., slot : slot + self.plan.block] |= first[..., slot : slot + 1] & second
        return torch.cat([registers, sums.double()], dim=-1)

    def _ask_sums(self, registers: Tensor) -> list[Fetch]:
        told = self._told.expand(registers.shape[:-1])
        values = torch.cat([registers[..., 1:], told.unsqueeze(-1)], dim=-1)
        return [Fetch(address - 0.25, told, values) for address in self._looked_up(registers)[0].unbind(-1)]

    def _label(self, registers: Tensor, outputs: Tensor) -> Tensor:
        """Whether a sum is held where it would be."""
        address, slot = self._looked_up(registers)
        held = occurring(outputs.unflatten(-1, (4, -1)), address.unsqueeze(-1), self.plan.num_tokens)
        held = torch.cat([held, torch.zeros_like(held[..., :1])], dim=-1)  # no sum has σ = 2w − 1
        return held.gather(-1, slot.long().unsqueeze(-1)).squeeze(-1).any(dim=-1, keepdim=True).double()

    def _looked_up(self, registers: Tensor) -> tuple[Tensor, Tensor]:
        """Addresses and slots (inputs, tokens, 4) at which the two sums that complete x may be held."""
        residue, modulus, block = registers[..., 0], self.plan.modulus, self.plan.block
        totals = torch.stack([modulus - residue, torch.where(residue > 0, 2 * modulus - residue, 0.0)], dim=-1)
        address = torch.stack([totals // block, totals // block - 1], dim=-1)
        return address.flatten(-2), (totals.unsqueeze(-1) - address * block).flatten(-2)
