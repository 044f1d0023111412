"""Sparse averaging on three pages: attention that is looked at, LSTMs of several sizes, first layers that are narrow.

Letters: N = num_tokens, q = sparsity, d' = value_dim, m = embed_dim.
"""

from collections.abc import Sequence

import pandas as pd

from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.studies.architectures import counted_size
from attention_limits.experiments.trials import TrialRunner

LSTMS = ("lstm", "bidirectional lstm")


def learned_attention(
    run: TrialRunner,
    *,
    num_tokens: int,
    sparsity: int,
    value_dim: int,
    embed_dim: int,
    num_steps: int,
    batch_size: int,
    peak_rate: float,
    num_seeds: int,
    seed: int,
) -> pd.DataFrame:
    """One attention unit of dimension m from each seed.

    Returns:
        A row for each trial: seed, num_steps, and what `trials.run_trials` gives of it.
    """
    trials = [
        AveragingTrial(
            architecture="attention",
            num_tokens=num_tokens,
            sparsity=sparsity,
            value_dim=value_dim,
            size=embed_dim,
            num_steps=num_steps,
            batch_size=batch_size,
            peak_rate=peak_rate,
            seed=number,
        )
        for number in range(seed, seed + num_seeds)
    ]
    results = run(trials)
    return pd.DataFrame([{"seed": t.seed, "num_steps": num_steps} | r for t, r in zip(trials, results, strict=True)])


def recurrent_errors(
    run: TrialRunner,
    *,
    num_tokens: int,
    sparsity: int,
    value_dim: int,
    hidden_grid: Sequence[int],
    num_steps: int,
    batch_size: int,
    peak_rate: float,
    num_seeds: int,
    seed: int,
) -> pd.DataFrame:
    """LSTMs of one and of two directions at every number of hidden units.

    Returns:
        A row for each trial: architecture, hidden, seed, ``numbers`` in the states of one direction
        (`studies.architectures.counted_size`), and what `trials.run_trials` gives of it.
    """
    trials = [
        AveragingTrial(
            architecture=architecture,
            num_tokens=num_tokens,
            sparsity=sparsity,
            value_dim=value_dim,
            size=hidden,
            num_steps=num_steps,
            batch_size=batch_size,
            peak_rate=peak_rate,
            seed=number,
        )
        for architecture in LSTMS
        for hidden in hidden_grid
        for number in range(seed, seed + num_seeds)
    ]
    return pd.DataFrame(
        [
            {"architecture": t.architecture, "hidden": t.size, "seed": t.seed, "numbers": counted_size(t)} | result
            for t, result in zip(trials, run(trials), strict=True)
        ]
    )


#: The first layers that Theorem 10 speaks of: Adam's rate after the warm-up and samples of a step. Our choice.
NARROW_RATE = 2e-3
NARROW_BATCH = 64


def narrow_networks(
    run: TrialRunner, *, num_tokens: int, sparsity: int, value_dim: int, num_steps: int, num_seeds: int, seed: int
) -> pd.DataFrame:
    """Fully-connected networks of first-layer width N d' − 1 and two later layers, one from each seed.

    Returns:
        A row for each trial: seed, and what `trials.run_trials` gives of it.
    """
    trials = [
        AveragingTrial(
            architecture="deep feedforward",
            num_tokens=num_tokens,
            sparsity=sparsity,
            value_dim=value_dim,
            size=num_tokens * value_dim - 1,
            num_steps=num_steps,
            batch_size=NARROW_BATCH,
            peak_rate=NARROW_RATE,
            seed=number,
        )
        for number in range(seed, seed + num_seeds)
    ]
    return pd.DataFrame([{"seed": t.seed} | result for t, result in zip(trials, run(trials), strict=True)])
