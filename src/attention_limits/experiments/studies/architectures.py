"""Architectures on sparse averaging: at an equal number of parameters, and at the sizes that each of them asks for.

Letters: N = num_tokens, q = sparsity, d' = value_dim, m = embed_dim.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.trials import TrialRunner, matched_size, num_parameters

#: Adam's rate after the warm-up, for each architecture. Found with one seed at N = 20, q = 3, d' = 4, 1,500 steps and
#: m = 64, from the rates in `RATES_TRIED`: the one with the least error on new samples, or between the two best.
PEAK_RATES = {"attention": 1e-2, "feedforward": 1e-3, "lstm": 5e-2, "bidirectional lstm": 5e-2}
RATES_TRIED = {
    "attention": (2.5e-3, 5e-3, 1e-2, 2e-2, 4e-2),
    "feedforward": (1e-5, 1e-4, 3e-4, 1e-3, 2e-3, 5e-3, 1e-2, 3e-2),
    "lstm": (2.5e-3, 5e-3, 1e-2, 2e-2, 4e-2, 8e-2, 16e-2),
    "bidirectional lstm": (2.5e-3, 5e-3, 1e-2, 2e-2, 4e-2, 8e-2, 16e-2),
}
#: The page tries again, with its first seed, these multiples of each rate.
RATE_FACTORS = (0.5, 2.0)
#: Steps, at least, of the runs that measure the time of a step.
TIMING_STEPS = 100
_FIELDS = ("architecture", "size", "num_layers", "num_samples", "num_steps", "peak_rate", "seed")


def compare_architectures(
    run: TrialRunner,
    *,
    num_tokens: int,
    sparsity: int,
    value_dim: int,
    embed_dim: int,
    num_steps: int,
    batch_size: int,
    num_samples: int,
    attention_sizes: Sequence[int],
    feedforward_sizes: Sequence[int],
    recurrent_sizes: Sequence[int],
    large_size: int,
    large_layers: int,
    large_steps: int,
    num_seeds: int,
    seed: int,
) -> pd.DataFrame:
    """Train all architectures at equal parameters, each at other rates, and some at other sizes; time a step of each.

    Args:
        run: computes trials; all but those that measure time go through one call of it.
        embed_dim: m of the attention model, whose number of parameters the others match.
        num_steps: of training; of the large recurrent network ``large_steps``.
        num_samples: of the fixed training samples; fresh samples are the other case.
        attention_sizes, feedforward_sizes, recurrent_sizes: other sizes, trained on fresh samples with one seed; the
            recurrent ones are bidirectional, of one layer.
        large_size, large_layers: hidden units a direction and layers of the large recurrent network: bidirectional, one
            seed.
        num_seeds: repetitions at equal parameters, from ``seed`` on.

    Returns:
        A row a trial: ``series`` ("equal", "rates", "sizes" or "large"), the fields architecture, size, num_layers,
        num_samples, num_steps, peak_rate and seed of the trial, num_parameters, ``counted`` (`counted_size`), ``error``
        on new samples, ``training_error`` (the last point of the curve), ``curve``, ``diverged``, ``group`` (models
        trained as one), ``seconds`` (of training, for an ensemble a share) and ``step_seconds`` (of a step of this
        model trained alone).
    """
    base = AveragingTrial(
        architecture="attention",
        num_tokens=num_tokens,
        sparsity=sparsity,
        value_dim=value_dim,
        size=embed_dim,
        num_steps=num_steps,
        batch_size=batch_size,
        seed=seed,
    )
    equal, rates = [], []
    for architecture, rate in PEAK_RATES.items():
        like = replace(base, architecture=architecture, peak_rate=rate)
        like = replace(like, size=matched_size(like, num_parameters(base)))
        equal += [
            replace(like, num_samples=count, seed=number)
            for count in (0, num_samples)
            for number in range(seed, seed + num_seeds)
        ]
        rates += [replace(like, peak_rate=rate * factor) for factor in RATE_FACTORS]
    sizes = [
        replace(base, architecture=architecture, size=size, peak_rate=PEAK_RATES[architecture])
        for architecture, of_one in (
            ("attention", attention_sizes),
            ("feedforward", feedforward_sizes),
            ("bidirectional lstm", recurrent_sizes),
        )
        for size in of_one
    ]
    large = replace(
        base,
        architecture="bidirectional lstm",
        size=large_size,
        num_layers=large_layers,
        num_steps=large_steps,
        peak_rate=PEAK_RATES["bidirectional lstm"],
    )
    # The longest first, so that processes that share the work end together.
    series = [("large", large)]
    series += [
        (name, trial) for name, trials in (("sizes", sizes), ("equal", equal), ("rates", rates)) for trial in trials
    ]
    trials = [trial for _, trial in series]
    results = run(trials)
    # Runs of different lengths are never stacked, so that each of these models is trained alone.
    models = dict.fromkeys(map(_model, trials))
    timed = [replace(trial, num_steps=TIMING_STEPS + number) for number, trial in enumerate(models)]
    times = [result["seconds"] / trial.num_steps for trial, result in zip(timed, run(timed), strict=True)]
    step_seconds = dict(zip(models, times, strict=True))
    return pd.DataFrame(
        [
            {
                "series": name,
                **{field: getattr(trial, field) for field in _FIELDS},
                "num_parameters": result["num_parameters"],
                "counted": counted_size(trial),
                "training_error": result["curve"][-1],
                **{key: result[key] for key in ("error", "curve", "diverged", "group", "seconds")},
                "step_seconds": step_seconds[_model(trial)],
            }
            for (name, trial), result in zip(series, results, strict=True)
        ]
    )


def _model(trial: AveragingTrial) -> AveragingTrial:
    """One trial for all that train a model of this shape: the first seed at the architecture's own rate."""
    return replace(trial, num_steps=1, num_samples=0, seed=0, peak_rate=PEAK_RATES[trial.architecture])


