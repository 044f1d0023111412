"""Sweeps: trials computed through a store, by several processes here or by a cluster's workers."""

from collections.abc import Sequence
from dataclasses import dataclass

from attention_limits.experiments.trials import Result, Trial, run_trials
from attention_limits.runtime import select_device


@dataclass
class Sweep:
    """Computes trials; a `trials.Run`."""

    def __call__(self, trials: Sequence[Trial]) -> list[Result]:
        """The results of ``trials``, in their order."""
        return run_trials(trials, select_device())
