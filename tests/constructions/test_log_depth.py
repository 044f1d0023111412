"""Match-s by a transform across tokens: all small inputs, radices and orders, long ones, sizes, broken variants."""

import pytest
import torch

from attention_limits.constructions.deep_matching import READING_ERROR
from attention_limits.constructions.log_depth import (
    LogDepthMatcher,
    TransformPlan,
    is_prime,
    least_prime,
    powers,
    root_of_unity,
)
from attention_limits.fixed_point import PrecisionError
from attention_limits.problems.block_tuples import residue_pairs, search_triples
from attention_limits.problems.matching import Match2, Match3
from attention_limits.problems.tuples import planted_triples

from .deep_checks import all_inputs, by_definition, largest_reading_error, measured_bits, small_problems


def test_all_small_inputs_are_labelled() -> None:
    for tokens, modulus in small_problems(1000, largest_modulus=10):
        inputs = all_inputs(tokens, modulus)
        model = LogDepthMatcher(TransformPlan(tokens, modulus))
        assert torch.equal(model.labels(inputs), by_definition(inputs, modulus)), (tokens, modulus)
        assert measured_bits(model, inputs[-50:]) <= model.sizes.bits


@pytest.mark.parametrize("radix", [4, 8, 16])
def test_every_radix_labels_alike(radix: int) -> None:
    for tokens, modulus in small_problems(700, shortest=4, largest_modulus=5):
        inputs = all_inputs(tokens, modulus)
        model = LogDepthMatcher(TransformPlan(tokens, modulus, radix=radix))
        assert torch.equal(model.labels(inputs), by_definition(inputs, modulus)), (tokens, modulus)
        assert measured_bits(model, inputs[-50:]) <= model.sizes.bits


@pytest.mark.parametrize("order", [2, 4, 5])
def test_every_order_is_labelled(order: int) -> None:
    for tokens, modulus in small_problems(130, largest_modulus=5):
        inputs = all_inputs(tokens, modulus)
        model = LogDepthMatcher(TransformPlan(tokens, modulus, order))
        assert torch.equal(model.labels(inputs), by_definition(inputs, modulus, order)), (tokens, modulus)
        assert measured_bits(model, inputs[-50:]) <= model.sizes.bits


@pytest.mark.parametrize(("tokens", "modulus", "radix"), [(64, 65, 2), (64, 65, 64), (100, 500, 4), (200, 201, 2)])
def test_long_inputs_with_few_solutions_are_labelled(tokens: int, modulus: int, radix: int) -> None:
    model = LogDepthMatcher(TransformPlan(tokens, modulus, radix=radix))
    for seed in range(3):
        planted = planted_triples(tokens, max(72, modulus), 2, generator=torch.Generator().manual_seed(seed))
        inputs = planted.inputs % modulus
        labels = search_triples(inputs, modulus)
        assert 0 < labels.sum() < tokens
        assert torch.equal(model.labels(inputs), labels), f"seed {seed}"


def test_a_solution_of_every_pair_of_residues_is_found() -> None:
    inputs = residue_pairs(24, 25)
    assert torch.equal(LogDepthMatcher(TransformPlan(24, 25)).labels(inputs), search_triples(inputs, 25))


def test_orders_two_and_three_are_the_papers_problems() -> None:
    inputs = Match2(5, 4).all_inputs()
    for order, problem in ((2, Match2(5, 4)), (3, Match3(5, 4))):
        assert torch.equal(LogDepthMatcher(TransformPlan(5, 4, order)).labels(inputs), problem.target(inputs))


