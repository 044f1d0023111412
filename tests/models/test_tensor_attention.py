"""Attention of order s against loops and against Definition 1, and what it must refuse."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from attention_limits.models.attention import ScoreOverflowError
from attention_limits.models.tensor_attention import _check, tensor_attention


def draw(lead: tuple[int, ...], tokens: tuple[int, ...], embed: int, dim: int, seed: int) -> tuple:
    """A query of ``tokens[0]`` tokens, keys and values of the others, float64."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*lead, *shape, generator=generator, dtype=torch.float64)

    keys = tuple(normal(size, embed) for size in tokens[1:])
    return normal(tokens[0], embed), keys, tuple(normal(size, dim) for size in tokens[1:])


def by_loops(query: Tensor, keys: tuple[Tensor, ...], values: tuple[Tensor, ...], mask: Tensor | None) -> Tensor:
    """One number after the other, from the definition; no leading axes."""
    rows = []
    for i, row in enumerate(query):
        total, weighted = torch.zeros((), dtype=row.dtype), torch.zeros(values[0].shape[-1], dtype=row.dtype)
        for places in product(*(range(len(key)) for key in keys)):
            if mask is not None and not mask[(i, *places)]:
                continue
            score, value = row.clone(), torch.ones_like(weighted)
            for key, slot_value, place in zip(keys, values, places, strict=True):
                score, value = score * key[place], value * slot_value[place]
            total, weighted = total + score.sum().exp(), weighted + score.sum().exp() * value
        rows.append(weighted / total)
    return torch.stack(rows)


@pytest.mark.parametrize("tokens", [(3, 4), (1, 1), (3, 4, 5), (2, 1, 3), (2, 3, 2, 4), (2, 2, 2, 2, 2)])
def test_attention_of_each_order_equals_loops_over_all_tuples(tokens: tuple[int, ...]) -> None:
    for seed in range(3):
        query, keys, values = draw((), tokens, 3, 2, seed)
        mask = torch.rand(tokens, generator=torch.Generator().manual_seed(seed)) < 0.7
        mask.flatten(1)[:, 0] = True
        for chosen in (None, mask):
            found = tensor_attention(query, keys, values, mask=chosen)
            assert torch.allclose(found, by_loops(query, keys, values, chosen), rtol=1e-11, atol=1e-12), seed


def test_order_three_equals_the_khatri_rao_form_of_the_definition() -> None:
    query, (first, second), (left, right) = draw((2,), (4, 3, 5), 6, 2, 0)
    keys = (first.unsqueeze(2) * second.unsqueeze(1)).flatten(1, 2)
    values = (left.unsqueeze(2) * right.unsqueeze(1)).flatten(1, 2)
    expected = torch.softmax(query @ keys.transpose(1, 2), dim=-1) @ values
    assert torch.allclose(tensor_attention(query, (first, second), (left, right)), expected)


def test_order_two_is_pairwise_attention_without_a_scale() -> None:
    query, keys, values = draw((2, 3), (4, 5), 7, 2, 0)
    expected = torch.nn.functional.scaled_dot_product_attention(query, keys[0], values[0], scale=1.0)
    assert torch.allclose(tensor_attention(query, keys, values), expected)


def test_large_scores_do_not_overflow() -> None:
    query, keys, values = draw((), (3, 4, 4), 3, 2, 0)
    found = tensor_attention(query * 1e6, keys, values)
    assert found.isfinite().all()


