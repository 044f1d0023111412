"""Any layer of attention as a one-way protocol with counted bits (for Theorem 7 of the paper, and every layer).

Alice and Bob each hold some of the tokens, and both know the token whose output is asked for. A softmax over all tokens
can be put together from one over Alice's and one over Bob's. With the log-sum-exp S of a party's scores and the mean a
of its values under its own softmax,

    output = w a_Alice + (1 − w) a_Bob,    w = σ(S_Alice − S_Bob).

So for each head Alice sends S and the coordinates of a, rounded; Bob merges and adds up the heads. If S is off by at
most δ and a by at most ρ, and no two values differ by more than D in a coordinate, then

    |error| ≤ ρ + D tanh(δ/4),

as two values of σ at points δ apart differ by at most tanh(δ/4). S need not be sent where it can't matter: beyond Φ
below the least or above the largest S that Bob can have, w is within σ(−Φ) of 0 or 1. Cutting S off there adds D σ(−Φ).

Letters: H heads, G = writers, d = model_dim, d' = value_dim, r = num_coordinates, S = log_sum, R = log_sum_range,
Φ = reach, η = error, D = spread.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.bounds.counting import least_bits
from attention_limits.bounds.protocols import Bits, Conversation, Party, receive, run_protocol
from attention_limits.models.attention import MultiHeadAttention, SelfAttentionUnit


class PartialSoftmax(NamedTuple):
    """One party's share of a softmax: log-sum-exp of its scores, and the mean of its values under their softmax."""

    log_sum: Float[Tensor, ""]
    mean: Float[Tensor, " value_dim"]


def partial_softmax(
    scores: Float[Tensor, " some_tokens"], values: Float[Tensor, "some_tokens value_dim"]
) -> PartialSoftmax:
    """The softmax over some of the tokens."""
    return PartialSoftmax(scores.logsumexp(dim=0), torch.softmax(scores, dim=0) @ values)


def merge(first: PartialSoftmax, second: PartialSoftmax) -> PartialSoftmax:
    """The softmax over the tokens of both, exactly.

    Example: scores 0 and ln 3 give the weights 1/4 and 3/4.
        >>> parts = [PartialSoftmax(torch.tensor(s).log(), torch.tensor([v])) for s, v in ((1.0, 0.0), (3.0, 8.0))]
        >>> merge(*parts).mean.item()
        6.0
    """
    share = torch.sigmoid(first.log_sum - second.log_sum)
    return PartialSoftmax(
        torch.logaddexp(first.log_sum, second.log_sum), share * first.mean + (1 - share) * second.mean
    )


def merge_error_bound(mean_error: float, log_sum_error: float, spread: float, reach: float = math.inf) -> float:
    """ρ + D (tanh(δ/4) + σ(−Φ)), the most that a coordinate of the merged mean can be off.

    Args:
        mean_error: ρ, the most by which a coordinate of Alice's mean is off.
        log_sum_error: δ in nats, the most by which her log-sum-exp is off, after it was cut off.
        spread: D, the most by which two values differ in this coordinate.
        reach: Φ in nats, how far beyond Bob's possible log-sum-exp hers is cut off.
    """
    return mean_error + spread * (math.tanh(log_sum_error / 4) + 1 / (1 + math.exp(min(reach, 700.0))))


def message_bits_bound(
    num_heads: int, num_coordinates: int, *, writers: int, spread: float, log_sum_range: float, error: float
) -> int:
    """H (r ⌈log₂(G D/η)⌉ + ⌈log₂(R G D/(2η))⌉), an upper bound on the bits of `AttentionProtocol` from sizes alone.

    A logarithm of a number below 1 counts as 0.

    Args:
        num_heads: H.
        num_coordinates: r, the most coordinates of a head's value that vary over Alice's tokens.
        writers: G, the most heads that write into one coordinate: whose value varies in it.
        spread: D, the most by which two values of a head differ in a coordinate.
        log_sum_range: R in nats, how far apart two log-sum-exps of Alice's can be in one head, after what can't matter
            was cut off.
        error: η.
    """
    mean_levels = math.ceil(writers * spread / error)
    log_sum_levels = math.ceil(log_sum_range * writers * spread / (2 * error))
    mean_bits, log_sum_bits = (least_bits(max(1, levels)) for levels in (mean_levels, log_sum_levels))
    return num_heads * (num_coordinates * mean_bits + log_sum_bits)


