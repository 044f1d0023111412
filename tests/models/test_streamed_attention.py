"""Streamed attention against the reference: outputs and gradients at any tiling, large scores, masks, memory."""

import math
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from attention_limits.models import pair_tiles
from attention_limits.models import streamed_attention as streamed
from attention_limits.models.attention import ScoreOverflowError
from attention_limits.models.pair_tiles import PairTiles, alone, use_one_thread
from attention_limits.models.tensor_attention import reference_attention, tensor_attention
from attention_limits.performance.memory import memory_uses

#: Names of the five tensors, for messages.
TENSORS = ("query", "first key", "second key", "first value", "second value")


def draw(
    lead: tuple[int, ...], tokens: tuple[int, int, int], embed: int, dim: int, *, scale: float = 1.0, seed: int = 0
) -> list[Tensor]:
    """Query, keys and values in float64 with scores of about ``scale``, to be differentiated."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(tokens[0], embed), (tokens[1], embed), (tokens[2], embed), (tokens[1], dim), (tokens[2], dim)]
    tensors = [torch.randn(*lead, *shape, generator=generator, dtype=torch.float64) for shape in shapes]
    tensors[0] *= scale
    return [tensor.requires_grad_() for tensor in tensors]


def both(tensors: list[Tensor], mask: Tensor | None = None, seed: int = 1) -> list[tuple[Tensor, Tensor]]:
    """(fast, reference) for the output and for the gradient of each different tensor."""
    query, first, second, left, right = tensors
    fast = tensor_attention(query, (first, second), (left, right), mask=mask)
    slow = reference_attention(query, (first, second), (left, right), mask)
    weights = torch.randn(slow.shape, generator=torch.Generator().manual_seed(seed)).to(slow)
    different = list({id(tensor): tensor for tensor in tensors}.values())
    gradients = [torch.autograd.grad(output, different, weights) for output in (fast, slow)]
    return [(fast, slow), *zip(*gradients, strict=True)]


def assert_equal(pairs: list[tuple[Tensor, Tensor]], tolerance: float) -> None:
    for found, expected in pairs:
        # Relative to the largest entry: single entries may cancel.
        assert (found - expected).abs().max() <= tolerance * (1 + expected.abs().max())


@pytest.fixture(scope="module", autouse=True)
def _stream_small_inputs_too() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(streamed, "PLAIN", 0)
        yield


@pytest.fixture(params=[1 << 19, 300, 40, 1])
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Tiles that hold everything, a few rows, less than a row, a single score."""
    monkeypatch.setattr(pair_tiles, "TILE", request.param)
    monkeypatch.setattr(streamed, "FOLDED", request.param)
    monkeypatch.setattr(pair_tiles, "QUERIES", 512 if request.param > 300 else 3)
    return request.param


@pytest.mark.parametrize("scale", [1.0, 300.0])
@pytest.mark.parametrize("tokens", [(7, 5, 6), (1, 1, 1), (3, 11, 2), (9, 1, 8)])
def test_outputs_and_gradients_equal_the_reference_at_every_tiling(
    tile: int, tokens: tuple[int, int, int], scale: float
) -> None:
    tensors = draw((2,), tokens, 3, 2, scale=scale)
    mask = torch.rand(2, *tokens, generator=torch.Generator().manual_seed(3)) < 0.5
    mask[..., -1, -1] = True
    for chosen in (None, mask):
        assert_equal(both(tensors, chosen), 1e-10 * scale)


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_the_same_keys_and_values_in_both_slots_give_the_same_for_half_the_work(tile: int, scale: float) -> None:
    query, key, _, value, _ = draw((3,), (6, 10, 1), 4, 2, scale=scale)
    assert_equal(both([query, key, key, value, value]), 1e-10 * scale)
    queries, keys = torch.zeros(3, 4, 6), torch.zeros(3, 8, 10)
    pairs = [
        sum(
            math.prod(part.stop - part.start for part in (block.batch, block.first, block.second))
            for block in PairTiles(queries, keys, keys, 4, None, symmetric).blocks(tile)
        )
        for symmetric in (False, True)
    ]
    assert pairs[0] == 3 * 10 * 10
    assert pairs[1] <= pairs[0] * (1 if tile > 300 else 0.7)


