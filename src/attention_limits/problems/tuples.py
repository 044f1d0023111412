"""Detection of s-tuples modulo M: Match2 and Match3 are the orders 2 and 3; what pairs tell; long hard inputs.

Letters: N = num_tokens, M = modulus, s = order.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from attention_limits.hypotheses import require_integer
from attention_limits.problems.matching import Matching, occurrences, tuple_counts


@dataclass(frozen=True)
class MatchTuple(Matching):
    """1 if x_i and s − 1 tokens, chosen freely, add up to a multiple of M.

    Raises:
        ValueError: unless N ≥ 1, M ≥ 2 and s ≥ 2.
    """

    order: int  # type: ignore[misc]  # an input of the problem, where the base has one for each class

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("order", self.order, 2)

    def target(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """The exact answer: whether −x_i is a sum of s − 1 residues that occur."""
        self.check(inputs)
        return (tuple_counts(inputs, self.modulus, self.order - 1) > 0).gather(1, -inputs % self.modulus)


def rule_of_pairs(inputs: Int[Tensor, "batch tokens"], modulus: int) -> Bool[Tensor, "batch tokens"]:
    """Where pairs give Match3's label away (ours): x_i + 2x_j ≡ 0 or 2x_i + x_j ≡ 0 for some j.

    These are the solutions with at most two different places. So a 1 is always right, and a 0 is wrong where each
    solution takes three. One pairwise layer of two heads finds them: `constructions.match3_layers.pairs_layer`.

    Example: 1 + 3 + 3 = 1 + 1 + 5 = 7 take two places, 1 + 2 + 4 = 7 takes three.
        >>> rule_of_pairs(torch.tensor([[1, 3, 5], [1, 2, 4]]), 7).tolist()
        [[True, True, True], [False, False, False]]
    """
    with_double = occurrences(2 * inputs % modulus, -inputs % modulus)
    with_single = occurrences(inputs, -2 * inputs % modulus)
    return (with_double + with_single) > 0


class PlantedTriples(NamedTuple):
    """A long input whose triples are known, with the labels that follow from how it was made."""

    inputs: Int[Tensor, "1 tokens"]
    target: Bool[Tensor, "1 tokens"]
    near_misses: Bool[Tensor, "1 tokens"]  # label 0, but some triple through the token has the sum 1 or −1


def planted_triples(num_tokens: int, modulus: int, num_planted: int, *, generator: torch.Generator) -> PlantedTriples:
    """Residues from the sum-free interval (M/9, 2M/9), and a few planted ones that complete some of their pairs.

    Three residues of the interval add up to more than M/3 and less than 2M/3, never to a multiple of M. So a triple
    needs a planted token; these are −(4M/9 − h) with h below a quarter of the interval's length, so that only pairs
    near the interval's upper end are completed. Labels come from looking up complements, without any convolution.

    Raises:
        ValueError: unless 1 ≤ num_planted < num_tokens and M ≥ 72.
    """
    require_integer("modulus", modulus, 72)
    require_integer("num_planted", num_planted, 1)
    if num_planted >= num_tokens:
        raise ValueError(f"num_planted must be below N = {num_tokens}, got {num_planted}")
    low, high = modulus // 9 + 1, -(-2 * modulus // 9)  # residues low … high − 1 lie strictly inside
    base = torch.randint(low, high, (num_tokens - num_planted,), generator=generator)
    reach = torch.randint(0, (high - low) // 4, (num_planted,), generator=generator)
    planted = (reach - 4 * modulus // 9) % modulus
    residues = torch.cat([planted, base])[torch.randperm(num_tokens, generator=generator)]
    present = torch.zeros(modulus, dtype=torch.bool)
    present[residues] = True
    occurring = present.nonzero().flatten()
    completed = torch.zeros(3, modulus, dtype=torch.bool)  # for sums 0, 1 and −1: residues of some triple
    for token in planted.unique():
        for row, total in enumerate((0, 1, -1)):
            partners = present[(total - token - occurring) % modulus]
            completed[row, occurring[partners]] = True  # triples (x, planted, other)
            completed[row, token] |= partners.any()  # triples (planted, x, other)
    target = completed[0, residues]
    near = (completed[1] | completed[2])[residues] & ~target
    return PlantedTriples(residues[None], target[None], near[None])
