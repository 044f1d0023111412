"""Layers that compose functions: all small inputs, long random ones, sizes and bits, and broken variants."""

import pytest
import torch

from attention_limits.constructions.composition import (
    READ,
    READING_ERROR,
    CompositionTransformer,
    OneLayerComposition,
    composition_bits,
    proved_scale,
)
from attention_limits.constructions.fetch import entry_format, fetch_tokens
from attention_limits.problems.composition import Composition


@pytest.mark.parametrize("construction", [CompositionTransformer, OneLayerComposition])
@pytest.mark.parametrize("num_points", [1, 2, 3])
def test_all_small_inputs_are_composed(construction: type, num_points: int) -> None:
    problem, n = Composition(num_points), num_points
    inputs = problem.all_inputs()
    model = construction(problem)
    expected = [row[n + row[row[-1]]] for row in inputs.tolist()]
    assert model.compose(inputs).tolist() == expected
    assert model.reading_error(inputs) <= READING_ERROR


@pytest.mark.parametrize("construction", [CompositionTransformer, OneLayerComposition])
@pytest.mark.parametrize("seed", range(4))
def test_random_inputs_are_composed(construction: type, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    problem = Composition([5, 17, 64, 200][seed])
    inputs = problem.sample(8, generator=generator)
    assert torch.equal(construction(problem).compose(inputs), problem.target(inputs)), f"seed {seed}"


@pytest.mark.parametrize("num_points", [1, 2, 3, 7, 64, 500])
def test_sizes_and_bits_are_those_of_the_proposition(num_points: int) -> None:
    problem = Composition(num_points)
    model = CompositionTransformer(problem)
    assert (model.depth, model.num_heads, model.embed_dim, model.width) == (2, 1, 2, 1)
    # The largest of everything: entries, targets and addresses.
    registers = model.registers(torch.full((1, problem.num_tokens), num_points - 1))
    registers[..., READ] = num_points - 1
    counted = [entry_format(step.layer, fetch_tokens(step.ask(registers))) for step in model.steps]
    assert max(form.bits for form in counted) == composition_bits(num_points)
    assert {form.fraction_bits for form in counted} == {0}
    inputs = problem.sample(3, generator=torch.Generator().manual_seed(num_points))
    assert all(form.bits <= composition_bits(num_points) for form in model.formats(model.registers(inputs)))


def test_the_bits_grow_like_twice_the_logarithm() -> None:
    assert [composition_bits(2**k) for k in range(8, 13)] == [20, 22, 24, 26, 28]


@pytest.mark.parametrize("num_points", [1, 2, 9])
def test_the_large_layer_has_a_slot_for_each_point(num_points: int) -> None:
    model = OneLayerComposition(Composition(num_points))
    assert (model.depth, model.num_heads, model.embed_dim, model.width) == (1, 2, 2, num_points + 1)


def test_a_flat_scale_a_swapped_layer_and_a_lost_one_answer_wrongly() -> None:
    problem = Composition(50)
    inputs = problem.sample(40, generator=torch.Generator().manual_seed(0))
    targets = problem.target(inputs)
    assert not torch.equal(CompositionTransformer(problem, scale=proved_scale(problem) / 8).compose(inputs), targets)
    for order in ((1, 0), (0,), (1,)):
        broken = CompositionTransformer(problem)
        broken.steps = tuple(broken.steps[place] for place in order)
        assert (broken.compose(inputs) != targets).sum() > 20, order


def test_inputs_of_another_problem_are_refused() -> None:
    with pytest.raises(ValueError, match=r"inputs must have 2n \+ 1 = 7 tokens, got 5"):
        CompositionTransformer(Composition(3)).compose(torch.zeros(1, 5, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"scale c must be a power of two, got 12\.0"):
        CompositionTransformer(Composition(3), scale=12.0)
