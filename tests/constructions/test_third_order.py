"""Units of order s on all small inputs, their sizes, their evaluation by counting, refusals, and broken copies."""

import math
from itertools import product

import pytest
import torch
from flint import arb, fmpq
from scipy.special import expit

from attention_limits.constructions.frequencies import random_frequencies
from attention_limits.constructions.third_order import (
    CosineForm,
    evaluate_form,
    expansion_form,
    match3_tensor_unit,
    match_tensor_unit,
    rotation_form,
)
from attention_limits.problems.grading import grade, grade_outputs
from attention_limits.problems.matching import Match3
from attention_limits.problems.tuples import MatchTuple, planted_triples

SMALL = [(tokens, modulus) for modulus in range(2, 9) for tokens in range(1, 5)]
FORMS = {"rotations": rotation_form(3), "expansion": expansion_form(3)}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("log_odds", [0.1, 1.0, None])
def test_the_right_side_gets_sigma_g_on_all_small_inputs(name: str, log_odds: float | None) -> None:
    checked = 0
    for tokens, modulus in SMALL:
        problem = Match3(tokens, modulus)
        unit = match3_tensor_unit(problem, form=FORMS[name], log_odds=log_odds).double()
        inputs = problem.all_inputs()
        target, output = problem.target(inputs), unit(inputs)
        assert grade_outputs(output, target).right_side >= expit(unit.log_odds) - 1e-9
        assert torch.allclose(output, unit.by_counts(inputs), atol=1e-10)
        assert match3_tensor_unit(problem, form=FORMS[name])(inputs).gt(0.5).equal(target)  # float32
        checked += len(inputs)
    assert checked == sum(modulus**tokens for tokens, modulus in SMALL) == 10_304


@pytest.mark.parametrize("order", range(2, 7))
def test_units_of_each_order_are_right_on_all_small_inputs(order: int) -> None:
    for tokens, modulus in [(1, 2), (1, 7), (2, 3), (2, 5), (3, 4)]:
        problem = MatchTuple(tokens, modulus, order)
        inputs = problem.all_inputs()
        unit = match_tensor_unit(problem, rotation_form(order)).double()
        assert unit.embed_dim == order + 1
        assert grade(unit, problem).right_side >= expit(unit.log_odds) - 1e-9
        assert torch.allclose(unit(inputs), unit.by_counts(inputs), atol=1e-10)


@pytest.mark.parametrize("order", range(1, 13))
def test_rotations_add_up_to_the_cosine_coefficient_by_coefficient(order: int) -> None:
    form = rotation_form(order)
    assert len(form.weights) == order
    for places in product((0, 1), repeat=order):
        terms = torch.stack([form.factors[slot, :, place] for slot, place in enumerate(places)]).prod(dim=0)
        expected = [1, 0, -1, 0][sum(places) % 4]  # Re i^(number of sines)
        assert abs((terms * form.weights).sum().item() - expected) < 1e-12 * 2**order


@pytest.mark.parametrize("order", range(1, 7))
def test_no_angles_make_rounding_grow_beyond_the_stated_amplification(order: int) -> None:
    generator = torch.Generator().manual_seed(0)
    equal = torch.linspace(0, math.pi, 721, dtype=torch.float64).unsqueeze(1).expand(-1, order)
    other = torch.rand(2000, order, generator=generator, dtype=torch.float64) * 2 * math.pi
    for form in (rotation_form(order), expansion_form(order)):
        waves = torch.stack([torch.cat([equal, other]).cos(), torch.cat([equal, other]).sin()], dim=-1)
        sizes = torch.einsum("nlw,lrw->nlr", waves, form.factors).prod(dim=1).abs() @ form.weights.abs()
        assert sizes.max() <= form.amplification + 1e-12


