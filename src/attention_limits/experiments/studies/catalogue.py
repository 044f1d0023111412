"""The studies by the names of their pages, for the command ``attention-limits sweep``."""

from collections.abc import Callable
from typing import Any

from attention_limits.experiments.studies.architectures import architectures

#: A study takes a `trials.Run` and, by name, the parameters of its page that it needs.
STUDIES: dict[str, Callable[..., Any]] = {"architectures": architectures}