def test_slots_that_share_only_their_keys_or_values_or_have_a_mask_are_not_taken_for_one(tile: int) -> None:
    query, key, other, value, second_value = draw((2,), (6, 9, 9), 4, 2)
    assert_equal(both([query, key, key, value, second_value]), 1e-10)
    assert_equal(both([query, key, other, value, value]), 1e-10)
    mask = torch.rand(2, 6, 9, 9, generator=torch.Generator().manual_seed(3)) < 0.5
    mask[..., -1, -1] = True
    assert_equal(both([query, key, key, value, value], mask), 1e-10)


@pytest.fixture
def three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Threads however small the work, and the numbers of pairs that they got."""
    monkeypatch.setattr(pair_tiles, "TILE", 20)
    monkeypatch.setattr(pair_tiles, "TILES_A_THREAD", 1)
    monkeypatch.setattr(pair_tiles, "PAIRS_A_THREAD", 1)
    shares: list[int] = []
    for name in ("_sums", "_gradients"):
        work = getattr(streamed, name)

        def counted(task, blocks, *args, work=work, **kwargs):
            shares.append(sum(block.num_pairs for block in blocks))
            assert torch.get_num_threads() == 1
            return work(task, blocks, *args, **kwargs)

        monkeypatch.setattr(streamed, name, counted)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield shares
    assert torch.get_num_threads() == 3
    assert threads_elsewhere() == 3
    torch.set_num_threads(before)


def threads_elsewhere() -> int:
    """The number of torch's threads that a new thread gets."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_threads_share_the_work_and_give_the_same(three_threads: list[int], scale: float) -> None:
    tensors = draw((2,), (7, 12, 11), 3, 2, scale=scale)
    mask = torch.rand(2, 7, 12, 11, generator=torch.Generator().manual_seed(3)) < 0.1
    mask[:, :, 5, 5] = True  # a query that sees this pair alone is answered by one thread
    mask[:, 0] = False
    mask[:, 0, 5, 5] = True
    for chosen in (None, mask):
        assert_equal(both(tensors, chosen), 1e-10 * scale)
    query, key, _, value, _ = draw((2,), (7, 12, 1), 3, 2, scale=scale)
    assert_equal(both([query, key, key, value, value]), 1e-10 * scale)
    passes = [three_threads[i : i + 3] for i in range(0, len(three_threads), 3)]
    assert [sum(shares) for shares in passes[:4]] == [2 * 12 * 11] * 4
    assert len(passes) == 6
    assert all(min(shares) >= 0.8 * max(shares) for shares in passes)


