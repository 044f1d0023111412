"""The studies by the names of their pages, for the command ``attention-limits sweep``."""

from collections.abc import Callable
from typing import Any

from attention_limits.experiments.studies.size_against_length import size_against_length

#: A study takes a `trials.Run` and, by name, the parameters of its page that it needs.
STUDIES: dict[str, Callable[..., Any]] = {
    "size-against-length": size_against_length,
}