@dataclass(frozen=True)
class Grid:
    """Numbers in given ranges, each rounded to the middle of one of ``levels`` equal cells, ⌈log₂ levels⌉ bits each."""

    low: Float[Tensor, " numbers"]
    high: Float[Tensor, " numbers"]
    levels: Int[Tensor, " numbers"]

    @classmethod
    def within(cls, low: Tensor, high: Tensor, error: Tensor) -> "Grid":
        """The fewest cells that keep each number within ``error``; one, and no bits, where a range is a point."""
        return cls(low, high, ((high - low) / (2 * error)).ceil().clamp(min=1).long())

    @cached_property
    def widths(self) -> list[int]:
        """Bits of each number."""
        return [(levels - 1).bit_length() for levels in self.levels.tolist()]

    @property
    def num_bits(self) -> int:
        """Bits of all of them."""
        return sum(self.widths)

    def encode(self, numbers: Float[Tensor, " numbers"]) -> Bits:
        """The cells in which the numbers lie; numbers outside are cut off."""
        cell = (self.high - self.low) / self.levels
        cells = torch.where(self.levels > 1, (numbers - self.low) / cell, 0.0).floor().clamp(min=0)
        pairs = zip(cells.minimum(self.levels - 1.0).long().tolist(), self.widths, strict=True)
        return Bits.from_digits("".join(Bits(code, width).digits for code, width in pairs))

    def decode(self, bits: Bits) -> Float[Tensor, " numbers"]:
        """The middles of the cells."""
        digits, start, codes = bits.digits, 0, []
        for width in self.widths:
            codes.append(Bits.from_digits(digits[start : start + width]).value)
            start += width
        cell = (self.high - self.low) / self.levels
        return self.low + (torch.tensor(codes, dtype=torch.float64) + 0.5) * cell


class Range(NamedTuple):
    """Least and largest of what a party may have: log-sum-exp, and each coordinate of the mean."""

    low: PartialSoftmax
    high: PartialSoftmax


class HeadPlan(NamedTuple):
    """What is agreed upon for one head: the query, how Alice's 1 + d' numbers are written, and the proved error."""

    head: SelfAttentionUnit
    query: Float[Tensor, " embed_dim"]
    grid: Grid
    error: Float[Tensor, " value_dim"]

    def part(self, tokens: Float[Tensor, "some_tokens model_dim"]) -> PartialSoftmax:
        """A party's share of the softmax."""
        return partial_softmax(tokens @ self.head.key @ self.query, tokens @ self.head.value)


class AttentionProtocol:
    """One output of a layer, found by Bob from one message of Alice's, within a given error in each coordinate.

    Both know the layer, the token that asks, and the alphabet: all tokens that may stand at each position. The budget
    η is shared among the heads that write into a coordinate; of a head's share half goes to the rounding of the means,
    a quarter to that of the log-sum-exp and a quarter to cutting it off.

    Args:
        layer: any layer, in float64.
        own: the token whose output is asked for, (model_dim,). Bob holds it too.
        alice: the tokens that may stand at each of Alice's positions, (positions, letters, model_dim).
        bob: the same for Bob's other positions; a constant token, such as a blank, has equal letters. It may be empty.
        error: η > 0, how far a coordinate of Bob's output may be off.

    Attributes:
        num_bits: all bits of the message.
        error_bound: the proved error of each coordinate, at most η.
        writers, num_coordinates, spread, log_sum_range: G, r, D and R of `message_bits_bound`, the largest over the
            coordinates and over the heads.
    """

    def __init__(
        self,
        layer: MultiHeadAttention,
        own: Float[Tensor, " model_dim"],
        alice: Float[Tensor, "positions letters model_dim"],
        bob: Float[Tensor, "other_positions letters model_dim"],
        *,
        error: float,
    ) -> None:
        if not 0 < error < math.inf:
            raise ValueError(f"error η must be positive and finite, got {error}")
        if len(alice) < 1:
            raise ValueError("Alice must hold at least one token")
        self.own, self.error = own, error
        bob = torch.cat([bob, own.expand(1, alice.shape[1], -1)])
        heads = [cast(SelfAttentionUnit, head) for head in layer.heads]
        ranges = [(_range(head, own, alice), _range(head, own, bob)) for head in heads]
        spreads = [_spread(*pair) for pair in ranges]
        self.spread = max(spread.max().item() for spread in spreads)
        self.num_coordinates = max(int((hers.high.mean > hers.low.mean).sum()) for hers, _ in ranges)
        self.writers = max(1, int(torch.stack([spread > 0 for spread in spreads]).sum(dim=0).max()))
        share = error / self.writers
        self.heads = [
            _plan(head, own, hers, his, spread, share)
            for head, (hers, his), spread in zip(heads, ranges, spreads, strict=True)
        ]
        self.log_sum_range = max((plan.grid.high[0] - plan.grid.low[0]).item() for plan in self.heads)

    @property
    def num_bits(self) -> int:
        """Bits of Alice's messages, one for each head."""
        return sum(plan.grid.num_bits for plan in self.heads)

    @property
    def widest(self) -> int:
        """Bits of the longest number that is sent."""
        return max(max(plan.grid.widths) for plan in self.heads)

    @property
    def num_numbers(self) -> int:
        """Numbers that are sent, those without bits left out."""
        return sum(width > 0 for plan in self.heads for width in plan.grid.widths)

    @property
    def error_bound(self) -> Float[Tensor, " value_dim"]:
        """The proved error of each coordinate of the output: the sum over the heads."""
        return torch.stack([plan.error for plan in self.heads]).sum(dim=0)

    def alice(self, tokens: Float[Tensor, "positions model_dim"]) -> Party:
        """Send log-sum-exp and mean of each head."""
        for plan in self.heads:
            part = plan.part(tokens)
            yield plan.grid.encode(torch.cat([part.log_sum.unsqueeze(0), part.mean]))

    def bob(self, tokens: Float[Tensor, "other_positions model_dim"]) -> Party:
        """Merge each head's parts and add up: the output of the token that asks, (value_dim,)."""
        tokens = torch.cat([tokens, self.own.unsqueeze(0)])
        outputs = []
        for plan in self.heads:
            message = yield from receive(plan.grid.num_bits)
            numbers = plan.grid.decode(message)
            outputs.append(merge(PartialSoftmax(numbers[0], numbers[1:]), plan.part(tokens)).mean)
        return torch.stack(outputs).sum(dim=0)

    def run(
        self, alice: Float[Tensor, "positions model_dim"], bob: Float[Tensor, "other_positions model_dim"]
    ) -> Conversation:
        """One conversation, over a channel that carries ``num_bits`` and no more."""
        return run_protocol(self.alice(alice), self.bob(bob), capacity=self.num_bits)