def test_an_error_in_another_thread_is_raised(three_threads: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    product = streamed._product

    def fails(*arguments: Any) -> Tensor:
        if threading.current_thread() is not threading.main_thread():
            raise MemoryError("no memory for a tile")
        return product(*arguments)

    monkeypatch.setattr(streamed, "_product", fails)
    with pytest.raises(MemoryError, match="no memory for a tile"):
        both(draw((), (7, 12, 11), 3, 2))


def test_a_call_from_a_thread_that_started_during_another_changes_no_number(
    three_threads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = draw((), (7, 12, 11), 3, 2)
    work = streamed._sums
    calls = []

    def meanwhile(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            calls.append(threading.Thread(target=lambda: both(tensors)))
            calls[-1].start()
            calls[-1].join()
        return work(*args, **kwargs)

    monkeypatch.setattr(streamed, "_sums", meanwhile)
    both(tensors)
    assert len(calls) == 1  # the fixture looks at the numbers


def test_small_work_and_few_pairs_start_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Mock(wraps=ThreadPoolExecutor)
    monkeypatch.setattr(pair_tiles, "ThreadPoolExecutor", pool)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    for tokens, started in (((20, 100, 100), 0), ((100_000, 8, 8), 0), ((170, 160, 160), 1)):
        query, first, second, left, right = (t.detach().float() for t in draw((), tokens, 3, 1))
        tensor_attention(query, (first, second), (left, right))
        assert pool.call_count == started
    torch.set_num_threads(before)


def test_a_thread_keeps_its_own_number_of_torch_threads_and_gives_it_to_no_other() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    begun, changed = threading.Event(), threading.Event()

    def work() -> tuple[int, int]:
        use_one_thread()
        begun.set()
        changed.wait()
        own = torch.get_num_threads()
        with alone(torch.device("cpu")) as threads:
            assert threads == 1
        return own, threads_elsewhere()

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(work)
        begun.wait()
        torch.set_num_threads(3)
        changed.set()
        assert found.result() == (1, 3)
    torch.set_num_threads(before)


def test_no_product_sums_over_more_than_4096_pairs() -> None:
    query, first, second = torch.zeros(1, 4, 3), torch.zeros(1, 8, 800), torch.zeros(1, 8, 9000)
    for keys in (first, second):
        task = PairTiles(query, first, keys, 4, None, False)
        products = [tile.stop - tile.start for block in task.blocks(streamed.FOLDED) for _, tile in block.tiles()]
        assert max(products) <= 4096
        assert sum(products) == 800 * keys.shape[2]


def test_few_pairs_are_met_by_many_queries_at_a_time() -> None:
    keys = torch.zeros(1, 8, 8)
    for tokens, tiles in ((100, 1), (4096, 1), (40_000, 10)):
        task = PairTiles(torch.zeros(1, 4, tokens), keys, keys, 4, None, False)
        assert len(task.rows()) == tiles
        assert task.rows()[-1].stop == tokens


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.sampled_from([1e-3, 1.0, 100.0]), st.integers(0, 99))
def test_the_bound_on_the_scores_holds_and_is_met_by_a_single_pair(
    num_queries: int, num_keys: int, embed: int, scale: float, seed: int
) -> None:
    query, first, second, _, _ = draw((2,), (num_queries, num_keys, 7), embed, 1, scale=scale, seed=seed)
    largest = torch.einsum("zxe,zae,zbe->zxab", query, first, second).abs().amax().item()
    assert streamed._score_bound(query.mT, first, second) >= largest * (1 - 1e-12)
    one = (query[:1, :1], first[:1, :1], second[:1, :1])
    exact = (one[0] * one[1] * one[2]).abs().sum().item()
    assert streamed._score_bound(one[0].mT, *one[1:]) == pytest.approx(exact, rel=1e-12)


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
    st.lists(st.integers(1, 3), max_size=2),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([0.0, 1.0, 1e4]),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_every_shape_equals_the_reference(
    tokens: tuple[int, int, int], lead: list[int], embed: int, dim: int, scale: float, masked: bool, seed: int
) -> None:
    tensors = draw(tuple(lead), tokens, embed, dim, scale=scale, seed=seed)
    mask = None
    if masked:  # one mask for all leading entries, broadcast
        mask = torch.rand(tokens, generator=torch.Generator().manual_seed(seed)) < 0.6
        mask[:, 0, 0] = True
    assert_equal(both(tensors, mask, seed), 1e-12 * (100 + scale))


@pytest.mark.parametrize("tokens", [(7, 5, 6), (6, 7, 6), (5, 7, 6), (1, 4, 9)])
def test_small_inputs_are_answered_all_at_once(tokens: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Mock(wraps=streamed._plain)
    monkeypatch.setattr(streamed, "_plain", plain)
    tensors = draw((2,), tokens, 3, 2, scale=50)
    mask = torch.rand(2, *tokens, generator=torch.Generator().manual_seed(3)) < 0.5
    mask[..., -1, -1] = True
    twice = 2 * 2 * math.prod(tokens)
    for limit, expected in ((twice, 2), (twice - 1, 0)):
        monkeypatch.setattr(streamed, "PLAIN", limit)
        plain.reset_mock()
        for chosen in (None, mask):
            assert_equal(both(tensors, chosen), 1e-10)
        assert plain.call_count == expected


def test_small_inputs_of_many_coordinates_are_answered_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Mock(wraps=streamed._plain)
    monkeypatch.setattr(streamed, "_plain", plain)
    tensors = draw((), (2, 5, 3), 17, 4)
    for limit, expected in ((2 * 5 * 21, 1), (2 * 5 * 21 - 1, 0)):
        monkeypatch.setattr(streamed, "PLAIN", limit)
        plain.reset_mock()
        assert_equal(both(tensors), 1e-10)
        assert plain.call_count == expected


@pytest.mark.parametrize("queries", [1, 31, 32, 40, 64, 100])
@pytest.mark.parametrize("pairs", [1, 63, 64, 65, 127, 300])
def test_the_largest_score_of_each_query_is_found_wherever_it_is(pairs: int, queries: int) -> None:
    scores = torch.randn(3, pairs, queries, generator=torch.Generator().manual_seed(pairs))
    assert torch.equal(streamed._largest(scores), scores.amax(1))
    for place in range(pairs):
        highest = torch.zeros(1, pairs, queries)
        highest[0, place] = torch.arange(1.0, queries + 1)
        assert torch.equal(streamed._largest(highest), highest[:, place])


def test_gradients_pass_gradcheck() -> None:
    query, first, second, left, right = draw((2,), (3, 4, 5), 3, 2)
    assert torch.autograd.gradcheck(
        lambda *t: tensor_attention(t[0], t[1:3], t[3:]), (query, first, second, left, right)
    )
    assert torch.autograd.gradcheck(lambda q, k, v: tensor_attention(q, (k, k), (v, v)), (query, first, left))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 2e-2)])
