"""Pair detection with m = 2: for every modulus with a residual connection, without one up to M = 4 (ours).

Letters: N = num_tokens, M = modulus, c = scale, δ = delta, g = margin.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.constructions.matching import CircleUnit, Match2Unit, power_of_two
from attention_limits.models.attention import Attended, SelfAttentionUnit
from attention_limits.problems.matching import Match2, Match2Others


class ResidualUnit(CircleUnit):
    """With m = 2 and no blank (ours): attend to the nearest key on the circle, and compare it with the one wanted.

    The values are the keys. The output map sees the attended mean y and, through the residual connection, x itself:
    with the wanted key r = (cos θx, −sin θx), D = (1 − ⟨y, r⟩)/δ is at most N e^{−cδ} ≤ e^{−2g} with a pair, and at
    least 1 without. The output is σ(2g(1 − 2D)).
    """

    embed_dim = 2

    def __init__(self, problem: Match2, margin: float | None) -> None:
        super().__init__(problem, margin)
        blocks = torch.eye(4, dtype=torch.float32)
        self.attention = SelfAttentionUnit.from_matrices(query=blocks[:, :2], key=blocks[:, 2:], value=blocks[:, 2:])

    def attend(self, inputs: Int[Tensor, "batch tokens"]) -> Attended:
        """The probabilities (batch, tokens, 1), and the attention (batch, tokens, tokens)."""
        self.problem.check(inputs)
        self.check_precision()
        queries, keys = self.queries(inputs.cpu())[..., :2], self.keys(inputs.cpu())[..., :2]
        tokens = torch.cat([queries, keys], dim=-1).to(self.attention.query)
        output, attention = self.attention.attend(tokens)
        wanted = tokens[..., :2] / self.scale
        distance = (1 - (output * wanted).sum(dim=-1, keepdim=True)) / self.delta
        return Attended(torch.sigmoid(2 * self.goal * (1 - 2 * distance)), attention)

    def largest_modulus(self, dtype: torch.dtype) -> int:
        """D is a small difference over δ: sums of N terms must be right to δ/8; δ ≥ 8 (2N + 16) u, see the page."""
        least = 8 * (2 * self.problem.num_tokens + 16) * torch.finfo(dtype).eps / 2
        return min(int(math.pi / math.asin(min(1.0, math.sqrt(least / 2)))), super().largest_modulus(dtype))


class PlanarUnit(Match2Unit):
    """With m = 2 and no residual connection, for M ≤ 4 (ours): a pair scores 2c, other tokens −c and the blank 0.

    Query and key are c (−1, −1) and (−1, −1) for a residue with 2x ≡ 0, c (0, 1) and (2, −1) for 1, c (1, 0) and
    (−1, 2) for −1. From M = 5 on no unit with m = 2 has more than a small margin; see the page.
    """

    embed_dim = 2

    def __init__(self, problem: Match2, margin: float | None) -> None:
        if problem.modulus > 4:
            raise ValueError(f"the unit with m = 2 and no residual needs M ≤ 4, got M = {problem.modulus}")
        super().__init__(problem, margin)
        log_tokens = math.log(problem.num_tokens)
        self.scale = power_of_two(log_tokens + self.margin)
        self.margin = self.scale - log_tokens

    def queries(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens embed_dim"]:
        """c (−1, −1), c (0, 1) or c (1, 0)."""
        return self.scale * self._rows(inputs, [-1.0, -1.0], [0.0, 1.0], [1.0, 0.0])

    def keys(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens embed_dim"]:
        """(−1, −1), (2, −1) or (−1, 2)."""
        return self._rows(inputs, [-1.0, -1.0], [2.0, -1.0], [-1.0, 2.0])

    def blank_key(self) -> Float[Tensor, " embed_dim"]:
        """(0, 0)."""
        return torch.zeros(self.embed_dim, dtype=torch.float64)

    def largest_modulus(self, dtype: torch.dtype) -> int:
        """4: all numbers are small multiples of powers of two."""
        return 4

    def _rows(self, inputs: Tensor, *rows: list[float]) -> Tensor:
        own = 2 * inputs % self.problem.modulus == 0
        return torch.tensor(rows, dtype=torch.float64)[torch.where(own, 0, torch.where(inputs == 1, 1, 2))]


def match2_residual_unit(problem: Match2, *, margin: float | None = None) -> ResidualUnit:
    """The unit with m = 2 and a residual connection for ``problem`` (ours); it needs no blank token."""
    if isinstance(problem, Match2Others):
        raise ValueError("pairs with j ≠ i need match2_others_unit")
    return ResidualUnit(problem, margin)


def match2_planar_unit(problem: Match2, *, margin: float | None = None) -> PlanarUnit:
    """The unit with m = 2, a blank and no residual connection for ``problem`` (ours), which must have M ≤ 4."""
    if isinstance(problem, Match2Others):
        raise ValueError("pairs with j ≠ i need match2_others_unit")
    return PlanarUnit(problem, margin)
