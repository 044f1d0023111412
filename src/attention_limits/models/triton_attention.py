"""Third-order attention as Triton kernels, for CUDA: exact softmax over all pairs in tiles that never leave the chip.

Scores ⟨q_i, k_j ⊙ k'_k⟩ and the products ⟨g_i, v_j ⊙ v'_k⟩ of the backward pass, g being the output's gradient, treat
query, first and second slot alike. So every kernel has the same form: a program owns a block of *target* tokens, walks
over blocks of another axis, and for each of them over single tokens of the third. There it folds the block with the
single token, F = k'_block ⊙ k_j and W = v'_block ⊙ v_j, which makes all that touches N³ numbers a matrix product:

    forward, targets are queries:        S = Q Fᵀ   P = exp(S − max)   output += P W   denominator += P 1
    backward, each axis as the target:   P = exp(S − L)   dS = P ⊙ (V_target Wᵀ − ⟨g, output⟩)   dK += dS F   dV += P W

L is the log-denominator that the forward pass saves; a query's "value" is g. Where blocks are too few to fill the
device, the single tokens are dealt out to several programs, and their partial sums are added after the kernel: nothing
is added atomically, so results are bitwise the same on each run.

Products are taken in full float32 (``ieee``), not in the 10-bit mantissas of tensor cores: tolerances of this project
rest on float32. Exponents are kept in units of ln 2, because 2^x is cheaper than e^x.

Letters: N queries, N₁ and N₂ keys, m = embed, d = value dimension.
"""

import math
from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Bool, Float
from torch import Tensor

from attention_limits.models.streamed_attention import refuse_second_derivatives

LOG2_E = tl.constexpr(math.log2(math.e))
#: Where running maxima begin: finite, so that a row that is masked so far has no ∞ − ∞.
LOWEST = tl.constexpr(-3.0e38)
#: At least so many programs where there is work for them: several for each of a large GPU's 100 to 150 multiprocessors.
PROGRAMS = 1024
#: Eight warps keep a tile in registers. Without pipelined loads, which are few here, twice as many programs fit.
OPTIONS = {"num_warps": 8, "num_stages": 1}
#: The largest embedding and value dimension. Wider tiles leave the registers and the shared memory of many GPUs.
WIDEST = 128


def triton_attention(
    query: Float[Tensor, "batch tokens embed"],
    first_key: Float[Tensor, "batch first embed"],
    second_key: Float[Tensor, "batch second embed"],
    first_value: Float[Tensor, "batch first value_dim"],
    second_value: Float[Tensor, "batch second value_dim"],
    mask: Bool[Tensor, "batch tokens first second"] | None = None,
) -> Float[Tensor, "batch tokens value_dim"]:
    """softmax over pairs (j, k) of Σ_r q_r k_jr k'_kr, times v_j ⊙ v'_k, for float32: order 3 of `tensor_attention`.

    Differentiable once, in everything but the mask. Besides inputs, outputs and gradients it holds partial sums, one
    block for each program. The same object in both slots is treated as two. A score s is rounded to a few 2⁻²⁴ s, as in
    any float32 evaluation, and its weight, in output and gradients, to that much of itself.

    Args:
        query, first_key, second_key, first_value, second_value: with one leading axis, on a CUDA device.
        mask: true where a query may look, for each query somewhere; an expanded view costs no memory.

    Raises:
        ValueError: for formats other than float32, float64 among them, and for axes wider than `WIDEST`.
    """
    arguments = (query, first_key, second_key, first_value, second_value)
    for tensor in arguments:
        if tensor.dtype != torch.float32:
            raise ValueError(f"Triton attention takes float32, got {tensor.dtype}")
        if tensor.shape[-1] > WIDEST:
            raise ValueError(f"embed and value_dim are at most {WIDEST} wide, got {tensor.shape[-1]}")
    return _Attention.apply(*arguments, mask)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        *tensors, mask = arguments
        tensors = [tensor.contiguous() for tensor in tensors]
        output, log_denominator = _forward(tensors, mask)
        ctx.mask = mask
        ctx.save_for_backward(*tensors, output, log_denominator)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivatives()
        *tensors, output, log_denominator = ctx.saved_tensors
        return (*_backward(tensors, ctx.mask, output, log_denominator, gradient.contiguous()), None)


