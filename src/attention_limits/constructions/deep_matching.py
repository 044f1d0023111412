"""What the deep constructions for Match3 share: layers that label each token, their sizes, and what is exact.

Token i starts with its residue x_i and knows its position i, as every token-wise map may. Each layer is a
`fetch_layer`: m = 2, one address and one question a head. What is read is a mean that is known to be a multiple of a
unit, and is rounded to it by the map after the layer; both the leakage and the rounding of float64 stay below an
eighth of a unit.

Letters: N = num_tokens, M = modulus, s = order, w = width of a block, p = bits, H heads, d' = width.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attention_limits.constructions.fetch import Fetch, FetchStep, FetchTransformer, fetch_scale
from attention_limits.fixed_point import PrecisionError
from attention_limits.problems.matching import Matching

#: How far leakage, and the rounding of float64, may each move a number that is then rounded to an integer.
READING_ERROR = 1 / 8
#: An address for tokens that have nothing to tell: nobody asks for it.
NOWHERE = -2
#: Attention weights that are held at once, N² for each input.
HELD_WEIGHTS = 2**22


class Sizes(NamedTuple):
    """What a construction takes, from formulas alone; m = 2 in every layer."""

    depth: int
    #: H of the layer that has the most.
    num_heads: int
    #: d' of the widest layer, all heads together.
    width: int
    #: p: a fixed-point number of so many bits, sign included, holds each entry of every query, key and value exactly.
    bits: int

    @property
    def layer_bits(self) -> int:
        """(d' + H) p: what a layer brings to a token, at most: a sum a coordinate, and a normaliser a head."""
        return (self.width + self.num_heads) * self.bits


class DeepMatcher(FetchTransformer):
    """Layers that answer a matching problem: the last register of each token is not 0 where its label is 1."""

    def __init__(self, problem: Matching, sizes: Sizes, steps: Sequence[FetchStep]) -> None:
        super().__init__(steps)
        self.problem, self.sizes = problem, sizes

    def registers(self, inputs: Int[Tensor, "inputs tokens"]) -> Float[Tensor, "inputs tokens 1"]:
        """(x_i) for each token i; positions are known to the maps."""
        self.problem.check(inputs)
        return inputs.unsqueeze(-1).double()

    def labels(self, inputs: Int[Tensor, "inputs tokens"]) -> Bool[Tensor, "inputs tokens"]:
        """The label of each token, a few inputs at a time."""
        batches = self.registers(inputs).split(max(1, HELD_WEIGHTS // inputs.shape[1] ** 2))
        return torch.cat([cast(Tensor, self(batch))[..., -1] != 0 for batch in batches])


def reading_scale(num_tokens: int, largest: int) -> float:
    """c for questions at occurring integers: the leakage times the tokens that share an address is at most 1/8.

    With |J| tokens at the address the leakage is at most (N − |J|)/|J| e^{−c} D, so that times |J| it stays below
    (N − 1) e^{−c} D ≤ 1/8. At least 2, as for questions at a quarter below an integer.

    Args:
        num_tokens: N.
        largest: D, values lie in 0…D.
    """
    return max(2.0, fetch_scale(num_tokens, spread=largest, error=READING_ERROR))


def entry_bits(largest: int) -> int:
    """p for integers up to ``largest``: a sign and their digits. A question at u − 1/4 is c (2u − 1/2), an integer.

    Example:
        >>> entry_bits(2**20)
        22
    """
    return 1 + largest.bit_length()


def largest_readable(num_tokens: int, multiple: int = 1) -> int:
    """The largest V so that means of values up to V, times ``multiple``, are within 1/8 as computed in float64.

    Scores are exact. An exponential, a sum of N of them, a quotient and a sum of N products are each off by few units
    of 2^−53: at most 2N + 6 together, measured by V.
    """
    return int(2**50 // ((2 * num_tokens + 6) * multiple))


def require_modulus(problem: Matching, largest: int) -> None:
    """Refuse a modulus that float64 does not hold.

    Raises:
        PrecisionError: naming the largest that works.
    """
    if problem.modulus > largest:
        raise PrecisionError(
            f"float64 does not hold what M = {problem.modulus} needs at N = {problem.num_tokens}: "
            f"the largest M that works is {largest}"
        )


def in_slots(
    values: Float[Tensor, "inputs tokens"], slot: Int[Tensor, "... tokens"], num_slots: int
) -> Float[Tensor, "inputs tokens num_slots"]:
    """Each token's value in its own slot, 0 in the others. A mean of these is a list, divided by how many took part."""
    spread = torch.zeros(*values.shape, num_slots, dtype=torch.float64)
    return spread.scatter_(-1, slot.expand(values.shape).unsqueeze(-1), values.unsqueeze(-1))


def block_lists(
    outputs: Float[Tensor, "inputs tokens lists_slots"], sizes: Int[Tensor, "... tokens lists"]
) -> list[Int[Tensor, "inputs tokens slots"]]:
    """Means over blocks, a slot a member, times the blocks' sizes: their lists, with −1 where a block has no member."""
    means = outputs.unflatten(-1, (sizes.shape[-1], -1))
    members = (means * sizes.unsqueeze(-1)).round().long()
    there = torch.arange(means.shape[-1]) < sizes.unsqueeze(-1)
    return list(torch.where(there, members, -1).unbind(-2))


class PositionBlocks:
    """Tokens in blocks of w positions, and others that read some of these blocks and tell the tokens of the first.

    Args:
        num_tokens: N.
        block: w.
        read: the blocks that each of the first tokens reads, as many for each. The others read too, and tell nobody.
    """

    def __init__(self, num_tokens: int, block: int, read: Sequence[tuple[int, ...]]) -> None:
        position, idle = torch.arange(num_tokens), num_tokens - len(read)
        self.width, self._block, self._slot = block, position // block, position % block
        self.read = torch.tensor([*read, *[(0,) * len(read[0])] * idle])  # (tokens, lists)
        self._told = torch.tensor([blocks[0] for blocks in read] + [NOWHERE] * idle).double()
        self._size = self._block.bincount()

    def ask_lists(self, registers: Float[Tensor, "inputs tokens registers"]) -> list[Fetch]:
        """Each token publishes x_i in its slot, and asks for its blocks."""
        residue = registers[..., 0]
        values, address = in_slots(residue, self._slot, self.width), self._block.double().expand(residue.shape)
        return [Fetch(block.double().expand(residue.shape), address, values) for block in self.read.unbind(-1)]

    def lists(self, outputs: Float[Tensor, "inputs tokens lists_slots"]) -> list[Int[Tensor, "inputs tokens slots"]]:
        """What these blocks hold, from the means over them."""
        return block_lists(outputs, self._size[self.read])

    def ask_told(self, registers: Float[Tensor, "inputs tokens registers"]) -> list[Fetch]:
        """Each token tells what stands after x_i, and asks for what its own block is told."""
        shape = registers.shape[:-1]
        return [Fetch(self._block.double().expand(shape), self._told.expand(shape), registers[..., 1:])]

    def own(self, told: Float[Tensor, "inputs tokens slots"]) -> Float[Tensor, "inputs tokens 1"]:
        """Each token's part of what its block was told."""
        return told.gather(-1, self._slot.expand(told.shape[:-1]).unsqueeze(-1))


def occurring(outputs: Float[Tensor, "*batch slots"], wanted: Float[Tensor, "*others"], num_tokens: int) -> Tensor:
    """Which bits are set at the wanted address: by 1/N of its tokens or more, if the address, read last, is that."""
    there = (outputs[..., -1:] - wanted).abs() < 0.5
    return (outputs[..., :-1] > 1 / (2 * num_tokens)) & there


def completed(
    lists: Sequence[Int[Tensor, "inputs tokens slots"]],
    total: Int[Tensor, "... 1"] | int,
    modulus: int | None = None,
) -> Bool[Tensor, "inputs tokens slots"]:
    """Whether a member of each token's first list, one of its second and one of its third add up to a total.

    A token does this by itself, with the third list sorted, in O(w² log w) steps. Absent entries are −1.

    Args:
        lists: three lists of residues; the members of the first ask.
        total: K, for each token or for all.
        modulus: M, if the sum is meant modulo M.
    """
    members, second, third = lists
    ordered = third.sort(dim=-1).values
    found = torch.zeros_like(members, dtype=torch.bool)
    for place in range(second.shape[-1]):
        other = second[..., place : place + 1]
        wanted = total - members - other
        wanted = wanted if modulus is None else wanted % modulus
        wanted = torch.where((other < 0) | (members < 0) | (wanted < 0), -2, wanted)  # nothing is −2
        near = torch.searchsorted(ordered, wanted).clamp(max=ordered.shape[-1] - 1)
        found |= ordered.gather(-1, near) == wanted
    return found
