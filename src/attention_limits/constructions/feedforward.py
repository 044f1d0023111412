"""Fully-connected networks that average sparsely with the least first-layer width (beside Theorem 10 of the paper).

Later layers are arbitrary in these statements, so here they decode. Pointers travel on the rows of the values: a unit
holds a number of absolute value at most r plus C·code, with an integer code and C = 2r + 1. As C > 2r, rounding h/C
gives the code, and what is left is the number.

Letters: N tokens, q = sparsity, d' = value_dim, W the first layer, h = W x, A the 0/1 matrix of pointers, C = spacing.
"""

import torch
from flint import fmpz_mat
from jaxtyping import Float, Int
from torch import Tensor, nn

from attention_limits.models.feedforward import FeedForwardNetwork
from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs


def exact_network(problem: SparseAveraging) -> FeedForwardNetwork:
    """Width N d': right for every input. Unit (i, a) holds coordinate a of z_i; units (i, 1) carry the pointers too."""
    identity = torch.eye(problem.num_tokens * problem.value_dim, dtype=torch.float32)
    return _decoding_network(problem, identity, PointerDecoder(problem, identity, largest=1, scale=1))


def narrow_network(problem: SparseAveraging) -> FeedForwardNetwork:
    """Width N d' − 1: the error on no input exceeds 1/(2q − 1), the best that this width can do (ours).

    With v = (1, −1/(2q−1), …, −1/(2q−1)) on the first coordinates of the tokens, the units hold z − z_{1,1} v without
    its coordinate (1, 1), which is 0. The answers are those for z − z_{1,1} v: off by |z_{1,1}|·‖qSA(v)‖, where
    ‖qSA(v)‖ = 1/(2q−1) for every subset.
    The rows are scaled by 2q − 1, so that W has integers only.

    Raises:
        ValueError: unless q < N.
    """
    tokens, ones, value_dim = problem.num_tokens, problem.sparsity, problem.value_dim
    if not ones < tokens:
        raise ValueError(f"width N d' − 1 with error 1/(2q − 1) needs q < N, got q = {ones}, N = {tokens}")
    identity, scale = torch.eye(tokens * value_dim, dtype=torch.float32), 2 * ones - 1
    rows = scale * identity[1:]
    rows[value_dim - 1 :: value_dim, 0] = 1  # the rows of z_{2,1}, …, z_{N,1}
    return _decoding_network(problem, rows, PointerDecoder(problem, identity[:, 1:], largest=scale + 1, scale=scale))


def fixed_pointer_network(problem: SparseAveraging, pointers: Int[Tensor, "tokens sparsity"]) -> FeedForwardNetwork:
    """Width d'·rank A: right for all values under these pointers, with one linear later layer.

    A = B R with R the non-zero rows of A's reduced echelon form and B the pivot columns of A; the first layer is R on
    each coordinate, the later one B/q. The pointers in the input are ignored.
    """
    tokens, value_dim = problem.num_tokens, problem.value_dim
    problem.check(SparseAveragingInputs(torch.zeros(1, tokens, value_dim, dtype=torch.float32), pointers.unsqueeze(0)))
    matrix = torch.zeros(tokens, tokens, dtype=torch.int64).scatter_(1, pointers.cpu(), 1)
    echelon, denominator, rank = fmpz_mat(matrix.tolist()).rref()
    rows = torch.tensor([[float(echelon[i, j]) for j in range(tokens)] for i in range(rank)], dtype=torch.float32)
    columns, identity = matrix[:, (rows != 0).int().argmax(dim=1)].float(), torch.eye(value_dim, dtype=torch.float32)
    return FeedForwardNetwork(
        problem,
        _first_layer(problem, torch.kron(rows, identity)),
        ScaledMatrix(torch.kron(columns, identity), problem.sparsity * int(denominator)),
    )


