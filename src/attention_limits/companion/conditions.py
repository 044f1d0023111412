"""Which values of their parameters the book's pages cover; others are refused by name and value before anything runs.

A page that is not named here has the conditions that go with its parameters' names.
"""

import math
from collections.abc import Callable

from attention_limits.companion import training_conditions as training
from attention_limits.companion.common_conditions import common_conditions, require_distinct
from attention_limits.companion.profiles import Parameters
from attention_limits.hypotheses import (
    require,
    require_accuracy,
    require_disjointness_reduction,
    require_integer,
    require_matching,
    require_separating_accuracy,
)


def _fixed_precision_conditions(values: Parameters) -> None:
    common_conditions(values)
    size, sparsity = values["num_tokens"], values["sparsity"]
    require(
        sparsity < size, f"sparsity q = {sparsity} leaves no token outside the subset: the page needs q < N = {size}"
    )
    require(size <= 4096, f"num_tokens must be at most 4096 (a least-squares problem for each), got {size}")
    require_integer("num_subsets", values["num_subsets"], 1)
    require_integer("largest_exhaustive", values["largest_exhaustive"], 2)
    most = values["largest_exhaustive"]
    require(most <= 16, f"largest_exhaustive must be at most 16 (a subset each of 2^N), got {most}")
    grid, ones = values["token_grid"], values["sparsity_grid"]
    for name in ("token_grid", "sparsity_grid", "accuracy_grid"):
        require_distinct(name, values[name])
    for tokens in grid:
        require(2 <= tokens <= 8192, f"token_grid's entries must lie in 2…8192, got {tokens}")
    for entry in ones:
        require(1 <= entry <= 64, f"sparsity_grid's entries must lie in 1…64, got {entry}")
    largest = max(size, *grid)
    coordinates = math.ceil(13 * sparsity * math.log(largest))
    require(
        coordinates <= 4000,
        f"sparsity q = {sparsity} needs keys of {coordinates} coordinates at N = {largest}: at most 4000 are built",
    )
    require(max(grid) > sparsity, f"token_grid needs an N above the sparsity q = {sparsity}, got {grid}")
    require(
        any(2 * q <= n <= 1024 and q <= 16 for n in grid for q in ones),
        f"token_grid {grid} and sparsity_grid {ones} have no pair with q ≤ N/2, N ≤ 1024 and q ≤ 16",
    )
    for accuracy in (values["accuracy"], *values["accuracy_grid"]):
        require_accuracy(accuracy)
        require(accuracy >= 1e-9, f"the page computes in float64: accuracies ε must be at least 1e-09, got {accuracy}")


def _infinite_precision_conditions(values: Parameters) -> None:
    common_conditions(values)
    size, sparsity = values["num_tokens"], values["sparsity"]
    require(
        sparsity < size, f"sparsity q = {sparsity} leaves no token outside the subset: the page needs q < N = {size}"
    )
    require_integer("num_subsets", values["num_subsets"], 4)
    require_integer("largest_exhaustive", values["largest_exhaustive"], 4)
    require_integer("exhaustive_sparsity", values["exhaustive_sparsity"], 1)
    most, ones = values["largest_exhaustive"], values["exhaustive_sparsity"]
    require(
        (2 * most) ** (2 * ones) < 2**63 and most <= 24,
        f"integers of (2N)^(2q) must stay below 2^63 and N ≤ 24: got largest_exhaustive N = {most}, "
        f"exhaustive_sparsity q = {ones}",
    )
    finest = values["accuracy"]
    require(finest >= 1e-6, f"formats are simulated in float64 here: accuracy ε must be at least 1e-06, got {finest}")
    for entry in values["sparsity_grid"]:
        require_integer("sparsity_grid's entries", entry, 1)
    for name in ("token_grid", "sparsity_grid", "accuracy_grid"):
        require_distinct(name, values[name])
    least = 2 * min(values["sparsity_grid"]) + 2
    for tokens in values["token_grid"]:
        require(tokens >= least, f"token_grid's N = {tokens} is too small for sparsity_grid: it needs N ≥ {least}")
    for accuracy in values["accuracy_grid"]:
        require_accuracy(accuracy)


