"""One layer of Strassen attention for Match3: two heads, queries and keys of four coordinates, or of five integers.

The head for T looks for pairs with x_i + x_j + x_k = T, T = M or 2M; other multiples of M are sums only if x_i = 0, and
then the label is 1. Its score is −c (S − T + 1/4)² but for a function of i, S = x_i + x_j + x_k. The quarter makes the
values of the square different for all integers S: T has 1/16, T − 1 has 9/16, T + 1 has 25/16, and so on. So the best
pairs of a token all have one and the same S, and their x_j + x_k is S − x_i, whatever else occurs.

Letters: N = num_tokens, M = modulus, m = embed_dim, c = scale, q = x − (T − 1/4)/3.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from attention_limits.models.strassen_attention import PairScores, over_pairs, pair_scores
from attention_limits.problems.matching import Match3

#: How far the sum of a head's two outputs may be off and the label is still right.
OUTPUT_TOLERANCE = 0.5
#: c of the form in integers: (12 q)²/2 = 72 q².
INTEGER_SCALE = 72.0

Attend = Callable[[PairScores, Tensor, Tensor], Tensor]


class Match3StrassenLayer(nn.Module):
    """Residues (batch, tokens) → labels (batch, tokens), in float64; a residual connection keeps x_i.

    Each head has the values (x_j, 1) ∘ (1, x_k) and writes into two coordinates of its own.

    Attributes:
        embed_dim: m, 4, or 5 in integers.
        scale: c; 2 ln(16 N² M), or 72 in integers, is enough.
        output_bits: ⌈log₂ M⌉ + 3: an output, rounded to multiples of 1/8, is still read right.
    """

    num_heads = 2
    depth = 1
    value_dim = 2

    def __init__(self, problem: Match3, scale: float, integers: bool) -> None:
        super().__init__()
        self.problem, self.scale, self.integers = problem, scale, integers
        self.embed_dim = 5 if integers else 4
        self.output_bits = (problem.modulus - 1).bit_length() + 3

    @property
    def targets(self) -> tuple[int, int]:
        """T of either head."""
        return self.problem.modulus, 2 * self.problem.modulus

    def vectors(
        self, inputs: Int[Tensor, "batch tokens"], target: int
    ) -> tuple[
        Float[Tensor, "batch tokens embed"], Float[Tensor, "batch tokens embed"], Float[Tensor, "batch tokens embed"]
    ]:
        """Query f and keys g and h of the head for ``target``.

        f·g = −2c q_i q_j − c q_j²/2 + 1, g·h = −2c q_j q_k − c q_j²/2 − c q_k²/2, h·f = −2c q_k q_i − c q_k²/2 + 1:
        the sum is −c (q_i + q_j + q_k)² + c q_i² + 2, and q_i + q_j + q_k = S − T + 1/4.
        """
        if self.integers:
            # t = 12 q is odd, so that t² − 1 is a multiple of 8; (1, −1, 0), (0, 1, −1), (−1, 0, 1) have products −1.
            lengths = (12 * inputs - 4 * target + 1).double()
            axes = torch.tensor([[1, -1, 0], [0, 1, -1], [-1, 0, 1]], dtype=torch.float64)
            squares = -(lengths**2 - 1) / 4
        else:
            # Unit vectors of the plane at 120 degrees have products −1/2.
            centred = inputs.double() - (target - 0.25) / 3
            lengths = 2 * math.sqrt(self.scale) * centred
            height = math.sqrt(3) / 2
            axes = torch.tensor([[1, 0], [-0.5, height], [-0.5, -height]], dtype=torch.float64)
            squares = -self.scale / 2 * centred**2
        one = torch.ones_like(squares)
        query, first, second = (lengths.unsqueeze(-1) * axis for axis in axes)
        return (
            torch.cat([query, torch.stack([one, one], dim=-1)], dim=-1),
            torch.cat([first, torch.stack([squares, one], dim=-1)], dim=-1),
            torch.cat([second, torch.stack([one, squares], dim=-1)], dim=-1),
        )

    def outputs(
        self, inputs: Int[Tensor, "batch tokens"], attend: Attend = over_pairs
    ) -> Float[Tensor, "batch tokens heads values"]:
        """For each head the means of x_j and of x_k over its best pairs, by either form of attention."""
        self.problem.check(inputs)
        residues, one = inputs.double(), torch.ones(inputs.shape, dtype=torch.float64)
        first, second = torch.stack([residues, one], dim=-1), torch.stack([one, residues], dim=-1)
        heads = [attend(pair_scores(*self.vectors(inputs, target)), first, second) for target in self.targets]
        return torch.stack(heads, dim=-2)

    def decide(
        self, inputs: Int[Tensor, "batch tokens"], outputs: Float[Tensor, "batch tokens heads values"]
    ) -> Bool[Tensor, "batch tokens"]:
        """Whether x_i = 0, or x_i and a head's two outputs add up to its T, up to `OUTPUT_TOLERANCE`."""
        sums = inputs.unsqueeze(-1) + outputs.sum(dim=-1)
        found = (sums - torch.tensor(self.targets)).abs() < OUTPUT_TOLERANCE
        return found.any(dim=-1) | (inputs == 0)

    def forward(self, inputs: Int[Tensor, "batch tokens"], attend: Attend = over_pairs) -> Bool[Tensor, "batch tokens"]:
        """The labels."""
        return self.decide(inputs, self.outputs(inputs, attend))

    def rounding(self) -> float:
        """A bound on how far a score is off in float64, in nats, with the shift of the softmax.

        |q| < 2M/3, so that the terms of a score add up to at most 7 c M² + 2 in absolute value. An entry is off by at
        most 6 units of its largest value, hence a term by 13; sums within and between the tables, and the shift,
        take 6 more. In integers all is exact as long as no sum reaches 2⁵³.
        """
        size = 7 * self.scale * self.problem.modulus**2 + 2
        if self.integers:
            return 0.0 if size < 2**53 else math.inf
        return 20 * size * torch.finfo(torch.float64).eps / 2


