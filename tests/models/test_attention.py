"""Attention against loops over numpy arrays, in the letters of the paper's definitions."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from attention_limits.models.attention import (
    Attended,
    MultiHeadAttention,
    ScoreOverflowError,
    SelfAttentionUnit,
    Transformer,
    _checked,
    causal_mask,
    multilayer_perceptron,
)

#: float64 sums of some dozens of terms of size 1.
TOLERANCE = 1e-12


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_unit(seed: int, model_dim: int = 5, embed_dim: int = 3, value_dim: int = 2) -> SelfAttentionUnit:
    return SelfAttentionUnit(model_dim, embed_dim, value_dim, generator=seeded(seed), dtype=torch.float64)


def random_tokens(seed: int, batch: int = 2, tokens: int = 6, model_dim: int = 5) -> Tensor:
    return torch.randn(batch, tokens, model_dim, generator=seeded(seed), dtype=torch.float64)


def as_array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()


def definition_1(unit: SelfAttentionUnit, sequence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f(X) = softmax(X Q Kᵀ Xᵀ) X V and its attention matrix, one number at a time."""
    q, k, v = as_array(unit.query), as_array(unit.key), as_array(unit.value)
    tokens, model_dim = sequence.shape
    attention, output = np.zeros((tokens, tokens)), np.zeros((tokens, v.shape[1]))
    for i in range(tokens):
        scores = []
        for j in range(tokens):
            score = 0.0
            for coordinate in range(q.shape[1]):
                query = sum(sequence[i, a] * q[a, coordinate] for a in range(model_dim))
                key = sum(sequence[j, a] * k[a, coordinate] for a in range(model_dim))
                score += query * key
            scores.append(score)
        total = math.fsum(math.exp(score - max(scores)) for score in scores)
        for j in range(tokens):
            attention[i, j] = math.exp(scores[j] - max(scores)) / total
            for c in range(v.shape[1]):
                output[i, c] += attention[i, j] * sum(sequence[j, a] * v[a, c] for a in range(model_dim))
    return output, attention


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 1, 1, 3), (6, 5, 3, 2), (5, 2, 7, 1)])
def test_a_unit_is_definition_1(sizes: tuple[int, int, int, int], device: torch.device) -> None:
    tokens, model_dim, embed_dim, value_dim = sizes
    unit = random_unit(0, model_dim, embed_dim, value_dim).to(device)
    inputs = random_tokens(1, 2, tokens, model_dim).to(device)
    output, attention = unit(inputs, return_attention=True)
    for b in range(2):
        expected_output, expected_attention = definition_1(unit, as_array(inputs[b]))
        assert np.abs(as_array(output[b]) - expected_output).max() <= TOLERANCE
        assert np.abs(as_array(attention[b]) - expected_attention).max() <= TOLERANCE


@pytest.mark.parametrize("mistake", ["scale", "transpose", "columns"])
def test_the_loops_would_catch_a_wrong_attention(mistake: str) -> None:
    unit, inputs = random_unit(0), random_tokens(1)
    scores = unit.scores(inputs)
    wrong = {"scale": scores / math.sqrt(unit.embed_dim), "transpose": scores.mT, "columns": scores}[mistake]
    attention = wrong.softmax(dim=-2 if mistake == "columns" else -1)
    _, expected = definition_1(unit, as_array(inputs[0]))
    assert np.abs(as_array(attention[0]) - expected).max() > 1e-2


def test_coordinates_of_zero_do_not_change_the_scores_so_there_is_no_scale_by_the_dimension() -> None:
    unit, inputs = random_unit(0), random_tokens(1)
    padding = torch.zeros(5, 13, dtype=torch.float64)
    wide = SelfAttentionUnit.from_matrices(
        torch.cat([unit.query, padding], dim=1), torch.cat([unit.key, padding], dim=1), unit.value
    )
    assert (wide.embed_dim, unit.embed_dim) == (16, 3)
    assert torch.allclose(wide.scores(inputs), unit.scores(inputs), rtol=0, atol=TOLERANCE)
    assert torch.allclose(wide(inputs), unit(inputs), rtol=0, atol=TOLERANCE)


