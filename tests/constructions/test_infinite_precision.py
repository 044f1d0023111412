"""Theorem 3's unit: every input at small sizes, random large ones, its sizes, and what it must refuse when called."""

import copy
import math

import pytest
import torch
from torch import Tensor

from attention_limits.constructions.curves import equispaced_nodes, hardest_subset, moment_keys, trigonometric_keys
from attention_limits.constructions.sparse_averaging import (
    InfinitePrecisionUnit,
    PrecisionError,
    error_bound,
    fixed_precision_unit,
    infinite_precision_unit,
    softmax_scale,
)
from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs, worst_case_error

SMALL = [(num_tokens, sparsity) for num_tokens in range(1, 11) for sparsity in range(1, num_tokens + 1)]


def build(
    num_tokens: int, sparsity: int, accuracy: float, value_dim: int = 1, curve: str = "trigonometric"
) -> InfinitePrecisionUnit:
    return infinite_precision_unit(SparseAveraging(num_tokens, sparsity, value_dim), accuracy, curve=curve)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def all_ask(subset: Tensor, num_tokens: int, dtype: torch.dtype) -> SparseAveragingInputs:
    """One sequence in which every token asks for the same subset, in another order for each."""
    pointers = torch.stack([subset.roll(shift) for shift in range(num_tokens)])
    return SparseAveragingInputs(torch.zeros(1, num_tokens, 1, dtype=dtype), pointers.unsqueeze(0))


def worst_values(unit: InfinitePrecisionUnit, inputs: SparseAveragingInputs) -> SparseAveragingInputs:
    """The values sign(p − u_y) e₁ that are worst for the first token of each sequence."""
    attention = unit.attend(inputs).attention
    assert isinstance(attention, Tensor)
    uniform = torch.zeros_like(attention).scatter_(-1, inputs.pointers, 1 / inputs.pointers.shape[-1])
    values = torch.zeros_like(inputs.values)
    values[..., 0] = (attention - uniform)[:, 0].sign()
    return inputs._replace(values=values)


def largest_output_error(unit: InfinitePrecisionUnit, inputs: SparseAveragingInputs) -> float:
    exact = unit.problem.target(inputs._replace(values=inputs.values.double()))
    return (unit(inputs).double() - exact).norm(dim=-1).max().item()


@pytest.mark.parametrize("curve", ["trigonometric", "moment"])
@pytest.mark.parametrize("accuracy", [0.5, 0.01])
@pytest.mark.parametrize(("num_tokens", "sparsity"), SMALL)
def test_every_subset_of_every_size_is_answered_within_the_accuracy(
    num_tokens: int, sparsity: int, accuracy: float, curve: str
) -> None:
    unit = build(num_tokens, sparsity, accuracy, curve=curve).double()
    inputs = worst_values(unit, unit.problem.subset_inputs(dtype=torch.float64))
    assert largest_output_error(unit, inputs) <= accuracy
    attention = unit.attend(inputs).attention
    assert isinstance(attention, Tensor)
    bound = error_bound(num_tokens, sparsity, unit.scale)
    assert worst_case_error(attention, inputs.pointers).max().item() <= bound + 1e-9