def match3_strassen_layer(
    problem: Match3, *, integers: bool = False, scale: float | None = None
) -> Match3StrassenLayer:
    """The layer for Match3: m = 4, or 5 in integers. That there is one is the cited paper's; vectors and c are ours.

    Outputs are off by at most 2 M N² e^(−c/2 + 2r), r = `Match3StrassenLayer.rounding`. That is at most 1/4 with the
    c given here and r ≤ (ln 2)/2.

    Args:
        problem: N and M.
        integers: whether all entries of queries and keys are integers; then c = 72.
        scale: c, where another one than 2 ln(16 N² M) is wanted; smaller ones are enough for most inputs only.

    Raises:
        ValueError: if c is not positive or, in integers, given or too small; if float64 is too small for M.

    Example:
        >>> layer = match3_strassen_layer(Match3(num_tokens=3, modulus=7))
        >>> layer(torch.tensor([[1, 2, 3]])).tolist(), layer.embed_dim
        ([[True, True, True]], 4)
    """
    size, modulus = problem.num_tokens, problem.modulus
    enough = 2 * math.log(16 * size**2 * modulus)
    if integers and scale is not None:
        raise ValueError(f"in integers the scale is c = 72, got scale = {scale}")
    if integers and enough > INTEGER_SCALE:
        raise ValueError(f"N²M = {size**2 * modulus} needs c = {enough:.1f}, and in integers it is c = 72")
    if scale is not None and not 0 < scale < math.inf:
        raise ValueError(f"scale c must be positive and finite, got {scale}")
    layer = Match3StrassenLayer(problem, INTEGER_SCALE if integers else enough if scale is None else scale, integers)
    if layer.rounding() > math.log(2) / 2:
        raise ValueError(
            f"float64 is too small for M = {modulus} at c = {layer.scale:.4g}: scores may be off by "
            f"{layer.rounding():.2g} nats, at most (ln 2)/2 is allowed"
        )
    return layer
