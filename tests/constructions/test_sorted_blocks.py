"""Match3 by sorted blocks: all small inputs, a planted solution for every triple of ranks' blocks, sizes, lost jobs."""

from fractions import Fraction
from math import isqrt

import pytest
import torch

from attention_limits.constructions.five_layers import FiveLayersMatcher, FiveLayersPlan
from attention_limits.constructions.sorted_blocks import RANK
from attention_limits.constructions.trade_off import TradeMatcher, TradePlan, merge_sort
from attention_limits.fixed_point import PrecisionError
from attention_limits.problems.block_tuples import rank_triples, search_triples
from attention_limits.problems.matching import Match3

from .deep_checks import all_inputs, by_definition, measured_bits, small_problems


def test_all_small_inputs_are_labelled_in_five_layers() -> None:
    for tokens, modulus in small_problems(1500, shortest=2):
        inputs = all_inputs(tokens, modulus)
        model = FiveLayersMatcher(FiveLayersPlan(tokens, modulus))
        assert torch.equal(model.labels(inputs), by_definition(inputs, modulus)), (tokens, modulus)
        assert measured_bits(model, inputs[-50:]) == model.sizes.bits, (tokens, modulus)


def test_all_small_inputs_are_labelled_at_every_width() -> None:
    for tokens, modulus in small_problems(260, largest_modulus=6):
        inputs = all_inputs(tokens, modulus)
        for block in {1, 2, tokens}:
            if block <= tokens <= 5 or block == tokens:
                model = TradeMatcher(TradePlan(tokens, modulus, block))
                assert torch.equal(model.labels(inputs), by_definition(inputs, modulus)), (tokens, modulus, block)
                assert measured_bits(model, inputs[-50:]) == model.sizes.bits