def _tight_dimension_conditions(values: Parameters) -> None:
    common_conditions(values)
    for name, least, most in (
        ("largest_tokens", 3, 12),
        ("largest_sparsity", 1, 6),
        ("num_draws", 1, 1000),
        ("map_tokens", 3, 12),
        ("scalar_tokens", 2, 4),
    ):
        require_integer(name, values[name], least)
        require(values[name] <= most, f"{name} must be at most {most}, got {values[name]}")
    sparsity, size = values["largest_sparsity"], min(values["largest_tokens"], values["map_tokens"])
    require(sparsity < size, f"largest_sparsity = {sparsity} leaves no token outside a subset of {size}")


def _embedding_dimension_conditions(values: Parameters) -> None:
    require_disjointness_reduction(values["num_tokens"], values["sparsity"])
    common_conditions(values)
    require_separating_accuracy(values["accuracy"], values["sparsity"])
    for name, most, reason in (
        ("sparsity", 10, "all 4^q inputs are run"),
        ("all_subsets_sparsity", 6, "all C(2q + 1, q) subsets are served"),
        ("matrix_bits", 12, "the matrix has 4^n entries"),
        ("rank_bits", 9, "the elimination is exact"),
    ):
        require_integer(name, values[name], 1)
        require(values[name] <= most, f"{name} must be at most {most} ({reason}), got {values[name]}")
    rank, rows = values["rank_bits"], values["matrix_bits"]
    require(rank <= rows, f"rank_bits = {rank} must be at most matrix_bits = {rows}: both stand in one table")
    for name in ("num_inputs", "num_draws"):
        require_integer(name, values[name], 1)
    for entry in values["sparsity_grid"]:
        require_integer("sparsity_grid's entries", entry, 1)
        require(entry <= 128, f"sparsity_grid's entries must be at most 128 (units are built for them), got {entry}")


def _feedforward_conditions(values: Parameters) -> None:
    common_conditions(values)
    size, sparsity, value_dim = values["num_tokens"], values["sparsity"], values["value_dim"]
    require(
        sparsity < size, f"sparsity q = {sparsity} makes all tokens ask for one mean: the bound needs q < N = {size}"
    )
    require(size * value_dim >= 3, f"N d' = {size * value_dim} leaves no width below N d'/2: it must be at least 3")
    require(size <= 32, f"num_tokens must be at most 32 (N digits beside a value in float64), got {size}")
    require(
        size * value_dim <= 64, f"N d' = {size * value_dim} must be at most 64: the page computes in exact fractions"
    )
    for name, least, most in (
        ("num_layers", 1, 10_000),
        ("largest_program", 2, 11),  # a constraint for each subset, a program for each token
        ("largest_rank", 2, 64),
        ("largest_integer_width", 1, 3),  # 3^(width · N) layers
    ):
        require_integer(name, values[name], least)
        require(values[name] <= most, f"{name} must be at most {most}, got {values[name]}")


def _recurrent_conditions(values: Parameters) -> None:
    common_conditions(values)
    size, sparsity, literal = values["num_tokens"], values["sparsity"], values["literal_tokens"]
    require(sparsity < size, f"sparsity q = {sparsity} needs q < N = {size}: for q = N memory is not what is short")
    require(3 <= size <= 10, f"num_tokens must lie in 3…10 (tables of 2^N rows), got {size}")
    require(2 <= literal <= 4, f"literal_tokens must lie in 2…4 (all inputs are listed), got {literal}")
    require_distinct("token_grid", values["token_grid"])
    for tokens in values["token_grid"]:
        require(3 <= tokens <= 2048, f"token_grid's entries must lie in 3…2048, got {tokens}")
    for hidden in values["hidden_grid"]:
        require_integer("hidden_grid's entries", hidden, 1)


def _crossover_conditions(values: Parameters) -> None:
    common_conditions(values)
    for ones in values["sparsity_grid"]:
        require_integer("sparsity_grid's entries", ones, 1)
    most = max(values["sparsity_grid"])
    require(
        most <= 32, f"sparsity_grid's entries must be at most 32 (attention overtakes before N = 10⁵ then), got {most}"
    )
    require(10**5 <= values["largest"] <= 10**7, f"largest must lie in 10⁵…10⁷, got {values['largest']}")
    require_integer("num_subsets", values["num_subsets"], 1)
    built = values["largest_built"]
    require(2 <= built <= 5000, f"largest_built must lie in 2…5000 (a least-squares problem each subset), got {built}")


