"""Theorem 2 made of weights: one self-attention unit that ε-approximates sparse averaging with p-bit numbers.

Letters: N = num_tokens, q = sparsity, k = embed_dim (the rank of the bilinear form), d = d' + 2k = model_dim (what one
token stores), ε = accuracy, α the query's length in units of a unit-margin certificate, p = bits, δ = score_error.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attention_limits.constructions.keys import CertificateError, certify, random_sign_keys
from attention_limits.fixed_point import FixedPoint, SaturationError
from attention_limits.hypotheses import require, require_accuracy, require_integer, require_sparse_averaging
from attention_limits.models.attention import Attended, SelfAttentionUnit
from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs

#: Draws of the keys before a subset without a certificate becomes an error.
MAX_DRAWS = 8
#: The finest accuracy of a float type, in its rounding steps at 1: the scores' own rounding was seen to cost up to 250.
ROUNDING_STEPS = 2**9


def default_embed_dim(num_tokens: int, sparsity: int) -> int:
    """k = ⌈13 q ln N⌉, at least 1: minimum norm then certifies all but about one random subset in a thousand."""
    return max(1, math.ceil(13 * sparsity * math.log(num_tokens)))


def error_bound(
    num_tokens: int, sparsity: int, scale: float, *, margin: float = 1.0, score_error: float = 0.0
) -> float:
    """Worst error over all values of a unit with scores α c on y and at most α (c − γ) off y, each off by at most δ.

    With τ = 1 / (1 + (q/(N−q)) e^{αγ − 2δ}), the most that the tokens off y can weigh, it is

        (1 − τ) · 2 tanh(δ/2) · [q ≥ 2] + 2 τ,

    attained for δ = 0 when every score off y equals α (c − γ). With q = N only the first part is left.

    Args:
        scale: α ≥ 0.
        margin: γ > 0 of the certificate.
        score_error: δ ≥ 0, the most by which any score is off, in nats.
    """
    require_sparse_averaging(num_tokens, sparsity, 1)
    require(scale >= 0, f"scale α must be at least 0, got {scale}")
    require(margin > 0, f"margin γ must be positive, got {margin}")
    require(score_error >= 0, f"score_error δ must be at least 0, got {score_error}")
    # 1/(1 + x) with x = (q/(N−q)) e^{αγ−2δ}, through its logarithm so that a large α cannot overflow.
    outsiders = num_tokens - sparsity
    log_odds = math.log(sparsity / outsiders) + scale * margin - 2 * score_error if outsiders else math.inf
    tail = math.exp(-log_odds) / (1 + math.exp(-log_odds)) if log_odds > 0 else 1 / (1 + math.exp(log_odds))
    return (1 - tail) * _tilt(sparsity, score_error) + 2 * tail


def softmax_scale(
    num_tokens: int, sparsity: int, accuracy: float, *, margin: float = 1.0, score_error: float = 0.0
) -> float:
    """An α for which `error_bound` is at most ε: (max(0, ln((2/ε' − 1)(N−q)/q)) + 2δ)/γ, ε' = ε − 2 tanh(δ/2)·[q ≥ 2].

    For δ = 0 it is the least such α ≥ 0; without the max it would be negative where uniform attention already does.
    With q = N it is 0: uniform attention is exact.

    Raises:
        ValueError: outside 1 ≤ q ≤ N and 0 < ε < 1, or if δ alone uses up ε.
    """
    require_sparse_averaging(num_tokens, sparsity, 1)
    require_accuracy(accuracy)
    require(margin > 0, f"margin γ must be positive, got {margin}")
    require(score_error >= 0, f"score_error δ must be at least 0, got {score_error}")
    if sparsity == num_tokens:
        return 0.0
    left = accuracy - _tilt(sparsity, score_error)
    require(left > 0, f"a score error δ = {score_error} leaves nothing of the accuracy ε = {accuracy}")
    logarithm = math.log((2 / left - 1) * (num_tokens - sparsity) / sparsity)
    return (max(0.0, logarithm) + 2 * score_error) / margin


def _tilt(sparsity: int, score_error: float) -> float:
    """The most that scores off by δ can move the weights within y: there is nothing to move when q = 1."""
    return 2 * math.tanh(score_error / 2) if sparsity >= 2 else 0.0


def sufficient_format(num_tokens: int, sparsity: int, embed_dim: int, accuracy: float) -> FixedPoint:
    """A query format that is enough for the accuracy ε, with proof: f = ⌈log₂(k/ε)⌉ fractional bits.

    Rounding k coordinates to multiples of 2^{−f} moves a score against ±1 keys by at most δ = k 2^{−f−1} ≤ ε/2, and
    `FixedPrecisionUnit` chooses α for any δ up to ε/2.
    """
    require_accuracy(accuracy)
    require_integer("embed_dim", embed_dim, 1)
    fraction_bits = math.ceil(math.log2(embed_dim / accuracy))
    return FixedPoint(_integer_bits(num_tokens, sparsity, embed_dim, accuracy), fraction_bits)


def _integer_bits(num_tokens: int, sparsity: int, embed_dim: int, accuracy: float) -> int:
    """Integer bits that hold a query α w_y, taking 6 q/k as the largest entry of a unit-margin certificate.

    The typical entry is below q/k times the inverse margin, at most 2. About one draw in a thousand passes 6 q/k at
    N = 4, q = 1, where two keys can differ in one sign: `FixedPoint` refuses it, and the unit draws its keys again.
    """
    scale = softmax_scale(num_tokens, sparsity, accuracy, score_error=accuracy / 2)
    return max(0, math.ceil(math.log2(max(scale, 1) * 6 * sparsity / embed_dim)))


class FixedPrecisionUnit(nn.Module):
    """The unit of Theorem 2. Build it with `fixed_precision_unit`.

    Token i is mapped to x_i = (z_i; u_i; α w_{y_i}) ∈ R^{d' + 2k}: its value, its position's key and its query, where w
    is a certificate at unit margin. Q selects the last block, K the middle one and V the first one: Definition 1 then
    gives softmax(⟨α w_{y_i}, u_j⟩)_j · z. Calling it maps inputs to outputs (batch, tokens, d').

    Attributes:
        embed_dim: k. `model_dim` is d' + 2k, `num_heads` and `depth` are 1.
        scale: α = `softmax_scale` with half of ε left for rounding, δ = ε/2.
        format: the queries' fixed-point format, None for plain floats.
    """

    num_heads = 1
    depth = 1
    keys: Tensor

    def __init__(
        self,
        problem: SparseAveraging,
        accuracy: float,
        *,
        generator: torch.Generator,
        embed_dim: int | None = None,
        bits: int | None = None,
    ) -> None:
        super().__init__()
        size = problem.num_tokens, problem.sparsity
        self.scale = softmax_scale(*size, accuracy, score_error=accuracy / 2)
        self.problem, self.accuracy, self.generator = problem, accuracy, generator
        self.embed_dim = default_embed_dim(*size) if embed_dim is None else embed_dim
        require_integer("embed_dim", self.embed_dim, 1)
        self.format = None
        if bits is not None:
            require_integer("bits", bits, 2)
            integer_bits = _integer_bits(*size, self.embed_dim, accuracy)
            require(bits > integer_bits, f"bits p = {bits} can't hold the sign and {integer_bits} integer bits")
            self.format = FixedPoint(integer_bits, bits - 1 - integer_bits)
        self.register_buffer("keys", self._draw_keys())
        value_dim, blocks = problem.value_dim, torch.eye(self.model_dim, device=self.keys.device)
        self.attention = SelfAttentionUnit.from_matrices(
            query=blocks[:, value_dim + self.embed_dim :],
            key=blocks[:, value_dim : value_dim + self.embed_dim],
            value=blocks[:, :value_dim],
        )

    @property
    def model_dim(self) -> int:
        """d = d' + 2k, the coordinates that one token stores."""
        return self.problem.value_dim + 2 * self.embed_dim

    def _draw_keys(self) -> Tensor:
        return random_sign_keys(self.problem.num_tokens, self.embed_dim, generator=self.generator)

    def queries(self, pointers: Int[Tensor, "batch tokens sparsity"]) -> Float[Tensor, "batch tokens embed_dim"]:
        """α w_{y_i} for every token, rounded to `format` if there is one, in the dtype of the unit.

        Keys under which some of these subsets has no certificate, or one too long for `format`, are drawn again, at
        most `MAX_DRAWS` times in all.

        Raises:
            CertificateError: if the last draw left a subset without a certificate.
            SaturationError: if the last draw gave a query outside the range of `format`.
        """
        if self.problem.sparsity == self.problem.num_tokens:  # everything is asked for: attend uniformly
            return self.keys.new_zeros(*pointers.shape[:2], self.embed_dim)
        subsets, inverse = pointers.sort(dim=-1).values.flatten(0, 1).unique(dim=0, return_inverse=True)
        for attempt in range(1, MAX_DRAWS + 1):
            try:
                queries = self.scale * certify(self.keys.float(), subsets).directions
                rounded = queries if self.format is None else self.format.round(queries)
                break
            except (CertificateError, SaturationError):
                if attempt == MAX_DRAWS:
                    raise
                self.keys.copy_(self._draw_keys())
        return rounded[inverse].unflatten(0, pointers.shape[:2]).to(self.keys.dtype)

    def tokens(self, inputs: SparseAveragingInputs) -> Float[Tensor, "batch tokens model_dim"]:
        """The token-wise map: x_i = (z_i; u_i; α w_{y_i})."""
        self.problem.check(inputs)
        values, pointers = inputs
        dtype = self.keys.dtype
        require(
            values.dtype == dtype, f"values are {values.dtype} but the unit computes in {dtype}: convert one of them"
        )
        finest = ROUNDING_STEPS * torch.finfo(dtype).eps
        require(
            self.accuracy >= finest, f"accuracy ε = {self.accuracy} is finer than the {finest:.1e} of {dtype}: widen it"
        )
        queries = self.queries(pointers)  # first: it may draw the keys again
        return torch.cat([values, self.keys.expand(len(values), -1, -1), queries], dim=-1)

    def attend(self, inputs: SparseAveragingInputs) -> Attended:
        """The output (batch, tokens, d') and the attention matrix (batch, tokens, tokens)."""
        return self.attention.attend(self.tokens(inputs))

    def forward(self, inputs: SparseAveragingInputs) -> Float[Tensor, "batch tokens value_dim"]:
        """The unit's approximation of `SparseAveraging.target`, within ε for every input."""
        return self.attend(inputs).output


def fixed_precision_unit(
    problem: SparseAveraging,
    accuracy: float,
    *,
    generator: torch.Generator,
    embed_dim: int | None = None,
    bits: int | None = None,
) -> FixedPrecisionUnit:
    """The unit of Theorem 2 for ``problem``: within ``accuracy`` of sparse averaging on every input.

    Where we depart from the paper: keys are ±1 and the query carries the factor; certificates are scaled to margin 1;
    where minimum norm misses the margin 1/2, the maximum-margin certificate is used.

    Args:
        problem: any 1 ≤ q ≤ N.
        accuracy: ε in (0, 1), for the Euclidean norm of every output's error.
        generator: draws the keys, and draws them again if a subset has no certificate.
        embed_dim: k; ⌈13 q ln N⌉ by default. ⌈4 q ln N⌉ is enough too, with a slower certificate for most subsets.
        bits: p; queries are rounded to p-bit fixed point, floats if None. `sufficient_format` tells a p that keeps the
            promise of ε; with fewer bits the error may pass ε.

    Raises:
        ValueError: outside the hypotheses.

    Example:
        >>> task = SparseAveraging(num_tokens=8, sparsity=2, value_dim=1)
        >>> unit = fixed_precision_unit(task, 0.01, generator=torch.Generator().manual_seed(0))
        >>> inputs = task.sample(5, generator=torch.Generator().manual_seed(1))
        >>> unit.embed_dim, bool((unit(inputs) - task.target(inputs)).norm(dim=-1).max() <= 0.01)
        (55, True)
    """
    return FixedPrecisionUnit(problem, accuracy, generator=generator, embed_dim=embed_dim, bits=bits)
