"""Disjointness inside sparse averaging, and an attention layer as a protocol for it (Theorem 4 of the paper).

Positions 2i and 2i + 1, for i < q, are the slots "0" and "1" of element i. Token 2q asks: Alice chooses its pointers,
the slot a_i of every element. Bob chooses the values: e₁ in slot "1" of the elements that he has, −e₁ in all other
slots. Then

    qSA(X)_{2q} = (−1 + (2/q) |a ∧ b|) e₁,

and any output less than 1/q away from it tells whether a and b meet. What Alice's token puts into the layer is all that
Bob needs of a: so many bits cross as it takes to write it down.

Letters: q = num_bits (the sparsity), N = num_tokens, d' = value_dim, k = embed_dim, p bits of a number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attention_limits.bounds.protocols import Bits, Party, pack_numbers, receive, run_protocol, unpack_numbers
from attention_limits.constructions.keys import MissingCertificateError
from attention_limits.constructions.sparse_averaging import FixedPrecisionUnit, softmax_scale
from attention_limits.hypotheses import require_disjointness_reduction, require_separating_accuracy
from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs, worst_case_error

Strings = Bool[Tensor, "strings num_bits"]


@dataclass(frozen=True)
class DisjointnessReduction:
    """DISJ on q bits as q-sparse averaging on N ≥ 2q + 1 tokens; those from 2q + 1 on are fillers of value 0.

    Raises:
        ValueError: unless q ≥ 1, N ≥ 2q + 1 and d' ≥ 1.

    Example: a = 10 and b = 11 have one element in common.
        >>> reduction = DisjointnessReduction(num_bits=2, num_tokens=5)
        >>> a, b = torch.tensor([[True, False]]), torch.tensor([[True, True]])
        >>> reduction.pointers(a).tolist(), reduction.signs(b).tolist()
        ([[1, 2]], [[-1, 1, -1, 1, 0]])
        >>> reduction.problem.target(reduction.inputs(a, b))[0, reduction.own_token].tolist()
        [0.0]
    """

    num_bits: int
    num_tokens: int
    value_dim: int = 1

    def __post_init__(self) -> None:
        require_disjointness_reduction(self.num_tokens, self.num_bits)
        SparseAveraging(self.num_tokens, self.num_bits, self.value_dim)

    @property
    def problem(self) -> SparseAveraging:
        """The sparse averaging that is asked for."""
        return SparseAveraging(self.num_tokens, self.num_bits, self.value_dim)

    @property
    def own_token(self) -> int:
        """The token that Alice owns: 2q, counted from 0."""
        return 2 * self.num_bits

    @property
    def threshold(self) -> Fraction:
        """−1 + 1/q, half-way between the answers −1 of disjoint strings and −1 + 2/q of strings that meet once."""
        return Fraction(1, self.num_bits) - 1

    def pointers(self, alice: Strings) -> Int[Tensor, "strings num_bits"]:
        """The subset that token 2q asks for: slot a_i of each element i."""
        return 2 * torch.arange(self.num_bits) + alice.long()

    def signs(self, bob: Strings) -> Int[Tensor, "strings tokens"]:
        """The first coordinates of all values, as integers: +1, −1, and 0 for Alice's token and the fillers."""
        slots = torch.stack([torch.full_like(bob, -1, dtype=torch.int64), 2 * bob.long() - 1], dim=-1).flatten(1)
        return torch.nn.functional.pad(slots, (0, self.num_tokens - slots.shape[1]))

    def values(self, bob: Strings) -> Float[Tensor, "strings tokens value_dim"]:
        """The values z in float64: `signs` times e₁."""
        return torch.nn.functional.pad(self.signs(bob).double().unsqueeze(-1), (0, self.value_dim - 1))

    def inputs(self, alice: Strings, bob: Strings) -> SparseAveragingInputs:
        """The whole inputs for pairs (a, b). What the tokens other than 2q ask for is fixed: the slots "0"."""
        pointers = self.pointers(torch.zeros_like(alice)).unsqueeze(1).repeat(1, self.num_tokens, 1)
        pointers[:, self.own_token] = self.pointers(alice)
        return SparseAveragingInputs(self.values(bob), pointers)

    def decide(self, outputs: Float[Tensor, "*batch value_dim"]) -> Bool[Tensor, "*batch"]:
        """DISJ, read off outputs of token 2q that are less than 1/q away from the exact ones."""
        return outputs[..., 0] > float(self.threshold)


class Verdict(NamedTuple):
    """Bob's answer for each of his strings, and the output of token 2q from which he reads it."""

    meets: Bool[Tensor, " strings"]
    outputs: Float[Tensor, "strings value_dim"]


