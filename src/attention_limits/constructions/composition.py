"""Layers that compose functions: two small ones that fetch twice, and a large one (ours; beside a lower bound for one).

Token k ∈ {0, …, 2n} knows its entry and its position k, which is its address. In both constructions the last token
fetches g(x) from address x. The address occurs, so that δ = 1 in the lemma of `fetch`; with c from `fetch_scale` what
is read is within 1/8 of the integer that it is rounded to.

Letters: n = num_points, N = 2n + 1 tokens, c = scale.
"""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.constructions.fetch import Fetch, FetchStep, FetchTransformer, fetch_layer, fetch_scale
from attention_limits.problems.composition import Composition

#: How far what is read may be from an integer, at most.
READING_ERROR = 1 / 8
#: The registers of a token: its entry, its position, and what it read last.
ENTRY, POSITION, READ = range(3)


class Composer(FetchTransformer):
    """What both constructions share: inputs become registers, and the last token's last one is the answer."""

    def __init__(self, problem: Composition, steps: Sequence[FetchStep]) -> None:
        super().__init__(steps)
        self.problem = problem

    def registers(self, inputs: Int[Tensor, "inputs tokens"]) -> Float[Tensor, "inputs tokens 3"]:
        """(x_k, k, 0) for each token k."""
        self.problem.check(inputs)
        positions = torch.arange(self.problem.num_tokens).expand_as(inputs)
        return torch.stack([inputs, positions, torch.zeros_like(inputs)], dim=-1).double()

    def compose(self, inputs: Int[Tensor, "inputs tokens"]) -> Int[Tensor, " inputs"]:
        """f(g(x)), as the last token holds it after the last layer."""
        return cast(Tensor, self(self.registers(inputs)))[:, -1, READ].long()

    def reading_error(self, inputs: Int[Tensor, "inputs tokens"]) -> float:
        """The most by which an output of the last token, in any layer, is off an integer before it is rounded."""
        outputs = [attended.output[:, -1] for _, attended, _ in self.run(self.registers(inputs))]
        return max((output - output.round()).abs().max().item() for output in outputs)


class CompositionTransformer(Composer):
    """Two layers of one head, m = 2, values of one coordinate, a residual connection.

    In layer 1 the last token asks for the address x and reads g(x); in layer 2 it asks for n + g(x) and reads f(g(x)).
    The other tokens ask by the same rule, for what nobody needs.

    Args:
        problem: n.
        scale: c, a power of two; by default the one that is proved to be enough.
    """

    def __init__(self, problem: Composition, scale: float | None = None) -> None:
        def inner(registers: Tensor) -> list[Fetch]:
            return [_fetch_entry(registers, registers[..., ENTRY])]

        def outer(registers: Tensor) -> list[Fetch]:
            return [_fetch_entry(registers, problem.num_points + registers[..., READ])]

        def keep(registers: Tensor, outputs: Tensor) -> Tensor:
            return torch.cat([registers[..., :READ], outputs.round()], dim=-1)

        self.scale = proved_scale(problem) if scale is None else scale
        super().__init__(problem, [FetchStep(fetch_layer([1], self.scale), ask, keep) for ask in (inner, outer)])


class OneLayerComposition(Composer):
    """One layer of two heads, with values of n + 1 coordinates.

    Head 1 fetches g(x). In head 2 all tokens share the address that is asked for, so that each takes the plain mean;
    the token that holds f(j) has the value N f(j) in slot j and 0 elsewhere, and the mean is the whole table of f. The
    last token then looks up f at g(x) by itself.
    """

    def __init__(self, problem: Composition) -> None:
        n, size = problem.num_points, problem.num_tokens

        def ask(registers: Tensor) -> list[Fetch]:
            entry, position = registers[..., ENTRY], registers[..., POSITION]
            slots = torch.nn.functional.one_hot(position.long(), size)[..., n : 2 * n]
            nowhere = torch.zeros_like(entry)
            return [_fetch_entry(registers, entry), Fetch(nowhere, nowhere, size * entry.unsqueeze(-1) * slots)]

        def keep(registers: Tensor, outputs: Tensor) -> Tensor:
            return torch.cat([registers[..., :READ], self.look_up(outputs).unsqueeze(-1)], dim=-1)

        super().__init__(problem, [FetchStep(fetch_layer([1, n], proved_scale(problem)), ask, keep)])

    def look_up(self, outputs: Float[Tensor, "*batch value_dim"]) -> Float[Tensor, "*batch"]:
        """f(g(x)) from the output (g(x), f(0), …, f(n − 1)), right where each coordinate is off by less than 1/2."""
        rounded = outputs.round().clamp(0, self.problem.num_points - 1)
        return rounded[..., 1:].gather(-1, rounded[..., :1].long()).squeeze(-1)


def _fetch_entry(registers: Tensor, target: Tensor) -> Fetch:
    return Fetch(target, registers[..., POSITION], registers[..., ENTRY : ENTRY + 1])


def proved_scale(problem: Composition) -> float:
    """c, the least power of two with (N − 1)(n − 1) e^{−c} ≤ 1/8."""
    return fetch_scale(problem.num_tokens, spread=problem.num_points - 1, error=READING_ERROR)


def composition_bits(num_points: int) -> int:
    """p: the bits that hold all queries, keys and values of `CompositionTransformer` exactly, on every input.

    The largest entries are the key (2n)² and a query 2c (2n − 1), both integers: a sign and the digits of the larger.

    Example: at n = 4,096 the key 2^26 has 27 digits.
        >>> composition_bits(4096)
        28
    """
    scale = int(proved_scale(Composition(num_points)))
    return 1 + max((2 * num_points) ** 2, 2 * scale * (2 * num_points - 1)).bit_length()
