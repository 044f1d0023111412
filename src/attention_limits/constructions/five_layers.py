"""Match3 in five layers of width about √N, for every modulus (ours).

Two layers rank the residues: tokens compare two parts of the positions each, and the mean of the counts, times their
number, is the rank. One brings all lows to everybody; then each token does one job of `sorted_blocks`.

Letters: N = num_tokens, M = modulus, w = block, B = num_blocks.
"""

from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor

from attention_limits.constructions.deep_matching import (
    PositionBlocks,
    Sizes,
    in_slots,
    largest_readable,
    require_modulus,
)
from attention_limits.constructions.fetch import Fetch, FetchStep, fetch_layer
from attention_limits.constructions.sorted_blocks import BOX, KEPT, RANK, Boxes, BoxMatcher, Job, job_columns
from attention_limits.hypotheses import require_matching
from attention_limits.problems.matching import Match3


@dataclass(frozen=True)
class FiveLayersPlan(Boxes):
    """The most blocks whose jobs are no more than tokens, and what they take, for any N ≥ 2 and M ≥ 2.

    Example:
        >>> plan = FiveLayersPlan(400, 115_440)
        >>> plan.num_blocks, plan.block, plan.sizes
        (11, 37, Sizes(depth=5, num_heads=3, width=111, bits=18))
    """

    num_tokens: int
    modulus: int

    def __post_init__(self) -> None:
        require_matching(self.num_tokens, self.modulus)
        if self.num_tokens < 2:
            raise ValueError(f"five layers need two jobs, N ≥ 2, got N = {self.num_tokens}")
        require_modulus(Match3(self.num_tokens, self.modulus), largest_readable(self.num_tokens, self.block) + 1)

    @property
    def block(self) -> int:  # type: ignore[override]  # follows from N
        """w = ⌈N/B⌉ for the largest B with 3B² − B ≤ N, which is ⌊(1 + √(12N + 1))/6⌋."""
        return -(-self.num_tokens // ((1 + isqrt(12 * self.num_tokens + 1)) // 6))

    @property
    def part(self) -> int:
        """⌈N/A⌉ positions in a part, for A = ⌊√N⌋ parts, by which ranks are counted."""
        return -(-self.num_tokens // isqrt(self.num_tokens))

    @property
    def sizes(self) -> Sizes:
        """Five layers, at most 3 heads, d' = 3w."""
        top = max(self.num_blocks, -(-self.num_tokens // self.part)) - 1
        return Sizes(5, 3, 3 * self.block, self.bits(top))


class FiveLayersMatcher(BoxMatcher):
    """The layers of a `FiveLayersPlan`.

    Args:
        plan: N and M.
        jobs: by default each diagonal with each sum once.
    """

    plan: FiveLayersPlan

    def __init__(self, plan: FiveLayersPlan, jobs: list[Job] | None = None) -> None:
        self.plan = plan
        parts = range(-(-plan.num_tokens // plan.part))
        pairs = [(own, other) for own in parts for other in parts]
        self._parts, self._num_parts = PositionBlocks(plan.num_tokens, plan.part, pairs), len(parts)
        steps = [
            FetchStep(fetch_layer([plan.part] * 2, plan.scale), self._parts.ask_lists, self._compare),
            FetchStep(fetch_layer([plan.part], plan.scale), self._parts.ask_told, self._rank),
        ]
        jobs = plan.jobs if jobs is None else jobs
        steps += self._round(jobs, [self._find(jobs)])
        super().__init__(Match3(plan.num_tokens, plan.modulus), plan.sizes, steps)

    def _compare(self, registers: Tensor, outputs: Tensor) -> Tensor:
        """For each member of the first part, how many of the second are smaller, or equal and further left."""
        own, others = self._parts.lists(outputs)
        places = self.plan.part * self._parts.read.unsqueeze(-1) + torch.arange(self.plan.part)  # (tokens, 2, slots)
        counts = torch.zeros_like(own)
        for slot in range(self.plan.part):
            other = others[..., slot : slot + 1]
            further_left = places[:, 1, slot : slot + 1] < places[:, 0]
            counts += (other >= 0) & ((other < own) | ((other == own) & further_left))
        return torch.cat([registers, counts.double()], dim=-1)

    def _rank(self, registers: Tensor, outputs: Tensor) -> Tensor:
        """(x_i, x_i, rank, x_i = 0): the mean count over all parts, times how many there are, is the rank."""
        residue, rank = registers[..., :1], self._parts.own((self._num_parts * outputs).round())
        return torch.cat([residue, residue, rank, (residue == 0).double()], dim=-1)

    def _find(self, jobs: list[Job]) -> FetchStep:
        """All tokens read all lows at once, and each finds its t by itself."""
        plan = self.plan
        told, total = job_columns(jobs, plan.num_tokens)
        end = plan.num_blocks - 1 - told.amax(dim=-1)

        def ask(registers: Tensor) -> list[Fetch]:
            rank = registers[..., RANK]
            values = in_slots(registers[..., KEPT], (rank // plan.block).long(), plan.num_blocks)
            return [Fetch(torch.zeros_like(rank), (rank % plan.block > 0).double(), values)]

        def keep(registers: Tensor, outputs: Tensor) -> Tensor:
            lows = (plan.num_blocks * outputs).round()
            box = torch.zeros_like(registers[..., 0])
            for step in range(1, plan.num_blocks):
                place = (told + step).clamp(max=plan.num_blocks - 1).long().expand(*box.shape, 3)
                below = lows.gather(-1, place).sum(dim=-1) <= total * plan.modulus
                box = torch.where(below & (step <= end), step, box)
            return torch.cat([registers[..., :BOX], box.unsqueeze(-1)], dim=-1)

        return FetchStep(fetch_layer([plan.num_blocks], plan.scale), ask, keep)
