"""Each page's facts: what it refuses, by value and condition, before it runs; and how its `facts` cell is read."""

import ast
import pkgutil
import re
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill
import pytest

from attention_limits.companion import claims
from attention_limits.companion.facts import FACTS_IMPORT
from attention_limits.companion.pages import Page, all_pages, get_page

from .conftest import HEADER, REPOSITORY, Project, invoke

#: What a page must refuse, with the value and the condition that its message has to name.
REFUSED: dict[str, list[tuple[dict[str, Any], str]]] = {
    "thm-2-fixed-precision": [
        (
            {"num_tokens": 4, "sparsity": 4},
            "sparsity q = 4 leaves no token outside the subset: the page needs q < N = 4",
        ),
        ({"num_tokens": 4, "sparsity": 5}, "sparsity q = 5 needs num_tokens N ≥ 5, got N = 4"),
        ({"num_subsets": 0}, "num_subsets must be at least 1, got 0"),
        ({"largest_exhaustive": 17}, "largest_exhaustive must be at most 16 (a subset each of 2^N), got 17"),
        ({"accuracy_grid": [0.1, 1.0]}, "accuracy ε must lie strictly between 0 and 1, got 1.0"),
        ({"accuracy": 1e-10}, "accuracies ε must be at least 1e-09, got 1e-10"),
        ({"accuracy_grid": [0.1, 0.1]}, "accuracy_grid's entries must differ, got [0.1, 0.1]"),
        ({"num_tokens": 4097}, "num_tokens must be at most 4096 (a least-squares problem for each), got 4097"),
        ({"token_grid": [1]}, "token_grid's entries must lie in 2…8192, got 1"),
        ({"sparsity_grid": [0]}, "sparsity_grid's entries must lie in 1…64, got 0"),
        ({"sparsity": 200}, "sparsity q = 200 needs keys of 18022 coordinates at N = 1024: at most 4000 are built"),
        ({"token_grid": [2, 4]}, "token_grid needs an N above the sparsity q = 4, got [2, 4]"),
        ({"token_grid": [16], "sparsity_grid": [9]}, "have no pair with q ≤ N/2, N ≤ 1024 and q ≤ 16"),
    ],
    "thm-3-infinite-precision": [
        ({"num_tokens": 3}, "sparsity q = 3 leaves no token outside the subset: the page needs q < N = 3"),
        ({"num_subsets": 3}, "num_subsets must be at least 4, got 3"),
        ({"largest_exhaustive": 25}, "N ≤ 24: got largest_exhaustive N = 25"),
        ({"exhaustive_sparsity": 7}, "(2N)^(2q) must stay below 2^63"),
        ({"accuracy": 1e-7}, "accuracy ε must be at least 1e-06, got 1e-07"),
        ({"sparsity_grid": [0]}, "sparsity_grid's entries must be at least 1, got 0"),
    ],
    "tight-dimension": [
        ({"map_tokens": 13}, "map_tokens must be at most 12, got 13"),
        ({"scalar_tokens": 5}, "scalar_tokens must be at most 4, got 5"),
        ({"scalar_tokens": 1}, "scalar_tokens must be at least 2, got 1"),
    ],
    "thm-4-embedding-dimension": [
        ({"sparsity": 0}, "sparsity must be at least 1, got 0"),
        ({"num_tokens": 16}, "the reduction from disjointness needs N ≥ 17 for q = 8, got N = 16"),
        ({"sparsity": 1, "num_tokens": 2}, "needs N ≥ 3 for q = 1, got N = 2"),
        ({"value_dim": 0}, "value_dim must be at least 1, got 0"),
        ({"accuracy": 0.0}, "accuracy ε must lie strictly between 0 and 1, got 0.0"),
        ({"accuracy": 0.125}, "accuracy ε must lie below 1/q = 1/8 for q = 8, got 0.125"),
        (
            {"sparsity": 11, "num_tokens": 23, "accuracy": 0.01},
            "sparsity must be at most 10 (all 4^q inputs are run), got 11",
        ),
        ({"all_subsets_sparsity": 0}, "all_subsets_sparsity must be at least 1, got 0"),
        (
            {"all_subsets_sparsity": 7},
            "all_subsets_sparsity must be at most 6 (all C(2q + 1, q) subsets are served), got 7",
        ),
        ({"matrix_bits": 13}, "matrix_bits must be at most 12 (the matrix has 4^n entries), got 13"),
        ({"rank_bits": 0}, "rank_bits must be at least 1, got 0"),
        ({"rank_bits": 10}, "rank_bits must be at most 9 (the elimination is exact), got 10"),
        ({"matrix_bits": 7}, "rank_bits = 8 must be at most matrix_bits = 7"),
        ({"num_inputs": 0}, "num_inputs must be at least 1, got 0"),
        ({"num_draws": 0}, "num_draws must be at least 1, got 0"),
        ({"sparsity_grid": [16, 0]}, "sparsity_grid's entries must be at least 1, got 0"),
        ({"sparsity_grid": [129]}, "sparsity_grid's entries must be at most 128 (units are built for them), got 129"),
    ],
    "thm-10-feedforward": [
        (
            {"sparsity": 12},
            "sparsity q = 12 makes all tokens ask for one mean: the bound needs q < N = 12",
        ),
        ({"sparsity": 13}, "sparsity q = 13 needs num_tokens N ≥ 13, got N = 12"),
        ({"sparsity": 0}, "sparsity must be at least 1, got 0"),
        ({"num_tokens": 1, "sparsity": 1}, "the bound needs q < N = 1"),
        ({"num_tokens": 2, "sparsity": 1}, "N d' = 2 leaves no width below N d'/2: it must be at least 3"),
        ({"num_tokens": 33}, "num_tokens must be at most 32 (N digits beside a value in float64), got 33"),
        ({"value_dim": 6}, "N d' = 72 must be at most 64: the page computes in exact fractions"),
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
        ({"num_layers": 10_001}, "num_layers must be at most 10000, got 10001"),
        ({"largest_program": 1}, "largest_program must be at least 2, got 1"),
        ({"largest_program": 12}, "largest_program must be at most 11, got 12"),
        ({"largest_rank": 1}, "largest_rank must be at least 2, got 1"),
        ({"largest_rank": 65}, "largest_rank must be at most 64, got 65"),
        ({"largest_integer_width": 0}, "largest_integer_width must be at least 1, got 0"),
        ({"largest_integer_width": 4}, "largest_integer_width must be at most 3, got 4"),
        ({"num_seeds": 0}, "num_seeds must be at least 1, got 0"),
        ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
    ],
    "thm-11-recurrent": [
        ({"sparsity": 8}, "sparsity q = 8 needs q < N = 8"),
        ({"num_tokens": 11}, "num_tokens must lie in 3…10 (tables of 2^N rows), got 11"),
        ({"literal_tokens": 5}, "literal_tokens must lie in 2…4 (all inputs are listed), got 5"),
        ({"token_grid": [2]}, "token_grid's entries must lie in 3…2048, got 2"),
        ({"token_grid": [4, 4]}, "token_grid's entries must differ, got [4, 4]"),
        ({"peak_rate": float("inf")}, "peak_rate must be positive and finite, got inf"),
        ({"hidden_grid": [0]}, "hidden_grid's entries must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
    "crossover": [
        ({"sparsity_grid": [0]}, "sparsity_grid's entries must be at least 1, got 0"),
        ({"sparsity_grid": [33]}, "sparsity_grid's entries must be at most 32"),
        ({"largest": 10**5 - 1}, "largest must lie in 10⁵…10⁷, got 99999"),
        ({"largest_built": 5001}, "largest_built must lie in 2…5000 (a least-squares problem each subset), got 5001"),
        ({"num_subsets": 0}, "num_subsets must be at least 1, got 0"),
    ],
    "learned-attention": [
        ({"snapshot_step": 2501}, "snapshot_step = 2501 lies outside the run's steps 0…2500"),
        ({"snapshot_step": -1}, "snapshot_step = -1 lies outside the run's steps 0…2500"),
        ({"least_mass": 1.0}, "least_mass must lie strictly between 0 and 1, got 1.0"),
        ({"largest_error": 0.0}, "largest_error must be positive and finite, got 0.0"),
        ({"num_tokens": 2}, "sparsity q = 3 needs num_tokens N ≥ 3, got N = 2"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"peak_rate": 0.0}, "peak_rate must be positive and finite, got 0.0"),
    ],
    "phase-diagram": [
        ({"num_tokens": 2}, "num_tokens must lie in 3…256 (each cell of a map is trained), got 2"),
        ({"num_tokens": 257}, "num_tokens must lie in 3…256 (each cell of a map is trained), got 257"),
        ({"value_dim": 0}, "value_dim must be at least 1, got 0"),
        ({"embed_grid": [8]}, "embed_grid needs at least two entries (it is an axis of a map), got [8]"),
        ({"sparsity_grid": [1, 4, 2]}, "sparsity_grid's entries must rise, got [1, 4, 2]"),
        ({"address_embed_grid": [0, 1, 2]}, "address_embed_grid's entries must be at least 1, got 0"),
        ({"address_sparsity_grid": [1, 2, 32]}, "address_sparsity_grid's q = 32 needs q < N = 32"),
        ({"sparsity_grid": [1, 5, 7]}, "sparsity_grid and address_sparsity_grid must share a q ≥ 2, they share [1]"),
        ({"step_grid": [600, 1200]}, "step_grid must be two budgets, the larger one first, each at least 1"),
        ({"step_grid": [600]}, "step_grid must be two budgets, the larger one first, each at least 1, got [600]"),
        ({"attention_rate": 0.0}, "attention_rate must be positive and finite, got 0.0"),
        ({"address_rate": -1.0}, "address_rate must be positive and finite, got -1.0"),
        ({"level": 0.5}, "level must lie strictly between 0 and 0.5, got 0.5"),
    ],
    "size-against-length": [
        ({"sparsity": 0}, "sparsity must be at least 1, got 0"),
        ({"value_dim": 0}, "value_dim must be at least 1, got 0"),
        ({"sparsity": 4}, "feedforward_tokens's N must exceed the sparsity q = 4, got 4"),
        ({"attention_tokens": [8, 8]}, "attention_tokens's entries must differ, got [8, 8]"),
        ({"recurrent_tokens": [257]}, "recurrent_tokens's N must be at most 256 (N²d' gates are built), got 257"),
        ({"size_caps": [16, 16]}, "size_caps needs an entry for each of the three architectures, got [16, 16]"),
        ({"size_caps": [16, 0, 16]}, "size_caps's entries must be at least 1, got 0"),
        ({"peak_rates": [0.01]}, "peak_rates needs an entry for each of the three architectures, got [0.01]"),
        ({"peak_rates": [0.01, -1.0, 0.01]}, "peak_rates's entries must be positive and finite, got -1.0"),
        ({"target_error": 1.0}, "target_error must lie strictly between 0 and 1 (the best constant's), got 1.0"),
    ],
    "thm-6-match2": [
        ({"modulus": 4}, "modulus must be at least 5, got 4"),
        ({"modulus": 6}, "modulus must be odd (the picture), got 6"),
        ({"num_tokens": 2049}, "num_tokens must be at most 2048, got 2049"),
        ({"exhaustive_modulus": 1}, "exhaustive_modulus must be at least 2, got 1"),
        ({"num_inputs": 0}, "num_inputs must be at least 1, got 0"),
        ({"modulus_grid": [4, 16, 16]}, "modulus_grid needs three different M for a slope, got [4, 16, 16]"),
        ({"modulus_grid": [3, 4, 5]}, "modulus_grid's entries must be at least 4, got 3"),
        ({"modulus_grid": [4, 5, 2**20 + 1]}, "modulus_grid's entries must be at most 2^20 (52 bits), got 1048577"),
    ],
    "thm-7-match3": [
        ({"modulus": 3}, "modulus must be at least 4, got 3"),
        ({"num_tokens": 6}, "num_tokens must be at most 5 (all M^N inputs are run), got 6"),
        ({"num_tokens": 5, "modulus": 8}, "modulus^num_tokens must be at most 4096 (all inputs are run), got 32768"),
        ({"message_modulus": 13}, "message_modulus must be at most 12 (all of Alice's inputs are run), got 13"),
        ({"disjointness_bits": 10}, "disjointness_bits must be at most 9 (all 4^n pairs are run), got 10"),
        ({"largest_modulus": 17}, "largest_modulus must be at most 16 (all multisets are listed), got 17"),
        ({"row_tokens": [2]}, "row_tokens's entries must lie in 3…7, got 2"),
        ({"token_grid": [130]}, "token_grid's entries must lie in 3…129, got 130"),
    ],
    "match3-bigram": [
        ({"num_tokens": 1}, "num_tokens must lie in 2…16 (it is drawn), got 1"),
        ({"modulus": 1}, "modulus must be at least 2, got 1"),
        ({"modulus": 1001}, "modulus must be at most 1000 (it is drawn), got 1001"),
        ({"largest_inputs": 99}, "largest_inputs must be at least 100, got 99"),
        ({"reduction_bits": 10}, "reduction_bits must be at most 9 (all 4^n pairs are run), got 10"),
        ({"token_grid": [1]}, "token_grid's entries must be at least 2, got 1"),
        ({"modulus_grid": [5794]}, "modulus_grid's entries must be at most 5793 (exact in float32), got 5794"),
    ],
    "match3-local": [
        ({"window": 0}, "window must be at least 1, got 0"),
        ({"window": 33}, "window K must be at most 32 (all pairs of a window are tried), got 33"),
        ({"num_tokens": 16}, "num_tokens N must lie in 2K + 1 = 17…1024, got 16"),
        ({"modulus": 1}, "modulus must be at least 2, got 1"),
        ({"modulus": 1001}, "modulus M must be at most 1000 (float32 at N = 1024), got 1001"),
        ({"slot_grid": [16]}, "slot_grid's P must be at least 2K + 1 = 17 for K = 8, got 16"),
        ({"token_grid": [1025]}, "token_grid's N must lie in 2…1024 (exact in float32), got 1025"),
        ({"token_grid": [16]}, "token_grid needs a length above 2K = 16"),
        ({"num_inputs": 3}, "num_inputs must be at least 4, got 3"),
    ],
    "induction-heads": [
        ({"largest_inputs": 99}, "largest_inputs must be at least 100, got 99"),
        ({"row_symbols": [3, 4]}, "row_symbols needs S = 2 and an S above it, got [3, 4]"),
        ({"row_symbols": [1, 2, 3]}, "row_symbols's entries must be at least 2, got 1"),
        ({"row_entries": 2**24 + 1}, "row_entries must be at most 16777216 (all are listed), got 16777217"),
        ({"talk_grid": [129]}, "talk_grid's entries must be at most 128 (values have 2n + 1 coordinates), got 129"),
        ({"long_tokens": 4097}, "long_tokens must be at most 4096 (N² weights of 8 bytes are held), got 4097"),
        (
            {"long_tokens": 4096, "long_symbols": 6690},
            "long_symbols S must be at most 6689 for N = 4096 (scores exact in float64), got 6690",
        ),
    ],
    "k-hop": [
        ({"largest_inputs": 49}, "largest_inputs must be at least 50, got 49"),
        ({"hop_grid": [1, 0]}, "hop_grid's entries must be at least 1, got 0"),
        ({"hop_grid": [3, 3]}, "hop_grid's entries must differ, got [3, 3]"),
        ({"long_tokens": 1025}, "long_tokens must be at most 1024 (each head holds N² weights), got 1025"),
        ({"long_symbols": 10001}, "long_symbols must be at most 10000 (scores exact in float64), got 10001"),
        ({"chain_tokens": 128}, "chain_tokens must be odd, so that the last token starts, got 128"),
        (
            {"chain_hops": 257},
            "chain_hops k must be at most 256 for N = 513 (hops lead two places back), got 257",
        ),
        ({"own_tokens": 257}, "own_tokens must be at most 256 (numbers of 2N bits), got 257"),
    ],
    "depth-match3": [
        ({"long_tokens": 2049}, "long_tokens must be at most 2048 (N² weights of 8 bytes are held), got 2049"),
        ({"long_tokens": 71}, "long_tokens must be at least 72, got 71"),
        ({"exhaustive_inputs": 15}, "exhaustive_inputs must be at least 16, got 15"),
        ({"largest_modulus": 1}, "largest_modulus must be at least 3, got 1"),
        ({"planted_tokens": 49}, "planted_tokens must be at most 48 (an input for every triple of blocks), got 49"),
        ({"planted_block": 5}, "planted_block w = 5 needs w² ≤ N = planted_tokens = 24"),
        ({"planted_tokens": 37, "planted_block": 3}, "needs planted_tokens N ≤ 12w = 36"),
        ({"butterfly_tokens": 3}, "butterfly_tokens must be at least 4, got 3"),
        ({"built_tokens": 257}, "built_tokens must be at most 256"),
    ],
    "composition": [
        ({"num_points": 4097}, "num_points must be at most 4096 (N² weights of 8 bytes are held), got 4097"),
        ({"num_points": 63}, "num_points must be at least 64, got 63"),
        ({"exhaustive_points": 5}, "exhaustive_points must be at most 4 (all n^(2n+1) inputs are run), got 5"),
        ({"row_points": 1}, "row_points must be at least 2, got 1"),
        ({"code_grid": [2, 5]}, "code_grid's entries must be at most 4 (all pairs of functions are compared), got 5"),
        ({"code_grid": [1]}, "code_grid's entries must be at least 2, got 1"),
        ({"curve_grid": [44]}, "curve_grid's entries must be at least 45, got 44"),
        ({"talk_grid": [4, 4]}, "talk_grid's entries must differ, got [4, 4]"),
        ({"restarts": 0}, "restarts must be at least 1, got 0"),
    ],
    "head-complexity": [
        ({"largest_parity": 13}, "largest_parity must be at most 12 (float64 sees no smaller margins), got 13"),
        ({"largest_parity": 3}, "largest_parity must be at least 4, got 3"),
        ({"class_bits": 5}, "class_bits must be at most 4 (all 2^(2^n) functions are counted), got 5"),
        ({"symmetric_bits": 0}, "symmetric_bits must be at least 1, got 0"),
        ({"sum_heads": 7}, "sum_heads must be at most 6 (2^(k+1) inputs in fractions), got 7"),
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
        ({"degree_bits": 10}, "degree_bits must be at most 9 (the certificate has 4^n entries), got 10"),
        ({"counting_grid": [7]}, "counting_grid's entries must be at least 8, got 7"),
        ({"counting_grid": [8, 8]}, "counting_grid's entries must differ, got [8, 8]"),
    ],
    "strassen": [
        ({"gap": 9}, "gap must be at least 10, got 9"),
        (
            {"gap": 101},
            "gap must be at most 100 (from 10 on labels are sure to be right, and beyond 100 few M are left), got 101",
        ),
        ({"token_grid": [201]}, "token_grid's entries must be at most 200 (all N³ scores are computed), got 201"),
        ({"token_grid": [16, 16]}, "token_grid's entries must differ, got [16, 16]"),
        ({"range_grid": [1]}, "range_grid's entries must be at least 2, got 1"),
        ({"range_grid": [2, 5]}, "range_grid needs an M of at least 6, got [2, 5]"),
        ({"head_modulus": 17}, "head_modulus must be at most 16 (all rectangles are tried), got 17"),
        ({"num_draws": 0}, "num_draws must be at least 1, got 0"),
        ({"largest_inputs": 99}, "largest_inputs must be at least 100, got 99"),
    ],
    "architectures": [
        ({"num_tokens": 65}, "num_tokens N must lie in 2…64 (N²d' units are built), got 65"),
        ({"num_tokens": 3}, "sparsity q must be below N = 3, got 3"),
        ({"attention_sizes": [16, 16]}, "attention_sizes's entries must differ, got [16, 16]"),
        ({"feedforward_sizes": [0]}, "feedforward_sizes's entries must be at least 1, got 0"),
        ({"large_layers": 0}, "large_layers must be at least 1, got 0"),
        ({"level": 1.0}, "level must lie strictly between 0 and 1, got 1.0"),
    ],
    "conjecture": [
        ({"token_grid": [8, 8]}, "token_grid's entries must differ, got [8, 8]"),
        ({"token_grid": [1]}, "token_grid's entries must lie in 2…128 (N³ scores are held), got 1"),
        ({"step_labels": 15}, "step_labels must be at least the longest N = 16, got 15"),
        ({"size": 31}, "size must be at least 32, got 31"),
        (
            {"step_grid": [600]},
            "step_grid and short_grid must have an entry for each N of token_grid, "
            "got [600] and [300, 300] for [8, 16]",
        ),
        (
            {"short_grid": [300, 600]},
            "short_grid's entries must be at least 0 and below those of step_grid = [600, 600], got [300, 600]",
        ),
        ({"least_lead": 1.5}, "least_lead must lie in 0…1, got 1.5"),
        ({"least_accuracy": 1.5}, "least_accuracy must lie in 0…1, got 1.5"),
    ],
    "learning-match": [
        ({"token_grid": [8, 8]}, "token_grid's entries must differ, got [8, 8]"),
        (
            {"token_grid": [2]},
            "token_grid's entries must lie in 3…128 (five frequencies need M ≥ 6, and N³ scores are held), got 2",
        ),
        ({"search_tokens": [129]}, "search_tokens's entries must lie in 2…128 (N³ scores are held), got 129"),
        (
            {"varied_tokens": 129},
            "varied_tokens must be at most 128 (five frequencies need M ≥ 6, and N³ scores are held), got 129",
        ),
        ({"step_labels": 31}, "step_labels must be at least the longest N = 32, got 31"),
        ({"size": 31}, "size must be at least 32, got 31"),
        (
            {"short_grid": [1]},
            "step_grid and short_grid must have an entry for each N of token_grid, "
            "got [600, 600, 1000, 1000] and [1] for [8, 16, 24, 32]",
        ),
        (
            {"short_grid": [-1, 1, 1, 1]},
            "short_grid's entries must be at least 0 and below those of step_grid = [600, 600, 1000, 1000], "
            "got [-1, 1, 1, 1]",
        ),
        ({"pair_steps": 1}, "pair_steps must be at least 2, got 1"),
        ({"varied_steps": 1}, "varied_steps must be at least 2, got 1"),
        ({"varied_seeds": 0}, "varied_seeds must be at least 1, got 0"),
        ({"search_steps": 1}, "search_steps must be at least 2, got 1"),
        ({"gap_draws": 0}, "gap_draws must be at least 1, got 0"),
        (
            {"search_frequencies": [22]},
            "size must be at least three times the F of the search and twice that of the draws "
            "(a token holds 2F numbers), got 64",
        ),
        ({"least_lead": 1.5}, "least_lead must lie in 0…1, got 1.5"),
        ({"least_accuracy": -0.5}, "least_accuracy must lie in 0…1, got -0.5"),
        ({"least_learned": 1.5}, "least_learned must lie in 0…1, got 1.5"),
        ({"narrow_gap": 0.1}, "narrow_gap must be at most wide_gap = 0.05, got 0.1"),
    ],
    "performance": [
        ({"token_grid": [16, 32]}, "token_grid needs three N for a growth exponent, got [16, 32]"),
        ({"token_grid": [16, 32, 32]}, "token_grid's entries must differ, got [16, 32, 32]"),
        ({"token_grid": [16, 32, 513]}, "token_grid's entries must lie in 8…512 (N³ scores are held), got 513"),
        ({"token_grid": [7, 16, 32]}, "token_grid's entries must lie in 8…512 (N³ scores are held), got 7"),
        ({"seconds_each": 0.0}, "seconds_each must lie above 0 and be at most 60, got 0.0"),
        ({"memory_tokens": 1025}, "memory_tokens must be at most 1024 (the plain form holds N³ scores several times)"),
        ({"long_modulus": 9999}, "long_modulus must be at least 10000, got 9999"),
        ({"num_planted": 0}, "num_planted must be at least 1, got 0"),
        ({"benchmarks": ""}, "benchmarks must name a file, got ''"),
    ],
    "third-order": [
        ({"num_tokens": 1}, "num_tokens must be at least 2, got 1"),
        ({"modulus": 1}, "modulus must be at least 2, got 1"),
        ({"modulus": 71}, "modulus must be at least 72, got 71"),
        ({"low_tokens": 301}, "low_tokens must be at most 300 (the scores of all pairs are held at once), got 301"),
        ({"long_modulus": 9999}, "long_modulus must be at least 10000, got 9999"),
        ({"largest_order": 7}, "largest_order must be at most 6 (all N^(s−1) tuples are held at once), got 7"),
        ({"num_frequencies": 0}, "num_frequencies must be at least 1, got 0"),
        ({"digraph_vertices": 5}, "digraph_vertices must be at most 4 (all digraphs are run), got 5"),
    ],
}

#: The last values that a page still takes.
TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("thm-2-fixed-precision", {"token_grid": [2], "sparsity_grid": [1], "num_tokens": 2, "sparsity": 1}),
    ("thm-2-fixed-precision", {"accuracy": 1e-9, "accuracy_grid": [1e-9]}),
    ("thm-11-recurrent", {"num_tokens": 3, "literal_tokens": 2, "token_grid": [3], "sparsity": 2}),
    ("crossover", {"largest_built": 2, "sparsity_grid": [32]}),
    ("learned-attention", {"num_tokens": 1, "sparsity": 1, "num_steps": 1, "snapshot_step": 0}),
    ("performance", {"token_grid": [8, 9, 512], "memory_tokens": 128, "seconds_each": 60.0}),
    ("phase-diagram", {"step_grid": [2, 1], "sparsity_grid": [2, 31], "level": 0.49}),
    ("size-against-length", {"attention_tokens": [2, 256], "size_caps": [1, 1, 1], "num_seeds": 1}),
    ("thm-4-embedding-dimension", {"num_tokens": 3, "sparsity": 1, "accuracy": 0.999}),
    ("thm-4-embedding-dimension", {"num_tokens": 21, "sparsity": 10, "accuracy": 0.0999}),
    ("thm-4-embedding-dimension", {"rank_bits": 9, "matrix_bits": 9, "all_subsets_sparsity": 6}),
    ("third-order", {"long_tokens": 10**7, "long_modulus": 10_000}),
    ("thm-10-feedforward", {"num_tokens": 12, "sparsity": 11}),
    ("thm-10-feedforward", {"num_tokens": 3, "sparsity": 1}),
    ("thm-10-feedforward", {"num_tokens": 2, "sparsity": 1, "value_dim": 2}),
    ("thm-10-feedforward", {"num_tokens": 32, "value_dim": 2}),
]


