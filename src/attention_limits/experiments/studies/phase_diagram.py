"""Error of trained attention over q and m, and where it is learned: the transition m*(q) and its power law.

Two maps: "attention", where m is the size of the whole hidden vector, and "address", where values are given and m is
the dimension of keys and queries alone. Letters: N = num_tokens, q = sparsity, d' = value_dim, m = embed_dim.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from statsmodels.regression.linear_model import OLS, RegressionResultsWrapper  # its api takes half a second more
from statsmodels.tools import add_constant

from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.trials import TrialRunner

#: A line with an interval needs one point more than it has parameters.
LEAST_POINTS = 3
#: The smallest share whose logarithm is taken; float32 does not resolve errors below.
LEAST_SHARE = 1e-12


def phase_diagram(
    run: TrialRunner,
    *,
    num_tokens: int,
    value_dim: int,
    sparsity_grid: Sequence[int],
    embed_grid: Sequence[int],
    attention_rate: float,
    address_sparsity_grid: Sequence[int],
    address_embed_grid: Sequence[int],
    address_rate: float,
    step_grid: Sequence[int],
    batch_size: int,
    num_seeds: int,
    seed: int,
) -> pd.DataFrame:
    """Train every cell of both maps, at every budget, from every seed.

    Args:
        run: computes the trials.
        num_tokens, value_dim: N and d'.
        sparsity_grid, embed_grid: q and m of the map "attention".
        address_sparsity_grid, address_embed_grid: q and m of the map "address".
        attention_rate, address_rate: Adam's peak learning rate, one for all cells of a map.
        step_grid: the budgets, in steps.
        batch_size: sequences of a step.
        num_seeds, seed: how many seeds, and the first of them.

    Returns:
        A row a trial: ``map``, ``num_steps``, ``sparsity``, ``embed_dim``, ``seed``, ``error`` (relative, on test
        samples), ``share`` (error over 1 − q/N, the error of uniform attention; nan for a run that diverged),
        ``diverged``, ``num_parameters``, ``seconds``.

    Raises:
        ValueError: unless every q is below N.
    """
    for sparsity in (*sparsity_grid, *address_sparsity_grid):
        if sparsity >= num_tokens:
            raise ValueError(f"q = {sparsity} needs q < N = {num_tokens}: uniform attention is exact at q = N")
    maps = (
        ("attention", sparsity_grid, embed_grid, attention_rate),
        ("address", address_sparsity_grid, address_embed_grid, address_rate),
    )
    trials = [
        AveragingTrial(
            architecture=architecture,
            num_tokens=num_tokens,
            value_dim=value_dim,
            sparsity=sparsity,
            size=embed_dim,
            num_steps=num_steps,
            batch_size=batch_size,
            peak_rate=rate,
            seed=number,
        )
        for architecture, sparsities, embed_dims, rate in maps
        for num_steps in step_grid
        for sparsity in sparsities
        for embed_dim in embed_dims
        for number in range(seed, seed + num_seeds)
    ]
    rows = [
        {
            "map": trial.architecture,
            "num_steps": trial.num_steps,
            "sparsity": trial.sparsity,
            "embed_dim": trial.size,
            "seed": trial.seed,
            "error": result["error"],
            "share": math.nan if result["diverged"] else result["error"] / (1 - trial.sparsity / num_tokens),
            "diverged": result["diverged"],
            "num_parameters": result["num_parameters"],
            "seconds": result["seconds"],
        }
        for trial, result in zip(trials, run(trials), strict=True)
    ]
    return pd.DataFrame(rows)


def transition(embed_dims: Float[np.ndarray, " points"], shares: Float[np.ndarray, " points"], level: float) -> float:
    """Where the share of the error first crosses ``level`` as m grows: m*, between two of ``embed_dims``.

    Between points log share is linear in log m. What comes after the first crossing does not move it: too wide a unit
    may fail again, its scores are too large at the start, and no fit of a falling curve to all points survives that. A
    run that diverged (nan) counts as share 1, not learned.

    Args:
        embed_dims: m, rising.
        shares: share of the error at each m, at least 0 or nan.
        level: between 0 and 1.

    Returns:
        m*; 0 if even the smallest m is at the level or below it, inf if none is.

    Raises:
        ValueError: unless ``embed_dims`` rise and are positive, and 0 < level < 1.

    Example:
        >>> round(transition(np.array([2.0, 4.0, 8.0]), np.array([1.0, 0.4, 0.1]), 0.2), 3)
        5.657
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie strictly between 0 and 1, got {level}")
    if not np.all(np.diff(embed_dims, prepend=0) > 0):
        raise ValueError(f"embed_dims must be positive and rise, got {embed_dims}")
    logs = np.log(np.clip(np.nan_to_num(shares, nan=1.0), LEAST_SHARE, None))
    learned = np.flatnonzero(logs <= math.log(level))
    if not len(learned):
        return math.inf
    if learned[0] == 0:
        return 0.0
    ends = [learned[0], learned[0] - 1]  # np.interp wants its points in rising order
    return math.exp(np.interp(math.log(level), logs[ends], np.log(embed_dims[ends])))


