"""Theorem 2 made of weights: one self-attention unit that ε-approximates sparse averaging with p-bit numbers.

Letters: N = num_tokens, q = sparsity, k = embed_dim (the rank of the bilinear form), d = d' + 2k = model_dim (what one
token stores), ε = accuracy, α the query's length in units of a unit-margin certificate, p = bits, δ = score_error.
"""

import math
from typing import overload

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from attention_limits.constructions.averaging_unit import SparseAveragingUnit, error_bound, softmax_scale
from attention_limits.constructions.infinite_precision import InfinitePrecisionUnit, infinite_precision_unit
from attention_limits.constructions.keys import MissingCertificateError, certify, random_sign_keys
from attention_limits.fixed_point import FixedPoint, PrecisionError, SaturationError
from attention_limits.hypotheses import require_accuracy, require_integer
from attention_limits.problems.sparse_averaging import SparseAveraging

__all__ = [
    "FixedPrecisionUnit",
    "InfinitePrecisionUnit",
    "PrecisionError",
    "default_embed_dim",
    "error_bound",
    "fixed_precision_unit",
    "infinite_precision_unit",
    "narrow_embed_dim",
    "softmax_scale",
    "sufficient_format",
]

#: Several N.
Sizes = Int64[np.ndarray, " sizes"]
#: Draws of the keys before a subset without a certificate becomes an error.
MAX_DRAWS = 8
#: The finest accuracy of a float type, in its rounding steps at 1: the scores' own rounding was seen to cost up to 250.
ROUNDING_STEPS = 2**9


def default_embed_dim(num_tokens: int, sparsity: int) -> int:
    """k = ⌈13 q ln N⌉, at least 1: minimum norm then certifies all but about one random subset in a thousand."""
    return max(1, math.ceil(13 * sparsity * math.log(num_tokens)))


@overload
def narrow_embed_dim(num_tokens: int, sparsity: int) -> int: ...
@overload
def narrow_embed_dim(num_tokens: Sizes, sparsity: int) -> Sizes: ...
def narrow_embed_dim(num_tokens: int | Sizes, sparsity: int) -> int | Sizes:
    """k = ⌈4 q ln N⌉, at least 1, of one N or of many: every subset tried then has a maximum-margin certificate.

    Example:
        >>> narrow_embed_dim(1024, 1), narrow_embed_dim(np.array([1, 2, 1024]), 2).tolist()
        (28, [1, 6, 56])
    """
    dims = np.maximum(1, np.ceil(4 * sparsity * np.log(num_tokens))).astype(np.int64)
    return dims if isinstance(num_tokens, np.ndarray) else int(dims)


def sufficient_format(num_tokens: int, sparsity: int, embed_dim: int, accuracy: float) -> FixedPoint:
    """A query format that is enough for the accuracy ε, with proof: f = ⌈log₂(k/ε)⌉ fractional bits.

    Rounding k coordinates to multiples of 2^{−f} moves a score against ±1 keys by at most δ = k 2^{−f−1} ≤ ε/2, and
    `FixedPrecisionUnit` chooses α for any δ up to ε/2.
    """
    require_accuracy(accuracy)
    require_integer("embed_dim", embed_dim, 1)
    fraction_bits = math.ceil(math.log2(embed_dim / accuracy))
    return FixedPoint(_integer_bits(num_tokens, sparsity, embed_dim, accuracy), fraction_bits)


def _integer_bits(num_tokens: int, sparsity: int, embed_dim: int, accuracy: float) -> int:
    """Integer bits that hold a query α w_y, taking 6 q/k as the largest entry of a unit-margin certificate.

    The typical entry is below q/k times the inverse margin, at most 2. About one draw in a thousand passes 6 q/k at
    N = 4, q = 1, where two keys can differ in one sign: `FixedPoint` refuses it, and the unit draws its keys again.
    """
    scale = softmax_scale(num_tokens, sparsity, accuracy, score_error=accuracy / 2)
    return max(0, math.ceil(math.log2(max(scale, 1) * 6 * sparsity / embed_dim)))