@dataclass(frozen=True)
class QueryProtocol:
    """Alice sends the query of token 2q; Bob knows everything else of the layer's input and computes its output.

    Both know beforehand: q, N and d', the keys of all tokens, that token's own key and value among them, that values
    are passed on unchanged, and how a query is written as bits. Bob sees the message and his own strings, nothing else.
    """

    reduction: DisjointnessReduction
    #: The key of each position, known to both.
    keys: Float[Tensor, "tokens embed_dim"]
    #: The width of the message, known to both.
    message_bits: int
    #: Alice's: the query for her string a, as bits.
    write: Callable[[Tensor], Bits]
    #: Bob's: the query that a message spells, (embed_dim,).
    read: Callable[[Bits], Tensor]

    def alice(self, string: Bool[Tensor, " num_bits"]) -> Party:
        """Send the query."""
        yield self.write(string)

    def bob(self, strings: Strings) -> Party:
        """Compute the output of token 2q for each string that Bob may hold; they share the message."""
        message = yield from receive(self.message_bits)
        attention = torch.softmax(self.keys @ self.read(message), dim=0)
        outputs = torch.einsum("t,btc->bc", attention, self.reduction.values(strings))
        return Verdict(self.reduction.decide(outputs), outputs)

    def attention(self, strings: Strings) -> Float[Tensor, "strings tokens"]:
        """The attention row of token 2q for each string of Alice's, from the query as Bob reads it."""
        queries = torch.stack([self.read(self.write(string)) for string in strings])
        return torch.softmax(queries @ self.keys.T, dim=-1)

    def worst_error(self, strings: Strings) -> float:
        """The largest error of token 2q's output for these strings of Alice's and all values in the unit ball."""
        return worst_case_error(self.attention(strings), self.reduction.pointers(strings)).max().item()


def fixed_precision_protocol(
    reduction: DisjointnessReduction, unit: FixedPrecisionUnit, strings: Strings
) -> QueryProtocol:
    """Theorem 2's unit as a protocol: Alice sends its query in the unit's own format, k p bits.

    Args:
        unit: for the reduction's problem, with ε < 1/q and with a format for its queries.
        strings: those that Alice may hold. Before the two part, keys are drawn that have a certificate for each.

    Raises:
        ValueError: if the unit is for another problem, has no format, or has ε ≥ 1/q.
        MissingCertificateError: from Alice, if her string has no certificate under the keys agreed upon.
    """
    if unit.problem != reduction.problem:
        raise ValueError(f"the unit is for {unit.problem}, not for {reduction.problem}")
    require_separating_accuracy(unit.accuracy, reduction.num_bits)
    form = unit.format
    if form is None:
        raise ValueError("the unit must have a format for its queries: build it with bits=…")
    queries = unit.queries(reduction.pointers(strings).unsqueeze(1))[:, 0]
    keys = unit.keys.clone()
    packed = [pack_numbers(query, form) for query in queries]
    written = {tuple(string): message for string, message in zip(strings.tolist(), packed, strict=True)}

    def write(string: Tensor) -> Bits:
        bits = tuple(string.tolist())
        if bits not in written:
            written[bits] = pack_numbers(unit.queries(reduction.pointers(string.view(1, -1)).unsqueeze(1))[0, 0], form)
        if not torch.equal(unit.keys, keys):  # Bob doesn't have the new ones
            raise MissingCertificateError("no certificate for Alice's string under the keys that both know")
        return written[bits]

    return QueryProtocol(
        reduction, keys.double(), unit.embed_dim * form.bits, write, lambda message: unpack_numbers(message, form)
    )


def sign_protocol(reduction: DisjointnessReduction, accuracy: float) -> QueryProtocol:
    """The reduction's own subsets cost exactly q bits (ours): query ±1 in q coordinates, one bit each, k p = q.

    Slot s of element i has the key ±α e_i, plus for s = 1; all other tokens have the key 0. The query with the signs
    2a_i − 1 gives the slots that are asked for the score α and all others at most 0: margin 1, and error ≤ ε with the
    α of Theorem 2. It serves these 2^q subsets only.
    """
    require_separating_accuracy(accuracy, reduction.num_bits)
    q, scale = reduction.num_bits, softmax_scale(reduction.num_tokens, reduction.num_bits, accuracy)
    keys = torch.zeros(reduction.num_tokens, q, dtype=torch.float64)
    element = torch.arange(q)
    keys[2 * element, element], keys[2 * element + 1, element] = -scale, scale

    def write(string: Tensor) -> Bits:
        return Bits.from_digits("".join(str(int(bit)) for bit in string.tolist()))

    def read(message: Bits) -> Tensor:
        return torch.tensor([2.0 * int(digit) - 1 for digit in message.digits], dtype=torch.float64)

    return QueryProtocol(reduction, keys, q, write, read)


class QueryTally(NamedTuple):
    """What a query protocol did on all pairs of some strings of Alice's and some of Bob's."""

    wrong: int
    #: Bits that crossed the channel in a conversation: the same number in all of them.
    num_bits: int
    #: How many different messages Alice sent.
    num_messages: int
    #: The first coordinates of the outputs.
    outputs: Float[Tensor, "alice bob"]


def run_query_protocol(protocol: QueryProtocol, alice: Strings, bob: Bool[Tensor, "others num_bits"]) -> QueryTally:
    """One conversation for each string of Alice's; Bob answers for each of his; every answer is compared with DISJ."""
    outputs, wrong, messages = [], 0, set()
    for string in alice:
        talk = run_protocol(protocol.alice(string), protocol.bob(bob), capacity=protocol.message_bits)
        wrong += int((talk.bob_answer.meets != (string & bob).any(dim=1)).sum())
        outputs.append(talk.bob_answer.outputs[:, 0])
        messages.add(talk.transcript)
    return QueryTally(wrong, talk.num_bits, len(messages), torch.stack(outputs))
