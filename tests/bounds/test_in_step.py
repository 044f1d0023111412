"""The least mean error in one direction: attained by the machine that forgets nothing, and beaten by looking ahead."""

import pytest
import torch

from attention_limits.bounds.in_step import in_step_error
from attention_limits.problems.sparse_averaging import SparseAveraging


def _mean_error(problem: SparseAveraging, ahead: int) -> float:
    """The sampled relative error of answering output i with what tokens 1 … i + ahead tell."""
    inputs = problem.sample(4000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    selection = torch.zeros(4000, problem.num_tokens, problem.num_tokens, dtype=torch.float64)
    selection.scatter_(-1, inputs.pointers, 1 / problem.sparsity)
    answer = selection.tril(diagonal=ahead) @ inputs.values
    return (answer - problem.target(inputs)).square().mean().item() / problem.target_variance


@pytest.mark.parametrize(
    ("tokens", "sparsity", "value_dim"), [(1, 1, 1), (2, 1, 1), (5, 2, 3), (7, 7, 1), (12, 5, 2), (20, 3, 4)]
)
def test_a_machine_in_step_that_forgets_nothing_has_the_least_error(tokens: int, sparsity: int, value_dim: int) -> None:
    problem = SparseAveraging(tokens, sparsity, value_dim)
    # The standard deviation of the mean of 4,000 samples is below 0.01.
    assert _mean_error(problem, ahead=0) == pytest.approx(float(in_step_error(problem)), abs=0.03)


def test_reading_one_token_ahead_beats_the_bound() -> None:
    problem = SparseAveraging(12, 5, 2)
    assert _mean_error(problem, ahead=1) < float(in_step_error(problem)) - 0.03
    assert _mean_error(problem, ahead=12) == pytest.approx(0, abs=1e-15)
