"""Radon partitions: the failing subsets of the proof, the exact checks, and what is refused."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from attention_limits.bounds.polytopes import separate
from attention_limits.bounds.radon import (
    InvalidCertificateError,
    RadonPartition,
    affine_dependency,
    check_direction,
    check_partition,
    exact_keys,
    exact_rows,
    failing_cut,
    failing_subset,
    forcing_accuracy,
    tight_dimension,
)

SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1]]
SIZES = [(n, q) for n in range(2, 11) for q in range(1, min(4, n - 1) + 1)]


@pytest.mark.parametrize(("tokens", "sparsity"), SIZES)
def test_tight_dimension_is_the_formula(tokens: int, sparsity: int) -> None:
    assert tight_dimension(tokens, sparsity) == (tokens - 1 if tokens <= 2 * sparsity else 2 * sparsity)


@pytest.mark.parametrize(("tokens", "sparsity"), SIZES)
def test_every_dimension_below_the_tight_one_has_a_failing_subset(tokens: int, sparsity: int) -> None:
    seed = 100 * tokens + sparsity
    generator = np.random.default_rng(seed)
    for dim in range(1, tight_dimension(tokens, sparsity)):
        families = {
            "normal": generator.normal(size=(tokens, dim)),
            "integers": generator.integers(-2, 3, size=(tokens, dim)),
            "all equal": np.zeros((tokens, dim)),
            "moment curve": [[j**k for k in range(1, dim + 1)] for j in range(tokens)],
        }
        for name, keys in families.items():
            found = failing_subset(keys, sparsity)
            context = f"seed {seed}, {name} keys, m = {dim}"
            assert len(found.subset) == sparsity, context
            assert set(found.positive) <= set(found.subset), context
            left_out = [weight for j, weight in enumerate(found.weights) if j not in found.subset]
            assert min(left_out) == min(found.weights) < 0, context  # the heaviest of B
            assert isinstance(separate(keys, found.subset), RadonPartition), context


def test_the_weights_are_an_affine_dependency_in_fractions() -> None:
    keys = torch.randn(7, 3, generator=torch.Generator().manual_seed(5))  # float32 is exact too
    found = failing_subset(keys, 2)
    rows = exact_rows(exact_keys(keys))
    assert sum(found.weights) == 0
    assert [sum(w * row[k] for w, row in zip(found.weights, rows, strict=True)) for k in range(3)] == [0, 0, 0]
    assert rows[2][1] == Fraction(keys[2, 1].item())


def test_the_crossing_diagonals_of_a_square_are_its_partition() -> None:
    found = failing_subset(SQUARE, 2)
    assert {found.positive, found.negative} == {(0, 2), (1, 3)}
    assert {abs(weight) for weight in found.weights} == {1}


def test_the_failing_subset_is_refused_where_the_argument_ends() -> None:
    for tokens, sparsity in ((5, 2), (3, 2), (2, 1)):
        keys = np.eye(tokens)[:, : tight_dimension(tokens, sparsity)]
        with pytest.raises(ValueError, match=f"m = {keys.shape[1]} is not below"):
            failing_subset(keys, sparsity)


@pytest.mark.parametrize(
    ("direction", "reason"),
    [
        ([0, -1], None),
        ([0, 1], "as large an inner product"),  # the sign turned
        ([1, -1], "differ"),
        ([Fraction(1, 10**30), -1], "differ"),  # too small for floats to see
        ([0, 0], "as large an inner product"),
    ],
)
def test_a_broken_direction_is_refused(direction: list[Any], reason: str | None) -> None:
    if reason is None:
        assert check_direction(SQUARE, (0, 1), direction).margin == 1
    else:
        with pytest.raises(InvalidCertificateError, match=reason):
            check_direction(SQUARE, (0, 1), direction)


@pytest.mark.parametrize(
    ("subset", "weights", "reason"),
    [
        ((0, 2), [1, -1, 1, -1], None),
        ((0, 2), [-1, 1, -1, 1], "not inside the subset"),
        ((0, 1), [1, -1, 1, -1], "not inside the subset"),
        ((0, 1, 2), [-1, 1, -1, 1], "not inside the subset"),
        ((0, 1, 2), [0, 0, 0, 0], "negative part"),
        ((0, 2), [1, -1, 1, 1], "no affine dependency"),
        ((0, 2), [1 + Fraction(1, 10**30), -1, 1, -1], "no affine dependency"),
        ((0, 2), [1, -1 - Fraction(1, 10**30), 1, -1 + Fraction(1, 10**30)], "no affine dependency"),
    ],
)
def test_a_broken_partition_is_refused(subset: tuple[int, ...], weights: list[Any], reason: str | None) -> None:
    if reason is None:
        assert check_partition(SQUARE, subset, weights).negative == (1, 3)
    else:
        with pytest.raises(InvalidCertificateError, match=reason):
            check_partition(SQUARE, subset, weights)


@pytest.mark.parametrize(("points", "sparsity"), [(n, q) for n in range(2, 10) for q in range(1, n // 2 + 1)])
def test_a_cut_below_the_bound_fails_on_a_subset_that_keeps_the_parts_apart(points: int, sparsity: int) -> None:
    seed = 100 * points + sparsity
    generator = np.random.default_rng(seed)
    for dim in range(1, min(2 * sparsity, points - sparsity)):
        for table in (generator.normal(size=(points, dim)), generator.integers(0, 2, size=(points, dim))):
            subset, weights = failing_cut(table, sparsity)
            context = f"seed {seed}, {dim} coordinates"
            assert len(subset) == sparsity, context
            assert {j for j, w in enumerate(weights) if w > 0} <= set(subset), context
            assert not {j for j, w in enumerate(weights) if w < 0} & set(subset), context
            assert any(weights), context


def test_cuts_are_possible_at_the_bound() -> None:
    # The moment curve in 2q coordinates: a separating direction of every q-subset is a strict cut.
    curve = [[j**k for k in range(1, 5)] for j in range(7)]
    assert not any(isinstance(separate(curve, y), RadonPartition) for y in combinations(range(7), 2))
    with pytest.raises(ValueError, match="4 coordinates are not below"):
        failing_cut(curve, 2)
    with pytest.raises(ValueError, match="n = 3 points are fewer than 2q = 4"):
        failing_cut([[0], [1], [2]], 2)


def test_the_forcing_accuracy_has_its_known_values_and_passes_the_simple_bound() -> None:
    known = {1: 2 / 3, 2: 0.21374, 3: 0.10834, 4: 0.06653, 8: 0.02021}
    for sparsity, value in known.items():
        assert abs(float(forcing_accuracy(sparsity)) - value) < 1e-5
    for sparsity in range(1, 40):
        root = forcing_accuracy(sparsity)
        assert root > Fraction(1, 2 * sparsity**2)
        below, above = (sparsity * end / 2 for end in (root, root + Fraction(2, sparsity * 2**40)))
        assert below * (1 + below) ** (2 * sparsity - 1) < (1 - below) ** (2 * sparsity)
        assert above * (1 + above) ** (2 * sparsity - 1) >= (1 - above) ** (2 * sparsity)


def test_independent_keys_have_no_dependency() -> None:
    with pytest.raises(ValueError, match="affinely independent"):
        affine_dependency([[0, 0], [1, 0], [0, 1]])


@pytest.mark.parametrize("function", [failing_subset, failing_cut, lambda keys, q: tight_dimension(len(keys), q)])
@pytest.mark.parametrize("sparsity", [0, -1, 4, 5])
def test_a_sparsity_outside_its_range_is_refused_by_name(function: Callable[[Any, Any], Any], sparsity: Any) -> None:
    with pytest.raises(ValueError, match=r"sparsity q") as caught:
        function(SQUARE, sparsity)
    assert str(sparsity) in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([1.0, 2.0, 3.0], "table"),
        ([[[1.0]]], "table"),
        (np.zeros((0, 2)), "table|at least one token"),
        (np.zeros((3, 0)), "table|at least one token"),
        ([[0.0], [float("nan")], [1.0]], "finite, got nan"),
        (np.array([[0.0], [np.inf], [1.0]]), "finite, got inf"),
        (torch.tensor([[0.0], [-torch.inf], [1.0]]), "finite, got -inf"),
        ([[0.0], ["1"], [1.0]], "numbers, got '1'"),
        ([[0.0], [1.0, 2.0]], "table"),
    ],
)
def test_keys_that_are_no_table_of_finite_numbers_are_refused(keys: Sequence[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        failing_subset(keys, 1)
