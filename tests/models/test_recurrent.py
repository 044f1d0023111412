"""The machine that stores signs, on every input; the LSTM's shapes of dependence, its seed and its device."""

import math
from itertools import product

import pytest
import torch

from attention_limits.models.recurrent import LSTMModel, ValueStore, value_store
from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs

SMALL = [(n, q) for n in range(1, 5) for q in range(1, n + 1)]


def wrong_outputs(machine: ValueStore, inputs: SparseAveragingInputs) -> int:
    """Outputs that differ from the target, both as integers q times as large."""
    expected = (machine.problem.target(inputs).double() * machine.problem.sparsity).round().long()[..., 0]
    return int((machine.run(inputs).sums != expected).sum())


def random_signs(problem: SparseAveraging, batch: int, seed: int) -> SparseAveragingInputs:
    inputs = problem.sample(batch, generator=torch.Generator().manual_seed(seed))
    return inputs._replace(values=torch.where(inputs.values < 0, -1.0, 1.0))


@pytest.mark.parametrize(("tokens", "ones"), SMALL)
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_store_is_right_on_every_input_of_signs(tokens: int, ones: int, layers: int) -> None:
    problem = SparseAveraging(tokens, ones, 1)
    inputs = problem.all_inputs()
    assert len(inputs.values) == (2 * math.comb(tokens, ones)) ** tokens
    assert wrong_outputs(value_store(problem, layers), inputs) == 0


@pytest.mark.parametrize(("tokens", "layers"), [*product(range(1, 8), range(1, 9)), (40, 1), (41, 3), (64, 64)])
def test_a_state_has_exactly_the_bits_of_the_formula(tokens: int, layers: int) -> None:
    problem = SparseAveraging(tokens, 1, 1)
    run = value_store(problem, layers).run(random_signs(problem, 2, seed=tokens))
    assert run.bits == -(-(tokens - 1) // layers)


@pytest.mark.parametrize("tokens", range(1, 5))
def test_one_layer_takes_two_to_the_c_forward_states_at_cut_c(tokens: int) -> None:
    problem = SparseAveraging(tokens, 1, 1)
    run = value_store(problem).run(problem.all_inputs())
    assert run.distinct_forward_states(0) == [2**c for c in range(tokens)]
    assert [state.shape[1] for state in run.forward_states[0]] == list(range(tokens))
    assert [state.shape[1] for state in run.backward_states[0]] == list(range(tokens))[::-1]


def test_the_store_is_right_on_large_random_inputs() -> None:
    for seed, (tokens, ones, layers) in enumerate([(33, 1, 1), (50, 7, 4), (64, 63, 2), (20, 20, 1)]):
        problem = SparseAveraging(tokens, ones, 1)
        assert wrong_outputs(value_store(problem, layers), random_signs(problem, 20, seed)) == 0, f"seed {seed}"


@pytest.mark.parametrize(("tokens", "ones"), [(n, q) for n, q in SMALL if n > 1])
def test_a_store_that_drops_one_bit_errs(tokens: int, ones: int) -> None:
    problem = SparseAveraging(tokens, ones, 1)
    inputs = problem.all_inputs()
    for dropped in range(tokens):
        kept = [[j for j in range(tokens) if j != dropped]]
        assert wrong_outputs(ValueStore(problem, kept), inputs) > 0


def test_a_state_holds_nothing_of_what_it_has_not_read() -> None:
    problem = SparseAveraging(6, 2, 1)
    inputs = random_signs(problem, 8, seed=3)
    for cut in range(6):
        changed = inputs._replace(values=inputs.values.clone())
        changed.values[:, cut:] *= -1
        for one, other in zip(*(value_store(problem, 2).run(x).forward_states for x in (inputs, changed)), strict=True):
            assert torch.equal(one[cut], other[cut])


def test_the_store_refuses_values_that_are_not_signs() -> None:
    problem = SparseAveraging(3, 1, 1)
    inputs = problem.sample(1, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="values must be ±1"):
        value_store(problem).run(inputs)


def test_the_store_refuses_other_dimensions_and_no_layers() -> None:
    with pytest.raises(ValueError, match="value_dim d' = 1, got 2"):
        value_store(SparseAveraging(3, 1, 2))
    with pytest.raises(ValueError, match="num_layers must be at least 1, got 0"):
        value_store(SparseAveraging(3, 1, 1), 0)


def test_an_lstms_output_depends_on_later_tokens_only_if_it_is_bidirectional() -> None:
    problem = SparseAveraging(5, 2, 3)
    tokens = problem.encode(problem.sample(2, generator=torch.Generator().manual_seed(0)))
    changed = tokens.clone()
    changed[:, 3:] += 1
    for bidirectional in (False, True):
        model = LSTMModel(problem, 4, bidirectional=bidirectional, generator=torch.Generator().manual_seed(1))
        same = torch.equal(model(tokens)[:, :3], model(changed)[:, :3])
        assert same == (not bidirectional)
        assert model(tokens).shape == (2, 5, 3)
        assert model.state_numbers == 8


def test_an_lstms_weights_come_from_its_generator_alone() -> None:
    problem = SparseAveraging(4, 1, 1)
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(states))
        model = LSTMModel(problem, 9, bidirectional=True, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(torch.get_rng_state(), torch.Generator().manual_seed(len(states)).get_state())
        states.append(torch.cat([weight.flatten() for weight in model.parameters()]))
        assert states[-1].abs().max() <= 1 / 3
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_an_lstm_and_a_store_answer_the_same_on_a_gpu() -> None:
    problem = SparseAveraging(6, 2, 1)
    inputs = random_signs(problem, 4, seed=0)
    there = SparseAveragingInputs(*(part.cuda() for part in inputs))
    assert torch.equal(value_store(problem, 2).run(there).sums.cpu(), value_store(problem, 2).run(inputs).sums)
    model = LSTMModel(problem, 8, bidirectional=True, generator=torch.Generator().manual_seed(0))
    expected = model(problem.encode(inputs))
    torch.testing.assert_close(model.cuda()(problem.encode(there)).cpu(), expected, rtol=1e-3, atol=1e-3)


def test_an_lstm_refuses_an_empty_state() -> None:
    with pytest.raises(ValueError, match="hidden_dim must be at least 1, got 0"):
        LSTMModel(SparseAveraging(3, 1, 1), 0, bidirectional=False, generator=torch.Generator())