@pytest.mark.parametrize(
    ("tokens", "modulus", "order", "radix", "expected"),
    [
        (1, 2, 2, 2, (2, 2, 2)),  # one token owns all: no layer of the transform
        (1024, 1025, 3, 2, (22, 4, 16)),
        (1024, 1025, 3, 32, (6, 4, 256)),
        (1024, 8192, 3, 2, (22, 16, 64)),
        (1000, 2, 3, 2, (6, 1, 4)),  # L = 4 bounds the owners
        (64, 65, 5, 4, (8, 8, 64)),
    ],
)
def test_sizes_are_those_of_the_theorem(
    tokens: int, modulus: int, order: int, radix: int, expected: tuple[int, int, int]
) -> None:
    plan = TransformPlan(tokens, modulus, order, radix)
    assert plan.sizes[:3] == expected
    rho, log = radix.bit_length() - 1, plan.owners.bit_length() - 1
    assert plan.sizes.depth == 2 * -(-log // rho) + 2
    assert plan.share == 1 or plan.share * tokens < 4 * (order - 1) * modulus
    if tokens <= 64:
        model = LogDepthMatcher(plan)
        largest = torch.full((1, tokens), modulus - 1)
        assert measured_bits(model, largest) <= model.sizes.bits


def test_bits_are_attained_where_keys_or_questions_are_largest() -> None:
    for tokens, modulus in ((64, 65), (16, 400)):
        model = LogDepthMatcher(TransformPlan(tokens, modulus))
        inputs = torch.cat([torch.full((1, tokens), modulus - 1), torch.full((1, tokens), 1)])
        assert measured_bits(model, inputs) == model.sizes.bits
    assert TransformPlan(1024, 1025).sizes.bits == 22


def test_what_is_read_stays_within_an_eighth() -> None:
    plan = TransformPlan(64, 65, radix=4)
    inputs = torch.randint(65, (4, 64), generator=torch.Generator().manual_seed(0))
    multiples = [1, *[4] * 6, 1]
    assert largest_reading_error(LogDepthMatcher(plan), inputs, multiples) <= READING_ERROR


def test_another_root_shifted_powers_a_flat_layer_and_a_lost_repetition_are_noticed() -> None:
    inputs, labels = all_inputs(4, 5), by_definition(all_inputs(4, 5), 5)
    plan = TransformPlan(4, 5)
    assert int((LogDepthMatcher(plan).labels(inputs) != labels).sum()) == 0
    assert int((LogDepthMatcher(plan, root=2).labels(inputs) != labels).sum()) > 100
    assert int((LogDepthMatcher(plan, presence_scale=0.5).labels(inputs) != labels).sum()) > 100
    shifted = LogDepthMatcher(plan)
    shifted._powers[False] = shifted._powers[False].roll(1)
    assert int((shifted.labels(inputs) != labels).sum()) > 100
    single = LogDepthMatcher(plan)
    single.plan = TransformPlan(4, 5, 2)  # the set is not repeated, and read at the first M entries
    assert int((single.labels(inputs) != labels).sum()) > 100


def test_a_prime_that_counts_may_reach_hides_solutions() -> None:
    """All N tokens are 0 for M = 2: each has 1 solution as a set. With P | count it would be 0."""
    for tokens, modulus, order in ((5, 4, 4), (9, 8, 5)):
        assert least_prime(tokens, modulus, order) > min(tokens, modulus) ** (order - 2)
        assert (least_prime(tokens, modulus, order) - 1) % TransformPlan(tokens, modulus, order).length == 0


def test_roots_have_the_order_that_they_should() -> None:
    for modulus in (2, 3, 5, 17, 100, 1025):
        plan = TransformPlan(8, modulus)
        table = powers(root_of_unity(plan.prime, plan.length), plan.length, plan.prime)
        assert len(table.unique()) == plan.length == len(table)
    assert not is_prime(1)
    assert not is_prime(91)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 5), ValueError, "num_tokens must be at least 1, got 0"),
        ((4, 1), ValueError, "modulus must be at least 2, got 1"),
        ((4, 5, 1), ValueError, "order must be at least 2, got 1"),
        ((4, 5, 3, 3), ValueError, "radix R must be a power of two, got 3"),
        ((4, 5, 3, 1), ValueError, "radix must be at least 2, got 1"),
        ((4, 2**26), PrecisionError, "needs at N = 4: the largest M that works is 38745"),
        ((1024, 1025, 6), PrecisionError, "order s = 6 needs the prime P = .*: the largest s that works is 5"),
    ],
)
def test_what_the_theorem_or_float64_does_not_cover_is_refused(
    arguments: tuple[int, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        TransformPlan(*arguments)
