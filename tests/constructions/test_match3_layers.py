"""Four layers for Match3: right on all inputs at small sizes, sizes as stated, and wrong once a part is missing."""

import pytest
import torch
from scipy.special import expit

from attention_limits.constructions.match3_layers import (
    LAYERS,
    OUTPUT_TOLERANCE,
    Match3Layer,
    completes,
    histogram_layer,
    pairs_layer,
    shift_layer,
    slot_layer,
    threshold_layer,
)
from attention_limits.models.attention import MultiHeadAttention, SelfAttentionUnit
from attention_limits.problems.grading import grade
from attention_limits.problems.matching import Match3
from attention_limits.problems.tuples import rule_of_pairs

SMALL = [(1, 2), (1, 3), (1, 7), (2, 2), (2, 5), (3, 3), (3, 4), (3, 8), (4, 5), (5, 4), (7, 2), (6, 3)]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("num_tokens", "modulus"), SMALL)
def test_labels_are_right_on_all_inputs(name: str, num_tokens: int, modulus: int) -> None:
    problem = Match3(num_tokens, modulus)
    assert grade(LAYERS[name](problem), problem).wrong == 0


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("num_tokens", "modulus"), [(3, 4), (4, 5), (5, 3), (2, 5)])
def test_labels_survive_any_error_within_the_margin(name: str, num_tokens: int, modulus: int) -> None:
    problem = Match3(num_tokens, modulus)
    inputs, layer = problem.all_inputs(), LAYERS[name](problem)
    outputs, generator = layer.outputs(inputs), torch.Generator().manual_seed(8)
    for _ in range(5):
        signs = 2 * torch.randint(0, 2, outputs.shape, generator=generator) - 1
        assert torch.equal(layer.decide(outputs + OUTPUT_TOLERANCE * signs), problem.target(inputs))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("num_tokens", "modulus"), [(16, 17), (33, 34), (24, 60)])
def test_large_random_inputs_are_right(name: str, num_tokens: int, modulus: int) -> None:
    seed = 4
    generator = torch.Generator().manual_seed(seed)
    problem = Match3(num_tokens, modulus)
    few = torch.randint(0, modulus, (8, 3), generator=generator)
    picks = torch.randint(0, 3, (8, num_tokens), generator=generator)
    inputs = torch.cat([problem.sample(8, generator=generator), few.gather(1, picks)])
    assert torch.equal(LAYERS[name](problem)(inputs), problem.target(inputs)), f"seed {seed}"


@pytest.mark.parametrize(("num_tokens", "modulus"), [(3, 4), (9, 10), (6, 31)])
def test_sizes_equal_the_formulas(num_tokens: int, modulus: int) -> None:
    sizes = {}
    for name, build in LAYERS.items():
        layer = build(Match3(num_tokens, modulus))
        sizes[name] = (layer.num_heads, layer.embed_dim, layer.heads[0].value.shape[1])
    assert sizes == {
        "slots": (1, num_tokens, num_tokens),
        "shifts": (num_tokens, 2, num_tokens),
        "histogram": (1, modulus, modulus),
        "thresholds": (2 * modulus, 3, 2 * modulus),
    }


@pytest.mark.parametrize(("num_tokens", "modulus"), [*SMALL, (4, 8), (3, 12)])
def test_two_heads_compute_the_rule_of_pairs_on_all_inputs(num_tokens: int, modulus: int) -> None:
    problem = Match3(num_tokens, modulus)
    layer, inputs = pairs_layer(problem), problem.all_inputs()
    assert torch.equal(layer(inputs), rule_of_pairs(inputs, modulus))
    assert (layer.num_heads, layer.embed_dim) == (2, 3)
    assert (layer.outputs(inputs) - 0.5).abs().min() >= OUTPUT_TOLERANCE


def test_each_head_for_pairs_is_needed() -> None:
    problem = Match3(3, 8)
    layer, inputs = pairs_layer(problem), problem.all_inputs()
    for missing in (0, 1):
        one = layer.with_heads(layer.heads[:missing] + layer.heads[missing + 1 :])
        assert not torch.equal(one(inputs), rule_of_pairs(inputs, 8))


def wrong_labels(layer: Match3Layer) -> int:
    return grade(layer, layer.problem).wrong


def test_one_slot_fewer_is_caught() -> None:
    layer = slot_layer(Match3(3, 5))
    head = layer.heads[0]
    value = head.value.clone()
    value[:, -1] = 0
    assert wrong_labels(layer.with_heads([SelfAttentionUnit.from_matrices(head.query, head.key, value)])) > 0


@pytest.mark.parametrize("build", [shift_layer, threshold_layer])
@pytest.mark.parametrize("missing", [0, 2])
def test_one_head_fewer_is_caught(build: type, missing: int) -> None:
    layer = build(Match3(6, 4))
    heads = layer.heads
    assert wrong_labels(layer.with_heads(heads[:missing] + heads[missing + 1 :])) > 0


def test_one_residue_fewer_is_caught() -> None:
    layer = histogram_layer(Match3(3, 5))
    head = layer.heads[0]
    value = head.value.clone()
    value[-1] = 0
    assert wrong_labels(layer.with_heads([SelfAttentionUnit.from_matrices(head.query, head.key, value)])) > 0


def test_without_the_own_weight_the_slots_forget_who_asks() -> None:
    layer = slot_layer(Match3(3, 5))
    head = layer.heads[0]
    assert wrong_labels(layer.with_heads([SelfAttentionUnit.from_matrices(0 * head.query, head.key, head.value)])) > 0


def test_shift_heads_attend_to_one_token_within_their_error() -> None:
    problem = Match3(12, 7)
    layer = shift_layer(problem)
    inputs = problem.sample(3, generator=torch.Generator().manual_seed(0))
    outputs = layer.outputs(inputs)
    expected = torch.stack([inputs.roll(-shift, dims=1) for shift in range(12)], dim=-1)
    assert (outputs - expected).abs().max() <= 1 / 8


def test_threshold_heads_clear_the_half_by_the_gap() -> None:
    problem = Match3(4, 4)
    outputs = threshold_layer(problem).outputs(problem.all_inputs())
    assert (outputs - 0.5).abs().min() >= expit(2) - 0.5 - 1e-9 >= OUTPUT_TOLERANCE


def test_completes_needs_two_residues_that_are_there() -> None:
    present = torch.tensor([[True, False, True, False], [False, True, False, False]])
    assert completes(present, torch.tensor([[2], [2]])).tolist() == [True, True]
    assert completes(present, torch.tensor([[1], [3]])).tolist() == [False, False]


def test_inputs_of_another_problem_are_refused() -> None:
    layer = slot_layer(Match3(3, 5))
    with pytest.raises(ValueError, match="residues must lie in 0…4, got 5"):
        layer(torch.tensor([[0, 1, 5]]))
    with pytest.raises(ValueError, match="at least one head"):
        MultiHeadAttention([])