def test_lower_formats_stay_within_their_rounding(dtype: torch.dtype, tolerance: float) -> None:
    # Scores up to about 10 are rounded to 2^-24 of themselves before they are exponentiated; bfloat16 rounds results.
    exact = [tensor.detach().to(dtype).double().requires_grad_() for tensor in draw((2,), (20, 30, 40), 4, 3)]
    low = [tensor.detach().to(dtype).requires_grad_() for tensor in exact]
    for (found, _), (_, expected) in zip(both(low), both(exact), strict=True):
        assert found.dtype == dtype
        assert (found.double() - expected).abs().max() <= tolerance * (1 + expected.abs().max())


@pytest.mark.parametrize("tokens", [(128, 256, 256), (3, 800, 800)])
def test_rounding_errors_do_not_add_up_over_all_pairs(tokens: tuple[int, int, int]) -> None:
    # 65,536 positive terms, added one after the other in float32, are seen to be off by 1.5e-5, and gradients by 1e-4.
    query, first, second, left, right = (t.detach() / 2 for t in draw((), tokens, 5, 1))
    single = [t.float().requires_grad_() for t in (query, first, second, 1 + left, 1 + right)]
    exact = [t.detach().double().requires_grad_() for t in single]
    for (found, _), (_, expected), bound in zip(both(single), both(exact), [2e-6, *[1e-5] * 5], strict=True):
        assert (found.double() - expected).abs().max() <= bound * expected.abs().max()


@pytest.mark.parametrize("scale", [1e3, 1e5, 1e8, 1e15])
def test_gradients_of_values_are_right_and_all_finite_where_scores_are_large(scale: float) -> None:
    single = [t.detach().float().requires_grad_() for t in draw((), (80, 80, 80), 5, 1, scale=scale)]
    exact = [t.detach().double().requires_grad_() for t in single]
    pairs = list(zip(both(single), both(exact), strict=True))
    assert all(bool(found.isfinite().all()) for (found, _), _ in pairs)
    for (found, reference), (_, expected) in (pairs[0], *pairs[4:]):
        # Where two pairs are nearly as good, a score's rounding decides, here as in the reference.
        own, theirs = ((x.double() - expected).abs().max() for x in (found, reference))
        assert own <= max(1e-5 * expected.abs().max(), 2 * theirs)


