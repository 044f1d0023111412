"""Theorem 6's units: all inputs at small sizes, hard large ones, exact margins and sizes, refusals, broken units."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from flint import arb, ctx
from scipy.special import expit
from torch import Tensor

from attention_limits.constructions import matching
from attention_limits.constructions.matching import (
    CircleUnit,
    Match2Unit,
    OthersUnit,
    centred,
    default_margin,
    gap,
    match2_format,
    match2_others_unit,
    match2_parabola_unit,
    match2_unit,
    power_of_two,
)
from attention_limits.constructions.planar_matching import match2_planar_unit, match2_residual_unit
from attention_limits.fixed_point import FixedPoint, PrecisionError, SaturationError
from attention_limits.problems.grading import grade
from attention_limits.problems.matching import Match2, Match2Others

PLAIN: dict[str, Callable[..., Match2Unit]] = {
    "circle": match2_unit,
    "parabola": match2_parabola_unit,
    "residual": match2_residual_unit,
}
SMALL = [(num_tokens, modulus) for num_tokens in range(1, 6) for modulus in range(2, 8)]
DTYPES = [torch.float32, torch.float64]
every_unit = pytest.mark.parametrize("make", PLAIN.values(), ids=PLAIN)
#: What the best unit can give where a token may not be its own partner.
CEILING = math.sqrt(2) / (1 + math.sqrt(2))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def wrong(unit: Match2Unit, inputs: Tensor) -> int:
    return grade(unit, unit.problem, inputs).wrong


def hard_inputs(num_tokens: int, modulus: int, seed: int) -> Tensor:
    """Random, near misses by one, planted pairs, and sequences around the residues whose rounding is the worst."""
    problem, generator = Match2(num_tokens, modulus), seeded(seed)
    if modulus == 2:  # there is no room to plant a pair
        return problem.sample(24, generator=generator)
    inputs = [
        problem.sample(8, generator=generator),
        problem.sample_near_misses(24, generator=generator),
        problem.sample_planted(8, generator=generator),
    ]
    bases = torch.tensor([modulus // 2, modulus // 4, modulus // 8, 1, modulus // 3])
    # One token b, and all others one step away from −b on either side.
    step = torch.arange(num_tokens) % 2 * 2 - 1
    surrounded = (step - bases.unsqueeze(1)) % modulus
    surrounded[:, 0] = bases
    inputs.append(surrounded)
    solved = surrounded.clone()
    if num_tokens > 1:
        solved[:, 1] = -bases % modulus
    return torch.cat([*inputs, solved])


# --- all small inputs, degenerate and large ones ---------------------------------------------------------------------


@every_unit
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("margin", [None, 1.0])
def test_every_label_is_right_and_has_the_margin_on_all_small_inputs(
    make: Callable[..., Match2Unit], dtype: torch.dtype, margin: float | None
) -> None:
    for num_tokens, modulus in SMALL:
        problem = Match2(num_tokens, modulus)
        found = grade(make(problem, margin=margin).to(dtype), problem)
        asked = default_margin(num_tokens) if margin is None else margin
        assert found.wrong == 0, (num_tokens, modulus)
        assert found.right_side >= expit(asked) - 1e-4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("modulus", [2, 3, 4])
def test_two_dimensions_are_enough_for_few_residues(modulus: int, dtype: torch.dtype) -> None:
    for num_tokens in range(1, 7):
        problem = Match2(num_tokens, modulus)
        for margin in (None, 1.0, 9.0):
            unit = match2_planar_unit(problem, margin=margin).to(dtype)
            found = grade(unit, problem)
            assert (found.wrong, unit.embed_dim, unit.attention.embed_dim) == (0, 2, 2)
            assert unit.margin >= (default_margin(num_tokens) if margin is None else margin)
            assert found.right_side >= expit(unit.margin) - (1e-6 if dtype == torch.float32 else 1e-12)


def test_two_dimensions_are_refused_for_more_residues() -> None:
    with pytest.raises(ValueError, match="needs M ≤ 4, got M = 5"):
        match2_planar_unit(Match2(3, 5))
    with pytest.raises(ValueError, match="need match2_others_unit"):
        match2_planar_unit(Match2Others(3, 4))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_label_is_right_on_all_small_inputs_where_no_token_is_its_own_partner(dtype: torch.dtype) -> None:
    for num_tokens, modulus in SMALL:
        problem = Match2Others(num_tokens, modulus)
        found = grade(match2_others_unit(problem).to(dtype), problem)
        assert found.wrong == 0, (num_tokens, modulus)
        assert found.right_side >= CEILING - 0.003


@every_unit
@pytest.mark.parametrize(("num_tokens", "modulus"), [(1, 2), (1, 3), (1, 5000), (3, 2), (600, 2), (600, 3), (300, 4)])
def test_degenerate_sizes_are_right(make: Callable[..., Match2Unit], num_tokens: int, modulus: int) -> None:
    problem = Match2(num_tokens, modulus)
    unit = make(problem).double()
    inputs = torch.cat([problem.sample(4, generator=seeded(0)), torch.zeros(1, num_tokens, dtype=torch.int64)])
    constant = torch.arange(min(modulus, 7)).unsqueeze(1).expand(-1, num_tokens)
    assert wrong(unit, torch.cat([inputs, constant])) == 0
    assert unit(inputs[:0]).shape == (0, num_tokens)


@every_unit
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_tokens", [2, 65, 300])
def test_hard_large_inputs_are_right_up_to_the_largest_modulus(
    make: Callable[..., Match2Unit], dtype: torch.dtype, num_tokens: int
) -> None:
    limit = make(Match2(num_tokens, 2)).largest_modulus(dtype)
    for modulus in (limit, limit - 1, limit // 2, math.isqrt(limit)):
        unit = make(Match2(num_tokens, modulus)).to(dtype)
        assert wrong(unit, hard_inputs(num_tokens, modulus, seed=modulus)) == 0, f"M = {modulus}, seed {modulus}"


@pytest.mark.parametrize("num_tokens", [1, 2, 64])
@pytest.mark.parametrize("dtype", DTYPES)
def test_others_unit_is_right_up_to_its_largest_modulus(num_tokens: int, dtype: torch.dtype) -> None:
    limit = match2_others_unit(Match2Others(num_tokens, 2)).largest_modulus(dtype)
    for modulus in (limit - limit % 2, limit - 1 + limit % 2, 100):
        problem = Match2Others(num_tokens, modulus)
        inputs = hard_inputs(num_tokens, modulus, seed=1)
        own = torch.where(inputs % 3 == 0, modulus // 2, inputs)
        assert wrong(match2_others_unit(problem).to(dtype), torch.cat([inputs, own])) == 0, f"M = {modulus}"


def test_every_residue_is_right_at_the_largest_modulus_in_float32() -> None:
    for make in (match2_unit, match2_parabola_unit):
        modulus = make(Match2(3, 2)).largest_modulus(torch.float32)
        x = torch.arange(modulus).unsqueeze(1)
        unit = make(Match2(3, modulus))
        for step in (-1, 0, 1):
            near = (step - x) % modulus
            assert wrong(unit, torch.cat([x, near, near], dim=1)) == 0


def test_float64_serves_a_hundred_million_residues() -> None:
    for num_tokens in (1, 512, 10**6):
        for make in (match2_unit, match2_parabola_unit):
            assert make(Match2(num_tokens, 10**8)).largest_modulus(torch.float64) >= 10**8


# --- sizes, margins, formats -----------------------------------------------------------------------------------------


@every_unit
def test_dimensions_are_those_of_the_theorem(make: Callable[..., Match2Unit]) -> None:
    problem = Match2(6, 12)
    unit = make(problem).double()
    expected = 2 if make is match2_residual_unit else 3
    assert (unit.embed_dim, unit.num_heads, unit.depth) == (expected, 1, 1)
    assert unit.attention.embed_dim == expected
    # One more row than dimensions: the scores of many tokens have rank m at most.
    inputs = problem.sample(1, generator=seeded(0))
    scores = unit.queries(inputs)[0] @ unit.keys(inputs)[0].T
    assert int(torch.linalg.matrix_rank(scores, rtol=1e-9)) <= expected


def test_sums_that_round_away_what_a_unit_for_others_has_left_are_refused() -> None:
    # λ = ln √2 − ln(1 + e^−2) = 0.2196 at g = 1; the sums of N tokens may move the log-odds by 4 (N + 1000) 2^−24.
    limits = [
        match2_others_unit(Match2Others(tokens, 2), margin=1.0).largest_modulus(torch.float32)
        for tokens in (1000, 400_000, 600_000, 900_000, 950_000)
    ]
    assert limits == sorted(limits, reverse=True)
    assert limits[-2] > 1
    assert limits[-1] == 1
    with pytest.raises(PrecisionError, match=r"the largest M at N = 950000 and g = .* is 1;"):
        match2_others_unit(Match2Others(950_000, 2), margin=1.0)(torch.zeros(1, 950_000, dtype=torch.int64))


@pytest.mark.parametrize("num_tokens", [1, 2, 9, 512])
@pytest.mark.parametrize("modulus", [3, 9, 101, 1001])
def test_the_margin_is_attained_without_a_pair_and_never_less(num_tokens: int, modulus: int) -> None:
    unit = match2_unit(Match2(num_tokens, modulus), margin=1.5).double()
    assert unit.margin >= 1.5
    assert unit.scale * unit.delta == pytest.approx(math.log(num_tokens) + 2 * unit.margin, rel=1e-12)
    # All tokens are (M + 1)/2: their sums are 1, the nearest miss.
    output = unit(torch.full((1, num_tokens), (modulus + 1) // 2))
    assert torch.logit(output).tolist()[0] == pytest.approx([-unit.margin] * num_tokens, rel=1e-6)
    if num_tokens == 1:
        assert torch.logit(unit(torch.zeros(1, 1, dtype=torch.int64))).item() == pytest.approx(unit.margin, rel=1e-6)


@pytest.mark.parametrize("num_tokens", [2, 3, 8])
def test_no_partner_and_one_partner_differ_by_a_factor_of_two_in_the_odds(num_tokens: int) -> None:
    problem = Match2Others(num_tokens, 101)
    unit = match2_others_unit(problem, margin=12.0).double()
    alone = torch.tensor([[0, *[7] * (num_tokens - 1)]])
    paired = torch.tensor([[0, 0, *[7] * (num_tokens - 2)]])
    assert 1 - unit(alone)[0, 0].item() == pytest.approx(CEILING, abs=1e-9)
    assert unit(paired)[0, 0].item() == pytest.approx(CEILING, abs=1e-9)


@pytest.mark.parametrize("modulus", [2, 3, 10, 101, 1024, 2**16, 2**20])
@pytest.mark.parametrize("num_tokens", [1, 8, 64])
def test_the_sufficient_format_is_right_and_has_two_bits_for_each_of_log_m(num_tokens: int, modulus: int) -> None:
    problem = Match2(num_tokens, modulus)
    form = match2_format(problem)
    unit = match2_unit(problem, form=form).double()
    inputs = hard_inputs(num_tokens, modulus, seed=2)
    found = grade(unit, problem, inputs)
    assert found.wrong == 0
    assert found.right_side >= expit(unit.margin / 2)
    assert form.bits <= 2 * math.log2(modulus) + 8
    numbers = unit.tokens(inputs)
    assert torch.equal(form.round(numbers), numbers)


def test_the_format_is_refused_in_float32_and_when_it_saturates() -> None:
    problem, inputs = Match2(2, 64), torch.zeros(1, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"fixed point needs \.double\(\)"):
        match2_unit(problem, form=match2_format(problem))(inputs)
    with pytest.raises(SaturationError):
        match2_unit(problem, form=FixedPoint(1, 20)).double()(inputs)


def test_a_power_of_two_is_the_next_one() -> None:
    for number in (0.3, 0.5, 1.0, 3.0, 4.0, 4.0000001, 1e15):
        power = power_of_two(number)
        assert power / 2 < number <= power
        assert math.frexp(power)[0] == 0.5


def test_the_gap_keeps_its_digits_where_the_difference_loses_them() -> None:
    for modulus in (3, 1000, 10**8):
        assert gap(modulus) == pytest.approx(2 * math.pi**2 / modulus**2, rel=20 / modulus**2)
    assert gap(10**9) > 0


def test_cosines_and_sines_are_within_one_unit_in_the_last_place() -> None:
    modulus = 10**8
    unit = match2_unit(Match2(2000, modulus))
    inputs = unit.problem.sample(1, generator=seeded(3))
    keys, previous = unit.keys(inputs)[0], ctx.prec
    angles = unit.angles(inputs)[0].tolist()
    ctx.prec = 200
    try:
        # Against the cosine of the float angle, which is what the proof asks for.
        worst = max(
            max(abs(float(arb(a).cos() - arb(c))), abs(float(arb(a).sin() - arb(s))))
            for a, (c, s, _) in zip(angles, keys.tolist(), strict=True)
        )
    finally:
        ctx.prec = previous
    assert worst <= 2.0**-53


# --- refusals --------------------------------------------------------------------------------------------------------


@every_unit
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_modulus_beyond_the_largest_is_refused_when_called_and_not_when_built(
    make: Callable[..., Match2Unit], dtype: torch.dtype
) -> None:
    limit = make(Match2(4, 2)).largest_modulus(dtype)
    unit = make(Match2(4, limit + 1)).to(dtype)
    with pytest.raises(PrecisionError, match=f"M = {limit + 1}: the largest M at N = 4 .* is {limit}"):
        unit(torch.zeros(1, 4, dtype=torch.int64))
    make(Match2(4, limit)).to(dtype)(torch.zeros(1, 4, dtype=torch.int64))


def test_other_float_types_are_refused() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        with pytest.raises(ValueError, match="float32 or float64"):
            match2_unit(Match2(2, 3)).to(dtype)(torch.zeros(1, 2, dtype=torch.int64))


def test_too_many_tokens_for_the_float_type_are_refused() -> None:
    unit = match2_unit(Match2(2**21, 3))
    with pytest.raises(PrecisionError, match="sums over N = 2097152"):
        unit.check_precision()


@every_unit
def test_margins_below_one_and_wrong_inputs_are_refused(make: Callable[..., Match2Unit]) -> None:
    for margin in (0.5, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="margin g must be finite and at least 1"):
            make(Match2(2, 3), margin=margin)
    with pytest.raises(ValueError, match="0…2, got 3 at token 1 of input 0"):
        make(Match2(2, 3))(torch.tensor([[0, 3]]))
    with pytest.raises(ValueError, match="need match2_others_unit"):
        make(Match2Others(2, 3))


# --- broken units that the checks must catch -------------------------------------------------------------------------


class Unmirrored(CircleUnit):
    """The sign of the sine is wrong: it looks for equal residues."""

    def queries(self, inputs: Tensor) -> Tensor:
        return super().queries(inputs) * torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)


class NoLogarithm(CircleUnit):
    """The blank's score without ln N / 2, at the scale for one token."""

    def __init__(self, problem: Match2, margin: float | None) -> None:
        super().__init__(problem, margin)
        self.scale = 2 / self.delta
        self.blank_score = self.scale * (1 - self.delta / 2)


