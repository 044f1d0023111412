"""Networks of gates that average sparsely: each unit passes one value on if a pointer asks for it, and 0 if none does.

They have the forms that are trained, one hidden layer of rectified linear units and one bidirectional LSTM layer, so
that their sizes are enough for these forms; whether they are least is another question.

Letters: N = num_tokens, q = sparsity, d' = value_dim; z_j the value of token j, y_i the pointers of token i.
"""

import torch
from torch import nn

from attention_limits.models.feedforward import FeedForwardNetwork
from attention_limits.models.recurrent import LSTMModel
from attention_limits.problems.sparse_averaging import SparseAveraging


def gated_network(problem: SparseAveraging) -> FeedForwardNetwork:
    """One hidden layer of N²d' rectified linear units, right for every input (ours).

    For |z| ≤ 1 and y in {0, 1}, relu(z + 2y − 1) is z + 1 if y = 1, and 0 if y = 0. There is such a unit for each
    output i, token j and coordinate a. Those of (i, a) add up to q plus the sum that is asked for.
    """
    tokens, value_dim, token_dim = problem.num_tokens, problem.value_dim, problem.token_dim
    i, j, a = (
        index.flatten() for index in torch.meshgrid(*map(torch.arange, (tokens, tokens, value_dim)), indexing="ij")
    )
    unit = torch.arange(len(i))
    first = nn.Linear(tokens * token_dim, len(i), dtype=torch.float32)
    last = nn.Linear(len(i), tokens * value_dim, dtype=torch.float32)
    with torch.no_grad():
        first.weight.zero_()
        last.weight.zero_()
        first.weight[unit, j * token_dim + a] = 1.0
        first.weight[unit, i * token_dim + value_dim + j] = 2.0
        last.weight[i * value_dim + a, unit] = 1 / problem.sparsity
        first.bias.fill_(-1.0)
        last.bias.fill_(-1.0)
    return FeedForwardNetwork(problem, first, nn.Sequential(nn.ReLU(), last))


def gated_lstm(problem: SparseAveraging, *, gate: float = 24.0, scale: float = 0.02) -> LSTMModel:
    """One bidirectional LSTM layer of N d' hidden units a direction, right up to the gates' and tanh's bending (ours).

    Cell (k, a) stores tanh(scale · z_{k,a}): its input gate opens at position k alone, and nothing is forgotten. Its
    output gate opens at token i if k ∈ y_i; the backward layer's stays shut at k itself, which the forward one serves.
    The readout divides by q · scale. With σ(−gate) = 0 the error would be that of tanh applied twice, at most
    2/3 scale².

    Args:
        problem: gives N, q and d'.
        gate: what an open gate receives, and a shut one with a minus; an even larger one is clearer.
        scale: of the stored values; a smaller one bends less, but rounding counts for more.

    Raises:
        ValueError: unless both are positive.
    """
    if not (gate > 0 and scale > 0):
        raise ValueError(f"gate and scale must be positive, got {gate} and {scale}")
    tokens, value_dim = problem.num_tokens, problem.value_dim
    hidden = tokens * value_dim
    model = LSTMModel(problem, hidden, bidirectional=True, generator=torch.Generator())
    unit = torch.arange(hidden)
    position, coordinate = unit // value_dim, unit % value_dim
    asked, own = value_dim + position, value_dim + tokens + position  # columns of the token
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for suffix in ("", "_reverse"):
            weight, bias = (getattr(model.lstm, f"{name}_l0{suffix}") for name in ("weight_ih", "bias_ih"))
            # PyTorch's order of rows: input gate, forget gate, candidate, output gate.
            into, forget, candidate, out = (row * hidden + unit for row in range(4))
            weight[into, own], bias[into] = 2 * gate, -gate
            bias[forget] = gate
            weight[candidate, coordinate] = scale
            weight[out, asked], bias[out] = 2 * gate, -gate
            if suffix:
                weight[out, own] = -2 * gate
        for offset in (0, hidden):
            model.readout.weight[coordinate, offset + unit] = 1 / (problem.sparsity * scale)
    return model
