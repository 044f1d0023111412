"""Disjointness inside Match3 on all strings, and the one-way complexity counted against its formula."""

from itertools import product

import pytest
import torch

from attention_limits.bounds.disjointness import all_pairs
from attention_limits.bounds.match3 import (
    DisjointnessInMatch3,
    count_different_rows,
    hard_inputs,
    index_inputs,
    members_of_row,
    num_different_rows,
    num_index_bits,
    one_way_bits,
    residue_pairs,
    row_number,
    send_row,
)
from attention_limits.problems.disjointness import Disjointness
from attention_limits.problems.matching import Match3


@pytest.mark.parametrize("num_bits", range(1, 6))
@pytest.mark.parametrize(("more_tokens", "more_modulus"), [(0, 0), (0, 1), (3, 0), (1, 2), (0, 30)])
def test_the_first_output_is_disjointness_on_all_strings(num_bits: int, more_tokens: int, more_modulus: int) -> None:
    reduction = DisjointnessInMatch3(num_bits, 2 * num_bits + 1 + more_tokens, 2 * num_bits + 2 + more_modulus)
    pairs = all_pairs(Disjointness(num_bits))
    found = reduction.problem.target(reduction.inputs(*pairs))[:, 0]
    assert torch.equal(found, Disjointness(num_bits).target(pairs))


def test_long_strings_are_reduced_too() -> None:
    seed = 5
    pairs = Disjointness(300).sample(100, generator=torch.Generator().manual_seed(seed))
    reduction = DisjointnessInMatch3(300, 601, 602)
    found = reduction.problem.target(reduction.inputs(*pairs))[:, 0]
    assert torch.equal(found, Disjointness(300).target(pairs)), f"seed {seed}"