def _match2_conditions(values: Parameters) -> None:
    common_conditions(values)
    require_integer("num_inputs", values["num_inputs"], 1)
    for name, least, most in (
        ("num_tokens", 2, 2048),
        ("modulus", 5, 61),
        ("exhaustive_tokens", 1, 6),
        ("exhaustive_modulus", 2, 8),
        ("bit_tokens", 3, 256),
    ):
        require_integer(name, values[name], least)
        require(values[name] <= most, f"{name} must be at most {most}, got {values[name]}")
    require(values["modulus"] % 2 == 1, f"modulus must be odd (the picture), got {values['modulus']}")
    entries = values["modulus_grid"]
    require(len(set(entries)) >= 3, f"modulus_grid needs three different M for a slope, got {entries}")
    for entry in entries:
        require_integer("modulus_grid's entries", entry, 4)
        require(entry <= 2**20, f"modulus_grid's entries must be at most 2^20 (52 bits), got {entry}")


def _match3_conditions(values: Parameters) -> None:
    common_conditions(values)
    for name, least, most, reason in (
        ("num_tokens", 3, 5, "all M^N inputs are run"),
        ("modulus", 4, 8, "all M^N inputs are run"),
        ("disjointness_bits", 1, 9, "all 4^n pairs are run"),
        ("largest_modulus", 4, 16, "all multisets are listed"),
        ("num_layers", 1, 10_000, "each is run"),
        ("num_inputs", 1, 1000, "each is run"),
    ):
        require_integer(name, values[name], least)
        require(values[name] <= most, f"{name} must be at most {most} ({reason}), got {values[name]}")
    inputs = values["modulus"] ** values["num_tokens"]
    require(inputs <= 4096, f"modulus^num_tokens must be at most 4096 (all inputs are run), got {inputs}")
    for tokens in values["row_tokens"]:
        require(3 <= tokens <= 7, f"row_tokens's entries must lie in 3…7, got {tokens}")
    for tokens in values["token_grid"]:
        require(3 <= tokens <= 129, f"token_grid's entries must lie in 3…129, got {tokens}")


def _bigram_conditions(values: Parameters) -> None:
    common_conditions(values)
    require_matching(values["num_tokens"], values["modulus"])
    require(2 <= values["num_tokens"] <= 16, f"num_tokens must lie in 2…16 (it is drawn), got {values['num_tokens']}")
    require(values["modulus"] <= 1000, f"modulus must be at most 1000 (it is drawn), got {values['modulus']}")
    for name, least, most, reason in (
        ("largest_inputs", 100, 10**6, "all of them are run"),
        ("num_inputs", 1, 100, "N² scores each"),
        ("reduction_bits", 1, 9, "all 4^n pairs are run"),
        ("channel_bits", 1, 6, "all 4^n pairs go through the channel"),
    ):
        require_integer(name, values[name], least)
        require(values[name] <= most, f"{name} must be at most {most} ({reason}), got {values[name]}")
    for name, least in (("token_grid", 2), ("modulus_grid", 3)):
        for entry in values[name]:
            require_integer(f"{name}'s entries", entry, least)
            require(entry <= 5793, f"{name}'s entries must be at most 5793 (exact in float32), got {entry}")


def _local_conditions(values: Parameters) -> None:
    common_conditions(values)
    size, modulus, window = values["num_tokens"], values["modulus"], values["window"]
    require_matching(size, modulus)
    require_integer("window", window, 1)
    require(window <= 32, f"window K must be at most 32 (all pairs of a window are tried), got {window}")
    require(2 * window < size <= 1024, f"num_tokens N must lie in 2K + 1 = {2 * window + 1}…1024, got {size}")
    require(modulus <= 1000, f"modulus M must be at most 1000 (float32 at N = 1024), got {modulus}")
    for slots in values["slot_grid"]:
        least = 2 * window + 1
        require(slots >= least, f"slot_grid's P must be at least 2K + 1 = {least} for K = {window}, got {slots}")
    for tokens in values["token_grid"]:
        require(2 <= tokens <= 1024, f"token_grid's N must lie in 2…1024 (exact in float32), got {tokens}")
    require(max(values["token_grid"]) > 2 * window, f"token_grid needs a length above 2K = {2 * window}")
    require_integer("num_inputs", values["num_inputs"], 4)
    require_integer("largest_inputs", values["largest_inputs"], 100)
    most = 10**5
    require(values["largest_inputs"] <= most, f"largest_inputs must be at most {most}, got {values['largest_inputs']}")


