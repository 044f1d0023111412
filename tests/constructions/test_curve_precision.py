"""Bits for the curves: sizes against their bounds, formats that are proved to be enough, and fewer that are not."""

import math

import pytest
import torch
from torch import Tensor

from attention_limits.constructions.averaging_unit import softmax_scale
from attention_limits.constructions.curve_precision import (
    chebyshev_nodes,
    largest_error,
    moment_entry_bits,
    significand_bits,
    sufficient_bits,
    trigonometric_entry_bits,
)
from attention_limits.constructions.curves import (
    equispaced_nodes,
    hardest_subset,
    holed_blocks,
    largest_query_entry,
    moment_certificates,
    moment_keys,
    separation,
    trigonometric_keys,
    trigonometric_queries,
)
from attention_limits.fixed_point import FixedPoint
from attention_limits.problems.sparse_averaging import SparseAveraging, worst_case_error

SMALL = [(num_tokens, sparsity) for num_tokens in (4, 6, 9, 12, 14) for sparsity in range(1, min(num_tokens, 6))]


def every_subset(num_tokens: int, sparsity: int) -> Tensor:
    return SparseAveraging(num_tokens, sparsity, 1).subsets()


def turned(num_tokens: int, sparsity: int) -> Tensor:
    """The hardest subset in every position on the circle."""
    turns = torch.arange(num_tokens).unsqueeze(1)
    return ((hardest_subset(num_tokens, sparsity) + turns) % num_tokens).sort(dim=1).values


def scaled_queries(num_tokens: int, subsets: Tensor, accuracy: float) -> Tensor:
    scale = softmax_scale(num_tokens, subsets.shape[1], accuracy, score_error=accuracy / 2)
    return scale * trigonometric_queries(num_tokens, subsets)


@pytest.mark.parametrize(("num_tokens", "sparsity"), SMALL)
def test_no_query_is_longer_than_that_of_a_block_with_a_hole(num_tokens: int, sparsity: int) -> None:
    subsets, blocks = every_subset(num_tokens, sparsity), holed_blocks(num_tokens, sparsity)
    for nodes in (equispaced_nodes(num_tokens), chebyshev_nodes(num_tokens)):
        assert moment_entry_bits(nodes, subsets) == pytest.approx(moment_entry_bits(nodes, blocks), abs=1e-6)
    longest = trigonometric_entry_bits(num_tokens, subsets)
    if num_tokens > 2 * sparsity + 1:
        assert longest == pytest.approx(trigonometric_entry_bits(num_tokens, blocks), abs=1e-9)
    assert longest <= math.log2(largest_query_entry(num_tokens, sparsity)) + 1e-9


@pytest.mark.parametrize(("num_tokens", "sparsity"), [(16, 1), (64, 2), (256, 3), (1024, 4), (4096, 8), (300, 16)])
def test_query_sizes_lie_below_the_closed_form(num_tokens: int, sparsity: int) -> None:
    measured = trigonometric_entry_bits(num_tokens, hardest_subset(num_tokens, sparsity).unsqueeze(0))
    bound = math.log2(largest_query_entry(num_tokens, sparsity))
    assert bound - 2 <= measured <= bound <= 2 * sparsity * math.log2(math.e * num_tokens / sparsity)


@pytest.mark.parametrize("nodes", [equispaced_nodes(9), chebyshev_nodes(9)], ids=["equispaced", "Chebyshev"])
def test_moment_certificates_have_unit_margin(nodes: Tensor) -> None:
    assert nodes.abs().max() <= 1
    assert len(nodes.unique()) == 9
    subsets = every_subset(9, 2)
    spread, margin = separation(moment_keys(nodes, 2), moment_certificates(nodes, subsets), subsets)
    assert spread.max() <= 1e-10
    assert (margin - 1).abs().max() <= 1e-10


