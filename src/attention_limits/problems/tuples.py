"""Detection of s-tuples modulo M: Match2 and Match3 are the orders 2 and 3; and hard inputs of a million tokens.

Letters: N = num_tokens, M = modulus, s = order.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from attention_limits.hypotheses import require, require_integer
from attention_limits.problems.matching import LARGEST_ROUNDING, Matching, residue_counts

#: Bound on the relative error of a float64 transform in the 2-norm, for each factor 2 of its length: 8 ε, generous.
TRANSFORM_ERROR = 8 * torch.finfo(torch.float64).eps


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


def tuple_counts(inputs: Int[Tensor, "batch tokens"], modulus: int, length: int) -> Int[Tensor, "batch modulus"]:
    """How many tuples of ``length`` tokens, in order and with repetition, add up to each residue, by FFT.

    Raises:
        ValueError: if the convolution may be, or is, too far from integers to be rounded with certainty.
    """
    require_integer("length", length, 1)
    counts = residue_counts(inputs, modulus)
    if not len(inputs):  # which the FFT refuses
        return counts
    histogram = counts.double()
    spectrum = torch.fft.rfft(histogram)
    powers = spectrum
    for _ in range(length - 1):
        powers = powers * spectrum
    sums = torch.fft.irfft(powers, n=modulus)
    rounded = sums.round()
    # A transform errs by O(ε log M) of its result in the 2-norm; with ‖x‖₁ = N, ‖x‖₂ for the histogram x, Young's
    # inequality bounds each of the length + 1 errors by this multiple of N^(length−1) ‖x‖₂. Nearness to integers alone
    # shows nothing about counts beyond 2^52, where every float is an integer.
    largest = inputs.shape[1] ** (length - 1) * histogram.norm(dim=-1).max().item()
    bound = TRANSFORM_ERROR * (length + 1) * math.log2(2 * modulus) * largest
    error = max(bound, (sums - rounded).abs().max().item())
    require(
        error <= LARGEST_ROUNDING,
        f"{length}-tuples of {inputs.shape[1]} tokens modulo {modulus}: the convolution may be {error:.2g} away from "
        f"integers, at most {LARGEST_ROUNDING} can be rounded safely",
    )
    return rounded.long()


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
    require(num_planted < num_tokens, f"num_planted must be below N = {num_tokens}, got {num_planted}")
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
