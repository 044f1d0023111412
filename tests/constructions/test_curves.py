"""Curves: every subset at small sizes in exact arithmetic, float queries against it, margins against their formulas."""

import math
from fractions import Fraction
from itertools import combinations

import pytest
import torch
from torch import Tensor

from attention_limits.constructions.curves import (
    check_circle,
    circle_coefficients,
    circle_products,
    hardest_subset,
    holed_blocks,
    largest_query_entry,
    least_circle_margin,
    least_integer_margin,
    moment_keys,
    moment_products,
    moment_queries,
    separation,
    trigonometric_keys,
    trigonometric_queries,
)
from attention_limits.constructions.sizes import random_subsets
from attention_limits.problems.sparse_averaging import SparseAveraging

#: All 1 ≤ q < N ≤ 12 with q ≤ 5.
SMALL = [(num_tokens, sparsity) for num_tokens in range(2, 13) for sparsity in range(1, min(num_tokens, 6))]


def every_subset(num_tokens: int, sparsity: int) -> Tensor:
    return SparseAveraging(num_tokens, sparsity, 1).subsets()


def least_off(products: Tensor, subsets: Tensor) -> Tensor:
    highest = math.inf if products.is_floating_point() else torch.iinfo(products.dtype).max
    return products.scatter(1, subsets, highest).amin(dim=1)


@pytest.mark.parametrize(("num_tokens", "sparsity"), SMALL)
def test_integer_nodes_separate_every_subset_and_the_least_margin_is_the_formula(
    num_tokens: int, sparsity: int
) -> None:
    nodes, subsets = torch.arange(1, num_tokens + 1), every_subset(num_tokens, sparsity)
    spread, margin = separation(moment_keys(nodes, sparsity), moment_queries(nodes, subsets), subsets)
    assert spread.dtype == margin.dtype == torch.int64
    assert spread.abs().max() == 0
    assert margin.equal(least_off(moment_products(nodes, subsets), subsets))
    assert margin.min() == least_integer_margin(sparsity)


def test_the_least_integer_margins_are_the_known_ones() -> None:
    assert [least_integer_margin(sparsity) for sparsity in range(1, 8)] == [1, 1, 4, 16, 144, 1296, 20736]


@pytest.mark.parametrize(("num_tokens", "sparsity"), [(5, 1), (6, 2), (7, 3), (6, 4)])
def test_fractions_of_uneven_nodes_agree_with_integers_and_floats(num_tokens: int, sparsity: int) -> None:
    integers = [3 * j * j - 7 * j - 5 for j in range(num_tokens)]
    assert len(set(integers)) == num_tokens
    nodes, subsets = torch.tensor(integers), every_subset(num_tokens, sparsity)
    queries = moment_queries(nodes, subsets)
    assert (separation(moment_keys(nodes, sparsity), queries, subsets).spread == 0).all()
    assert (separation(moment_keys(nodes, sparsity), queries, subsets).margin > 0).all()
    # The same nodes divided by 64, which floats hold exactly: coefficient k is 64^{k − 2q} times as large.
    scaled = moment_queries(nodes.double() / 64, subsets)
    for row, subset in enumerate(combinations(range(num_tokens), sparsity)):
        coefficients = [Fraction(-1)]
        for i in (i for i in subset for _ in range(2)):
            root = Fraction(integers[i], 64)
            times_t, times_root = [Fraction(0), *coefficients], [*(root * c for c in coefficients), Fraction(0)]
            coefficients = [a - b for a, b in zip(times_t, times_root, strict=True)]
        assert coefficients[1:] == [
            Fraction(c, 64 ** (2 * sparsity - k)) for k, c in enumerate(queries[row].tolist(), start=1)
        ]
        assert scaled[row].tolist() == pytest.approx([float(c) for c in coefficients[1:]], rel=1e-12, abs=1e-12)
        for j, integer in enumerate(integers):
            value = sum(c * Fraction(integer, 64) ** k for k, c in enumerate(coefficients))
            assert (value == 0) if j in subset else (value < 0)


