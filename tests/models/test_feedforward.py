"""Fully-connected networks: what they compute, which columns values meet, and what they refuse."""

import pytest
import torch
from torch import nn

from attention_limits.models.feedforward import FeedForwardNetwork, feedforward_network
from attention_limits.problems.sparse_averaging import SparseAveraging

SIZES = [(1, 1, 1), (2, 1, 1), (3, 2, 2), (5, 3, 4)]


def build(problem: SparseAveraging, width: int, *hidden: int, seed: int = 0) -> FeedForwardNetwork:
    return feedforward_network(problem, width, hidden, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("num_tokens", "sparsity", "value_dim"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_network_is_the_later_layers_after_the_first(
    num_tokens: int, sparsity: int, value_dim: int, dtype: torch.dtype, device: torch.device
) -> None:
    problem = SparseAveraging(num_tokens, sparsity, value_dim)
    network = build(problem, 7, 9).to(device, dtype)
    inputs = problem.sample(4, generator=torch.Generator().manual_seed(1), dtype=dtype, device=device)
    tokens = problem.encode(inputs)
    hidden = tokens.flatten(1) @ network.first.weight.T + network.first.bias
    middle, last = network.later[1], network.later[3]
    expected = (hidden.relu() @ middle.weight.T + middle.bias).relu() @ last.weight.T + last.bias
    assert network(tokens).shape == (4, num_tokens, value_dim)
    assert network(tokens).dtype == dtype
    torch.testing.assert_close(network.pre_activations(tokens), hidden)
    torch.testing.assert_close(network(tokens).flatten(1), expected)


@pytest.mark.parametrize(("num_tokens", "sparsity", "value_dim"), SIZES)
def test_the_value_block_is_what_the_first_layer_does_to_values(num_tokens: int, sparsity: int, value_dim: int) -> None:
    problem = SparseAveraging(num_tokens, sparsity, value_dim)
    network = build(problem, 6).double()
    assert network.width == 6
    assert network.value_block.shape == (6, num_tokens * value_dim)
    inputs = problem.sample(3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    moved = inputs._replace(values=-inputs.values)
    change = network.pre_activations(problem.encode(inputs)) - network.pre_activations(problem.encode(moved))
    torch.testing.assert_close(change, 2 * inputs.values.flatten(1) @ network.value_block.T)


def test_the_same_seed_gives_the_same_weights_and_the_global_generator_is_left_alone() -> None:
    problem, before = SparseAveraging(3, 1, 1), torch.get_rng_state()
    first, second = build(problem, 5, 4, seed=3), build(problem, 5, 4, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.first.weight, build(problem, 5, 4, seed=4).first.weight)
    assert torch.equal(before, torch.get_rng_state())


def test_any_function_may_follow_the_first_layer() -> None:
    problem = SparseAveraging(2, 1, 1)
    network = FeedForwardNetwork(problem, nn.Linear(10, 2), torch.sin)
    tokens = torch.zeros(1, 2, 5)
    torch.testing.assert_close(network(tokens).flatten(), network.first.bias.sin())


def test_a_first_layer_for_another_input_is_refused_with_both_sizes() -> None:
    with pytest.raises(ValueError, match=r"must take N\(d' \+ 2N\) = 21 coordinates, got 20"):
        FeedForwardNetwork(SparseAveraging(3, 1, 1), nn.Linear(20, 4), torch.sin)


@pytest.mark.parametrize(("width", "hidden"), [(0, ()), (3, (0,))])
def test_a_layer_without_units_is_refused(width: int, hidden: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least one unit, got widths"):
        build(SparseAveraging(3, 1, 1), width, *hidden)