@pytest.mark.parametrize(
    ("page", "overrides", "message"),
    [
        pytest.param(page, overrides, message, id=f"{page}-{overrides}")
        for page, cases in REFUSED.items()
        for overrides, message in cases
    ],
)
def test_a_page_refuses_what_it_does_not_cover_by_value_and_condition(
    page: str, overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        get_page(REPOSITORY, page).resolve("book", overrides)


@pytest.mark.parametrize(("page", "overrides"), TAKEN)
def test_a_page_takes_the_last_values_that_it_covers(page: str, overrides: dict[str, Any]) -> None:
    assert get_page(REPOSITORY, page).resolve("book", overrides).items() >= overrides.items()


@pytest.mark.parametrize("page", all_pages(REPOSITORY), ids=lambda page: page.name)
def test_every_page_takes_its_own_values_and_refuses_a_negative_seed(page: Any) -> None:
    for profile in ("book", "quick"):
        assert page.resolve(profile, {})
        with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
            page.resolve(profile, {"seed": -1})


def limits_of(page: Page) -> list[tuple[str, Any]]:
    """The values just outside what a page's `ranges` and `intervals` take, by parameter."""
    cell = next(cell for cell in page.notebook.cells if "facts" in cell.metadata.get("tags", []))
    found: list[tuple[str, Any]] = []
    for node in ast.walk(ast.parse(cell.source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("ranges", "intervals"):
            for keyword in node.keywords:
                limit = eval(ast.unparse(keyword.value))  # 10**6 is no literal
                least, *rest = (limit,) if isinstance(limit, int) else limit
                outside = [least - 1, *(most + 1 for most in rest[:1])]
                as_list = page.parameters[str(keyword.arg)].type_name == "list[int]"
                found += [(str(keyword.arg), [value] if as_list else value) for value in outside]
    return found


@pytest.mark.parametrize("page", all_pages(REPOSITORY), ids=lambda page: page.name)
def test_every_page_states_its_facts_and_refuses_what_lies_just_outside_of_them(page: Page) -> None:
    assert page.facts.owner in str(page.facts)
    assert page.resolve("book", {}).keys() == page.resolve("quick", {}).keys()
    for name, value in limits_of(page):
        with pytest.raises(ValueError, match=r"must|needs|leaves|makes|lies"):
            page.resolve("book", {name: value})
    if page.facts.study:
        assert callable(pkgutil.resolve_name(page.facts.study))


def test_no_string_of_the_package_is_the_name_of_a_page() -> None:
    names = {page.name for page in all_pages(REPOSITORY)}
    for path in sorted((REPOSITORY / "src").rglob("*.py")):
        strings = [
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        assert names.isdisjoint(strings), path
        dashed = [name for name in names if "-" in name and name != "third-order"]  # which is English, too
        assert [name for name in dashed for text in strings if name in text] == [], path


#: A page's facts, as an author writes them.
FACTS = """\
from attention_limits.hypotheses import ranges, require, usual_ranges

quick = {"num_tokens": 4}

usual_ranges()
ranges(num_tokens=(2, 64, "one solve each"))
require(num_tokens % 2 == 0, f"num_tokens must be even, got {num_tokens}")"""


def refusal(project: Project, **overrides: Any) -> str:
    """What page alpha says of these values."""
    with pytest.raises(ValueError, match=r".") as caught:
        project.page("alpha").resolve("book", overrides)
    return str(caught.value)


def test_a_new_page_is_one_file_and_refuses_in_the_words_of_its_facts(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.add("alpha", facts=FACTS)
    page = project.page("alpha")
    assert (page.resolve("book", {})["num_tokens"], page.resolve("quick", {})["num_tokens"]) == (8, 4)
    assert refusal(project, num_tokens=65) == "num_tokens must be at most 64 (one solve each), got 65"
    assert refusal(project, num_tokens=7) == "num_tokens must be even, got 7"
    assert refusal(project, seed=-1) == "seed must be at least 0, got -1"
    assert invoke(project, "run", "alpha", "-p", "num_tokens=7") == 2
    assert capsys.readouterr().err == "error: num_tokens must be even, got 7\n"
    assert not (project.root / "_build" / "custom").exists()


@pytest.mark.parametrize("page", all_pages(REPOSITORY), ids=lambda page: page.name)
def test_a_page_names_its_kernel_for_programs_that_ask_for_it(page: Page) -> None:
    assert page.notebook.metadata["kernelspec"]["name"] == "python3"
    assert page.text.startswith(HEADER)


@pytest.mark.parametrize("kind", ["executed", "converted"])
def test_plain_papermill_runs_an_executed_notebook_and_a_converted_source(
    kind: str, finished: Project, tmp_path: Path
) -> None:
    source = finished.source("alpha")
    source.write_text(HEADER + source.read_text(encoding="utf-8"), encoding="utf-8")
    notebook = finished.executed("alpha")
    if kind == "converted":
        notebook = tmp_path / "alpha.ipynb"
        jupytext.write(jupytext.read(source), notebook)
    result = papermill.execute_notebook(notebook, tmp_path / "again.ipynb", {"num_seeds": 1}, progress_bar=False)
    assert len(claims.records(result)) == 5


def test_plain_papermill_and_a_readers_own_kernel_refuse_in_the_same_words(project: Project, tmp_path: Path) -> None:
    project.add("alpha", facts=FACTS)
    notebook = jupytext.read(project.source("alpha"))
    for name, parameters in (("papermill", {"num_tokens": 7}), ("edited", {})):
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(notebook, path)
        with pytest.raises(papermill.PapermillExecutionError) as caught:
            papermill.execute_notebook(
                path, path, parameters, kernel_name="python3", language="python", progress_bar=False
            )
        assert (caught.value.ename, caught.value.evalue) == ("HypothesisError", "num_tokens must be even, got 7")
        notebook.cells[1].source = notebook.cells[1].source.replace("num_tokens: int = 8", "num_tokens: int = 7")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ("import torch", "page alpha, line {}: a facts cell imports only math"),
        ("from attention_limits.problems import matching", "line {}: a facts cell imports only"),
        ("from . import x", "page alpha, line {}: a facts cell imports only"),
        ("x = (", "page alpha, line {}: its facts cell is no Python"),
        ("quick = dict(seed=1)", "page alpha, line {}: quick must be a literal dict, got dict(seed=1)"),
        ("quick = [1]", "page alpha, line {}: quick must be a literal dict, got [1]"),
        ("study = 3", "page alpha, line {}: study must be a literal str, got 3"),
        ("1 / 0", "page alpha, line {}: its facts cell fails: ZeroDivisionError: division by zero"),
        ("int('seven')", "page alpha, line {}: its facts cell fails: ValueError: invalid literal"),
        (
            "from attention_limits.hypotheses import ranges; ranges(tokens=2)",
            "page alpha, line {}: its facts cell fails: NameError: no parameter is called 'tokens'",
        ),
    ],
)
def test_a_broken_facts_cell_is_an_error_that_names_page_and_line(facts: str, message: str, project: Project) -> None:
    project.add("alpha", facts=f"# a comment\n\n{facts}")
    lines = project.source("alpha").read_text(encoding="utf-8").splitlines()
    assert message.format(lines.index(facts) + 1) in refusal(project)


def test_a_study_that_is_not_there_is_refused_by_page_and_name(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    for study in ("attention_limits.experiments.studies.nowhere:study", "attention_limits.files:nothing", "a b"):
        project.add("alpha", facts=f'study = "{study}"')
        assert invoke(project, "sweep", "alpha") == 2
        assert f"error: page alpha: its study {study!r} is not there: " in capsys.readouterr().err


def test_facts_that_quick_values_break_or_that_name_no_parameter_are_refused(project: Project) -> None:
    project.add("alpha", facts='quick = {"width": 4}')
    with pytest.raises(ValueError, match="unknown parameter 'width': alpha has num_tokens"):
        project.page("alpha").resolve("quick", {})
    assert project.page("alpha").resolve("book", {})


def test_what_a_facts_cell_may_import_costs_no_torch() -> None:
    assert "torch" not in FACTS_IMPORT
    assert all(name.startswith("attention_limits.") or "." not in name for name in FACTS_IMPORT)


def test_a_page_without_facts_has_the_usual_ones(project: Project) -> None:
    project.add("alpha")
    assert refusal(project, num_seeds=0) == "num_seeds must be at least 1, got 0"
    assert project.page("alpha").facts.study == ""


def test_the_example_of_the_book_is_refused_in_the_words_that_stand_there(project: Project) -> None:
    text = (REPOSITORY / "book" / "how-it-works.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    project.source("alpha").write_text(example, encoding="utf-8")
    project.write_toc("alpha")
    assert project.page("alpha").resolve("quick", {})["token_grid"] == [16, 32]
    assert f"*{refusal(project, num_tokens=5000)}*" in text
    assert refusal(project, sparsity=64) == "sparsity q = 64 needs q < N = 64"
