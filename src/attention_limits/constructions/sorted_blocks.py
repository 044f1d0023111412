"""Match3 by residues in order, for every modulus: what has to be tried, and the layers that try it (ours).

Let v_0 ≤ v_1 ≤ … be the residues in order, in blocks of w ranks. A *box* (s; u ≤ v) is three blocks, L the sum of
their least residues, their lows. On a *diagonal* (s + t; u + t, v + t) these sums do not fall. If x + y + z = K with
x in block s, take the *last* blocks u and v that hold y and z. Then L ≤ K in (s; u, v), and L > K in the next box, as
the lows after u and v are above y and z: **only the last box of a diagonal with L ≤ K has to be tried.** Of B blocks
there are (3B² − B)/2 diagonals, those that start with u = 0 or s = 0, and two sums K, M and 2M; x_i = 0 has the label
1 at once.

How tokens come to know ranks and boxes is left to `trade_off` and `five_layers`.

Letters: N = num_tokens, M = modulus, w = block, B = num_blocks, K = total, t = the box of a diagonal.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.constructions.deep_matching import (
    NOWHERE,
    DeepMatcher,
    block_lists,
    completed,
    entry_bits,
    in_slots,
    occurring,
    reading_scale,
)
from attention_limits.constructions.fetch import GAP_AT_QUARTER, Fetch, FetchStep, fetch_layer, fetch_scale

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

    def bits(self, top: int) -> int:
        """p, with residues as values, and addresses and questions up to ``top``, or from a quarter below 0 on."""
        scale = int(self.scale)
        return entry_bits(max(self.modulus - 1, top**2, NOWHERE**2, 2 * scale * top, scale))


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


def job_columns(jobs: list[Job], num_tokens: int) -> tuple[Float[Tensor, "tokens 3"], Int[Tensor, " tokens"]]:
    """The blocks of each token's job, and its multiple of M; both 0 for tokens without one."""
    columns = torch.tensor(jobs + [(0, 0, 0, 0)] * (num_tokens - len(jobs)))
    return columns[:, :3].double(), columns[:, 3]
