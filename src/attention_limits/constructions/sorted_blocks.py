"""Match3 by sorting, for every modulus: five layers of width about √N, or depth against width, D d'² ≈ N (ours).

Let v_0 ≤ v_1 ≤ … be the residues in order, in blocks of w ranks. A *box* (s; u ≤ v) is three blocks, L the sum of
their least residues, their lows. On a *diagonal* (s + t; u + t, v + t) these sums do not fall. If x + y + z = K with
x in block s, take the *last* blocks u and v that hold y and z. Then L ≤ K in (s; u, v), and L > K in the next box, as
the lows after u and v are above y and z: **only the last box of a diagonal with L ≤ K has to be tried.** Of B blocks
there are (3B² − B)/2 diagonals, those that start with u = 0 or s = 0, and two sums K, M and 2M; x_i = 0 has the label
1 at once.

`TradePlan`: a layer a stage of Batcher's odd-even merge sort, comparators beyond N left out; then rounds in which a
token takes one job, a diagonal and a K: the box by bisection, three lows a step; three blocks; verdicts collected by
block. Last, tokens look up their residue's verdict. `FiveLayersPlan`: ranks in two layers, all lows at once, one job
a token.

Letters: N = num_tokens, M = modulus, w = block, B = num_blocks, K = total, t = the box of a diagonal.
"""

from dataclasses import dataclass
from math import isqrt

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.constructions.deep_matching import (
    NOWHERE,
    DeepMatcher,
    Sizes,
    completed,
    entry_bits,
    in_slots,
    largest_readable,
    reading_scale,
    require_modulus,
)
from attention_limits.constructions.fetch import GAP_AT_QUARTER, Fetch, FetchStep, fetch_layer, fetch_scale
from attention_limits.constructions.two_layers import block_lists, occurring
from attention_limits.hypotheses import require_integer, require_matching
from attention_limits.problems.matching import Match3

#: A job of a token: a diagonal (s, u, v) and which multiple of M the sum is.
Job = tuple[int, int, int, int]
#: Registers after x_i: the residue that the token keeps, and its rank; whether it has a triple; t of the token's job.
KEPT, RANK, FOUND, BOX = range(1, 5)


