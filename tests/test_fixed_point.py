"""Fixed-point numbers against exact rational arithmetic."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_limits.fixed_point import FixedPoint, SaturationError

NAN, INF = float("nan"), float("inf")


@st.composite
def formats(draw: st.DrawFn, max_bits: int = 40) -> FixedPoint:
    """Formats of up to ``max_bits`` bits besides the sign."""
    integer_bits = draw(st.integers(0, max_bits // 2))
    return FixedPoint(integer_bits, draw(st.integers(0 if integer_bits else 1, max_bits - integer_bits)))


@st.composite
def formats_with_numbers(draw: st.DrawFn) -> tuple[FixedPoint, torch.Tensor]:
    """A format and float64 numbers in its range, midpoints between two of its numbers among them."""
    form = draw(formats())
    codes = st.integers(-(2 ** (form.integer_bits + form.fraction_bits)) + 1, 2 ** (form.bits - 1) - 1)
    halfway = st.integers(-(2 ** (form.bits - 1)) + 1, 2 ** (form.bits - 1) - 2)
    number = st.one_of(
        st.floats(-form.largest, form.largest),
        codes.map(lambda k: k * form.resolution),
        halfway.map(lambda k: (k + 0.5) * form.resolution),
    )
    return form, torch.tensor(draw(st.lists(number, min_size=1, max_size=20)), dtype=torch.float64)


def nearest_code(number: float, form: FixedPoint) -> int:
    """The reference: Python rounds fractions exactly, ties to even."""
    return round(Fraction(number) * 2**form.fraction_bits)


def half_steps_off(form: FixedPoint, rounded: torch.Tensor, numbers: torch.Tensor) -> float:
    """The largest distance in units of half a resolution, exactly."""
    pairs = zip(rounded.tolist(), numbers.tolist(), strict=True)
    return float(max(abs(Fraction(a) - Fraction(b)) for a, b in pairs) * 2 / Fraction(form.resolution))


@given(formats_with_numbers())
def test_encoding_gives_the_nearest_code_with_ties_to_even(case: tuple[FixedPoint, torch.Tensor]) -> None:
    form, numbers = case
    assert form.encode(numbers).tolist() == [nearest_code(number, form) for number in numbers.tolist()]


@given(formats_with_numbers())
def test_rounding_moves_a_number_by_at_most_half_a_resolution(case: tuple[FixedPoint, torch.Tensor]) -> None:
    form, numbers = case
    assert half_steps_off(form, form.round(numbers), numbers) <= 1


def test_truncation_in_the_place_of_rounding_is_caught_by_the_half_resolution() -> None:
    form = FixedPoint(1, 3)
    numbers = torch.linspace(-1.8, 1.8, 41, dtype=torch.float64)
    assert half_steps_off(form, form.round(numbers), numbers) <= 1
    truncated = (numbers / form.resolution).trunc() * form.resolution
    assert half_steps_off(form, truncated, numbers) > 1.5


@given(formats_with_numbers())
def test_rounding_is_idempotent_and_symmetric(case: tuple[FixedPoint, torch.Tensor]) -> None:
    form, numbers = case
    rounded = form.round(numbers)
    assert form.round(rounded).equal(rounded)
    assert form.round(-numbers).equal(-rounded)


@given(formats(), st.data())
def test_every_code_survives_decoding_and_encoding(form: FixedPoint, data: st.DataObject) -> None:
    largest = 2 ** (form.bits - 1) - 1
    codes = torch.tensor([-largest, -1, 0, 1, largest, data.draw(st.integers(-largest, largest))])
    decoded = form.decode(codes)
    assert [Fraction(x) for x in decoded.tolist()] == [Fraction(k, 2**form.fraction_bits) for k in codes.tolist()]
    assert form.encode(decoded).equal(codes)


def test_every_number_of_a_small_format_is_listed_once() -> None:
    form = FixedPoint(1, 2)
    numbers = form.decode(torch.arange(-7, 8))
    assert numbers.tolist() == [k / 4 for k in range(-7, 8)]
    assert len(numbers) == 2**form.bits - 1  # sign and magnitude: there is one zero
    assert numbers.max().item() == form.largest == 1.75


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_rounding_is_exact_in_the_dtype_that_it_is_given(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    numbers = (2 * torch.rand(500, generator=generator) - 1).to(dtype)
    for fraction_bits in (0, 3, 7, 11, 30):
        form = FixedPoint(1, fraction_bits)
        rounded = form.round(numbers)
        assert rounded.dtype == dtype
        assert half_steps_off(form, rounded.double(), numbers.double()) <= 1
        assert rounded.double().equal(form.decode(form.encode(numbers)))


@given(formats())
def test_ties_go_to_the_even_code(form: FixedPoint) -> None:
    codes = torch.arange(min(8, 2 ** (form.bits - 1) - 1))
    halves = (codes.double() + 0.5) * form.resolution
    if len(codes):
        assert (form.encode(halves) % 2 == 0).all()


@given(formats())
def test_half_a_step_beyond_the_largest_number_is_an_error_and_below_it_is_not(form: FixedPoint) -> None:
    edge = form.largest + form.resolution / 2  # ties to even would leave the range: the largest code is odd
    below = math.nextafter(edge, 0)
    assert form.round(torch.tensor([below, -below], dtype=torch.float64)).tolist() == [form.largest, -form.largest]
    for number in (edge, -edge, 2 * form.largest + 1):
        with pytest.raises(SaturationError, match="lies outside ±"):
            form.encode(torch.tensor([number], dtype=torch.float64))


@pytest.mark.parametrize("number", [NAN, INF, -INF, 1e308, 4.0, -3.9])
def test_a_number_without_a_code_is_an_error_that_names_it_and_never_clamped(number: float) -> None:
    form = FixedPoint(2, 2)
    with pytest.raises(SaturationError) as refusal:
        form.round(torch.tensor([0.5, number], dtype=torch.float64))
    assert str(refusal.value) == f"{number} lies outside ±3.75, the range of {form.describe()}"


@given(formats(max_bits=50), st.integers(0, 30))
def test_bits_are_the_sign_and_the_two_parts_and_are_counted_for_every_number(form: FixedPoint, count: int) -> None:
    assert form.bits == 1 + form.integer_bits + form.fraction_bits
    assert form.count_bits(torch.zeros(2, count)) == 2 * count * form.bits
    assert 2 ** (form.bits - 1) * form.resolution == form.largest + form.resolution
    assert form.describe().startswith(f"{form.bits}-bit fixed point")


@given(st.one_of(st.just(0.0), st.floats(1e-9, 1e6)), st.integers(0, 25))
def test_holding_gives_the_fewest_integer_bits(largest: float, fraction_bits: int) -> None:
    form = FixedPoint.holding(largest, fraction_bits)
    assert form.fraction_bits == fraction_bits
    number = torch.tensor([largest, -largest], dtype=torch.float64)
    assert half_steps_off(form, form.round(number), number) <= 1
    if form.integer_bits and form.integer_bits + fraction_bits > 1:
        with pytest.raises(SaturationError):
            FixedPoint(form.integer_bits - 1, fraction_bits).round(number)


@pytest.mark.parametrize("largest", [NAN, INF, -INF, -0.5])
def test_holding_refuses_what_is_no_magnitude(largest: float) -> None:
    with pytest.raises(ValueError, match=f"largest must be finite and at least 0, got {largest}"):
        FixedPoint.holding(largest, 4)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((0, 0), "together must be 1…52, got 0"),
        ((20, 33), "together must be 1…52, got 53"),
        ((-1, 4), "integer_bits must be at least 0, got -1"),
        ((1, -4), "fraction_bits must be at least 0, got -4"),
        ((True, 4), "integer_bits must be an integer, got True"),
    ],
)
def test_a_format_that_float64_cannot_carry_is_refused(parts: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FixedPoint(*parts)


def test_the_widest_format_is_exact() -> None:
    form = FixedPoint(0, 52)
    codes = torch.tensor([2**52 - 1, -(2**52) + 1, 1, 2**51 + 1])
    assert form.encode(form.decode(codes)).equal(codes)
