"""Layers for induction heads: all small strings, long ones, sizes and bits, the lemma, and broken variants."""

from itertools import combinations, product

import pytest
import torch

from attention_limits.constructions.induction import (
    LARGEST_ADDRESS,
    READING_ERROR,
    InductionTransformer,
    SlotLayer,
    TwoSymbolLayer,
    induction_bits,
    largest_address,
    proved_scale,
)
from attention_limits.fixed_point import PrecisionError
from attention_limits.models.attention import causal_mask
from attention_limits.problems.induction import NONE, InductionHeads


def answer_by_hand(symbols: list[int]) -> int:
    """The symbol after the last earlier one like the last."""
    before = [j for j in range(len(symbols) - 1) if symbols[j] == symbols[-1]]
    return symbols[before[-1] + 1] if before else NONE


SMALL = [(1, 1), (1, 4), (2, 1), (2, 3), (3, 2), (4, 3), (5, 4), (6, 3), (9, 2), (7, 1)]


@pytest.mark.parametrize(("num_tokens", "num_symbols"), SMALL)
def test_all_small_strings_are_answered(num_tokens: int, num_symbols: int) -> None:
    problem = InductionHeads(num_tokens, num_symbols)
    inputs = problem.all_inputs()
    model, mask = InductionTransformer(problem), causal_mask(num_tokens)
    expected = [[answer_by_hand(row[: i + 1]) for i in range(num_tokens)] for row in inputs.tolist()]
    assert model.answers(inputs)[:, -1].tolist() == [row[-1] for row in expected]
    assert model.answers(inputs, mask).tolist() == expected
    assert model.reading_error(inputs) <= READING_ERROR
    assert model.reading_error(inputs, mask) <= READING_ERROR
    assert SlotLayer(problem).answer(inputs).tolist() == [row[-1] for row in expected]
    if num_symbols == 2:
        assert TwoSymbolLayer(num_tokens).answer(inputs).tolist() == [row[-1] for row in expected]


