"""Pointer matrices: exact ranks, determinants and forced errors, and the linear program against them."""

import itertools
import math
import re
from fractions import Fraction

import numpy as np
import pytest

from attention_limits.bounds.pointers import (
    _least_error_at,
    block_pointers,
    consecutive_pointers,
    fixed_forced_error,
    least_error,
    pointer_matrix,
)


def test_consecutive_pointers_have_the_rank_of_the_formula() -> None:
    for num_tokens in range(1, 31):
        for sparsity in range(1, num_tokens + 1):
            pointers = consecutive_pointers(num_tokens, sparsity)
            assert all(len(set(row)) == sparsity for row in pointers)
            expected = num_tokens - math.gcd(num_tokens, sparsity) + 1
            assert pointer_matrix(pointers, num_tokens).rank() == expected, (num_tokens, sparsity)


def test_block_pointers_have_the_determinant_of_the_formula() -> None:
    for num_tokens in range(2, 31):
        for sparsity in range(1, num_tokens):
            for blocks in {1, num_tokens // (sparsity + 1)}:
                pointers = block_pointers(num_tokens, sparsity, blocks)
                assert all(len(set(row)) == sparsity for row in pointers)
                assert all(0 <= j < num_tokens for row in pointers for j in row)
                assert abs(int(pointer_matrix(pointers, num_tokens).det())) == sparsity**blocks


def test_pointers_at_small_sizes_are_those_of_the_statement() -> None:
    assert consecutive_pointers(4, 3) == [[0, 1, 2], [1, 2, 3], [0, 2, 3], [0, 1, 3]]
    assert block_pointers(5, 2, 1) == [[1, 2], [0, 2], [0, 1], [0, 3], [0, 4]]
    assert block_pointers(5, 1, 2) == [[1], [0], [3], [2], [4]]


def test_the_forced_error_of_blocks_is_the_formula() -> None:
    for num_tokens in range(2, 13):
        for sparsity in range(1, num_tokens):
            for blocks in range(1, num_tokens // (sparsity + 1) + 1):
                covered = blocks * (sparsity + 1) == num_tokens
                expected = Fraction(1, 2 * sparsity - 1 if covered else 4 * sparsity - 3)
                assert fixed_forced_error(block_pointers(num_tokens, sparsity, blocks), num_tokens) == expected


def test_the_forced_error_is_the_least_maximum_of_the_linear_program() -> None:
    for num_tokens, sparsity in [(3, 2), (4, 1), (5, 2), (5, 3), (7, 3), (8, 3)]:
        for pointers in (consecutive_pointers(num_tokens, sparsity), block_pointers(num_tokens, sparsity, 1)):
            bounds = least_error(pointers, num_tokens)
            assert bounds.at_least == bounds.at_most == fixed_forced_error(pointers, num_tokens)


def test_singular_pointers_force_nothing() -> None:
    pointers = consecutive_pointers(6, 3)
    assert fixed_forced_error(pointers, 6) == 0
    assert least_error(pointers, 6).at_most == 0


def test_over_all_subsets_the_linear_program_meets_the_theorem() -> None:
    for num_tokens in range(2, 8):
        for sparsity in range(1, num_tokens):
            bounds = least_error(list(itertools.combinations(range(num_tokens), sparsity)), num_tokens)
            assert bounds.at_least == bounds.at_most == Fraction(1, 2 * sparsity - 1), (num_tokens, sparsity)


def test_the_linear_program_over_some_subsets_never_passes_what_values_attain() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        num_tokens, sparsity = 6, int(generator.integers(1, 6))
        subsets = [sorted(generator.choice(6, sparsity, replace=False).tolist()) for _ in range(9)]
        bounds = least_error(subsets, num_tokens)
        assert bounds.at_least <= bounds.at_most
        assert float(bounds.at_most - bounds.at_least) < 1e-6
        for entry in range(num_tokens):  # here some |z_j| may be held at 1, and the dual must pay for it
            single = _least_error_at(subsets, num_tokens, entry)
            assert -1e-6 < float(single.at_most - single.at_least) < 1e-6
        values = generator.uniform(-1, 1, (200, num_tokens))
        values[:, 0] = 1
        attained = np.max([np.abs(values[:, subset].sum(axis=1)) / sparsity for subset in subsets], axis=0)
        assert attained.min() >= float(bounds.at_least) - 1e-12


def test_missing_subsets_and_a_repeated_row_are_seen() -> None:
    subsets = list(itertools.combinations(range(4), 2))
    assert least_error(subsets, 4).at_least == Fraction(1, 3)
    assert least_error(subsets[:3], 4).at_most == 0  # all contain token 0: (1, −1, −1, −1) cancels
    pointers = block_pointers(4, 3, 1)
    pointers[2] = pointers[1]
    assert pointer_matrix(pointers, 4).det() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, 4, 1), "sparsity q = 4 must be at most N − 1 = 3"),
        ((4, 0, 1), "sparsity must be at least 1, got 0"),
        ((4, 2, 0), "num_blocks must be at least 1, got 0"),
        ((4, 2, 2), "2 blocks of q + 1 = 3 tokens need N ≥ 6, got 4"),
    ],
)
def test_blocks_that_do_not_fit_are_refused_by_name(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        block_pointers(*arguments)


def test_more_pointers_than_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="sparsity q = 5 must be at most N = 4"):
        consecutive_pointers(4, 5)
