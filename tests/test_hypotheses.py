"""The hypotheses: what they let through, and the words in which they refuse the rest."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from attention_limits.hypotheses import (
    HypothesisError,
    distinct,
    intervals,
    positive,
    ranges,
    require,
    require_accuracy,
    require_integer,
    require_sparse_averaging,
)


def test_require_raises_its_message_exactly_when_the_condition_fails() -> None:
    require(True, "never seen")
    with pytest.raises(ValueError, match=r"^q = 9 needs N ≥ 9$"):
        require(False, "q = 9 needs N ≥ 9")


@pytest.mark.parametrize(("value", "minimum"), [(0, 0), (1, 1), (-2, -3), (10**30, 1)])
def test_an_integer_from_the_minimum_on_is_accepted(value: int, minimum: int) -> None:
    require_integer("size", value, minimum)


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None, float("nan"), np.float64(2), [3]])
def test_what_is_no_integer_is_refused_by_name_and_value(value: Any) -> None:
    with pytest.raises(ValueError, match="size must be an integer, got") as refusal:
        require_integer("size", value, 1)
    assert repr(value) in str(refusal.value)


def test_an_integer_below_the_minimum_is_refused_by_name_and_value() -> None:
    with pytest.raises(ValueError, match="size must be at least 2, got 1"):
        require_integer("size", 1, 2)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 2, 1), (4096, 4096, 64), (9, 1, 3)])
def test_sparse_averaging_takes_every_sparsity_up_to_the_number_of_tokens(sizes: tuple[int, int, int]) -> None:
    require_sparse_averaging(*sizes)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 1, 1), "num_tokens must be at least 1, got 0"),
        ((4, 0, 1), "sparsity must be at least 1, got 0"),
        ((4, -1, 1), "sparsity must be at least 1, got -1"),
        ((4, 2, 0), "value_dim must be at least 1, got 0"),
        ((8, 9, 1), "sparsity q = 9 needs num_tokens N ≥ 9, got N = 8"),
        ((True, 1, 1), "num_tokens must be an integer, got True"),
        ((4, True, 1), "sparsity must be an integer, got True"),
        ((4, 2, 1.5), "value_dim must be an integer, got 1.5"),
    ],
)
def test_sparse_averaging_outside_its_definition_is_refused(sizes: tuple[Any, Any, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        require_sparse_averaging(*sizes)


@pytest.mark.parametrize("accuracy", [1e-300, 0.5, np.float64(0.25), 1 - 2**-53])
def test_an_accuracy_strictly_between_0_and_1_is_accepted(accuracy: float) -> None:
    require_accuracy(accuracy)


@pytest.mark.parametrize(
    "accuracy", [0, 1, 0.0, 1.0, -0.1, 1.5, float("nan"), float("inf"), -float("inf"), True, False, "0.1", None]
)
def test_any_other_accuracy_is_refused_by_value(accuracy: Any) -> None:
    with pytest.raises(ValueError, match="accuracy ε must lie strictly between 0 and 1, got") as refusal:
        require_accuracy(accuracy)
    assert repr(accuracy) in str(refusal.value)


def test_hypotheses_and_runtime_are_imported_without_torch() -> None:
    program = "import sys, attention_limits.hypotheses, attention_limits.runtime; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


width: Any
widths: Any


@pytest.mark.parametrize(
    ("value", "entries", "message"),
    [
        (1, [2], "width must be at least 2, got 1"),
        (2.0, [2], "width must be an integer, got 2.0"),
        (2, [2, 1], "widths's entries must be at least 2, got 1"),
        (2, [8, 9], "widths's entries must be at most 8 (each is built), got 9"),
        (2, [2, 2], "widths's entries must differ, got [2, 2]"),
        (8, [2], "width must lie in 3…7, got 8"),
        (2, [2], "width must lie in 3…7, got 2"),
        (3, [0], "widths's entries must be at least 2, got 0"),
    ],
)
def test_facts_are_read_off_the_callers_variables(value: Any, entries: Any, message: str) -> None:
    globals().update(width=value, widths=entries)

    def facts() -> None:
        ranges(width=2, widths=(2, 8, "each is built"))
        distinct("widths")
        intervals(width=(3, 7))

    with pytest.raises(HypothesisError) as refusal:
        facts()
    assert str(refusal.value) == message


@pytest.mark.parametrize("value", [0, -1.0, math.inf, math.nan, [1.0, 0.0]])
def test_positive_refuses_what_is_not_positive_and_finite(value: Any) -> None:
    globals().update(width=value)
    with pytest.raises(HypothesisError, match="must be positive and finite"):
        positive("width")
    globals().update(width=[0.5, 2])
    positive("width")


def test_a_fact_about_a_variable_that_is_not_there_names_it() -> None:
    for fact in (lambda: ranges(nothing=1), lambda: intervals(nothing=1), lambda: distinct("nothing")):
        with pytest.raises(NameError, match="no parameter is called 'nothing'"):
            fact()
