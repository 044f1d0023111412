"""Inputs with a solution planted in every triple of blocks: where they are, and that there is hardly another."""

import pytest
import torch

from attention_limits.problems.block_tuples import block_places, plant, rank_triples, residue_pairs, search_triples
from attention_limits.problems.matching import Match3
from attention_limits.problems.tuples import MatchTuple


@pytest.mark.parametrize(("tokens", "modulus"), [(1, 2), (3, 9), (5, 4), (17, 30), (40, 2000)])
def test_searched_labels_are_those_of_the_problem(tokens: int, modulus: int) -> None:
    inputs = Match3(tokens, modulus).sample(50, generator=torch.Generator().manual_seed(0))
    assert torch.equal(search_triples(inputs, modulus), Match3(tokens, modulus).target(inputs))


@pytest.mark.parametrize(("tokens", "block"), [(1, 1), (7, 2), (12, 4), (12, 5), (6, 6)])
def test_places_name_every_triple_of_blocks_once(tokens: int, block: int) -> None:
    places = block_places(tokens, block, generator=torch.Generator().manual_seed(0))
    blocks = -(-tokens // block)
    expected = [[s, u, v] for s in range(blocks) for u in range(blocks) for v in range(u, blocks)]
    assert (places // block).tolist() == expected
    assert int(places.max()) < tokens


@pytest.mark.parametrize("order", [2, 3, 4])
def test_a_planted_solution_is_the_only_one(order: int) -> None:
    generator = torch.Generator().manual_seed(order)
    problem = MatchTuple(9, 20_000, order)
    places = torch.randint(9, (50, order), generator=generator)
    inputs = plant(problem, places, generator=generator)
    assert not bool((inputs.gather(1, places).sum(dim=1) % problem.modulus).any())
    labels = problem.target(inputs)
    assert labels.gather(1, places).all()
    named = torch.zeros_like(labels).scatter(1, places, torch.ones_like(places, dtype=torch.bool))
    assert int((labels & ~named).sum()) <= 10  # hardly any other: small residues may repeat the planted sum
    with pytest.raises(ValueError, match=f"a planted solution of {order} tokens needs M ≥ {order + 1}, got {order}"):
        plant(MatchTuple(12, order, order), places, generator=generator)


def test_pairs_of_residues_complete_the_first_token() -> None:
    inputs = residue_pairs(5, 6)
    assert len(inputs) == 21
    assert Match3(5, 6).target(inputs)[:, 0].all()
    assert {tuple(sorted(set(row[1:]))) for row in inputs.tolist()} >= {(a, b) for b in range(6) for a in range(b)}
    with pytest.raises(ValueError, match="num_tokens must be at least 3, got 2"):
        residue_pairs(2, 6)


@pytest.mark.parametrize(("tokens", "block"), [(9, 3), (7, 3), (5, 1)])
def test_ranks_of_planted_triples_lie_in_every_triple_of_blocks(tokens: int, block: int) -> None:
    modulus = 3 * 64 * tokens**3
    inputs = rank_triples(tokens, modulus, block, generator=torch.Generator().manual_seed(0))
    blocks = -(-tokens // block)
    boxes = [(s, u, v) for s in range(blocks) for u in range(blocks) for v in range(u, blocks)]
    assert len(inputs) == 2 * len(boxes)
    assert (inputs >= 0).all()
    assert (inputs < modulus).all()
    ordered = inputs.sort(dim=1).values
    for row, (s, u, v) in enumerate(boxes * 2):
        total = modulus * (1 + row // len(boxes))
        members = [ordered[row, b * block : (b + 1) * block] for b in (s, u, v)]
        sums = members[0][:, None, None] + members[1][None, :, None] + members[2]
        assert (sums == total).any(), (row, s, u, v)
    assert Match3(tokens, modulus).target(inputs).float().mean() < 0.7


def test_impossible_sizes_are_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match="block must be at least 1, got 0"):
        block_places(5, 0, generator=generator)
    with pytest.raises(ValueError, match="modulus must be at least 640, got 639"):
        rank_triples(10, 639, 2, generator=generator)
