"""Pair and triple detection modulo M: Match2, Match3 and two variants, with exact targets and samplers.

An input is a sequence x of N residues in 0…M−1. Output i says whether some other tokens complete x_i to a multiple of
M. Indices are unrestricted: a token may be matched with itself, and the two others of a triple may be the same token.

Letters: N = num_tokens, M = modulus, K = window; counts[r] is how many tokens have the residue r.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from attention_limits.hypotheses import require, require_integer, require_matching

#: How far a convolution of integers by FFT may be from integers before it is refused: rounding is safe below 1/2.
LARGEST_ROUNDING = 0.25


@dataclass(frozen=True)
class Matching:
    """What the four problems share: N residues modulo M, and how they are drawn.

    Raises:
        ValueError: unless N ≥ 1 and M ≥ 2.
    """

    num_tokens: int
    modulus: int

    def __post_init__(self) -> None:
        require_matching(self.num_tokens, self.modulus)

    def sample(
        self, batch_size: int, *, generator: torch.Generator, device: torch.device | str | None = None
    ) -> Int[Tensor, "batch tokens"]:
        """Independent uniform residues. They are drawn where the generator lives and then moved to ``device``."""
        require_integer("batch_size", batch_size, 1)
        shape = (batch_size, self.num_tokens)
        return torch.randint(0, self.modulus, shape, generator=generator, device=generator.device).to(device)

    def sample_near_misses(
        self, batch_size: int, *, generator: torch.Generator, device: torch.device | str | None = None
    ) -> Int[Tensor, "batch tokens"]:
        """Hard inputs for pairs: each token is z or 1 − z, z uniform for each sequence, so that many sums are 1."""
        require_integer("batch_size", batch_size, 1)
        source = generator.device
        residue = torch.randint(0, self.modulus, (batch_size, 1), generator=generator, device=source)
        flip = torch.randint(0, 2, (batch_size, self.num_tokens), generator=generator, device=source).bool()
        return torch.where(flip, 1 - residue, residue).remainder(self.modulus).to(device)

    def target(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """The exact answer."""
        raise NotImplementedError

    def check(self, inputs: Int[Tensor, "batch tokens"]) -> None:
        """Raise ValueError, naming value and place, unless ``inputs`` are inputs of this problem."""
        expected = (inputs.shape[0] if inputs.ndim else 0, self.num_tokens)
        require(tuple(inputs.shape) == expected, f"inputs must have shape {expected}, got {tuple(inputs.shape)}")
        require(inputs.dtype == torch.int64, f"inputs must be int64, got {inputs.dtype}")
        outside = ((inputs < 0) | (inputs >= self.modulus)).nonzero()
        if len(outside):
            row, token = outside[0].tolist()
            value = inputs[row, token].item()
            raise ValueError(f"residues must lie in 0…{self.modulus - 1}, got {value} at token {token} of input {row}")

    def all_inputs(self) -> Int[Tensor, "inputs tokens"]:
        """All M^N inputs, the first token varying slowest."""
        axes = [torch.arange(self.modulus)] * self.num_tokens
        return torch.cartesian_prod(*axes).reshape(-1, self.num_tokens)


class Match2(Matching):
    """Match2(x)_i = 1 if x_i + x_j ≡ 0 (mod M) for some j (the paper's problem)."""

    def target(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """The exact answer in O(N + M): whether the residue −x_i occurs."""
        self.check(inputs)
        return (residue_counts(inputs, self.modulus) > 0).gather(1, -inputs % self.modulus)


class Match3(Matching):
    """Match3(x)_i = 1 if x_i + x_j + x_k ≡ 0 (mod M) for some j and k (the paper's problem)."""

    def target(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """The exact answer in O(N + M log M): whether −x_i is a sum of two residues that occur."""
        self.check(inputs)
        return (pair_counts(inputs, self.modulus) > 0).gather(1, -inputs % self.modulus)


class Match3Bigram(Matching):
    """Match3Bigram(x)_i = 1 if x_i + x_j + x_{j+1} ≡ 0 (mod M) for some j < N. A lone token has no bigram."""

    def target(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """The exact answer in O(N + M): whether −x_i is the sum of two neighbours."""
        self.check(inputs)
        bigrams = (inputs[:, :-1] + inputs[:, 1:]) % self.modulus
        return (residue_counts(bigrams, self.modulus) > 0).gather(1, -inputs % self.modulus)


@dataclass(frozen=True)
class Match3Local(Matching):
    """As Match3 with |i − j| ≤ K and |i − k| ≤ K; a window may be longer than the sequence.

    Raises:
        ValueError: unless N ≥ 1, M ≥ 2 and K ≥ 0.
    """

    window: int

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("window", self.window, 0)

    def target(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """The exact answer in O(N K²), a pair of offsets at a time."""
        self.check(inputs)
        reach = min(self.window, self.num_tokens - 1)
        found = torch.zeros_like(inputs, dtype=torch.bool)
        positions = torch.arange(self.num_tokens, device=inputs.device)
        for first in range(-reach, reach + 1):
            for second in range(first, reach + 1):
                inside = (positions + first >= 0) & (positions + second < self.num_tokens)
                here = positions[inside]
                sums = inputs[:, here] + inputs[:, here + first] + inputs[:, here + second]
                found[:, here] |= sums % self.modulus == 0
        return found


def residue_counts(inputs: Int[Tensor, "batch some_tokens"], modulus: int) -> Int[Tensor, "batch modulus"]:
    """How many tokens of each sequence have each residue."""
    counts = torch.zeros(len(inputs), modulus, dtype=torch.int64, device=inputs.device)
    return counts.scatter_add_(1, inputs, torch.ones_like(inputs))


def pair_counts(inputs: Int[Tensor, "batch tokens"], modulus: int) -> Int[Tensor, "batch modulus"]:
    """How many pairs (j, k), in order and j = k included, have x_j + x_k ≡ r: a cyclic self-convolution of the counts.

    Raises:
        ValueError: if the FFT's result is too far from integers to be rounded with certainty.
    """
    spectrum = torch.fft.rfft(residue_counts(inputs, modulus).double())
    pairs = torch.fft.irfft(spectrum.square(), n=modulus)
    rounded = pairs.round()
    error = (pairs - rounded).abs().max().item() if pairs.numel() else 0.0
    require(
        error <= LARGEST_ROUNDING,
        f"{inputs.shape[1]} tokens modulo {modulus}: the convolution is {error:.2g} away from integers, "
        f"at most {LARGEST_ROUNDING} can be rounded safely",
    )
    return rounded.long()
