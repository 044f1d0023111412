"""Heads that score their own key lowest: orders by hand, the bound, the determinants, and small heads by search."""

from fractions import Fraction
from itertools import pairwise, product

import pytest

from attention_limits.bounds.own_key import (
    bound_holds,
    entry_bits,
    excludes_itself,
    exponential_head,
    least_bits_allowed,
    least_growth,
    parabola_head,
)


@pytest.mark.parametrize("num_tokens", [1, 2, 3, 10, 40])
def test_the_exponential_head_excludes_itself(num_tokens: int) -> None:
    queries, keys = exponential_head(num_tokens)
    for i in range(num_tokens):
        scores = [sum(u * k for u, k in zip(queries[i], keys[j], strict=True)) for j in range(i + 1)]
        assert scores == [4 ** (j + 1) * (2 * (i - j) - 1) for j in range(i + 1)]
        assert sorted(range(i + 1), key=scores.__getitem__) == [i, *range(i)]
    assert excludes_itself(queries, keys)
    assert bound_holds(num_tokens, 2, entry_bits(queries, keys))
    assert entry_bits(queries, keys) == 1 + 2 * num_tokens + num_tokens.bit_length()


def test_the_parabola_orders_earlier_keys_and_not_its_own() -> None:
    for n in range(2, 30):
        queries, keys = parabola_head(n)
        assert not excludes_itself(queries, keys)
        for i in range(n):
            scores = [sum(u * k for u, k in zip(queries[i], keys[j], strict=True)) for j in range(i + 1)]
            assert scores == sorted(set(scores))


def test_a_wrong_order_and_an_own_key_that_ties_are_seen() -> None:
    queries, keys = exponential_head(6)
    assert not excludes_itself(queries, [keys[1], keys[0], *keys[2:]])
    assert not excludes_itself([(0, 0), (1, 0)], [(0, 0), (0, 0)])
    assert excludes_itself([(0, 0), (1, 0)], [(1, 0), (0, 0)])
    assert not excludes_itself([(0, 0), (1, 0), (1, 0)], [(1, 0), (0, 0), (-1, 0)])


@pytest.mark.parametrize("num_tokens", [2, 3, 8, 30])
def test_the_determinant_doubles_with_each_token(num_tokens: int) -> None:
    queries, keys = exponential_head(num_tokens)
    assert least_growth(keys, entry_bits(queries, keys)) >= 2
    parabola = parabola_head(64)
    assert least_growth(parabola[1], entry_bits(*parabola)) < 2


@pytest.mark.parametrize("num_tokens", [4, 5, 8, 30])
def test_it_still_doubles_later_where_it_starts_larger(num_tokens: int) -> None:
    queries, keys = exponential_head(num_tokens)
    bits = entry_bits(queries, keys)
    for start in range(1, num_tokens - 1):
        assert least_growth(keys, bits, start=start) >= 2
    parabola = parabola_head(64)
    assert least_growth(parabola[1], entry_bits(*parabola), start=32) < 2
    with pytest.raises(ValueError, match=f"growth needs at least {num_tokens + 1} keys, got {num_tokens}"):
        least_growth(keys, bits, start=num_tokens - 1)


def test_the_growth_is_that_of_the_determinant() -> None:
    keys = [(0, 0), (1, 0), (1, 2)]  # with p = 1: λ = 1/2, determinants 1/4, 3/4 and 1.5 · 4.5
    assert least_growth(keys, 1) == Fraction(3)
    keys.append((2, 2))  # s = 2, λ = 2: determinants 4, 6, 18 and (4 · 6 = 24)
    assert least_growth(keys, 1, start=2) == Fraction(24, 18)
    with pytest.raises(ValueError, match="growth needs at least two keys, got 1"):
        least_growth(keys[:1], 1)


def test_no_small_head_in_two_dimensions_beats_the_bound() -> None:
    vectors = list(product((-1, 0, 1), repeat=2))  # p = 2
    heads = [[key] for key in vectors]
    longest = 1
    while heads:
        longest = len(heads[0])
        heads = [
            [*keys, key]
            for keys in heads
            for key in vectors
            if any(
                _ordered([sum(u * k for u, k in zip(query, one, strict=True)) for one in (*keys, key)])
                for query in vectors
            )
        ]
    assert longest == 4
    assert bound_holds(longest, 2, 2)


def _ordered(scores: list[int]) -> bool:
    *earlier, own = scores
    return own < earlier[0] and all(one < other for one, other in pairwise(earlier))


def test_the_bound_is_compared_in_integers() -> None:
    for embed_dim in (1, 2, 5):
        for n in (2, 17, 300):
            bits = least_bits_allowed(n, embed_dim)
            assert bound_holds(n, embed_dim, bits)
            assert bits == 1 or not bound_holds(n, embed_dim, bits - 1)
    # N − 1 ≤ m (4p − 2 + log₂(mN)): with m = 1 and N = 16, 15 ≤ 4p + 2 from p = 4 on.
    assert [bound_holds(16, 1, bits) for bits in (3, 4)] == [False, True]
    # N − 2 ≤ 9mp decides where many dimensions have few bits: (4 · 90 · 812)^90 is far above 2^811.
    assert [bound_holds(n, 90, 1) for n in (812, 813)] == [True, False]
    with pytest.raises(ValueError, match="bits must be at least 1, got 0"):
        bound_holds(4, 2, 0)
    with pytest.raises(ValueError, match="num_tokens must be at least 1, got 0"):
        exponential_head(0)
