"""Fetch by address: heads with m = 2 that bring a token what the tokens at a wanted address hold (ours).

Token j publishes an address a_j as its key (a_j, a_j²) and a vector v_j as its value. A token that wants the address t
asks with the query c (2t, −1). The score c (2 t a_j − a_j²) = c t² − c (a_j − t)² falls with the distance from t.

**Lemma (fetch).** Let J be the tokens whose address is nearest to t, and let (a_j − t)² be larger by at least δ for all
others. If a coordinate of the values lies in an interval of length D, then that coordinate of the output differs from
its mean over J by at most ((N − |J|)/|J|) e^{−cδ} D.

*Proof.* Measured by the weight of a token of J, each other token weighs at most e^{−cδ}. So the others have a share of
w ≤ (N − |J|) e^{−cδ}/|J| of the whole weight, and the output is (1 − w) times the mean over J plus w times a mean over
the others, which is at most D from it. ∎

Addresses are integers here. An address t that occurs has δ = 1: the next addresses are at squared distance 1 or more.
Asked for at t − 1/4, the addresses t, t − 1, t + 1, t − 2, … have the squared distances 1/16, 9/16, 25/16, 49/16, …:
all different, so that **the nearest address is unique whatever occurs**, and δ ≥ 1/2. A token that asks like this and
reads the address too learns whether t occurs at all.

Targets are multiples of 1/4, and the scale c is a power of two from 1 on: so all queries and keys are multiples of 1/2,
and the bits that hold them exactly are counted, not estimated. Scores are exact in float64, or refused.

Heads are summed (Definition 2), so that each writes into coordinates of its own. Under a mask a token sees the
addresses that it may see, and the lemma holds for these.

Letters: N tokens, H heads, t = target, a = address, v = values, c = scale, δ = gap, D = spread.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from attention_limits.fixed_point import FixedPoint, PrecisionError
from attention_limits.hypotheses import require_integer
from attention_limits.models.attention import Attended, Attending, MultiHeadAttention, SelfAttentionUnit

#: δ: at an integer target whose address occurs, and at a quarter below an integer, whatever occurs.
GAP_AT_ADDRESS, GAP_AT_QUARTER = 1.0, 0.5
#: Largest integer up to which float64 holds all integers.
LARGEST_EXACT = 2**53


class Fetch(NamedTuple):
    """What each token gives to one head, all in float64."""

    #: t, multiples of 1/4. A token that wants nothing may ask for any.
    target: Float[Tensor, "batch tokens"]
    #: a, integers.
    address: Float[Tensor, "batch tokens"]
    values: Float[Tensor, "batch tokens value_dim"]


def leakage(
    num_tokens: int, scale: float, *, spread: int | float, gap: float = GAP_AT_ADDRESS, nearest: int = 1
) -> float:
    """((N − |J|)/|J|) e^{−cδ} D, the most by which a fetched coordinate differs from the mean at the nearest address.

    Args:
        num_tokens: N.
        scale: c.
        spread: D, the length of an interval that holds this coordinate of all values.
        gap: δ.
        nearest: |J|, at least so many tokens share the nearest address.
    """
    require_integer("num_tokens", num_tokens, 1)
    require_integer("nearest", nearest, 1)
    if nearest > num_tokens:
        raise ValueError(f"nearest must be at most N = {num_tokens}, got {nearest}")
    return (num_tokens - nearest) / nearest * math.exp(-scale * gap) * spread


def fetch_scale(num_tokens: int, *, spread: int | float, error: float, gap: float = GAP_AT_ADDRESS) -> float:
    """The least power of two c ≥ 1 for which the `leakage` is at most ``error``, however many share an address.

    Example: 9 tokens with values 0…3; 8 · 3 · e^{−8} is below 1/8, with e^{−4} it is not.
        >>> fetch_scale(9, spread=3, error=1 / 8)
        8.0
    """
    for name, value in (("error", error), ("gap", gap)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {value}")
    if not 0 <= spread < math.inf:
        raise ValueError(f"spread must be at least 0 and finite, got {spread}")
    scale = 1.0
    while leakage(num_tokens, scale, spread=spread, gap=gap) > error:
        scale *= 2
    return scale


def fetch_layer(value_dims: Sequence[int], scale: float) -> MultiHeadAttention:
    """A layer of fetching heads, in float64, for tokens of `fetch_tokens`: H = len(value_dims), m = 2.

    Head h reads block h of a token, (t, 1, a, a², v), and writes into the coordinates that follow those of the heads
    before it; d' is the sum of ``value_dims``.

    Raises:
        ValueError: if ``scale`` is no power of two, or a head has no value.
    """
    if not (0 < scale < math.inf and math.frexp(scale)[0] == 0.5):
        raise ValueError(f"scale c must be a power of two, got {scale}")
    for value_dim in value_dims:
        require_integer("value_dims's entries", value_dim, 1)
    model_dim, width = sum(4 + value_dim for value_dim in value_dims), sum(value_dims)
    heads, block, slot = [], 0, 0
    for value_dim in value_dims:
        query, key = torch.zeros(2, model_dim, 2, dtype=torch.float64)
        value = torch.zeros(model_dim, width, dtype=torch.float64)
        query[block, 0], query[block + 1, 1] = 2 * scale, -scale
        key[block + 2, 0] = key[block + 3, 1] = 1
        value[block + 4 : block + 4 + value_dim, slot : slot + value_dim] = torch.eye(value_dim)
        heads.append(SelfAttentionUnit.from_matrices(query, key, value))
        block, slot = block + 4 + value_dim, slot + value_dim
    return MultiHeadAttention(heads)


def fetch_tokens(fetches: Sequence[Fetch]) -> Float[Tensor, "batch tokens model_dim"]:
    """The tokens that enter a `fetch_layer`: for each head (t, 1, a, a², v).

    Raises:
        ValueError: if an address is no integer, or a target no multiple of 1/4.
        PrecisionError: if scores would not be exact in float64.
    """
    blocks = []
    for target, address, values in fetches:
        for name, numbers, unit in (("address", address, 1), ("target", target, 4)):
            scaled = unit * numbers.double()
            broken = scaled != scaled.round()
            if bool(broken.any()):
                asked = "an integer" if unit == 1 else "a multiple of 1/4"
                raise ValueError(f"{name} must be {asked}, got {numbers[broken].flatten()[0].item()}")
        _require_exact_scores(target, address)
        scalars = torch.stack([target, torch.ones_like(target), address, address.square()], dim=-1)
        blocks += [scalars, values]
    return torch.cat(blocks, dim=-1).double()


def _require_exact_scores(target: Tensor, address: Tensor) -> None:
    """2ta − a² is a multiple of 1/2 (of 1 if 2t is an integer): exact while |2ta| + a² is at most 2^53 of these."""
    wanted, published = target.abs().max().item(), address.abs().max().item()
    unit = 1.0 if bool((2 * target == (2 * target).round()).all()) else 0.5
    if published**2 + 2 * wanted * published > LARGEST_EXACT * unit:
        raise PrecisionError(
            f"addresses up to {published:g} and targets up to {wanted:g} have scores that are not exact in float64"
        )


def entry_format(layer: MultiHeadAttention, tokens: Float[Tensor, "batch tokens model_dim"]) -> FixedPoint:
    """The fixed-point format of fewest bits that holds every entry of every head's queries, keys and values exactly.

    Its fractional bits are the fewest that do, its integer bits those of the largest entry.

    Raises:
        PrecisionError: if more than 52 bits and a sign would be needed.
    """
    projected = [tokens @ matrix for head in _heads(layer) for matrix in (head.query, head.key, head.value)]
    largest = max(entries.abs().max().item() for entries in projected)
    for fraction in range(53):
        if all(bool(torch.equal(x * 2.0**fraction, (x * 2.0**fraction).round())) for x in projected):
            if largest * 2.0**fraction < 2**52:
                return FixedPoint.holding(largest, fraction)
            break
    raise PrecisionError(f"entries up to {largest:g} do not fit into 52 bits and a sign")


class FetchStep(NamedTuple):
    """A layer between two token-wise maps that see what a token kept, its registers: a residual connection."""

    layer: MultiHeadAttention
    #: Registers ↦ what each token gives to each head.
    ask: Callable[[Tensor], Sequence[Fetch]]
    #: Registers and the layer's outputs ↦ the next registers.
    keep: Callable[[Tensor, Tensor], Tensor]


class FetchTransformer(Attending):
    """Layers of fetching heads, one after the other, on registers (batch, tokens, registers) in float64.

    It is a transformer of Definition 3 with a residual connection: token-wise maps also see what the token had before
    the layer. Without one, each layer takes one head more, with which a token looks at itself by its position and
    copies its registers.
    """

    def __init__(self, steps: Sequence[FetchStep]) -> None:
        super().__init__()
        if len(steps) < 1:
            raise ValueError("a transformer needs at least one layer, got none")
        self.steps = tuple(steps)
        self.layers = nn.ModuleList(step.layer for step in steps)

    @property
    def depth(self) -> int:
        """D."""
        return len(self.steps)

    @property
    def num_heads(self) -> int:
        """H, of the layer that has the most."""
        return max(len(_heads(step.layer)) for step in self.steps)

    @property
    def embed_dim(self) -> int:
        """m, the columns of Q and K."""
        return max(head.embed_dim for step in self.steps for head in _heads(step.layer))

    @property
    def width(self) -> int:
        """d', the value coordinates of the widest layer, all heads together."""
        return max(_heads(step.layer)[0].value.shape[1] for step in self.steps)

    def run(self, registers: Tensor, mask: Tensor | None = None) -> Iterator[tuple[Tensor, Attended, Tensor]]:
        """For each layer: the tokens that enter it, its output and attention, and the registers after it."""
        for step in self.steps:
            tokens = fetch_tokens(step.ask(registers))
            attended = step.layer.attend(tokens, mask)
            registers = step.keep(registers, attended.output)
            yield tokens, attended, registers

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens registers"],
        return_attention: bool = False,
        *,
        mask: Bool[Tensor, "*#batch tokens tokens"] | None = None,
    ) -> Tensor | Attended:
        """The last registers; only with ``return_attention`` all attention matrices are held at once."""
        if return_attention:
            return self.attend(tokens, mask)
        for step in self.steps:
            tokens = step.keep(tokens, step.layer(fetch_tokens(step.ask(tokens)), mask=mask))
        return tokens

    def attend(
        self,
        tokens: Float[Tensor, "batch tokens registers"],
        mask: Bool[Tensor, "*#batch tokens tokens"] | None = None,
    ) -> Attended:
        """The last registers, and for each layer its attention (batch, heads, tokens, tokens); all share the mask."""
        trace = list(self.run(tokens, mask))
        return Attended(trace[-1][2], tuple(cast(Tensor, attended.attention) for _, attended, _ in trace))

    def formats(
        self,
        registers: Float[Tensor, "batch tokens registers"],
        mask: Bool[Tensor, "*#batch tokens tokens"] | None = None,
    ) -> list[FixedPoint]:
        """For each layer, the format that holds all its queries, keys and values on these inputs exactly."""
        run = self.run(registers, mask)
        return [entry_format(step.layer, tokens) for step, (tokens, _, _) in zip(self.steps, run, strict=True)]


def _heads(layer: MultiHeadAttention) -> list[SelfAttentionUnit]:
    return [cast(SelfAttentionUnit, head) for head in layer.heads]
