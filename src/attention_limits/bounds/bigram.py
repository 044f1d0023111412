"""Disjointness inside Match3Bigram, and one layer of attention as a protocol for it (ours).

The first token is 1 and M = 4, so it asks for two neighbours whose sum is ≡ 3. Element i owns the pair of tokens 2i + 1
(Alice's) and 2i + 2 (Bob's). In even pairs Alice writes 0 if she has the element and Bob 3; in odd pairs she writes 3
and he 0. Who doesn't have it writes the filler 1. Only 0 + 3 and 3 + 0 within a pair make 3: across two pairs Bob's 3
meets Alice's 3, and his 0 her 0.

Letters: n = num_bits, N = 2n + 1, H = num_heads, d' = value_dim, S and R bounds on scores and values, η = slack.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, log
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attention_limits.bounds.protocols import Bits, Party, receive, run_protocol
from attention_limits.hypotheses import require_integer
from attention_limits.problems.matching import Match3Bigram

MODULUS, FILLER = 4, 1
#: What Alice and Bob write for an element that they have: in even pairs, in odd pairs.
ALICE_LETTERS, BOB_LETTERS = (0, 3), (3, 0)


@dataclass(frozen=True)
class BigramReduction:
    """DISJ on n bits as the first output of Match3Bigram on N = 2n + 1 tokens modulo 4.

    Example: the strings 10 and 11 meet.
        >>> reduction = BigramReduction(2)
        >>> x = reduction.inputs(torch.tensor([[True, False]]), torch.tensor([[True, True]]))
        >>> x.tolist(), reduction.problem.target(x)[0, 0].item()
        ([[1, 0, 3, 1, 0]], True)
    """

    num_bits: int

    def __post_init__(self) -> None:
        require_integer("num_bits", self.num_bits, 1)

    @property
    def problem(self) -> Match3Bigram:
        """The problem that is asked for."""
        return Match3Bigram(2 * self.num_bits + 1, MODULUS)

    def letters(
        self, strings: Bool[Tensor, "strings num_bits"], pair: tuple[int, int]
    ) -> Int[Tensor, "strings num_bits"]:
        """One party's tokens: its letter where it has the element, else the filler."""
        held = torch.tensor(pair)[torch.arange(self.num_bits) % 2]
        return torch.where(strings, held, FILLER)

    def inputs(
        self, alice: Bool[Tensor, "pairs num_bits"], bob: Bool[Tensor, "pairs num_bits"]
    ) -> Int[Tensor, "pairs tokens"]:
        """The whole inputs for pairs of strings."""
        pairs = torch.stack([self.letters(alice, ALICE_LETTERS), self.letters(bob, BOB_LETTERS)], dim=-1)
        return torch.nn.functional.pad(pairs.flatten(1), (1, 0), value=1)


def message_cells(num_heads: int, score_bound: float, value_bound: float, slack: float | Fraction) -> tuple[int, int]:
    """Cells of Alice's grids, ⌈H S R/η⌉ for a log-sum-exp and ⌈2 H R/η⌉ for a coordinate of a mean; at least one."""
    require_integer("num_heads", num_heads, 1)
    if not slack > 0:
        raise ValueError(f"slack η must be positive, got {slack}")
    if not score_bound >= 0:
        raise ValueError(f"score_bound S must be at least 0, got {score_bound}")
    if not value_bound > 0:
        raise ValueError(f"value_bound R must be positive, got {value_bound}")
    scale = num_heads * Fraction(value_bound) / Fraction(slack)
    return max(1, ceil(scale * Fraction(score_bound))), ceil(2 * scale)


def message_bits(
    num_heads: int, value_dim: int, score_bound: float, value_bound: float, slack: float | Fraction
) -> int:
    """What Alice sends in all: H (⌈log₂⌈H S R/η⌉⌉ + d' ⌈log₂⌈2 H R/η⌉⌉) bits, exactly.

    A layer with these bounds that decides the first label with slack η has at least n = (N − 1)/2 of them.

    Example:
        >>> message_bits(num_heads=1, value_dim=9, score_bound=0.0, value_bound=4.0, slack=Fraction(1, 36))
        81
    """
    require_integer("value_dim", value_dim, 1)
    total, mean = message_cells(num_heads, score_bound, value_bound, slack)
    return num_heads * ((total - 1).bit_length() + value_dim * (mean - 1).bit_length())


class Summary(NamedTuple):
    """Attention over some of the tokens: for each head the log-sum-exp of the scores, and the weighted mean."""

    total: Float[Tensor, "batch heads"]
    mean: Float[Tensor, "batch heads value_dim"]


