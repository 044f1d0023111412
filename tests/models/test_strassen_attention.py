"""Strassen attention against loops over all pairs in fractions of floats; its two forms; refusals; wrong copies."""

import math

import pytest
import torch
from torch import Tensor

from attention_limits.models.strassen_attention import (
    PairScores,
    as_third_order,
    by_products,
    over_pairs,
    pair_scores,
    product_room,
    shortfall,
)
from attention_limits.models.tensor_attention import tensor_attention


def drawn(
    num_tokens: int, embed_dim: int, value_dim: int, seed: int, scale: float = 1.0, batch: tuple[int, ...] = ()
) -> tuple[list[Tensor], list[Tensor]]:
    """Queries and both keys, and both values, in float64."""
    generator = torch.Generator().manual_seed(seed)

    def normal(width: int) -> Tensor:
        return torch.randn(*batch, num_tokens, width, generator=generator, dtype=torch.float64)

    return [scale * normal(embed_dim) for _ in range(3)], [normal(value_dim) for _ in range(2)]


def by_loops(keys: list[Tensor], values: list[Tensor]) -> list[list[float]]:
    """The definition with no tensor: Python floats, sums by fsum."""
    query, first, second = (key.tolist() for key in keys)
    size, outputs = len(query), []

    def dot(left: list[float], right: list[float]) -> float:
        return math.fsum(a * b for a, b in zip(left, right, strict=True))

    for i in range(size):
        scores = {
            (j, k): dot(query[i], first[j]) + dot(first[j], second[k]) + dot(second[k], query[i])
            for j in range(size)
            for k in range(size)
        }
        top = max(scores.values())
        weights = {pair: math.exp(score - top) for pair, score in scores.items()}
        total = math.fsum(weights.values())
        outputs.append(
            [
                math.fsum(
                    weight * values[0][j, r].item() * values[1][k, r].item() for (j, k), weight in weights.items()
                )
                / total
                for r in range(values[0].shape[-1])
            ]
        )
    return outputs


@pytest.mark.parametrize(
    ("num_tokens", "embed_dim", "value_dim"), [(1, 1, 1), (1, 3, 2), (2, 1, 1), (3, 4, 2), (7, 2, 3), (12, 5, 1)]
)
@pytest.mark.parametrize("scale", [0.0, 0.3, 2.0])
def test_both_forms_equal_loops_over_all_pairs(num_tokens: int, embed_dim: int, value_dim: int, scale: float) -> None:
    seed = 100 * num_tokens + embed_dim
    keys, values = drawn(num_tokens, embed_dim, value_dim, seed, scale)
    expected = torch.tensor(by_loops(keys, values), dtype=torch.float64)
    scores = pair_scores(*keys)
    assert torch.allclose(over_pairs(scores, *values), expected, rtol=1e-11, atol=1e-12), f"seed {seed}"
    assert torch.allclose(by_products(scores, *values), expected, rtol=1e-11, atol=1e-12), f"seed {seed}"


@pytest.mark.parametrize("num_tokens", [40, 97])
def test_forms_agree_on_larger_inputs_and_in_batches(num_tokens: int) -> None:
    seed = num_tokens
    keys, values = drawn(num_tokens, 6, 3, seed, 0.5, batch=(2, 1))
    scores = pair_scores(*keys)
    expected = over_pairs(scores, *values)
    assert expected.shape == (2, 1, num_tokens, 3)
    assert torch.allclose(by_products(scores, *values), expected, atol=1e-12), f"seed {seed}"
    alone = over_pairs(pair_scores(*(key[1, 0] for key in keys)), *(value[1, 0] for value in values))
    assert torch.allclose(alone, expected[1, 0], rtol=1e-11, atol=1e-12), f"seed {seed}"


def test_scores_are_sums_of_products_of_three_with_three_times_the_coordinates() -> None:
    keys, values = drawn(23, 5, 2, seed=3, batch=(2,))
    query, slots = as_third_order(*keys)
    assert query.shape == slots[0].shape == slots[1].shape == (2, 23, 15)
    assert torch.allclose(tensor_attention(query, slots, values), over_pairs(pair_scores(*keys), *values), atol=1e-12)


def test_functions_of_one_index_move_between_tables_and_change_nothing() -> None:
    keys, values = drawn(9, 3, 2, seed=4)
    scores = pair_scores(*keys)
    of_query, of_first, of_second = torch.randn(3, 9, generator=torch.Generator().manual_seed(5)).double()
    moved = PairScores(
        scores.alpha - of_first + of_query.unsqueeze(1),
        scores.beta + of_first.unsqueeze(1) + of_second,
        scores.gamma - of_second.unsqueeze(1),
    )
    expected = over_pairs(scores, *values)
    for form in (over_pairs, by_products):
        assert torch.allclose(form(moved, *values), expected, atol=1e-12)