@pytest.mark.parametrize(("num_tokens", "sparsity"), SMALL)
def test_the_circle_separates_every_subset_without_rounding(num_tokens: int, sparsity: int) -> None:
    subsets = every_subset(num_tokens, sparsity)
    zero, margin = check_circle(circle_coefficients(num_tokens, subsets), subsets)
    assert zero.all()
    formula = least_circle_margin(num_tokens, sparsity)
    assert formula * (1 - 1e-9) <= margin.min() <= formula * (1 + 1e-12)
    below = least_off(circle_products(num_tokens, subsets), subsets)
    assert (margin <= below).all()
    assert (margin >= below * (1 - 1e-9)).all()


@pytest.mark.parametrize(("num_tokens", "sparsity"), [size for size in SMALL if size[0] > 2 * size[1] + 1])
def test_float_queries_are_the_integer_coefficients(num_tokens: int, sparsity: int) -> None:
    subsets = every_subset(num_tokens, sparsity)
    angles = 2 * math.pi * torch.arange(num_tokens).double() / num_tokens
    integers = circle_coefficients(num_tokens, subsets)[:, sparsity + 1 :].double()  # at X, X², …, X^q
    real, imaginary = integers @ angles.cos(), integers @ angles.sin()
    margins = least_off(circle_products(num_tokens, subsets), subsets).unsqueeze(1)
    expected = torch.cat([-2 * real, 2 * imaginary], dim=1) / 2**sparsity / margins
    queries = trigonometric_queries(num_tokens, subsets)
    assert (queries - expected).abs().max() <= 1e-12 * queries.abs().max()
    assert (
        queries.abs().max()
        <= largest_query_entry(num_tokens, sparsity)
        <= (math.e * num_tokens / sparsity) ** (2 * sparsity)
    )


@pytest.mark.parametrize("num_tokens", range(1, 13))
def test_trigonometric_queries_have_unit_margin_for_every_sparsity(num_tokens: int) -> None:
    for sparsity in range(1, num_tokens):
        subsets = every_subset(num_tokens, sparsity)
        queries = trigonometric_queries(num_tokens, subsets)
        spread, margin = separation(trigonometric_keys(num_tokens, sparsity), queries, subsets)
        rounding = 1e-14 * (1 + queries.abs().sum(dim=1))
        assert (spread <= rounding).all()
        assert ((margin - 1).abs() <= rounding).all()
    everything = trigonometric_queries(num_tokens, torch.arange(num_tokens).unsqueeze(0))
    assert everything.shape == (1, 2 * num_tokens)
    assert (everything == 0).all()


@pytest.mark.parametrize(("num_tokens", "sparsity"), [(2, 1), (5, 2), (5, 3), (6, 5), (9, 4), (12, 7)])
def test_a_simplex_gives_every_other_token_the_same_score(num_tokens: int, sparsity: int) -> None:
    assert num_tokens <= 2 * sparsity + 1
    subsets = every_subset(num_tokens, sparsity)
    queries = trigonometric_queries(num_tokens, subsets)
    scores = queries @ trigonometric_keys(num_tokens, sparsity).T
    off = torch.ones_like(scores, dtype=torch.bool).scatter(1, subsets, False)
    assert (scores - scores.gather(1, subsets[:, :1]) + off.double()).abs().max() <= 1e-13
    assert queries.abs().max() <= largest_query_entry(num_tokens, sparsity) * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("num_tokens", "sparsity"), [(97, 2), (200, 3), (333, 5), (1024, 2), (500, 20)])
def test_random_subsets_of_many_tokens_get_their_polynomial(num_tokens: int, sparsity: int, seed: int) -> None:
    subsets = random_subsets(num_tokens, sparsity, 50, generator=torch.Generator().manual_seed(seed))
    products = circle_products(num_tokens, subsets)
    expected = -products / least_off(products, subsets).unsqueeze(1)
    queries = trigonometric_queries(num_tokens, subsets)
    scores = queries @ trigonometric_keys(num_tokens, sparsity).T
    deviation = scores - expected
    deviation = deviation - deviation.mean(dim=1, keepdim=True)  # the constant that softmax ignores
    assert (deviation.abs() <= 1e-14 * queries.abs().sum(dim=1, keepdim=True)).all()


