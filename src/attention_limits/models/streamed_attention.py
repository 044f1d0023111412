"""Third-order attention without N³ memory: exact softmax over all pairs, a tile of scores at a time, with gradients.

A tile holds the scores of some pairs (j, k) of keys with some queries i. Folding a block of pairs into one key and one
value each, a_jk = k_j ⊙ k'_k and u_jk = (1; v_j ⊙ v'_k), makes everything that touches N³ numbers one matrix product:

    S_jk,i = ⟨a_jk, q_i⟩      P = exp S      O_i = Σ_jk P_jk,i u_jk

The first coordinate of the sums is the softmax's denominator. Scores are kept in units of ln 2, because 2^x is cheaper
than e^x. Where a bound on the scores shows that 2^S can neither overflow nor vanish, nothing is subtracted from them;
elsewhere each query's running maximum is. Where both slots hold the same keys and values, pairs (j, k) and (k, j) are
one, and only those with k from j's block on are visited, with weight 2 outside that block.

The backward pass (after Dao et al. 2022, for pairs instead of single keys) computes the tiles again from the saved
log-denominators L: P = exp(S − L), dS = P ⊙ (⟨g_i, v_j ⊙ v'_k⟩ − ⟨g_i, output_i⟩). Subtracting L and the last product
is left to more coordinates, 1 in keys and values. L has two parts, the shift and the logarithm of the sum of
2^(S − shift): large scores leave no digits for the second in a sum of both.

Sums over pairs are added up tile by tile: a matrix product may add one number after the other, and the rounding errors
of N² such steps in float32 would be felt.

Tensors inside have their coordinates first, (batch, coordinates, tokens), so that tokens are next to each other in
memory: the layout that matrix products with few coordinates like best.

Letters: N queries, N₁ and N₂ keys, m = embed, d = value dimension.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attention_limits.models import pair_tiles
from attention_limits.models.pair_tiles import Block, PairTiles, alone, slices

LOG2_E = math.log2(math.e)
#: Coordinates of folded pairs held at a time; the backward pass, which holds them, their gradients and products, takes
#: half.
FOLDED = 1 << 18
#: Up to this many scores, counted twice, and coordinates of folded pairs, plain attention is faster: it makes fewer
#: calls.
PLAIN = 1 << 19
#: Scores up to this many powers of 2 are exponentiated as they are, if the largest product of values of each coordinate
#: is within 2^±40: both together with the number of pairs are inside float32's range.
SAFE_EXPONENT, SAFE_VALUE = 64.0, 2.0**40


class Saved(NamedTuple):
    """What the forward pass leaves: the output, and each query's shift and log₂ of Σ 2^(S − shift)."""

    output: Float[Tensor, "batch tokens value_dim"]
    logarithms: Float[Tensor, "batch two tokens"]


def streamed_attention(
    query: Float[Tensor, "batch tokens embed"],
    first_key: Float[Tensor, "batch first embed"],
    second_key: Float[Tensor, "batch second embed"],
    first_value: Float[Tensor, "batch first value_dim"],
    second_value: Float[Tensor, "batch second value_dim"],
    mask: Bool[Tensor, "batch tokens first second"] | None = None,
) -> Float[Tensor, "batch tokens value_dim"]:
    """softmax over pairs (j, k) of Σ_r q_r k_jr k'_kr, times v_j ⊙ v'_k: order 3 of `tensor_attention`.

    Differentiable once, in everything but the mask (small inputs, see `PLAIN`, more often). Besides inputs, outputs and
    gradients it holds a copy or two of them, and each of torch's threads a few tiles of `TILE` scores, all but one of
    them also sums of the outputs' or gradients' size. A weight below 2^-100 of a query's largest may count as 0. Made
    for about as many queries as keys: in inputs that are not small, folding the pairs of keys pays from some 50 queries
    on. All tensors are float32, or all float64.

    Args:
        query, first_key, second_key, first_value, second_value: with one leading axis. Passing the same object for
            both keys and for both values, without a mask, halves the work.
        mask: true where a query may look, for each query somewhere; an expanded view costs no memory.
    """
    arguments = (query, first_key, second_key, first_value, second_value, mask)
    (batch, tokens, _), keys, others = query.shape, first_key.shape[1], second_key.shape[1]
    folded = min(tokens, others) * (query.shape[2] + first_value.shape[2])
    if batch * keys * max(2 * tokens * others, folded) <= PLAIN:
        return _plain(*arguments)
    return _Streamed.apply(*arguments)