def _third_order_conditions(values: Parameters) -> None:
    common_conditions(values)
    for tokens, modulus in (("num_tokens", "modulus"), ("low_tokens", "low_modulus"), ("long_tokens", "long_modulus")):
        require_matching(values[tokens], values[modulus])
    for name, least, most, reason in (
        ("num_tokens", 2, 200, "the scores of all pairs are held at once"),
        ("modulus", 72, 10**6, "the interval (M/9, 2M/9) must hold a few residues"),
        ("low_tokens", 2, 300, "the scores of all pairs are held at once"),
        ("low_modulus", 72, 10**6, "all residues are enumerated for each set of frequencies"),
        ("long_tokens", 10_000, 10**7, "the input is long"),
        ("long_modulus", 10_000, 10**8, "the transforms are of this length, and their error is bounded"),
        ("num_planted", 1, 100, "each is looked up"),
        ("largest_order", 3, 6, "all N^(s−1) tuples are held at once"),
        ("num_frequencies", 1, 64, "m = 3F + 1"),
        ("num_draws", 1, 1000, "each is certified"),
        ("digraph_vertices", 3, 4, "all digraphs are run"),
    ):
        require_integer(name, values[name], least)
        require(values[name] <= most, f"{name} must be at most {most} ({reason}), got {values[name]}")


def _performance_conditions(values: Parameters) -> None:
    common_conditions(values)
    require_matching(values["long_tokens"], values["long_modulus"])
    for name, least, most, reason in (
        ("memory_tokens", 128, 1024, "the plain form holds N³ scores several times"),
        ("long_tokens", 10_000, 10**7, "the input is long"),
        ("long_modulus", 10_000, 10**8, "the transforms are of this length, and their error is bounded"),
        ("num_planted", 1, 100, "each is looked up"),
    ):
        require_integer(name, values[name], least)
        require(values[name] <= most, f"{name} must be at most {most} ({reason}), got {values[name]}")
    require_distinct("token_grid", values["token_grid"])
    sizes = values["token_grid"]
    require(len(sizes) >= 3, f"token_grid needs three N for a growth exponent, got {sizes}")
    for tokens in sizes:
        require(8 <= tokens <= 512, f"token_grid's entries must lie in 8…512 (N³ scores are held), got {tokens}")
    seconds = values["seconds_each"]
    require(0 < seconds <= 60, f"seconds_each must lie above 0 and be at most 60, got {seconds}")
    require(bool(values["benchmarks"]), "benchmarks must name a file, got ''")


#: A page's own conditions, where it has more than those of the parameters' names.
CONDITIONS: dict[str, Callable[[Parameters], None]] = {
    "thm-2-fixed-precision": _fixed_precision_conditions,
    "thm-3-infinite-precision": _infinite_precision_conditions,
    "tight-dimension": _tight_dimension_conditions,
    "thm-4-embedding-dimension": _embedding_dimension_conditions,
    "thm-10-feedforward": _feedforward_conditions,
    "thm-11-recurrent": _recurrent_conditions,
    "crossover": _crossover_conditions,
    "thm-6-match2": _match2_conditions,
    "thm-7-match3": _match3_conditions,
    "match3-bigram": _bigram_conditions,
    "match3-local": _local_conditions,
    "third-order": _third_order_conditions,
    "architectures": training.architectures_conditions,
    "conjecture": training.detection_conditions,
    "learning-match": training.detection_conditions,
    "learned-attention": training.learned_attention_conditions,
    "performance": _performance_conditions,
    "phase-diagram": training.phase_diagram_conditions,
    "size-against-length": training.size_conditions,
}
