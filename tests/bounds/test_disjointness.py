"""Protocols for disjointness on all pairs of strings: right answers, bits equal to the formulas, and what must fail."""

import pytest
import torch

from attention_limits.bounds.disjointness import Blocks, OneWay, all_pairs, run_on_pairs
from attention_limits.bounds.protocols import different_transcripts
from attention_limits.problems.disjointness import Disjointness


@pytest.mark.parametrize("num_bits", range(1, 6))
def test_sending_everything_is_right_and_costs_n_bits(num_bits: int) -> None:
    tally = run_on_pairs(OneWay(num_bits), all_pairs(Disjointness(num_bits)))
    assert (tally.wrong, tally.worst_bits, tally.mean_bits) == (0, num_bits, num_bits)
    assert len(tally.conversations) == 4**num_bits


@pytest.mark.parametrize("num_bits", range(1, 6))
def test_one_bit_fewer_is_wrong_on_exactly_a_power_of_three(num_bits: int) -> None:
    tally = run_on_pairs(OneWay(num_bits, num_bits - 1), all_pairs(Disjointness(num_bits)))
    assert tally.wrong == 3 ** (num_bits - 1)
    assert tally.worst_bits == num_bits - 1


@pytest.mark.parametrize(("num_bits", "block"), [(1, 1), (1, 5), (3, 1), (4, 2), (5, 2), (5, 3), (5, 9)])
def test_blocks_are_right_and_their_worst_case_is_the_formula(num_bits: int, block: int) -> None:
    protocol = Blocks(num_bits, block)
    tally = run_on_pairs(protocol, all_pairs(Disjointness(num_bits)))
    assert tally.wrong == 0
    assert tally.worst_bits == protocol.worst_bits == num_bits + -(-num_bits // block) - 1
    assert tally.mean_bits <= tally.worst_bits


@pytest.mark.parametrize("protocol", [OneWay(5), Blocks(5, 1), Blocks(5, 2)])
def test_a_right_protocol_has_a_transcript_for_each_pair_of_the_fooling_set(protocol: OneWay | Blocks) -> None:
    tally = run_on_pairs(protocol, Disjointness(5).fooling_set())
    assert different_transcripts(tally.conversations) == 32
    assert tally.worst_bits >= 5


def test_a_wrong_protocol_shares_transcripts_on_the_fooling_set() -> None:
    tally = run_on_pairs(OneWay(5, 4), Disjointness(5).fooling_set())
    assert different_transcripts(tally.conversations) == 16


@pytest.mark.parametrize("block", [1, 7, 64])
def test_long_strings_are_decided(block: int) -> None:
    seed = 11
    pairs = Disjointness(64).sample(60, generator=torch.Generator().manual_seed(seed))
    assert run_on_pairs(Blocks(64, block), pairs).wrong == 0, f"seed {seed}"


def test_sizes_without_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="num_bits must be at least 1, got 0"):
        OneWay(0)
    with pytest.raises(ValueError, match="num_sent must lie in 0…3, got 4"):
        OneWay(3, 4)
    with pytest.raises(ValueError, match="block must be at least 1, got 0"):
        Blocks(3, 0)
