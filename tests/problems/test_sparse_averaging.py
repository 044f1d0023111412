"""Sparse averaging: the target, the sampler's distribution, the encoding, and what is refused."""

import math
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs, worst_case_error

#: A test of a distribution fails below this; the seeds are fixed, so it either always passes or never does.
LEAST_P_VALUE = 1e-3


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@st.composite
def tasks(draw: st.DrawFn, max_tokens: int = 7) -> SparseAveraging:
    num_tokens = draw(st.integers(1, max_tokens))
    return SparseAveraging(num_tokens, draw(st.integers(1, num_tokens)), draw(st.integers(1, 4)))


def exact_target(inputs: SparseAveragingInputs) -> list[Any]:
    """Definition 4 by loops over fractions."""
    values, pointers = inputs.values.tolist(), inputs.pointers.tolist()
    return [
        [
            [sum(Fraction(sequence[j][c]) for j in subset) / len(subset) for c in range(len(sequence[0]))]
            for subset in rows
        ]
        for sequence, rows in zip(values, pointers, strict=True)
    ]


@given(tasks(), st.integers(0, 2**32), st.sampled_from([torch.float32, torch.float64]))
def test_the_target_is_the_mean_of_the_values_pointed_to(task: SparseAveraging, seed: int, dtype: torch.dtype) -> None:
    inputs = task.sample(2, generator=seeded(seed), dtype=dtype)
    target = task.target(inputs)
    assert target.dtype == dtype
    expected = np.array(exact_target(inputs), dtype=float)
    # q − 1 additions and a division of numbers of at most q and 1, each off by half a rounding step.
    assert np.abs(target.double().numpy() - expected).max() <= (task.sparsity + 1) * torch.finfo(dtype).eps


@given(tasks(), st.integers(0, 2**32))
def test_the_order_of_the_pointers_does_not_matter(task: SparseAveraging, seed: int) -> None:
    values, pointers = task.sample(2, generator=seeded(seed), dtype=torch.float64)
    flipped = task.target(SparseAveragingInputs(values, pointers.flip(-1)))
    assert torch.allclose(task.target(SparseAveragingInputs(values, pointers)), flipped, rtol=0, atol=1e-15)


def test_everything_asked_for_is_the_mean_of_all_and_one_token_is_itself() -> None:
    task = SparseAveraging(5, 5, 2)
    inputs = task.sample(3, generator=seeded(0), dtype=torch.float64)
    assert torch.allclose(task.target(inputs), inputs.values.mean(dim=1, keepdim=True).expand(-1, 5, -1), atol=1e-15)
    alone = SparseAveraging(1, 1, 1)
    inputs = alone.sample(4, generator=seeded(1))
    assert alone.target(inputs).equal(inputs.values)


