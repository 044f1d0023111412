"""The counting bound: exact sizes, packings that exist, and values that no shared code survives."""

import math
from fractions import Fraction
from itertools import combinations, pairwise

import pytest
import torch

from attention_limits.bounds.counting import (
    ball_size,
    greedy_packing,
    guaranteed_packing,
    least_bits,
    log2,
    required_bits,
    separating_values,
)


def test_least_bits_tell_things_apart_and_one_fewer_do_not() -> None:
    for count in [*range(1, 200), 2**100 - 1, 2**100, 2**100 + 1, math.comb(1000, 300)]:
        bits = least_bits(count)
        assert 2**bits >= count
        assert bits == 0 or 2 ** (bits - 1) < count


@pytest.mark.parametrize(("num_tokens", "sparsity"), [(1, 1), (5, 2), (7, 3), (6, 6), (8, 5)])
def test_balls_are_counted_as_by_enumeration(num_tokens: int, sparsity: int) -> None:
    subsets = [frozenset(y) for y in combinations(range(num_tokens), sparsity)]
    for radius in range(sparsity + 2):
        for centre in subsets[:3]:
            enumerated = sum(len(centre - y) <= radius for y in subsets)
            assert ball_size(num_tokens, sparsity, radius) == enumerated


@pytest.mark.parametrize("sparsity", range(1, 12))
def test_below_one_over_q_all_subsets_must_be_told_apart(sparsity: int) -> None:
    count = math.comb(2 * sparsity + 1, sparsity)
    for accuracy in (Fraction(1, 2 * sparsity), Fraction(1, sparsity) - Fraction(1, 10**9), 1e-300):
        assert guaranteed_packing(2 * sparsity + 1, sparsity, accuracy) == count
        assert required_bits(2 * sparsity + 1, sparsity, accuracy) == least_bits(count)
    if sparsity > 1:
        assert guaranteed_packing(2 * sparsity + 1, sparsity, Fraction(1, sparsity)) < count


def test_the_bound_at_the_sizes_of_the_table() -> None:
    accuracies = [Fraction(1, 32), Fraction(1, 10), Fraction(1, 4), Fraction(2, 5)]
    bits = [round(log2(guaranteed_packing(1024, 16, accuracy)), 1) for accuracy in accuracies]
    assert bits == [115.6, 101.6, 69.4, 52.3]


def test_theorem_4_holds_from_q_1_on_with_log2_of_3() -> None:
    for q in range(1, 300):
        assert 2 ** required_bits(2 * q + 1, q, Fraction(1, 2 * q)) > 3**q  # mp ≤ q log₂ 3 is impossible
        assert math.comb(2 * q + 1, q) >= 3**q


def test_more_tokens_need_more_bits() -> None:
    counts = [guaranteed_packing(tokens, 3, Fraction(1, 4)) for tokens in range(3, 60)]
    assert counts[0] == 1
    assert all(before < after for before, after in pairwise(counts))


@pytest.mark.parametrize(("num_tokens", "sparsity"), [(2, 1), (6, 3), (8, 4), (9, 3), (7, 6)])
@pytest.mark.parametrize(
    "accuracy", [Fraction(1, 5), Fraction(1, 3), Fraction(1, 2), Fraction(3, 4), Fraction(99, 100)]
)
def test_greedy_packings_are_packings_of_the_guaranteed_size(
    num_tokens: int, sparsity: int, accuracy: Fraction
) -> None:
    found = greedy_packing(combinations(range(num_tokens), sparsity), accuracy)
    assert len(found) >= guaranteed_packing(num_tokens, sparsity, accuracy) >= 1
    assert all(len(y - other) > accuracy * sparsity for y, other in combinations(found, 2))


@pytest.mark.parametrize(("num_tokens", "sparsity"), [(2, 1), (5, 2), (6, 3), (5, 4)])
@pytest.mark.parametrize("value_dim", [1, 3])
def test_separating_values_separate_all_pairs_and_keep_the_own_value(
    num_tokens: int, sparsity: int, value_dim: int
) -> None:
    own_value = torch.eye(value_dim, dtype=torch.float64)[0]
    for y, other in combinations(combinations(range(num_tokens), sparsity), 2):
        for own in range(num_tokens):
            values = separating_values(y, other, num_tokens=num_tokens, own_token=own, value_dim=value_dim)
            assert torch.equal(values[own], own_value)
            assert values.norm(dim=1).max() == 1
            # q times the averages, in integers.
            difference = values[list(y)].sum(dim=0) - values[list(other)].sum(dim=0)
            assert difference.abs()[0].item() == 2 * len(set(y) - set(other))


def test_log2_is_exact_at_powers_and_takes_huge_numbers() -> None:
    assert log2(2**5000) == 5000
    assert log2(Fraction(1, 2**3000)) == -3000
    assert log2(3) == math.log2(3)


def test_what_the_statement_does_not_cover_is_refused() -> None:
    with pytest.raises(ValueError, match="q = 4 needs num_tokens N ≥ 4, got N = 3"):
        required_bits(3, 4, Fraction(1, 8))
    for accuracy in (0.0, 1.0, Fraction(3, 2)):
        with pytest.raises(ValueError, match="accuracy ε must lie strictly between 0 and 1"):
            required_bits(5, 2, accuracy)
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        least_bits(0)
    with pytest.raises(ValueError, match="log₂ needs a positive number, got 0"):
        log2(0)
    with pytest.raises(ValueError, match="two subsets of one size"):
        separating_values([0, 1], [2], num_tokens=3, own_token=0)
    with pytest.raises(ValueError, match="tokens must lie in 0…2"):
        separating_values([0, 1], [2, 3], num_tokens=3, own_token=0)
