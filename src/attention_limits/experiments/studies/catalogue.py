"""The studies by the names of their pages, for the command ``attention-limits sweep``."""

from collections.abc import Callable
from typing import Any

from attention_limits.experiments.studies.architectures import compare_architectures
from attention_limits.experiments.studies.detection import conjecture, learning_match
from attention_limits.experiments.studies.phase_diagram import phase_diagram
from attention_limits.experiments.studies.size_against_length import size_against_length

#: A study takes a `trials.TrialRunner` and, by name, the parameters of its page that it needs.
STUDIES: dict[str, Callable[..., Any]] = {
    "conjecture": conjecture,
    "architectures": compare_architectures,
    "phase-diagram": phase_diagram,
    "size-against-length": size_against_length,
    "learning-match": learning_match,
}
