"""How narrow a first layer may be when the error is a mean over random inputs, not the worst case of Theorem 10.

Everything is for inputs as `SparseAveraging.sample` draws them: values uniform in the unit ball, pointers uniform.

Letters: N = num_tokens, q = sparsity, d' = value_dim, s² = 1/(d' + 2) the variance of a coordinate of a value,
v the volume of the ball, ρ = v^{2/d'}/(2πe s²), k = N d' − width.
"""

import math

from attention_limits.hypotheses import require_integer
from attention_limits.problems.sparse_averaging import SparseAveraging


def entropy_ratio(value_dim: int) -> float:
    """ρ, the entropy power of a value over its variance: below 1, as values are not Gaussian; 6/(πe) for d' = 1.

    Example:
        >>> round(entropy_ratio(1), 4)
        0.7026
    """
    require_integer("value_dim", value_dim, 1)
    log_volume = value_dim / 2 * math.log(math.pi) - math.lgamma(value_dim / 2 + 1)
    return math.exp(2 * log_volume / value_dim) * (value_dim + 2) / (2 * math.pi * math.e)


def least_mean_error(problem: SparseAveraging, width: int) -> float:
    """No network g(W x + b) whose W has ``width`` rows has a smaller relative mean error (ours).

    It is ((N − q)/(N − 1)) (k/(N d')) ρ^{N d'/k}: what k unseen directions of the values cost at least, whatever g is.

    Args:
        problem: with N ≥ 2.
        width: rows of W, at least 0.

    Returns:
        A relative error, of which the best constant has 1; 0 from width N d' on.

    Raises:
        ValueError: for one token, or a negative width.

    Example:
        >>> [round(least_mean_error(SparseAveraging(8, 1, 1), width), 3) for width in (0, 4, 7, 8)]
        [0.703, 0.247, 0.007, 0.0]
    """
    if problem.num_tokens < 2:
        raise ValueError(f"the bound needs num_tokens N ≥ 2, got {problem.num_tokens}")
    require_integer("width", width, 0)
    coordinates = problem.num_tokens * problem.value_dim
    unseen = max(0, coordinates - width)
    if unseen == 0:
        return 0.0
    others = (problem.num_tokens - problem.sparsity) / (problem.num_tokens - 1)
    return others * unseen / coordinates * entropy_ratio(problem.value_dim) ** (coordinates / unseen)


def least_mean_width(problem: SparseAveraging, error: float) -> int:
    """The smallest first-layer width at which `least_mean_error` does not rule out a relative mean error of ``error``.

    Example:
        >>> [least_mean_width(SparseAveraging(n, 1, 1), 0.05) for n in (8, 16, 64)]
        [7, 13, 50]
    """
    if not error >= 0:
        raise ValueError(f"error must be at least 0, got {error}")
    return next(
        width
        for width in range(problem.num_tokens * problem.value_dim + 1)
        if least_mean_error(problem, width) <= error
    )
