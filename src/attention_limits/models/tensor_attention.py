"""Attention of order s: a query looks at all (s − 1)-tuples of tokens at once. A reference, written to be read.

Order 2 is the self-attention of Definition 1; order 3 is the paper's third-order attention. The score of a query with a
tuple is the sum over m coordinates of the product of all s entries, the value of a tuple is the entrywise product of
its tokens' values: the rows of the column-wise Kronecker (Khatri–Rao) products K₁ ⋆ K₂ and V₁ ⋆ V₂.

Letters: s = order, N = query tokens, N_l = tokens of slot l, m = embed, d = value dimension.
"""

from collections.abc import Sequence
from string import ascii_lowercase

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attention_limits.hypotheses import require

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

    All scores are held at once: memory for N · N_1 ⋯ N_{s−1} numbers of each input, N³ at order 3. Formats below
    float32 are multiplied and summed in float32, as matrix units do, and the result is rounded to the query's format.

    Args:
        query: (…, N, m).
        keys: s − 1 tensors (…, N_l, m), with the query's leading axes, format and device.
        values: s − 1 tensors (…, N_l, d).
        mask: true where a query may look: (…, N, N_1, …, N_{s−1}), or what broadcasts to it.

    Returns:
        (…, N, d), in the query's format.

    Raises:
        ValueError: for shapes that do not fit, naming tensor and axis; for a number that is not finite, naming its
            place; for a query to which the mask leaves no tuple.

    Example:
        >>> one = torch.ones(2, 1)
        >>> tensor_attention(one, (one, one), (torch.tensor([[1.0], [3.0]]), one)).flatten()
        tensor([2., 2.])
    """
    _check(query, keys, values)
    working = torch.promote_types(query.dtype, torch.float32)
    slots = _SLOTS[: len(keys)]
    factors = ",".join(f"...{slot}{_EMBED}" for slot in slots)
    scores = torch.einsum(
        f"...{_QUERY}{_EMBED},{factors}->...{_QUERY}{slots}", query.to(working), *_cast(keys, working)
    )
    tuples = scores.shape[-len(keys) :]
    if mask is not None:
        require(mask.dtype == torch.bool, f"mask must be bool, got {mask.dtype}")
        _check_mask(mask, scores.shape)
        scores = scores.masked_fill(~mask, -torch.inf)
        blind = scores.flatten(-len(tuples)).isneginf().all(dim=-1).nonzero()
        require(len(blind) == 0, f"the mask leaves no tuple to query {blind[0].tolist() if len(blind) else ''}")
    weights = torch.softmax(scores.flatten(-len(tuples)), dim=-1).unflatten(-1, tuples)
    factors = ",".join(f"...{slot}{_VALUE}" for slot in slots)
    output = torch.einsum(f"...{_QUERY}{slots},{factors}->...{_QUERY}{_VALUE}", weights, *_cast(values, working))
    return output.to(query.dtype)


def _cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    return [tensor.to(dtype) for tensor in tensors]


def _check(query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    require(len(keys) >= 1, "attention needs at least one slot of keys, got none")
    require(len(keys) <= len(_SLOTS), f"attention of order above {len(_SLOTS) + 1} is not written, got {len(keys) + 1}")
    require(len(values) == len(keys), f"{len(keys)} slots of keys need {len(keys)} of values, got {len(values)}")
    named = [("query", query)]
    named += [(f"keys[{slot}]", key) for slot, key in enumerate(keys)]
    named += [(f"values[{slot}]", value) for slot, value in enumerate(values)]
    for name, tensor in named:
        require(tensor.ndim >= 2, f"{name} must have a token axis and one more, got shape {tuple(tensor.shape)}")
        require(tensor.dtype == query.dtype, f"{name} must be {query.dtype} as the query is, got {tensor.dtype}")
        lead, expected = tuple(tensor.shape[:-2]), tuple(query.shape[:-2])
        require(lead == expected, f"{name}: leading axes must be {expected} as the query's are, got {lead}")
        require(tensor.shape[-2] >= 1, f"{name}: the token axis must have at least one entry, got 0")
        bad = (~tensor.isfinite()).nonzero()
        if len(bad):
            place = tuple(bad[0].tolist())
            raise ValueError(f"{name} must be finite, got {tensor[place].item()} at {place}")
    for slot, (key, value) in enumerate(zip(keys, values, strict=True)):
        embed, tokens = query.shape[-1], key.shape[-2]
        require(key.shape[-1] == embed, f"keys[{slot}]: the embedding axis must be {embed}, got {key.shape[-1]}")
        require(value.shape[-2] == tokens, f"values[{slot}]: the token axis must be {tokens}, got {value.shape[-2]}")
        dim = values[0].shape[-1]
        require(value.shape[-1] == dim, f"values[{slot}]: the value axis must be {dim}, got {value.shape[-1]}")


def _check_mask(mask: Tensor, shape: torch.Size) -> None:
    try:
        fits = torch.broadcast_shapes(mask.shape, shape) == shape
    except RuntimeError:
        fits = False
    require(fits, f"mask must broadcast to {tuple(shape)}, got {tuple(mask.shape)}")
