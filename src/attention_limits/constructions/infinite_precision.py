"""Theorem 3 made of weights: one unit with 2q key coordinates for sparse averaging over any number of tokens.

Letters as in `attention_limits.constructions.averaging_unit`, with k = embed_dim = 2q.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.constructions.averaging_unit import SparseAveragingUnit
from attention_limits.constructions.curves import (
    equispaced_nodes,
    moment_certificates,
    moment_keys,
    trigonometric_keys,
    trigonometric_queries,
)
from attention_limits.fixed_point import PrecisionError
from attention_limits.models.attention import Attended, ScoreOverflowError
from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs, worst_case_error

#: The curves that keys may lie on; each has 2q coordinates.
CURVES = ("trigonometric", "moment")


class InfinitePrecisionUnit(SparseAveragingUnit):
    """The unit of Theorem 3: keys on a curve. Build it with `infinite_precision_unit`.

    A query's entries reach about (e N/q)^{2q} and more, and their sum must come out right to ε: the theorem is one of
    real numbers, and every float type ends somewhere. The attention does not depend on the values, and its rows tell
    the worst error over all of them exactly; so each call looks at them and refuses what rounding has spoilt.
    """

    def __init__(self, problem: SparseAveraging, accuracy: float, curve: str) -> None:
        super().__init__(problem, accuracy, _curve_keys(problem, curve).float())
        self.curve = curve

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "InfinitePrecisionUnit":
        # What .double() and .to() call. Keys once rounded to float32 would stay so in float64: compute them anew.
        super()._apply(fn, recurse)
        self.keys = _curve_keys(self.problem, self.curve).to(self.keys)
        return self

    def queries(self, pointers: Int[Tensor, "batch tokens sparsity"]) -> Float[Tensor, "batch tokens embed_dim"]:
        """α w_{y_i} for every token, computed in float64 and rounded once to the dtype of the unit."""
        subsets, inverse = pointers.sort(dim=-1).values.flatten(0, 1).unique(dim=0, return_inverse=True)
        if self.curve == "moment":
            certificates = moment_certificates(equispaced_nodes(self.problem.num_tokens).to(subsets.device), subsets)
        else:
            certificates = trigonometric_queries(self.problem.num_tokens, subsets)
        queries = self.scale * certificates
        return queries[inverse].unflatten(0, pointers.shape[:2]).to(self.keys.dtype)

    def attend(self, inputs: SparseAveragingInputs) -> Attended:
        """The output (batch, tokens, d') and the attention matrix (batch, tokens, tokens).

        Raises:
            PrecisionError: if for some token the worst error over all values, rounding included, is not within ε.
        """
        try:
            attended = super().attend(inputs)
        except ScoreOverflowError as overflow:
            raise PrecisionError(str(overflow)) from overflow
        assert isinstance(attended.attention, Tensor)
        # The sum of N weighted values is itself rounded: by at most N eps, as the weights sum to less than 2.
        rounding = self.problem.num_tokens * torch.finfo(self.keys.dtype).eps
        errors = worst_case_error(attended.attention, inputs.pointers) + rounding
        spoilt = ~(errors <= self.accuracy)  # nan is spoilt too
        if bool(spoilt.any()):
            subset, error = inputs.pointers[spoilt][0].sort().values.tolist(), errors[spoilt][0].item()
            raise PrecisionError(
                f"{self.keys.dtype} is too small for N = {self.problem.num_tokens}, q = {self.problem.sparsity}: the "
                f"worst error is {error:.2g} on the subset {subset}, and must be at most accuracy ε = {self.accuracy}; "
                f"use .double(), a larger ε, or fixed_precision_unit"
            )
        return attended


def _curve_keys(problem: SparseAveraging, curve: str) -> Float[Tensor, "tokens embed_dim"]:
    """The keys in float64."""
    if curve == "moment":
        return moment_keys(equispaced_nodes(problem.num_tokens), problem.sparsity)
    return trigonometric_keys(problem.num_tokens, problem.sparsity)


def infinite_precision_unit(
    problem: SparseAveraging, accuracy: float, *, curve: str = "trigonometric"
) -> InfinitePrecisionUnit:
    """The unit of Theorem 3 for ``problem``: 2q key coordinates, within ``accuracy`` on every input that it answers.

    Where we depart from the paper, whose keys are the vertices of a cyclic polytope: ours lie on the trigonometric
    curve unless told otherwise, as it needs the fewest bits of those that we tried; there, for N ≤ 2q + 1, the query is
    that of a simplex.

    Args:
        problem: any 1 ≤ q ≤ N.
        accuracy: ε in (0, 1), for the Euclidean norm of every output's error.
        curve: "trigonometric", or "moment" for the moment curve with N equispaced nodes in [−1, 1].

    Raises:
        ValueError: outside the hypotheses; *when called*, for inputs that the unit's float type can't hold.

    Example:
        >>> task = SparseAveraging(num_tokens=8, sparsity=2, value_dim=1)
        >>> unit = infinite_precision_unit(task, 0.01)
        >>> inputs = task.sample(5, generator=torch.Generator().manual_seed(1))
        >>> unit.embed_dim, bool((unit(inputs) - task.target(inputs)).norm(dim=-1).max() <= 0.01)
        (4, True)
    """
    if curve not in CURVES:
        raise ValueError(f"curve must be one of {', '.join(CURVES)}, got {curve!r}")
    return InfinitePrecisionUnit(problem, accuracy, curve)
