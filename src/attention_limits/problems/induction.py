"""Induction heads and hop_k: what followed the last time that the own symbol was seen, and so on k times.

An input is a row of N symbols below S, at the places 1 … N. One hop leads from place i to the place after the last
earlier one that holds the symbol of i:

    find(i) = max({0} ∪ {2 ≤ j ≤ i : X_{j−1} = X_i}),    find(0) = 0.

(Definition 4.1 of Sanford, Hsu and Telgarsky, arXiv 2402.09268.) Place 0 stands for "none", and `NONE` for the symbol
there. *hop_k* asks each place for the symbol k hops away; *induction heads* asks the last place for one hop.

Letters: N = num_tokens, S = num_symbols, k = num_hops.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from attention_limits.hypotheses import require_integer
from attention_limits.problems.composition import all_rows

#: The answer where a hop finds nothing.
NONE = -1
#: Rows that `all_inputs` lists at most.
MOST_ROWS = 2_000_000


@dataclass(frozen=True)
class SymbolStrings:
    """Strings of N symbols below S, as rows of integers.

    Raises:
        ValueError: unless N ≥ 1 and S ≥ 1.
    """

    num_tokens: int
    num_symbols: int

    def __post_init__(self) -> None:
        require_integer("num_tokens", self.num_tokens, 1)
        require_integer("num_symbols", self.num_symbols, 1)

    def sample(self, num_inputs: int, *, generator: torch.Generator) -> Int[Tensor, "inputs tokens"]:
        """Uniform symbols."""
        require_integer("num_inputs", num_inputs, 1)
        return torch.randint(self.num_symbols, (num_inputs, self.num_tokens), generator=generator)

    def all_inputs(self) -> Int[Tensor, "inputs tokens"]:
        """All S^N strings.

        Raises:
            ValueError: if there are more than `MOST_ROWS`.
        """
        if self.num_symbols**self.num_tokens > MOST_ROWS:
            raise ValueError(f"S^N = {self.num_symbols}^{self.num_tokens} strings are more than {MOST_ROWS:,}")
        return all_rows(self.num_symbols, self.num_tokens)

    def check(self, inputs: Int[Tensor, "inputs tokens"]) -> None:
        """Refuse rows of another length, and symbols outside 0 … S − 1."""
        if inputs.shape[-1] != self.num_tokens:
            raise ValueError(f"inputs must have N = {self.num_tokens} tokens, got {inputs.shape[-1]}")
        outside = inputs[(inputs < 0) | (inputs >= self.num_symbols)]
        if len(outside):
            raise ValueError(f"symbols must lie in 0…{self.num_symbols - 1}, got {outside[0].item()}")


@dataclass(frozen=True)
class InductionHeads(SymbolStrings):
    """The symbol that followed the last earlier one like the last token's; `NONE` if there was none.

    Example: the last 0 before the end is followed by 2.
        >>> InductionHeads(5, 3).target(torch.tensor([[0, 1, 0, 2, 0]])).tolist()
        [2]
    """

    def target(self, inputs: Int[Tensor, "inputs tokens"]) -> Int[Tensor, " inputs"]:
        """X_{find(N)}, by a look at all tokens."""
        self.check(inputs)
        places = torch.arange(self.num_tokens - 1)
        last = torch.where(inputs[:, :-1] == inputs[:, -1:], places, -1)
        if self.num_tokens == 1:
            return torch.full_like(inputs[:, 0], NONE)
        found = last.amax(dim=1)
        return torch.where(found < 0, NONE, inputs.gather(1, found.unsqueeze(1) + 1).squeeze(1))


@dataclass(frozen=True)
class Hops(SymbolStrings):
    """hop_k: the symbol k hops before each place; `NONE` where a hop finds nothing.

    Raises:
        ValueError: unless N ≥ 1, S ≥ 1 and k ≥ 1.

    Example: from the last place one hop leads to place 4 and two lead to place 3.
        >>> x = torch.tensor([[0, 2, 1, 2, 0, 1, 2]])
        >>> Hops(7, 3, 1).places(x)[0, -1].item(), Hops(7, 3, 2).places(x)[0, -1].item()
        (5, 2)
    """

    num_hops: int

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("num_hops", self.num_hops, 1)

    def first_hop(self, inputs: Int[Tensor, "inputs tokens"]) -> Int[Tensor, "inputs places"]:
        """find(i) for the places i = 0 … N, in N log N steps: equal symbols become neighbours when they are sorted."""
        self.check(inputs)
        symbols, order = inputs.sort(dim=1, stable=True)
        same = symbols[:, 1:] == symbols[:, :-1]
        found = torch.where(same, order[:, :-1] + 2, 0)  # the place after, counted from 1
        return torch.zeros(len(inputs), self.num_tokens + 1, dtype=torch.int64).scatter(1, order[:, 1:] + 1, found)

    def places(self, inputs: Int[Tensor, "inputs tokens"]) -> Int[Tensor, "inputs tokens"]:
        """find^k(i) for the places i = 1 … N."""
        hop = self.first_hop(inputs)
        reached = hop
        for _ in range(self.num_hops - 1):
            reached = hop.gather(1, reached)
        return reached[:, 1:]

    def target(self, inputs: Int[Tensor, "inputs tokens"]) -> Int[Tensor, "inputs tokens"]:
        """X at find^k(i) for each token i."""
        none = torch.full_like(inputs[:, :1], NONE)
        return torch.cat([none, inputs], dim=1).gather(1, self.places(inputs))

    def sample_moving(self, num_inputs: int, *, generator: torch.Generator) -> Int[Tensor, "inputs tokens"]:
        """Uniform strings without two equal neighbours: each hop leads to an earlier place.

        In a uniform string one token in S stands still: find(i) = i where X_{i−1} = X_i.

        Raises:
            ValueError: unless S ≥ 2.
        """
        require_integer("num_inputs", num_inputs, 1)
        if self.num_symbols < 2:
            raise ValueError(f"strings without equal neighbours need S ≥ 2 symbols, got {self.num_symbols}")
        first = torch.randint(self.num_symbols, (num_inputs, 1), generator=generator)
        steps = torch.randint(1, self.num_symbols, (num_inputs, self.num_tokens - 1), generator=generator)
        return torch.cat([first, steps], dim=1).cumsum(dim=1) % self.num_symbols

    def sample_chains(self, num_inputs: int, *, generator: torch.Generator) -> Int[Tensor, "inputs tokens"]:
        """Chains: s₁ s₀ s₂ s₁ s₃ s₂ … with different symbols, so that hops lead two places back.

        If N = 2m + 1, the last token is s_m, its first hop leads one place back, and its answer is s_{m−k}: it tells
        how many hops were made, up to m of them.

        Raises:
            ValueError: unless S ≥ ⌊N/2⌋ + 1, so that the symbols differ.
        """
        require_integer("num_inputs", num_inputs, 1)
        need = self.num_tokens // 2 + 1
        if self.num_symbols < need:
            raise ValueError(
                f"a chain of N = {self.num_tokens} tokens needs S ≥ {need} symbols, got {self.num_symbols}: "
                f"at most {2 * self.num_symbols - 1} tokens"
            )
        places = torch.arange(self.num_tokens)
        steps = torch.where(places % 2 == 0, places // 2 + 1, places // 2)
        if self.num_tokens % 2 == 1:
            steps[-1] -= 1  # the last symbol of the chain once more, without a pair of its own
        names = torch.rand(num_inputs, self.num_symbols, generator=generator).argsort(dim=1)
        return names[:, steps]
