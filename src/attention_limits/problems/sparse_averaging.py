"""Sparse averaging, qSA (Definition 4 of the paper): each token asks for the mean of the q values that it points to.

Letters: N = num_tokens, q = sparsity, d' = value_dim; token i is (z_i; y_i; i) with z_i = values[i], y_i = pointers[i].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.hypotheses import require_integer, require_sparse_averaging


class SparseAveragingInputs(NamedTuple):
    """A batch of inputs: the values z and the pointers y of every token; indices count from 0."""

    values: Float[Tensor, "batch tokens value_dim"]
    pointers: Int[Tensor, "batch tokens sparsity"]


@dataclass(frozen=True)
class SparseAveraging:
    """The task qSA on N tokens: output i is (1/q) Σ_{j ∈ y_i} z_j (Definition 4).

    Values lie in the unit ball of R^{d'}; each y_i is a set of q different tokens.

    Raises:
        ValueError: unless 1 ≤ q ≤ N and d' ≥ 1.

    Example:
        >>> task = SparseAveraging(num_tokens=3, sparsity=2, value_dim=1)
        >>> values = torch.tensor([[[1.0], [0.0], [-1.0]]])
        >>> pointers = torch.tensor([[[0, 1], [0, 2], [1, 2]]])
        >>> task.target(SparseAveragingInputs(values, pointers)).flatten().tolist()
        [0.5, 0.0, -0.5]
    """

    num_tokens: int
    sparsity: int
    value_dim: int

    def __post_init__(self) -> None:
        require_sparse_averaging(self.num_tokens, self.sparsity, self.value_dim)

    @property
    def token_dim(self) -> int:
        """Coordinates of an encoded token: d' for z, N for y (multi-hot) and N for i (one-hot)."""
        return self.value_dim + 2 * self.num_tokens

    @property
    def target_variance(self) -> float:
        """Variance of one coordinate of the target under `sample`: 1 / (q (d' + 2)).

        A coordinate of a uniform point of the unit ball of R^{d'} has variance 1/(d' + 2); a mean of q has 1/q of it.
        """
        return 1 / (self.sparsity * (self.value_dim + 2))

    def sample(
        self,
        batch_size: int,
        *,
        generator: torch.Generator,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> SparseAveragingInputs:
        """Random inputs: values uniform in the unit ball, pointers a uniform q-subset, all independent.

        They are drawn where the generator lives and then moved, so a seed gives the same inputs on every device.

        Args:
            batch_size: number of sequences, at least 1.
            generator: source of randomness; a global one is never used.
            device: where the inputs go; the generator's device by default.
            dtype: float32 or float64.
        """
        require_integer("batch_size", batch_size, 1)
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype must be float32 or float64, got {dtype}")
        shape, source = (batch_size, self.num_tokens), generator.device
        direction = torch.randn(*shape, self.value_dim, generator=generator, device=source, dtype=dtype)
        radius = torch.rand(*shape, 1, generator=generator, device=source, dtype=dtype) ** (1 / self.value_dim)
        values = radius * torch.nn.functional.normalize(direction, dim=-1)
        # The q largest of N independent uniforms sit at a uniform q-subset.
        ranks = torch.rand(*shape, self.num_tokens, generator=generator, device=source, dtype=torch.float32)
        pointers = ranks.topk(self.sparsity, dim=-1).indices.sort(dim=-1).values
        return SparseAveragingInputs(values.to(device), pointers.to(device))

    def target(self, inputs: SparseAveragingInputs) -> Float[Tensor, "batch tokens value_dim"]:
        """The exact answer, output i = (1/q) Σ_{j ∈ y_i} z_j, in the dtype of the values."""
        self.check(inputs)
        values, pointers = inputs
        selected = values.gather(1, pointers.flatten(1).unsqueeze(-1).expand(-1, -1, self.value_dim))
        return selected.unflatten(1, (self.num_tokens, self.sparsity)).mean(dim=2)

    def encode(self, inputs: SparseAveragingInputs) -> Float[Tensor, "batch tokens token_dim"]:
        """Tokens (z; multi-hot y; one-hot i) for a model that is trained."""
        self.check(inputs)
        values, pointers = inputs
        selection = torch.zeros(*pointers.shape[:2], self.num_tokens, dtype=values.dtype, device=values.device)
        selection.scatter_(-1, pointers, 1)
        position = torch.eye(self.num_tokens, dtype=values.dtype, device=values.device)
        return torch.cat([values, selection, position.expand_as(selection)], dim=-1)

    def subsets(self) -> Int[Tensor, "subsets sparsity"]:
        """All q-subsets of the N tokens, in lexicographic order; there are C(N, q) of them."""
        return torch.tensor(list(combinations(range(self.num_tokens), self.sparsity)), dtype=torch.int64)

    def subset_inputs(self, *, dtype: torch.dtype = torch.float32) -> SparseAveragingInputs:
        """An input of zeros for each subset: its first token asks for that one, the others for those that follow it."""
        subsets = self.subsets()
        rows = (torch.arange(len(subsets)).unsqueeze(1) + torch.arange(self.num_tokens)) % len(subsets)
        return SparseAveragingInputs(torch.zeros(*rows.shape, self.value_dim, dtype=dtype), subsets[rows])

    def all_inputs(
        self, values: Sequence[float] = (1.0, -1.0), *, dtype: torch.dtype = torch.float32
    ) -> SparseAveragingInputs:
        """Every input whose values are taken from a few numbers (d' = 1): all of them with all pointers.

        Of n numbers there are (n C(N, q))^N inputs, the first token varying fastest.

        Raises:
            ValueError: unless d' = 1, for no number, and for more than a million inputs.

        Example:
            >>> inputs = SparseAveraging(num_tokens=1, sparsity=1, value_dim=1).all_inputs((0.0, 0.5))
            >>> inputs.values.flatten().tolist(), inputs.pointers.flatten().tolist()
            ([0.0, 0.5], [0, 0])
        """
        if self.value_dim != 1:
            raise ValueError(f"all inputs are listed for value_dim d' = 1, got {self.value_dim}")
        if len(values) == 0:
            raise ValueError("all inputs need at least one number for values, got none")
        subsets = self.subsets()
        letters = len(values) * len(subsets)
        count = letters**self.num_tokens
        if count > 10**6:
            raise ValueError(f"num_tokens N = {self.num_tokens} has {count} inputs: at most 1000000 are listed")
        powers = letters ** torch.arange(self.num_tokens)
        letter = torch.arange(count).unsqueeze(1) // powers % letters
        numbers = torch.tensor(values, dtype=dtype)[letter % len(values)].unsqueeze(-1)
        return SparseAveragingInputs(numbers, subsets[letter // len(values)])

    def check(self, inputs: SparseAveragingInputs) -> None:
        """Raise ValueError, naming value and condition, unless ``inputs`` are inputs of this task."""
        values, pointers = inputs
        batch = values.shape[0] if values.ndim else 0
        for name, tensor, last in (("values", values, self.value_dim), ("pointers", pointers, self.sparsity)):
            expected = (batch, self.num_tokens, last)
            if tuple(tensor.shape) != expected:
                raise ValueError(f"{name} must have shape {expected}, got {tuple(tensor.shape)}")
        if pointers.dtype != torch.int64:
            raise ValueError(f"pointers must be int64, got {pointers.dtype}")
        if not values.is_floating_point():
            raise ValueError(f"values must be floats, got {values.dtype}")
        if not values.isfinite().all():
            raise ValueError("values must be finite, got nan or inf")
        if not batch:
            return
        longest = values.double().norm(dim=-1).max().item()
        if not longest <= 1 + 4 * torch.finfo(values.dtype).eps:
            raise ValueError(f"values must lie in the unit ball, got norm {longest}")
        low, high = pointers.min().item(), pointers.max().item()
        outside = low if low < 0 else high
        if not (low >= 0 and high < self.num_tokens):
            raise ValueError(f"pointers must lie in 0…{self.num_tokens - 1}, got {outside}")
        ordered = pointers.sort(dim=-1).values
        repeated = ordered[..., 1:][ordered[..., 1:] == ordered[..., :-1]]
        if repeated.numel() != 0:
            raise ValueError(f"pointers of a token must differ, got {repeated[:1].tolist()} twice")


def worst_case_error(
    attention: Float[Tensor, "*rows tokens"], pointers: Int[Tensor, "*rows sparsity"]
) -> Float[Tensor, "*rows"]:
    """The exact supremum over all values of the error of a unit with position-only keys and values v_j = z_j.

    For an attention row p and the uniform weights u_y on y it is ‖p − u_y‖₁: the triangle inequality gives "≤", and
    z_j = sign(p_j − u_y(j)) e₁ attains it. Computed in float64 whatever the dtype of ``attention``.
    """
    uniform = torch.zeros_like(attention, dtype=torch.float64).scatter_(-1, pointers, 1 / pointers.shape[-1])
    return (attention.double() - uniform).abs().sum(dim=-1)
