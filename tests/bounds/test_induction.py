"""Rows of induction heads: formulas against listed tables, and a real layer as a message."""

from itertools import product

import pytest
import torch

from attention_limits.bounds.induction import (
    count_rows,
    needed_bits,
    rows,
    rows_with_last_token,
    surjections,
    talk_about,
)
from attention_limits.problems.induction import NONE, InductionHeads


def listed(num_alice: int, num_symbols: int, last: int | None) -> int:
    """The rows, by hand; ``last`` is the last token, or Bob's if None."""
    table = set()
    for alice in product(range(num_symbols), repeat=num_alice):
        row = []
        for bob in product(range(num_symbols), repeat=num_alice):
            for end in range(num_symbols) if last is None else (last,):
                string = [x for pair in zip(bob, alice, strict=True) for x in pair] + [end]
                before = [j for j in range(2 * num_alice) if string[j] == end]
                row.append(string[before[-1] + 1] if before else NONE)
        table.add(tuple(row))
    return len(table)


@pytest.mark.parametrize(("num_alice", "num_symbols"), [(1, 2), (3, 2), (1, 3), (2, 3), (3, 3), (1, 4), (2, 4), (2, 5)])
def test_counted_rows_are_those_of_a_table_made_by_hand(num_alice: int, num_symbols: int) -> None:
    for last in {0, num_symbols - 1}:  # which symbol it is does not matter
        assert count_rows(num_alice, num_symbols) == listed(num_alice, num_symbols, last)
    assert count_rows(num_alice, num_symbols, public_last=False) == listed(num_alice, num_symbols, None)


@pytest.mark.parametrize(("num_symbols", "most"), [(3, 5), (4, 4), (5, 3), (6, 2)])
def test_formulas_are_the_counts(num_symbols: int, most: int) -> None:
    for n in range(1, most + 1):
        assert rows(n, num_symbols) == count_rows(n, num_symbols)
        assert rows_with_last_token(n, num_symbols) == count_rows(n, num_symbols, public_last=False)


def test_three_symbols_have_the_closed_forms() -> None:
    for n in range(1, 70):
        assert rows(n, 3) == 2 ** (n + 1) - 1
        assert rows_with_last_token(n, 3) == 6 * 2**n - 6 * n - 3
        assert needed_bits(n, 3) == n + 1
        assert (rows_with_last_token(n, 3) - 1).bit_length() == n + (1 if n == 1 else 2 if n < 4 else 3)


def test_two_symbols_have_a_bounded_number_of_rows_and_no_formula() -> None:
    assert [count_rows(n, 2) for n in range(1, 7)] == [2, 3, 3, 3, 3, 3]
    assert [count_rows(n, 2, public_last=False) for n in range(1, 7)] == [2, 4, 4, 4, 4, 4]
    for formula in (rows, rows_with_last_token):
        with pytest.raises(ValueError, match="two have at most four rows, got S = 2"):
            formula(3, 2)


def test_surjections_are_counted() -> None:
    for length in range(6):
        for size in range(1, 5):
            strings = product(range(size), repeat=length)
            assert surjections(length, size) == sum(len(set(string)) == size for string in strings)


@pytest.mark.parametrize("num_alice", [1, 2, 5, 12])
@pytest.mark.parametrize("num_symbols", [3, 4])
def test_conversations_are_right_and_longer_than_needed(num_alice: int, num_symbols: int) -> None:
    problem = InductionHeads(2 * num_alice + 1, num_symbols)
    generator = torch.Generator().manual_seed(num_alice)
    for last in range(num_symbols):
        inputs = problem.sample(6, generator=generator)
        inputs[:, -1] = last
        tally = talk_about(problem, last, inputs)
        assert tally.wrong == 0
        # Means of n values in 0 … N(S − 1), each off by at most 1/8; equal scores need no log-sum-exp.
        levels = 4 * problem.num_tokens * (num_symbols - 1)
        assert tally.num_bits == num_alice * (levels - 1).bit_length()
        assert tally.num_bits >= needed_bits(num_alice, num_symbols)


def test_a_message_that_is_too_coarse_is_sometimes_wrong() -> None:
    problem = InductionHeads(17, 3)
    inputs = problem.sample(20, generator=torch.Generator().manual_seed(0))
    inputs[:, -1] = 2
    tally = talk_about(problem, 2, inputs, error=16.0)
    assert tally.wrong > 0
    assert tally.num_bits > needed_bits(8, 3)


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="num_alice must be at least 1, got 0"):
        rows(0, 3)
    with pytest.raises(ValueError, match="num_symbols must be at least 2, got 1"):
        rows(3, 1)
    with pytest.raises(ValueError, match="at most 16,777,216 entries is listed, n = 8 has 43,046,721"):
        count_rows(8, 3)
    with pytest.raises(ValueError, match="all inputs must end in 2"):
        talk_about(InductionHeads(3, 3), 2, torch.zeros(1, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="length must be at least 0, got -1"):
        surjections(-1, 2)
