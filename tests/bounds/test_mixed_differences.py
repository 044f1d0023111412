"""Mixed differences of the middle table: the bound on random heads in integers, ranges, formats; limits of one head."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from attention_limits.bounds.mixed_differences import (
    Rectangle,
    best_single_gap,
    format_nats,
    hard_input,
    largest_modulus,
    least_range,
    least_shortfall,
    middle_range,
    mixed_difference,
    rectangles,
    target_gap,
    two_query_sum,
)
from attention_limits.constructions.strassen import match3_strassen_layer
from attention_limits.models.strassen_attention import PairScores, pair_scores, shortfall
from attention_limits.problems.matching import Match3


def squares(modulus: int, scale: int) -> PairScores:
    """−scale (4(S − M) + 1)² as integer tables: 4S − 4M + 1 is a sum of p = 4x, 4y and r = 4z − 4M + 1."""
    first = 4 * torch.arange(modulus)
    third = first - 4 * modulus + 1
    return PairScores(
        -scale * (first.unsqueeze(1) ** 2 + 2 * first.unsqueeze(1) * first),
        -scale * (first.unsqueeze(1) ** 2 + 2 * first.unsqueeze(1) * third),
        -scale * (third.unsqueeze(1) ** 2 + 2 * third.unsqueeze(1) * first),
    )


def noisy(scores: PairScores, amplitude: int, generator: torch.Generator) -> PairScores:
    """Integer noise in each table."""
    shape = scores.beta.shape
    return PairScores(*(t + torch.randint(-amplitude, amplitude + 1, shape, generator=generator) for t in scores))


def gap_by_loops(scores: PairScores) -> int:
    """The gap from single scores."""
    alpha, beta, gamma = (table.tolist() for table in scores)
    size, gaps = len(alpha), []
    for x in range(1, size):
        found: dict[int, list[int]] = {-1: [], 0: [], 1: []}
        for y, z in product(range(size), repeat=2):
            found.get(x + y + z - size, []).append(alpha[x][y] + beta[y][z] + gamma[z][x])
        gaps.append(min(found[0]) - max(found[-1] + found[1]))
    return min(gaps)


@pytest.mark.parametrize("modulus", [2, 3, 4, 7, 12])
def test_mixed_differences_of_random_heads_are_at_least_twice_gap_times_area(modulus: int) -> None:
    seed = modulus
    generator = torch.Generator().manual_seed(seed)
    passed = 0
    for amplitude in (0, 1, 2, 5, 9, 14, 20, 30) * 3:
        scores = noisy(squares(modulus, 3), amplitude, generator)
        gap = target_gap(scores)
        assert isinstance(gap, int)
        assert gap == gap_by_loops(scores)
        if gap <= 0:
            continue
        passed += 1
        for one in rectangles(modulus):
            difference = mixed_difference(scores.beta, one).item()
            assert difference >= 2 * gap * one.rows * one.columns, (seed, amplitude, one)
        assert middle_range(scores.beta) >= least_range(modulus, gap), (seed, amplitude)
    assert passed >= 6


def test_the_bound_is_attained_by_a_head_whose_neighbours_lie_at_one_distance() -> None:
    # −(S − M)²: both neighbours of M lie 1 below.
    y = torch.arange(9)
    own, last = y.unsqueeze(1), y - 9
    scores = PairScores(
        -(own**2) - 2 * own * y, -(own**2) - 2 * own * last, -(last.unsqueeze(1) ** 2) - 2 * last.unsqueeze(1) * y
    )
    assert target_gap(scores) == 1
    assert {mixed_difference(scores.beta, one).item() - 2 * one.rows * one.columns for one in rectangles(9)} == {0}


def test_the_rectangles_are_those_whose_cells_all_have_a_query() -> None:
    for modulus in range(2, 8):
        expected = {
            Rectangle(row, column, rows, columns)
            for row, column, rows, columns in product(range(modulus), repeat=4)
            if rows
            and columns
            and all(
                1 <= modulus - 1 - y - z <= modulus - 1
                for y in range(row, row + rows)
                for z in range(column, column + columns)
            )
        }
        assert set(rectangles(modulus)) == expected
        assert len(rectangles(modulus)) == len(expected)


def test_a_cell_beyond_them_may_have_any_difference() -> None:
    scores = squares(6, 3)
    gap = target_gap(scores)
    lowered = scores.beta.clone()
    lowered[5, 5] += 10**6
    assert target_gap(scores._replace(beta=lowered)) == gap
    assert mixed_difference(lowered, Rectangle(4, 4, 1, 1)) < 0


def test_what_is_moved_between_the_tables_changes_neither_gap_nor_mixed_difference() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = squares(8, 2)
    of_first, of_second = torch.randint(-(10**6), 10**6, (2, 8), generator=generator)
    moved = PairScores(
        scores.alpha - of_first, scores.beta + of_first.unsqueeze(1) + of_second, scores.gamma - of_second.unsqueeze(1)
    )
    assert target_gap(moved) == target_gap(scores)
    for one in rectangles(8):
        assert mixed_difference(moved.beta, one) == mixed_difference(scores.beta, one)
    assert middle_range(moved.beta) >= least_range(8, target_gap(scores))


@pytest.mark.parametrize("modulus", [2, 3, 8, 21])
@pytest.mark.parametrize("integers", [False, True])
def test_the_construction_has_half_its_scale_as_gap_and_twice_it_as_mixed_difference(
    modulus: int, integers: bool
) -> None:
    layer = match3_strassen_layer(Match3(3, modulus), integers=integers)
    vectors = layer.vectors(torch.arange(modulus)[None], modulus)
    scores = PairScores(*(table[0] for table in pair_scores(*vectors)))
    allowed = 4 * layer.rounding()
    assert abs(target_gap(scores) - layer.scale / 2) <= allowed
    for one in rectangles(modulus)[:: max(1, modulus // 4)]:
        expected = 2 * layer.scale * one.rows * one.columns
        assert abs(mixed_difference(scores.beta, one).item() - expected) <= allowed


def test_a_head_without_a_gap_need_not_have_the_difference() -> None:
    flat = PairScores(*torch.zeros(3, 5, 5, dtype=torch.int64))
    assert target_gap(flat) == 0
    flipped = PairScores(*(-table for table in squares(5, 3)))
    assert target_gap(flipped) < 0
    assert mixed_difference(flipped.beta, Rectangle(0, 0, 1, 1)) < 0


def test_the_largest_modulus_is_where_the_least_range_fills_the_format() -> None:
    assert [least_range(modulus, 1) for modulus in range(2, 9)] == [0, 0, 1, 2, 4, 6, 9]
    assert [largest_modulus(gap, format_nats(torch.float64)) for gap in (5, 10, 20)] == [36, 26, 19]
    assert largest_modulus(10, format_nats(torch.float32)) == 10
    for gap, nats in ((3, 100.0), (0.7, 55.5), (1, 0.0)):
        found = largest_modulus(gap, nats)
        assert least_range(found, gap) <= nats < least_range(found + 1, gap)


def test_formats_hold_what_their_smallest_and_largest_numbers_say() -> None:
    smallest = torch.tensor(5e-324, dtype=torch.float64)
    assert smallest > 0
    assert math.isclose(format_nats(torch.float64), math.log(1.7976931348623157e308) - math.log(5e-324))
    assert math.isclose(format_nats(torch.float32), math.log(3.4028234e38) - math.log(1.401298464e-45), rel_tol=1e-9)


@pytest.mark.parametrize("modulus", [6, 8, 10, 16, 40])
def test_on_the_hard_input_matrix_products_need_as_many_nats_as_is_stated(modulus: int) -> None:
    inputs = hard_input(modulus)
    row = inputs[0].tolist()
    for query, partner in ((modulus - 2, 1), (2, modulus // 2 - 1)):
        assert {(y, z) for y, z in product(row, repeat=2) if query + y + z == modulus} == {(partner, partner)}
    generator = torch.Generator().manual_seed(modulus)
    for scale in (1, 3):
        scores = squares(modulus, scale)
        of_first, of_second = torch.randint(-200, 200, (2, modulus), generator=generator)
        scores = PairScores(
            scores.alpha - of_first,
            scores.beta + of_first.unsqueeze(1) + of_second,
            scores.gamma - of_second.unsqueeze(1),
        )
        # −scale (4(S − M) + 1)²: the other sums score less by 8 · scale or more.
        assert target_gap(scores) == 8 * scale
        tables = PairScores(*(table[inputs[0]][:, inputs[0]].double() for table in scores))
        assert shortfall(tables).max() >= least_shortfall(modulus, 8 * scale)


@pytest.mark.parametrize("modulus", [2, 3, 4, 5])
def test_one_head_serves_any_one_query_and_no_two(modulus: int) -> None:
    for x in range(modulus):
        assert best_single_gap(modulus, [x]) > 1.9
        for other in range(x):
            assert abs(best_single_gap(modulus, [other, x])) < 1e-9


def test_the_sum_over_two_queries_is_zero_for_all_tables() -> None:
    generator = torch.Generator().manual_seed(2)
    for modulus in (2, 3, 6, 11):
        scores = noisy(PairScores(*torch.zeros(3, modulus, modulus, dtype=torch.int64)), 10**6, generator)
        for x, other in product(range(modulus), repeat=2):
            assert two_query_sum(scores, x, other) == 0


def test_a_score_that_is_no_sum_of_three_tables_is_not_bound_by_it() -> None:
    # Third-order attention can give each query's own pairs a higher score: the sum is then 2M.
    modulus = 5
    first = torch.arange(modulus)

    def score(x: int, y: Tensor, z: Tensor) -> Tensor:
        return ((x + y + z) % modulus == 0).long()

    total = 0
    for x, other in ((1, 3), (3, 1)):
        total += int((score(x, first, (-x - first) % modulus) - score(x, first, (-other - first) % modulus)).sum())
    assert total == 2 * modulus


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rectangles(1), "modulus must be at least 2, got 1"),
        (lambda: least_range(1, 1), "modulus must be at least 2, got 1"),
        (lambda: least_range(5, 0), "gap g must be positive and finite, got 0"),
        (lambda: least_range(5, math.inf), "gap g must be positive and finite, got inf"),
        (lambda: largest_modulus(1, math.inf), "nats must be at least 0 and finite, got inf"),
        (lambda: largest_modulus(1, -1.0), "nats must be at least 0 and finite, got -1.0"),
        (lambda: hard_input(7), "modulus must be even and at least 6, got 7"),
        (lambda: least_shortfall(4, 10), "modulus must be even and at least 6, got 4"),
        (lambda: best_single_gap(1, [0]), "modulus must be at least 2, got 1"),
        (lambda: best_single_gap(3, []), "queries must be residues in 0…2, at least one, got "),
        (lambda: best_single_gap(3, [3]), r"queries must be residues in 0…2, at least one, got \[3\]"),
    ],
)
def test_what_no_statement_covers_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
