"""Sizes that three architectures need for sparse averaging, as functions of N, and where one overtakes another.

What is compared: bits that one token sends through attention, bits of recurrent state at a cut, and widths. Each is an
integer. Attention's is what a construction takes, the others are exact or lower bounds.

Letters: N = num_tokens, q = sparsity, k = key coordinates, p = bits of one number, ε = accuracy, d' = value_dim.
"""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from jaxtyping import Bool

from attention_limits.constructions.sparse_averaging import Sizes, narrow_embed_dim
from attention_limits.hypotheses import require_integer

Size = Callable[[Sizes], Sizes]


def comparison_accuracy(sparsity: int) -> Fraction:
    """ε = 1/(4q): below 1/q, where recurrent bounds hold, and below 1/(2q − 1), where the feed-forward one does."""
    require_integer("sparsity", sparsity, 1)
    return Fraction(1, 4 * sparsity)


def attention_precision(num_tokens: Sizes, sparsity: int, accuracy: Fraction | None = None) -> Sizes:
    """The measured rule p = ⌈log₂((q/ε) ln N)⌉ + 3; 4 for q = 1 and ε ≥ 1/4, where nothing has to stay equal.

    Args:
        accuracy: ε, 1/(4q) by default.
    """
    _require_sizes(num_tokens, sparsity)
    accuracy = comparison_accuracy(sparsity) if accuracy is None else accuracy
    if sparsity == 1 and accuracy >= Fraction(1, 4):
        return np.full_like(num_tokens, 4)
    ratio = float(sparsity / accuracy)
    return np.ceil(np.log2(ratio * np.log(num_tokens))).astype(np.int64) + 3


def attention_bits(num_tokens: Sizes, sparsity: int, accuracy: Fraction | None = None, value_dim: int = 1) -> Sizes:
    """(k + d') p: the query and the value of one token. Keys depend on positions alone, and nobody has to be told them.

    Args:
        accuracy: ε, 1/(4q) by default.
        value_dim: d'.

    Example:
        >>> attention_bits(np.array([1024]), 1).tolist()
        [116]
    """
    return (narrow_embed_dim(num_tokens, sparsity) + value_dim) * attention_precision(num_tokens, sparsity, accuracy)


def recurrent_bits(num_tokens: Sizes) -> Sizes:
    """N − 1: the forward state of one bidirectional layer, exactly (Theorem 11, our count)."""
    return num_tokens - 1


def stacked_bits(num_tokens: Sizes) -> Sizes:
    """⌊N/2⌋: all forward states of a stack of bidirectional layers together, at least (Theorem 11, our bound)."""
    return num_tokens // 2


def feedforward_width(num_tokens: Sizes, value_dim: int = 1) -> Sizes:
    """N d': first-layer width of a fully-connected network, exactly (Theorem 10, our bound)."""
    return num_tokens * value_dim


def below(size: Size, rival: Size, sparsity: int, largest: int) -> Bool[np.ndarray, " sizes"]:
    """For N = q + 1 … ``largest``: whether ``size`` is below ``rival``."""
    if largest <= sparsity:
        raise ValueError(f"largest N = {largest} must exceed the sparsity q = {sparsity}")
    tokens = np.arange(sparsity + 1, largest + 1, dtype=np.int64)
    return size(tokens) < rival(tokens)


def overtaking(size: Size, rival: Size, sparsity: int, largest: int) -> tuple[int, int]:
    """The first N > q at which ``size`` is below ``rival``, and the first from which it stays so up to ``largest``.

    Raises:
        ValueError: if it is not below at ``largest``.
    """
    smaller = below(size, rival, sparsity, largest)
    if not smaller[-1]:
        raise ValueError(f"no overtaking up to N = {largest} for q = {sparsity}")
    last_not_below = np.flatnonzero(~smaller)
    first = int(np.argmax(smaller))
    settled = int(last_not_below[-1]) + 1 if len(last_not_below) else 0
    return sparsity + 1 + first, sparsity + 1 + settled


def _require_sizes(num_tokens: Sizes, sparsity: int) -> None:
    require_integer("sparsity", sparsity, 1)
    if num_tokens.size == 0:
        raise ValueError("num_tokens must hold at least one N, got none")
    smallest = int(num_tokens.min())
    if not smallest > sparsity:
        raise ValueError(f"sparsity q = {sparsity} needs num_tokens N ≥ {sparsity + 1}, got N = {smallest}")
