"""Rational heads: the quotient and the head agree, symmetric functions at all sizes, a real softmax layer, refusals."""

import random
from fractions import Fraction
from itertools import product

import pytest
import torch

from attention_limits.constructions.rational_heads import (
    HeadWeights,
    RationalHead,
    attention_layer,
    bit_tokens,
    output,
    sign_changes,
    symmetric_heads,
)


def random_weights(generator: random.Random, num_bits: int) -> HeadWeights:
    """A head of random rational weights and values."""

    def pairs(low: int) -> tuple[tuple[Fraction, Fraction], ...]:
        return tuple((number(low), number(low)) for _ in range(num_bits))

    def number(low: int) -> Fraction:
        return Fraction(generator.randint(low, 50), generator.randint(1, 50))

    return HeadWeights(pairs(1), pairs(-50), number(1), number(-50))


def softmax_mean(head: HeadWeights, bits: tuple[int, ...]) -> Fraction:
    """The head by the definition, token by token."""
    tokens = [(w[b], u[b]) for w, u, b in zip(head.weights, head.values, bits, strict=True)]
    tokens.append((head.query_weight, head.query_value))
    return sum((w * u for w, u in tokens), Fraction(0)) / sum(w for w, _ in tokens)


def computes(heads: list[RationalHead], levels: tuple[int, ...]) -> bool:
    """Whether the heads have the signs of a symmetric function on every input."""
    inputs = product((0, 1), repeat=len(levels) - 1)
    return all((output(heads, bits) < 0) == bool(levels[sum(bits)]) and output(heads, bits) != 0 for bits in inputs)


@pytest.mark.parametrize("seed", range(20))
def test_a_head_and_its_quotient_agree_on_every_input_both_ways(seed: int) -> None:
    generator = random.Random(seed)
    num_bits = generator.randint(1, 5)
    head = random_weights(generator, num_bits)
    quotient = RationalHead.from_weights(head)
    back = quotient.to_weights()
    for bits in product((0, 1), repeat=num_bits):
        values = {softmax_mean(head, bits), head.output(bits), quotient.output(bits), back.output(bits)}
        assert len(values) == 1, f"seed {seed}, bits {bits}"


@pytest.mark.parametrize("seed", range(20))
def test_any_affine_quotient_with_a_positive_denominator_is_a_head(seed: int) -> None:
    generator = random.Random(seed)
    num_bits = generator.randint(1, 5)
    slopes = [Fraction(generator.randint(-9, 9), generator.randint(1, 9)) for _ in range(num_bits)]
    base = Fraction(1, 1000) - sum(min(slope, Fraction(0)) for slope in slopes)  # barely positive
    numerator = tuple(Fraction(generator.randint(-9, 9)) for _ in range(num_bits + 1))
    head = RationalHead(numerator, (base, *slopes))
    weights = head.to_weights()  # refuses weights that are not positive
    assert head.least_denominator == Fraction(1, 1000)
    for bits in product((0, 1), repeat=num_bits):
        assert weights.output(bits) == head.output(bits), f"seed {seed}, bits {bits}"


@pytest.mark.parametrize("num_bits", range(1, 6))
def test_symmetric_functions_are_computed_with_as_many_heads_as_sign_changes(num_bits: int) -> None:
    for levels in product((0, 1), repeat=num_bits + 1):
        heads = symmetric_heads(levels)
        changes = sum(levels[c] != levels[c + 1] for c in range(num_bits))
        assert len(sign_changes(levels)) == changes
        assert len(heads) == max(1, changes)
        assert computes(heads, levels), levels


@pytest.mark.parametrize("seed", range(20))
def test_any_poles_outside_the_levels_serve(seed: int) -> None:
    generator = random.Random(seed)
    num_bits = generator.randint(1, 6)
    levels = tuple(generator.randint(0, 1) for _ in range(num_bits + 1))
    distances = generator.sample(range(1, 1000), len(sign_changes(levels)))
    poles = [generator.choice([Fraction(-d, 100), num_bits + Fraction(d, 100)]) for d in distances]
    assert computes(symmetric_heads(levels, poles), levels), f"seed {seed}: {levels}, {poles}"