def counted_size(trial: AveragingTrial) -> int:
    """The size that the bounds count: m of attention, units of a first layer, numbers in an LSTM's forward states.

    Theorem 11 counts the states of all layers together; an LSTM's is its hidden vector and its cell.
    """
    if trial.architecture.endswith("lstm"):
        return 2 * trial.size * trial.num_layers
    return trial.size


class ErrorSummary(NamedTuple):
    """Errors of several seeds, in short."""

    least: float
    median: float
    most: float
    #: 95 % interval of their geometric mean; nan for fewer than two seeds.
    low: float
    high: float


def summarise_errors(errors: Sequence[float]) -> ErrorSummary:
    """Range and median of errors, and Student's 95 % interval of their geometric mean.

    Raises:
        ValueError: for no error at all, and for one that is not positive and finite.
    """
    values = np.asarray(errors, dtype=float)
    if values.size == 0:
        raise ValueError("a summary needs at least one error, got none")
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"errors must be positive and finite, got {errors}")
    low = high = math.nan
    if values.size > 1 and np.ptp(values) > 0:
        low, high = np.exp(stats.ttest_1samp(np.log(values), 0).confidence_interval(0.95))
    return ErrorSummary(values.min(), float(np.median(values)), values.max(), float(low), float(high))


def steps_to_reach(curve: Sequence[float], num_steps: int, level: float) -> float:
    """Steps after which the training error stays at or below ``level``, in whole stretches; infinite if it does not.

    Example:
        >>> [steps_to_reach([0.9, 0.2, 0.4, 0.1], 100, level) for level in (0.5, 0.3, 0.05)]
        [50.0, 100.0, inf]
    """
    if len(curve) == 0:
        raise ValueError("a learning curve needs at least one point, got none")
    above = [index for index, error in enumerate(curve) if not error <= level]  # nan is above
    done = above[-1] + 1 if above else 0
    return math.inf if done == len(curve) else (done + 1) * num_steps / len(curve)
