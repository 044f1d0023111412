"""The hypotheses that statements make on their parameters, refused by name and value where they do not hold.

One place, free of torch, so that a problem's constructor, a page and the command line refuse the same in one wording.
"""

import inspect
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any


class HypothesisError(ValueError):
    """A value that a statement does not cover."""


def require(condition: bool, message: str) -> None:
    """Raise ``HypothesisError(message)`` unless ``condition`` holds."""
    if not condition:
        raise HypothesisError(message)


def require_integer(name: str, value: object, minimum: int) -> None:
    """Refuse a ``value`` that is not an integer of at least ``minimum``."""
    # Messages are written only when they are needed: a count may have more digits than Python prints.
    if not isinstance(value, int) or isinstance(value, bool):
        raise HypothesisError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise HypothesisError(f"{name} must be at least {minimum}, got {value}")


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


# What a page's `facts` cell says of its parameters: each name is looked up among the variables of whoever calls.

#: The least integer, or the least and the most, or these and the reason why no more.
Limit = int | tuple[int, int] | tuple[int, int, str]


def usual_ranges() -> None:
    """What holds for a parameter of its name on every page, for those that the page has.

    A seed from 0 on; num_seeds, num_steps, embed_dim and batch_size from 1 on; a positive peak_rate; num_tokens,
    sparsity and value_dim as `require_sparse_averaging` has them; an accuracy as `require_accuracy` has it.
    """
    known = _callers_variables()
    for name, least in (("seed", 0), ("num_seeds", 1), ("num_steps", 1), ("embed_dim", 1), ("batch_size", 1)):
        if name in known:
            require_integer(name, known[name], least)
    if "peak_rate" in known:
        _require_positive("peak_rate", known["peak_rate"])
    if {"num_tokens", "sparsity", "value_dim"} <= known.keys():
        require_sparse_averaging(known["num_tokens"], known["sparsity"], known["value_dim"])
    if "accuracy" in known:
        require_accuracy(known["accuracy"])


def ranges(**limits: Limit) -> None:
    """Refuse integers, alone or in lists, outside their limits.

    Raises:
        HypothesisError: naming the parameter, the limit with its reason, and the value.
        NameError: for a name that the caller does not have.

    Example:
        >>> num_tokens = 65
        >>> ranges(num_tokens=(2, 64, "one solve each"))
        Traceback (most recent call last):
        attention_limits.hypotheses.HypothesisError: num_tokens must be at most 64 (one solve each), got 65
    """
    known = _callers_variables()
    for name, limit in limits.items():
        least, most, reason = _parts(limit)
        for label, value in _entries(known, name):
            require_integer(label, value, least)
            if most is not None and value > most:
                raise HypothesisError(f"{label} must be at most {most}{reason}, got {value}")


def intervals(**limits: Limit) -> None:
    """The same for limits that are told together: "must lie in 3…256"."""
    known = _callers_variables()
    for name, limit in limits.items():
        least, most, reason = _parts(limit)
        for label, value in _entries(known, name):
            if not least <= value or (most is not None and value > most):
                raise HypothesisError(f"{label} must lie in {least}…{most}{reason}, got {value}")


def distinct(*names: str) -> None:
    """Refuse lists with an entry twice."""
    known = _callers_variables()
    for name in names:
        entries = [value for _, value in _entries(known, name)]
        require(len(set(entries)) == len(entries), f"{name}'s entries must differ, got {entries}")


def positive(*names: str) -> None:
    """Refuse numbers, alone or in lists, that are not positive and finite."""
    known = _callers_variables()
    for name in names:
        for label, value in _entries(known, name):
            _require_positive(label, value)


def _require_positive(name: str, value: float) -> None:
    require(0 < value < math.inf, f"{name} must be positive and finite, got {value}")


def _parts(limit: Limit) -> tuple[int, int | None, str]:
    least, most, reason = (*((limit,) if isinstance(limit, int) else limit), None, None)[:3]
    return least, most, f" ({reason})" if reason else ""


def _entries(known: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """A variable as a message calls it, with its value: a list's entries one by one."""
    if name not in known:
        raise NameError(f"no parameter is called {name!r}")
    value = known[name]
    yield from ((f"{name}'s entries", entry) for entry in value) if isinstance(value, list) else ((name, value),)


def _callers_variables() -> dict[str, Any]:
    """The global variables of the code that called the function that calls this one."""
    frame = inspect.currentframe()
    caller = frame and frame.f_back and frame.f_back.f_back
    return caller.f_globals if caller else {}