def _forward(tensors: list[Tensor], mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """The output and, for each query, log₂ of the denominator."""
    query, first_key, second_key, first_value, second_value = tensors
    batch, tokens, _ = query.shape
    first, dim = first_value.shape[1:]
    widths = _widths(query, first_value)
    grid, chunk = _grid(batch, tokens, first, widths["BLOCK"])
    sums = query.new_empty(grid[1], batch, tokens, dim)
    denominators, largest = query.new_empty(2, grid[1], batch, tokens)
    with torch.cuda.device_of(query):
        _forward_kernel[grid](
            *(query, second_key, second_value, first_key, first_value, sums, denominators, largest),
            *(batch, tokens, second_key.shape[1], first, chunk),
            *_mask_arguments(mask, (1, 3, 2)),
            **widths,
            **OPTIONS,
        )
    overall = largest.amax(0)
    scale = (largest - overall).exp2()
    denominator = (denominators * scale).sum(0)
    return (sums * scale.unsqueeze(-1)).sum(0) / denominator.unsqueeze(-1), denominator.log2() + overall


def _backward(
    tensors: list[Tensor], mask: Tensor | None, output: Tensor, log_denominator: Tensor, gradient: Tensor
) -> tuple[Tensor, ...]:
    """The gradients of the five tensors, in their order."""
    query, first_key, second_key, first_value, second_value = tensors
    axes = ((query, gradient), (first_key, first_value), (second_key, second_value))
    mean = (gradient * output).sum(-1)
    widths = _widths(query, first_value)

    def gradients(target: int, block: int, single: int) -> tuple[Tensor, Tensor]:
        keys, values = axes[target]
        batch, targets, _ = keys.shape
        singles = axes[single][0].shape[1]
        grid, chunk = _grid(batch, targets, singles, widths["BLOCK"])
        of_keys, of_values = (x.new_empty(grid[1], *x.shape) for x in (keys, values))
        with torch.cuda.device_of(query):
            _backward_kernel[grid](
                *(keys, values, *axes[block], *axes[single], log_denominator, mean, of_keys, of_values),
                *(batch, targets, axes[block][0].shape[1], singles, chunk),
                *_mask_arguments(mask, (target + 1, block + 1, single + 1)),
                **widths,
                **OPTIONS,
                OF_QUERY=target == 0,
            )
        return of_keys.sum(0), of_values.sum(0)

    of_query, _ = gradients(0, 2, 1)
    of_first_key, of_first_value = gradients(1, 0, 2)
    of_second_key, of_second_value = gradients(2, 0, 1)
    return of_query, of_first_key, of_second_key, of_first_value, of_second_value


def _grid(batch: int, targets: int, singles: int, block: int) -> tuple[tuple[int, int], int]:
    """How many programs there are, by blocks of targets and by parts of the single tokens; the tokens in a part."""
    blocks = batch * triton.cdiv(targets, block)
    chunk = triton.cdiv(singles, min(singles, triton.cdiv(PROGRAMS, max(1, blocks))))
    return (blocks, triton.cdiv(singles, chunk)), chunk


def _mask_arguments(mask: Tensor | None, axes: tuple[int, int, int]) -> tuple[Any, ...]:
    """The mask as bytes and its strides, for the batch and for these axes."""
    if mask is None:
        return None, 0, 0, 0, 0
    return mask.view(torch.uint8), mask.stride(0), *(mask.stride(axis) for axis in axes)


def _widths(key: Tensor, value: Tensor) -> dict[str, int]:
    """The last axes, their sizes in a tile (powers of 2 that matrix products take), and the tokens in a block."""
    embed, dim = key.shape[-1], value.shape[-1]
    padded = [max(16, triton.next_power_of_2(width)) for width in (embed, dim)]
    return {"embed": embed, "dim": dim, "EMBED": padded[0], "DIM": padded[1], "BLOCK": _block(max(padded))}


def _block(width: int) -> int:
    """Tokens in a block, such that its tiles stay in registers and below 96 KiB of shared memory."""
    return 64 if width <= 32 else 32


#: Kernels are not compiled anew for sizes that happen to be 1 or multiples of 16.
SIZES = ["batch", "targets", "blocks", "singles", "chunk", "mask_entry", "mask_target", "mask_block", "mask_single"]

# The kernels. Tensors are contiguous; "entry" is a place in the batch. Types are not checked inside: a hook that checks
# them would wrap the functions, and Triton needs them as they are written.


@triton.jit
@no_type_check
def _rows(tensor, entry, rows, tokens, width: tl.constexpr, WIDTH: tl.constexpr):
    """These rows of a (batch, tokens, width) tensor, widened to WIDTH, with zeros where it has no entries."""
    columns = tl.arange(0, WIDTH)
    inside = (rows < tokens)[:, None] & (columns < width)[None, :]
    return tl.load(tensor + (entry * tokens + rows)[:, None] * width + columns[None, :], mask=inside, other=0.0)


@triton.jit
@no_type_check
def _store_rows(tensor, tile, entry, rows, tokens, width: tl.constexpr, WIDTH: tl.constexpr):
    """The inverse of `_rows`."""
    columns = tl.arange(0, WIDTH)
    inside = (rows < tokens)[:, None] & (columns < width)[None, :]
    tl.store(tensor + (entry * tokens + rows)[:, None] * width + columns[None, :], tile, mask=inside)


@triton.jit
@no_type_check
def _exponents(keys, folded, inside, mask, places):
    """Scores of targets with folded tokens in units of ln 2; −∞ outside the axes and where the mask says so."""
    if mask is not None:
        inside &= tl.load(mask + places, mask=inside, other=0) != 0
    scores = tl.dot(keys, tl.trans(folded), input_precision="ieee")
    return tl.where(inside, scores * LOG2_E, float("-inf"))


@triton.jit(do_not_specialize=SIZES)
@no_type_check
def _forward_kernel(
    query, block_key, block_value, single_key, single_value, sums, denominators, maxima,
    batch, targets, blocks, singles, chunk, mask, mask_entry, mask_target, mask_block, mask_single,
    embed: tl.constexpr, dim: tl.constexpr, EMBED: tl.constexpr, DIM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Each query's sums over all of the block axis and a part of the single axis, relative to its largest exponent."""
    row_blocks = tl.cdiv(targets, BLOCK)
    entry = (tl.program_id(0) // row_blocks).to(tl.int64)
    rows = tl.program_id(0) % row_blocks * BLOCK + tl.arange(0, BLOCK)
    part = tl.program_id(1)
    queries = _rows(query, entry, rows, targets, embed, EMBED)
    total = tl.zeros([BLOCK, DIM], tl.float32)
    denominator = tl.zeros([BLOCK], tl.float32)
    largest = tl.full([BLOCK], LOWEST, tl.float32)
    for start in range(0, blocks, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        inside = (rows < targets)[:, None] & (columns < blocks)[None, :]
        places = entry * mask_entry + rows.to(tl.int64)[:, None] * mask_target
        places += columns.to(tl.int64)[None, :] * mask_block
        keys = _rows(block_key, entry, columns, blocks, embed, EMBED)
        values = _rows(block_value, entry, columns, blocks, dim, DIM)
        for place in range(part * chunk, tl.minimum(part * chunk + chunk, singles)):
            single = place + tl.arange(0, 1)
            folded = keys * _rows(single_key, entry, single, singles, embed, EMBED)
            folded_values = values * _rows(single_value, entry, single, singles, dim, DIM)
            exponents = _exponents(queries, folded, inside, mask, places + single.to(tl.int64) * mask_single)
            larger = tl.maximum(largest, tl.max(exponents, 1))
            weights = tl.exp2(exponents - larger[:, None])
            shrink = tl.exp2(largest - larger)
            denominator = denominator * shrink + tl.sum(weights, 1)
            total = tl.dot(weights, folded_values, total * shrink[:, None], input_precision="ieee")
            largest = larger
    _store_rows(sums, total, part * batch + entry, rows, targets, dim, DIM)
    per_query = (part * batch + entry) * targets + rows
    tl.store(denominators + per_query, denominator, mask=rows < targets)
    tl.store(maxima + per_query, largest, mask=rows < targets)


@triton.jit(do_not_specialize=SIZES)
@no_type_check
def _backward_kernel(
    target_key, target_value, block_key, block_value, single_key, single_value, log_denominator, mean, of_key, of_value,
    batch, targets, blocks, singles, chunk, mask, mask_entry, mask_target, mask_block, mask_single,
    embed: tl.constexpr, dim: tl.constexpr, EMBED: tl.constexpr, DIM: tl.constexpr, BLOCK: tl.constexpr,
    OF_QUERY: tl.constexpr,
):  # fmt: skip
    """The gradients of the targets' keys and values from all of the block axis and a part of the single axis.

    A query's key is the query, its value the gradient of its output. Queries are the targets if OF_QUERY (there is no
    gradient of values then), else the blocks.
    """
    row_blocks = tl.cdiv(targets, BLOCK)
    entry = (tl.program_id(0) // row_blocks).to(tl.int64)
    rows = tl.program_id(0) % row_blocks * BLOCK + tl.arange(0, BLOCK)
    part = tl.program_id(1)
    own_keys = _rows(target_key, entry, rows, targets, embed, EMBED)
    own_values = _rows(target_value, entry, rows, targets, dim, DIM)
    of_keys = tl.zeros([BLOCK, EMBED], tl.float32)
    of_values = tl.zeros([BLOCK, DIM], tl.float32)
    for start in range(0, blocks, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        inside = (rows < targets)[:, None] & (columns < blocks)[None, :]
        places = entry * mask_entry + rows.to(tl.int64)[:, None] * mask_target
        places += columns.to(tl.int64)[None, :] * mask_block
        keys = _rows(block_key, entry, columns, blocks, embed, EMBED)
        values = _rows(block_value, entry, columns, blocks, dim, DIM)
        if OF_QUERY:
            logs = tl.load(log_denominator + entry * targets + rows, mask=rows < targets, other=0.0)[:, None]
            means = tl.load(mean + entry * targets + rows, mask=rows < targets, other=0.0)[:, None]
        else:
            logs = tl.load(log_denominator + entry * blocks + columns, mask=columns < blocks, other=0.0)[None, :]
            means = tl.load(mean + entry * blocks + columns, mask=columns < blocks, other=0.0)[None, :]
        for place in range(part * chunk, tl.minimum(part * chunk + chunk, singles)):
            single = place + tl.arange(0, 1)
            folded = keys * _rows(single_key, entry, single, singles, embed, EMBED)
            folded_values = values * _rows(single_value, entry, single, singles, dim, DIM)
            exponents = _exponents(own_keys, folded, inside, mask, places + single.to(tl.int64) * mask_single)
            weights = tl.exp2(tl.minimum(exponents - logs, 0.0))  # no weight is above 1 but for rounding
            of_weights = tl.dot(own_values, tl.trans(folded_values), input_precision="ieee")
            of_keys = tl.dot(weights * (of_weights - means), folded, of_keys, input_precision="ieee")
            if not OF_QUERY:
                of_values = tl.dot(weights, folded_values, of_values, input_precision="ieee")
    _store_rows(of_key, of_keys, part * batch + entry, rows, targets, embed, EMBED)
    if not OF_QUERY:
        _store_rows(of_value, of_values, part * batch + entry, rows, targets, dim, DIM)