@given(st.integers(0, 2**32), st.integers(1, 6), st.data())
def test_permuted_tokens_give_permuted_outputs(seed: int, tokens: int, data: st.DataObject) -> None:
    order = torch.tensor(data.draw(st.permutations(range(tokens))))
    inputs = random_tokens(seed, 2, tokens)
    layer = MultiHeadAttention([random_unit(seed), random_unit(seed + 1)])
    model = Transformer([layer], [nn.Identity(), nn.Tanh()])
    output, attentions = model(inputs, return_attention=True)
    permuted, permuted_attentions = model(inputs[:, order], return_attention=True)
    assert torch.allclose(permuted, output[:, order], rtol=0, atol=TOLERANCE)
    expected = attentions[0][:, :, order][..., order]
    assert torch.allclose(permuted_attentions[0], expected, rtol=0, atol=TOLERANCE)


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_a_layer_is_the_sum_of_its_heads(seed: int, num_heads: int) -> None:
    heads = [random_unit(seed + head) for head in range(num_heads)]
    inputs = random_tokens(seed)
    output, attention = MultiHeadAttention(heads)(inputs, return_attention=True)
    assert output.shape == (2, 6, 2)  # concatenated heads would be wider
    assert attention.shape == (2, num_heads, 6, 6)
    expected = sum(definition_1(head, as_array(inputs[0]))[0] for head in heads[:2]) if num_heads <= 2 else None
    if expected is not None:
        assert np.abs(as_array(output[0]) - expected).max() <= TOLERANCE
    assert torch.allclose(output, sum(head(inputs) for head in heads), rtol=0, atol=TOLERANCE)
    for index, head in enumerate(heads):
        assert attention[:, index].equal(head.attend(inputs).attention)


def test_a_head_twice_gives_twice_the_output() -> None:
    unit, inputs = random_unit(0), random_tokens(1)
    assert torch.allclose(MultiHeadAttention([unit, unit])(inputs), 2 * unit(inputs), rtol=0, atol=TOLERANCE)


def test_a_transformer_of_identity_maps_is_the_composition_of_its_layers() -> None:
    inputs = random_tokens(1)
    first = MultiHeadAttention([random_unit(2, 5, 3, 4), random_unit(3, 5, 2, 4)])
    second = MultiHeadAttention([random_unit(4, 4, 3, 2)])
    model = Transformer([first, second], [nn.Identity()] * 3)
    output, attentions = model(inputs, return_attention=True)
    assert output.equal(second(first(inputs)))
    assert attentions[0].equal(first.attend(inputs).attention)
    assert attentions[1].equal(second.attend(first(inputs)).attention)


def test_maps_act_before_between_and_after_the_layers_in_that_order() -> None:
    inputs = random_tokens(1)
    layers = [MultiHeadAttention([random_unit(seed, 5, 3, 5)]) for seed in (2, 3)]
    maps = [torch.tanh, lambda tokens: tokens + 1, lambda tokens: 3 * tokens]
    model = Transformer(layers, maps)
    expected = 3 * layers[1](layers[0](torch.tanh(inputs)) + 1)
    assert model(inputs).equal(expected)


def test_a_transformer_of_no_layers_is_its_one_map() -> None:
    inputs = random_tokens(1)
    output, attentions = Transformer([], [torch.tanh])(inputs, return_attention=True)
    assert output.equal(torch.tanh(inputs))
    assert attentions == ()


@given(st.integers(0, 2**32), st.floats(-3, 3))
def test_attention_rows_are_weights_that_sum_to_one(seed: int, exponent: float) -> None:
    inputs = random_tokens(seed) * 10**exponent
    attended = random_unit(seed)(inputs, return_attention=True)
    assert isinstance(attended, Attended)
    assert (attended.attention >= 0).all()
    assert torch.allclose(attended.attention.sum(dim=-1), torch.ones(2, 6).double(), rtol=0, atol=TOLERANCE)


def test_attention_comes_on_request_only_and_leaves_the_output_as_it_is() -> None:
    unit, inputs = random_unit(0), random_tokens(1)
    assert unit(inputs).equal(unit(inputs, return_attention=True).output)


@pytest.mark.parametrize("width", [4, 6])
def test_tokens_of_another_width_are_refused(width: int) -> None:
    with pytest.raises(ValueError, match=f"tokens must have 5 coordinates, got {width}"):
        random_unit(0)(random_tokens(1, model_dim=width))


