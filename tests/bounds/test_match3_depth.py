"""What any one layer must bring, and from where on deep constructions bring less in each of theirs."""

import pytest

from attention_limits.bounds.match3 import one_way_bits
from attention_limits.bounds.match3_depth import first_smaller, one_layer_bits
from attention_limits.constructions.five_layers import FiveLayersPlan
from attention_limits.constructions.log_depth import TransformPlan
from attention_limits.constructions.two_layers import CubesPlan, SumsPlan


def test_the_bound_is_that_of_theorem_7s_page() -> None:
    for tokens in range(3, 30):
        for modulus in range(4, 70):
            assert one_layer_bits(tokens, modulus) == one_way_bits(tokens, modulus), (tokens, modulus)
    assert one_layer_bits(200, 30_000) == one_way_bits(200, 30_000)


def test_the_bound_is_refused_where_it_is_not_proved() -> None:
    with pytest.raises(ValueError, match="num_tokens must be at least 3, got 2"):
        one_layer_bits(2, 9)
    with pytest.raises(ValueError, match="modulus must be at least 4, got 3"):
        one_layer_bits(5, 3)


def test_the_transform_brings_less_from_481_tokens_on() -> None:
    found = first_smaller(TransformPlan, lambda n: n + 1, range(3, 1000))
    assert found == 481
    assert all(TransformPlan(n, n + 1).sizes.layer_bits < one_layer_bits(n, n + 1) for n in range(481, 1100, 7))
    assert all(TransformPlan(n, n + 1).sizes.layer_bits >= one_layer_bits(n, n + 1) for n in range(3, 481, 7))


@pytest.mark.parametrize(("plan", "most"), [(CubesPlan, 2**18), (SumsPlan, 2**15), (FiveLayersPlan, 2**14)])
def test_two_and_five_layers_bring_less_at_large_lengths(plan: type, most: int) -> None:
    lengths = [2**k for k in range(3, 20)]
    assert first_smaller(plan, lambda n: n + 1, lengths) == most


def test_there_may_be_no_such_length() -> None:
    assert first_smaller(SumsPlan, lambda n: n**2, range(3, 60)) is None
    with pytest.raises(ValueError, match="num_tokens must be at least 3, got 2"):
        first_smaller(CubesPlan, lambda n: n + 2, [2])
