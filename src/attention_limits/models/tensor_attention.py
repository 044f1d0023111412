"""Attention of order s: a query looks at all (s − 1)-tuples of tokens at once.

`reference_attention` is written to be read and holds all scores. `tensor_attention` checks its input, and evaluates
order 3 in tiles, so that no tensor of N³ numbers exists.

Order 2 is the self-attention of Definition 1; order 3 is the paper's third-order attention. The score of a query with a
tuple is the sum over m coordinates of the product of all s entries, the value of a tuple is the entrywise product of
its tokens' values: the rows of the column-wise Kronecker (Khatri–Rao) products K₁ ⋆ K₂ and V₁ ⋆ V₂.

Letters: s = order, N = query tokens, N_l = tokens of slot l, m = embed, d = value dimension.
"""

import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from string import ascii_lowercase

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attention_limits.models.attention import ScoreOverflowError
from attention_limits.models.streamed_attention import streamed_attention

#: Axes of einsum that are not slots: query token, embedding, value.
_QUERY, _EMBED, _VALUE = "xyz"
_SLOTS = ascii_lowercase.split(_QUERY)[0]


def tensor_attention(
    query: Float[Tensor, "..."],
    keys: Sequence[Float[Tensor, "..."]],
    values: Sequence[Float[Tensor, "..."]],
    *,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "..."]:
    """softmax over all tuples of Σ_r q_r k¹_r k²_r …, times the entrywise product of the values; no scale 1/√m.

    Order 3 is streamed: on one thread it takes a few MiB and a copy or two of inputs, outputs and gradients at any N
    (each further thread holds sums of their size besides), and half the work where both slots get the same keys object
    and the same values object. On CUDA, Triton kernels do it where Triton is installed, but for float64 and for m or d
    above 128; they do all the work for equal slots too. Other orders hold all N · N_1 ⋯ N_{s−1} scores. Formats below
    float32 are multiplied and summed in float32, as matrix units do, under autocast too, and the result is rounded to
    the query's format.

    Larger inputs of order 3 are differentiable once only, and not by `torch.func`. Their gradients by queries and keys
    are differences, P (⟨g, u⟩ − ⟨g, output⟩) times products of keys or queries: where attention is saturated and they
    should vanish, rounding leaves some units of ⟨g, output⟩ in the last place, times those products.

    Args:
        query: (…, N, m).
        keys: s − 1 tensors (…, N_l, m), with the query's leading axes, format and device.
        values: s − 1 tensors (…, N_l, d).
        mask: true where a query may look: (…, N, N_1, …, N_{s−1}), or what broadcasts to it.

    Returns:
        (…, N, d), in the query's format.

    Raises:
        ValueError: for shapes that do not fit, naming tensor and axis; for a format that is not floating-point; for a
            number that is not finite, naming its place; for a query to which the mask leaves no tuple.
        ScoreOverflowError: if finite inputs have scores that the format does not hold, naming both.
        RuntimeError: in the backward pass, if larger inputs of order 3 are to be differentiated twice.

    Example:
        >>> one = torch.ones(2, 1)
        >>> tensor_attention(one, (one, one), (torch.tensor([[1.0], [3.0]]), one)).flatten()
        tensor([2., 2.])
    """
    keys, values = tuple(keys), tuple(values)
    _check(query, keys, values)
    if mask is not None:
        mask = _checked_mask(mask, (*query.shape[:-1], *(key.shape[-2] for key in keys)), len(keys))
    with torch.autocast(query.device.type, enabled=False):
        if len(keys) != 2 or query.numel() == 0:  # no entry of the batch
            output = reference_attention(query, keys, values, mask)
        else:
            output = _order_three(query, keys, values, mask)
    if bool(output.isnan().any()):
        _refuse_overflow(output, query, keys)
    return output


def _order_three(query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], mask: Tensor | None) -> Tensor:
    """Bring leading axes and format to what `streamed_attention` and `triton_attention` take."""
    if mask is not None and query.ndim > 3:  # to merge the leading axes of a broadcast mask would be to copy it
        parts = zip(query, zip(*keys, strict=True), zip(*values, strict=True), mask, strict=True)
        return torch.stack([_order_three(*part) for part in parts])
    working = torch.promote_types(query.dtype, torch.float32)
    # One object stays one object: the streamed form sees that both slots are the same.
    ready = {id(x): x.to(working).reshape(-1, *x.shape[-2:]) for x in (query, *keys, *values)}
    first_key, second_key, first_value, second_value = (ready[id(x)] for x in (*keys, *values))
    flat_mask = None if mask is None else mask.view(-1, *mask.shape[-3:])
    attend = _form(query.device, working, max(query.shape[-1], values[0].shape[-1]))
    output = attend(ready[id(query)], first_key, second_key, first_value, second_value, flat_mask)
    return output.reshape(*query.shape[:-1], output.shape[-1]).to(query.dtype)


def _form(device: torch.device, dtype: torch.dtype, width: int) -> Callable[..., Tensor]:
    """`triton_attention` where its kernels run, else `streamed_attention`; ``width`` is the larger of m and d."""
    if device.type == "cuda" and dtype == torch.float32 and find_spec("triton") is not None:
        from attention_limits.models import triton_attention  # needs Triton, which is optional

        if width <= triton_attention.WIDEST:
            return triton_attention.triton_attention
    return streamed_attention