@pytest.mark.parametrize("score", [1.0, 1e3, -1e5, 1e7])
def test_weights_in_the_backward_pass_are_right_where_many_pairs_have_the_same_score(score: float) -> None:
    one = torch.ones(80, 1)
    left, right = (1 + torch.rand(80, 1, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    left.requires_grad_()
    tensor_attention(score * one, (one, one.clone()), (left, right)).sum().backward()
    assert torch.allclose(left.grad, right.mean().expand(80, 1), rtol=1e-5, atol=0)  # 80 queries, each 80 Σ v'/6400


@pytest.mark.parametrize(("score", "value"), [(40.0, 1e18), (-40.0, 1e-28), (-40.0, 0.0), (40.0, 1e-30)])
def test_large_and_small_values_are_averaged_at_any_score(score: float, value: float) -> None:
    one = torch.ones(70, 1)
    output = tensor_attention(score * one, (one, one.clone()), (value * one, one.clone()))
    assert torch.allclose(output, value * one, rtol=1e-4, atol=0)


@pytest.mark.parametrize("small", [2.0**-30, 2.0**-45, 2.0**-60, 0.0])
def test_a_coordinate_of_small_values_keeps_its_digits_beside_large_ones(small: float) -> None:
    one = torch.ones(70, 1)
    values = torch.cat([one, small * (1 + torch.arange(70.0) / 70).unsqueeze(1)], dim=1)
    output = tensor_attention(-40.0 * one, (one, one.clone()), (values, values.clone()))
    assert torch.allclose(output, values.mean(0).square().expand(70, 2), rtol=1e-4, atol=0)


def test_keys_and_values_may_be_made_on_access() -> None:
    query, first, second, left, right = (t.detach() for t in draw((), (6, 7, 7), 3, 3))
    expected = reference_attention(query, (first, second), (left, right))

    class Slots(Sequence[Tensor]):
        def __init__(self, *tensors: Tensor) -> None:
            self.tensors = tensors

        def __len__(self) -> int:
            return len(self.tensors)

        def __getitem__(self, place: Any) -> Any:
            return self.tensors[place].clone()

    for _ in range(4):  # memory that is freed is taken again by chance
        assert torch.allclose(tensor_attention(query, Slots(first, second), Slots(left, right)), expected)


def test_a_mask_that_is_changed_before_the_backward_pass_is_noticed() -> None:
    query, first, second, left, right = draw((1,), (5, 6, 7), 3, 2)
    mask = torch.ones(1, 5, 6, 7, dtype=torch.bool)
    output = tensor_attention(query, (first, second), (left, right), mask=mask)
    mask[0, 0, 0] = False
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_autocast_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [t.detach().float().requires_grad_() for t in draw((), (20, 30, 30), 4, 3)]
    expected = both(tensors)
    with torch.autocast("cpu", torch.bfloat16):
        for (found, _), (without, _) in zip(both(tensors), expected, strict=True):
            assert torch.equal(found, without)
        monkeypatch.setattr(streamed, "PLAIN", 1 << 18)
        assert torch.allclose(both(tensors)[0][0], expected[0][0], rtol=1e-5, atol=1e-6)


def test_large_scores_are_exact_where_one_pair_wins() -> None:
    query, first, second, left, right = (tensor.detach().float() for tensor in draw((), (5, 8, 9), 3, 2, scale=1e6))
    scores = torch.einsum("xe,ae,be->xab", query, first, second).flatten(1)
    best = scores.argmax(dim=1)
    expected = left[best // 9] * right[best % 9]
    assert torch.allclose(tensor_attention(query, (first, second), (left, right)), expected)


def test_a_query_whose_first_tiles_are_masked_is_answered_from_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_tiles, "TILE", 20)
    monkeypatch.setattr(streamed, "FOLDED", 60)
    monkeypatch.setattr(pair_tiles, "QUERIES", 2)
    tensors = draw((), (3, 6, 5), 3, 2, scale=500)
    mask = torch.zeros(3, 6, 5, dtype=torch.bool)
    mask[:, 5, 3:] = True
    assert_equal(both(tensors, mask), 1e-9)


def test_a_mask_lets_nothing_through_next_to_a_query_with_large_scores() -> None:
    # Every score of the first query is −40, so e^score is as small as may be exponentiated as it is.
    query = torch.tensor([[-40.0], [500.0]], dtype=torch.float64, requires_grad=True)
    keys = torch.ones(60, 1, dtype=torch.float64)
    values = torch.ones(60, 1, dtype=torch.float64)
    values[1:] = 1e3
    mask = torch.zeros(2, 60, 60, dtype=torch.bool)
    mask[:, 0, 0] = True
    output = tensor_attention(query, (keys, keys.clone()), (values, values.clone()), mask=mask)
    assert torch.allclose(output, torch.ones_like(output), rtol=1e-14, atol=0)


@pytest.mark.parametrize("change", ["drop the last block", "forget the weight of mirrored pairs", "no running maximum"])
def test_the_comparison_sees_a_broken_kernel(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_tiles, "TILE", 20)
    monkeypatch.setattr(streamed, "FOLDED", 60)
    monkeypatch.setattr(pair_tiles, "QUERIES", 2)
    query, key, other, value, second_value = draw((), (4, 6, 6), 3, 2)
    tensors = [query, key, other, value, second_value]
    if change == "drop the last block":
        blocks = PairTiles.blocks
        monkeypatch.setattr(PairTiles, "blocks", lambda *a: list(blocks(*a))[:-1])
    elif change == "forget the weight of mirrored pairs":
        tensors = [query, key, key, value, value]
        monkeypatch.setattr(streamed, "_double_mirrored", lambda *_: None)
    else:
        monkeypatch.setattr(streamed, "SAFE_EXPONENT", float("inf"))
        with pytest.raises(ScoreOverflowError):  # its sums overflow
            both(draw((), (4, 6, 6), 3, 2, scale=1e6))
        return
    pairs = both(tensors)
    found, expected = pairs[0]
    assert not torch.allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_a_second_derivative_is_refused_not_wrong() -> None:
    query, first, second, left, right = draw((), (2, 3, 3), 2, 1)
    output = tensor_attention(query, (first, second), (left, right))
    with pytest.raises(RuntimeError, match="can be differentiated once only"):
        torch.autograd.grad(output.sum(), query, create_graph=True)


def test_small_inputs_have_second_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "PLAIN", 1 << 19)
    query, first, second, left, right = draw((), (2, 3, 3), 2, 1)
    for tokens in (2, 4):
        rows = query[:1].detach().repeat(tokens, 1).requires_grad_()
        found, expected = (
            torch.autograd.functional.hessian(lambda x, f=form: f(x, (first, second), (left, right)).sum(), rows)
            for form in (tensor_attention, reference_attention)
        )
        assert expected.abs().max() > 0.01
        assert torch.allclose(found, expected, rtol=1e-10)


#: N, m, d and passes, those that take least first. All scores of N = 512 would be 540 MB, of 2048 34 GB.
LARGE = [
    (2048, 5, 1, "forward"),
    (512, 5, 1, "both"),
    (512, 32, 32, "both"),
    (128, 32, 32, "both"),
    (256, 32, 32, "both"),
    (64, 32, 32, "both"),
]


@pytest.fixture(scope="module")
def held() -> dict[tuple[int, int, int, str], int]:
    """The bytes that each of `LARGE` takes; one process measures them all."""
    return {taken[1:5]: taken.num_bytes for taken in memory_uses([("streamed", *sizes) for sizes in LARGE])}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process can't start its peak anew")
@pytest.mark.parametrize("sizes", LARGE)
def test_no_more_than_10_mb_are_held(
    sizes: tuple[int, int, int, str], held: dict[tuple[int, int, int, str], int]
) -> None:
    assert 0 < held[sizes] <= 10e6  # outputs and gradients are included, up to 0.5 MB


def test_what_is_masked_has_weight_zero_however_large_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "PLAIN", 0)
    query, first, second, left, right = (t.detach().float() for t in draw((), (4, 6, 5), 3, 2, scale=500.0))
    mask = torch.ones(4, 6, 5, dtype=torch.bool)
    mask[:, 2] = False
    expected = tensor_attention(query, (first, second), (left, right), mask=mask)
    left[2] = 1e37
    assert torch.equal(tensor_attention(query, (first, second), (left, right), mask=mask), expected)
