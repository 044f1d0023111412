"""Function composition: given two functions on n points as tables, and a point x, find f(g(x)).

An input is a row of 2n + 1 integers below n: g(0), …, g(n − 1), then f(0), …, f(n − 1), then x. The last token answers.

Letters: n = num_points, N = 2n + 1 = num_tokens.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from attention_limits.hypotheses import require_integer


@dataclass(frozen=True)
class Composition:
    """f(g(x)) for f, g: [n] → [n] and x in [n].

    Raises:
        ValueError: unless n ≥ 1.

    Example: g = (1, 2, 0), f = (2, 0, 0), x = 1.
        >>> Composition(3).target(torch.tensor([[1, 2, 0, 2, 0, 0, 1]])).tolist()
        [0]
    """

    num_points: int

    def __post_init__(self) -> None:
        require_integer("num_points", self.num_points, 1)

    @property
    def num_tokens(self) -> int:
        """N = 2n + 1."""
        return 2 * self.num_points + 1

    def sample(self, num_inputs: int, *, generator: torch.Generator) -> Int[Tensor, "inputs tokens"]:
        """Uniform f, g and x."""
        require_integer("num_inputs", num_inputs, 1)
        return torch.randint(self.num_points, (num_inputs, self.num_tokens), generator=generator)

    def all_inputs(self) -> Int[Tensor, "inputs tokens"]:
        """All n^(2n+1) inputs.

        Raises:
            ValueError: for n > 4, where there are more than 48 million.
        """
        if self.num_points > 4:
            raise ValueError(f"all inputs are listed for n ≤ 4 only, got n = {self.num_points}")
        return all_rows(self.num_points, self.num_tokens)

    def check(self, inputs: Int[Tensor, "inputs tokens"]) -> None:
        """Refuse rows of another length, and entries outside 0 … n − 1."""
        if inputs.shape[-1] != self.num_tokens:
            raise ValueError(f"inputs must have 2n + 1 = {self.num_tokens} tokens, got {inputs.shape[-1]}")
        if bool(((inputs < 0) | (inputs >= self.num_points)).any()):
            raise ValueError(f"tokens must lie in 0…{self.num_points - 1}")

    def target(self, inputs: Int[Tensor, "inputs tokens"]) -> Int[Tensor, " inputs"]:
        """f(g(x)), looked up."""
        self.check(inputs)
        inner, outer, point = inputs.split([self.num_points, self.num_points, 1], dim=-1)
        return outer.gather(-1, inner.gather(-1, point)).squeeze(-1)


def all_rows(base: int, length: int) -> Int[Tensor, "rows length"]:
    """All rows of ``length`` digits below ``base``, in order."""
    require_integer("base", base, 1)
    require_integer("length", length, 1)
    codes = torch.arange(base**length).unsqueeze(1)
    return codes // base ** torch.arange(length - 1, -1, -1) % base