def lowered(nats: float, num_tokens: int = 4) -> PairScores:
    """Query 0 finds all its pairs this much below the largest entries: the largest beta is not within its reach."""
    tables = torch.zeros(3, num_tokens, num_tokens, dtype=torch.float64)
    tables[0, 0] = -5000.0
    tables[0, 0, 0] = 0.0
    tables[1, 0] = -nats
    return PairScores(*tables)


@pytest.mark.parametrize("num_tokens", [2, 4, 50])
def test_products_are_right_up_to_the_room_and_refused_beyond(num_tokens: int) -> None:
    room = product_room(torch.float64, num_tokens)
    values = [torch.randn(num_tokens, 2, generator=torch.Generator().manual_seed(seed)).double() for seed in (0, 1)]
    # Query 0 weighs N pairs of weight e^(−nats).
    edge = room + math.log(num_tokens)
    inside = lowered(edge - 0.01, num_tokens)
    assert torch.allclose(by_products(inside, *values), over_pairs(inside, *values), rtol=1e-12, atol=1e-13)
    with pytest.raises(ValueError, match=rf"query \(0,\): its pairs lie {room + 0.1:.1f} nats below .* {room:.1f} at"):
        by_products(lowered(edge + 0.1, num_tokens), *values)


def test_what_products_accept_is_right_within_rounding_whatever_the_scale() -> None:
    accepted = refused = 0
    for seed in range(40):
        keys, values = drawn(6, 2, 1, seed, scale=2.0 + seed)
        scores = pair_scores(*keys)
        try:
            found = by_products(scores, *values)
        except ValueError:
            refused += 1
            continue
        accepted += 1
        # Scores of some thousands are rounded themselves, by 1e-12.
        assert torch.allclose(found, over_pairs(scores, *values), atol=1e-10), f"seed {seed}"
    assert accepted >= 5
    assert refused >= 5


def test_an_entry_of_zero_or_values_far_from_one_give_no_nan() -> None:
    scores = lowered(5000.0)
    values = torch.ones(4, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"query \(0,\): its pairs lie 4997.2 nats below"):
        by_products(scores, values, values)
    flat = PairScores(*torch.zeros(3, 4, 4, dtype=torch.float64))
    for first, second in ((1e-300, 1e300), (0.0, 1.0), (1e200, 1e-10)):
        output = by_products(flat, first * values, second * values)
        assert torch.allclose(output, torch.full_like(output, first * second), rtol=1e-12)


def test_the_shortfall_is_what_is_missing_from_the_denominator() -> None:
    keys, _ = drawn(7, 3, 1, seed=6, batch=(2,))
    alpha, beta, gamma = pair_scores(*keys)
    scores = alpha.unsqueeze(-1) + beta.unsqueeze(-3) + gamma.mT.unsqueeze(-2)
    largest = alpha.amax(-1) + beta.flatten(-2).amax(-1, keepdim=True) + gamma.amax(-2)
    expected = largest - scores.exp().sum((-2, -1)).log()
    assert torch.allclose(shortfall(PairScores(alpha, beta, gamma)), expected)


@pytest.mark.parametrize("form", [over_pairs, by_products])
@pytest.mark.parametrize("table", ["alpha", "beta", "gamma"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_refused(form, table: str, wrong: float) -> None:
    tables = {name: torch.zeros(2, 2) for name in ("alpha", "beta", "gamma")}
    tables[table][1, 0] = wrong
    with pytest.raises(ValueError, match=rf"{table} must be finite, got {wrong} at \(1, 0\)"):
        form(PairScores(**tables), torch.ones(2, 1), torch.ones(2, 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_room_is_what_the_format_leaves(dtype: torch.dtype) -> None:
    limits = torch.finfo(dtype)
    assert math.isclose(product_room(dtype, 7), math.log(limits.eps) - math.log(limits.tiny) - math.log(8 * 49))


@pytest.mark.parametrize("broken", ["gamma transposed", "values exchanged", "beta left out"])
def test_a_wrong_copy_is_caught(broken: str) -> None:
    keys, values = drawn(6, 3, 2, seed=9)
    scores = pair_scores(*keys)
    expected = torch.tensor(by_loops(keys, values), dtype=torch.float64)
    if broken == "gamma transposed":
        scores = scores._replace(gamma=scores.gamma.mT)
    elif broken == "beta left out":
        scores = scores._replace(beta=torch.zeros_like(scores.beta))
    else:
        values = values[::-1]
    for form in (over_pairs, by_products):
        assert (form(scores, *values) - expected).abs().max() > 1e-2