def refuse_second_derivatives() -> None:
    """To be called in a backward pass that works on numbers: what it gives would count as constant.

    Raises:
        RuntimeError: if the gradients are to be differentiated.
    """
    if torch.is_grad_enabled():  # create_graph=True
        raise RuntimeError(
            "third-order attention of this size can be differentiated once only: for second derivatives use "
            "reference_attention, which holds all scores"
        )


def _plain(
    query: Tensor, first_key: Tensor, second_key: Tensor, first_value: Tensor, second_value: Tensor, mask: Tensor | None
) -> Tensor:
    """All scores at once, left to automatic differentiation: the score does not mind which two factors are folded."""
    tokens, others = query.shape[1], second_key.shape[1]
    if tokens < others:  # fold queries and first keys
        folded = query.unsqueeze(2) * first_key.unsqueeze(1)
        scores = torch.bmm(folded.flatten(1, 2), second_key.mT).view(len(query), tokens, -1)
    else:  # fold both keys
        folded = first_key.unsqueeze(2) * second_key.unsqueeze(1)
        scores = torch.bmm(query, folded.flatten(1, 2).mT)
    if mask is not None:
        scores = scores.masked_fill(~mask.flatten(2), -torch.inf)
    weights = scores.softmax(-1)
    if tokens < others:
        sums = torch.bmm(weights.view(len(query), -1, others), second_value).unflatten(1, (tokens, -1))
        return (sums * first_value.unsqueeze(1)).sum(2)
    return torch.bmm(weights, (first_value.unsqueeze(2) * second_value.unsqueeze(1)).flatten(1, 2))


class _Streamed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        query, first_key, second_key, first_value, second_value, mask = arguments
        symmetric = first_key is second_key and first_value is second_value and mask is None
        with alone(query.device) as threads:
            saved = _forward(query, first_key, second_key, first_value, second_value, mask, symmetric, threads)
        ctx.symmetric = symmetric
        ctx.save_for_backward(*arguments, *saved)
        return saved.output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivatives()
        *tensors, mask, output, logarithms = ctx.saved_tensors
        with alone(gradient.device) as threads:
            return (*_backward(tensors, mask, ctx.symmetric, Saved(output, logarithms), gradient, threads), None)


def _joined(key: Tensor, value: Tensor) -> Float[Tensor, "batch coordinates tokens"]:
    """(k; 1; 1; 1; v) for each token."""
    return torch.cat([key.mT, key.new_ones(key.shape[0], 3, key.shape[1]), value.mT], dim=1)


def _factors(of: PairTiles, block: Block) -> tuple[Tensor, Tensor]:
    """The block of either slot, to be multiplied entrywise: (entries, coordinates, N₁, 1) and (…, 1, N₂)."""
    return of.first[block.batch, :, block.first].unsqueeze(3), of.second[block.batch, :, block.second].unsqueeze(2)


def _within(memory: Tensor, *shape: int) -> Tensor:
    """The beginning of ``memory`` in that shape: memory that is used again costs less than new memory."""
    return memory[: math.prod(shape)].view(shape)


def _folded(left: Tensor, right: Tensor, memory: Tensor) -> Float[Tensor, "entries coordinates pairs"]:
    entries, coordinates, keys, _ = left.shape
    return torch.mul(left, right, out=_within(memory, entries, coordinates, keys, right.shape[3])).flatten(2)


def _double_mirrored(folded: Tensor, block: Block) -> None:
    """Count the pairs (j, k) whose mirror image (k, j) is not visited twice."""
    pairs = folded.unflatten(2, (block.first.stop - block.first.start, -1))
    pairs[..., max(0, block.first.stop - block.second.start) :] *= 2


