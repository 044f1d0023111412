"""The examples in docstrings run, and a wrongly shaped call is refused while tests run."""

import ast
import doctest
import importlib
import pkgutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError

import attention_limits
from attention_limits.bounds.radon import tight_dimension
from attention_limits.problems.sparse_averaging import worst_case_error

#: What cannot be imported here: Triton is optional, and published for Linux only.
ABSENT = [] if find_spec("triton") else ["attention_limits.models.triton_attention"]
#: Modules outside the companion: it reads files and starts runs, and is tested in its own folder.
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(attention_limits.__path__, "attention_limits.")
    if not module.name.startswith("attention_limits.companion") and module.name not in ABSENT
)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def examples(name: str) -> list[doctest.DocTest]:
    """The examples of a module, one test for each docstring that has some; read from the source, past decorators."""
    module = importlib.import_module(name)
    assert module.__file__
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        docstring = ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None
        if docstring and ">>>" in docstring:
            place = f"{name}.{getattr(node, 'name', '')}"
            found.append(doctest.DocTestParser().get_doctest(docstring, dict(vars(module)), place, module.__file__, 0))
    return found


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_every_module_run(name: str) -> None:
    for example in examples(name):
        assert doctest.DocTestRunner().run(example).failed == 0, example.name


def test_the_examples_are_found_where_we_know_of_some() -> None:
    assert [test.name.rpartition(".")[2] for test in examples("attention_limits.fixed_point")] == ["FixedPoint"]
    built = examples("attention_limits.constructions.sparse_averaging")
    assert "fixed_precision_unit" in [test.name.rpartition(".")[2] for test in built]


@pytest.mark.parametrize(
    ("attention", "pointers"),
    [
        (torch.zeros(3, 4), torch.zeros(2, 1, dtype=torch.int64)),  # three rows against two
        (torch.zeros(3, 4, dtype=torch.int64), torch.zeros(3, 1, dtype=torch.int64)),  # integers for floats
        (torch.zeros(3, 4), torch.zeros(3, 1)),  # floats for integers
    ],
)
def test_a_call_of_wrong_shape_or_kind_is_refused_under_the_tests(
    attention: torch.Tensor, pointers: torch.Tensor
) -> None:
    with pytest.raises(TypeCheckError):
        worst_case_error(attention, pointers)


def test_a_function_of_numbers_alone_is_held_to_its_types_too() -> None:
    with pytest.raises(BeartypeCallHintViolation):
        tight_dimension(4.0, 2)  # type: ignore[arg-type]
    assert tight_dimension(4, 2) == 3
