"""What holds for a parameter of a given name on every page, and what conditions of single pages share."""

import math
from typing import Any

from attention_limits.companion.profiles import Parameters
from attention_limits.hypotheses import (
    require,
    require_accuracy,
    require_integer,
    require_sparse_averaging,
)


def common_conditions(values: Parameters) -> None:
    """What holds for a parameter of this name on every page."""
    if "seed" in values:
        require_integer("seed", values["seed"], 0)
    for name in ("num_seeds", "num_steps", "embed_dim", "batch_size"):
        if name in values:
            require_integer(name, values[name], 1)
    if "peak_rate" in values:
        rate = values["peak_rate"]
        require(0 < rate < math.inf, f"peak_rate must be positive and finite, got {rate}")
    if {"num_tokens", "sparsity", "value_dim"} <= values.keys():
        require_sparse_averaging(values["num_tokens"], values["sparsity"], values["value_dim"])
    if "accuracy" in values:
        require_accuracy(values["accuracy"])


def require_distinct(name: str, entries: list[Any]) -> None:
    """Refuse a list with an entry twice."""
    require(len(set(entries)) == len(entries), f"{name}'s entries must differ, got {entries}")
