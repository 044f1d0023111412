"""Heads of functions, both bounds: all of three bits, the table of four, alternating sums, ten bits, counting."""

import random
from collections import Counter
from fractions import Fraction
from itertools import product
from math import e, log2

import pytest

from attention_limits.bounds import head_complexity as module
from attention_limits.bounds.head_complexity import (
    DENOMINATORS,
    alternating_sum,
    cleared,
    computes,
    count_heads,
    heads_with,
    mixed_rank,
    patterns_suffice,
    ten_bit_score,
    two_head_form,
)
from attention_limits.bounds.radon import InvalidCertificateError
from attention_limits.bounds.sign_degree import cube, function_classes
from attention_limits.constructions.rational_heads import HeadWeights, RationalHead, output, symmetric_heads


def random_layer(generator: random.Random, num_heads: int, num_bits: int) -> list[RationalHead]:
    """Heads with random rational weights and values."""
    layer = []
    for _ in range(num_heads):
        weights = [Fraction(generator.randint(1, 99), generator.randint(1, 99)) for _ in range(2 * num_bits + 1)]
        values = [Fraction(generator.randint(-99, 99)) for _ in range(2 * num_bits + 1)]
        pairs = [tuple(zip(part[1::2], part[2::2], strict=True)) for part in (weights, values)]
        layer.append(RationalHead.from_weights(HeadWeights(pairs[0], pairs[1], weights[0], values[0])))
    return layer


def quadratic_coefficient(heads: list[RationalHead], i: int, j: int) -> Fraction:
    """The coefficient of the cleared score at x_i x_j, by differences at the origin."""
    bits = [[int(place in chosen) for place in range(heads[0].num_bits)] for chosen in ((), (i,), (j,), (i, j))]
    zero, first, second, both = (cleared(heads, row) for row in bits)
    return both - first - second + zero


@pytest.mark.parametrize("num_bits", [1, 2, 3])
def test_every_function_of_few_bits_gets_as_many_heads_as_its_sign_degree(num_bits: int) -> None:
    for labels in product((0, 1), repeat=2**num_bits):
        found = count_heads(labels)
        assert len(found.heads) == max(1, found.lower.degree)
        signs = [output(found.heads, bits) for bits in product((0, 1), repeat=num_bits)]
        assert all(value < 0 if label else value > 0 for value, label in zip(signs, labels, strict=True)), labels


def test_the_table_of_four_bits() -> None:
    table: Counter[tuple[int, int]] = Counter()
    for labels, size in function_classes(4):
        found = count_heads(labels)
        table[found.lower.degree, len(found.heads)] += size
    assert table == {(0, 1): 2, (1, 1): 1880, (2, 2): 55692, (3, 3): 7960, (4, 4): 2}


@pytest.mark.parametrize("seed", range(8))
def test_random_functions_of_four_bits_are_counted_too(seed: int) -> None:
    generator = random.Random(seed)  # members of their classes that the list of denominators was not made for
    labels = [generator.randint(0, 1) for _ in range(16)]
    found = count_heads(labels)
    assert computes(found.heads, labels), f"seed {seed}: {labels}"
    assert len(found.heads) == found.lower.degree


def test_the_denominators_are_positive_on_the_cube() -> None:
    for families in DENOMINATORS.values():
        for form in (form for family in families for form in family):
            assert min(form[0] + sum(a * b for a, b in zip(form[1:], bits, strict=True)) for bits in cube(4)) > 0


@pytest.mark.parametrize("num_heads", range(1, 5))
@pytest.mark.parametrize("seed", range(5))
def test_the_alternating_sum_is_zero_for_fewer_heads_than_bits(num_heads: int, seed: int) -> None:
    generator = random.Random(seed)
    for num_bits in (num_heads + 1, num_heads + 2):
        assert alternating_sum(random_layer(generator, num_heads, num_bits)) == 0, f"seed {seed}, n = {num_bits}"
    assert alternating_sum(random_layer(generator, num_heads, num_heads)) != 0, f"seed {seed}"


@pytest.mark.parametrize("k", range(1, 6))
def test_for_heads_that_compute_parity_every_term_is_positive(k: int) -> None:
    heads = symmetric_heads([c % 2 for c in range(k + 1)])
    terms = [(-1) ** sum(bits) * cleared(heads, bits) for bits in cube(k)]
    assert min(terms) > 0
    assert alternating_sum(heads) == sum(terms)


