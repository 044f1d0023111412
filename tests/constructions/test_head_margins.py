"""Margins of heads on parity: they exist as fractions, at the sizes that the page shows; refusals."""

from fractions import Fraction
from itertools import product

import pytest

from attention_limits.constructions.head_margins import best_values, exact_margin, parity_margin
from attention_limits.constructions.rational_heads import HeadWeights

#: Margins that must be reached.
LEAST = {1: 0.98, 2: 0.66, 3: 0.16, 4: 0.08, 6: 5e-3, 8: 2.9e-4}


@pytest.mark.parametrize("k", LEAST)
def test_the_margin_holds_on_every_input_with_values_up_to_one(k: int) -> None:
    found = parity_margin(k)
    assert len(found.heads) == len(found.poles) == k
    assert max(head.largest_value for head in found.heads) <= 1
    outputs = [(-1) ** sum(bits) * sum(head.output(bits) for head in found.heads) for bits in product((0, 1), repeat=k)]
    assert min(outputs) == found.margin >= Fraction(LEAST[k])


def test_twelve_heads_still_have_one() -> None:
    assert parity_margin(12).margin > Fraction(1, 10**7)


def test_a_pole_is_where_the_weights_add_up_to_zero() -> None:
    poles = (Fraction(-1, 3), Fraction(7, 2), Fraction(9))
    for pole, head in zip(poles, best_values(poles), strict=True):
        ((zero, one),) = set(head.weights)
        for ones in range(4):
            assert (3 - ones) * zero + ones * one + head.query_weight == abs(ones - pole)


def test_two_heads_in_closed_form() -> None:
    # Poles −d and 2 + d; in the limit of light weights 0 the best margin is 2/3 (1 − O(d)): each value at ±1 but one.
    margins = [exact_margin(best_values([Fraction(-1, n), 2 + Fraction(1, n)])) for n in (10, 100, 1000)]
    assert margins == sorted(margins)
    assert Fraction(66, 100) < margins[-1] < Fraction(2, 3)


def test_negated_values_are_caught() -> None:
    head, *others = parity_margin(4).heads
    values = tuple((-zero, -one) for zero, one in head.values)
    assert exact_margin([HeadWeights(head.weights, values, head.query_weight, -head.query_value), *others]) < 0


def test_what_has_no_margin_is_refused() -> None:
    with pytest.raises(ValueError, match="num_heads must be at least 1, got 0"):
        parity_margin(0)
    with pytest.raises(ValueError, match="up to k = 12 heads, got k = 13"):
        parity_margin(13)
    with pytest.raises(ValueError, match=r"must lie outside \[0, k\], got \[1\.0, 3\.0\] for k = 2"):
        best_values([1, 3])
    with pytest.raises(ValueError, match="k ≥ 1 poles"):
        best_values([])
    one, two = Fraction(1), Fraction(2)
    with pytest.raises(ValueError, match="margins are of symmetric heads"):
        exact_margin([HeadWeights(((one, one), (one, two)), ((one, one), (one, one)), one, one)])