class ScaledMatrix(nn.Module):
    """x ↦ M x / s with integers in M and s, so that no rounding depends on the float type they are stored in."""

    def __init__(self, matrix: Float[Tensor, "outputs inputs"], scale: int) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix)
        self.scale = scale

    def forward(self, units: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch outputs"]:
        """M x / s for each row x."""
        return units @ self.get_buffer("matrix").T / self.scale


def _first_layer(problem: SparseAveraging, value_block: Float[Tensor, "width value_coordinates"]) -> nn.Linear:
    """A first layer with this z-block, no bias, and zeros elsewhere."""
    tokens, width = problem.num_tokens, len(value_block)
    first = nn.utils.skip_init(nn.Linear, tokens * problem.token_dim, width, bias=False, dtype=torch.float32)
    weight = torch.zeros(width, tokens, problem.token_dim, dtype=torch.float32)
    weight[..., : problem.value_dim] = value_block.unflatten(1, (tokens, problem.value_dim))
    first.weight = nn.Parameter(weight.flatten(1), requires_grad=False)
    return first


def _decoding_network(
    problem: SparseAveraging, value_block: Float[Tensor, "width value_coordinates"], decoder: "PointerDecoder"
) -> FeedForwardNetwork:
    """W with this z-block and the pointers added to its rows; then the decoder."""
    tokens, first = problem.num_tokens, _first_layer(problem, value_block)
    weight = first.weight.detach().unflatten(1, (tokens, problem.token_dim))
    digits = decoder.spacing * 2.0 ** torch.arange(tokens, dtype=torch.float32)
    for token, (unit, slot) in enumerate(zip(decoder.carriers, decoder.slots, strict=True)):
        weight[unit, token, problem.value_dim : problem.value_dim + tokens] = digits * 2.0 ** (tokens * slot)
    return FeedForwardNetwork(problem, first, decoder)


class PointerDecoder(nn.Module):
    """The later layers: read the pointers off the units, then average the values.

    Token i's pointers are the N binary digits from digit N·slots[i] on, in the code on unit carriers[i].

    Args:
        problem: gives N, q and d'.
        embed: the values are ``embed`` times what is left on the units, divided by ``scale``; integers.
        largest: r, the largest absolute value of what is left.
        scale: see ``embed``.

    Raises:
        ValueError: when called, if the floats have too few digits to hold a number beside its code.
    """

    def __init__(
        self, problem: SparseAveraging, embed: Float[Tensor, "value_coordinates width"], largest: int, scale: int
    ) -> None:
        super().__init__()
        self.problem, self.scale, self.spacing = problem, scale, 2 * largest + 1
        # Token i's own first unit carries its pointers; where there is one unit too few, two tokens share the last.
        self.carriers = [min(i * problem.value_dim, embed.shape[1] - 1) for i in range(problem.num_tokens)]
        self.slots = [self.carriers[:i].count(unit) for i, unit in enumerate(self.carriers)]
        self.register_buffer("embed", embed)

    def rounding_error(self, dtype: torch.dtype) -> float:
        """How far rounding may move an answer, at most: t·u·C·2^B, with u = eps/2 and B digits in the longest code.

        A unit sums at most q pointers for each of its slots and two values, none above C·2^B in size; decoding it
        is exact but for a division, and an answer sums q values: t counts all these roundings.
        """
        slots = max(self.slots) + 1
        terms = self.problem.sparsity * (slots + 1) + 3
        return terms * torch.finfo(dtype).eps / 2 * self.spacing * 2.0 ** (self.problem.num_tokens * slots)

    def forward(self, units: Float[Tensor, "batch width"]) -> Float[Tensor, "batch answers"]:
        """Answers (batch, N d') from the first layer's units."""
        tokens, digits = self.problem.num_tokens, self.problem.num_tokens * (max(self.slots) + 1)
        if not self.rounding_error(units.dtype) <= 1e-3:
            raise ValueError(f"N = {tokens} needs {digits} binary digits beside a value: too many for {units.dtype}")
        codes = (units / self.spacing).round()
        values = (units - self.spacing * codes) @ self.get_buffer("embed").T / self.scale
        starts = tokens * torch.tensor(self.slots, device=units.device)
        places = starts.unsqueeze(-1) + torch.arange(tokens, device=units.device)  # (tokens, digits)
        selection = codes[:, self.carriers].long().unsqueeze(-1) >> places & 1  # (batch, tokens, tokens)
        answers = selection.to(units.dtype) @ values.unflatten(1, (tokens, -1)) / self.problem.sparsity
        return answers.flatten(1)