def test_keys_lie_on_the_circle_to_the_last_digit() -> None:
    for num_tokens in (1, 2, 3, 4, 7, 12, 100, 4096):
        cosine, sine = trigonometric_keys(num_tokens, 5).chunk(2, dim=1)
        assert cosine.shape == sine.shape == (num_tokens, 5)
        assert (cosine**2 + sine**2 - 1).abs().max() <= 6e-16
        turns = torch.outer(torch.arange(num_tokens).double(), torch.arange(1, 6).double()) / num_tokens
        assert (cosine - (2 * math.pi * (turns % 1)).cos()).abs().max() <= 4e-15
        assert (sine - (2 * math.pi * (turns % 1)).sin()).abs().max() <= 4e-15
    assert trigonometric_keys(12, 1)[:, 0].tolist()[3] == 0  # a quarter turn, where plain cos leaves 6e-17


@pytest.mark.parametrize("num_tokens", [2, 3, 8, 31])
def test_holed_blocks_are_all_blocks_with_one_hole(num_tokens: int) -> None:
    for sparsity in range(1, min(num_tokens, 9)):
        found = [set(block.tolist()) for block in holed_blocks(num_tokens, sparsity)]
        assert found == [set(range(sparsity + 1)) - {hole} for hole in range(1, sparsity + 1)]
        assert set(range(sparsity + 1)) - set(hardest_subset(num_tokens, sparsity).tolist()) == {(sparsity + 1) // 2}


def test_both_curves_have_2q_coordinates() -> None:
    for num_tokens, sparsity in SMALL:
        assert moment_keys(torch.arange(num_tokens), sparsity).shape == (num_tokens, 2 * sparsity)
        assert trigonometric_keys(num_tokens, sparsity).shape == (num_tokens, 2 * sparsity)


def test_numbers_that_int64_or_the_formats_cannot_hold_are_refused() -> None:
    subset = torch.tensor([[0, 1, 2, 3, 4, 5]])
    with pytest.raises(ValueError, match=r"integer nodes up to 40 with q = 6 need 76 bits, more than int64's 63"):
        moment_queries(torch.arange(1, 41), subset)
    for function in (moment_queries, moment_products):
        with pytest.raises(ValueError, match=r"nodes must be int64 or float64, got torch\.float32"):
            function(torch.arange(1.0, 9.0), subset)
    with pytest.raises(ValueError, match="sparsity q = 31 must be at most 30"):
        circle_coefficients(40, torch.arange(31).unsqueeze(0))
    with pytest.raises(ValueError, match="sparsity must be at least 1, got 0"):
        trigonometric_keys(4, 0)
    for sparsity in (0, 4, 5):
        with pytest.raises(ValueError, match=f"sparsity q = {sparsity} leaves room for a hole if 1 ≤ q < N, got N = 4"):
            hardest_subset(4, sparsity)
    with pytest.raises(ValueError, match="q = 4 leaves no key outside"):
        separation(torch.eye(4), torch.zeros(1, 4), torch.arange(4).unsqueeze(0))
    with pytest.raises(ValueError, match="the least margin of N = 4096, q = 200 lies below float64's range"):
        largest_query_entry(4096, 200)


def test_one_wrong_coefficient_is_caught() -> None:
    nodes, subsets = torch.arange(1, 9), every_subset(8, 2)
    queries = moment_queries(nodes, subsets)
    for coordinate in range(4):
        broken = queries.clone()
        broken[:, coordinate] *= -1
        assert (separation(moment_keys(nodes, 2), broken, subsets).spread != 0).all()
    integers = circle_coefficients(8, subsets)
    for frequency, exponent in ((0, 0), (2, 3), (4, 7)):
        broken = integers.clone()
        broken[:, frequency, exponent] += 1
        assert not check_circle(broken, subsets).zero_on_subset.any()
    # The simple product ∏ (t − t_i) is 0 on y too, but it changes sign: no margin.
    simple = torch.stack([nodes[subsets].sum(dim=1), torch.full((len(subsets),), -1)], dim=1)
    separated = separation(moment_keys(nodes, 1), simple, subsets)
    assert (separated.spread == 0).all()
    assert not (separated.margin > 0).all()
    # Somebody else's query singles out somebody else's subset.
    assert not (separation(moment_keys(nodes, 2), queries.roll(1, dims=0), subsets).margin > 0).any()