def test_sizes_equal_the_formulas() -> None:
    problem = Match3(5, 97)
    assert match3_tensor_unit(problem).embed_dim == 4
    assert match3_tensor_unit(problem, form=expansion_form(3)).embed_dim == 5
    frequencies = torch.tensor([1, 5, 23, 40])
    unit = match3_tensor_unit(problem, frequencies=frequencies)
    assert unit.embed_dim == 3 * 4 + 1 == unit.queries(torch.zeros(1, 5, dtype=torch.int64)).shape[-1]
    assert (unit.num_heads, unit.depth, unit.num_mixed) == (1, 1, 2 * 5)
    for order in range(2, 8):
        assert len(expansion_form(order).weights) == 2 ** (order - 1)
        assert match_tensor_unit(MatchTuple(4, 9, order), rotation_form(order)).num_mixed == (
            5 ** (order - 1) - 4 ** (order - 1) - 1
        )


@pytest.mark.parametrize(("num_tokens", "modulus"), [(60, 700), (40, 1200), (30, 10**6)])
def test_random_inputs_and_near_misses_are_labelled_right(num_tokens: int, modulus: int) -> None:
    seed = num_tokens
    generator = torch.Generator().manual_seed(seed)
    problem = Match3(num_tokens, modulus)
    unit = match3_tensor_unit(problem).double()
    near = torch.full((1, num_tokens), (modulus + 1) // 3)
    for inputs in (problem.sample(3, generator=generator), near, problem.sample_near_misses(2, generator=generator)):
        output = unit(inputs)
        assert grade_outputs(output, problem.target(inputs)).right_side >= expit(unit.log_odds / 2), seed
        assert torch.allclose(output, unit.by_counts(inputs), atol=1e-3), seed  # c is 10^13 for the largest modulus


def test_evaluation_by_counting_is_right_on_a_long_input() -> None:
    planted = planted_triples(20_000, 90_000, 3, generator=torch.Generator().manual_seed(0))
    unit = match3_tensor_unit(Match3(20_000, 90_000))
    output = unit.by_counts(planted.inputs)
    assert grade_outputs(output, planted.target).right_side >= expit(unit.log_odds) - 1e-9
    assert planted.near_misses.any()


def test_evaluation_by_counting_leaves_out_no_residue_that_all_pairs_together_need() -> None:
    # All sums are −1 modulo 4: N² pairs, each of less than 10⁻¹⁵ of the blank's weight.
    size, log_odds = 30_000, 14.0
    unit = match3_tensor_unit(Match3(size, 4), log_odds=log_odds)
    exact = 2 * math.log(size) - unit.scale * unit.gap + log_odds  # the log-odds of the output
    assert exact - 2 * math.log(size) < math.log(1e-15)
    output = unit.by_counts(torch.ones(1, size, dtype=torch.int64))[0, 0].item()
    assert math.isclose(output, expit(exact), rel_tol=1e-6)


@pytest.mark.parametrize(("size", "modulus", "order"), [(1, 2, 3), (1, 7, 2), (5, 9, 3), (3, 4, 5), (2, 2, 6)])
@pytest.mark.parametrize("log_odds", [0.3, 1.0, 6.0])
def test_scale_and_blank_score_equal_the_formulas(size: int, modulus: int, order: int, log_odds: float) -> None:
    unit = match_tensor_unit(MatchTuple(size, modulus, order), rotation_form(order), log_odds=log_odds)
    mixed = (size + 1) ** (order - 1) - size ** (order - 1) - 1
    entries = [((order - 1) * math.log(size) + 2 * log_odds) / (1 - math.cos(2 * math.pi / modulus))]
    entries += [log_odds + math.log(2 * mixed)] if mixed else []
    assert math.isclose(unit.scale, max(entries))
    assert math.isclose(unit.blank_score, math.log(math.exp(unit.scale - log_odds) - mixed), abs_tol=1e-9)


def test_several_frequencies_work_in_bfloat16() -> None:
    problem = Match3(24, 415)
    generator = torch.Generator().manual_seed(1)
    frequencies = random_frequencies(415, 12, generator=generator)
    unit = match3_tensor_unit(problem, frequencies=frequencies).bfloat16()
    inputs = problem.sample(40, generator=generator)
    assert unit(inputs).dtype == torch.bfloat16
    assert unit(inputs).gt(0.5).equal(problem.target(inputs))
    assert unit.by_counts(inputs).gt(0.5).equal(problem.target(inputs))


def test_a_float_type_too_small_is_refused_when_called_with_the_largest_modulus_it_can_do() -> None:
    unit = match3_tensor_unit(Match3(4, 10**5))
    inputs = torch.zeros(1, 4, dtype=torch.int64)
    with pytest.raises(
        ValueError, match=r"float32 is too small for M = 100000 at N = 4: it can do M ≤ (\d+)"
    ) as caught:
        unit(inputs)
    largest = int(str(caught.value).split("M ≤ ")[1].split(";")[0])
    match3_tensor_unit(Match3(4, largest)).check_format(torch.float32)
    with pytest.raises(ValueError, match="too small"):
        match3_tensor_unit(Match3(4, largest + 1)).check_format(torch.float32)
    assert unit.double()(inputs).gt(0.5).all()


FORMATS = [torch.bfloat16, torch.float16, torch.float32]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", FORMATS)
def test_scores_in_floats_are_off_by_no_more_than_the_stated_rounding(name: str, dtype: torch.dtype) -> None:
    form, modulus = FORMS[name], 97
    store, step, exact = (torch.finfo(kind).eps / 2 for kind in (dtype, torch.float32, torch.float64))
    unit = match3_tensor_unit(Match3(modulus, modulus), form=form)
    residues = torch.arange(modulus)
    vectors = (unit.queries(residues[None]), *(unit.keys(residues[None], slot) for slot in (1, 2)))
    query, first, second = (part[0, :modulus].to(dtype).float() for part in vectors)
    scores = torch.einsum("im,jm,km->ijk", query, first, second).double() / unit.scale
    sums = residues[:, None, None] + residues[:, None] + residues
    errors = (scores - (2 * math.pi / modulus * (sums % modulus).double()).cos()).abs()
    assert errors.max() + store <= unit.rounding(dtype)
    # To first order: three rounded entries, three products and m sums, magnified; the blank's score; three differences.
    first_order = form.amplification * (3 * store + (3 + unit.embed_dim) * step) + store + 3 * step
    first_order += (4 * form.amplification + 20 * 3 * form.weights.abs().sum().item()) * exact
    assert first_order <= unit.rounding(dtype) <= 1.01 * first_order


@pytest.mark.parametrize("name", FORMS)
def test_scores_in_float64_are_off_by_no_more_than_the_stated_rounding(name: str) -> None:
    generator, half_eps = torch.Generator().manual_seed(0), torch.finfo(torch.float64).eps / 2
    form = FORMS[name]
    for modulus in (3, 97, 9_999, 1_234_567):
        unit = match3_tensor_unit(Match3(40, modulus), form=form)
        residues = torch.cat([torch.arange(modulus - 3, modulus), torch.randint(modulus, (37,), generator=generator)])
        query, first, second = (unit.queries(residues[None]), *(unit.keys(residues[None], slot) for slot in (1, 2)))
        scores = torch.einsum("in,in,in->i", query[0], first[0, :-1], second[0, :-1]) / unit.scale
        exact = [arb.cos_pi_fmpq(fmpq(2 * (3 * token % modulus), modulus)) for token in residues.tolist()]
        error = max(abs(float(arb(score) - cosine)) for score, cosine in zip(scores.tolist(), exact, strict=True))
        assert error <= unit.rounding(torch.float64)
    first_order = (3 + 4 + 3 + unit.embed_dim) * form.amplification + 60 * form.weights.abs().sum().item() + 4
    assert first_order * half_eps <= unit.rounding(torch.float64) <= 1.01 * first_order * half_eps


def test_angles_are_taken_from_the_nearer_end_so_that_opposite_residues_mirror_each_other() -> None:
    unit = match3_tensor_unit(Match3(498, 999), form=FORMS["expansion"], frequencies=torch.tensor([1, 5]))
    residues = torch.arange(1, 499)[None]
    waves, mirrored = (unit.features(part, 1).unflatten(-1, (2, 4)) for part in (residues, 999 - residues))
    assert mirrored[..., 0].equal(waves[..., 0])  # the second slot has cosine, sine, cosine, sine
    assert mirrored[..., 1].equal(-waves[..., 1])


@pytest.mark.parametrize("size", [4, 200])
@pytest.mark.parametrize("dtype", FORMATS)
def test_a_format_is_accepted_as_long_as_rounding_costs_no_more_than_half_of_g(size: int, dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=r"M ≤ (\d+)") as caught:
        match3_tensor_unit(Match3(size, 10**6)).check_format(dtype)
    largest = int(str(caught.value).split("M ≤ ")[1].split(";")[0])

    def cost(modulus: int) -> float:
        unit = match3_tensor_unit(Match3(size, modulus))
        sums = 4 * (size + 1) ** 2 * torch.finfo(torch.float32).eps
        return (unit.rounding(dtype) * unit.scale + sums + 8 * torch.finfo(dtype).eps) / (unit.log_odds / 2)

    assert cost(largest) <= 1 < cost(largest + 1)


def test_formats_that_pass_the_check_keep_half_of_the_log_odds_on_hard_inputs() -> None:
    for dtype, modulus in ((torch.float32, 1200), (torch.bfloat16, 9), (torch.float16, 25)):
        problem = Match3(8, modulus)
        unit = match3_tensor_unit(problem).to(dtype)
        inputs = problem.sample(400, generator=torch.Generator().manual_seed(0))
        inputs[:100] = (modulus + torch.randint(-1, 2, (100, 8), generator=torch.Generator().manual_seed(1))) // 3
        assert grade(unit, problem, inputs).right_side >= expit(unit.log_odds / 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frequencies": torch.tensor([], dtype=torch.int64)}, "at least one"),
        ({"frequencies": torch.tensor([2, 4])}, "do not tell all residues modulo 8 apart"),
        ({"log_odds": 0.0}, "log_odds g must be positive"),
        ({"log_odds": math.nan}, "log_odds g must be positive"),
        ({"form": rotation_form(4)}, "form of order 3, got 4"),
    ],
)
def test_what_the_theorem_does_not_cover_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        match3_tensor_unit(Match3(3, 8), **options)


