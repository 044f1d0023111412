"""Fully-connected networks on a whole input: f(X) = g(W x + b), with every token's coordinates in one vector x.

Letters: N tokens, d' = value_dim, W = first.weight, b = first.bias, g = later, and value_block is W's z-block. g may be
any function: the bound of Theorem 10 does not ask what it is.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_limits.models.attention import TokenwiseMap, multilayer_perceptron
from attention_limits.problems.sparse_averaging import SparseAveraging


class FeedForwardNetwork(nn.Module):
    """f(X) = g(W x + b) on the encoded tokens of sparse averaging, x = (z_1; y_1; 1; …; z_N; y_N; N).

    A token has d' coordinates for z, N for y (multi-hot) and N for i (one-hot, the same in every input, so that they
    act as a bias). The first layer sees all of them.

    Args:
        problem: gives N and d'.
        first: W and b, from N (d' + 2N) coordinates to the width.
        later: g, from (batch, width) to (batch, N d'): a module or any function.

    Raises:
        ValueError: if ``first`` does not take the coordinates of an input of ``problem``.
    """

    def __init__(self, problem: SparseAveraging, first: nn.Linear, later: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        expected = problem.num_tokens * problem.token_dim
        if first.in_features != expected:
            raise ValueError(f"the first layer must take N(d' + 2N) = {expected} coordinates, got {first.in_features}")
        self.problem = problem
        self.first = first
        self.later = later if isinstance(later, nn.Module) else TokenwiseMap(later)

    @property
    def width(self) -> int:
        """Units of the first layer, the rows of W."""
        return self.first.out_features

    @property
    def value_block(self) -> Float[Tensor, "width value_coordinates"]:
        """The columns of W that values meet, N d' of them: token after token, coordinate after coordinate."""
        blocks = self.first.weight.detach().unflatten(1, (self.problem.num_tokens, self.problem.token_dim))
        return blocks[..., : self.problem.value_dim].flatten(1)

    def pre_activations(self, tokens: Float[Tensor, "batch tokens token_dim"]) -> Float[Tensor, "batch width"]:
        """W x + b: all that the later layers learn of the input."""
        return self.first(tokens.flatten(1))

    def forward(self, tokens: Float[Tensor, "batch tokens token_dim"]) -> Float[Tensor, "batch tokens value_dim"]:
        """The network's answers for all tokens, from `SparseAveraging.encode`."""
        answers = self.later(self.pre_activations(tokens))
        return answers.unflatten(-1, (self.problem.num_tokens, self.problem.value_dim))


def feedforward_network(
    problem: SparseAveraging, width: int, hidden_dims: Sequence[int], *, generator: torch.Generator
) -> FeedForwardNetwork:
    """A ReLU network with random weights: a first layer of ``width`` units, then hidden layers of ``hidden_dims``.

    Weights are drawn as in `multilayer_perceptron`, float32, on the generator's device.
    """
    dims = (problem.num_tokens * problem.token_dim, width, *hidden_dims, problem.num_tokens * problem.value_dim)
    if not min(dims) >= 1:
        raise ValueError(f"a layer needs at least one unit, got widths {[width, *hidden_dims]}")
    stages = list(multilayer_perceptron(dims, generator=generator))
    first = stages[0]
    assert isinstance(first, nn.Linear)
    return FeedForwardNetwork(problem, first, nn.Sequential(*stages[1:]))
