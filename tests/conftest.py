"""What all tests share: how hypothesis searches, how shapes are checked, and the devices of this machine."""

import inspect
import os
import signal
from functools import partial
from typing import Any, get_args

# Before numpy is loaded: the threads of its matrix library wait busily, which costs minutes where the cores are busy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jaxtyping
import pytest
import torch
from hypothesis import settings

# No deadline: the first call of a checked function costs far more than the next. The same examples in each run, and no
# database of failures on the disk.
settings.register_profile("attention-limits", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("attention-limits")

# Tensors here are small: a second thread costs more than it brings, and far more where the cores are busy.
torch.set_num_threads(1)

# Without a GPU, Triton kernels run in Triton's interpreter, on CPU tensors. Triton decides so when it is imported, and
# nothing above imports it.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

# Shells let what they start in the background ignore Ctrl-C, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)


def names_shapes(annotation: Any) -> bool:
    """Whether it speaks of arrays; one that is not read yet may."""
    shaped = isinstance(annotation, type) and issubclass(annotation, jaxtyping.AbstractArray)
    return shaped or isinstance(annotation, str) or any(map(names_shapes, get_args(annotation)))


def checked(function: Any = None, *, typechecker: Any, jaxtyped: Any = jaxtyping.jaxtyped) -> Any:
    """jaxtyping's decorator where shapes are named; elsewhere the type checker alone, which costs a call a twentieth.

    Functions in functions stay as they are: each call of the outer one would cost milliseconds for them.
    """
    if function is None:
        return partial(checked, typechecker=typechecker)
    if inspect.isfunction(function) and "<locals>" in function.__qualname__:
        return function
    if inspect.isfunction(function) and not any(map(names_shapes, function.__annotations__.values())):
        return typechecker(function)
    return jaxtyped(function, typechecker=typechecker)


# jaxtyping puts this name on all functions of the package, which is not loaded yet.
jaxtyping.jaxtyped = checked

#: Files that take longest, most of it waiting for other processes: they start first, so that none is left to the end.
LONGEST = (
    "test_book.py",
    "test_explorers.py",
    "test_runner.py",
    "test_sweeps.py",
    "test_regression.py",
    "test_gate.py",
    "test_sphinx.py",
)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests wait for browsers and pages."""
    return min((os.cpu_count() or 1) + 1, 8)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests by file, the longest files first."""
    place = {name: index for index, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each kind of device that this machine has."""
    return torch.device(request.param)