@pytest.mark.parametrize("modulus", range(4, 40))
def test_residue_pairs_leave_out_what_could_complete_a_triple_alone(modulus: int) -> None:
    pairs = residue_pairs(modulus)
    assert pairs.shape == ((modulus - 2) // 2, 2)
    assert bool((pairs.sum(dim=1) == modulus - 1).all())
    used = set(pairs.flatten().tolist())
    assert len(used) == pairs.numel()
    assert not used & {1, modulus - 2}
    assert all((2 * residue + 1) % modulus for residue in used)


def test_a_pair_with_the_filler_would_break_the_reduction() -> None:
    class Broken(DisjointnessInMatch3):
        pairs = torch.tensor([[1, 4]])

    pairs = all_pairs(Disjointness(1))
    broken = Broken(1, 3, 6)
    assert not torch.equal(broken.problem.target(broken.inputs(*pairs))[:, 0], Disjointness(1).target(pairs))


@pytest.mark.parametrize("num_tokens", [3, 4, 5, 7])
@pytest.mark.parametrize("modulus", range(4, 13))
def test_the_number_of_rows_equals_the_formula(num_tokens: int, modulus: int) -> None:
    assert count_different_rows(num_tokens, modulus) == num_different_rows(num_tokens, modulus)


@pytest.mark.parametrize(("num_tokens", "modulus"), [(3, 4), (3, 9), (4, 7), (5, 6)])
def test_one_order_of_each_multiset_is_enough(num_tokens: int, modulus: int) -> None:
    rows = set()
    for held in product(range(modulus), repeat=num_tokens - 2):
        inputs = torch.tensor([[1, *held, last] for last in range(modulus)])
        rows.add(tuple(Match3(num_tokens, modulus).target(inputs)[:, 0].tolist()))
    assert len(rows) == count_different_rows(num_tokens, modulus)


def test_one_way_bits_are_the_ceiling_of_the_logarithm() -> None:
    assert one_way_bits(65, 66) == 51
    assert num_different_rows(65, 66) == 3**32 + 1
    for num_tokens, modulus in product(range(3, 40), range(4, 60)):
        rows, bits = num_different_rows(num_tokens, modulus), one_way_bits(num_tokens, modulus)
        assert 2 ** (bits - 1) < rows <= 2**bits
        if modulus > num_tokens:
            assert rows > 3 ** ((num_tokens - 1) // 2)


@pytest.mark.parametrize("num_tokens", [3, 4, 5])
@pytest.mark.parametrize("modulus", range(4, 10))
def test_rows_are_numbered_without_a_gap_and_each_number_tells_the_members(num_tokens: int, modulus: int) -> None:
    numbers = set()
    for held in product(range(modulus), repeat=num_tokens - 2):
        numbers.add(number := row_number(held, modulus))
        assert members_of_row(number, modulus) == (set(held) - {1} if number else None)
    assert numbers == set(range(num_different_rows(num_tokens, modulus)))


@pytest.mark.parametrize(("num_tokens", "modulus"), [(3, 4), (3, 7), (4, 5), (4, 8), (5, 6)])
def test_the_number_of_a_row_is_enough_on_all_inputs(num_tokens: int, modulus: int) -> None:
    inputs = torch.tensor([[1, *rest] for rest in product(range(modulus), repeat=num_tokens - 1)])
    talks = [send_row(entry, modulus) for entry in inputs.tolist()]
    assert {talk.num_bits for talk in talks} == {one_way_bits(num_tokens, modulus)}
    expected = Match3(num_tokens, modulus).target(inputs)[:, 0]
    assert [talk.bob_answer for talk in talks] == expected.tolist()


@pytest.mark.parametrize("num_tokens", [3, 5, 17, 65, 129])
@pytest.mark.parametrize("stretch", [1, 2, 50])
def test_bobs_token_decides_the_hard_inputs(num_tokens: int, stretch: int) -> None:
    seed, modulus = 3, stretch * num_tokens + 1
    inputs = hard_inputs(num_tokens, modulus, 20, generator=torch.Generator().manual_seed(seed))
    expected = Match3(num_tokens, modulus).target(inputs)[:, 0]
    assert expected.tolist() == [True, False] * 10, f"seed {seed}"
    assert [send_row(entry, modulus).bob_answer for entry in inputs.tolist()] == expected.tolist(), f"seed {seed}"
    inputs[:, -1] = 1
    assert not bool(Match3(num_tokens, modulus).target(inputs)[:, 0].any()), f"seed {seed}"


@pytest.mark.parametrize(("num_tokens", "modulus", "bits"), [(3, 4, 1), (5, 8, 3), (5, 30, 3), (9, 10, 4), (12, 14, 6)])
def test_alices_tokens_hold_bits_of_which_bob_may_ask_for_any(num_tokens: int, modulus: int, bits: int) -> None:
    cases = index_inputs(num_tokens, modulus)
    assert num_index_bits(num_tokens, modulus) == bits
    assert len(cases.inputs) == len(cases.inputs.unique(dim=0)) == 2**bits * bits
    assert torch.equal(Match3(num_tokens, modulus).target(cases.inputs)[:, 0], cases.answers)
    assert int(cases.answers.sum()) * 2 == len(cases.answers)


def test_moduli_of_the_square_of_the_length_leave_no_logarithm() -> None:
    for num_tokens in range(3, 80):
        for modulus in (num_tokens**2, num_tokens**2 + 1, num_tokens**3):
            assert num_different_rows(num_tokens, modulus) > num_tokens ** (num_tokens - 2)


def test_sizes_outside_the_hypotheses_are_refused() -> None:
    with pytest.raises(ValueError, match="M ≥ 4, got M = 3"):
        residue_pairs(3)
    with pytest.raises(ValueError, match="N ≥ 7 for n = 3, got N = 6"):
        DisjointnessInMatch3(3, 6, 20)
    with pytest.raises(ValueError, match="M ≥ 8 for n = 3, got M = 7"):
        DisjointnessInMatch3(3, 7, 7)
    with pytest.raises(ValueError, match="num_bits must be at least 1, got 0"):
        DisjointnessInMatch3(0, 3, 4)
    for function in (num_different_rows, count_different_rows, one_way_bits, num_index_bits, index_inputs):
        with pytest.raises(ValueError, match="N ≥ 3, got N = 2"):
            function(2, 6)
        with pytest.raises(ValueError, match="M ≥ 4, got M = 3"):
            function(5, 3)