@pytest.mark.parametrize("seed", range(4))
def test_long_strings_are_answered(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    problem = InductionHeads([65, 128, 200, 300][seed], [2, 3, 200, 1000][seed])
    inputs = problem.sample(3, generator=generator)
    inputs[0, 7] = inputs[0, -1]  # planted, for large alphabets
    inputs[1, -2] = inputs[1, -1]
    expected = [[answer_by_hand(row[: i + 1]) for i in range(problem.num_tokens)] for row in inputs.tolist()]
    model = InductionTransformer(problem)
    assert model.answers(inputs)[:, -1].tolist() == [row[-1] for row in expected], f"seed {seed}"
    assert model.answers(inputs, causal_mask(problem.num_tokens)).tolist() == expected, f"seed {seed}"
    if seed == 0:
        assert TwoSymbolLayer(65).answer(inputs).tolist() == [row[-1] for row in expected], f"seed {seed}"


@pytest.mark.parametrize("num_tokens", [1, 2, 3, 4])
def test_the_lemma_of_the_last_place_holds_for_all_small_addresses(num_tokens: int) -> None:
    stride = 2 * num_tokens
    for last in range(num_tokens + 1):
        for size in range(1, last + 2):
            for places in combinations(range(last + 1), size):
                for symbols in product((-1, 0, 1, 2), repeat=size):
                    off = sorted(
                        ((stride * s + j - stride - last) ** 2, s, j) for s, j in zip(symbols, places, strict=True)
                    )
                    assert len({square for square, _, _ in off}) == size
                    wanted = [j for s, j in zip(symbols, places, strict=True) if s == 1 and j >= 1]
                    if wanted:
                        assert off[0][1:] == (1, max(wanted))


@pytest.mark.parametrize(("num_tokens", "num_symbols"), [(1, 1), (2, 1), (2, 2), (9, 1), (12, 5), (128, 3), (300, 300)])
def test_sizes_and_bits_are_those_of_the_proposition(num_tokens: int, num_symbols: int) -> None:
    problem = InductionHeads(num_tokens, num_symbols)
    model = InductionTransformer(problem)
    assert (model.depth, model.num_heads, model.embed_dim, model.width) == (2, 1, 2, 2)
    extreme = torch.full((1, num_tokens), num_symbols - 1)
    forms = model.formats(model.registers(extreme), causal_mask(num_tokens))
    assert max(form.bits for form in forms) == induction_bits(num_tokens, num_symbols)
    assert {form.fraction_bits for form in forms} == {0}
    inputs = problem.sample(3, generator=torch.Generator().manual_seed(num_tokens))
    assert all(form.bits <= induction_bits(num_tokens, num_symbols) for form in model.formats(model.registers(inputs)))


def test_the_layer_for_two_symbols_is_one_head_of_one_dimension_and_small_values() -> None:
    layer = TwoSymbolLayer(9)
    assert len(layer.layer.heads) == 1
    assert [tuple(matrix.shape) for matrix in layer.layer.heads[0].parameters()] == [(1, 1)] * 3
    assert layer.weights.tolist() == [1.0] * 7 + [10.0, 1.0]


def test_short_blocks_a_flat_scale_a_lost_layer_and_no_mask_answer_wrongly() -> None:
    problem = InductionHeads(6, 3)
    inputs, targets = problem.all_inputs(), problem.target(problem.all_inputs())
    for stride in range(8):
        wrong = (InductionTransformer(problem, stride=stride).answers(inputs)[:, -1] != targets).sum()
        assert wrong > 0, stride
    assert (InductionTransformer(problem, scale=proved_scale(problem) / 16).answers(inputs)[:, -1] != targets).any()
    lost = InductionTransformer(problem)
    lost.steps = lost.steps[1:]  # nobody has noted down anything
    assert (lost.answers(inputs)[:, -1] != targets).sum() > 100
    expected = [[answer_by_hand(row[: i + 1]) for i in range(6)] for row in inputs.tolist()]
    assert InductionTransformer(problem).answers(inputs).tolist() != expected
    # Under the strict mask the last token can't read its own note, X_{N−1} = X_N.
    assert (InductionTransformer(problem).answers(inputs, causal_mask(6, strict=True))[:, -1] != targets).any()


def test_a_plain_mean_and_a_third_symbol_are_too_much_for_one_head() -> None:
    problem = InductionHeads(7, 2)
    inputs = problem.all_inputs()
    plain = TwoSymbolLayer(7)
    plain.weights.fill_(1.0)
    assert (plain.answer(inputs) != problem.target(inputs)).any()


def test_addresses_beyond_exact_scores_are_refused_with_the_largest_alphabet() -> None:
    assert 3 * LARGEST_ADDRESS**2 <= 2**53 < 3 * (LARGEST_ADDRESS + 1) ** 2
    assert largest_address(4096, 6689) <= LARGEST_ADDRESS
    with pytest.raises(PrecisionError, match=r"N = 4,096 tokens and S = 6,690 symbols .* at this N up to S = 6,689$"):
        InductionTransformer(InductionHeads(4096, 6690))
    with pytest.raises(PrecisionError, match="N is too large for any S"):
        largest_address(LARGEST_ADDRESS + 1, 1)
    largest = InductionTransformer(InductionHeads(16, (LARGEST_ADDRESS // 16 + 1) // 2))
    inputs = torch.full((1, 16), largest.problem.num_symbols - 1)
    assert largest.answers(inputs)[0, -1] == largest.problem.num_symbols - 1


def test_other_bad_values_are_refused() -> None:
    with pytest.raises(ValueError, match="num_tokens must be at least 1, got 0"):
        TwoSymbolLayer(0)
    with pytest.raises(ValueError, match="symbols must lie in 0…1, got 2"):
        TwoSymbolLayer(3).answer(torch.tensor([[0, 2, 1]]))
    with pytest.raises(ValueError, match="inputs must have N = 4 tokens, got 3"):
        InductionTransformer(InductionHeads(4, 3)).answers(torch.zeros(1, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"scale c must be a power of two, got 3\.0"):
        InductionTransformer(InductionHeads(4, 3), scale=3.0)