def reference_attention(
    query: Float[Tensor, "..."],
    keys: Sequence[Float[Tensor, "..."]],
    values: Sequence[Float[Tensor, "..."]],
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "..."]:
    """`tensor_attention` of any order from its definition, all scores at once; nothing is checked."""
    working = torch.promote_types(query.dtype, torch.float32)
    slots = _SLOTS[: len(keys)]
    factors = ",".join(f"...{slot}{_EMBED}" for slot in slots)
    scores = torch.einsum(
        f"...{_QUERY}{_EMBED},{factors}->...{_QUERY}{slots}", query.to(working), *_cast(keys, working)
    )
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = torch.softmax(scores.flatten(-len(keys)), dim=-1).unflatten(-1, scores.shape[-len(keys) :])
    factors = ",".join(f"...{slot}{_VALUE}" for slot in slots)
    output = torch.einsum(f"...{_QUERY}{slots},{factors}->...{_QUERY}{_VALUE}", weights, *_cast(values, working))
    return output.to(query.dtype)


def _refuse_overflow(output: Tensor, query: Tensor, keys: Sequence[Tensor]) -> None:
    """Name the largest score of a query whose output is nan, with signs and cancellation left out."""
    *lead, i, _ = output.isnan().nonzero()[0].tolist()
    asking = query[(*lead, i)].abs().double()
    seen = math.prod((key[tuple(lead)].abs().double().amax(dim=0) for key in keys), start=asking)
    working = torch.promote_types(query.dtype, torch.float32)
    raise ScoreOverflowError(
        f"query {i}: its scores, up to {seen.sum().item():.3g}, or products of values do not fit into {working}, "
        f"which holds numbers up to {torch.finfo(working).max:.3g}: scale down"
    )


def _cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    return [tensor.to(dtype) for tensor in tensors]


def _check(query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    if len(keys) < 1:
        raise ValueError("attention needs at least one slot of keys, got none")
    if len(keys) > len(_SLOTS):
        raise ValueError(f"attention of order above {len(_SLOTS) + 1} is not written, got {len(keys) + 1}")
    if len(values) != len(keys):
        raise ValueError(f"{len(keys)} slots of keys need {len(keys)} of values, got {len(values)}")
    named = [("query", query)]
    named += [(f"keys[{slot}]", key) for slot, key in enumerate(keys)]
    named += [(f"values[{slot}]", value) for slot, value in enumerate(values)]
    if not query.is_floating_point():
        raise ValueError(f"query must have a floating-point format, got {query.dtype}")
    for name, tensor in named:
        if tensor.ndim < 2:
            raise ValueError(f"{name} must have a token axis and one more, got shape {tuple(tensor.shape)}")
        if tensor.dtype != query.dtype:
            raise ValueError(f"{name} must be {query.dtype} as the query is, got {tensor.dtype}")
        lead, expected = tuple(tensor.shape[:-2]), tuple(query.shape[:-2])
        if lead != expected:
            raise ValueError(f"{name}: leading axes must be {expected} as the query's are, got {lead}")
        if tensor.shape[-2] < 1:
            raise ValueError(f"{name}: the token axis must have at least one entry, got 0")
        if tensor.shape[-1] < 1:
            raise ValueError(f"{name}: the last axis must have at least one entry, got 0")
        bad = (~tensor.isfinite()).nonzero()
        if len(bad):
            place = tuple(bad[0].tolist())
            raise ValueError(f"{name} must be finite, got {tensor[place].item()} at {place}")
    for slot, (key, value) in enumerate(zip(keys, values, strict=True)):
        embed, tokens = query.shape[-1], key.shape[-2]
        if key.shape[-1] != embed:
            raise ValueError(f"keys[{slot}]: the embedding axis must be {embed}, got {key.shape[-1]}")
        if value.shape[-2] != tokens:
            raise ValueError(f"values[{slot}]: the token axis must be {tokens}, got {value.shape[-2]}")
        dim = values[0].shape[-1]
        if value.shape[-1] != dim:
            raise ValueError(f"values[{slot}]: the value axis must be {dim}, got {value.shape[-1]}")


def _checked_mask(mask: Tensor, shape: tuple[int, ...], num_slots: int) -> Tensor:
    """The mask, expanded to the shape of the scores."""
    if mask.dtype != torch.bool:
        raise ValueError(f"mask must be bool, got {mask.dtype}")
    try:
        expanded = mask.expand(shape)
    except RuntimeError:
        raise ValueError(f"mask must broadcast to {shape}, got {tuple(mask.shape)}") from None
    slots = tuple(range(-min(num_slots, mask.ndim), 0))
    seen = mask.any(dim=slots, keepdim=True).expand(*shape[:-num_slots], *(1,) * num_slots).flatten(-num_slots - 1)
    blind = (~seen).nonzero()
    if len(blind) != 0:
        raise ValueError(f"the mask leaves no tuple to query {blind[0].tolist() if len(blind) else ''}")
    return expanded
