"""The channel: it counts every bit, takes no more than it should, and is the only way from one party to the other."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_limits.bounds.protocols import (
    ALICE,
    BOB,
    Bits,
    Channel,
    Message,
    Party,
    ProtocolError,
    Receive,
    different_transcripts,
    pack_numbers,
    run_protocol,
    unpack_numbers,
)
from attention_limits.fixed_point import FixedPoint, SaturationError


def says(*messages: Bits, answer: object = None) -> Party:
    """A party that sends some messages and ends."""
    yield from messages
    return answer


def hears(*widths: int) -> Party:
    """A party that receives some messages and returns their digits."""
    heard = []
    for width in widths:
        message = yield Receive(width)
        assert message is not None
        heard.append(message.digits)
    return heard


def echoes(rounds: int, width: int) -> Party:
    """A party that sends each message back, one larger."""
    for _ in range(rounds):
        message = yield Receive(width)
        assert message is not None
        yield Bits(message.value + 1, width)


def asks(rounds: int, width: int) -> Party:
    """A party that starts at 0 and sends on what comes back."""
    value = 0
    for _ in range(rounds):
        yield Bits(value, width)
        reply = yield Receive(width)
        assert reply is not None
        value = reply.value
    return value


def test_every_bit_that_crosses_is_counted_and_kept() -> None:
    talk = run_protocol(says(Bits(5, 3), Bits(0, 0), Bits(1, 70), answer="done"), hears(3, 0, 70))
    assert talk.num_bits == 73
    assert talk.alice_answer == "done"
    assert talk.bob_answer == ["101", "", "0" * 69 + "1"]
    assert talk.transcript == (Message(ALICE, Bits(5, 3)), Message(ALICE, Bits(0, 0)), Message(ALICE, Bits(1, 70)))


@pytest.mark.parametrize("rounds", [0, 1, 2, 9])
def test_both_directions_are_counted(rounds: int) -> None:
    talk = run_protocol(asks(rounds, 5), echoes(rounds, 5))
    assert talk.num_bits == 2 * rounds * 5
    assert talk.alice_answer == rounds
    assert [message.sender for message in talk.transcript] == [ALICE, BOB] * rounds
    swapped = run_protocol(echoes(rounds, 5), asks(rounds, 5))
    assert (swapped.num_bits, swapped.bob_answer) == (talk.num_bits, rounds)


def test_a_capacity_that_is_met_exactly_is_enough_and_one_bit_less_is_not() -> None:
    assert run_protocol(asks(2, 3), echoes(2, 3), capacity=12).num_bits == 12
    with pytest.raises(ProtocolError, match="Bob's message of 3 bits makes 12, over the capacity of 11"):
        run_protocol(asks(2, 3), echoes(2, 3), capacity=11)
    with pytest.raises(ProtocolError, match="makes 1, over the capacity of 0"):
        run_protocol(says(Bits(0, 1)), hears(1), capacity=0)


@pytest.mark.parametrize("width", [2, 4])
def test_a_width_that_was_not_agreed_upon_is_an_error(width: int) -> None:
    with pytest.raises(ProtocolError, match=f"Bob awaits {width} bits, got a message of 3"):
        run_protocol(says(Bits(1, 3)), hears(width))


def test_silence_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="Bob wait for bits that nobody sends"):
        run_protocol(says(), hears(1))
    with pytest.raises(ProtocolError, match="Alice and Bob wait"):
        run_protocol(hears(1), hears(1))


def test_words_that_nobody_hears_are_an_error() -> None:
    with pytest.raises(ProtocolError, match="2 messages were sent but never received"):
        run_protocol(says(Bits(1, 1), Bits(1, 1)), hears())


def test_the_channel_delivers_in_order_and_only_to_the_other() -> None:
    channel = Channel()
    channel.send(ALICE, Bits(1, 2))
    channel.send(ALICE, Bits(2, 2))
    assert channel.deliver(ALICE, 2) is None
    assert [channel.deliver(BOB, 2), channel.deliver(BOB, 2)] == [Bits(1, 2), Bits(2, 2)]
    assert channel.deliver(BOB, 2) is None
    assert (channel.num_bits, channel.undelivered()) == (4, 0)


def test_an_error_of_a_party_is_not_swallowed() -> None:
    def fails() -> Party:
        yield Bits(0, 1)
        raise RuntimeError("broken party")

    with pytest.raises(RuntimeError, match="broken party"):
        run_protocol(fails(), hears(1))


@pytest.mark.parametrize(("value", "width"), [(2, 1), (1, 0), (2**64, 64)])
def test_a_number_that_does_not_fit_its_width_is_refused(value: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"doesn't fit into a width of {width}"):
        Bits(value, width)


def test_a_large_number_is_refused_without_being_printed() -> None:
    with pytest.raises(ValueError, match="a value of 50001 bits doesn't fit into a width of 50000"):
        Bits(2**50000, 50000)


@pytest.mark.parametrize(("value", "width"), [(-1, 3), (0, -1), (True, 1)])
def test_what_is_no_bit_string_is_refused(value: int, width: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        Bits(value, width)


@given(st.text(alphabet="01", max_size=200))
def test_digits_survive(digits: str) -> None:
    assert Bits.from_digits(digits).digits == digits
    assert Bits.from_digits(digits).width == len(digits)


@given(st.integers(0, 3), st.integers(1, 12), st.lists(st.floats(-0.99, 0.99), max_size=9))
def test_numbers_survive_packing_in_exactly_p_bits_each(integer: int, fraction: int, shares: list[float]) -> None:
    form = FixedPoint(integer, fraction)
    numbers = form.round(torch.tensor(shares, dtype=torch.float64) * form.largest)
    packed = pack_numbers(numbers, form)
    assert packed.width == form.bits * len(shares) == form.count_bits(numbers)
    assert torch.equal(unpack_numbers(packed, form), numbers)


@pytest.mark.parametrize("form", [FixedPoint(0, 1), FixedPoint(1, 0), FixedPoint(2, 2)])
def test_every_number_of_a_small_format_survives_and_has_its_own_bits(form: FixedPoint) -> None:
    codes = range(-(2 ** (form.bits - 1)) + 1, 2 ** (form.bits - 1))
    numbers = torch.tensor([code * form.resolution for code in codes], dtype=torch.float64)
    assert torch.equal(unpack_numbers(pack_numbers(numbers, form), form), numbers)
    assert len({pack_numbers(number[None], form) for number in numbers}) == len(codes)


def test_numbers_outside_the_format_and_broken_messages_are_refused() -> None:
    with pytest.raises(SaturationError):
        pack_numbers(torch.tensor([2.0]), FixedPoint(1, 2))
    with pytest.raises(ValueError, match="7 bits are no whole number of 4-bit numbers"):
        unpack_numbers(Bits(0, 7), FixedPoint(1, 2))


def test_transcripts_differ_by_sender_width_and_value() -> None:
    talks = [
        run_protocol(says(Bits(1, 2)), hears(2)),
        run_protocol(says(Bits(1, 2)), hears(2)),
        run_protocol(says(Bits(1, 3)), hears(3)),
        run_protocol(says(Bits(2, 2)), hears(2)),
        run_protocol(hears(2), says(Bits(1, 2))),
    ]
    assert different_transcripts(talks) == 4