class Boxes:
    """What both plans share: blocks of ranks, jobs, and the scales."""

    num_tokens: int
    modulus: int
    block: int

    @property
    def num_blocks(self) -> int:
        """B = ⌈N/w⌉."""
        return -(-self.num_tokens // self.block)

    @property
    def jobs(self) -> list[Job]:
        """The (3B² − B)/2 diagonals, each with K = M and K = 2M."""
        blocks = range(self.num_blocks)
        diagonals = [(0, u, v) for v in blocks for u in range(v + 1)] + [(s, 0, v) for s in blocks[1:] for v in blocks]
        return [(*diagonal, multiple) for diagonal in diagonals for multiple in (1, 2)]

    @property
    def scale(self) -> float:
        """c of all layers: residues are read within 1/8, shares within 1/(4N), addresses within 1/8."""
        share = fetch_scale(self.num_tokens, spread=1, error=1 / (4 * self.num_tokens), gap=GAP_AT_QUARTER)
        address = fetch_scale(self.num_tokens, spread=self.num_blocks + 1, error=1 / 8, gap=GAP_AT_QUARTER)
        return max(reading_scale(self.num_tokens, max(self.modulus, self.num_tokens) - 1), share, address)

    def _bits(self, top: int) -> int:
        """p, with residues as values, and addresses and questions up to ``top``, or from a quarter below 0 on."""
        scale = int(self.scale)
        return entry_bits(max(self.modulus - 1, top**2, NOWHERE**2, 2 * scale * top, scale))


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
        return Sizes(depth, 3, 3 * self.block, self._bits(max(self.modulus, self.num_tokens) - 1))


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
        return Sizes(5, 3, 3 * self.block, self._bits(top))


class BoxMatcher(DeepMatcher):
    """The layers that both share."""

    plan: Boxes

    def _round(self, jobs: list[Job], find: list[FetchStep]) -> list[FetchStep]:
        """Layers that do a job a token: ``find`` puts t into the last register, or t = 0; then blocks, verdicts."""
        plan = self.plan
        told, total = job_columns(jobs, plan.num_tokens)
        busy = total > 0
        sizes = (torch.arange(plan.num_tokens) // plan.block).bincount()

        def blocks(registers: Tensor) -> Tensor:
            return told + (registers[..., BOX : BOX + 1] if registers.shape[-1] > BOX else 0)

        def ask_blocks(registers: Tensor) -> list[Fetch]:
            rank = registers[..., RANK]
            values = in_slots(registers[..., KEPT], (rank % plan.block).long(), plan.block)
            asked = blocks(registers).expand(*rank.shape, 3)
            return [Fetch(block, rank // plan.block, values) for block in asked.unbind(-1)]

        def judge(registers: Tensor, outputs: Tensor) -> Tensor:
            asked = blocks(registers).expand(*registers.shape[:-1], 3)
            lists = block_lists(outputs, sizes[asked.long()])
            verdicts = completed(lists, (total * plan.modulus).unsqueeze(-1))
            address = torch.where(busy, asked[..., 0], NOWHERE)
            return torch.cat([registers[..., :BOX], verdicts.double(), address.unsqueeze(-1)], dim=-1)

        def ask_verdicts(registers: Tensor) -> list[Fetch]:
            return [Fetch(registers[..., RANK] // plan.block - 0.25, registers[..., -1], registers[..., BOX:])]

        def collect(registers: Tensor, outputs: Tensor) -> Tensor:
            rank = registers[..., RANK].long()
            found = occurring(outputs, (rank // plan.block).double().unsqueeze(-1), plan.num_tokens)
            mine = found.gather(-1, (rank % plan.block).unsqueeze(-1)) | (registers[..., FOUND:BOX] > 0)
            return torch.cat([registers[..., :FOUND], mine.double()], dim=-1)

        return [
            *find,
            FetchStep(fetch_layer([plan.block] * 3, plan.scale), ask_blocks, judge),
            FetchStep(fetch_layer([plan.block + 1], plan.scale), ask_verdicts, collect),
        ]


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


class FiveLayersMatcher(BoxMatcher):
    """The layers of a `FiveLayersPlan`.

    Args:
        plan: N and M.
        jobs: by default each diagonal with each sum once.
    """

    plan: FiveLayersPlan

    def __init__(self, plan: FiveLayersPlan, jobs: list[Job] | None = None) -> None:
        self.plan = plan
        jobs, size = plan.jobs if jobs is None else jobs, plan.num_tokens
        position = torch.arange(size)
        self._part, self._slot = position // plan.part, position % plan.part
        self._members = self._part.bincount()
        parts = range(len(self._members))
        pairs = [(own, other) for own in parts for other in parts]
        self._read = torch.tensor(pairs + [(0, 0)] * (size - len(pairs)))
        self._told = torch.tensor([own for own, _ in pairs] + [NOWHERE] * (size - len(pairs))).double()
        steps = [
            FetchStep(fetch_layer([plan.part] * 2, plan.scale), self._ask_parts, self._compare),
            FetchStep(fetch_layer([plan.part], plan.scale), self._ask_counts, self._rank),
        ]
        steps += self._round(jobs, [self._find(jobs)])
        super().__init__(Match3(size, plan.modulus), plan.sizes, steps)

    def _ask_parts(self, registers: Tensor) -> list[Fetch]:
        residue = registers[..., 0]
        values, address = in_slots(residue, self._slot, self.plan.part), self._part.double().expand(residue.shape)
        return [Fetch(part.double().expand(residue.shape), address, values) for part in self._read.unbind(-1)]

    def _compare(self, registers: Tensor, outputs: Tensor) -> Tensor:
        """For each member of the first part, how many of the second are smaller, or equal and further left."""
        own, others = block_lists(outputs, self._members[self._read])
        places = self.plan.part * self._read.unsqueeze(-1) + torch.arange(self.plan.part)  # (tokens, 2, slots)
        counts = torch.zeros_like(own)
        for slot in range(self.plan.part):
            other = others[..., slot : slot + 1]
            further_left = places[:, 1, slot : slot + 1] < places[:, 0]
            counts += (other >= 0) & ((other < own) | ((other == own) & further_left))
        return torch.cat([registers, counts.double()], dim=-1)

    def _ask_counts(self, registers: Tensor) -> list[Fetch]:
        shape = registers.shape[:-1]
        return [Fetch(self._part.double().expand(shape), self._told.expand(shape), registers[..., 1:])]

    def _rank(self, registers: Tensor, outputs: Tensor) -> Tensor:
        """(x_i, x_i, rank, x_i = 0): the mean count over all parts, times how many there are, is the rank."""
        counts = (len(self._members) * outputs).round()
        residue = registers[..., :1]
        rank = counts.gather(-1, self._slot.expand(registers.shape[:-1]).unsqueeze(-1))
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


def job_columns(jobs: list[Job], num_tokens: int) -> tuple[Float[Tensor, "tokens 3"], Int[Tensor, " tokens"]]:
    """The blocks of each token's job, and its multiple of M; both 0 for tokens without one."""
    columns = torch.tensor(jobs + [(0, 0, 0, 0)] * (num_tokens - len(jobs)))
    return columns[:, :3].double(), columns[:, 3]


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
