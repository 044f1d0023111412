"""How small Theorem 2's unit can be: the least key dimension k and the least query bits p, found by search.

Letters as in `attention_limits.constructions.sparse_averaging`.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from scipy.stats import norm
from torch import Tensor

from attention_limits.constructions.keys import MissingCertificateError, minimum_norm_certificates, random_sign_keys
from attention_limits.constructions.sparse_averaging import FixedPrecisionUnit, fixed_precision_unit, softmax_scale
from attention_limits.fixed_point import FixedPoint
from attention_limits.problems.sparse_averaging import SparseAveraging, worst_case_error

#: Share of random subsets that may miss the margin in `smallest_embed_dim`.
FAILING_SHARE = 1e-3
#: Relative resolution of the search for k.
RESOLUTION = 1 / 60
#: Where the search starts, in predicted k, and by what it goes on from a k that is too small. A step costs what its
#: columns cost, so the first one stays short of the prediction.
FIRST_PROBE, NEXT_PROBE = 0.75, 1.5
#: Subsets that are looked at before the search asks whether too many have failed already.
PROBED_TOGETHER = 250
#: Lengths of the query that `smallest_unit` tries, as shares of the unit's own α.
SCALE_SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)


def predicted_embed_dim(num_tokens: int, sparsity: int) -> float:
    """q (1 + 4z²) with z = Φ⁻¹(1 − 10⁻³/(N − q)): where a random subset misses the margin 1/2 once in a thousand.

    Given y, an outsider's inner product with w_y is close to normal with variance ‖w_y‖²/k ≈ q/(k − q); the largest of
    N − q of them passes 1/2 with probability at most (N − q)(1 − Φ(√((k − q)/q)/2)).
    """
    if not 1 <= sparsity < num_tokens:
        raise ValueError(f"sparsity q = {sparsity} needs 1 ≤ q < N = {num_tokens}")
    return sparsity * (1 + 4 * norm.isf(FAILING_SHARE / (num_tokens - sparsity)) ** 2)


def smallest_embed_dim(num_tokens: int, sparsity: int, *, num_subsets: int, generator: torch.Generator) -> int:
    """The least k, to 1/60 of itself, at which minimum norm has margin 1/2 on all but 10⁻³ of random subsets.

    The keys for k are the first k columns of one sign matrix and the subsets are the same for every k, so the search
    is a bisection, upwards from a little below the prediction; the Gram matrix grows with the lower end instead of
    being computed anew. Margins are judged to float32's rounding.
    """
    subsets = random_subsets(num_tokens, sparsity, num_subsets, generator=generator)
    allowed = FAILING_SHARE * num_subsets

    def grow(keys: Tensor, gram: Tensor, low: int, high: int) -> Tensor:
        columns = keys[:, low:high]
        return torch.addmm(gram, columns, columns.T)  # float32: integers below 2²⁴ are exact

    def enough(gram: Tensor) -> bool:
        failing = 0
        for part in subsets.split(PROBED_TOGETHER):
            failing += int((~minimum_norm_certificates(gram, part).has_margin).sum())
            if failing > allowed:
                return False
        return True

    low, high = 0, math.ceil(FIRST_PROBE * predicted_embed_dim(num_tokens, sparsity))
    keys = random_sign_keys(num_tokens, high, generator=generator)
    below = keys.new_zeros(num_tokens, num_tokens)
    while not enough(above := grow(keys, below, low, high)):
        wider = math.ceil(NEXT_PROBE * high)
        more = random_sign_keys(num_tokens, wider - high, generator=generator)
        keys, below, low, high = torch.cat([keys, more], dim=1), above, high, wider
    while high - low > max(1, RESOLUTION * high):
        middle = (low + high) // 2
        between = grow(keys, below, low, middle)
        if enough(between):
            high = middle
        else:
            low, below = middle, between
    return high


def random_subsets(
    num_tokens: int, sparsity: int, num_subsets: int, *, generator: torch.Generator
) -> Int[Tensor, "num_subsets sparsity"]:
    """Independent uniform q-subsets of N tokens, each sorted."""
    ranks = torch.rand(num_subsets, num_tokens, generator=generator, device=generator.device, dtype=torch.float32)
    return ranks.topk(sparsity, dim=1).indices.sort(dim=1).values


def smallest_query_format(
    keys: Float[Tensor, "tokens embed_dim"],
    directions: Float[Tensor, "subsets embed_dim"],
    subsets: Int[Tensor, "subsets sparsity"],
    accuracy: float,
) -> FixedPoint:
    """The format of fewest fractional bits whose rounded queries keep the exact worst error on these subsets within ε.

    Args:
        keys: ±1.
        directions: certificates of ``subsets`` at unit margin; queries are α w with half of ε left for rounding.
    """
    num_tokens, sparsity = len(keys), subsets.shape[1]
    queries = softmax_scale(num_tokens, sparsity, accuracy / 2) * directions
    for fraction_bits in range(52):
        form = FixedPoint.holding(queries.abs().max().item(), fraction_bits)
        # A few at a time: a format that is too coarse nearly always shows on the first ones.
        parts = zip(form.round(queries).split(8), subsets.split(8), strict=True)
        attended = ((torch.softmax(part @ keys.T.double(), dim=-1), asked) for part, asked in parts)
        if all(worst_case_error(*rows).max().item() <= accuracy for rows in attended):
            return form
    raise ValueError(f"no format of up to 52 bits reaches the accuracy ε = {accuracy} with these certificates")


def smallest_unit(
    problem: SparseAveraging,
    accuracy: float,
    subsets: Int[Tensor, "subsets sparsity"],
    *,
    accept: Callable[[Tensor], bool] | None = None,
    embed_dims: Sequence[int],
    num_draws: int,
    generator: torch.Generator,
) -> FixedPrecisionUnit:
    """Of all units tried, the one whose query takes the fewest bits k p and that ``accept`` lets pass.

    Tried are all ``embed_dims`` with ``num_draws`` draws of the keys each, the query lengths `SCALE_SHARES`, and for
    each of them the fractional bits from 0 on. The result is selected: the best of a small search, no least value.

    Args:
        subsets: those that the unit has to serve; others may fail.
        accept: is given the attention rows (subsets, tokens) of the rounded queries; by default it asks that their
            exact worst error over all values be at most ε.

    Raises:
        ValueError: if nothing that was tried passes.
    """

    def within_accuracy(attention: Tensor) -> bool:
        return worst_case_error(attention, subsets).max().item() <= accuracy

    accept = accept or within_accuracy
    best: tuple[int, FixedPrecisionUnit, float, FixedPoint] | None = None
    for embed_dim in [k for k in embed_dims for _ in range(num_draws)]:
        unit = fixed_precision_unit(problem, accuracy, generator=generator, embed_dim=embed_dim).double()
        own_scale, unit.scale = unit.scale, 1.0
        try:
            directions = unit.queries(subsets.unsqueeze(1))[:, 0]
        except MissingCertificateError:
            continue
        for scale in (own_scale * share for share in SCALE_SHARES):
            queries = scale * directions
            for fraction_bits in range(52):
                form = FixedPoint.holding(queries.abs().max().item(), fraction_bits)
                if best is not None and embed_dim * form.bits >= best[0]:
                    break
                if accept(torch.softmax(form.round(queries) @ unit.keys.T, dim=-1)):
                    best = (embed_dim * form.bits, unit, scale, form)
                    break
                if form.bits >= 40:  # these certificates won't do at this length
                    break
    if best is None:
        raise ValueError(f"none of the units tried with k in {list(embed_dims)} passes")
    _, unit, unit.scale, unit.format = best
    return unit