@pytest.mark.parametrize("k", [1, 2, 7, 12])
def test_parity_is_right_at_every_number_of_ones(k: int) -> None:
    heads = symmetric_heads([c % 2 for c in range(k + 1)])
    assert len(heads) == k
    for c in range(k + 1):
        assert (-1) ** c * output(heads, [1] * c + [0] * (k - c)) > 0


@pytest.mark.parametrize("seed", range(5))
def test_the_softmax_layer_gives_the_same_numbers(seed: int) -> None:
    generator = random.Random(seed)
    num_bits = generator.randint(1, 6)
    heads = [random_weights(generator, num_bits) for _ in range(generator.randint(1, 4))]
    bits = torch.tensor(list(product((0, 1), repeat=num_bits)))
    layer = attention_layer(heads)
    assert all(unit.embed_dim == 1 for unit in layer.heads)
    answers = layer(bit_tokens(bits))[:, -1, 0]
    exact = torch.tensor([float(sum(head.output(row) for head in heads)) for row in bits.tolist()])
    torch.testing.assert_close(answers, exact.double(), atol=1e-5, rtol=1e-6, msg=f"seed {seed}")


def test_parity_of_eight_bits_is_right_in_float64_on_all_inputs() -> None:
    bits = torch.tensor(list(product((0, 1), repeat=8)))
    heads = [head.to_weights() for head in symmetric_heads([c % 2 for c in range(9)])]
    answers = attention_layer(heads)(bit_tokens(bits))[:, -1, 0]
    assert ((answers < 0) == (bits.sum(1) % 2 == 1)).all()


def test_far_poles_are_too_much_for_float64_at_ten_bits() -> None:
    levels = [c % 2 for c in range(11)]
    heads = symmetric_heads(levels, [-(9 + 2 * j) for j in range(1, 11)])
    assert computes(heads, tuple(levels))
    bits = torch.tensor(list(product((0, 1), repeat=10)))
    answers = attention_layer([head.to_weights() for head in heads])(bit_tokens(bits))[:, -1, 0]
    assert ((answers < 0) != (bits.sum(1) % 2 == 1)).any()


@pytest.mark.parametrize("broken", range(3))
def test_a_head_that_is_negated_left_out_or_moved_is_caught(broken: int) -> None:
    levels = (0, 1, 0, 1, 0)
    heads = symmetric_heads(levels)
    first = heads[0]
    if broken == 0:
        heads[0] = RationalHead(tuple(-a for a in first.numerator), first.denominator)
    elif broken == 1:
        del heads[0]
    else:
        heads[0] = RationalHead(first.numerator, (first.denominator[0] + 1, *first.denominator[1:]))
    assert not computes(heads, levels)


def test_what_is_no_head_is_refused() -> None:
    one = Fraction(1)
    with pytest.raises(ValueError, match="positive on the cube, its least value is 0"):
        RationalHead((one, one), (one, -one))
    with pytest.raises(ValueError, match="need n \\+ 1 ≥ 2 numbers each, got 1, 1"):
        RationalHead((one,), (one,))
    with pytest.raises(ValueError, match="got 2, 3"):
        RationalHead((one, one), (one, one, one))
    with pytest.raises(ValueError, match="weights of a softmax are positive, got 0"):
        HeadWeights(((one, Fraction(0)),), ((one, one),), one, one)
    with pytest.raises(ValueError, match="as many weights as values, got 0, 0"):
        HeadWeights((), (), one, one)
    with pytest.raises(ValueError, match="n \\+ 1 ≥ 2 labels, each 0 or 1, got \\[0\\]"):
        symmetric_heads([0])
    with pytest.raises(ValueError, match="got \\[0, 2\\]"):
        symmetric_heads([0, 2])
    for poles in ([-1], [-1, -1], [-1, 2], [-1, 0], [-1, -2, -3]):
        with pytest.raises(ValueError, match="2 sign changes need as many different poles outside \\[0, 2\\], got"):
            symmetric_heads([0, 1, 0], poles)