@pytest.mark.parametrize("name", ["model_dim", "embed_dim", "value_dim"])
@pytest.mark.parametrize("size", [0, -2, True])
def test_a_unit_without_dimensions_is_refused(name: str, size: Any) -> None:
    sizes = {"model_dim": 3, "embed_dim": 2, "value_dim": 1} | {name: size}
    with pytest.raises(ValueError, match=f"{name} must be"):
        SelfAttentionUnit(**sizes)


def test_a_layer_without_heads_and_maps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="a layer needs at least one head, got none"):
        MultiHeadAttention([])
    with pytest.raises(ValueError, match="1 layers need 2 maps, got 1"):
        Transformer([MultiHeadAttention([random_unit(0)])], [nn.Identity()])


def test_given_matrices_are_copied_and_not_trained() -> None:
    query, key, value = (torch.randn(4, columns, generator=seeded(columns)) for columns in (3, 3, 2))
    unit = SelfAttentionUnit.from_matrices(query, key, value)
    assert [parameter for parameter in unit.parameters() if parameter.requires_grad] == []
    before = unit.query.clone()
    query.zero_()
    assert unit.query.equal(before)
    assert set(unit.state_dict()) == {"query", "key", "value"}
    assert {parameter.dtype for parameter in unit.double().parameters()} == {torch.float64}


@pytest.mark.parametrize("shapes", [((4, 3), (4, 2), (4, 2)), ((4, 3), (5, 3), (4, 2)), ((4, 3), (4, 3), (3, 2))])
def test_matrices_that_do_not_fit_are_refused_under_the_tests(shapes: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(Exception, match="from_matrices"):
        SelfAttentionUnit.from_matrices(*(torch.zeros(shape) for shape in shapes))


def test_a_trained_unit_starts_from_normals_of_variance_one_over_d_and_from_its_seed_alone() -> None:
    unit = SelfAttentionUnit(100, 80, 60, generator=seeded(0))
    for matrix in unit.parameters():
        assert matrix.requires_grad
        # The sample variance of n normals has relative standard deviation √(2/n).
        assert abs(matrix.var().item() * 100 - 1) <= 4 * math.sqrt(2 / matrix.numel())
    again = SelfAttentionUnit(100, 80, 60, generator=seeded(0))
    assert all(a.equal(b) for a, b in zip(unit.parameters(), again.parameters(), strict=True))
    assert not unit.query.equal(SelfAttentionUnit(100, 80, 60, generator=seeded(1)).query)


def test_a_perceptron_is_linear_maps_with_relu_between_and_weights_of_the_stated_variance() -> None:
    state = torch.get_rng_state()
    network = multilayer_perceptron((50, 200, 40), generator=seeded(0))
    assert torch.get_rng_state().equal(state)
    assert [type(stage) for stage in network] == [nn.Linear, nn.ReLU, nn.Linear]
    for stage, variance in ((network[0], 2 / 50), (network[2], 1 / 200)):
        assert abs(stage.weight.var().item() / variance - 1) <= 4 * math.sqrt(2 / stage.weight.numel())
        assert stage.bias.eq(0).all()
    inputs = torch.randn(3, 50, generator=seeded(1))
    weights = [as_array(stage.weight) for stage in (network[0], network[2])]
    expected = np.maximum(as_array(inputs) @ weights[0].T, 0) @ weights[1].T
    assert np.abs(as_array(network(inputs)) - expected).max() <= 1e-4  # float32 sums of 200 terms of size 1


def test_a_perceptron_of_one_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match=r"needs an input and an output dimension, got \[3\]"):
        multilayer_perceptron([3], generator=seeded(0))


def masks(tokens: int) -> dict[str, Tensor]:
    """Masks over ``tokens`` tokens, one for all inputs and one for each of two."""
    drawn = torch.rand(2, tokens, tokens, generator=torch.Generator().manual_seed(3)) < 0.4
    drawn |= torch.eye(tokens, dtype=torch.bool)
    return {"causal": causal_mask(tokens), "strict": causal_mask(tokens, strict=True), "for each input": drawn}


