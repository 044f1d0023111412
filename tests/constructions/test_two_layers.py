"""Match3 in two layers: all small inputs, a planted solution for every triple of blocks, sizes, and lost blocks."""

import pytest
import torch

from attention_limits.constructions.deep_matching import READING_ERROR
from attention_limits.constructions.two_layers import CubesMatcher, CubesPlan, SumsMatcher, SumsPlan
from attention_limits.fixed_point import PrecisionError
from attention_limits.problems.block_tuples import block_places, plant, residue_pairs, search_triples
from attention_limits.problems.matching import Match3

from .deep_checks import all_inputs, by_definition, largest_reading_error, measured_bits, small_problems


@pytest.mark.parametrize(("plan", "matcher"), [(CubesPlan, CubesMatcher), (SumsPlan, SumsMatcher)])
def test_all_small_inputs_are_labelled(plan: type, matcher: type) -> None:
    for tokens, modulus in small_problems(3000):
        inputs = all_inputs(tokens, modulus)
        model = matcher(plan(tokens, modulus))
        assert torch.equal(model.labels(inputs), by_definition(inputs, modulus)), (tokens, modulus)
        assert measured_bits(model, inputs[-200:]) <= model.sizes.bits


@pytest.mark.parametrize(("plan", "matcher"), [(CubesPlan, CubesMatcher), (SumsPlan, SumsMatcher)])
@pytest.mark.parametrize("seed", range(6))
def test_random_inputs_are_labelled(plan: type, matcher: type, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tokens = [8, 19, 39, 64, 100, 150][seed]
    balanced = Match3.balanced_modulus(tokens if plan is CubesPlan else min(tokens, 39))  # sums take w ~ M/√N
    for modulus in (tokens + 1, 2 * tokens + 3, balanced):
        inputs = torch.randint(modulus, (6, tokens), generator=generator)
        labels = matcher(plan(tokens, modulus)).labels(inputs)
        assert torch.equal(labels, search_triples(inputs, modulus)), f"seed {seed}, M = {modulus}"


def test_a_triple_in_every_triple_of_blocks_is_found_and_missed_where_the_block_triple_is_lost() -> None:
    for tokens in (24, 41):
        modulus = 8 * tokens**3
        plan = CubesPlan(tokens, modulus)
        generator = torch.Generator().manual_seed(tokens)
        inputs = plant(
            Match3(tokens, modulus), block_places(tokens, plan.block, generator=generator), generator=generator
        )
        labels = search_triples(inputs, modulus)
        assert torch.equal(CubesMatcher(plan).labels(inputs), labels)
        for place in range(len(plan.triples)):
            rest = plan.triples[:place] + plan.triples[place + 1 :]
            assert not torch.equal(CubesMatcher(plan, rest).labels(inputs), labels), plan.triples[place]


@pytest.mark.parametrize(("tokens", "modulus"), [(24, 25), (24, 49), (41, 42)])
def test_a_sum_of_every_pair_of_residues_is_found_and_missed_where_its_blocks_are_lost(
    tokens: int, modulus: int
) -> None:
    plan, inputs = SumsPlan(tokens, modulus), residue_pairs(tokens, modulus)
    labels = search_triples(inputs, modulus)
    assert torch.equal(SumsMatcher(plan).labels(inputs), labels)
    for place in range(0, len(plan.pairs), 1 if modulus == 25 else 7):
        rest = plan.pairs[:place] + plan.pairs[place + 1 :]
        assert not torch.equal(SumsMatcher(plan, rest).labels(inputs), labels), plan.pairs[place]


def test_random_inputs_do_not_see_a_lost_block() -> None:
    plan = CubesPlan(41, 40)
    inputs = torch.randint(40, (20, 41), generator=torch.Generator().manual_seed(0))
    assert torch.equal(CubesMatcher(plan, plan.triples[1:]).labels(inputs), search_triples(inputs, 40))


def test_block_counts_are_the_largest_that_fit() -> None:
    for tokens in range(1, 300):
        most = max(b for b in range(1, 20) if b * b * (b + 1) <= 2 * tokens)
        plan = CubesPlan(tokens, 7)
        assert plan.block == -(-tokens // most)
        assert len(plan.triples) <= tokens
        if tokens >= 2:
            assert plan.block <= tokens / ((2 * tokens) ** (1 / 3) - 4 / 3) + 1
        for modulus in (2, 7, 300):
            sums = SumsPlan(tokens, modulus)
            assert sums.block == -(-modulus // max(u for u in range(1, 30) if u * (u + 1) <= 2 * tokens))
            assert len(sums.pairs) <= tokens


def test_bits_are_attained() -> None:
    for tokens, modulus in ((2, 2), (30, 31), (64, 3000), (200, 201)):
        for model in (CubesMatcher(CubesPlan(tokens, modulus)), SumsMatcher(SumsPlan(tokens, modulus))):
            inputs = torch.tensor([modulus - 1, 1, 0])[torch.arange(tokens) % 3][None]
            assert measured_bits(model, inputs) == model.sizes.bits, (tokens, modulus)


def test_one_token_alone_is_labelled() -> None:
    for modulus in (2, 3, 9):
        inputs = torch.arange(modulus).unsqueeze(1)
        for model in (CubesMatcher(CubesPlan(1, modulus)), SumsMatcher(SumsPlan(1, modulus))):
            assert model.labels(inputs).flatten().tolist() == [3 * x % modulus == 0 for x in range(modulus)]


def test_what_is_read_stays_within_an_eighth() -> None:
    plan = CubesPlan(60, 2000)  # 4 blocks of 15, all full
    inputs = torch.randint(2000, (3, 60), generator=torch.Generator().manual_seed(0))
    assert largest_reading_error(CubesMatcher(plan), inputs, [15, 10]) <= READING_ERROR


@pytest.mark.parametrize("plan", [CubesPlan, SumsPlan])
def test_impossible_sizes_are_refused(plan: type) -> None:
    with pytest.raises(ValueError, match="num_tokens must be at least 1, got 0"):
        plan(0, 5)
    with pytest.raises(ValueError, match="modulus must be at least 2, got 1"):
        plan(5, 1)


def test_a_modulus_beyond_float64_is_refused_with_the_largest_that_works() -> None:
    with pytest.raises(PrecisionError, match=r"M = \d+ needs at N = 100: the largest M that works is (\d+)") as caught:
        CubesPlan(100, 2**60)
    most = int(str(caught.value).rsplit(" ", 1)[1])
    CubesPlan(100, most)
    with pytest.raises(PrecisionError):
        CubesPlan(100, most + 1)
    inputs = torch.randint(most, (2, 100), generator=torch.Generator().manual_seed(0))
    inputs[:, 2] = (-inputs[:, 0] - inputs[:, 1]) % most
    assert torch.equal(CubesMatcher(CubesPlan(100, most)).labels(inputs), search_triples(inputs, most))
