"""Third-order attention without N³ memory: exact softmax over all pairs, a tile of scores at a time, with gradients.

A tile holds the scores of some queries i and first keys j with *all* second keys k. Folding the query into the first
key, a_ij = q_i ⊙ k_j, makes it one matrix product, and so is everything else that touches N³ numbers:

    S_ij,k = ⟨a_ij, k'_k⟩      P = exp S      O_ij = Σ_k P_ij,k (v'_k; 1)      output_i = Σ_j O_ij ⊙ (v_j; 1)

The last coordinate of the sums is the softmax's denominator. Scores are kept in units of ln 2, because 2^x is cheaper
than e^x. Where a bound on a query's scores shows that 2^S can neither overflow nor vanish, nothing is subtracted from
them; elsewhere a running maximum is. Where both slots hold the same keys and values, pairs (j, k) and (k, j) are one,
and only those with k from j's tile on are visited, with weight 2 outside that tile.

The backward pass (after Dao et al. 2022, for pairs instead of single keys) computes the tiles again from the saved
log-denominators L: P = exp(S − L), dS = P ⊙ (⟨g_i ⊙ v_j, v'_k⟩ − ⟨g_i, output_i⟩).

Letters: N queries, N₁ and N₂ keys, m = embed, d = value dimension.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

LOG2_E = math.log2(math.e)
#: Scores in a tile, 2 MiB in float32; smaller tiles pay more calls, larger ones leave the caches. The backward pass
#: holds two.
TILE = 1 << 19
#: First keys in a tile.
FIRST_KEYS = 32
#: Scores up to this many powers of 2 are exponentiated as they are: 2^±64 times N₁N₂ is far inside float32's range.
SAFE_EXPONENT = 64.0


class Saved(NamedTuple):
    """What the forward pass leaves: the output and each query's log₂ of the denominator."""

    output: Float[Tensor, "batch tokens value_dim"]
    log_denominator: Float[Tensor, "batch tokens"]


def streamed_attention(
    query: Float[Tensor, "batch tokens embed"],
    first_key: Float[Tensor, "batch first embed"],
    second_key: Float[Tensor, "batch second embed"],
    first_value: Float[Tensor, "batch first value_dim"],
    second_value: Float[Tensor, "batch second value_dim"],
    mask: Bool[Tensor, "batch tokens first second"] | None = None,
) -> Float[Tensor, "batch tokens value_dim"]:
    """softmax over pairs (j, k) of Σ_r q_r k_jr k'_kr, times v_j ⊙ v'_k: order 3 of `tensor_attention`.

    Differentiable once, in everything but the mask. Besides inputs, outputs and gradients it holds a few tiles of
    `TILE` scores, or N₂ scores if that is more. All tensors are float32, or all float64.

    Args:
        query, first_key, second_key, first_value, second_value: with one leading axis. Passing the same object for
            both keys and for both values, without a mask, halves the work.
        mask: true where a query may look, for each query somewhere; an expanded view costs nothing.
    """
    arguments = (query, first_key, second_key, first_value, second_value, mask)
    return _Streamed.apply(*arguments)


class _Streamed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        query, first_key, second_key, first_value, second_value, mask = arguments
        symmetric = first_key is second_key and first_value is second_value and mask is None
        saved = _forward(query, first_key, second_key, first_value, second_value, mask, symmetric)
        ctx.mask, ctx.symmetric = mask, symmetric
        ctx.save_for_backward(query, first_key, second_key, first_value, second_value, *saved)
        return saved.output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, output, log_denominator = ctx.saved_tensors
        saved = Saved(output, log_denominator)
        return (*_backward(tensors, ctx.mask, ctx.symmetric, saved, gradient), None)


class _Tile(NamedTuple):
    """Which batch entries, queries and first keys a tile covers, and from which second key on."""

    batch: slice
    queries: slice
    first: slice
    second: slice


