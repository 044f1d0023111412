"""The studies by the names of their pages, for the command ``attention-limits sweep``."""

from collections.abc import Callable
from typing import Any

from attention_limits.experiments.studies.detection import conjecture, learning_match
from attention_limits.experiments.studies.phase_diagram import phase_diagram

#: A study takes a `trials.Run` and, by name, the parameters of its page that it needs.
STUDIES: dict[str, Callable[..., Any]] = {
    "conjecture": conjecture,
    "learning-match": learning_match,
    "phase-diagram": phase_diagram,
}
