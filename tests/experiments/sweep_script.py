"""A sweep in a process of its own, to be killed: python sweep_script.py STORE [JOBS | tcp://SCHEDULER [NUMBER]].

With a NUMBER it computes so many trials and then others that take days.
"""

import sys
from dataclasses import replace
from pathlib import Path

from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.store import Store
from attention_limits.experiments.sweeps import Sweep, SweepError

#: Trials of different lengths, so that each is a group of its own.
TRIALS = [
    AveragingTrial(
        architecture="attention", num_tokens=6, sparsity=2, value_dim=1, size=8, batch_size=8, num_steps=20 + number
    )
    for number in range(8)
]


def main() -> None:
    """Compute `TRIALS`, or begin to."""
    store, how = Store(Path(sys.argv[1])), sys.argv[2] if len(sys.argv) > 2 else "1"
    options = {"jobs": int(how)} if how.isdecimal() else {"scheduler": how}
    sweep = Sweep(store, device="cpu", **options)
    try:
        if len(sys.argv) > 3:
            sweep(TRIALS[: int(sys.argv[3])])
            sweep([replace(trial, num_steps=10**9 + trial.num_steps) for trial in TRIALS])
        sweep(TRIALS)
    except SweepError as error:
        sys.exit(f"error: {error}")
    print(f"asked {len(sweep.asked)}, computed {sweep.computed}")


if __name__ == "__main__":
    main()
