"""Two layers that compose functions: fetch g(x), then fetch f there (ours; beside the lower bound for one layer).

Token k ∈ {0, …, 2n} knows its value and its position k, which is its address. In layer 1 the last token asks for the
address x and reads g(x); in layer 2 it asks for n + g(x) and reads f(g(x)). Both addresses occur, so that δ = 1 in the
lemma of `fetch`; with c from `fetch_scale` what is read is within 1/8 of the integer that it is rounded to.

Letters: n = num_points, N = 2n + 1 tokens, c = scale.
"""

from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.constructions.fetch import Fetch, FetchStep, FetchTransformer, fetch_layer, fetch_scale
from attention_limits.problems.composition import Composition

#: How far what is read may be from an integer, at most.
READING_ERROR = 1 / 8
#: The registers of a token: its value, its position, and what it read last.
VALUE, POSITION, READ = range(3)


class CompositionTransformer(FetchTransformer):
    """Depth 2, one head, m = 2, values of one coordinate, a residual connection; the last token answers.

    Args:
        problem: n.
        scale: c, a power of two; by default the one that is proved to be enough.
    """

    def __init__(self, problem: Composition, scale: float | None = None) -> None:
        n = problem.num_points
        if scale is None:
            scale = fetch_scale(problem.num_tokens, spread=n - 1, error=READING_ERROR)

        def inner(registers: Tensor) -> list[Fetch]:
            return [_fetch(registers, registers[..., VALUE])]

        def outer(registers: Tensor) -> list[Fetch]:
            return [_fetch(registers, n + registers[..., READ])]

        super().__init__([FetchStep(fetch_layer([1], scale), ask, _keep) for ask in (inner, outer)])
        self.problem, self.scale = problem, scale

    def registers(self, inputs: Int[Tensor, "inputs tokens"]) -> Float[Tensor, "inputs tokens 3"]:
        """(x_k, k, 0) for each token k."""
        self.problem.check(inputs)
        positions = torch.arange(self.problem.num_tokens).expand_as(inputs)
        return torch.stack([inputs, positions, torch.zeros_like(inputs)], dim=-1).double()

    def compose(self, inputs: Int[Tensor, "inputs tokens"]) -> Int[Tensor, " inputs"]:
        """f(g(x)), as the last token reads it in the last layer."""
        return cast(Tensor, self(self.registers(inputs)))[:, -1, READ].long()

    def reading_error(self, inputs: Int[Tensor, "inputs tokens"]) -> float:
        """The most by which what the last token reads, in any layer, is off an integer before it is rounded."""
        errors = [
            (attended.output[:, -1] - attended.output[:, -1].round()).abs().max().item()
            for _, attended, _ in self.run(self.registers(inputs))
        ]
        return max(errors)


def _fetch(registers: Tensor, target: Tensor) -> Fetch:
    return Fetch(target, registers[..., POSITION], registers[..., VALUE : VALUE + 1])


def _keep(registers: Tensor, outputs: Tensor) -> Tensor:
    return torch.cat([registers[..., :READ], outputs.round()], dim=-1)


def composition_bits(num_points: int) -> int:
    """p: the bits that hold all queries, keys and values of both layers on every input exactly (ours).

    The largest entries are the key (2n)² and a query 2c (2n − 1), both integers: a sign and the digits of the larger.

    Example: at n = 4,096 the key 2^26 has 27 digits.
        >>> composition_bits(4096)
        28
    """
    problem = Composition(num_points)
    scale = fetch_scale(problem.num_tokens, spread=num_points - 1, error=READING_ERROR)
    return 1 + max((2 * num_points) ** 2, int(2 * scale) * (2 * num_points - 1)).bit_length()
