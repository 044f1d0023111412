"""What deep matchers share: lists that a token compares by itself, slots, bits, and what float64 holds."""

from itertools import product

import pytest
import torch

from attention_limits.constructions.deep_matching import (
    READING_ERROR,
    Sizes,
    completed,
    entry_bits,
    in_slots,
    largest_readable,
    reading_scale,
)
from attention_limits.constructions.fetch import Fetch, fetch_layer, fetch_tokens, leakage


@pytest.mark.parametrize("modulus", [None, 7])
def test_completed_members_are_those_of_all_triples(modulus: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    lists = [torch.randint(-1, 7, (5, 6, width), generator=generator) for width in (4, 4, 4)]
    for total in (0, 3, 7, 14):
        found = completed(lists, total, modulus)
        for row, token, place in product(range(5), range(6), range(4)):
            member = lists[0][row, token, place].item()
            sums = [
                member + a + b
                for a, b in product(lists[1][row, token].tolist(), lists[2][row, token].tolist())
                if a >= 0 and b >= 0 and member >= 0
            ]
            expected = any((s - total) % modulus == 0 if modulus else s == total for s in sums)
            assert found[row, token, place] == expected, (row, token, place)


def test_slots_hold_what_they_should() -> None:
    values = in_slots(torch.tensor([[5.0, 6.0, 7.0]]).double(), torch.tensor([0, 1, 0]), 2)
    assert values.tolist() == [[[5, 0], [0, 6], [7, 0]]]


def test_a_scale_brings_the_leakage_times_all_sharers_below_an_eighth() -> None:
    for tokens, largest in ((1, 5), (2, 1), (50, 1000), (1000, 3)):
        scale = reading_scale(tokens, largest)
        assert scale >= 2
        for sharers in range(1, tokens + 1):
            assert sharers * leakage(tokens, scale, spread=largest, nearest=sharers) <= READING_ERROR
        if scale > 2:
            assert leakage(tokens, scale / 2, spread=largest) > READING_ERROR


def test_the_largest_readable_value_is_read_within_an_eighth_in_float64() -> None:
    tokens, block = 64, 8
    largest = largest_readable(tokens, block)
    values = torch.randint(largest - 1000, largest + 1, (1, tokens), generator=torch.Generator().manual_seed(0))
    address = (torch.arange(tokens) // block).double()[None]
    slots = in_slots(values.double(), torch.arange(tokens) % block, block)
    layer = fetch_layer([block], 2 * reading_scale(tokens, largest))
    lists = layer(fetch_tokens([Fetch(address, address, slots)])) * block
    assert (lists[0, ::block].flatten() - values[0]).abs().max() <= READING_ERROR


def test_bits_and_what_a_layer_brings() -> None:
    assert [entry_bits(k) for k in (1, 2, 255, 256)] == [2, 3, 9, 10]
    assert Sizes(depth=2, num_heads=3, width=10, bits=7).layer_bits == 91