class NotCentred(matching.ParabolaUnit):
    """The wanted key is taken from 0 … M − 1, while keys are nearest to 0."""

    def queries(self, inputs: Tensor) -> Tensor:
        wanted = (-inputs % self.problem.modulus).double()
        return self.scale * torch.stack([2 * wanted, -torch.ones_like(wanted), wanted.square() - 0.5], dim=-1)


@pytest.mark.parametrize("broken", [Unmirrored, NoLogarithm, NotCentred])
def test_a_broken_unit_is_caught(broken: Any) -> None:
    problem = Match2(5, 7)
    assert grade(broken(problem, None), problem).wrong > 0


def test_the_plain_blank_is_wrong_where_a_token_may_not_be_its_own_partner() -> None:
    problem = Match2Others(3, 4)
    assert grade(OthersUnit(problem, None), problem).wrong == 0
    assert grade(CircleUnit(problem, None), problem).wrong > 0


def test_beyond_the_largest_modulus_float32_does_go_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Match2Unit, "check_precision", lambda unit: None)
    monkeypatch.setattr(CircleUnit, "check_precision", lambda unit: None)
    for make, modulus in ((match2_unit, 20_001), (match2_parabola_unit, 11_585), (match2_residual_unit, 20_001)):
        assert wrong(make(Match2(512, modulus)), hard_inputs(512, modulus, seed=0)) > 0


def test_centred_residues_are_congruent_and_nearest_to_zero() -> None:
    for modulus in range(2, 12):
        residues = torch.arange(modulus)
        near = centred(residues, modulus)
        assert near.tolist() == list(range((modulus + 1) // 2)) + list(range(-(modulus // 2), 0))
        assert torch.equal(near % modulus, residues)
        assert torch.equal(centred(3 * modulus - residues.double(), modulus), centred(-residues, modulus).double())
        assert bool((2 * near.abs() <= modulus).all())
