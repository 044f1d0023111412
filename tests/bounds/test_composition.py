"""Bits for f(g(x)): rows, Fano's bound in floats and in integers, the cited bound and where it begins."""

import math
from fractions import Fraction
from itertools import pairwise

import pytest

from attention_limits.bounds.composition import (
    cited_error,
    count_rows,
    fano_allows,
    fano_error,
    first_bound_points,
    information,
    layer_bits,
    needed_bits,
    partial_table_error,
)


@pytest.mark.parametrize("num_points", [2, 3, 4])
def test_there_are_as_many_rows_as_functions(num_points: int) -> None:
    assert count_rows(num_points) == num_points**num_points


def test_needed_bits_tell_all_functions_apart_and_one_fewer_does_not() -> None:
    for n in [*range(2, 60), 1000]:
        assert 2 ** (needed_bits(n) - 1) < n**n <= 2 ** needed_bits(n)


@pytest.mark.parametrize("num_points", [2, 3, 5, 64, 4096])
def test_the_least_error_solves_the_equation_and_falls_to_zero(num_points: int) -> None:
    full = num_points * math.log2(num_points)
    shares = [0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1]
    errors = [fano_error(num_points, share * full) for share in shares]
    assert errors[0] == 1 - 1 / num_points
    assert errors[-1] == 0 == fano_error(num_points, full + 1)
    assert all(before > after for before, after in pairwise(errors))
    for share, error in zip(shares, errors, strict=True):
        assert information(error, num_points) == pytest.approx((1 - share) * math.log2(num_points), abs=1e-9)


@pytest.mark.parametrize("num_points", [2, 3, 4, 6])
def test_the_comparison_in_integers_agrees_with_the_floats(num_points: int) -> None:
    for bits in range(1, needed_bits(num_points) + 2):
        least = fano_error(num_points, bits)
        assert fano_allows(num_points, bits, Fraction(math.ceil(least * 1000), 1000))
        below = Fraction(math.floor(least * 1000), 1000)
        assert below == least or fano_allows(num_points, bits, below) is (least == 0)


def test_the_comparison_in_integers_is_exact_at_equality() -> None:
    for n in (2, 3, 4, 8):
        assert fano_allows(n, 0, Fraction(n - 1, n))
        assert not fano_allows(n, 0, Fraction(n - 1, n) - Fraction(1, 500))
    for n in (2, 4, 8):  # n log₂ n bits are enough for no error, one fewer is not
        assert fano_allows(n, needed_bits(n), Fraction(0))
        assert not fano_allows(n, needed_bits(n) - 1, Fraction(0))


@pytest.mark.parametrize("num_points", [2, 3, 10, 44, 64, 1000, 4096])
def test_fano_is_above_the_cited_bound_while_enough_is_missing(num_points: int) -> None:
    full = num_points * math.log2(num_points)
    least = 3 * math.e * math.log2(num_points) / num_points
    missing = [least * factor for factor in (1, 1.01, 2, 10)] + [full * share for share in (0.01, 0.1, 0.5, 1)]
    compared = [full - r for r in missing if least <= r <= full]
    assert all(fano_error(num_points, bits) >= cited_error(num_points, bits) for bits in compared)
    assert bool(compared) is (num_points > 2)


def test_from_45_points_on_one_missing_bit_is_enough_for_fano_to_be_above_the_cited_bound() -> None:
    assert 3 * math.e * math.log2(45) / 45 < 1 < 3 * math.e * math.log2(44) / 44
    for n in (45, 100, 4096):
        bits = n * math.log2(n) - 1
        assert fano_error(n, bits) >= cited_error(n, bits) > 0


def test_fano_can_be_below_the_cited_bound_near_the_end() -> None:
    assert fano_error(3, 3) < cited_error(3, 3)
    assert fano_error(4, 6) < cited_error(4, 6)


@pytest.mark.parametrize("num_points", [2, 3, 7, 64, 500])
def test_a_part_of_the_table_is_allowed_and_near_to_fano(num_points: int) -> None:
    full = num_points * math.log2(num_points)
    for bits in {round(full * share) for share in (0, 0.1, 0.3, 0.5, 0.8, 0.95, 1.1)}:
        error, least = partial_table_error(num_points, bits), fano_error(num_points, bits)
        assert least <= float(error) + 1e-12 <= least + 1 / math.log2(num_points) + 1 / num_points + 1e-9


def test_a_part_of_the_table_knows_as_many_points_as_the_bits_hold() -> None:
    assert [partial_table_error(3, bits) for bits in range(6)] == [
        Fraction(2, 3) * Fraction(3 - known, 3) for known in (0, 0, 1, 1, 2, 3)
    ]
    assert partial_table_error(4096, 12 * 4096) == 0
    assert partial_table_error(4096, 12 * 4096 - 1) == Fraction(4095, 4096**2)


@pytest.mark.parametrize(
    ("sizes", "first"), [((1, 16, 32), 85), ((8, 64, 16), 855), ((12, 64, 16), 1218), ((96, 128, 16), 14350)]
)
def test_the_bound_begins_where_the_function_outgrows_the_layer(sizes: tuple[int, int, int], first: int) -> None:
    bits = layer_bits(*sizes)
    assert first_bound_points(bits) == first
    assert (first - 1) ** (first - 1) <= 2**bits < first**first
    assert cited_error(first, bits) > 0 == cited_error(first - 1, bits)


def test_where_the_bound_begins_agrees_with_a_search_one_by_one() -> None:
    for bits in range(70):
        assert first_bound_points(bits) == next(n for n in range(2, 99) if n**n > 2**bits)


def test_what_the_statements_do_not_cover_is_refused() -> None:
    for call in (count_rows, needed_bits):
        with pytest.raises(ValueError, match="num_points must be at least 2, got 1"):
            call(1)
    with pytest.raises(ValueError, match="num_points must be at least 2, got 1"):
        fano_error(1, 0)
    with pytest.raises(ValueError, match="n ≤ 5 only, got n = 6"):
        count_rows(6)
    for bits in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="bits B must be at least 0 and finite"):
            fano_error(3, bits)
    for error in (Fraction(-1, 9), Fraction(10, 9)):
        with pytest.raises(ValueError, match="error δ must lie in 0…1"):
            fano_allows(3, 1, error)
    with pytest.raises(ValueError, match="a denominator of at most 10000, got 10001"):
        fano_allows(3, 1, Fraction(1, 10001))
    with pytest.raises(ValueError, match=r"error δ must lie in 0…1, got 1\.5"):
        information(1.5, 3)
    with pytest.raises(ValueError, match="value_dim must be at least 1, got 0"):
        layer_bits(1, 0, 1)
    with pytest.raises(ValueError, match="bits must be at least 0, got -1"):
        first_bound_points(-1)
