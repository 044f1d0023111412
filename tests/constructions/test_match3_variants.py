"""Bigrams by two layers and windows by one unit: right on every input, exact in size, refused where floats fail."""

import math

import pytest
import torch
from scipy.special import expit

from attention_limits.constructions import match3_variants
from attention_limits.constructions.match3_variants import (
    MARGIN,
    Match3LocalUnit,
    bigram_scales,
    largest_exact,
    local_bits,
    local_scale,
    match3_bigram_transformer,
    match3_local_unit,
)
from attention_limits.fixed_point import FixedPoint
from attention_limits.problems.grading import grade
from attention_limits.problems.matching import Match3Bigram, Match3Local

SMALL = [(n, m) for n in range(1, 8) for m in range(2, 8) if m**n <= 4000]
FLOATS = [torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", FLOATS)
def test_two_layers_are_right_on_all_small_inputs_with_the_proved_margin(dtype: torch.dtype) -> None:
    for size, modulus in SMALL:
        problem = Match3Bigram(size, modulus)
        found = grade(match3_bigram_transformer(problem).to(dtype), problem)
        assert found.wrong == 0, problem
        assert found.right_side >= expit(MARGIN) - 1e-6, problem


@pytest.mark.parametrize("modulus", [2, 4, 9])
def test_a_lone_token_has_no_bigram(modulus: int) -> None:
    problem = Match3Bigram(1, modulus)
    assert match3_bigram_transformer(problem)(problem.all_inputs()).tolist() == [[0.0]] * modulus


@pytest.mark.parametrize(("size", "modulus"), [(300, 500), (1000, 5793), (1001, 5792), (2000, 3)])
def test_two_layers_are_right_on_large_random_inputs_in_float32(size: int, modulus: int) -> None:
    problem = Match3Bigram(size, modulus)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.cat([p(1, generator=generator) for p in (problem.sample, problem.sample_near_misses)])
        assert grade(match3_bigram_transformer(problem), problem, inputs).wrong == 0, f"seed {seed}"


def test_two_layers_are_right_at_the_largest_modulus_of_float64() -> None:
    problem = Match3Bigram(200, largest_exact(torch.float64))
    inputs = problem.sample(4, generator=torch.Generator().manual_seed(0))
    for row, token in enumerate((0, 57, 198)):  # one planted match, one near miss each
        inputs[row, 100] = (-inputs[row, token : token + 2].sum()) % problem.modulus
        inputs[row, 103] = (1 - inputs[row, token : token + 2].sum()) % problem.modulus
    # Every token with every bigram: `target` would count all residues.
    sums = inputs.unsqueeze(2) + (inputs[:, :-1] + inputs[:, 1:]).unsqueeze(1)
    expected = (sums % problem.modulus == 0).any(dim=2)
    assert expected.sum() >= 3
    assert torch.equal(match3_bigram_transformer(problem).double()(inputs) > 0.5, expected)


def test_the_bigram_transformer_has_constant_size() -> None:
    for size, modulus in ((1, 2), (7, 3), (2000, 5000)):
        model = match3_bigram_transformer(Match3Bigram(size, modulus))
        assert (model.embed_dim, model.num_heads, model.depth) == (3, 1, 2)
        assert len(model.transformer.layers) == model.depth
        widths = [head.embed_dim for layer in model.transformer.layers for head in layer.heads]
        assert max(widths) == model.embed_dim
        assert len(widths) == model.depth * model.num_heads


def test_the_bigram_scales_are_powers_of_two_and_large_enough() -> None:
    for size, modulus in ((1, 2), (5, 100), (4000, 5000)):
        first, second = bigram_scales(size, modulus)
        assert math.frexp(first)[0] == math.frexp(second)[0] == 0.5
        others = 2 * math.exp(-2 * first) / (1 - math.exp(-4 * first))
        assert others * max(modulus - 1, 6) < 1 / 7
        assert second / 2 >= math.log(max(size - 1, 1)) + MARGIN


def test_floats_count_exactly_up_to_the_largest_size_and_no_further() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        most, exact = largest_exact(dtype), 2 / torch.finfo(dtype).eps
        assert most * (most // 2) <= exact < (most + 1) * ((most + 1) // 2)
    assert largest_exact(torch.float32) == 5793


@pytest.mark.parametrize(
    ("size", "modulus", "message"),
    [
        (3, 5794, "modulus M = 5794 is too large for torch.float32, which does at most 5793"),
        (5794, 3, "num_tokens N = 5794 is too large for torch.float32, which does at most 5793"),
    ],
)
def test_a_small_float_type_is_refused_when_called_and_not_when_built(size: int, modulus: int, message: str) -> None:
    problem = Match3Bigram(size, modulus)
    model = match3_bigram_transformer(problem)
    inputs = torch.zeros(1, size, dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        model(inputs)
    if size < 100:
        assert model.double()(inputs)[0].tolist() == pytest.approx([1, 1, 1], abs=0.2)


@pytest.mark.parametrize("inputs", [torch.zeros(2, 3).long(), torch.full((2, 4), 5), torch.zeros(2, 4).int()])
def test_what_is_no_input_is_refused(inputs: torch.Tensor) -> None:
    for model in (
        match3_bigram_transformer(Match3Bigram(4, 5)),
        match3_local_unit(Match3Local(4, 5, window=1)),
    ):
        with pytest.raises(ValueError, match=r"inputs must|residues must"):
            model(inputs)


BIGRAM_BREAKS = {
    "weak layers": ("bigram_scales", lambda num_tokens, modulus: (0.25, 8.0)),
    "weak match": ("bigram_scales", lambda num_tokens, modulus: (8.0, 0.5)),
}


@pytest.mark.parametrize("name", ["weak layers", "weak match"])
def test_scales_that_are_too_small_are_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match3_variants, *BIGRAM_BREAKS[name])
    problem = Match3Bigram(6, 4)
    assert grade(match3_bigram_transformer(problem), problem).wrong > 0


@pytest.mark.parametrize(("layer", "column"), [(0, "query"), (0, "key"), (1, "query"), (1, "key")])
def test_a_wrong_sign_is_caught(layer: int, column: str) -> None:
    problem = Match3Bigram(5, 5)
    model = match3_bigram_transformer(problem)
    weights = getattr(model.transformer.layers[layer].heads[0], column)
    weights[:, 0] *= -1
    assert grade(model, problem).wrong > 0


def test_a_missing_blank_is_caught() -> None:
    problem = Match3Bigram(4, 5)
    model = match3_bigram_transformer(problem)
    model.transformer.layers[1].heads[0].query[:, 2] = 0  # the blank's score is 0 whatever is asked
    assert grade(model, problem).wrong > 0
    model = match3_bigram_transformer(problem)
    model.transformer.layers[1].heads[0].value.fill_(0)[0] = 1  # every token counts, the blank too
    assert grade(model, problem).wrong > 0


def slot_counts(problem: Match3Local) -> list[int]:
    most = min(problem.window, problem.num_tokens - 1)
    return sorted({2 * most + 1, 2 * most + 2, max(3 * most, 2 * most + 1), max(4 * most, 1)} - {0})


@pytest.mark.parametrize("dtype", FLOATS)
def test_one_unit_is_right_on_all_small_inputs_for_every_number_of_slots(dtype: torch.dtype) -> None:
    for size, modulus in SMALL:
        if modulus**size > 300:
            continue
        for window in (0, 1, 2, 3, 9):
            problem = Match3Local(size, modulus, window)
            inputs = problem.all_inputs()
            for slots in slot_counts(problem):
                if slots >= 2 * min(window, size - 1) + 1:
                    unit = match3_local_unit(problem, value_slots=slots).to(dtype)
                    assert grade(unit, problem, inputs).wrong == 0, (problem, slots)


@pytest.mark.parametrize(("size", "modulus", "window"), [(256, 209, 8), (1000, 1000, 3), (7, 1000, 50), (60, 5, 0)])
def test_one_unit_is_right_on_large_random_inputs(size: int, modulus: int, window: int) -> None:
    problem = Match3Local(size, modulus, window)
    for seed in range(3):
        inputs = problem.sample(2, generator=torch.Generator().manual_seed(seed))
        for slots in slot_counts(problem)[-2:]:
            unit = match3_local_unit(problem, value_slots=slots)
            assert grade(unit, problem, inputs).wrong == 0, f"seed {seed}, P = {slots}"
            residues = unit.window_residues(unit.attend(inputs).output)
            assert (residues - residues.round()).abs().nan_to_num().max() < 0.5


@pytest.mark.parametrize(("slots", "bits"), [(17, 51), (20, 21), (24, 16), (32, 15)])
def test_averages_of_the_counted_bits_are_enough(slots: int, bits: int) -> None:
    problem = Match3Local(256, 209, 8)
    integer, fraction = local_bits(problem, slots)
    assert integer + fraction == bits
    unit = match3_local_unit(problem, value_slots=slots).double()
    inputs = problem.sample(4, generator=torch.Generator().manual_seed(0))
    averages = unit.attend(inputs).output
    assert torch.equal(unit.decide(FixedPoint(integer, fraction).round(averages)) > 0.5, problem.target(inputs))


def test_the_scale_is_the_formulas_rounded_up_to_five_digits() -> None:
    for modulus in (2, 3, 5, 10, 209, 4000):
        for window, slots in ((0, 1), (0, 3), (1, 3), (2, 5), (2, 11), (8, 24)):
            least = math.log(8 * modulus + 1) / (slots * (slots - 2 * window))
            assert least <= local_scale(Match3Local(100, modulus, window), slots) <= 17 / 16 * least


def test_there_are_four_slots_for_each_place_of_the_window_unless_told_otherwise() -> None:
    for window, slots in ((0, 1), (1, 4), (5, 20), (200, 4 * 99)):
        assert match3_local_unit(Match3Local(100, 5, window)).value_slots == slots


def test_far_too_few_bits_are_caught() -> None:
    problem = Match3Local(64, 209, 4)
    unit = match3_local_unit(problem, value_slots=9).double()
    inputs = problem.sample(4, generator=torch.Generator().manual_seed(0))
    integer, fraction = local_bits(problem, 9)
    rounded = FixedPoint(integer, fraction - 6).round(unit.attend(inputs).output)
    assert not torch.equal(unit.decide(rounded) > 0.5, problem.target(inputs))


@pytest.mark.parametrize("window", [0, 1, 4])
def test_the_units_dimension_is_that_of_its_slots_whatever_the_length(window: int) -> None:
    for size in (2 * window + 2, 100, 1000):
        for slots in (2 * window + 1, 4 * window + 3):
            unit = match3_local_unit(Match3Local(size, 5, window), value_slots=slots)
            assert (unit.embed_dim, unit.num_heads, unit.depth) == (max(slots, 2), 1, 1)
            assert unit.attention.value.shape[1] == slots
            assert unit.attention.embed_dim == 2


def test_fewer_slots_than_the_window_has_tokens_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"value_slots P = 16 must be at least 2K \+ 1 = 17 for K = 8"):
        match3_local_unit(Match3Local(256, 209, 8), value_slots=16)


def test_one_slot_fewer_is_caught() -> None:
    problem = Match3Local(6, 11, 2)
    inputs = problem.sample(500, generator=torch.Generator().manual_seed(0))
    unit = match3_local_unit(problem, value_slots=5)
    assert grade(unit, problem, inputs).wrong == 0
    unit.value_slots = 4  # two tokens of a window share a slot
    unit.attention = match3_variants.SelfAttentionUnit.from_matrices(*match3_variants._blocks(2, 2, 4))
    assert grade(unit, problem, inputs).wrong > 0


@pytest.mark.parametrize("broken", ["sign", "scale"])
def test_a_broken_unit_is_caught(broken: str) -> None:
    problem = Match3Local(6, 4, 1)
    unit: Match3LocalUnit = match3_local_unit(problem, value_slots=3)
    if broken == "sign":
        unit.attention.query[1] *= -1
    else:
        unit.scale /= 4
    assert grade(unit, problem).wrong > 0


@pytest.mark.parametrize(
    ("problem", "slots", "message"),
    [
        (Match3Local(2000, 5, 1), 3, "num_tokens N = 2000 is too large for torch.float32, which does at most 1024"),
        (Match3Local(256, 8000, 1), 3, "modulus M = 8000 is too large for torch.float32, which does at most 7943"),
        (Match3Local(256, 209, 32), 65, "value_slots P = 65: weights down to e-.* underflow in torch.float32"),
    ],
)
def test_a_unit_refuses_a_small_float_type_when_called(problem: Match3Local, slots: int, message: str) -> None:
    unit = match3_local_unit(problem, value_slots=slots)
    inputs = problem.sample(1, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=message.replace("e-", r"e\^-")):
        unit(inputs)
    assert grade(unit.double(), problem, inputs).wrong == 0
