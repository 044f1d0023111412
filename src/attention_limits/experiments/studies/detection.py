"""Learning to detect pairs and triples: two studies, which share trials.

At every length a step shows about the same number of labels, and the modulus balances them. The three architectures
have about as many parameters: third-order attention has the width that is asked for, the others are matched to it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from attention_limits.experiments.detectors import PROBLEMS, MatchingTrial
from attention_limits.experiments.trials import TrialRunner, matched_size, num_parameters
from attention_limits.hypotheses import require_integer

DETECTION_ARCHITECTURES = MatchingTrial.known_architectures
#: Those that see two tokens at a time.
PAIRWISE = ["one layer", "two layers"]


def detection_trials(
    problem: str,
    *,
    token_grid: Sequence[int],
    size: int,
    num_steps: int,
    step_labels: int,
    peak_rate: float,
    num_seeds: int,
    seed: int,
) -> list[MatchingTrial]:
    """Every architecture, length and seed on one problem.

    Args:
        problem: "match2" or "match3".
        token_grid: N.
        size: the width of third-order attention.
        num_steps: of training.
        step_labels: labels of a step, batch size times N, rounded down to whole sequences.
        peak_rate: Adam's learning rate after the warm-up.
        num_seeds: repetitions.
        seed: the first one's.
    """
    require_integer("num_seeds", num_seeds, 1)
    if not step_labels >= max(token_grid):
        raise ValueError(f"step_labels must be at least N = {max(token_grid)}, got {step_labels}")
    trials = []
    for tokens in token_grid:
        widest = MatchingTrial(
            architecture="third order",
            problem=problem,
            num_tokens=tokens,
            modulus=PROBLEMS[problem].balanced_modulus(tokens),
            size=size,
            num_steps=num_steps,
            batch_size=step_labels // tokens,
            peak_rate=peak_rate,
        )
        for architecture in DETECTION_ARCHITECTURES:
            alike = replace(widest, architecture=architecture)
            alike = replace(alike, size=matched_size(alike, num_parameters(widest)))
            trials += [replace(alike, seed=number) for number in range(seed, seed + num_seeds)]
    return trials


def detection_frame(run: TrialRunner, trials: Sequence[MatchingTrial]) -> pd.DataFrame:
    """A row for each trial: what it is and what came out, the learning curve as a list in ``curve``."""
    rows = []
    for trial, result in zip(trials, run(trials), strict=True):
        what = {
            "problem": trial.problem,
            "architecture": trial.architecture,
            "N": trial.num_tokens,
            "M": trial.modulus,
            "seed": trial.seed,
            "width": trial.size,
            "num_steps": trial.num_steps,
            "batch": trial.batch_size,
            "parameters": result["num_parameters"],
        }
        rows.append(what | {name: result[name] for name in ("accuracy", "loss", "constant", "seconds", "curve")})
    return pd.DataFrame(rows)


def conjecture(
    run: TrialRunner,
    *,
    token_grid: Sequence[int],
    size: int,
    num_steps: int,
    step_labels: int,
    peak_rate: float,
    num_seeds: int,
    seed: int,
) -> pd.DataFrame:
    """Match3 at each length, by all architectures; see `detection_trials` for the arguments."""
    trials = detection_trials(
        "match3",
        token_grid=token_grid,
        size=size,
        num_steps=num_steps,
        step_labels=step_labels,
        peak_rate=peak_rate,
        num_seeds=num_seeds,
        seed=seed,
    )
    return detection_frame(run, trials)


def learning_match(
    run: TrialRunner,
    *,
    token_grid: Sequence[int],
    size: int,
    num_steps: int,
    pair_steps: int,
    step_labels: int,
    peak_rate: float,
    num_seeds: int,
    seed: int,
) -> pd.DataFrame:
    """Match2, for ``pair_steps`` steps, and Match3, for ``num_steps``; see `detection_trials` for the arguments."""
    trials = [
        trial
        for problem, steps in (("match2", pair_steps), ("match3", num_steps))
        for trial in detection_trials(
            problem,
            token_grid=token_grid,
            size=size,
            num_steps=steps,
            step_labels=step_labels,
            peak_rate=peak_rate,
            num_seeds=num_seeds,
            seed=seed,
        )
    ]
    return detection_frame(run, trials)


def accuracy_table(frame: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Mean accuracy over seeds with its t-interval, least and largest, for each problem, length and architecture.

    One seed has no interval: its ends are nan. An interval may reach beyond [0, 1], as t-intervals do.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie strictly between 0 and 1, got {confidence}")

    def summary(accuracies: "pd.Series[float]") -> "pd.Series[float]":
        values = accuracies.to_numpy(dtype=float)
        low = high = float("nan")
        if len(values) > 1:
            half = stats.sem(values) * stats.t.ppf((1 + confidence) / 2, len(values) - 1)
            low, high = float(np.mean(values) - half), float(np.mean(values) + half)
        return pd.Series(
            {
                "seeds": len(values),
                "mean": np.mean(values),
                "low": low,
                "high": high,
                "least": min(values),
                "most": max(values),
            }
        )

    grouped = frame.groupby(["problem", "N", "architecture"], sort=False)["accuracy"]
    return grouped.apply(summary).unstack().reset_index()


def overview(frame: pd.DataFrame) -> pd.DataFrame:
    """`accuracy_table` by problem, N and architecture, with the seeds' mean M, width, parameters, constant, seconds."""
    by = ["problem", "N", "architecture"]
    sizes = frame.groupby(by, sort=False)[["M", "width", "parameters", "constant", "seconds"]].mean()
    return accuracy_table(frame).set_index(by).join(sizes)


def excess_parameters(frame: pd.DataFrame) -> float:
    """How many more parameters the largest model has than the smallest of its length, as a share: the largest share."""
    counts = frame.groupby("N")["parameters"]
    return float((counts.max() / counts.min() - 1).max())