def _tiles(shape: tuple[int, int, int, int], symmetric: bool) -> Iterator[_Tile]:
    """Tiles of about `TILE` scores that cover (batch, N, N₁, N₂); those of one query block come in a row."""
    batch, tokens, first, second = shape
    keys = max(1, min(first, FIRST_KEYS, TILE // second))
    queries = max(1, min(tokens, TILE // (keys * second)))
    whole = queries == tokens and keys == first
    entries = max(1, min(batch, TILE // (tokens * first * second))) if whole else 1
    for b in range(0, batch, entries):
        for i in range(0, tokens, queries):
            for j in range(0, first, keys):
                blocks = (slice(b, b + entries), slice(i, i + queries), slice(j, min(j + keys, first)))
                yield _Tile(*blocks, slice(j if symmetric else 0, second))


class _Scores:
    """The scores of one tile after the other, in units of ln 2, in one piece of memory."""

    def __init__(self, query: Tensor, first_key: Tensor, second_key: Tensor, symmetric: bool) -> None:
        self.query, self.first_key, self.symmetric = query * LOG2_E, first_key, symmetric
        # Below the keys: a row of ones for each query's shift, and for pairs that stand for two, the log₂ of that.
        batch, tokens, self.embed = second_key.shape
        self.right = torch.cat([second_key, second_key.new_ones(batch, tokens, 2)], dim=-1).mT.contiguous()
        self.memory = query.new_empty(max(TILE, tokens))

    def folded(self, tile: _Tile) -> Float[Tensor, "entries pairs embed"]:
        """The entrywise products of the tile's queries, times log₂ e, and first keys."""
        return _folded(self.query[tile.batch, tile.queries], self.first_key[tile.batch, tile.first])

    def of(self, tile: _Tile, folded: Tensor, shift: Tensor | None = None) -> Float[Tensor, "entries pairs second"]:
        """The tile's scores, plus ``shift`` for each of its queries."""
        left, rows = [folded], self.embed
        if shift is not None or self.symmetric:
            shifts = torch.zeros_like(self.query[tile.batch, tile.queries, 0]) if shift is None else shift
            left.append(shifts.repeat_interleave(tile.first.stop - tile.first.start, dim=1).unsqueeze(-1))
            rows += 1
        if self.symmetric:
            self.right[:, -1, tile.first], self.right[:, -1, tile.first.stop :] = 0, 1
            left.append(torch.ones_like(left[-1]))
            rows += 1
        return _product(torch.cat(left, dim=-1), self.right[tile.batch, :rows, tile.second], self.memory)


def _folded(left: Tensor, right: Tensor) -> Tensor:
    """The entrywise products of all pairs of rows: (b, n, c) and (b, k, c) → (b, n k, c)."""
    return (left.unsqueeze(2) * right.unsqueeze(1)).flatten(1, 2)


def _product(left: Tensor, right: Tensor, memory: Tensor) -> Tensor:
    """The matrix products of a batch, written into ``memory``."""
    shape = (left.shape[0], left.shape[1], right.shape[2])
    return torch.bmm(left, right, out=memory[: math.prod(shape)].view(shape))


def _forward(
    query: Tensor,
    first_key: Tensor,
    second_key: Tensor,
    first_value: Tensor,
    second_value: Tensor,
    mask: Tensor | None,
    symmetric: bool,
) -> Saved:
    batch, tokens, _ = query.shape
    dim, one = first_value.shape[-1], query.new_ones(())
    scores = _Scores(query, first_key, second_key, symmetric)
    first_values, second_values = (
        torch.cat([value, one.expand(*value.shape[:2], 1)], dim=-1).mT.contiguous()
        for value in (first_value, second_value)
    )
    bound = (scores.query.abs() * first_key.abs().amax(1, keepdim=True) * second_key.abs().amax(1, keepdim=True)).sum(
        -1
    )
    sums = query.new_zeros(batch, dim + 1, tokens)
    shift = torch.zeros_like(bound)  # what is subtracted from a query's scores: 0, or the largest one so far
    for tile in _tiles((batch, tokens, first_key.shape[1], second_key.shape[1]), symmetric):
        rows = (tile.batch, tile.queries)
        exponents = scores.of(tile, scores.folded(tile))
        if mask is not None:
            exponents.masked_fill_(~mask[(*rows, tile.first)].flatten(1, 2), -torch.inf)
        if bound[rows].amax() > SAFE_EXPONENT:
            by_query = exponents.unflatten(1, (shift[rows].shape[1], -1)).flatten(2)
            before = shift[rows].clone() if tile.first.start else torch.full_like(shift[rows], -torch.inf)
            # Finite even where the mask has left a query nothing yet.
            shift[rows] = torch.maximum(before, by_query.amax(-1)).clamp_min(torch.finfo(shift.dtype).min)
            by_query.sub_(shift[rows].unsqueeze(-1))
            sums[tile.batch, :, tile.queries] *= (before - shift[rows]).exp2().unsqueeze(1)
        totals = torch.bmm(second_values[tile.batch, :, tile.second], exponents.exp2_().mT)
        values = first_values[tile.batch, :, None, tile.first]
        sums[tile.batch, :, tile.queries] += (totals.unflatten(2, (-1, values.shape[-1])) * values).sum(-1)
    denominator = sums[:, dim]
    return Saved((sums[:, :dim] / denominator.unsqueeze(1)).mT.contiguous(), denominator.log2() + shift)


def _backward(
    tensors: list[Tensor], mask: Tensor | None, symmetric: bool, saved: Saved, gradient: Tensor
) -> tuple[Tensor, ...]:
    """The gradients of the five tensors, in their order."""
    query, first_key, second_key, first_value, second_value = tensors
    scores = _Scores(query, first_key, second_key, symmetric)
    memory = torch.empty_like(scores.memory)
    values = torch.cat([second_value, torch.ones_like(second_value[..., :1])], dim=-1).mT.contiguous()
    keys, dim = scores.right[:, : scores.embed], first_value.shape[-1]
    mean = (gradient * saved.output).sum(-1)
    of_query, of_first_key, of_first_value = map(torch.zeros_like, (query, first_key, first_value))
    of_second_key, of_second_value = (tensor.new_zeros(tensor.mT.shape) for tensor in (second_key, second_value))
    for tile in _tiles((*query.shape[:2], first_key.shape[1], second_key.shape[1]), symmetric):
        rows, columns = (tile.batch, tile.queries), (tile.batch, tile.first)
        folded = scores.folded(tile)
        weights = scores.of(tile, folded, -saved.log_denominator[rows])
        if mask is not None:
            weights.masked_fill_(~mask[(*rows, tile.first)].flatten(1, 2), -torch.inf)
        weights.exp2_()
        folded_values = _folded(gradient[rows], first_value[columns])
        means = mean[rows].repeat_interleave(first_key[columns].shape[1], dim=1).unsqueeze(-1)
        of_scores = _product(
            torch.cat([folded_values, -means], dim=-1), values[tile.batch, :, tile.second], memory
        ).mul_(weights)
        of_second_key[tile.batch, :, tile.second] += torch.bmm(folded.mT, of_scores)
        of_second_value[tile.batch, :, tile.second] += torch.bmm(folded_values.mT, weights)
        split = (query[rows].shape[1], -1)
        of_folded = torch.bmm(keys[tile.batch, :, tile.second], of_scores.mT).unflatten(2, split)
        of_folded_values = torch.bmm(values[tile.batch, :dim, tile.second], weights.mT).unflatten(2, split)
        of_query[rows] += (of_folded * first_key[columns].mT.unsqueeze(2)).sum(3).mT
        of_first_key[columns] += (of_folded * query[rows].mT.unsqueeze(3)).sum(2).mT
        of_first_value[columns] += (of_folded_values * gradient[rows].mT.unsqueeze(3)).sum(2).mT
    return of_query, of_first_key, of_second_key.mT / LOG2_E, of_first_value, of_second_value.mT
