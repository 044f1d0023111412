"""Directed triangles through each edge, by one unit of third-order attention on edge tokens, m = 6.

Token i is an edge (u_i, v_i). Edges i, j, k close a directed triangle when v_i = u_j, v_j = u_k and v_k = u_i, that is
when (v_i − u_j)² + (v_j − u_k)² + (v_k − u_i)² is 0; else it is at least 1.

Letters: N = num_edges, c = scale, g = log_odds, n_i = u_i² + v_i².
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from attention_limits.hypotheses import require_integer
from attention_limits.models.tensor_attention import tensor_attention


def check_edges(edges: Int[Tensor, "batch tokens 2"]) -> None:
    """Refuse edges that are not int64, start below 0, or join a vertex to itself."""
    if edges.dtype != torch.int64:
        raise ValueError(f"edges must be int64, got {edges.dtype}")
    if not (edges.numel() == 0 or edges.min().item() >= 0):
        raise ValueError("vertices must be at least 0")
    loops = (edges[..., 0] == edges[..., 1]).nonzero()
    if len(loops) != 0:
        raise ValueError(f"edges must join two vertices, got a loop at {loops[:1].tolist()}")


def directed_triangles(edges: Int[Tensor, "batch tokens 2"]) -> Bool[Tensor, "batch tokens"]:
    """Whether edge i lies on a directed triangle, by comparing all triples of edges."""
    check_edges(edges)
    follows = edges[..., :, None, 1] == edges[..., None, :, 0]  # edge j starts where edge i ends
    walks = follows.long()
    return ((walks @ walks) * walks.transpose(1, 2)).sum(dim=2) > 0


class TriangleUnit(nn.Module):
    """One unit of order 3: int64 edges (batch, tokens, 2) → probabilities; the label is *output > 1/2*.

    The right side gets at least σ(g) in exact arithmetic, and at least σ(g/2) in the floats of the module, before the
    output is rounded. c is max(2 ln N + 2g, g + ln 4N), rounded up to an integer, so that all scores of tokens are
    exact integers; the blank's score is rounded.
    """

    embed_dim, num_heads, depth = 6, 1, 1
    _format: Tensor

    def __init__(self, num_edges: int, log_odds: float = 1.0) -> None:
        super().__init__()
        require_integer("num_edges", num_edges, 1)
        if not (math.isfinite(log_odds) and log_odds > 0):
            raise ValueError(f"log_odds g must be positive and finite, got {log_odds}")
        self.num_edges, self.log_odds = num_edges, log_odds
        least = max(2 * math.log(num_edges) + 2 * log_odds, log_odds + math.log(4 * num_edges))
        self.scale = math.ceil(least)
        self.register_buffer("_format", torch.zeros((), dtype=torch.float32))

    def vectors(self, edges: Int[Tensor, "batch tokens 2"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (batch, tokens, 6) and the keys of both slots (batch, tokens + 1, 6), the blank last, in float64."""
        first, last = edges.double().unbind(dim=-1)
        one, zero, norm = torch.ones_like(first), torch.zeros_like(first), first.square() + last.square()
        top = self.scale * norm  # the score of a triangle, after leaving out the query's own −c n_i
        blank = top - self.log_odds + torch.log1p(-2 * self.num_edges * torch.exp(self.log_odds - top))
        query = torch.stack([2 * last, 2 * one, 2 * first, -one, -one], dim=-1) * self.scale
        query = torch.cat([query, blank.unsqueeze(-1)], dim=-1)
        second_key = torch.stack([first, last, one, norm, one, zero], dim=-1)  # edge j: 2 v_i u_j, 2 v_j u_k, −n_j
        third_key = torch.stack([one, first, last, one, norm, zero], dim=-1)  # edge k: 2 v_j u_k, 2 u_i v_k, −n_k
        blank_key = torch.zeros_like(second_key[:, :1])
        blank_key[..., -1] = 1
        return query, torch.cat([second_key, blank_key], dim=1), torch.cat([third_key, blank_key], dim=1)

    def forward(self, edges: Int[Tensor, "batch tokens 2"]) -> Float[Tensor, "batch tokens"]:
        """The weight on pairs of edges.

        Raises:
            ValueError: for what are no edges, another number of them, or vertices too large for the float type.
        """
        check_edges(edges)
        if edges.shape[1] != self.num_edges:
            raise ValueError(f"edges must be {self.num_edges}, got {edges.shape[1]}")
        dtype = self._format.dtype
        largest = int(edges.max().item()) if edges.numel() else 0
        # Partial sums stay below 10 c V²: integers that the format must hold exactly.
        room = round(1 / torch.finfo(dtype).eps)
        if not 10 * self.scale * largest**2 < room:
            raise ValueError(
                f"{dtype} is too small for vertex {largest}: 10 c V² must stay below {room}, c = {self.scale}"
            )
        # The blank's score is at most 2 c V²; then come the softmax's two sums, and the output, where σ'(0) = 1/4.
        store, step = torch.finfo(dtype).eps, torch.finfo(torch.promote_types(dtype, torch.float32)).eps
        lost = (self.scale * largest**2 + 8) * store + 4 * (self.num_edges + 1) ** 2 * step
        if not lost <= self.log_odds / 2:
            raise ValueError(
                f"{dtype} is too small for vertex {largest}: rounding may cost {lost:.2g}, more than half of the "
                f"log-odds g = {self.log_odds}"
            )
        query, second_key, third_key = (part.to(dtype) for part in self.vectors(edges))
        value = torch.ones(*second_key.shape[:2], 1, dtype=dtype, device=edges.device)
        value[:, -1] = 0
        return tensor_attention(query, (second_key, third_key), (value, value)).squeeze(-1)