@pytest.mark.parametrize("curve", ["trigonometric", "moment"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("num_tokens", "sparsity"), [(8, 2), (12, 3), (16, 4), (20, 4)])
def test_an_answer_is_right_or_refused_in_every_float_type(
    num_tokens: int, sparsity: int, dtype: torch.dtype, curve: str
) -> None:
    accuracy, refused = 0.2, 0
    unit = build(num_tokens, sparsity, accuracy, curve=curve).to(dtype)
    subsets = unit.problem.subsets()
    for subset in subsets[:: max(1, len(subsets) // 60)]:
        try:
            inputs = worst_values(unit, all_ask(subset, num_tokens, dtype))
        except PrecisionError:
            refused += 1
        else:
            assert largest_output_error(unit, inputs) <= accuracy
    if dtype == torch.float64:
        assert refused == 0
    if dtype == torch.bfloat16 and num_tokens >= 16:
        assert refused > 0


@pytest.mark.parametrize("curve", ["trigonometric", "moment"])
@pytest.mark.parametrize("value_dim", [1, 3])
@pytest.mark.parametrize("num_tokens", [1, 2, 7, 50])
def test_asking_for_everything_gives_the_mean(num_tokens: int, value_dim: int, curve: str) -> None:
    unit = build(num_tokens, num_tokens, 0.5, value_dim, curve)
    inputs = unit.problem.sample(2, generator=seeded(0))
    assert (unit.queries(inputs.pointers) == 0).all()
    assert unit(inputs).allclose(inputs.values.mean(dim=1, keepdim=True).expand(-1, num_tokens, -1), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("num_tokens", "sparsity", "value_dim"),
    [(64, 3, 4), (512, 2, 1), (129, 1, 2), (40, 38, 2), (64, 31, 1), (65, 32, 1)],
)
def test_random_inputs_of_many_tokens_are_answered(num_tokens: int, sparsity: int, value_dim: int, seed: int) -> None:
    unit = build(num_tokens, sparsity, 0.01, value_dim).double()
    inputs = unit.problem.sample(2, generator=seeded(seed), dtype=torch.float64)
    try:
        error = largest_output_error(unit, inputs)
    except PrecisionError:
        assert (num_tokens, sparsity) == (64, 31)  # the one with a long polynomial; 32 of 65 are a simplex
    else:
        assert error <= 0.01


def test_the_default_float32_serves_small_sizes() -> None:
    for num_tokens, sparsity in ((8, 2), (16, 2), (16, 3), (64, 1), (1024, 1), (100, 90)):
        unit = build(num_tokens, sparsity, 0.01, value_dim=2)
        inputs = unit.problem.sample(3, generator=seeded(1))
        assert unit(inputs).dtype == torch.float32
        assert largest_output_error(unit, inputs) <= 0.01


@pytest.mark.parametrize("curve", ["trigonometric", "moment"])
@pytest.mark.parametrize(("num_tokens", "sparsity"), [*SMALL, (300, 5), (5000, 7)])
def test_the_unit_has_2q_key_coordinates_whatever_the_number_of_tokens(
    num_tokens: int, sparsity: int, curve: str
) -> None:
    unit = build(num_tokens, sparsity, 0.1, value_dim=3, curve=curve)
    assert unit.embed_dim == unit.attention.embed_dim == 2 * sparsity
    assert unit.model_dim == 3 + 4 * sparsity
    assert (unit.num_heads, unit.depth) == (1, 1)
    assert unit.keys.shape == (num_tokens, 2 * sparsity)
    assert unit.scale == softmax_scale(num_tokens, sparsity, 0.1, score_error=0.05)


@pytest.mark.parametrize(
    ("dtype", "num_tokens", "sparsity", "name"),
    [
        (torch.float32, 128, 3, "torch.float32"),
        (torch.float64, 512, 4, "torch.float64"),
        (torch.float64, 4096, 24, "torch.float64"),
    ],
)
def test_a_subset_that_rounding_spoils_is_refused_when_called_and_not_when_built(
    dtype: torch.dtype, num_tokens: int, sparsity: int, name: str
) -> None:
    unit = build(num_tokens, sparsity, 0.01).to(dtype)
    subset = hardest_subset(num_tokens, sparsity)
    pointers = subset.expand(1, num_tokens, -1)
    inputs = SparseAveragingInputs(torch.zeros(1, num_tokens, 1, dtype=dtype), pointers)
    message = (
        rf"{name} is too small for N = {num_tokens}, q = {sparsity}: the worst error is \S+ on the subset \[0, 1, "
    )
    with pytest.raises(ValueError, match=message + r".* and must be at most accuracy ε = 0.01; use .double\(\)"):
        unit(inputs)


def test_queries_beyond_the_range_of_floats_are_refused() -> None:
    unit = build(3000, 120, 0.1).double()
    subset = hardest_subset(3000, 120)
    inputs = SparseAveragingInputs(torch.zeros(1, 3000, 1, dtype=torch.float64), subset.expand(1, 3000, -1))
    with pytest.raises(PrecisionError, match="the worst error is nan"):
        unit(inputs)


def test_an_accuracy_finer_than_the_rounding_of_a_sum_is_refused() -> None:
    unit = build(64, 64, 1e-6)
    with pytest.raises(PrecisionError, match=r"torch.float32 is too small for N = 64, q = 64"):
        unit(unit.problem.sample(1, generator=seeded(0)))
    assert unit.double()(unit.problem.sample(1, generator=seeded(0), dtype=torch.float64)).shape == (1, 64, 1)


def test_what_the_theorem_does_not_cover_is_refused_when_built() -> None:
    for accuracy in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(ValueError, match="accuracy ε must lie strictly between 0 and 1"):
            build(8, 2, accuracy)
    with pytest.raises(ValueError, match="curve must be one of trigonometric, moment, got 'helix'"):
        build(8, 2, 0.1, curve="helix")
    unit = build(8, 2, 0.1)
    with pytest.raises(ValueError, match=r"values are torch\.float64 but the unit computes in torch\.float32"):
        unit(unit.problem.sample(1, generator=seeded(0), dtype=torch.float64))
    values, pointers = unit.problem.sample(1, generator=seeded(0))
    with pytest.raises(ValueError, match="pointers must lie in 0…7, got 9"):
        unit(SparseAveragingInputs(values, pointers + 9 - pointers.max()))


def test_changing_the_float_type_computes_the_keys_anew() -> None:
    exact = trigonometric_keys(37, 3)
    unit = build(37, 3, 0.1)
    assert unit.keys.equal(exact.float())
    assert unit.double().keys.equal(exact)
    assert unit.float().double().keys.equal(exact)
    assert copy.deepcopy(unit).keys.equal(exact)
    assert set(unit.state_dict()) == {"keys", "attention.query", "attention.key", "attention.value"}
    assert unit.attention.query.dtype == torch.float64
    moment = build(37, 3, 0.1, curve="moment")
    assert moment.double().keys.equal(moment_keys(equispaced_nodes(37), 3))


@pytest.mark.parametrize("curve", ["trigonometric", "moment"])
def test_the_worst_inputs_attain_the_worst_error(curve: str) -> None:
    unit = build(9, 2, 0.3, value_dim=2, curve=curve).double()
    subsets = unit.problem.subsets()
    inputs = unit.worst_inputs(subsets)
    attended = unit.attend(inputs)
    assert isinstance(attended.attention, Tensor)
    errors = (attended.output - unit.problem.target(inputs)).norm(dim=-1)[:, 0]
    assert errors.allclose(worst_case_error(attended.attention[:, 0], subsets), rtol=0, atol=1e-14)


def test_the_moment_curve_ends_where_the_circle_still_answers() -> None:
    subset = hardest_subset(64, 6).unsqueeze(0)
    circle, moment = (build(64, 6, 0.01, curve=curve).double() for curve in ("trigonometric", "moment"))
    assert largest_output_error(circle, circle.worst_inputs(subset)) <= 0.01
    with pytest.raises(PrecisionError, match=r"torch.float64 is too small for N = 64, q = 6"):
        moment.worst_inputs(subset)


@pytest.mark.parametrize("curve", ["trigonometric", "moment"])
def test_a_broken_unit_refuses_its_own_answers(curve: str) -> None:
    inputs = SparseAveraging(24, 2, 1).sample(1, generator=seeded(0), dtype=torch.float64)
    unit = build(24, 2, 0.01, curve=curve).double()
    assert largest_output_error(unit, inputs) <= 0.01
    moved = copy.deepcopy(unit)
    moved.keys[5, 1] += 0.1
    with pytest.raises(PrecisionError, match="the worst error is"):
        moved(inputs)
    turned = copy.deepcopy(unit)
    with torch.no_grad():
        turned.attention.query[-4] *= -1  # one entry of the matrix Q, that of the first coordinate
    with pytest.raises(PrecisionError, match="the worst error is"):
        turned(inputs)
    weak = copy.deepcopy(unit)
    weak.scale /= 4
    with pytest.raises(PrecisionError, match="the worst error is"):
        weak(inputs)


def test_both_theorems_answer_alike() -> None:
    problem = SparseAveraging(20, 3, 2)
    inputs = problem.sample(3, generator=seeded(5), dtype=torch.float64)
    first = fixed_precision_unit(problem, 0.001, generator=seeded(0)).double()
    second = infinite_precision_unit(problem, 0.001).double()
    assert (first(inputs) - second(inputs)).norm(dim=-1).max().item() <= 0.002
    assert second.embed_dim < first.embed_dim