def test_residues_outside_the_range_are_refused() -> None:
    with pytest.raises(ValueError, match="residues must lie in"):
        match3_tensor_unit(Match3(2, 5))(torch.tensor([[0, 5]]))


def test_a_wrong_sign_is_caught() -> None:
    form = rotation_form(3)
    assert grade(match3_tensor_unit(Match3(3, 5), form=form).double(), Match3(3, 5)).wrong == 0
    broken = CosineForm(form.weights.abs(), form.factors, form.amplification)
    assert grade(match3_tensor_unit(Match3(3, 5), form=broken).double(), Match3(3, 5)).wrong > 0
    angles = torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (evaluate_form(broken, angles) - angles.sum(dim=1).cos()).abs().max() > 0.1


def test_a_missing_blank_is_caught() -> None:
    unit = match3_tensor_unit(Match3(3, 5)).double()
    unit.blank_score = -1e9
    assert grade(unit, unit.problem).wrong > 0


def test_the_scale_of_pairwise_matching_is_too_small_at_order_three() -> None:
    # c = (2 ln N + 2g)/δ forgets the mixed pairs, that score 0: at M = 2, N = 1, g = 1 they outweigh the match.
    unit = match3_tensor_unit(Match3(1, 2), log_odds=1.0).double()
    assert grade(unit, unit.problem).wrong == 0
    plain = unit.needed / unit.gap
    assert plain < unit.scale
    unit.scale, unit.blank_score = plain, plain * (1 - unit.gap / 2)
    assert grade(unit, unit.problem).wrong == 1
