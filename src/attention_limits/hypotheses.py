"""The hypotheses that statements make on their parameters, refused by name and value where they do not hold.

One place, free of torch, so that a problem's constructor and the command line refuse the same values in the same words.
"""

import math
from fractions import Fraction


def require(condition: bool, message: str) -> None:
    """Raise ``ValueError(message)`` unless ``condition`` holds."""
    if not condition:
        raise ValueError(message)


def require_integer(name: str, value: object, minimum: int) -> None:
    """Refuse a ``value`` that is not an integer of at least ``minimum``."""
    # Messages are written only when they are needed: a count may have more digits than Python prints.
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")


def require_sparse_averaging(num_tokens: int, sparsity: int, value_dim: int) -> None:
    """Definition 4 of the paper: 1 ≤ q ≤ N tokens, values in R^{d'} with d' ≥ 1."""
    require_integer("num_tokens", num_tokens, 1)
    require_integer("sparsity", sparsity, 1)
    require_integer("value_dim", value_dim, 1)
    require(sparsity <= num_tokens, f"sparsity q = {sparsity} needs num_tokens N ≥ {sparsity}, got N = {num_tokens}")


def require_accuracy(accuracy: float) -> None:
    """Theorem 2 of the paper: an accuracy ε strictly between 0 and 1."""
    is_number = isinstance(accuracy, int | float) and not isinstance(accuracy, bool) and math.isfinite(accuracy)
    require(is_number and 0 < accuracy < 1, f"accuracy ε must lie strictly between 0 and 1, got {accuracy!r}")


def require_disjointness_reduction(num_tokens: int, sparsity: int) -> None:
    """Theorem 4 of the paper: q ≥ 1 pairs of positions and one token that asks, N ≥ 2q + 1."""
    require_integer("sparsity", sparsity, 1)
    require_integer("num_tokens", num_tokens, 1)
    least = 2 * sparsity + 1
    require(
        num_tokens >= least,
        f"the reduction from disjointness needs N ≥ {least} for q = {sparsity}, got N = {num_tokens}",
    )


def require_separating_accuracy(accuracy: float, sparsity: int) -> None:
    """Answers for different q-subsets can be 2/q apart, and no more: only ε < 1/q is sure to tell them apart."""
    require_accuracy(accuracy)
    require(
        Fraction(accuracy) * sparsity < 1,
        f"accuracy ε must lie below 1/q = 1/{sparsity} for q = {sparsity}, got {accuracy}",
    )


def require_matching(num_tokens: int, modulus: int) -> None:
    """Match2 and Match3 of the paper: N ≥ 1 tokens and a modulus M ≥ 2."""
    require_integer("num_tokens", num_tokens, 1)
    require_integer("modulus", modulus, 2)