@pytest.mark.parametrize("kind", ["causal", "strict", "for each input"])
def test_a_masked_unit_is_definition_1_on_the_keys_that_each_query_sees(kind: str) -> None:
    generator, tokens = torch.Generator().manual_seed(0), 5
    unit = SelfAttentionUnit(4, 3, 2, generator=generator, dtype=torch.float64)
    inputs, mask = torch.randn(2, tokens, 4, generator=generator, dtype=torch.float64), masks(tokens)[kind]
    output, attention = unit(inputs, return_attention=True, mask=mask)
    for sample, visible in zip(range(2), mask.expand(2, tokens, tokens), strict=True):
        for query in range(tokens):
            kept = inputs[sample, visible[query]]
            scores = (kept @ unit.key) @ (inputs[sample, query] @ unit.query)
            expected = torch.softmax(scores, 0) @ (kept @ unit.value)
            torch.testing.assert_close(output[sample, query], expected)
            assert bool((attention[sample, query, ~visible[query]] == 0).all())


@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_the_causal_mask_lets_a_token_see_itself_and_what_is_before_it_and_the_strict_one_not_itself(
    tokens: int,
) -> None:
    for i in range(tokens):
        assert [bool(seen) for seen in causal_mask(tokens)[i]] == [j <= i for j in range(tokens)]
        strict = [bool(seen) for seen in causal_mask(tokens, strict=True)[i]]
        assert strict == [j < i or i == j == 0 for j in range(tokens)]


def test_later_tokens_say_nothing_to_earlier_ones_under_the_causal_mask_in_a_layer_and_in_a_transformer() -> None:
    generator = torch.Generator().manual_seed(1)
    layers = [
        MultiHeadAttention([SelfAttentionUnit(3, 2, 3, generator=generator, dtype=torch.float64) for _ in range(2)])
        for _ in range(2)
    ]
    deep = Transformer(layers, [nn.Identity(), nn.Tanh(), nn.Identity()])
    inputs = torch.randn(1, 6, 3, generator=generator, dtype=torch.float64)
    changed = inputs.clone()
    changed[:, 4:] += 1.0
    for model in (layers[0], deep):
        before, after = (model(tokens, mask=causal_mask(6)) for tokens in (inputs, changed))
        assert torch.equal(before[:, :4], after[:, :4])
        assert not torch.equal(before[:, 4:], after[:, 4:])
        assert not torch.equal(model(inputs)[:, :4], model(changed)[:, :4])
        assert torch.equal(model(inputs, mask=torch.ones(6, 6, dtype=torch.bool)), model(inputs))


def test_masks_that_do_not_fit_are_refused_by_what_is_wrong() -> None:
    scores = torch.zeros(1, 3, 3)  # the annotations refuse what a whole unit is given, but only under the tests
    blind = causal_mask(3)
    blind[1] = False
    for mask, message in (
        (torch.ones(3, 3), "mask must be bool, got torch.float32"),
        (causal_mask(4), r"mask must broadcast to \(1, 3, 3\), got \(4, 4\)"),
        (blind, "the mask leaves no key to query 1"),
    ):
        with pytest.raises(ValueError, match=message):
            _checked(mask, scores)
    with pytest.raises(ValueError, match="num_tokens must be at least 1, got 0"):
        causal_mask(0)


@pytest.mark.parametrize(
    ("dtype", "size"), [(torch.float16, 300.0), (torch.float32, 1e20), (torch.bfloat16, 1e20), (torch.float64, 1e155)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_finite_tokens_whose_scores_overflow_are_refused_by_score_and_format(
    dtype: torch.dtype, size: float, sign: int
) -> None:
    one = torch.ones(1, 1, dtype=dtype)
    unit = SelfAttentionUnit.from_matrices(sign * one, one, one)
    inputs = torch.tensor([[[0.0], [size]]], dtype=dtype)
    score = f"{float(inputs[0, 1, 0]) ** 2 * sign:.3g}" if dtype is not torch.float64 else f"{sign * math.inf}"
    if sign == 1:
        with pytest.raises(ScoreOverflowError, match=re.escape(f"query 1 has a score of {score}, and {dtype}")):
            unit(inputs)
    else:  # the other key is far better: the answer is right
        assert torch.equal(unit(inputs), torch.full_like(inputs[..., :1], 0.0).index_fill(1, torch.tensor(0), size / 2))
    with pytest.raises(ScoreOverflowError, match=re.escape(f"query 0 has a score of {score}, and {dtype}")):
        unit(torch.full_like(inputs, size))
    assert bool(unit(inputs / size).isfinite().all())


def test_weights_that_are_not_finite_are_left_to_those_who_watch_the_loss() -> None:
    unit = SelfAttentionUnit.from_matrices(*torch.full((3, 1, 1), math.nan))
    assert bool(unit(torch.ones(1, 2, 1)).isnan().all())
