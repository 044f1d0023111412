"""Disjointness: its target, its hard pairs, and the exact facts about its communication matrix."""

from fractions import Fraction
from itertools import product

import pytest
import torch

from attention_limits.problems.disjointness import Disjointness, DisjointnessInputs


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rank_by_fractions(rows: list[list[int]]) -> int:
    """The rank over the rationals by schoolbook elimination."""
    matrix, rank = [[Fraction(entry) for entry in row] for row in rows], 0
    for column in range(len(matrix[0])):
        pivot = next((i for i in range(rank, len(matrix)) if matrix[i][column]), None)
        if pivot is None:
            continue
        matrix[rank], matrix[pivot] = matrix[pivot], matrix[rank]
        for i in range(rank + 1, len(matrix)):
            factor = matrix[i][column] / matrix[rank][column]
            matrix[i] = [a - factor * b for a, b in zip(matrix[i], matrix[rank], strict=True)]
        rank += 1
    return rank


@pytest.mark.parametrize("num_bits", range(1, 6))
def test_the_target_and_the_matrix_are_the_definition_on_all_pairs(num_bits: int) -> None:
    task = Disjointness(num_bits)
    strings, matrix = task.strings(), task.communication_matrix()
    assert sorted(map(tuple, strings.int().tolist())) == sorted(product((0, 1), repeat=num_bits))
    for (i, a), (j, b) in product(enumerate(strings), repeat=2):
        expected = max(int(x) * int(y) for x, y in zip(a, b, strict=True))
        assert int(matrix[i, j]) == expected
        assert int(task.target(DisjointnessInputs(a[None], b[None]))) == expected


@pytest.mark.parametrize("num_bits", range(1, 12))
def test_all_rows_of_the_matrix_differ(num_bits: int) -> None:
    assert Disjointness(num_bits).num_different_rows() == 2**num_bits


@pytest.mark.parametrize("num_bits", range(1, 9))
def test_one_minus_disjointness_has_full_rank(num_bits: int) -> None:
    assert Disjointness(num_bits).complement_rank() == 2**num_bits


@pytest.mark.parametrize("num_bits", range(1, 6))
def test_the_rank_is_the_one_of_schoolbook_elimination(num_bits: int) -> None:
    task = Disjointness(num_bits)
    assert task.complement_rank() == rank_by_fractions((~task.communication_matrix()).int().tolist())
    # DISJ itself, with its row of zeros, has one less: the elimination can find a smaller rank.
    assert rank_by_fractions(task.communication_matrix().int().tolist()) == 2**num_bits - 1


@pytest.mark.parametrize("num_bits", range(1, 9))
def test_strings_with_their_complements_are_a_fooling_set(num_bits: int) -> None:
    task = Disjointness(num_bits)
    assert len(task.fooling_set().alice) == 2**num_bits
    assert task.is_fooling_set(task.fooling_set())


def test_pairs_that_meet_or_that_do_not_cross_are_no_fooling_set() -> None:
    task = Disjointness(3)
    alice, bob = task.fooling_set()
    meeting = bob.clone()
    meeting[1] |= alice[1]
    assert not task.is_fooling_set(DisjointnessInputs(alice, meeting))
    smaller = bob.clone()
    smaller[0, 0] = False  # (000, 110) and (001, 110): they may share a transcript
    assert not task.is_fooling_set(DisjointnessInputs(alice, smaller))


@pytest.mark.parametrize("num_bits", [1, 2, 7, 64, 500])
def test_hard_pairs_are_disjoint_or_meet_once(num_bits: int) -> None:
    seed = 31 + num_bits
    task = Disjointness(num_bits)
    pairs = task.sample(400, generator=seeded(seed))
    common = (pairs.alice & pairs.bob).sum(dim=1)
    assert common.max().item() == 1, f"seed {seed}"
    assert torch.equal(task.target(pairs), common > 0), f"seed {seed}"
    share = (common[pairs.alice.any(dim=1)] > 0).double().mean().item()
    assert 0.3 < share < 0.7, f"seed {seed}: {share}"


def test_the_common_element_of_hard_pairs_is_any_of_them() -> None:
    pairs = Disjointness(3).sample(600, generator=seeded(5))
    assert ((pairs.alice & pairs.bob).sum(dim=0) > 50).all()


def test_the_same_seed_draws_the_same_pairs() -> None:
    task = Disjointness(20)
    first, second = task.sample(8, generator=seeded(3)), task.sample(8, generator=seeded(3))
    assert torch.equal(first.alice, second.alice)
    assert torch.equal(first.bob, second.bob)


@pytest.mark.parametrize("num_bits", [0, -1, True])
def test_no_bits_are_refused_by_name(num_bits: int) -> None:
    with pytest.raises(ValueError, match="num_bits must be"):
        Disjointness(num_bits)


def test_strings_of_another_length_are_refused() -> None:
    short = torch.zeros(1, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"alice must have shape \(1, 3\), got \(1, 2\)"):
        Disjointness(3).target(DisjointnessInputs(short, short))