class FixedPrecisionUnit(SparseAveragingUnit):
    """The unit of Theorem 2: random sign keys, certificates by `certify`. Build it with `fixed_precision_unit`.

    Attributes:
        format: the queries' fixed-point format, None for plain floats.
    """

    def __init__(
        self,
        problem: SparseAveraging,
        accuracy: float,
        *,
        generator: torch.Generator,
        embed_dim: int | None = None,
        bits: int | None = None,
    ) -> None:
        require_accuracy(accuracy)
        size = problem.num_tokens, problem.sparsity
        embed_dim = default_embed_dim(*size) if embed_dim is None else embed_dim
        require_integer("embed_dim", embed_dim, 1)
        form = None
        if bits is not None:
            require_integer("bits", bits, 2)
            integer_bits = _integer_bits(*size, embed_dim, accuracy)
            if bits <= integer_bits:
                raise ValueError(f"bits p = {bits} can't hold the sign and {integer_bits} integer bits")
            form = FixedPoint(integer_bits, bits - 1 - integer_bits)
        super().__init__(problem, accuracy, random_sign_keys(problem.num_tokens, embed_dim, generator=generator))
        self.generator, self.format = generator, form

    def queries(self, pointers: Int[Tensor, "batch tokens sparsity"]) -> Float[Tensor, "batch tokens embed_dim"]:
        """α w_{y_i} for every token, rounded to `format` if there is one, in the dtype of the unit.

        Keys under which some of these subsets has no certificate, or one too long for `format`, are drawn again, at
        most `MAX_DRAWS` times in all.

        Raises:
            ValueError: if ε is too fine for the unit's float type.
            MissingCertificateError: if the last draw left a subset without a certificate.
            SaturationError: if the last draw gave a query outside the range of `format`.
        """
        dtype = self.keys.dtype
        finest = ROUNDING_STEPS * torch.finfo(dtype).eps
        if not self.accuracy >= finest:
            raise ValueError(f"accuracy ε = {self.accuracy} is finer than the {finest:.1e} of {dtype}: widen it")
        if self.problem.sparsity == self.problem.num_tokens:  # everything is asked for: attend uniformly
            return self.keys.new_zeros(*pointers.shape[:2], self.embed_dim)
        subsets, inverse = pointers.sort(dim=-1).values.flatten(0, 1).unique(dim=0, return_inverse=True)
        for attempt in range(1, MAX_DRAWS + 1):
            try:
                queries = self.scale * certify(self.keys.float(), subsets).directions
                rounded = queries if self.format is None else self.format.round(queries)
                break
            except (MissingCertificateError, SaturationError):
                if attempt == MAX_DRAWS:
                    raise
                self.keys.copy_(random_sign_keys(*self.keys.shape, generator=self.generator))
        return rounded[inverse].unflatten(0, pointers.shape[:2]).to(self.keys.dtype)


def fixed_precision_unit(
    problem: SparseAveraging,
    accuracy: float,
    *,
    generator: torch.Generator,
    embed_dim: int | None = None,
    bits: int | None = None,
) -> FixedPrecisionUnit:
    """The unit of Theorem 2 for ``problem``: within ``accuracy`` of sparse averaging on every input.

    Where we depart from the paper: keys are ±1 and the query carries the factor; certificates are scaled to margin 1;
    where minimum norm misses the margin 1/2, the maximum-margin certificate is used.

    Args:
        problem: any 1 ≤ q ≤ N.
        accuracy: ε in (0, 1), for the Euclidean norm of every output's error.
        generator: draws the keys, and draws them again if a subset has no certificate.
        embed_dim: k; ⌈13 q ln N⌉ by default. ⌈4 q ln N⌉ is enough too, with a slower certificate for most subsets.
        bits: p; queries are rounded to p-bit fixed point, floats if None. `sufficient_format` tells a p that keeps the
            promise of ε; with fewer bits the error may pass ε.

    Raises:
        ValueError: outside the hypotheses.

    Example:
        >>> task = SparseAveraging(num_tokens=8, sparsity=2, value_dim=1)
        >>> unit = fixed_precision_unit(task, 0.01, generator=torch.Generator().manual_seed(0))
        >>> inputs = task.sample(5, generator=torch.Generator().manual_seed(1))
        >>> unit.embed_dim, bool((unit(inputs) - task.target(inputs)).norm(dim=-1).max() <= 0.01)
        (55, True)
    """
    return FixedPrecisionUnit(problem, accuracy, generator=generator, embed_dim=embed_dim, bits=bits)
