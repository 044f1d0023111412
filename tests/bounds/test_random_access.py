"""Few bits about many: the best codes against the bound from entropy, and against codes that are known."""

from fractions import Fraction
from itertools import product

import pytest

from attention_limits.bounds.random_access import binary_entropy, least_mean_error, random_access_bits

SIZES = [(n, bits) for n in range(1, 5) for bits in range(n + 1)] + [(5, 1), (5, 2), (6, 1)]


def test_the_entropy_of_a_bit() -> None:
    assert (binary_entropy(0), binary_entropy(1), binary_entropy(0.5)) == (0.0, 0.0, 1.0)
    assert binary_entropy(Fraction(1, 4)) == pytest.approx(0.8112781244591328)
    assert binary_entropy(0.11) == pytest.approx(0.5, abs=1e-3)
    for error in (-0.1, 1.1):
        with pytest.raises(ValueError, match="lies in 0…1"):
            binary_entropy(error)


@pytest.mark.parametrize(("num_bits", "message_bits"), SIZES)
def test_no_code_passes_the_bound(num_bits: int, message_bits: int) -> None:
    error = least_mean_error(num_bits, message_bits)
    assert random_access_bits(num_bits, error) <= message_bits + 1e-12
    assert (error == 0) == (message_bits == num_bits)


@pytest.mark.parametrize(("num_bits", "message_bits"), [(2, 1), (3, 1), (3, 2)])
def test_the_search_finds_what_all_messages_of_all_strings_do(num_bits: int, message_bits: int) -> None:
    """Every map from strings to messages, each bit then guessed as most of the message's strings have it."""
    strings = list(product((0, 1), repeat=num_bits))
    least = num_bits * len(strings)
    for messages in product(range(2**message_bits), repeat=len(strings)):
        errors = 0
        for message in range(2**message_bits):
            chosen = [string for string, sent in zip(strings, messages, strict=True) if sent == message]
            errors += sum(min(sum(column), len(column) - sum(column)) for column in zip(*chosen, strict=True))
        least = min(least, errors)
    assert least_mean_error(num_bits, message_bits) == Fraction(least, num_bits * len(strings))


def test_one_bit_about_an_odd_number_is_their_majority() -> None:
    assert [least_mean_error(n, 1) for n in (1, 3, 5)] == [0, Fraction(1, 4), Fraction(5, 16)]


def test_an_error_of_a_half_or_more_needs_no_bit() -> None:
    assert random_access_bits(7, 0.5) == random_access_bits(7, 0.9) == 0.0


def test_what_is_too_large_or_has_no_meaning_is_refused() -> None:
    with pytest.raises(ValueError, match="at most as many, got 3"):
        least_mean_error(2, 3)
    with pytest.raises(ValueError, match="too many to try"):
        least_mean_error(6, 3)
    with pytest.raises(ValueError, match="num_bits must be at least 1, got 0"):
        random_access_bits(0, 0.1)
