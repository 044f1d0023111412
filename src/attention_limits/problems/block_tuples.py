"""Hard inputs for constructions that split the triples among blocks: one planted solution for every triple of blocks.

Random inputs don't see a lost block: where half of the labels are 1, a token has several solutions, and where few
are, most block triples hold none. Here each input is made for one block triple: of positions, of residues, or of
ranks.

Letters: N = num_tokens, M = modulus, s = order, w = block, B blocks.
"""

from itertools import product

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from attention_limits.hypotheses import require, require_integer, require_matching
from attention_limits.problems.matching import Matching, occurrences


def search_triples(inputs: Int[Tensor, "batch tokens"], modulus: int) -> Bool[Tensor, "batch tokens"]:
    """The labels of Match3 in O(N² log N), whatever M: a token at a time is the second one.

    Example: 1 + 2 + 4 = 7; 3 + 3 + 1 = 7 too, but 5 has no partners.
        >>> search_triples(torch.tensor([[1, 2, 4], [3, 1, 1], [5, 5, 5]]), 7).tolist()
        [[True, True, True], [True, True, True], [False, False, False]]
    """
    found = torch.zeros_like(inputs, dtype=torch.bool)
    for other in inputs.unbind(-1):
        found |= occurrences(inputs, (-inputs - other.unsqueeze(-1)) % modulus) > 0
    return found


def block_places(num_tokens: int, block: int, *, generator: torch.Generator) -> Int[Tensor, "inputs 3"]:
    """For every (s; u ≤ v) of blocks of w neighbours: a random member of each, positions or ranks."""
    require_integer("num_tokens", num_tokens, 1)
    require_integer("block", block, 1)
    starts = range(0, num_tokens, block)
    first = torch.tensor([(s, u, v) for s, u, v in product(starts, repeat=3) if u <= v])
    size = (num_tokens - first).clamp(max=block)
    return first + (torch.rand(first.shape, generator=generator, dtype=torch.float64) * size).long()


def plant(
    problem: Matching, places: Int[Tensor, "inputs order"], *, generator: torch.Generator
) -> Int[Tensor, "inputs tokens"]:
    """Residues too small for any solution, uniform in 1…⌊(M − 1)/s⌋, but for one at the given places, s in each row.

    A place that is named once completes the others. Where none is, all of them get the residue 0.

    Raises:
        ValueError: if M ≤ s.
    """
    order, modulus = problem.order, problem.modulus
    require(modulus > order, f"a planted solution of {order} tokens needs M ≥ {order + 1}, got {modulus}")
    shape = (len(places), problem.num_tokens)
    inputs = torch.randint(1, (modulus - 1) // order + 1, shape, generator=generator)
    named = (places.unsqueeze(-1) == places.unsqueeze(-2)).sum(dim=-1)
    alone, last = (named == 1).any(dim=-1), (named == 1).int().argmax(dim=-1, keepdim=True)
    there = inputs.gather(1, places)
    completing = (there.gather(1, last) - there.sum(dim=1, keepdim=True)) % modulus
    planted = torch.where(alone.unsqueeze(-1), there.scatter(1, last, completing), 0)
    return inputs.scatter(1, places, planted)


def residue_pairs(num_tokens: int, modulus: int) -> Int[Tensor, "inputs tokens"]:
    """For every a ≤ b: token 0 has −a − b, and the others are a and b in turn; few solutions but that of token 0.

    Raises:
        ValueError: unless N ≥ 3 and M ≥ 2.
    """
    require_integer("num_tokens", num_tokens, 3)
    require_matching(num_tokens, modulus)
    pairs = torch.combinations(torch.arange(modulus), with_replacement=True)
    turns = (torch.arange(num_tokens - 1) % 2).expand(len(pairs), -1)
    return torch.cat([-pairs.sum(dim=1, keepdim=True) % modulus, pairs.gather(1, turns)], dim=1)


def rank_triples(
    num_tokens: int, modulus: int, block: int, *, generator: torch.Generator
) -> Int[Tensor, "inputs tokens"]:
    """For every (s; u ≤ v) of blocks of w ranks, and K = M, 2M: a solution of sum K, one member in each block.

    The residue of rank r is about α + g r with g = ⌊M/(8N)⌋ and 3α + g (sum of the three ranks) = K, moved by less than
    g/8, and one of the three by what is missing, so that the ranks stay. Tokens are shuffled.

    Raises:
        ValueError: unless M ≥ 64N.
    """
    require_integer("num_tokens", num_tokens, 1)
    require_integer("modulus", modulus, 64 * num_tokens)
    gap = modulus // (8 * num_tokens)
    ranks = block_places(num_tokens, block, generator=generator).repeat(2, 1)
    total = modulus * torch.arange(1, 3).repeat_interleave(len(ranks) // 2).unsqueeze(-1)
    missing = total - gap * ranks.sum(dim=1, keepdim=True)
    moved = torch.randint(0, gap // 8, (len(ranks), num_tokens), generator=generator)
    named = (ranks.unsqueeze(-1) == ranks.unsqueeze(-2)).sum(dim=-1)
    last = (named == 1).int().argmax(dim=-1, keepdim=True)
    there = moved.gather(1, ranks)
    completing = missing % 3 - there.sum(dim=1, keepdim=True) + there.gather(1, last)
    alone = (named == 1).any(dim=-1, keepdim=True)
    moved = moved.scatter(1, ranks, torch.where(alone, there.scatter(1, last, completing), 0))
    inputs = missing // 3 + gap * torch.arange(num_tokens) + moved
    shuffled = torch.rand(inputs.shape, generator=generator).argsort(dim=1)
    return inputs.gather(1, shuffled)
