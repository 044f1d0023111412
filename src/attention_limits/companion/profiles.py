"""What the book's pages do in the quick and paper profiles; a page not named here runs as its own cell says."""

from typing import Any

Parameters = dict[str, Any]

#: What the quick profile changes: at most a minute a page on two cores, for tests.
QUICK: dict[str, Parameters] = {
    "thm-2-fixed-precision": {
        "token_grid": [16, 64, 256],
        "sparsity_grid": [1, 2, 4, 8],
        "num_subsets": 1000,
        "largest_exhaustive": 8,
    },
    "thm-3-infinite-precision": {
        "token_grid": [16, 32, 64, 256, 1024],
        "largest_exhaustive": 10,
        "num_subsets": 100,
    },
    "tight-dimension": {"largest_tokens": 7, "num_draws": 5, "map_tokens": 7, "scalar_tokens": 3},
    "thm-4-embedding-dimension": {
        "num_tokens": 15,
        "sparsity": 6,
        "all_subsets_sparsity": 4,
        "sparsity_grid": [16, 32],
        "num_inputs": 16,
        "matrix_bits": 8,
        "rank_bits": 6,
        "num_draws": 2,
    },
    "thm-10-feedforward": {
        "num_layers": 20,
        "largest_program": 7,
        "largest_rank": 16,
        "largest_integer_width": 2,
        "num_seeds": 2,
        "num_steps": 200,
    },
    "thm-11-recurrent": {
        "num_tokens": 7,
        "token_grid": [4, 8, 16, 32, 64, 128],
        "hidden_grid": [4, 32],
        "num_steps": 500,
        "num_seeds": 1,
    },
    "crossover": {"largest_built": 600, "num_subsets": 20},
    "thm-6-match2": {"num_tokens": 128, "exhaustive_modulus": 6, "num_inputs": 20},
    "thm-7-match3": {
        "num_tokens": 3,
        "disjointness_bits": 4,
        "row_tokens": [3, 5],
        "largest_modulus": 9,
        "num_layers": 60,
        "token_grid": [5, 9, 17],
        "num_inputs": 2,
    },
    "match3-bigram": {
        "largest_inputs": 3000,
        "token_grid": [128, 512],
        "reduction_bits": 6,
        "channel_bits": 3,
    },
    "match3-local": {"largest_inputs": 300, "token_grid": [16, 64, 256], "num_inputs": 4},
    "third-order": {
        "low_tokens": 64,
        "low_modulus": 2955,
        "long_tokens": 100_000,
        "long_modulus": 400_000,
        "num_draws": 20,
        "digraph_vertices": 3,
    },
    "architectures": {
        "num_tokens": 14,
        "value_dim": 3,
        "embed_dim": 48,
        "num_steps": 600,
        "num_samples": 800,
        "attention_sizes": [24],
        "feedforward_sizes": [256],
        "recurrent_sizes": [42],
        "large_size": 96,
        "large_steps": 1000,
        "level": 0.08,
        "large_error": 0.1,
        "num_seeds": 2,
    },
    "conjecture": {
        "token_grid": [6],
        "num_steps": 2000,
        "step_labels": 320,
        "peak_rate": 5e-3,
        "num_seeds": 3,
        "least_gap": 0.02,
    },
    "learned-attention": {"num_seeds": 2},
    "learning-match": {
        "token_grid": [6],
        "num_steps": 2000,
        "pair_steps": 300,
        "step_labels": 320,
        "peak_rate": 5e-3,
        "num_seeds": 3,
        "least_gap": 0.02,
    },
    "performance": {
        "token_grid": [32, 64, 128],
        "seconds_each": 0.05,
        "memory_tokens": 256,
        "long_tokens": 100_000,
        "long_modulus": 400_000,
    },
    "phase-diagram": {
        "num_tokens": 12,
        "sparsity_grid": [1, 2, 4],
        "embed_grid": [8, 16, 32, 64],
        "attention_rate": 8e-3,
        "address_sparsity_grid": [1, 2, 4],
        "address_embed_grid": [1, 2, 4, 8],
        "step_grid": [400, 200],
        "level": 0.3,
        "num_seeds": 2,
    },
    "size-against-length": {
        "attention_tokens": [6, 12],
        "feedforward_tokens": [4, 6],
        "recurrent_tokens": [3, 6],
        "size_caps": [8, 128, 11],
        "num_steps": 600,
        "num_seeds": 2,
    },
}

#: What the paper profile changes: the grids that a figure of a paper would show, for a GPU or a cluster.
PAPER: dict[str, Parameters] = {
    # Ten seeds and seven times the steps of the book, which takes about 5 minutes: some 70 minutes on one core, and 15
    # more for the large network of two layers.
    "architectures": {"num_steps": 10_000, "large_steps": 20_000, "large_layers": 2, "num_seeds": 10},
    # Five times the steps and twice the lengths of the book, which takes some 5 minutes. An estimate from the cost of a
    # step, not measured: 10 to 20 hours on one core, most of them for the LSTM at N = 64 and the widest networks.
    "size-against-length": {
        "attention_tokens": [8, 16, 32, 64, 128],
        "feedforward_tokens": [4, 6, 8, 12, 16],
        "recurrent_tokens": [4, 8, 16, 32, 64],
        "size_caps": [64, 8192, 256],
        "num_steps": 5000,
        "num_seeds": 5,
    },
    # 126 models. Third order at N = 32 takes about 0.1 s a step on a core, so that all take some 40 core hours.
    "learning-match": {
        "token_grid": [8, 16, 24, 32],
        "num_steps": 20_000,
        "pair_steps": 5000,
        "step_labels": 2048,
        "num_seeds": 5,
    },
    # 600 trials of 10,000 steps in all; at 1.2 ms a step (measured) two hours on one core.
    "phase-diagram": {
        "sparsity_grid": [1, 2, 3, 4, 6, 8, 12, 16],
        "embed_grid": [2, 4, 8, 16, 32, 64, 128],
        "address_sparsity_grid": [1, 2, 3, 4, 6, 8, 12, 16],
        "address_embed_grid": [1, 2, 4, 8, 16, 32, 64, 128],
        "step_grid": [8000, 2000],
        "num_seeds": 5,
    },
}