@pytest.mark.parametrize("accuracy", [0.3, 0.01, 1e-4])
@pytest.mark.parametrize(("num_tokens", "sparsity"), [*SMALL, (40, 2), (24, 3)])
def test_sufficient_bits_are_enough_for_every_subset(num_tokens: int, sparsity: int, accuracy: float) -> None:
    form = sufficient_bits(num_tokens, sparsity, accuracy)
    assert form.bits == 1 + max(form.query_integer_bits + form.query_fraction_bits, 1 + form.key_fraction_bits)
    subsets = every_subset(num_tokens, sparsity)
    queries = scaled_queries(num_tokens, subsets, accuracy)
    keys = FixedPoint(1, form.key_fraction_bits).round(trigonometric_keys(num_tokens, sparsity))
    rounded = FixedPoint(form.query_integer_bits, form.query_fraction_bits).round(queries)  # raises where it overflows
    assert largest_error(keys, rounded, subsets) <= accuracy


def test_eight_bits_fewer_are_too_few() -> None:
    num_tokens, sparsity, accuracy = 40, 2, 0.01
    form, subsets = sufficient_bits(num_tokens, sparsity, accuracy), turned(num_tokens, sparsity)
    keys, queries = trigonometric_keys(num_tokens, sparsity), scaled_queries(num_tokens, subsets, accuracy)
    coarse_keys = FixedPoint(1, form.key_fraction_bits - 8).round(keys)
    assert largest_error(coarse_keys, queries, subsets) > accuracy
    coarse_queries = FixedPoint(form.query_integer_bits, form.query_fraction_bits - 8).round(queries)
    assert largest_error(keys, coarse_queries, subsets) > accuracy


@pytest.mark.parametrize("accuracy", [0.1, 0.01, 1e-3])
@pytest.mark.parametrize("sparsity", [1, 2, 3, 4, 6])
def test_floats_with_enough_digits_are_right_on_the_hardest_subsets(sparsity: int, accuracy: float) -> None:
    covered = 0
    for num_tokens in (8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512):
        if num_tokens <= sparsity:
            continue
        digits = significand_bits(num_tokens, sparsity, accuracy)
        subsets = turned(num_tokens, sparsity)
        queries, keys = scaled_queries(num_tokens, subsets, accuracy), trigonometric_keys(num_tokens, sparsity)
        for dtype, available in ((torch.float32, 24), (torch.float64, 53)):
            if digits <= available:
                covered += 1
                assert largest_error(keys, queries, subsets, dtype) <= accuracy
    assert covered >= 2


@pytest.mark.parametrize(
    ("dtype", "num_tokens", "sparsity"),
    [
        (torch.float64, 1024, 3),
        (torch.float64, 256, 4),
        (torch.float64, 128, 6),
        (torch.float64, 64, 8),
        (torch.float32, 64, 2),
        (torch.float32, 32, 3),
    ],
)
def test_floats_end_where_the_page_says(dtype: torch.dtype, num_tokens: int, sparsity: int) -> None:
    subsets = turned(num_tokens, sparsity)
    queries = scaled_queries(num_tokens, subsets, 0.01)
    assert largest_error(trigonometric_keys(num_tokens, sparsity), queries, subsets, dtype) > 0.01
    half = num_tokens // 2
    queries = scaled_queries(half, turned(half, sparsity), 0.01)
    assert largest_error(trigonometric_keys(half, sparsity), queries, turned(half, sparsity), dtype) <= 0.01


def test_scores_that_are_not_finite_count_as_the_largest_error() -> None:
    keys, subsets = trigonometric_keys(8, 2), every_subset(8, 2)
    assert largest_error(keys, 1e300 * trigonometric_queries(8, subsets), subsets, torch.float32) == 2
    exact = torch.softmax(trigonometric_queries(8, subsets) @ keys.T, dim=-1)
    expected = worst_case_error(exact, subsets).max().item()
    assert largest_error(keys, trigonometric_queries(8, subsets), subsets) == expected