def test_bfloat16_is_multiplied_and_summed_in_float32() -> None:
    query, keys, values = draw((), (3, 4, 4), 3, 2, 0)
    low = [query.bfloat16(), [key.bfloat16() for key in keys], [value.bfloat16() for value in values]]
    high = [low[0].float(), [key.float() for key in low[1]], [value.float() for value in low[2]]]
    assert tensor_attention(*low).equal(tensor_attention(*high).bfloat16())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q, k, v: (q, (), ()), "at least one slot"),
        (lambda q, k, v: (q, k, v[:1]), "2 slots of keys need 2 of values, got 1"),
        (lambda q, k, v: (q, (k[0], k[1][:, :2]), v), r"keys\[1\]: the embedding axis must be 3, got 2"),
        (lambda q, k, v: (q, k, (v[0][:2], v[1])), r"values\[0\]: the token axis must be 4, got 2"),
        (lambda q, k, v: (q, k, (v[0], v[1][:, :1])), r"values\[1\]: the value axis must be 2, got 1"),
        (lambda q, k, v: (q, (k[0], k[1][None]), v), r"keys\[1\]: leading axes must be \(\)"),
        (lambda q, k, v: (q, (k[0].float(), k[1]), v), r"keys\[0\] must be torch.float64"),
        (lambda q, k, v: (q[0], k, v), "query must have a token axis"),
        (lambda q, k, v: (q, (k[0][:0], k[1]), (v[0][:0], v[1])), r"keys\[0\]: the token axis must have at least one"),
        (lambda q, k, v: (q[:, :0], [x[:, :0] for x in k], v), "query: the last axis must have at least one entry"),
        (lambda q, k, v: (q.index_fill(0, torch.tensor(1), math.inf), k, v), r"query must be finite, got inf at \(1"),
        (lambda q, k, v: (q, k, (v[0], v[1] * torch.nan)), r"values\[1\] must be finite, got nan at \(0, 0\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_tensor_and_axis(change, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tensor_attention(*change(*draw((), (3, 4, 5), 3, 2, 0)))


@pytest.mark.parametrize("lead", [(0,), (2, 0), (0, 2)])
@pytest.mark.parametrize("tokens", [(3, 4, 5), (5, 4, 4)])
@pytest.mark.parametrize("masked", [False, True])
def test_a_batch_of_nothing_gives_nothing(lead: tuple[int, ...], tokens: tuple[int, int, int], masked: bool) -> None:
    query, keys, values = draw(lead, tokens, 3, 2, 0)
    mask = torch.ones(tokens, dtype=torch.bool) if masked else None
    output = tensor_attention(query.requires_grad_(), keys, values, mask=mask)
    assert output.shape == (*lead, tokens[0], 2)
    output.sum().backward()
    assert query.grad is not None
    assert query.grad.shape == query.shape


BROADCAST = [(2, 3, 4, 5), (3, 1, 5), (3, 4, 1), (1, 4, 5), (3, 1, 1), (2, 1, 1, 1), (5,), (1,), ()]


def test_whole_numbers_are_refused() -> None:
    query, keys, values = draw((), (3, 4, 5), 3, 2, 0)
    whole = (query.long(), [key.long() for key in keys], [value.long() for value in values])
    with pytest.raises(ValueError, match=r"query must have a floating-point format, got torch\.int64"):
        _check(*whole)  # types are checked before `tensor_attention` is called here


@pytest.mark.parametrize("shape", BROADCAST)
def test_a_mask_that_hides_everything_from_a_query_is_seen_whatever_broadcasts(shape: tuple[int, ...]) -> None:
    tensors = draw((2,), (3, 4, 5), 3, 2, 0)
    mask = torch.ones(shape, dtype=torch.bool)
    expected = tensor_attention(*tensors)
    assert torch.allclose(tensor_attention(*tensors, mask=mask), expected)
    if shape[-3:-2] == (3,):
        mask[..., 1, :, :] = False
        blind = [0, 1]
    else:
        mask[...] = False
        blind = [0, 0]
    with pytest.raises(ValueError, match=rf"leaves no tuple to query \[{blind[0]}, {blind[1]}\]"):
        tensor_attention(*tensors, mask=mask)


def test_a_mask_that_leaves_a_query_nothing_is_refused_by_its_place() -> None:
    mask = torch.ones(3, 4, 5, dtype=torch.bool)
    mask[2] = False
    with pytest.raises(ValueError, match=r"leaves no tuple to query \[2\]"):
        tensor_attention(*draw((), (3, 4, 5), 3, 2, 0), mask=mask)


@pytest.mark.parametrize("shape", [(3, 5, 4), (2, 3, 4, 5)])
def test_a_mask_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="mask must broadcast to"):
        tensor_attention(*draw((), (3, 4, 5), 3, 2, 0), mask=torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("tokens", [3, 64, 200])
@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e13), (torch.bfloat16, 1e13), (torch.float64, 1e110)])
@pytest.mark.parametrize("sign", [1, -1])
def test_finite_inputs_whose_scores_overflow_are_refused_by_score_and_format(
    tokens: int, dtype: torch.dtype, size: float, sign: int
) -> None:
    large, one = torch.full((tokens, 2), size, dtype=dtype), torch.ones(tokens, 2, dtype=dtype)
    working = torch.promote_types(dtype, torch.float32)
    for order in (2, 3, 4):
        keys = (large,) * 3 if order == 4 else (large,) * 2
        if order == 2:
            keys = (large * size,) if dtype is not torch.float64 else (large * 1e100,)
        if order == 4 and tokens > 3:
            continue
        with pytest.raises(ScoreOverflowError, match=rf"query 0: its scores, up to .*, .* do not fit into {working}"):
            tensor_attention(sign * large, keys, (one,) * len(keys))
    torch.testing.assert_close(tensor_attention(one, (one, one), (one, one)), one)


def test_values_whose_products_overflow_to_nan_are_refused_too() -> None:
    one, huge = torch.ones(2, 1), torch.tensor([[1e30], [-1e30]])
    with pytest.raises(ScoreOverflowError, match=r"or products of values do not fit into torch\.float32"):
        tensor_attention(one, (one, one), (huge, huge))
