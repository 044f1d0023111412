"""The mean error that a narrow first layer forces: limits, monotonicity, and networks that know all that they can."""

import math

import pytest
import torch

from attention_limits.bounds.mean_error import entropy_ratio, least_mean_error, least_mean_width
from attention_limits.problems.sparse_averaging import SparseAveraging

PROBLEMS = [SparseAveraging(*sizes) for sizes in ((2, 1, 1), (6, 1, 1), (6, 3, 1), (5, 2, 3), (4, 4, 2))]


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_the_bound_falls_to_zero_at_full_width(problem: SparseAveraging) -> None:
    full = problem.num_tokens * problem.value_dim
    bounds = [least_mean_error(problem, width) for width in range(full + 2)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[full] == bounds[full + 1] == 0.0
    assert all(bound > 0 for bound in bounds[:full]) == (problem.sparsity < problem.num_tokens)


def test_the_ratio_is_known_for_intervals_and_discs_and_tends_to_one() -> None:
    assert entropy_ratio(1) == pytest.approx(6 / (math.pi * math.e))
    assert entropy_ratio(2) == pytest.approx(2 / math.e)
    ratios = [entropy_ratio(value_dim) for value_dim in range(1, 200)]
    assert ratios == sorted(ratios)
    assert 0.97 < ratios[-1] < 1


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_forgetting_coordinates_costs_at_least_the_bound(problem: SparseAveraging) -> None:
    """A first layer that holds the first coordinates and a decoder that averages them, 0 for the others: no better."""
    inputs = problem.sample(20_000, generator=torch.Generator().manual_seed(0))
    target = problem.target(inputs)
    for width in range(problem.num_tokens * problem.value_dim + 1):
        kept = inputs.values.flatten(1).clone()
        kept[:, width:] = 0
        answer = problem.target(inputs._replace(values=kept.unflatten(1, inputs.values.shape[1:])))
        error = float((answer - target).square().mean()) / problem.target_variance
        assert error >= 0.97 * least_mean_error(problem, width)  # 3 %: sampling


def test_one_measurement_of_two_values_costs_at_least_the_bound() -> None:
    """N = 2, q = 1, W = (1, 1): given the sum t, each value is uniform on 2 − |t|, so the exact error is 1/2."""
    values = 2 * torch.rand(200_000, 2, generator=torch.Generator().manual_seed(0)) - 1
    answer = values.sum(dim=1, keepdim=True) / 2
    error = float((values - answer).square().mean()) * 3
    assert error == pytest.approx(0.5, rel=0.01)
    assert error >= least_mean_error(SparseAveraging(2, 1, 1), 1)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_the_least_width_is_the_first_that_is_not_ruled_out(problem: SparseAveraging) -> None:
    for error in (0.0, 0.01, 0.05, 0.3, 1.0):
        width = least_mean_width(problem, error)
        assert least_mean_error(problem, width) <= error
        assert width == 0 or least_mean_error(problem, width - 1) > error


def test_refusals() -> None:
    with pytest.raises(ValueError, match="needs num_tokens N ≥ 2, got 1"):
        least_mean_error(SparseAveraging(1, 1, 1), 0)
    with pytest.raises(ValueError, match="width must be at least 0, got -1"):
        least_mean_error(SparseAveraging(3, 1, 1), -1)
    with pytest.raises(ValueError, match=r"error must be at least 0, got -0\.1"):
        least_mean_width(SparseAveraging(3, 1, 1), -0.1)
