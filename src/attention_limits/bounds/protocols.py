"""Two parties who talk through a channel that counts every bit.

A party is a generator: it yields `Bits` to send them and ``Receive(width)`` to wait for the other's next message, and
what it returns is its answer. Both must know the width of each message beforehand: the receiver declares it, so that a
message's length tells nothing. `run_protocol` lets them talk; nothing else passes from one to the other.

    def alice(a):                     def bob(b):
        yield Bits(a, width=1)            a = yield from receive(1)
                                          return a.value & b

Nothing in this module knows what the two compute.
"""

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from attention_limits.fixed_point import FixedPoint
from attention_limits.hypotheses import require_integer

ALICE, BOB = "Alice", "Bob"


class ProtocolError(ValueError):
    """A conversation that breaks the rules: too many bits, a width not agreed upon, silence, or words not heard."""


@dataclass(frozen=True)
class Bits:
    """A string of ``width`` bits, as the integer ``value`` whose binary digits they are, highest first.

    Raises:
        ValueError: if the value does not fit into that many bits.

    Example:
        >>> Bits(5, width=4).digits
        '0101'
    """

    value: int
    width: int

    def __post_init__(self) -> None:
        require_integer("width", self.width, 0)
        # No message holds the value itself: Python doesn't print integers of thousands of digits.
        if type(self.value) is not int:
            raise ValueError(f"value must be an integer, got a {type(self.value).__name__}")
        if not self.value >= 0:
            raise ValueError("value must be at least 0, got a negative one")
        need = self.value.bit_length()
        if need > self.width:
            raise ValueError(f"a value of {need} bits doesn't fit into a width of {self.width}")

    @property
    def digits(self) -> str:
        """The bits as a string of 0 and 1."""
        return f"{self.value:0{self.width}b}" if self.width else ""

    @classmethod
    def from_digits(cls, digits: str) -> "Bits":
        """The bits that a string of 0 and 1 spells."""
        return cls(int(digits, 2) if digits else 0, len(digits))


@dataclass(frozen=True)
class Receive:
    """What a party yields to wait for the next message, which must have this many bits."""

    width: int


#: A party's side of a conversation: yields what it sends or awaits, is sent what it receives, returns its answer.
Party = Generator[Bits | Receive, Bits | None, Any]


def receive(width: int) -> Generator[Receive, Bits | None, Bits]:
    """Wait inside a `Party` for the next message, which has so many bits."""
    message = yield Receive(width)
    if message is None:
        raise ProtocolError(f"a party that awaits {width} bits was woken without them")
    return message


class Message(NamedTuple):
    """One entry of a transcript."""

    sender: str
    bits: Bits


class Conversation(NamedTuple):
    """A conversation that has ended."""

    alice_answer: Any
    bob_answer: Any
    transcript: tuple[Message, ...]

    @property
    def num_bits(self) -> int:
        """All bits that crossed the channel, in both directions."""
        return sum(message.bits.width for message in self.transcript)


class Channel:
    """A channel between two parties; it carries at most ``capacity`` bits, and counts them."""

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity, self.num_bits = capacity, 0
        self.transcript: list[Message] = []
        self._waiting: dict[str, deque[Bits]] = {ALICE: deque(), BOB: deque()}  # by receiver

    def send(self, sender: str, bits: Bits) -> None:
        """Take a message from ``sender``.

        Raises:
            ProtocolError: if it does not fit into what is left of the capacity.
        """
        total = self.num_bits + bits.width
        if self.capacity is not None and total > self.capacity:
            raise ProtocolError(
                f"{sender}'s message of {bits.width} bits makes {total}, over the capacity of {self.capacity}"
            )
        self.num_bits = total
        self.transcript.append(Message(sender, bits))
        self._waiting[BOB if sender == ALICE else ALICE].append(bits)

    def deliver(self, receiver: str, width: int) -> Bits | None:
        """The next message for ``receiver``, None if there is none yet.

        Raises:
            ProtocolError: if it has another width than the one agreed upon.
        """
        if not self._waiting[receiver]:
            return None
        bits = self._waiting[receiver].popleft()
        if bits.width != width:
            raise ProtocolError(f"{receiver} awaits {width} bits, got a message of {bits.width}")
        return bits

    def undelivered(self) -> int:
        """Messages that were sent and never received."""
        return sum(len(messages) for messages in self._waiting.values())


def run_protocol(alice: Party, bob: Party, *, capacity: int | None = None) -> Conversation:
    """Let the two talk until both have their answers.

    Args:
        alice, bob: fresh generators, each made from its own input and from what both know beforehand.
        capacity: the most bits that may cross in all; unlimited if None.

    Raises:
        ProtocolError: if a message passes the capacity or has not the width that its receiver awaits, if both wait
            for each other, or if a message is never received.
    """
    channel = Channel(capacity)
    answers: dict[str, Any] = {}
    parties = {ALICE: alice, BOB: bob}
    # What each party waits for; a width of None means that it has yet to begin.
    awaited: dict[str, int | None] = {ALICE: None, BOB: None}
    while len(answers) < len(parties):
        moved = False
        for name, party in parties.items():
            if name in answers:
                continue
            width, received = awaited[name], None
            if width is not None:
                received = channel.deliver(name, width)
                if received is None:
                    continue
            moved = True
            try:
                said = party.send(received)
                while isinstance(said, Bits):
                    channel.send(name, said)
                    said = party.send(None)
                awaited[name] = said.width
            except StopIteration as end:
                answers[name] = end.value
        if not moved:
            raise ProtocolError(f"{' and '.join(sorted(set(parties) - set(answers)))} wait for bits that nobody sends")
    if channel.undelivered():
        raise ProtocolError(f"{channel.undelivered()} messages were sent but never received")
    return Conversation(answers[ALICE], answers[BOB], tuple(channel.transcript))


def pack_numbers(numbers: Float[Tensor, " count"], form: FixedPoint) -> Bits:
    """Numbers as p bits each, sign bit first, then the magnitude; p is the format's.

    Example:
        >>> pack_numbers(torch.tensor([0.75, -1.0]), FixedPoint(integer_bits=1, fraction_bits=2)).digits
        '00111100'
    """
    digits = form.bits - 1
    codes = form.encode(numbers).tolist()
    return Bits.from_digits("".join(f"{int(code < 0)}{abs(code):0{digits}b}" for code in codes))


def unpack_numbers(bits: Bits, form: FixedPoint) -> Float[Tensor, " count"]:
    """The numbers that `pack_numbers` made these bits of, exact in float64."""
    if bits.width % form.bits != 0:
        raise ValueError(f"{bits.width} bits are no whole number of {form.bits}-bit numbers")
    digits = bits.digits
    words = [digits[start : start + form.bits] for start in range(0, bits.width, form.bits)]
    codes = [(-1) ** int(word[0]) * int(word[1:], 2) for word in words]
    return form.decode(torch.tensor(codes, dtype=torch.int64))


def different_transcripts(conversations: Sequence[Conversation]) -> int:
    """How many different transcripts there are among some conversations."""
    return len({conversation.transcript for conversation in conversations})