@pytest.mark.parametrize("seed", range(3))
def test_random_inputs_with_many_equal_residues_and_few_are_labelled(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tokens = [5, 21, 47][seed]
    for modulus in (7, Match3.balanced_modulus(tokens), 8 * tokens**3):
        inputs = torch.randint(modulus, (6, tokens), generator=generator)
        inputs[:3] = inputs[:3] % max(2, modulus // 5) + modulus // 9
        labels = search_triples(inputs % modulus, modulus)
        for model in (
            FiveLayersMatcher(FiveLayersPlan(tokens, modulus)),
            TradeMatcher(TradePlan(tokens, modulus, isqrt(tokens) + seed % 2)),
        ):
            assert torch.equal(model.labels(inputs % modulus), labels), f"seed {seed}, M = {modulus}"


@pytest.mark.parametrize(("tokens", "block"), [(24, 4), (24, 5), (29, 6)])
def test_a_triple_in_every_triple_of_ranks_blocks_is_found(tokens: int, block: int) -> None:
    modulus = 64 * tokens**3
    inputs = rank_triples(tokens, modulus, block, generator=torch.Generator().manual_seed(block))
    model = TradeMatcher(TradePlan(tokens, modulus, block))
    assert torch.equal(model.labels(inputs), search_triples(inputs, modulus))


def test_a_lost_job_is_missed() -> None:
    tokens, modulus = 12, 64 * 12**3
    trade, five = TradePlan(tokens, modulus, 3), FiveLayersPlan(tokens, modulus)
    for plan, matcher in ((trade, TradeMatcher), (five, FiveLayersMatcher)):
        inputs = rank_triples(tokens, modulus, plan.block, generator=torch.Generator().manual_seed(1))
        labels = search_triples(inputs, modulus)
        assert torch.equal(matcher(plan).labels(inputs), labels)
        for place in range(0, len(plan.jobs), 1 if plan is five else 6):
            rest = plan.jobs[:place] + plan.jobs[place + 1 :]
            assert not torch.equal(matcher(plan, rest).labels(inputs), labels), plan.jobs[place]


def test_only_the_last_box_of_a_diagonal_holds_what_is_needed() -> None:
    """Trying the first box of each diagonal, or one before the last, misses solutions."""
    tokens, modulus = 12, 64 * 12**3
    plan = TradePlan(tokens, modulus, 2)
    inputs = rank_triples(tokens, modulus, 2, generator=torch.Generator().manual_seed(0))
    labels = search_triples(inputs, modulus)
    assert torch.equal(TradeMatcher(plan).labels(inputs), labels)
    for first, jobs in (
        (0, [(0, u, v, k) for *_, u, v, k in plan.jobs]),
        (1, [(s, 0, v, k) for s, _, v, k in plan.jobs]),
    ):
        assert not torch.equal(TradeMatcher(plan, jobs).labels(inputs), labels), first


def test_merge_sort_sorts_at_every_length() -> None:
    for tokens in range(1, 71):
        stages = merge_sort(tokens)
        log = (tokens - 1).bit_length()
        assert len(stages) == log * (log + 1) // 2
        rows = torch.randint(9, (200, tokens), generator=torch.Generator().manual_seed(tokens))
        if tokens <= 9:  # the 0-1 principle: zeros and ones are enough
            rows = all_inputs(tokens, 2)
        ordered = rows.clone()
        for stage in stages:
            lower, upper = torch.tensor(stage).unbind(-1)
            assert len(set(lower.tolist()) | set(upper.tolist())) == 2 * len(stage)
            pair = ordered[:, lower], ordered[:, upper]
            ordered[:, lower], ordered[:, upper] = torch.minimum(*pair), torch.maximum(*pair)
        assert torch.equal(ordered, rows.sort(dim=1).values), tokens


def test_ranks_are_those_of_a_stable_sort() -> None:
    for tokens in (2, 3, 7, 8, 13, 20):
        inputs = torch.randint(5, (10, tokens), generator=torch.Generator().manual_seed(tokens))
        model = FiveLayersMatcher(FiveLayersPlan(tokens, 5))
        ranks = list(model.run(model.registers(inputs)))[1][2][..., RANK]
        assert torch.equal(ranks.long(), inputs.argsort(dim=1, stable=True).argsort(dim=1))


def test_sizes_are_those_of_the_theorems() -> None:
    for tokens in range(2, 200):
        plan = FiveLayersPlan(tokens, 9)
        most = max(b for b in range(1, 20) if 3 * b * b - b <= tokens)
        assert plan.block == -(-tokens // most)
        assert len(plan.jobs) == 3 * plan.num_blocks**2 - plan.num_blocks <= tokens
        assert plan.num_blocks <= 3 * plan.block
        assert 2 * plan.part <= 3 * plan.block
    for tokens, block, depth in ((256, 16, 55), (64, 1, 1550), (64, 8, 37), (1, 1, 5)):
        assert TradePlan(tokens, 50, block).sizes[:3] == (depth, 3, 3 * block)


def test_depth_times_width_squared_is_the_number_of_tokens_up_to_logarithms() -> None:
    for tokens in (1, 2, 7, 64, 1000, 4096):
        log = (tokens - 1).bit_length()
        for block in range(1, isqrt(tokens) + 1):
            depth = TradePlan(tokens, 5, block).sizes.depth
            assert Fraction(2 * depth * block**2, tokens * (log + 2) * (log + 27)) <= 1, (tokens, block)


def test_what_the_theorems_or_float64_do_not_cover_is_refused() -> None:
    for block, message in ((0, "block must be at least 1, got 0"), (9, "block w must be at most N = 8, got 9")):
        with pytest.raises(ValueError, match=message):
            TradePlan(8, 9, block)
    with pytest.raises(ValueError, match=r"five layers need two jobs, N ≥ 2, got N = 1"):
        FiveLayersPlan(1, 9)
    with pytest.raises(PrecisionError, match="M = 60000000 needs at N = 8: the largest M that works is 54794"):
        TradePlan(8, 60_000_000, 2)
    with pytest.raises(PrecisionError, match="the largest M that works is"):
        FiveLayersPlan(8, 2**50)