def _range(head: SelfAttentionUnit, own: Tensor, alphabet: Float[Tensor, "positions letters model_dim"]) -> Range:
    """Over all choices of letters. A mean lies between the least and the largest value."""
    scores = alphabet @ head.key @ (own @ head.query)
    low = PartialSoftmax(scores.amin(dim=1).logsumexp(dim=0), torch.zeros_like(head.value[0]))
    high = PartialSoftmax(scores.amax(dim=1).logsumexp(dim=0), torch.zeros_like(head.value[0]))
    written = head.value.any(dim=0)  # a head among many writes into few coordinates; its values are 0 in the others
    if bool(written.any()):
        values = (alphabet @ head.value[:, written]).flatten(0, 1)
        low.mean[written], high.mean[written] = values.amin(dim=0), values.amax(dim=0)
    return Range(low, high)


def _spread(hers: Range, his: Range) -> Float[Tensor, " value_dim"]:
    """D for each coordinate: the most by which two values differ."""
    return torch.maximum(hers.high.mean, his.high.mean) - torch.minimum(hers.low.mean, his.low.mean)


def _plan(head: SelfAttentionUnit, own: Tensor, hers: Range, his: Range, spread: Tensor, share: float) -> HeadPlan:
    most = spread.max().item()
    if most == 0:  # all values are equal: nothing to send
        known = _prepend(0.0, hers.low.mean)
        grid = Grid.within(known, known, torch.ones_like(known))
        return HeadPlan(head, own @ head.query, grid, torch.zeros_like(spread))
    # D tanh(δ/4) ≤ D δ/4 ≤ share/4 and D σ(−Φ) ≤ D e^{−Φ} ≤ share/4.
    log_sum_error, reach = share / most, math.log(4 * most / share)
    low = max(hers.low.log_sum.item(), his.low.log_sum.item() - reach)
    high = max(low, min(hers.high.log_sum.item(), his.high.log_sum.item() + reach))
    errors = torch.full_like(spread, share / 2)
    grid = Grid.within(_prepend(low, hers.low.mean), _prepend(high, hers.high.mean), _prepend(log_sum_error, errors))
    bounds = [merge_error_bound(share / 2, log_sum_error, width, reach) for width in spread.tolist()]
    error = torch.where(spread > 0, torch.tensor(bounds, dtype=spread.dtype), 0.0)
    return HeadPlan(head, own @ head.query, grid, error)


def _prepend(first: float, rest: Tensor) -> Tensor:
    return torch.cat([torch.tensor([first], dtype=rest.dtype), rest])