@pytest.mark.parametrize("seed", range(5))
def test_the_cleared_score_is_the_output_times_the_denominators(seed: int) -> None:
    heads = random_layer(random.Random(seed), 3, 4)
    for bits in cube(4):
        lows = [h.denominator[0] + sum(a * b for a, b in zip(h.denominator[1:], bits, strict=True)) for h in heads]
        assert cleared(heads, bits) == output(heads, bits) * lows[0] * lows[1] * lows[2], f"seed {seed}"


@pytest.mark.parametrize("seed", range(5))
def test_one_head_fewer_does_not_compute_parity_with_any_denominators_tried(seed: int) -> None:
    generator = random.Random(seed)
    for n in (2, 3, 4):
        labels = [sum(bits) % 2 for bits in cube(n)]
        fewer = [head.denominator for head in random_layer(generator, n - 1, n)]
        assert heads_with(labels, fewer) is None, f"seed {seed}, n = {n}"


def test_heads_with_given_denominators_are_found_where_they_exist() -> None:
    labels = [sum(bits) % 2 for bits in cube(3)]
    lows = [head.denominator for head in symmetric_heads([0, 1, 0, 1])]
    found = heads_with(labels, lows)
    assert found is not None
    assert computes(found, labels)
    assert [head.denominator for head in found] == lows
    assert heads_with(labels, [lows[0]] * 3) is None  # one denominator three times is one head
    assert not computes(found[:2], labels)


def test_the_ten_bit_function_has_the_signs_that_the_proof_uses() -> None:
    for bits in cube(10):
        x, y = ([1 - 2 * bit for bit in half] for half in (bits[:5], bits[5:]))
        score = ten_bit_score(bits)
        assert score == sum(a * b * (1 - 3 * (i == j)) for i, a in enumerate(x) for j, b in enumerate(y))
        assert score % 4 == 2
    face = {(s, t): ten_bit_score((s, 0, 0, 1, 1, t, 0, 1, 0, 1)) for s in (0, 1) for t in (0, 1)}
    assert [face[key] > 0 for key in ((0, 0), (0, 1), (1, 0), (1, 1))] == [False, True, True, False]


@pytest.mark.parametrize("seed", range(5))
def test_two_heads_have_mixed_coefficients_of_rank_four(seed: int) -> None:
    heads = random_layer(random.Random(seed), 2, 10)
    form = two_head_form(heads[0], heads[1], 5)
    assert form == [[quadratic_coefficient(heads, i, 5 + j) for j in range(5)] for i in range(5)], f"seed {seed}"
    assert mixed_rank(form) == 4
    assert mixed_rank([[1 - 3 * (i == j) for j in range(5)] for i in range(5)]) == 5


def test_counting_agrees_with_logarithms_and_does_not_depend_on_order() -> None:
    for n in range(1, 15):
        for k in {1, 2, 3, 8, 9, n, 2 * n, 15, 16, 44, 45}:
            bits = k * (2 * n + 1) * log2(4 * e * 2**n / (2 * n + 1))
            if abs(bits - 2**n) > 1e-3 * 2**n:  # e is rounded up
                assert patterns_suffice(n, k) == (bits >= 2**n), (n, k)
    assert [patterns_suffice(12, k) for k in (12, 15, 16)] == [False, False, True]


def test_broken_heads_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "symmetric_heads", lambda levels: symmetric_heads([1 - label for label in levels]))
    with pytest.raises(InvalidCertificateError, match="2 heads do not compute"):
        count_heads([0, 1, 1, 0])
    monkeypatch.setattr(module, "DENOMINATORS", {2: (((1, 0, 0, 0, 0), (1, 0, 0, 0, 0)),)})
    with pytest.raises(InvalidCertificateError, match="no denominators of the list give 2 heads"):
        count_heads([int(bits[:1] == bits[1:2]) for bits in cube(3)])


def test_what_is_not_covered_is_refused() -> None:
    with pytest.raises(ValueError, match="counted for n ≤ 4 bits, got n = 5"):
        count_heads([0] * 32)
    with pytest.raises(ValueError, match="2\\^n labels"):
        count_heads([0, 1, 0])
    with pytest.raises(ValueError, match="num_bits must be at least 1, got 0"):
        patterns_suffice(0, 1)
    with pytest.raises(ValueError, match="num_heads must be at least 1, got 0"):
        patterns_suffice(3, 0)
    with pytest.raises(ValueError, match="positive on the cube"):
        heads_with([0, 1, 1, 0], [(1, -1, 0)])
