"""What the units for sparse averaging share: keys, one query for each subset, and the exact error of the softmax.

Letters: N = num_tokens, q = sparsity, k = embed_dim (the rank of the bilinear form), d = d' + 2k = model_dim (what one
token stores), ε = accuracy, α the query's length in units of a unit-margin certificate, δ = score_error.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attention_limits.hypotheses import require_accuracy, require_sparse_averaging
from attention_limits.models.attention import Attended, SelfAttentionUnit
from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs


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
    if not scale >= 0:
        raise ValueError(f"scale α must be at least 0, got {scale}")
    if not margin > 0:
        raise ValueError(f"margin γ must be positive, got {margin}")
    if not score_error >= 0:
        raise ValueError(f"score_error δ must be at least 0, got {score_error}")
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
    if not margin > 0:
        raise ValueError(f"margin γ must be positive, got {margin}")
    if not score_error >= 0:
        raise ValueError(f"score_error δ must be at least 0, got {score_error}")
    if sparsity == num_tokens:
        return 0.0
    left = accuracy - _tilt(sparsity, score_error)
    if not left > 0:
        raise ValueError(f"a score error δ = {score_error} leaves nothing of the accuracy ε = {accuracy}")
    logarithm = math.log((2 / left - 1) * (num_tokens - sparsity) / sparsity)
    return (max(0.0, logarithm) + 2 * score_error) / margin


def _tilt(sparsity: int, score_error: float) -> float:
    """The most that scores off by δ can move the weights within y: there is nothing to move when q = 1."""
    return 2 * math.tanh(score_error / 2) if sparsity >= 2 else 0.0


class SparseAveragingUnit(nn.Module):
    """One self-attention unit for sparse averaging, made of a key for each position and a query for each subset.

    Token i is mapped to x_i = (z_i; u_i; α w_{y_i}) ∈ R^{d' + 2k}: its value, its position's key and its query, where w
    is a certificate at unit margin. Q selects the last block, K the middle one and V the first one: Definition 1 then
    gives softmax(⟨α w_{y_i}, u_j⟩)_j · z. Calling it maps inputs to outputs (batch, tokens, d').

    Attributes:
        embed_dim: k. `model_dim` is d' + 2k, `num_heads` and `depth` are 1.
        scale: α = `softmax_scale` with half of ε left for rounding, δ = ε/2.
    """

    num_heads = 1
    depth = 1
    keys: Tensor

    def __init__(self, problem: SparseAveraging, accuracy: float, keys: Float[Tensor, "tokens embed_dim"]) -> None:
        super().__init__()
        self.problem, self.accuracy = problem, accuracy
        self.scale = softmax_scale(problem.num_tokens, problem.sparsity, accuracy, score_error=accuracy / 2)
        self.embed_dim = keys.shape[1]
        self.register_buffer("keys", keys)
        value_dim, blocks = problem.value_dim, torch.eye(self.model_dim, dtype=keys.dtype, device=keys.device)
        self.attention = SelfAttentionUnit.from_matrices(
            query=blocks[:, value_dim + self.embed_dim :],
            key=blocks[:, value_dim : value_dim + self.embed_dim],
            value=blocks[:, :value_dim],
        )

    @property
    def model_dim(self) -> int:
        """d = d' + 2k, the coordinates that one token stores."""
        return self.problem.value_dim + 2 * self.embed_dim

    def queries(self, pointers: Int[Tensor, "batch tokens sparsity"]) -> Float[Tensor, "batch tokens embed_dim"]:
        """α w_{y_i} for every token, in the dtype of the unit."""
        raise NotImplementedError

    def tokens(self, inputs: SparseAveragingInputs) -> Float[Tensor, "batch tokens model_dim"]:
        """The token-wise map: x_i = (z_i; u_i; α w_{y_i})."""
        self.problem.check(inputs)
        values, pointers = inputs
        dtype = self.keys.dtype
        if values.dtype != dtype:
            raise ValueError(f"values are {values.dtype} but the unit computes in {dtype}: convert one of them")
        queries = self.queries(pointers)  # first: it may change the keys
        return torch.cat([values, self.keys.expand(len(values), -1, -1), queries], dim=-1)

    def attend(self, inputs: SparseAveragingInputs) -> Attended:
        """The output (batch, tokens, d') and the attention matrix (batch, tokens, tokens)."""
        return self.attention.attend(self.tokens(inputs))

    def worst_inputs(self, subsets: Int[Tensor, "subsets sparsity"]) -> SparseAveragingInputs:
        """One input for each subset y: every token asks for y, and z_j = sign(p_j − u_y(j)) e₁ is worst for token 0.

        p is token 0's attention row, u_y uniform on y; `worst_case_error` is the error that these values attain.
        """
        pointers = subsets.unsqueeze(1).expand(-1, self.problem.num_tokens, -1)
        values = self.keys.new_zeros(*pointers.shape[:2], self.problem.value_dim)
        attention = self.attend(SparseAveragingInputs(values, pointers)).attention
        assert isinstance(attention, Tensor)
        uniform = torch.zeros_like(attention).scatter_(-1, pointers, 1 / self.problem.sparsity)
        values[..., 0] = (attention - uniform)[:, 0].sign()
        return SparseAveragingInputs(values, pointers)

    def forward(self, inputs: SparseAveragingInputs) -> Float[Tensor, "batch tokens value_dim"]:
        """The unit's approximation of `SparseAveraging.target`, within ε for every input."""
        return self.attend(inputs).output