def _product(folded: Tensor, queries: Tensor, memory: Tensor) -> Tensor:
    """The inner products of all pairs and queries, written into ``memory``."""
    return torch.bmm(folded.mT, queries, out=_within(memory, folded.shape[0], folded.shape[2], queries.shape[2]))


def _hide(scores: Tensor, mask: Tensor, block: Block, rows: slice, first: slice) -> None:
    """Set the scores of pairs at which a query may not look to −∞."""
    hidden = ~mask[block.batch, rows, first, block.second]
    scores.masked_fill_(hidden.flatten(2).mT, -torch.inf)


def _largest(scores: Tensor) -> Tensor:
    """``scores.amax(1)``, which torch does 50 times as fast where multiples of 32 numbers lie next to each other."""
    entries, pairs, queries = scores.shape
    if queries % 32 == 0 or pairs < 64:
        return scores.amax(1)
    even = pairs // 32 * 32
    largest = scores[:, :even].view(entries, -1, 32 * queries).amax(1).view(entries, 32, queries)
    return torch.cat([largest, scores[:, even:]], dim=1).amax(1)


@torch.no_grad()
def _score_bound(queries: Tensor, first_key: Tensor, second_key: Tensor) -> float:
    """At least every |S|: the largest |⟨k_j ⊙ (max_k |k'_k|), q_i⟩| over i and j, with absolute values throughout."""
    keys = first_key.abs() * second_key.abs().amax(1, keepdim=True)
    rows = slices(0, queries.shape[2], pair_tiles.TILE // keys.shape[1])
    entries = slices(0, queries.shape[0], pair_tiles.TILE // (keys.shape[1] * rows[0].stop))
    return max(float(torch.bmm(keys[b], queries[b, :, some].abs()).amax()) for b in entries for some in rows)


def _forward(
    query: Tensor,
    first_key: Tensor,
    second_key: Tensor,
    first_value: Tensor,
    second_value: Tensor,
    mask: Tensor | None,
    symmetric: bool,
    threads: int,
) -> Saved:
    first, second = _joined(first_key, first_value), _joined(second_key, second_value)
    task = PairTiles((query.mT * LOG2_E).contiguous(), first, second, query.shape[2], mask, symmetric)
    # Of each coordinate, which has a scale of its own; where it is 0 throughout, any scale does.
    values = first_value.abs().amax(1) * second_value.abs().amax(1)
    bound = _score_bound(task.queries, first_key, second_key)
    safe = bound <= SAFE_EXPONENT and bool(((values >= 1 / SAFE_VALUE) & (values <= SAFE_VALUE) | (values == 0)).all())
    (sums, shift), *others = task.shared(partial(_sums, running=not safe), FOLDED, threads)
    for part, own in others:
        before = shift.clone()
        torch.maximum(shift, own, out=shift)
        sums.mul_((before - shift).exp2_().unsqueeze(1)).add_(part.mul_((own - shift).exp2_().unsqueeze(1)))
    output = (sums[:, 1:] / sums[:, :1]).mT.contiguous()
    return Saved(output, torch.stack([shift, sums[:, 0].log2()], dim=1))


@torch.no_grad()  # a thread does not inherit it
def _sums(task: PairTiles, blocks: list[Block], running: bool) -> tuple[Tensor, Tensor]:
    """Σ 2^(S − shift) u over the pairs of the blocks, and the shift: 0, or each query's largest score."""
    embed, queries = task.embed, task.queries
    shift = torch.full_like(queries[:, 0], torch.finfo(queries.dtype).min if running else 0)
    sums = torch.zeros_like(queries[:, :1]).repeat(1, task.first.shape[1] - embed - 2, 1)
    memory, folded_memory = queries.new_empty(pair_tiles.TILE), task.new_folded(FOLDED)
    for block in blocks:
        folded = _folded(*_factors(task, block), folded_memory)
        if task.symmetric:
            _double_mirrored(folded[:, embed + 2 :], block)
        parts = [(rows, queries[block.batch, :, rows], sums[block.batch, :, rows]) for rows in task.rows()]
        for some, pairs in block.tiles():
            keys, values = folded[:, :embed, pairs], folded[:, embed + 2 :, pairs]
            for rows, part, part_sums in parts:
                exponents = _product(keys, part, memory)
                if task.mask is not None:
                    _hide(exponents, task.mask, block, rows, some)
                if running:
                    before = shift[block.batch, rows].clone()
                    now = torch.maximum(before, _largest(exponents), out=shift[block.batch, rows])
                    # Next to 1 or more, 2^-100 is nothing; numbers too small for the format's full precision are slow.
                    torch.threshold_(exponents.sub_(now.unsqueeze(1)), -100, -torch.inf)
                    part_sums *= (before - now).exp2_().unsqueeze(1)
                part_sums += torch.bmm(values, exponents.exp2_())
    return sums, shift


def _backward(
    tensors: list[Tensor], mask: Tensor | None, symmetric: bool, saved: Saved, gradient: Tensor, threads: int
) -> tuple[Tensor, ...]:
    """The gradients of the five tensors, in their order."""
    query, first_key, second_key, first_value, second_value = tensors
    embed = query.shape[2]
    first, second = _joined(first_key, first_value), _joined(second_key, second_value)
    mean = (gradient * saved.output).sum(2).unsqueeze(1)
    queries = torch.cat([query.mT * LOG2_E, -saved.logarithms, -mean, gradient.mT], dim=1)
    parts = PairTiles(queries, first, second, embed, mask, symmetric).shared(_gradients, FOLDED // 2, threads)
    (of_query, of_first, of_second), *others = parts
    for part in others:
        for total, share in zip((of_query, of_first, of_second), part, strict=True):
            total += share
    of_first, of_second = of_first.mT, of_second.mT
    keys, values = slice(embed), slice(embed + 3, None)
    of_keys = of_first[..., keys] / LOG2_E, of_second[..., keys] / LOG2_E  # sums over the queries times LOG2_E
    return of_query.mT, *of_keys, of_first[..., values], of_second[..., values]


@torch.no_grad()
def _gradients(task: PairTiles, blocks: list[Block]) -> tuple[Tensor, Tensor, Tensor]:
    """What the pairs of the blocks contribute to the gradients of queries and both slots."""
    embed, queries = task.embed, task.queries
    of_query, of_first, of_second = map(torch.zeros_like, (queries[:, :embed], task.first, task.second))
    memory, folded_memory = queries.new_empty(2, pair_tiles.TILE), [task.new_folded(FOLDED // 2) for _ in range(2)]
    for block in blocks:
        left, right = _factors(task, block)
        folded = _folded(left, right, folded_memory[0])
        if task.symmetric:
            _double_mirrored(folded[:, embed + 2 :], block)
        of_folded = _within(folded_memory[1], *folded.shape).zero_()
        parts = [(rows, queries[block.batch, :, rows], of_query[block.batch, :, rows]) for rows in task.rows()]
        for some, pairs in block.tiles():
            keys, values = folded[:, : embed + 2, pairs], folded[:, embed + 2 :, pairs]
            of_keys, of_values = of_folded[:, :embed, pairs], of_folded[:, embed + 3 :, pairs]
            for rows, part, of_part in parts:
                weights = _product(keys, part[:, : embed + 2], memory[0])
                if task.mask is not None:
                    _hide(weights, task.mask, block, rows, some)
                weights.exp2_()
                of_scores = _product(values, part[:, embed + 2 :], memory[1]).mul_(weights)
                of_part += torch.bmm(keys[:, :embed], of_scores)
                of_keys.baddbmm_(part[:, :embed], of_scores.mT)
                of_values.baddbmm_(part[:, embed + 3 :], weights.mT)
        if task.symmetric:
            _double_mirrored(of_folded[:, embed + 3 :], block)
        of_pairs = of_folded.unflatten(2, (left.shape[2], right.shape[3]))
        of_first[block.batch, :, block.first].add_((of_pairs * right).sum(3))
        of_second[block.batch, :, block.second].add_((of_pairs * left).sum(2))
    return of_query, of_first, of_second
