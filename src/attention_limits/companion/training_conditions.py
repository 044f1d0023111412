"""Which values of their parameters the pages on training cover."""

import math

from attention_limits.companion.common_conditions import common_conditions, require_distinct
from attention_limits.companion.profiles import Parameters
from attention_limits.hypotheses import require, require_integer


def detection_conditions(values: Parameters) -> None:
    """The pages conjecture and learning-match."""
    common_conditions(values)
    require_distinct("token_grid", values["token_grid"])
    for tokens in values["token_grid"]:
        require(2 <= tokens <= 128, f"token_grid's entries must lie in 2…128 (N³ scores are held), got {tokens}")
    longest = max(values["token_grid"])
    require_integer("size", values["size"], 2)
    require_integer("num_steps", values["num_steps"], 2)
    if "pair_steps" in values:
        require_integer("pair_steps", values["pair_steps"], 2)
    require(
        values["step_labels"] >= longest,
        f"step_labels must be at least the longest N = {longest}, got {values['step_labels']}",
    )
    require(0 <= values["least_gap"] <= 1, f"least_gap must lie in 0…1, got {values['least_gap']}")


def learned_attention_conditions(values: Parameters) -> None:
    """The page learned-attention."""
    common_conditions(values)
    last, snapshot = values["num_steps"], values["snapshot_step"]
    require(0 <= snapshot <= last, f"snapshot_step = {snapshot} lies outside the run's steps 0…{last}")


def phase_diagram_conditions(values: Parameters) -> None:
    """The page phase-diagram."""
    common_conditions(values)
    size = values["num_tokens"]
    require(3 <= size <= 256, f"num_tokens must lie in 3…256 (each cell of a map is trained), got {size}")
    require_integer("value_dim", values["value_dim"], 1)
    for prefix in ("", "address_"):
        for name in (f"{prefix}sparsity_grid", f"{prefix}embed_grid"):
            entries = values[name]
            require(len(entries) >= 2, f"{name} needs at least two entries (it is an axis of a map), got {entries}")
            require(entries == sorted(set(entries)), f"{name}'s entries must rise, got {entries}")
            require_integer(f"{name}'s entries", entries[0], 1)
        most = values[f"{prefix}sparsity_grid"][-1]
        require(
            most < size, f"{prefix}sparsity_grid's q = {most} needs q < N = {size}: uniform attention is exact there"
        )
    both = [q for q in values["sparsity_grid"] if q in values["address_sparsity_grid"]]
    require(any(q >= 2 for q in both), f"sparsity_grid and address_sparsity_grid must share a q ≥ 2, they share {both}")
    budgets = values["step_grid"]
    pair = len(budgets) == 2 and budgets[0] > budgets[1] >= 1
    require(pair, f"step_grid must be two budgets, the larger one first, each at least 1, got {budgets}")
    for name in ("attention_rate", "address_rate"):
        require(0 < values[name] < math.inf, f"{name} must be positive and finite, got {values[name]}")
    require(0 < values["level"] < 0.5, f"level must lie strictly between 0 and 0.5, got {values['level']}")


def architectures_conditions(values: Parameters) -> None:
    """The page architectures."""
    common_conditions(values)
    tokens = values["num_tokens"]
    require(2 <= tokens <= 64, f"num_tokens N must lie in 2…64 (N²d' units are built), got {tokens}")
    require(values["sparsity"] < tokens, f"sparsity q must be below N = {tokens}, got {values['sparsity']}")
    for name in ("attention_sizes", "feedforward_sizes", "recurrent_sizes"):
        require_distinct(name, values[name])
        for size in values[name]:
            require_integer(f"{name}'s entries", size, 1)
    for name in ("num_samples", "large_size", "large_layers", "large_steps"):
        require_integer(name, values[name], 1)
    require(0 < values["level"] < 1, f"level must lie strictly between 0 and 1, got {values['level']}")


def size_conditions(values: Parameters) -> None:
    """The page size-against-length."""
    common_conditions(values)
    sparsity = values["sparsity"]
    require_integer("sparsity", sparsity, 1)
    require_integer("value_dim", values["value_dim"], 1)
    for name in ("attention_tokens", "feedforward_tokens", "recurrent_tokens"):
        require_distinct(name, values[name])
        for tokens in values[name]:
            require(tokens <= 256, f"{name}'s N must be at most 256 (N²d' gates are built), got {tokens}")
            require(tokens > sparsity, f"{name}'s N must exceed the sparsity q = {sparsity}, got {tokens}")
    for name in ("size_caps", "peak_rates"):
        entries = values[name]
        require(len(entries) == 3, f"{name} needs an entry for each of the three architectures, got {entries}")
    for cap in values["size_caps"]:
        require_integer("size_caps's entries", cap, 1)
    for rate in values["peak_rates"]:
        require(0 < rate < math.inf, f"peak_rates's entries must be positive and finite, got {rate}")
    error = values["target_error"]
    require(0 < error < 1, f"target_error must lie strictly between 0 and 1 (the best constant's), got {error}")