def transitions(frame: pd.DataFrame, level: float) -> pd.DataFrame:
    """The `transition` of every map, budget, q and seed of `phase_diagram`'s frame, in a column of that name."""
    keys = ["map", "num_steps", "sparsity", "seed"]
    rows = []
    for values, cells in frame.sort_values("embed_dim").groupby(keys, sort=False):
        found = transition(cells["embed_dim"].to_numpy(float), cells["share"].to_numpy(float), level)
        rows.append({**dict(zip(keys, values, strict=True)), "transition": found})
    return pd.DataFrame(rows).sort_values(keys, ignore_index=True)


def over_seeds(found: pd.DataFrame) -> pd.DataFrame:
    """Of `transitions`: ``median``, ``least`` and ``most`` over the seeds.

    A seed without a crossing counts as 0 or inf, so that the median is finite and positive where more than half of the
    seeds cross inside the map, and otherwise says on which side of it the transition lies.
    """
    keys = ["map", "num_steps", "sparsity"]
    grouped = ((values, cells["transition"].to_numpy(float)) for values, cells in found.groupby(keys))
    rows = [
        {**dict(zip(keys, values, strict=True)), "median": np.median(column), "least": min(column), "most": max(column)}
        for values, column in grouped
    ]
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class PowerLaw:
    """m* = factor · q^exponent, by least squares on logarithms, with its 95 % intervals.

    ``exponent``, ``factor`` and ``interval`` (of the exponent) are nan if there are fewer than three points: two
    have a line but no interval.
    """

    exponent: float
    factor: float
    interval: tuple[float, float]
    num_points: int
    model: RegressionResultsWrapper | None

    def band(
        self, sparsities: Float[np.ndarray, " points"]
    ) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
        """The line and the ends of its pointwise 95 % confidence band at these q.

        Raises:
            ValueError: if there was no fit.
        """
        if self.model is None:
            raise ValueError(f"{self.num_points} points have no band: at least {LEAST_POINTS} are needed")
        prediction = self.model.get_prediction(add_constant(np.log(sparsities), has_constant="add"))
        low, high = np.exp(prediction.conf_int(alpha=0.05)).T
        return np.exp(prediction.predicted_mean), low, high


def power_law(sparsities: Float[np.ndarray, " points"], crossings: Float[np.ndarray, " points"]) -> PowerLaw:
    """Fit log m* = log factor + exponent · log q to the points whose m* is positive and finite.

    One point a q, the median over seeds: what seeds share at one q, such as a curve that is no power law, is then part
    of the scatter that the interval measures. Points outside the map are left out.
    """
    inside = np.isfinite(crossings) & (crossings > 0)
    count = int(inside.sum())
    if count < LEAST_POINTS:
        return PowerLaw(math.nan, math.nan, (math.nan, math.nan), count, None)
    model = OLS(np.log(crossings[inside]), add_constant(np.log(sparsities[inside]))).fit()
    constant, exponent = model.params
    low, high = model.conf_int(alpha=0.05)[1]
    return PowerLaw(float(exponent), math.exp(constant), (float(low), float(high)), count, model)
