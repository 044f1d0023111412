"""Networks of gates: right on all small inputs and on random ones, of the sizes stated, and caught when broken."""

import pytest
import torch

from attention_limits.constructions.gates import gated_lstm, gated_network
from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs

SIZES = [(1, 1, 1), (2, 1, 1), (3, 3, 2), (6, 2, 1), (7, 3, 3)]


def largest_error(model: torch.nn.Module, problem: SparseAveraging, inputs: SparseAveragingInputs) -> float:
    with torch.no_grad():
        return float((model(problem.encode(inputs)) - problem.target(inputs)).abs().max())


def random_inputs(problem: SparseAveraging) -> SparseAveragingInputs:
    return problem.sample(200, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("tokens", "ones", "value_dim"), SIZES)
def test_gated_network_is_right_and_has_the_width_stated(tokens: int, ones: int, value_dim: int) -> None:
    problem = SparseAveraging(tokens, ones, value_dim)
    network = gated_network(problem)
    assert network.width == tokens**2 * value_dim
    # A unit rounds sums of three numbers of at most 2, an output adds N of them.
    assert largest_error(network, problem, random_inputs(problem)) <= 8 * tokens * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("ones", [1, 2, 3])
def test_both_are_right_on_every_input_of_signs(ones: int) -> None:
    problem = SparseAveraging(3, ones, 1)
    inputs = problem.all_inputs()
    assert largest_error(gated_network(problem), problem, inputs) <= 1e-6
    assert largest_error(gated_lstm(problem), problem, inputs) <= 1e-3


@pytest.mark.parametrize(("tokens", "ones", "value_dim"), SIZES)
def test_gated_lstm_is_right_up_to_its_bending_and_has_the_size_stated(tokens: int, ones: int, value_dim: int) -> None:
    problem = SparseAveraging(tokens, ones, value_dim)
    model = gated_lstm(problem)
    assert model.lstm.hidden_size == tokens * value_dim
    # tanh twice bends by at most 2/3 scale² of a value; float32 gates that are shut leave e^{-24} a unit.
    assert largest_error(model, problem, random_inputs(problem)) <= 2 / 3 * 0.02**2 + 1e-4


def test_a_missing_gate_is_caught() -> None:
    problem = SparseAveraging(5, 2, 1)
    network, model = gated_network(problem), gated_lstm(problem)
    with torch.no_grad():
        network.first.bias[0] = 0.0  # this unit passes its value on whether it is asked for or not
        model.lstm.weight_ih_l0_reverse[-1].zero_()  # this output gate never opens
    inputs = random_inputs(problem)
    assert largest_error(network, problem, inputs) > 0.1
    assert largest_error(model, problem, inputs) > 0.1


def test_gates_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"gate and scale must be positive, got 0\.0 and 0\.02"):
        gated_lstm(SparseAveraging(3, 1, 1), gate=0.0)
