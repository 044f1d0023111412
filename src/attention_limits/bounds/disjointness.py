"""Deterministic protocols for disjointness, one-way and two-way, and how they fare on all inputs.

In each of them Bob learns the answer. Letters: n = num_bits, w = block.
"""

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool
from torch import Tensor

from attention_limits.bounds.protocols import Bits, Conversation, Party, receive, run_protocol
from attention_limits.hypotheses import require_integer
from attention_limits.problems.disjointness import Disjointness, DisjointnessInputs

String = Bool[Tensor, " num_bits"]


@runtime_checkable
class DisjointnessProtocol(Protocol):
    """Two parties, each made from its own string; Bob returns whether the strings meet."""

    def alice(self, string: Tensor) -> Party:
        """Alice's side."""
        ...

    def bob(self, string: Tensor) -> Party:
        """Bob's side."""
        ...


class OneWay:
    """Alice sends the first ``num_sent`` of her n bits, all by default; Bob takes the others for 0."""

    def __init__(self, num_bits: int, num_sent: int | None = None) -> None:
        require_integer("num_bits", num_bits, 1)
        self.num_sent = num_bits if num_sent is None else num_sent
        if not 0 <= self.num_sent <= num_bits:
            raise ValueError(f"num_sent must lie in 0…{num_bits}, got {num_sent}")

    def alice(self, string: String) -> Party:
        """Send the bits."""
        yield _to_bits(string[: self.num_sent])

    def bob(self, string: String) -> Party:
        """Compare them with his own."""
        message = yield from receive(self.num_sent)
        return _meet(message, string[: self.num_sent])


class Blocks:
    """Alice sends w bits at a time; Bob answers each block but the last with one bit, 1 to stop: they have met.

    On many inputs it ends early. The worst case, n + ⌈n/w⌉ − 1 bits, is no better than `OneWay`.
    """

    def __init__(self, num_bits: int, block: int) -> None:
        require_integer("num_bits", num_bits, 1)
        require_integer("block", block, 1)
        self.num_bits, self.block = num_bits, block

    @property
    def worst_bits(self) -> int:
        """n + ⌈n/w⌉ − 1, the bits on an input that never stops early."""
        return self.num_bits - (-self.num_bits // self.block) - 1

    def alice(self, string: String) -> Party:
        """Send block after block, until Bob says stop."""
        blocks = string.split(self.block)
        for index, part in enumerate(blocks):
            yield _to_bits(part)
            if index < len(blocks) - 1:
                stop = yield from receive(1)
                if stop.value:
                    return

    def bob(self, string: String) -> Party:
        """Say stop as soon as a block meets his own."""
        blocks = string.split(self.block)
        for index, part in enumerate(blocks):
            message = yield from receive(len(part))
            met = _meet(message, part)
            if index < len(blocks) - 1:
                yield Bits(int(met), 1)
            if met:
                return True
        return False


class Tally(NamedTuple):
    """What a protocol did on some pairs of inputs."""

    wrong: int
    worst_bits: int
    mean_bits: float
    conversations: tuple[Conversation, ...]


def run_on_pairs(protocol: DisjointnessProtocol, pairs: DisjointnessInputs) -> Tally:
    """Run a protocol on each pair of inputs, and compare Bob's answer with DISJ."""
    truth = Disjointness(pairs.alice.shape[1]).target(pairs).tolist()
    talks = [run_protocol(protocol.alice(a), protocol.bob(b)) for a, b in zip(*pairs, strict=True)]
    wrong = sum(talk.bob_answer != meets for talk, meets in zip(talks, truth, strict=True))
    bits = [talk.num_bits for talk in talks]
    return Tally(wrong, max(bits), sum(bits) / len(bits), tuple(talks))


def all_pairs(problem: Disjointness) -> DisjointnessInputs:
    """All 4^n pairs of strings."""
    strings = problem.strings()
    return DisjointnessInputs(strings.repeat_interleave(len(strings), dim=0), strings.repeat(len(strings), 1))


def _to_bits(string: Tensor) -> Bits:
    return Bits.from_digits("".join(str(int(bit)) for bit in string.tolist()))


def _meet(message: Bits, string: Tensor) -> bool:
    return bool(message.value & _to_bits(string).value)
