"""The hypotheses that statements make on their parameters, refused by name and value where they do not hold.

One place, free of torch, so that a problem's constructor and the command line refuse the same values in the same words.
"""

import math


def require(condition: bool, message: str) -> None:
    """Raise ``ValueError(message)`` unless ``condition`` holds."""
    if not condition:
        raise ValueError(message)


def require_integer(name: str, value: object, minimum: int) -> None:
    """Refuse a ``value`` that is not an integer of at least ``minimum``."""
    require(isinstance(value, int) and not isinstance(value, bool), f"{name} must be an integer, got {value!r}")
    require(value >= minimum, f"{name} must be at least {minimum}, got {value}")  # type: ignore[operator]


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
