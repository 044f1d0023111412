"""Networks of least width: every input at small sizes, their widths, their refusals, and broken ones caught."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from attention_limits.bounds.pointers import block_pointers, consecutive_pointers, pointer_matrix
from attention_limits.bounds.rank import as_fractions, find_collision, hardest_rows
from attention_limits.constructions.feedforward import exact_network, fixed_pointer_network, narrow_network
from attention_limits.models.feedforward import FeedForwardNetwork
from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs

SMALL = [(tokens, ones) for tokens in (1, 2, 3) for ones in range(1, tokens + 1)]


def every_input(problem: SparseAveraging) -> SparseAveragingInputs:
    """All pointers, with all values in {−1, ½, 1} on the first axis and a small one on the others."""
    inputs = replace(problem, value_dim=1).all_inputs((-1.0, 0.5, 1.0), dtype=torch.float64)
    others = 0.25 * (inputs.values.abs() < 1).double().expand(-1, -1, problem.value_dim - 1)
    return inputs._replace(values=torch.cat([inputs.values, others], dim=-1))


def largest_error(network: FeedForwardNetwork, inputs: SparseAveragingInputs) -> float:
    problem = network.problem
    return (network(problem.encode(inputs)) - problem.target(inputs)).norm(dim=-1).max().item()


@pytest.mark.parametrize(("num_tokens", "sparsity"), SMALL)
@pytest.mark.parametrize("value_dim", [1, 2])
def test_the_exact_network_is_right_on_every_small_input(num_tokens: int, sparsity: int, value_dim: int) -> None:
    problem = SparseAveraging(num_tokens, sparsity, value_dim)
    network = exact_network(problem).double()
    assert network.width == num_tokens * value_dim
    assert largest_error(network, every_input(problem)) <= network.later.rounding_error(torch.float64)


@pytest.mark.parametrize(("num_tokens", "sparsity"), [(n, q) for n, q in SMALL if q < n])
@pytest.mark.parametrize("value_dim", [1, 2])
def test_one_unit_less_errs_by_the_threshold_and_no_more(num_tokens: int, sparsity: int, value_dim: int) -> None:
    problem = SparseAveraging(num_tokens, sparsity, value_dim)
    network = narrow_network(problem).double()
    assert network.width == num_tokens * value_dim - 1
    assert as_fractions(network.value_block) == hardest_rows(problem)
    threshold = Fraction(1, 2 * sparsity - 1)
    assert find_collision(problem, as_fractions(network.value_block)).forced_error_squared == threshold**2
    assert largest_error(network, every_input(problem)) == pytest.approx(
        float(threshold), abs=network.later.rounding_error(torch.float64)
    )


@pytest.mark.parametrize(
    ("build", "num_tokens", "sparsity", "value_dim"),
    [
        (exact_network, 8, 3, 1),
        (exact_network, 30, 4, 1),
        (exact_network, 20, 7, 3),
        (narrow_network, 8, 3, 1),
        (narrow_network, 16, 15, 2),
        (narrow_network, 20, 7, 3),
    ],
)
def test_large_networks_keep_their_errors_on_random_inputs(
    build: Callable[[SparseAveraging], FeedForwardNetwork],
    num_tokens: int,
    sparsity: int,
    value_dim: int,
    device: torch.device,
) -> None:
    problem, seed = SparseAveraging(num_tokens, sparsity, value_dim), num_tokens
    network = build(problem).double().to(device)
    inputs = problem.sample(50, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, device=device)
    allowed = 1 / (2 * sparsity - 1) if build is narrow_network else 0.0
    error = largest_error(network, inputs)
    assert error <= allowed + network.later.rounding_error(torch.float64), f"seed {seed}"


def test_floats_with_too_few_digits_are_refused_when_the_network_is_called() -> None:
    for network in (exact_network(SparseAveraging(20, 3, 1)), narrow_network(SparseAveraging(30, 3, 1)).double()):
        problem = network.problem
        inputs = problem.sample(1, generator=torch.Generator().manual_seed(0), dtype=network.first.weight.dtype)
        with pytest.raises(
            ValueError, match=r"N = \d+ needs \d+ binary digits beside a value: too many for torch.float"
        ):
            network(problem.encode(inputs))


def test_a_network_narrower_than_exact_x() -> None:
    with pytest.raises(ValueError, match="needs q < N, got q = 3, N = 3"):
        narrow_network(SparseAveraging(3, 3, 1))


@pytest.mark.parametrize("change", ["pointer weight", "value weight", "spacing"])
def test_a_network_with_one_wrong_number_is_caught(change: str) -> None:
    problem = SparseAveraging(3, 2, 1)
    network = exact_network(problem).double()
    if change == "spacing":
        network.later.spacing += 1
    else:
        network.first.weight[1, problem.token_dim + (2 if change == "pointer weight" else 0)] *= -1
    assert largest_error(network, every_input(problem)) > 0.1


def test_fixed_pointers_need_the_rank_of_their_matrix_only() -> None:
    for num_tokens, sparsity in [(n, q) for n in range(1, 9) for q in range(1, n + 1)]:
        problem = SparseAveraging(num_tokens, sparsity, 2)
        chosen = [consecutive_pointers(num_tokens, sparsity)]
        if sparsity < num_tokens:
            chosen.append(block_pointers(num_tokens, sparsity, num_tokens // (sparsity + 1)))
        for rows in chosen:
            network = fixed_pointer_network(problem, torch.tensor(rows)).double()
            assert network.width == 2 * pointer_matrix(rows, num_tokens).rank()
            inputs = problem.sample(5, generator=torch.Generator().manual_seed(num_tokens), dtype=torch.float64)
            inputs = inputs._replace(pointers=torch.tensor(rows).expand(5, -1, -1))
            assert largest_error(network, inputs) <= 1e-13


def test_the_network_for_fixed_pointers_is_wrong_for_others() -> None:
    problem = SparseAveraging(4, 2, 1)
    network = fixed_pointer_network(problem, torch.tensor(consecutive_pointers(4, 2))).double()
    inputs = problem.sample(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert largest_error(network, inputs) > 0.5


def test_pointers_of_another_problem_are_refused() -> None:
    with pytest.raises(ValueError, match="pointers must have shape"):
        fixed_pointer_network(SparseAveraging(4, 2, 1), torch.tensor(list(itertools.repeat([0, 1], 3))))
