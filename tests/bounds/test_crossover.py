"""The crossover: sizes against their formulas, and where one falls below another."""

import math
from decimal import ROUND_CEILING, Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from attention_limits.bounds.counting import required_bits
from attention_limits.bounds.crossover import (
    attention_bits,
    attention_precision,
    below,
    comparison_accuracy,
    feedforward_width,
    overtaking,
    recurrent_bits,
    stacked_bits,
)
from attention_limits.constructions.sparse_averaging import narrow_embed_dim


def exact_dimension(num_tokens: int, sparsity: int) -> int:
    """⌈4 q ln N⌉ with fifty digits."""
    with localcontext() as context:
        context.prec = 50
        return int((4 * sparsity * Decimal(num_tokens).ln()).to_integral_value(ROUND_CEILING))


@pytest.mark.parametrize("sparsity", [1, 2, 7, 32])
def test_attentions_size_is_the_formula_with_exact_logarithms(sparsity: int) -> None:
    tokens = np.unique(np.geomspace(sparsity + 1, 10**6, 300).astype(np.int64))
    dimension, precision = narrow_embed_dim(tokens, sparsity), attention_precision(tokens, sparsity)
    assert dimension.tolist() == [exact_dimension(n, sparsity) for n in tokens.tolist()]
    assert [narrow_embed_dim(n, sparsity) for n in tokens.tolist()] == dimension.tolist()
    assert narrow_embed_dim(1, sparsity) == 1
    if sparsity == 1:
        assert set(precision.tolist()) == {4}
    else:
        ratio = 4 * sparsity**2
        assert precision.tolist() == [math.ceil(math.log2(ratio * math.log(n))) + 3 for n in tokens.tolist()]
    assert attention_bits(tokens, sparsity).tolist() == ((dimension + 1) * precision).tolist()


def test_the_rivals_are_their_formulas() -> None:
    tokens = np.arange(2, 50)
    assert recurrent_bits(tokens).tolist() == [n - 1 for n in range(2, 50)]
    assert stacked_bits(tokens).tolist() == [n // 2 for n in range(2, 50)]
    assert feedforward_width(tokens).tolist() == list(range(2, 50))


@pytest.mark.parametrize("sparsity", range(1, 40))
def test_the_accuracy_lies_below_the_thresholds_of_both_bounds(sparsity: int) -> None:
    accuracy = comparison_accuracy(sparsity)
    assert accuracy == Fraction(1, 4 * sparsity)
    assert accuracy < Fraction(1, sparsity)
    assert accuracy < Fraction(1, 2 * sparsity - 1)


@pytest.mark.parametrize("sparsity", [1, 2, 4, 16])
def test_attention_never_sends_less_than_any_unit_must(sparsity: int) -> None:
    for num_tokens in [sparsity + 1, sparsity + 2, 2 * sparsity + 3, 100, 1234]:
        sent = int(attention_bits(np.array([num_tokens]), sparsity)[0])
        assert sent >= required_bits(num_tokens, sparsity, comparison_accuracy(sparsity))


@pytest.mark.parametrize("rival", [recurrent_bits, stacked_bits])
def test_overtaking_agrees_with_a_plain_search(rival: object) -> None:
    for sparsity in (1, 2, 3):
        found = overtaking(lambda n, q=sparsity: attention_bits(n, q), rival, sparsity, 3000)  # type: ignore[arg-type]
        sizes = range(sparsity + 1, 3001)
        smaller = [bool(attention_bits(np.array([n]), sparsity) < rival(np.array([n]))) for n in sizes]  # type: ignore[operator]
        first = next(n for n, is_smaller in zip(sizes, smaller, strict=True) if is_smaller)
        settled = max((n for n, is_smaller in zip(sizes, smaller, strict=True) if not is_smaller), default=sparsity) + 1
        assert found == (first, settled)


def test_a_curve_that_crosses_twice_settles_at_the_second_crossing() -> None:
    assert overtaking(lambda n: np.where((n == 5) | (n == 6), 0, np.where(n < 9, 9, 0)), lambda n: n, 1, 20) == (5, 9)


def test_a_curve_that_starts_below_overtakes_at_once() -> None:
    assert overtaking(np.zeros_like, lambda n: n, 3, 20) == (4, 4)


def test_below_is_strict() -> None:
    assert below(lambda n: n, lambda n: n, 1, 5).tolist() == [False] * 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attention_bits(np.array([100, 8]), 8), "sparsity q = 8 needs num_tokens N ≥ 9, got N = 8"),
        (lambda: attention_bits(np.array([], dtype=np.int64), 1), "at least one N"),
        (lambda: attention_bits(np.array([5]), 0), "sparsity must be at least 1, got 0"),
        (lambda: comparison_accuracy(0), "sparsity must be at least 1, got 0"),
        (lambda: below(recurrent_bits, recurrent_bits, 4, 4), "largest N = 4 must exceed the sparsity q = 4"),
        (lambda: overtaking(recurrent_bits, recurrent_bits, 1, 9), "no overtaking up to N = 9 for q = 1"),
    ],
)
def test_sizes_outside_the_hypotheses_are_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