@given(tasks(), st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_inputs_bitwise(task: SparseAveraging, seed: int) -> None:
    first, second = (task.sample(3, generator=seeded(seed)) for _ in range(2))
    assert first.values.equal(second.values)
    assert first.pointers.equal(second.pointers)


def test_another_seed_gives_other_inputs_and_a_generator_moves_on() -> None:
    task, generator = SparseAveraging(6, 2, 2), seeded(0)
    first, second = task.sample(2, generator=generator), task.sample(2, generator=generator)
    other = task.sample(2, generator=seeded(1))
    assert not first.values.equal(second.values)
    assert not first.values.equal(other.values)


def test_sampling_leaves_the_global_generator_alone(device: torch.device) -> None:
    state = torch.get_rng_state()
    inputs = SparseAveraging(6, 2, 2).sample(2, generator=seeded(0), device=device)
    assert torch.get_rng_state().equal(state)
    assert inputs.values.device.type == inputs.pointers.device.type == device.type


def test_a_seed_gives_the_same_inputs_on_every_device(device: torch.device) -> None:
    task = SparseAveraging(6, 2, 2)
    here, there = task.sample(2, generator=seeded(0)), task.sample(2, generator=seeded(0), device=device)
    assert here.values.equal(there.values.cpu())
    assert here.pointers.equal(there.pointers.cpu())


@given(tasks(), st.integers(0, 2**32), st.sampled_from([torch.float32, torch.float64]))
def test_what_is_sampled_is_an_input(task: SparseAveraging, seed: int, dtype: torch.dtype) -> None:
    inputs = task.sample(4, generator=seeded(seed), dtype=dtype)
    task.check(inputs)
    assert inputs.values.dtype == dtype
    assert inputs.pointers.sort(dim=-1).values.equal(inputs.pointers)


@pytest.mark.parametrize("value_dim", [1, 2, 3, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_are_uniform_in_the_ball(value_dim: int, dtype: torch.dtype) -> None:
    values, _ = SparseAveraging(20, 1, value_dim).sample(1000, generator=seeded(7), dtype=dtype)
    points = values.double().flatten(0, 1).numpy()
    radius = np.linalg.norm(points, axis=1)
    assert radius.max() <= 1 + 4 * torch.finfo(dtype).eps
    # The ball of radius r has r^{d'} of the volume; a direction's square coordinate is Beta(1/2, (d' − 1)/2).
    assert stats.kstest(radius**value_dim, "uniform").pvalue > LEAST_P_VALUE
    for coordinate in (points / radius[:, None]).T:
        assert stats.binomtest(int((coordinate > 0).sum()), len(points)).pvalue > LEAST_P_VALUE
        if value_dim > 1:
            beta = stats.beta(0.5, (value_dim - 1) / 2)
            assert stats.kstest(coordinate**2, beta.cdf).pvalue > LEAST_P_VALUE


@pytest.mark.parametrize("sizes", [(5, 1), (5, 2), (6, 3), (5, 4)])
def test_pointers_are_uniform_over_all_subsets_and_independent_between_tokens(sizes: tuple[int, int]) -> None:
    task = SparseAveraging(*sizes, 1)
    _, pointers = task.sample(4000, generator=seeded(3))
    subsets = [tuple(subset) for subset in task.subsets().tolist()]
    codes = np.array([[subsets.index(tuple(row)) for row in rows] for rows in pointers.tolist()])
    counts = np.bincount(codes.ravel(), minlength=len(subsets))
    assert stats.chisquare(counts).pvalue > LEAST_P_VALUE
    pairs = np.bincount(codes[:, 0] * len(subsets) + codes[:, 1], minlength=len(subsets) ** 2)
    assert stats.chisquare(pairs).pvalue > LEAST_P_VALUE


@pytest.mark.parametrize("sizes", [(20, 3, 4), (7, 7, 1), (1, 1, 2), (12, 5, 8)])
def test_the_target_variance_is_that_of_a_large_sample(sizes: tuple[int, int, int]) -> None:
    task = SparseAveraging(*sizes)
    target = task.target(task.sample(100_000 // sizes[0], generator=seeded(5)))
    sequence_variances = target.square().mean(dim=(1, 2))  # the mean of a coordinate is 0
    standard_error = sequence_variances.std().item() / math.sqrt(len(target))
    assert task.target_variance == 1 / (sizes[1] * (sizes[2] + 2))
    assert abs(sequence_variances.mean().item() - task.target_variance) <= 4 * standard_error


@given(tasks(), st.integers(0, 2**32))
def test_encoded_tokens_can_be_read_back(task: SparseAveraging, seed: int) -> None:
    inputs = task.sample(3, generator=seeded(seed))
    tokens = task.encode(inputs)
    assert tokens.shape == (3, task.num_tokens, task.token_dim)
    values, selection, position = tokens.split([task.value_dim, task.num_tokens, task.num_tokens], dim=-1)
    assert values.equal(inputs.values)
    assert selection.unique().tolist() in ([0, 1], [1])
    assert selection.nonzero()[:, -1].view_as(inputs.pointers).equal(inputs.pointers)
    assert position.equal(torch.eye(task.num_tokens).expand(3, -1, -1))


@pytest.mark.parametrize(("num_tokens", "sparsity"), [(1, 1), (6, 1), (6, 3), (6, 6), (12, 6)])
def test_all_subsets_are_listed_once_in_order(num_tokens: int, sparsity: int) -> None:
    subsets = SparseAveraging(num_tokens, sparsity, 1).subsets()
    assert subsets.dtype == torch.int64
    assert subsets.tolist() == [list(subset) for subset in combinations(range(num_tokens), sparsity)]
    assert len(subsets) == math.comb(num_tokens, sparsity)


@pytest.mark.parametrize(("num_tokens", "sparsity", "value_dim"), [(1, 1, 1), (5, 2, 3), (4, 4, 2)])
def test_every_subset_is_asked_for_by_the_first_token_of_one_input(
    num_tokens: int, sparsity: int, value_dim: int
) -> None:
    task = SparseAveraging(num_tokens, sparsity, value_dim)
    inputs, subsets = task.subset_inputs(dtype=torch.float64), task.subsets().tolist()
    assert inputs.pointers[:, 0].tolist() == subsets
    for start, row in enumerate(inputs.pointers.tolist()):
        assert row == [subsets[(start + token) % len(subsets)] for token in range(num_tokens)]
    assert inputs.values.equal(torch.zeros(len(subsets), num_tokens, value_dim, dtype=torch.float64))
    task.check(inputs)


@pytest.mark.parametrize(("num_tokens", "sparsity"), [(n, q) for n in (1, 2, 3) for q in range(1, n + 1)])
@pytest.mark.parametrize("numbers", [(1.0, -1.0), (0.5,), (-1.0, 0.0, 1.0)])
def test_all_inputs_are_listed_once_with_the_first_token_fastest(
    num_tokens: int, sparsity: int, numbers: tuple[float, ...]
) -> None:
    task = SparseAveraging(num_tokens, sparsity, 1)
    inputs = task.all_inputs(numbers, dtype=torch.float64)
    letters = [(subset, number) for subset in combinations(range(num_tokens), sparsity) for number in numbers]
    expected = [word[::-1] for word in product(letters, repeat=num_tokens)]
    found = zip(inputs.pointers.tolist(), inputs.values.squeeze(-1).tolist(), strict=True)
    assert [tuple(zip(map(tuple, subsets), values, strict=True)) for subsets, values in found] == expected
    assert len(expected) == (len(numbers) * math.comb(num_tokens, sparsity)) ** num_tokens
    task.check(inputs)
    assert inputs.values.dtype == torch.float64
    assert task.all_inputs(numbers).values.dtype == torch.float32


def test_inputs_that_are_too_many_or_none_are_not_listed() -> None:
    with pytest.raises(ValueError, match="num_tokens N = 6 has 2985984 inputs: at most 1000000"):
        SparseAveraging(6, 1, 1).all_inputs()
    assert len(SparseAveraging(6, 1, 1).all_inputs((0.0,)).values) == 6**6
    with pytest.raises(ValueError, match="value_dim d' = 1, got 3"):
        SparseAveraging(3, 1, 3).all_inputs()
    with pytest.raises(ValueError, match="at least one number for values, got none"):
        SparseAveraging(3, 1, 1).all_inputs(())


@pytest.mark.parametrize("batch_size", [0, -1, True])
def test_an_empty_batch_is_not_sampled(batch_size: Any) -> None:
    with pytest.raises(ValueError, match="batch_size must be"):
        SparseAveraging(4, 2, 1).sample(batch_size, generator=seeded(0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_other_float_types_are_not_sampled(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"dtype must be float32 or float64, got {dtype}"):
        SparseAveraging(4, 2, 1).sample(1, generator=seeded(0), dtype=dtype)


@pytest.mark.parametrize("sizes", [(8, 9, 1), (0, 0, 1), (4, 0, 1), (4, 2, 0), (4, True, 1)])
def test_a_task_outside_the_definition_is_not_built(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"num_tokens|sparsity|value_dim"):
        SparseAveraging(*sizes)


VALUES = torch.zeros(2, 3, 1)
POINTERS = torch.tensor([[[0, 1], [0, 2], [1, 2]]]).expand(2, -1, -1)


def changed(tensor: torch.Tensor, entry: float) -> torch.Tensor:
    """A copy with another last entry in the middle of the second sequence."""
    tensor = tensor.clone()
    tensor[1, 1, -1] = entry
    return tensor


@pytest.mark.parametrize(
    ("values", "pointers", "message"),
    [
        (VALUES[:, :2], POINTERS, r"values must have shape \(2, 3, 1\), got \(2, 2, 1\)"),
        (VALUES[0], POINTERS, r"values must have shape \(3, 3, 1\), got \(3, 1\)"),
        (torch.zeros(2, 3, 2), POINTERS, r"values must have shape \(2, 3, 1\), got \(2, 3, 2\)"),
        (VALUES, POINTERS[..., :1], r"pointers must have shape \(2, 3, 2\), got \(2, 3, 1\)"),
        (VALUES, POINTERS[:1], r"pointers must have shape \(2, 3, 2\), got \(1, 3, 2\)"),
        (VALUES, POINTERS.int(), "pointers must be int64, got torch.int32"),
        (VALUES.long(), POINTERS, "values must be floats, got torch.int64"),
        (changed(VALUES, float("nan")), POINTERS, "values must be finite"),
        (changed(VALUES, float("inf")), POINTERS, "values must be finite"),
        (changed(VALUES, -1.25), POINTERS, "values must lie in the unit ball, got norm 1.25"),
        (VALUES, changed(POINTERS, 3), "pointers must lie in 0…2, got 3"),
        (VALUES, changed(POINTERS, -1), "pointers must lie in 0…2, got -1"),
        (VALUES, changed(POINTERS, 0), r"pointers of a token must differ, got \[0\] twice"),
    ],
)
@pytest.mark.parametrize("use", ["check", "target", "encode"])
def test_what_is_no_input_is_refused_by_value_and_condition(
    values: torch.Tensor, pointers: torch.Tensor, message: str, use: str
) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(SparseAveraging(3, 2, 1), use)(SparseAveragingInputs(values, pointers))


def test_values_on_the_sphere_and_an_empty_batch_are_accepted() -> None:
    task = SparseAveraging(3, 2, 1)
    task.check(SparseAveragingInputs(torch.ones(2, 3, 1), POINTERS))
    task.check(SparseAveragingInputs(-torch.ones(2, 3, 1).double(), POINTERS))
    assert task.target(SparseAveragingInputs(VALUES[:0], POINTERS[:0])).shape == (0, 3, 1)


@given(tasks(), st.integers(0, 2**32))
def test_the_worst_case_error_is_attained_and_passed_by_no_values(task: SparseAveraging, seed: int) -> None:
    generator = seeded(seed)
    scores = 3 * torch.randn(1, task.num_tokens, task.num_tokens, generator=generator, dtype=torch.float64)
    attention = scores.softmax(dim=-1)
    pointers = task.sample(1, generator=generator).pointers
    worst = worst_case_error(attention, pointers)
    for token in range(task.num_tokens):
        subset = set(pointers[0, token].tolist())
        gaps = [p - (1 / task.sparsity if j in subset else 0.0) for j, p in enumerate(attention[0, token].tolist())]
        values = torch.zeros(1, task.num_tokens, task.value_dim, dtype=torch.float64)
        values[0, :, 0] = torch.tensor(gaps).sign()
        attained = attention @ values - task.target(SparseAveragingInputs(values, pointers))
        assert abs(attained[0, token].norm().item() - worst[0, token].item()) <= 1e-14
        assert abs(math.fsum(map(abs, gaps)) - worst[0, token].item()) <= 1e-14
    inputs = SparseAveragingInputs(
        task.sample(50, generator=generator, dtype=torch.float64).values, pointers.expand(50, -1, -1)
    )
    errors = (attention @ inputs.values - task.target(inputs)).norm(dim=-1)
    assert (errors <= worst + 1e-14).all()


def test_the_worst_case_error_is_computed_in_float64() -> None:
    attention = torch.full((1, 3), 1 / 3, dtype=torch.float32)
    error = worst_case_error(attention, torch.tensor([[0, 1, 2]]))
    assert error.dtype == torch.float64
    assert error.item() == 3 * abs(float(np.float32(1 / 3)) - 1 / 3)
