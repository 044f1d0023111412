"""Match3 with depth against width, for every modulus: about N/w² layers of width 3w, up to logarithms (ours).

A layer a stage of Batcher's odd-even merge sort, comparators beyond N left out; then rounds in which a token takes one
job of `sorted_blocks`, a diagonal and a K: the box by bisection, three lows a step; three blocks; verdicts collected by
block. Last, tokens look up their residue's verdict.

Letters: N = num_tokens, M = modulus, w = block, B = num_blocks.
"""

from dataclasses import dataclass
from math import isqrt

import torch
from jaxtyping import Int
from torch import Tensor

from attention_limits.constructions.deep_matching import Sizes, largest_readable, require_modulus
from attention_limits.constructions.fetch import Fetch, FetchStep, fetch_layer
from attention_limits.constructions.sorted_blocks import (
    BOX,
    FOUND,
    KEPT,
    RANK,
    Boxes,
    BoxMatcher,
    Job,
    job_columns,
)
from attention_limits.hypotheses import require_integer, require_matching
from attention_limits.problems.matching import Match3


@dataclass(frozen=True)
class TradePlan(Boxes):
    """Blocks of w ranks, and what they take, for any N ≥ 1, M ≥ 2 and 1 ≤ w ≤ N.

    Example:
        >>> TradePlan(256, 47_284, 16).sizes
        Sizes(depth=55, num_heads=3, width=48, bits=33)
    """

    num_tokens: int
    modulus: int
    block: int

    def __post_init__(self) -> None:
        require_matching(self.num_tokens, self.modulus)
        require_integer("block", self.block, 1)
        if self.block > self.num_tokens:
            raise ValueError(f"block w must be at most N = {self.num_tokens}, got {self.block}")
        readable = largest_readable(self.num_tokens, self.block) + 1  # and residues are addresses, 3 (M − 1)² ≤ 2^53
        require_modulus(Match3(self.num_tokens, self.modulus), min(readable, isqrt(2**53 // 3) + 1))

    @property
    def rounds(self) -> int:
        """⌈(3B² − B)/N⌉."""
        return -(-(3 * self.num_blocks**2 - self.num_blocks) // self.num_tokens)

    @property
    def bisections(self) -> int:
        """⌈log₂ B⌉."""
        return (self.num_blocks - 1).bit_length()

    @property
    def sizes(self) -> Sizes:
        """Depth l(l + 1)/2 + rounds · (⌈log₂ B⌉ + 2) + 1 with l = ⌈log₂ N⌉; at most 3 heads and d' = 3w."""
        stages = (self.num_tokens - 1).bit_length()
        depth = stages * (stages + 1) // 2 + self.rounds * (self.bisections + 2) + 1
        return Sizes(depth, 3, 3 * self.block, self.bits(max(self.modulus, self.num_tokens) - 1))


class TradeMatcher(BoxMatcher):
    """The layers of a `TradePlan`.

    Args:
        plan: N, M and w.
        jobs: by default each diagonal with each sum once.
    """

    plan: TradePlan

    def __init__(self, plan: TradePlan, jobs: list[Job] | None = None) -> None:
        self.plan = plan
        jobs, size = plan.jobs if jobs is None else jobs, plan.num_tokens
        steps = [self._sort(stage) for stage in merge_sort(size)]
        for place in range(plan.rounds):
            some = jobs[place * size : (place + 1) * size]
            steps += self._round(some, [self._bisect(some, step) for step in range(plan.bisections)])
        super().__init__(Match3(plan.num_tokens, plan.modulus), plan.sizes, [*steps, self._share()])

    def registers(self, inputs: Int[Tensor, "inputs tokens"]) -> Tensor:
        """(x_i, x_i, i, 0): token i is to keep the residue of rank i."""
        residue = super().registers(inputs)
        rank = torch.arange(self.plan.num_tokens).double().expand(inputs.shape).unsqueeze(-1)
        return torch.cat([residue, residue, rank, torch.zeros_like(residue)], dim=-1)

    def _share(self) -> FetchStep:
        """Each token looks up its residue among those that are kept: whether these have a triple."""

        def ask(registers: Tensor) -> list[Fetch]:
            return [Fetch(registers[..., 0], registers[..., KEPT], registers[..., FOUND:])]

        def keep(registers: Tensor, outputs: Tensor) -> Tensor:
            found = (outputs > 1 / (2 * self.plan.num_tokens)) | (registers[..., :1] == 0)
            return torch.cat([registers[..., :1], found.double()], dim=-1)

        return FetchStep(fetch_layer([1], self.plan.scale), ask, keep)

    def _sort(self, stage: list[tuple[int, int]]) -> FetchStep:
        """Tokens of a pair fetch each other's residue; the lower position keeps the smaller one."""
        position = torch.arange(self.plan.num_tokens)
        partner = position.clone()
        lower, upper = torch.tensor(stage).unbind(-1)
        partner[lower], partner[upper] = upper, lower

        def ask(registers: Tensor) -> list[Fetch]:
            return [_at_rank(registers, partner.double().expand(registers.shape[:-1]))]

        def keep(registers: Tensor, outputs: Tensor) -> Tensor:
            own, other = registers[..., KEPT], outputs[..., 0].round()
            kept = torch.where(partner > position, torch.minimum(own, other), own)
            kept = torch.where(partner < position, torch.maximum(own, other), kept)
            return torch.cat([registers[..., :KEPT], kept.unsqueeze(-1), registers[..., RANK:]], dim=-1)

        return FetchStep(fetch_layer([1], self.plan.scale), ask, keep)

    def _bisect(self, jobs: list[Job], step: int) -> FetchStep:
        """t lies in an interval, at first the whole diagonal: token-wise by three lows at the middle."""
        plan = self.plan
        told, total = job_columns(jobs, plan.num_tokens)
        end = plan.num_blocks - 1 - told.amax(dim=-1)

        def interval(registers: Tensor) -> tuple[Tensor, Tensor]:
            if step == 0:
                return torch.zeros_like(registers[..., 0]), end.expand(registers.shape[:-1])
            return registers[..., BOX], registers[..., BOX + 1]

        def ask(registers: Tensor) -> list[Fetch]:
            first, last = interval(registers)
            middle = (first + last + 1) // 2
            return [_at_rank(registers, plan.block * (block + middle)) for block in told.unbind(-1)]

        def keep(registers: Tensor, outputs: Tensor) -> Tensor:
            first, last = interval(registers)
            middle = (first + last + 1) // 2
            below = outputs.round().sum(dim=-1) <= total * plan.modulus
            first, last = torch.where(below, middle, first), torch.where(below, last, torch.maximum(first, middle - 1))
            found = [first] if step == plan.bisections - 1 else [first, last]
            return torch.cat([registers[..., :BOX], torch.stack(found, dim=-1)], dim=-1)

        return FetchStep(fetch_layer([1] * 3, plan.scale), ask, keep)


def merge_sort(num_tokens: int) -> list[list[tuple[int, int]]]:
    """Batcher's odd-even merge sort: for each stage its comparators (i, j), i < j, without those beyond N.

    All of them put the smaller one first, so that what is beyond N would stay there if it were larger than the rest.

    Example:
        >>> merge_sort(4)
        [[(0, 1), (2, 3)], [(0, 2), (1, 3)], [(1, 2)]]
    """
    stages, run = [], 1  # runs of this length are sorted
    while run < num_tokens:
        distance = run
        while distance:
            starts = (
                i for i in range(distance % run, num_tokens - distance) if (i - distance % run) // distance % 2 == 0
            )
            stages.append([(i, i + distance) for i in starts if i // (2 * run) == (i + distance) // (2 * run)])
            distance //= 2
        run *= 2
    return stages


def _at_rank(registers: Tensor, rank: Tensor) -> Fetch:
    return Fetch(rank, registers[..., RANK], registers[..., KEPT : KEPT + 1])