@dataclass(frozen=True)
class FirstRow:
    """All that matters of a layer when only the first token's output is asked for, and the first token is 1.

    Its query is then fixed, so that a head is a table of scores and one of values, for each position and residue.
    It is a protocol too: Alice sends the `Summary` of her tokens on a grid so fine that Bob is off by at most η.
    """

    scores: Float[Tensor, "heads tokens residues"]
    values: Float[Tensor, "heads tokens residues value_dim"]
    slack: Fraction

    @property
    def num_bits(self) -> int:
        """The length of Alice's message, known to both."""
        return message_bits(*self._sizes, float(self.scores.abs().max()), float(self.values.abs().max()), self.slack)

    @property
    def _sizes(self) -> tuple[int, int]:
        return self.values.shape[0], self.values.shape[3]

    def summary(self, inputs: Int[Tensor, "batch tokens"], positions: slice) -> Summary:
        """Attention over the tokens at these positions, in float64."""
        where = torch.arange(inputs.shape[1])[positions]
        residues = inputs[:, where]
        scores = self.scores.double()[:, where, residues].movedim(0, 1)
        values = self.values.double()[:, where, residues].movedim(0, 1)
        weights = torch.softmax(scores, dim=-1)
        return Summary(scores.logsumexp(dim=-1), torch.einsum("bht,bhtv->bhv", weights, values))

    def merge(self, one: Summary, other: Summary) -> Float[Tensor, "batch value_dim"]:
        """The layer's output from the summaries of two parts: the heads are summed."""
        share = torch.sigmoid(one.total - other.total).unsqueeze(-1)
        return (share * one.mean + (1 - share) * other.mean).sum(dim=1)

    def output(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch value_dim"]:
        """The layer's output at the first token, without any rounding."""
        return self.summary(inputs, slice(None)).mean.sum(dim=1)

    def _grids(self, count: int) -> tuple[tuple[int, float, float], tuple[int, float, float]]:
        """For log-sum-exps and for means: cells, where the grid begins, the width of a cell."""
        heads, largest, bound = self._sizes[0], float(self.scores.abs().max()), float(self.values.abs().max())
        totals, means = message_cells(heads, largest, bound, self.slack)
        return (totals, log(count) - largest, 2 * largest / totals), (means, -bound, 2 * bound / means)

    def alice(self, inputs: Int[Tensor, "1 tokens"]) -> Party:
        """Send the summary of tokens 1, 3, 5, …, each number as the cell of a grid that it lies in."""
        summary = self.summary(inputs, slice(1, None, 2))
        grids = self._grids(inputs.shape[1] // 2)
        digits = ""
        for numbers, (cells, start, width) in zip(summary, grids, strict=True):
            codes = ((numbers.flatten() - start) / width if width else 0 * numbers.flatten()).floor().long()
            length = (cells - 1).bit_length()
            digits += "".join(f"{code:0{length}b}" for code in codes.clamp(0, cells - 1).tolist() if length)
        yield Bits.from_digits(digits)

    def bob(self, inputs: Int[Tensor, "batch tokens"]) -> Party:
        """Merge what Alice sends, at the cells' middles, with the tokens 0, 2, 4, … of each of his inputs."""
        message = yield from receive(self.num_bits)
        heads, value_dim = self._sizes
        digits, read = message.digits, []
        counts = (heads, heads * value_dim)
        for count, (cells, start, width) in zip(counts, self._grids(inputs.shape[1] // 2), strict=True):
            length = (cells - 1).bit_length()
            codes = [int(digits[k * length : (k + 1) * length] or "0", 2) for k in range(count)]
            digits = digits[count * length :]
            read.append(start + (torch.tensor(codes, dtype=torch.float64) + 0.5) * width)
        hers = Summary(read[0].view(1, heads), read[1].view(1, heads, value_dim))
        return self.merge(hers, self.summary(inputs, slice(0, None, 2)))


def slot_row(num_bits: int) -> FirstRow:
    """One head of N slots: uniform attention, token j has the value (x_j + 1) e_j. N times the output is all of x."""
    size = BigramReduction(num_bits).problem.num_tokens
    values = torch.einsum("r,tv->trv", torch.arange(1.0, MODULUS + 1), torch.eye(size)).double().unsqueeze(0)
    return FirstRow(torch.zeros(1, size, MODULUS).double(), values, Fraction(1, 4 * size))


def read_slots(reduction: BigramReduction, outputs: Float[Tensor, "batch tokens"]) -> Bool[Tensor, " batch"]:
    """The output map of `slot_row`: the first label, right if every coordinate is off by less than 1/(2N)."""
    tokens = (reduction.problem.num_tokens * outputs).round().long() - 1
    return reduction.problem.target(tokens.clamp(0, MODULUS - 1))[:, 0]


class FirstRowTally(NamedTuple):
    """What a layer's protocol did on all pairs of strings."""

    num_bits: int
    #: The largest distance of a coordinate of Bob's output from the layer's own.
    worst_error: float
    #: Bob's outputs, Alice's strings first, and the right first labels.
    outputs: Float[Tensor, "alice bob value_dim"]
    labels: Bool[Tensor, "alice bob"]


def run_first_row(
    row: FirstRow, reduction: BigramReduction, strings: Bool[Tensor, "strings num_bits"]
) -> FirstRowTally:
    """One conversation for each of Alice's strings; Bob answers for each of his. She sees none of his tokens."""
    outputs, labels, worst = [], [], 0.0
    nothing = torch.zeros_like(strings)
    for string in strings:
        inputs = reduction.inputs(string.expand_as(strings), strings)
        hers = reduction.inputs(string.unsqueeze(0), nothing[:1])
        talk = run_protocol(row.alice(hers), row.bob(reduction.inputs(nothing, strings)), capacity=row.num_bits)
        worst = max(worst, (talk.bob_answer - row.output(inputs)).abs().max().item())
        outputs.append(talk.bob_answer)
        labels.append(reduction.problem.target(inputs)[:, 0])
    return FirstRowTally(talk.num_bits, worst, torch.stack(outputs), torch.stack(labels))
