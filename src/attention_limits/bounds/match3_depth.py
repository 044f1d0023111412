"""One layer against several for Match3: what any one layer must bring a token, and where a deep one brings less.

The bound is that of Theorem 7's page, for one message: `one_way_bits`. It counts all that a token learns in a layer
about the other tokens, so a layer that brings less can't do it alone, whatever it is.

Letters: N = num_tokens, M = modulus.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from attention_limits.constructions.deep_matching import Sizes
from attention_limits.hypotheses import require_integer


def one_layer_bits(num_tokens: int, modulus: int) -> int:
    """⌈log₂⌉ of the different rows of Theorem 7's page, in time for large N: all 3^⌊(M−2)/2⌋ sets, if they fit.

    Raises:
        ValueError: unless N ≥ 3 and M ≥ 4.

    Example:
        >>> one_layer_bits(65, 66), one_layer_bits(4096, 4097)
        (51, 3245)
    """
    require_integer("num_tokens", num_tokens, 3)
    require_integer("modulus", modulus, 4)
    pairs, most = (modulus - 2) // 2, num_tokens - 2
    if pairs <= most:  # Σ_j C(pairs, j) 2^j over all j
        return int(3**pairs).bit_length()
    total = term = 1
    for held in range(most):
        term = term * 2 * (pairs - held) // (held + 1)  # C(pairs, held + 1) 2^(held + 1)
        total += term
    return total.bit_length()  # of one row less, the row of ones: ⌈log₂(1 + total)⌉


class Plan(Protocol):
    """What knows its sizes, as the plans of the constructions do."""

    @property
    def sizes(self) -> Sizes:
        """Depth, heads, width, bits."""


def first_smaller(
    plan: Callable[[int, int], Plan], modulus: Callable[[int], int], lengths: Iterable[int]
) -> int | None:
    """The first N at which a layer of a construction brings fewer bits than any one layer needs; None if there is none.

    Args:
        plan: the construction's, of N and M.
        modulus: M as a function of N.
        lengths: the N ≥ 3 that are tried, in order.

    Example: two layers by cubes, for M = N².
        >>> from attention_limits.constructions.two_layers import CubesPlan
        >>> first_smaller(CubesPlan, lambda n: n**2, range(3, 200))
        126
    """
    moduli = ((tokens, modulus(tokens)) for tokens in lengths)
    return next((n for n, m in moduli if plan(n, m).sizes.layer_bits < one_layer_bits(n, m)), None)
