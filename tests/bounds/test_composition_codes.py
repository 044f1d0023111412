"""Best codes: errors by hand, all codes at small sizes, bounds that no code passes, and a search that finds them."""

import math
from fractions import Fraction
from itertools import combinations, product

import pytest
import torch

from attention_limits.bounds.composition import fano_allows, information, needed_bits, partial_table_error
from attention_limits.bounds.composition_codes import best_code, code_error, distances, volume_error


def by_hand(num_points: int, codewords: tuple[int, ...]) -> Fraction:
    """The average error of a code, from tuples."""
    functions = list(product(range(num_points), repeat=num_points))
    total = sum(
        min(sum(a != b for a, b in zip(function, functions[word], strict=True)) for word in codewords)
        for function in functions
    )
    return Fraction(total, num_points * len(functions))


@pytest.mark.parametrize(("num_points", "size"), [(2, 1), (2, 2), (2, 3), (3, 1), (3, 2)])
def test_errors_and_best_codes_are_those_of_all_codes(num_points: int, size: int) -> None:
    codes = list(combinations(range(num_points**num_points), size))
    errors = [by_hand(num_points, code) for code in codes]
    assert [code_error(num_points, code) for code in codes] == errors
    if size in (1, 2):
        found = best_code(num_points, size - 1, restarts=1, generator=torch.Generator())
        assert found.best
        assert found.error == min(errors) == code_error(num_points, found.codewords)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("num_points", [2, 3, 4])
def test_no_code_passes_a_bound_and_the_found_ones_beat_a_part_of_the_table(num_points: int, seed: int) -> None:
    generator, met = torch.Generator().manual_seed(seed), 0
    for bits in range(needed_bits(num_points) + 1):
        code = best_code(num_points, bits, restarts=5, generator=generator)
        assert code.error == code_error(num_points, code.codewords), f"seed {seed}"
        assert len(set(code.codewords)) == min(2**bits, num_points**num_points)
        assert fano_allows(num_points, bits, code.error)
        assert volume_error(num_points, bits) <= code.error <= partial_table_error(num_points, bits)
        met += code.error == volume_error(num_points, bits)
    assert met >= {2: 3, 3: 4, 4: 5}[num_points], f"seed {seed}"


def test_the_search_finds_what_listing_finds() -> None:
    listed = best_code(3, 2, restarts=1, generator=torch.Generator())
    assert (listed.error, listed.best) == (Fraction(1, 3), True)
    assert best_code(4, 1, restarts=1, generator=torch.Generator()).error == Fraction(157, 256)


@pytest.mark.parametrize("num_points", [2, 3, 7, 64])
def test_the_volume_bound_is_a_guess_without_bits_and_nothing_with_all_of_them(num_points: int) -> None:
    assert volume_error(num_points, 0) == Fraction(num_points - 1, num_points)
    errors = [volume_error(num_points, bits) for bits in range(needed_bits(num_points) + 1)]
    assert errors[-1] == 0 < errors[-2]
    assert errors == sorted(errors, reverse=True)
    for bits, error in enumerate(errors):
        assert information(float(error), num_points) >= math.log2(num_points) - bits / num_points - 1e-9


def test_distances_are_a_metric_with_balls_of_the_right_sizes() -> None:
    differ = distances(3)
    assert torch.equal(differ, differ.T)
    assert torch.equal(torch.bincount(differ[5].long()), torch.tensor([1, 6, 12, 8]))


def test_what_is_no_code_or_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="n ≤ 4 only, got n = 5"):
        distances(5)
    with pytest.raises(ValueError, match="num_points must be at least 2, got 1"):
        volume_error(1, 0)
    with pytest.raises(ValueError, match="a code needs at least one codeword"):
        code_error(2, ())
    with pytest.raises(ValueError, match="restarts must be at least 1, got 0"):
        best_code(2, 1, restarts=0, generator=torch.Generator())
    with pytest.raises(ValueError, match="bits must be at least 0, got -1"):
        best_code(2, -1, restarts=1, generator=torch.Generator())
