"""Disjointness: Alice holds a, Bob holds b, and they ask whether the sets a and b have an element in common.

DISJ(a, b) = max_i a_i b_i, so that 1 means *not* disjoint, as in the paper. What makes it hard for two parties is read
off its communication matrix, and computed here rather than quoted: how many of its rows differ, the rank of
1 − DISJ, and a fooling set.

Letters: n = num_bits; a and b are bit strings of length n, or subsets of n elements.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from flint import fmpz_mat
from jaxtyping import Bool
from torch import Tensor

from attention_limits.hypotheses import require_integer


class DisjointnessInputs(NamedTuple):
    """A batch of pairs: Alice's string and Bob's."""

    alice: Bool[Tensor, "batch num_bits"]
    bob: Bool[Tensor, "batch num_bits"]


@dataclass(frozen=True)
class Disjointness:
    """The problem DISJ on strings of n bits.

    Raises:
        ValueError: unless n ≥ 1.

    Example:
        >>> task = Disjointness(2)
        >>> task.communication_matrix().int().tolist()
        [[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1]]
        >>> task.num_different_rows(), task.complement_rank()
        (4, 4)
    """

    num_bits: int

    def __post_init__(self) -> None:
        require_integer("num_bits", self.num_bits, 1)

    def strings(self) -> Bool[Tensor, "strings num_bits"]:
        """All 2^n strings; bit 0 of string s is the lowest bit of the number s."""
        numbers = torch.arange(2**self.num_bits).unsqueeze(1)
        return (numbers >> torch.arange(self.num_bits) & 1).bool()

    def target(self, inputs: DisjointnessInputs) -> Bool[Tensor, " batch"]:
        """DISJ(a, b) = max_i a_i b_i for each pair: whether the two have an element in common."""
        alice, bob = inputs
        for name, strings in (("alice", alice), ("bob", bob)):
            expected = (len(alice), self.num_bits)
            if tuple(strings.shape) != expected:
                raise ValueError(f"{name} must have shape {expected}, got {tuple(strings.shape)}")
        return (alice & bob).any(dim=-1)

    def sample(self, batch_size: int, *, generator: torch.Generator) -> DisjointnessInputs:
        """Hard random pairs: a uniform, b with no element in common with it or, half of the time, with exactly one.

        Uniform pairs would not do: at n = 64 only one in 10⁸ of them is disjoint. Where a is empty, so is the overlap.
        """
        require_integer("batch_size", batch_size, 1)
        shape, device = (batch_size, self.num_bits), generator.device
        alice, outside = torch.randint(0, 2, (2, *shape), generator=generator, device=device).bool()
        one = torch.where(
            alice, torch.rand(*shape, generator=generator, device=device, dtype=torch.float32), -1
        ).argmax(dim=1, keepdim=True)
        meet = torch.randint(0, 2, (batch_size, 1), generator=generator, device=device).bool()
        common = torch.zeros_like(alice).scatter(1, one, meet) & alice
        return DisjointnessInputs(alice, outside & ~alice | common)

    def communication_matrix(self) -> Bool[Tensor, "strings strings"]:
        """The 2^n × 2^n table of DISJ, Alice's strings down and Bob's across, in the order of `strings`."""
        numbers = torch.arange(2**self.num_bits)
        return (numbers.unsqueeze(1) & numbers) != 0

    def num_different_rows(self) -> int:
        """How many rows of the communication matrix differ, counted: 2^n.

        Alice's one message must tell them apart, so ⌈log₂⌉ of it is the one-way complexity, exactly.
        """
        return len(self.communication_matrix().unique(dim=0))

    def complement_rank(self) -> int:
        """The rank of 1 − DISJ over the rationals, by exact elimination: 2^n. Seconds from n = 10 on."""
        ones = (~self.communication_matrix()).int().tolist()
        return int(fmpz_mat(ones).rank())

    def fooling_set(self) -> DisjointnessInputs:
        """The 2^n pairs (a, complement of a): see `is_fooling_set`."""
        strings = self.strings()
        return DisjointnessInputs(strings, ~strings)

    def is_fooling_set(self, pairs: DisjointnessInputs) -> bool:
        """Whether all pairs are disjoint and any two of them cross: (a, b') or (a', b) is not disjoint.

        Two pairs of such a set can't share a transcript of a right protocol: it would be the transcript of (a, b') and
        (a', b) too, and Bob would call both disjoint. So some pair costs log₂ of their number in bits.
        """
        alice, bob = pairs
        meets = alice.double() @ bob.double().T > 0
        crossing = meets | meets.T | torch.eye(len(alice), dtype=torch.bool, device=alice.device)
        return not bool(self.target(pairs).any()) and bool(crossing.all())
