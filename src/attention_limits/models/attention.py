"""Self-attention as the paper defines it: no 1/√m scale, heads summed, arbitrary token-wise maps (Definitions 1 to 3).

A mask, where one is given, is true where a query may look, as in `tensor_attention`: (tokens, tokens) for all inputs or
(batch, tokens, tokens). `causal_mask` gives the usual one.

Letters: N tokens, d = model_dim, m = embed_dim (the paper's embedding dimension), d' = value_dim, H heads, D layers.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from attention_limits.hypotheses import require_integer


class Attended(NamedTuple):
    """An output together with its attention matrices: one tensor, or one for each layer of a transformer."""

    output: Float[Tensor, "batch tokens output_dim"]
    attention: Tensor | tuple[Tensor, ...]


class ScoreOverflowError(FloatingPointError, ValueError):
    """Finite tokens and weights have scores that their format does not hold, and no softmax."""


def causal_mask(num_tokens: int, *, strict: bool = False) -> Bool[Tensor, "tokens tokens"]:
    """Token i sees the tokens j ≤ i; with ``strict`` those with j < i, and the first token itself.

    Example:
        >>> causal_mask(3, strict=True).int().tolist()
        [[1, 0, 0], [1, 0, 0], [1, 1, 0]]
    """
    require_integer("num_tokens", num_tokens, 1)
    visible = torch.ones(num_tokens, num_tokens, dtype=torch.bool).tril(-1 if strict else 0)
    visible[0, 0] = True
    return visible


class Attending(nn.Module):
    """A module whose call returns the output, and on request the attention too; `attend` computes both."""

    def attend(self, tokens: Tensor, mask: Tensor | None = None) -> Attended:
        """Output and attention."""
        raise NotImplementedError

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens model_dim"],
        return_attention: bool = False,
        *,
        mask: Bool[Tensor, "*#batch tokens tokens"] | None = None,
    ) -> Tensor | Attended:
        """The output (batch, tokens, d'), or with ``return_attention`` the pair (output, attention)."""
        attended = self.attend(tokens, mask)
        return attended if return_attention else attended.output


class SelfAttentionUnit(Attending):
    """One unit, f(X) = softmax(X Q Kᵀ Xᵀ) X V (Definition 1), softmax over each row.

    Q and K are (d, m), V is (d, d'). Entries start as independent normals of variance 1/d, drawn from ``generator``;
    a construction passes its own matrices to `from_matrices` instead.
    """

    def __init__(
        self,
        model_dim: int,
        embed_dim: int,
        value_dim: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        for name, size in (("model_dim", model_dim), ("embed_dim", embed_dim), ("value_dim", value_dim)):
            require_integer(name, size, 1)

        def normal(columns: int) -> nn.Parameter:
            if generator is None:  # to be filled in by `from_matrices` or by a loaded state
                return nn.Parameter(torch.zeros(model_dim, columns, dtype=dtype))
            entries = torch.randn(model_dim, columns, generator=generator, device=generator.device, dtype=dtype)
            return nn.Parameter(entries / model_dim**0.5)

        self.query, self.key, self.value = normal(embed_dim), normal(embed_dim), normal(value_dim)

    @classmethod
    def from_matrices(
        cls,
        query: Float[Tensor, "model_dim embed_dim"],
        key: Float[Tensor, "model_dim embed_dim"],
        value: Float[Tensor, "model_dim value_dim"],
    ) -> "SelfAttentionUnit":
        """The unit with these Q, K and V, which are not trained."""
        unit = cls(query.shape[0], query.shape[1], value.shape[1], dtype=query.dtype)
        unit.query, unit.key, unit.value = (nn.Parameter(w.clone(), requires_grad=False) for w in (query, key, value))
        return unit

    @property
    def embed_dim(self) -> int:
        """m, the columns of Q and K."""
        return self.query.shape[1]

    def scores(self, tokens: Float[Tensor, "batch tokens model_dim"]) -> Float[Tensor, "batch tokens tokens"]:
        """X Q Kᵀ Xᵀ: row i holds the scores of query i with every key."""
        expected = self.query.shape[0]
        if tokens.shape[-1] != expected:
            raise ValueError(f"tokens must have {expected} coordinates, got {tokens.shape[-1]}")
        return (tokens @ self.query) @ (tokens @ self.key).transpose(-1, -2)

    def attend(
        self, tokens: Float[Tensor, "batch tokens model_dim"], mask: Bool[Tensor, "*#batch tokens tokens"] | None = None
    ) -> Attended:
        """Output (batch, tokens, d') and attention matrix (batch, tokens, tokens).

        Raises:
            ScoreOverflowError: if scores of finite tokens overflow so that a row has no softmax: to ∞, or all to −∞.
            ValueError: for a mask that is not bool, does not broadcast, or leaves no key to a query.
        """
        scores = self.scores(tokens)
        if mask is not None:
            scores = scores.masked_fill(~_checked(mask, scores), -torch.inf)
        attention = torch.softmax(scores, dim=-1)
        _refuse_overflow(attention, tokens, self.query, self.key)
        return Attended(attention @ (tokens @ self.value), attention)


class MultiHeadAttention(Attending):
    """One layer, L(X) = Σ_h f_h(X) (Definition 2): the heads are summed, not concatenated."""

    def __init__(self, heads: Sequence[SelfAttentionUnit]) -> None:
        super().__init__()
        if len(heads) < 1:
            raise ValueError("a layer needs at least one head, got none")
        self.heads = nn.ModuleList(heads)

    def attend(
        self, tokens: Float[Tensor, "batch tokens model_dim"], mask: Bool[Tensor, "*#batch tokens tokens"] | None = None
    ) -> Attended:
        """Output (batch, tokens, d') and attention matrices (batch, heads, tokens, tokens), one mask for all heads."""
        heads = cast(Iterable[SelfAttentionUnit], self.heads)
        outputs, attentions = zip(*(head.attend(tokens, mask) for head in heads), strict=True)
        return Attended(torch.stack(outputs).sum(dim=0), torch.stack(attentions, dim=1))


class Transformer(Attending):
    """D layers with arbitrary token-wise maps before, between and after them (Definition 3).

    ``maps`` has D + 1 entries, each a module or function on the last axis: T = φ_D ∘ L_D ∘ … ∘ φ_1 ∘ L_1 ∘ φ_0.
    """

    def __init__(self, layers: Sequence[MultiHeadAttention], maps: Sequence[Callable[[Tensor], Tensor]]) -> None:
        super().__init__()
        if len(maps) != len(layers) + 1:
            raise ValueError(f"{len(layers)} layers need {len(layers) + 1} maps, got {len(maps)}")
        self.layers = nn.ModuleList(layers)
        self.maps = nn.ModuleList(m if isinstance(m, nn.Module) else TokenwiseMap(m) for m in maps)

    def attend(
        self, tokens: Float[Tensor, "batch tokens token_dim"], mask: Bool[Tensor, "*#batch tokens tokens"] | None = None
    ) -> Attended:
        """The output and, for each layer, its attention (batch, heads, tokens, tokens); all layers share the mask."""
        hidden, attentions = self.maps[0](tokens), []
        layers = cast(Iterable[MultiHeadAttention], self.layers)
        for layer, token_map in zip(layers, self.maps[1:], strict=True):
            attended = layer.attend(hidden, mask)
            hidden = token_map(attended.output)
            attentions.append(cast(Tensor, attended.attention))
        return Attended(hidden, tuple(attentions))


class TokenwiseMap(nn.Module):
    """A function on the last axis, as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, tokens: Tensor) -> Tensor:
        """Apply the function to every token."""
        return self.function(tokens)


def _checked(mask: Tensor, scores: Tensor) -> Tensor:
    """The mask, if it is one for these scores."""
    if mask.dtype != torch.bool:
        raise ValueError(f"mask must be bool, got {mask.dtype}")
    try:
        expanded = mask.expand(scores.shape)
    except RuntimeError:
        raise ValueError(f"mask must broadcast to {tuple(scores.shape)}, got {tuple(mask.shape)}") from None
    blind = (~mask.any(dim=-1)).nonzero()
    if len(blind) != 0:
        raise ValueError(f"the mask leaves no key to query {blind[0, -1].item()}")
    return expanded


def _refuse_overflow(attention: Tensor, tokens: Tensor, query: Tensor, key: Tensor) -> None:
    """Raise if a row of attention is nan and all else finite. Inside `torch.func.vmap` nothing can be looked at.

    A score that fell to −∞ beside a finite one is no harm: it lies far enough below to weigh nothing.
    """
    if torch._C._functorch.is_functorch_wrapped_tensor(attention) or not bool(attention.isnan().any()):
        return
    if all(bool(factor.isfinite().all()) for factor in (tokens, query, key)):
        *sample, i, _ = attention.isnan().nonzero()[0].tolist()
        seen = tokens[tuple(sample)].double() @ key.double()
        scores = seen @ (query.double().T @ tokens[(*sample, i)].double())
        largest = scores[scores.abs().argmax()].item()
        held = f"{attention.dtype} holds numbers up to {torch.finfo(attention.dtype).max:.3g}"
        raise ScoreOverflowError(f"query {i} has a score of {largest:.3g}, and {held}: scale down")


def multilayer_perceptron(dims: Sequence[int], *, generator: torch.Generator) -> nn.Sequential:
    """A token-wise ReLU network through ``dims``: normal weights of variance 2/fan-in (last: 1/fan-in), biases 0."""
    if len(dims) < 2:
        raise ValueError(f"a network needs an input and an output dimension, got {list(dims)}")
    stages: list[nn.Module] = []
    for index, (fan_in, fan_out) in enumerate(pairwise(dims)):
        last = index == len(dims) - 2
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out, device=generator.device, dtype=torch.float32)
        with torch.no_grad():
            linear.weight.normal_(std=((1 if last else 2) / fan_in) ** 0.5, generator=generator)
            linear.bias.zero_()
        stages += [linear] if last else [linear, nn.ReLU()]
    return nn.Sequential(*stages)
