"""Pair and triple detection modulo M: Match2, Match3 and two variants, with exact targets and samplers.

An input is a sequence x of N residues in 0…M−1. Output i says whether some other tokens complete x_i to a multiple of
M. Indices are unrestricted: a token may be matched with itself, and the two others of a triple may be the same token;
`Match2Others` is the variant where a token may not.

Letters: N = num_tokens, M = modulus, K = window, s = order (tokens in a solution); counts[r] is how many tokens have
the residue r.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from attention_limits.hypotheses import require_integer, require_matching

#: How far a convolution of integers by FFT may be from integers before it is refused: rounding is safe below 1/2.
LARGEST_ROUNDING = 0.25
#: Bound on the relative error of a float64 transform in the 2-norm, for each factor 2 of its length: 8 ε, generous.
TRANSFORM_ERROR = 8 * torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Matching:
    """What the problems share: N residues modulo M, and how they are drawn.

    Raises:
        ValueError: unless N ≥ 1 and M ≥ 2.
    """

    num_tokens: int
    modulus: int
    #: s, how many tokens a solution has.
    order: ClassVar[int]

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

    def sample_planted(
        self, batch_size: int, *, generator: torch.Generator, device: torch.device | str | None = None
    ) -> Int[Tensor, "batch tokens"]:
        """Sequences without any solution, but for one that is planted in each.

        Residues are uniform in 1…⌊(M−1)/s⌋: s of them add up to less than M. Then one token is set to minus the sum of
        the others of its solution. Tokens with the same residue as a planted one are matched with it.

        Raises:
            ValueError: if M ≤ s, or if there is no place for a solution.
        """
        require_integer("batch_size", batch_size, 1)
        most = (self.modulus - 1) // self.order
        if not most >= 1:
            raise ValueError(
                f"a planted solution of {self.order} tokens needs M ≥ {self.order + 1}, got {self.modulus}"
            )
        source = generator.device
        inputs = torch.randint(1, most + 1, (batch_size, self.num_tokens), generator=generator, device=source)
        places = self.planted_places(batch_size, generator=generator)
        others, last = places[:, :-1], places[:, -1:]
        completing = (-inputs.gather(1, others).sum(dim=1, keepdim=True)) % self.modulus
        if (others == last).any(dim=1).all():  # a token that completes itself
            completing = torch.zeros_like(completing)
        return inputs.scatter(1, last, completing).to(device)

    def planted_places(self, batch_size: int, *, generator: torch.Generator) -> Int[Tensor, "batch order"]:
        """Where `sample_planted` puts a solution; the last place's token completes the others to a multiple of M.

        The last place differs from the others, unless a lone token is the whole solution.
        """
        shape = (batch_size, self.num_tokens)
        shuffled = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float32).argsort(dim=1)[
            :, : self.order
        ]
        first = shuffled[:, :1].expand(-1, self.order - shuffled.shape[1])
        return torch.cat([first, shuffled], dim=1)

    def target(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """The exact answer."""
        raise NotImplementedError

    def brute_force(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """The exact answer by trying all places, as the definition says: a slow reference."""
        raise NotImplementedError

    def check(self, inputs: Int[Tensor, "batch tokens"]) -> None:
        """Raise ValueError, naming value and place, unless ``inputs`` are inputs of this problem."""
        expected = (inputs.shape[0] if inputs.ndim else 0, self.num_tokens)
        if tuple(inputs.shape) != expected:
            raise ValueError(f"inputs must have shape {expected}, got {tuple(inputs.shape)}")
        if inputs.dtype != torch.int64:
            raise ValueError(f"inputs must be int64, got {inputs.dtype}")
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

    order = 2

    @staticmethod
    def balanced_modulus(num_tokens: int) -> int:
        """The odd M ≥ 3 for which `label_probability` comes closest to 1/2, about N/ln 2."""
        require_integer("num_tokens", num_tokens, 1)
        guess = 1 / -math.expm1(-math.log(2) / num_tokens)
        odd = [modulus for modulus in range(max(3, int(guess) - 2), int(guess) + 4) if modulus % 2]
        return min(odd, key=lambda modulus: abs(math.exp(num_tokens * math.log1p(-1 / modulus)) - 0.5))

    def label_probability(self) -> Fraction:
        """The exact chance that a label is 1 for uniform residues: 1 − (1 − 1/M)^N at odd M.

        A token is its own partner with chance 1/M at odd M and 2/M at even M; each other one is with chance 1/M.

        Example:
            >>> Match2(num_tokens=2, modulus=3).label_probability()
            Fraction(5, 9)
        """
        own = Fraction(1 if self.modulus % 2 else 2, self.modulus)
        return 1 - (1 - own) * (1 - Fraction(1, self.modulus)) ** (self.num_tokens - 1)

    def target(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """The exact answer in O(N log N), whatever M: whether the residue −x_i occurs."""
        self.check(inputs)
        return occurrences(inputs, -inputs % self.modulus) > 0

    def brute_force(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """All N² pairs."""
        self.check(inputs)
        return self._pairs(inputs).any(dim=2)

    def _pairs(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens tokens"]:
        return (inputs.unsqueeze(2) + inputs.unsqueeze(1)) % self.modulus == 0


class Match2Others(Match2):
    """As Match2, but j ≠ i: a token is no partner of itself (our variant)."""

    def label_probability(self) -> Fraction:
        """The exact chance that a label is 1 for uniform residues: 1 − (1 − 1/M)^{N−1}."""
        return 1 - (1 - Fraction(1, self.modulus)) ** (self.num_tokens - 1)

    def planted_places(self, batch_size: int, *, generator: torch.Generator) -> Int[Tensor, "batch order"]:
        """Two different places."""
        if self.num_tokens < 2:
            raise ValueError("a pair of two different tokens needs N ≥ 2, got N = 1")
        return super().planted_places(batch_size, generator=generator)

    def target(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """The exact answer in O(N log N): whether −x_i occurs once more than token i itself accounts for."""
        self.check(inputs)
        return occurrences(inputs, -inputs % self.modulus) > (2 * inputs % self.modulus == 0)

    def brute_force(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """All N (N − 1) pairs."""
        self.check(inputs)
        return (self._pairs(inputs) & ~torch.eye(self.num_tokens, dtype=torch.bool, device=inputs.device)).any(dim=2)


class Match3(Matching):
    """Match3(x)_i = 1 if x_i + x_j + x_k ≡ 0 (mod M) for some j and k (the paper's problem)."""

    order = 3

    @staticmethod
    def balanced_modulus(num_tokens: int) -> int:
        """The M for which about half of the labels are 1: N(N + 1)/(2 ln 2), rounded, and at least 2.

        Example:
            >>> Match3.balanced_modulus(16)
            196
        """
        require_integer("num_tokens", num_tokens, 1)
        return max(2, round(num_tokens * (num_tokens + 1) / (2 * math.log(2))))

    def label_probability(self) -> float:
        """About the chance that a label is 1 for uniform residues: 1 − exp(−N(N+1)/(2M)).

        The N(N+1)/2 sums of two tokens are counted as if they were independent. At `balanced_modulus` it is within
        0.011 of what is measured for N from 8 to 128; for fewer tokens it is a poor guide (N = 3: 0.65, not 0.49).
        """
        return -math.expm1(-self.num_tokens * (self.num_tokens + 1) / (2 * self.modulus))

    def target(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """The exact answer in O(N + M log M): whether −x_i is a sum of two residues that occur."""
        self.check(inputs)
        return (tuple_counts(inputs, self.modulus, 2) > 0).gather(1, -inputs % self.modulus)

    def brute_force(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """All N³ triples."""
        self.check(inputs)
        return triples(inputs, self.modulus).flatten(2).any(dim=2)


class Match3Bigram(Matching):
    """Match3Bigram(x)_i = 1 if x_i + x_j + x_{j+1} ≡ 0 (mod M) for some j < N. A lone token has no bigram."""

    order = 3

    def planted_places(self, batch_size: int, *, generator: torch.Generator) -> Int[Tensor, "batch order"]:
        """Two neighbours and a third token; of only two tokens the first is used twice."""
        if self.num_tokens < 2:
            raise ValueError("a bigram needs N ≥ 2, got N = 1")
        shape, source = (batch_size, 1), generator.device
        if self.num_tokens == 2:
            return torch.tensor([[0, 0, 1]], device=source).repeat(batch_size, 1)
        left = torch.randint(0, self.num_tokens - 1, shape, generator=generator, device=source)
        third = torch.randint(0, self.num_tokens - 2, shape, generator=generator, device=source)
        return torch.cat([left, left + 1, third + 2 * (third >= left)], dim=1)

    def target(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """The exact answer in O(N log N), whatever M: whether −x_i is the sum of two neighbours."""
        self.check(inputs)
        bigrams = (inputs[:, :-1] + inputs[:, 1:]) % self.modulus
        return occurrences(bigrams, -inputs % self.modulus) > 0

    def brute_force(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """All N (N − 1) tokens and bigrams."""
        self.check(inputs)
        return triples(inputs, self.modulus).diagonal(offset=1, dim1=2, dim2=3).any(dim=2)


@dataclass(frozen=True)
class Match3Local(Matching):
    """As Match3 with |i − j| ≤ K and |i − k| ≤ K; a window may be longer than the sequence.

    Raises:
        ValueError: unless N ≥ 1, M ≥ 2 and K ≥ 0.
    """

    window: int
    order: ClassVar[int] = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("window", self.window, 0)

    def planted_places(self, batch_size: int, *, generator: torch.Generator) -> Int[Tensor, "batch order"]:
        """A token and two draws, with replacement, from the others in its window; itself if there are none."""
        source = generator.device
        centre = torch.randint(0, self.num_tokens, (batch_size, 1), generator=generator, device=source)
        first = (centre - self.window).clamp(min=0)
        others = (centre + self.window).clamp(max=self.num_tokens - 1) - first
        drawn = torch.rand(batch_size, 2, generator=generator, device=source, dtype=torch.float64)
        place = first + (drawn * others).long()
        return torch.cat([torch.where(others > 0, place + (place >= centre), centre), centre], dim=1)

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

    def brute_force(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """All N³ triples, less those outside the window."""
        self.check(inputs)
        place = torch.arange(self.num_tokens, device=inputs.device)
        near = (place.unsqueeze(1) - place).abs() <= self.window
        return (triples(inputs, self.modulus) & near.unsqueeze(2) & near.unsqueeze(1)).flatten(2).any(dim=2)


def triples(inputs: Int[Tensor, "batch tokens"], modulus: int) -> Bool[Tensor, "batch tokens tokens tokens"]:
    """Whether x_i + x_j + x_k ≡ 0, for all i, j and k."""
    pairs = inputs.unsqueeze(2) + inputs.unsqueeze(1)
    return (inputs[:, :, None, None] + pairs.unsqueeze(1)) % modulus == 0


def occurrences(
    inputs: Int[Tensor, "batch some_tokens"], wanted: Int[Tensor, "batch tokens"]
) -> Int[Tensor, "batch tokens"]:
    """How often each wanted residue occurs in its sequence, by sorting: no table of M entries is needed."""
    ordered = inputs.sort(dim=1).values
    wanted = wanted.contiguous()
    return torch.searchsorted(ordered, wanted, right=True) - torch.searchsorted(ordered, wanted)


def residue_counts(inputs: Int[Tensor, "batch some_tokens"], modulus: int) -> Int[Tensor, "batch modulus"]:
    """How many tokens of each sequence have each residue."""
    counts = torch.zeros(len(inputs), modulus, dtype=torch.int64, device=inputs.device)
    return counts.scatter_add_(1, inputs, torch.ones_like(inputs))


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
    if not error <= LARGEST_ROUNDING:
        raise ValueError(
            f"{length}-tuples of {inputs.shape[1]} tokens modulo {modulus}: the convolution may be {error:.2g} away "
            f"from integers, at most {LARGEST_ROUNDING} can be rounded safely"
        )
    return rounded.long()
