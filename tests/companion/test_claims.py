"""Claims: comparisons, tolerances, records, and how they lie in an executed notebook."""

import html
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attention_limits.companion import claims
from attention_limits.companion.claims import ClaimError, claim
from attention_limits.runtime import PAGE_VARIABLE, PROFILE_VARIABLE

from .conftest import Project, code_cells, new_project, records_of, text_of

NAN, INF = float("nan"), float("inf")


def holds(measured: Any, relation: str, bound: Any, **options: Any) -> bool:
    """Whether the claim holds."""
    try:
        claim("test.claim", measured, relation, bound, **options)
    except ClaimError:
        return False
    return True


@pytest.fixture(autouse=True)
def _outside_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PAGE_VARIABLE, raising=False)
    monkeypatch.delenv(PROFILE_VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("relation", "below", "equal", "above"),
    [
        ("<=", True, True, False),
        ("<", True, False, False),
        ("==", False, True, False),
        (">=", False, True, True),
        (">", False, False, True),
    ],
)
def test_each_relation_holds_exactly_where_it_should(relation: str, below: bool, equal: bool, above: bool) -> None:
    assert [holds(value, relation, 2) for value in (1, 2, 3)] == [below, equal, above]


@pytest.mark.parametrize(
    ("relation", "allowed"),
    [
        ("<=", [True, True, True, True, False]),
        ("<", [True, True, True, False, False]),
        ("==", [False, True, True, True, False]),
        (">=", [False, True, True, True, True]),
        (">", [False, False, True, True, True]),
    ],
)
def test_a_tolerance_widens_the_relation_by_exactly_as_much(relation: str, allowed: list[bool]) -> None:
    measured = [0.375, 0.5, 1.0, 1.5, 1.625]  # all exact in binary, as is the tolerance
    assert [holds(x, relation, 1.0, tolerance=0.5, note="the test") for x in measured] == allowed


def test_a_tolerance_never_makes_a_claim_fail_that_holds_without_it() -> None:
    for left, relation, right in [(INF, "<=", INF), (-INF, "<", INF), (INF, ">=", INF), (INF, "==", INF)]:
        assert holds(left, relation, right, tolerance=1e-9, note="the test")


def test_a_finite_tolerance_does_not_bridge_an_infinite_gap() -> None:
    assert not holds(INF, "<=", 1.0, tolerance=1e300, note="the test")
    assert not holds(1.0, "==", -INF, tolerance=1e300, note="the test")


def test_integers_that_round_to_the_same_float_stay_different() -> None:
    assert float(2**60) == float(2**60 + 1)
    assert not holds(2**60, "==", 2**60 + 1)
    assert not holds(2**60 + 1, "<=", 2**60)
    assert holds(2**60, "<", 2**60 + 1)


def test_integers_stay_exact_under_a_tolerance_too() -> None:
    assert not holds(2**60 + 1, "==", 2**60, tolerance=0.5, note="the test")
    assert holds(2**60 + 1, "==", 2**60, tolerance=1, note="the test")


def test_integers_beyond_the_largest_float_can_be_compared_with_a_tolerance() -> None:
    assert holds(10**400, "<=", 10**400 - 1, tolerance=1, note="the test")
    assert not holds(10**400, "<=", 10**400 - 2, tolerance=1, note="the test")


def test_fractions_are_compared_exactly() -> None:
    assert holds(Fraction(1, 3) + Fraction(1, 6), "==", Fraction(1, 2))
    assert not holds(Fraction(10**20 + 1, 10**20), "==", 1)
    assert not holds(Fraction(1, 3), "<=", 1 / 3)  # the float is a little less


@pytest.mark.parametrize("relation", list(claims.RELATIONS))
@pytest.mark.parametrize(("left", "right"), [(NAN, 1.0), (1.0, NAN), (NAN, NAN)])
@pytest.mark.parametrize("tolerance", [0.0, 1e9])
def test_nan_satisfies_no_claim(relation: str, left: float, right: float, tolerance: float) -> None:
    if relation == "==" and not tolerance:
        with pytest.raises(TypeError, match="needs a tolerance"):
            claim("test.claim", left, relation, right)
    else:
        assert not holds(left, relation, right, tolerance=tolerance, note="the test" if tolerance else "")


@pytest.mark.parametrize(("left", "right"), [(0.3, 0.1 + 0.2), (1.0, 1), (3, 3.0), (Fraction(1, 2), 0.5)])
def test_equality_with_a_float_needs_a_tolerance(left: Any, right: Any) -> None:
    with pytest.raises(TypeError, match=r"test\.equal.*needs a tolerance"):
        claim("test.equal", left, "==", right)
    assert holds(left, "==", right, tolerance=1e-12, note="rounding")


def test_a_tolerance_needs_a_note() -> None:
    with pytest.raises(ValueError, match=r"test\.noteless.*note"):
        claim("test.noteless", 1.0, "<=", 1.0, tolerance=1e-9)


@pytest.mark.parametrize("tolerance", [-1.0, NAN, INF])
def test_a_tolerance_that_is_negative_or_not_finite_is_refused(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance"):
        claim("test.tolerance", 1.0, "<=", 1.0, tolerance=tolerance, note="the test")


@pytest.mark.parametrize("relation", ["!=", "=", "=<", "", "≤"])
def test_an_unknown_relation_is_refused_by_name(relation: str) -> None:
    with pytest.raises(ValueError, match=f"relation.*{relation!r}"):
        claim("test.relation", 1, relation, 1)


def test_an_unknown_source_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"source.*'Q'"):
        claim("test.source", 1, "==", 1, source="Q")


@pytest.mark.parametrize("identifier", ["", "two words", "a<b>.c", 'a".b', "a#b"])
def test_an_identifier_that_cannot_be_an_anchor_is_refused(identifier: str) -> None:
    with pytest.raises(ValueError, match="claim"):
        claim(identifier, 1, "==", 1)


@pytest.mark.parametrize(
    "three",
    [
        torch.tensor(3),
        torch.tensor([[3]]),
        torch.tensor(3.0, dtype=torch.float64),
        torch.tensor(3.0, dtype=torch.bfloat16),
        torch.tensor(3.0, requires_grad=True),
        np.int64(3),
        np.float32(3),
        np.array([3]),
        Fraction(3),
        3,
    ],
    ids=repr,
)
def test_tensors_and_numpy_scalars_count_as_the_number_they_hold(three: Any) -> None:
    assert holds(three, "<=", 3)
    assert holds(three, ">=", 3)
    assert not holds(three, "<", 3)
    assert holds(3, "<=", three)


@pytest.mark.parametrize("true", [True, torch.tensor(True), np.bool_(True), torch.ones(3).bool().all()], ids=repr)
def test_truth_values_are_claimed_exactly(true: Any) -> None:
    assert holds(true, "==", True)
    assert not holds(true, "==", False)


@pytest.mark.parametrize(
    "value", ["3", None, 3j, [3], {}, torch.ones(2), np.ones(2), torch.ones(0), object], ids=lambda value: str(value)
)
def test_what_is_not_one_number_is_refused_on_either_side(value: Any) -> None:
    with pytest.raises(TypeError, match="numbers"):
        claim("test.number", value, "<=", 4)
    with pytest.raises(TypeError, match="numbers"):
        claim("test.number", 4, "<=", value)


def test_a_theorem_that_fails_raises_in_every_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    for profile in ("book", "quick", "custom", None):
        if profile is None:
            monkeypatch.delenv(PROFILE_VARIABLE, raising=False)
        else:
            monkeypatch.setenv(PROFILE_VARIABLE, profile)
        with pytest.raises(ClaimError, match=r"DOES NOT HOLD: test\.theorem: 5 ≤ 4"):
            claim("test.theorem", 5, "<=", 4)


@pytest.mark.parametrize("profile", ["book", "quick"])
def test_an_empirical_claim_that_fails_raises_at_the_profiles_parameters(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROFILE_VARIABLE, profile)
    with pytest.raises(ClaimError, match="DOES NOT HOLD"):
        claim("test.empirical", 5, "<=", 4, empirical=True)


@pytest.mark.parametrize("profile", ["custom", None])
def test_an_empirical_claim_that_fails_is_reported_at_a_readers_own_parameters(
    profile: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if profile is not None:
        monkeypatch.setenv(PROFILE_VARIABLE, profile)
    claim("test.empirical", 5, "<=", 4, empirical=True)
    assert "DOES NOT HOLD: test.empirical: 5 ≤ 4" in capsys.readouterr().out


def test_a_failing_claim_is_an_assertion_that_python_cannot_switch_off() -> None:
    assert issubclass(ClaimError, AssertionError)


def test_without_a_notebook_a_claim_prints_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    statement = "The error stays below ε."
    claim("test.line", 0.0041234, "<=", 0.01, statement=statement, source="P~", tolerance=1e-12, note="rounding")
    line = "holds: test.line: 0.004123 ≤ 0.01 (± 1e-12: rounding). The error stays below ε. [P~]\n"
    assert capsys.readouterr().out == line


def test_integers_and_fractions_are_printed_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    claim("test.full", 2**60 + 1, ">", Fraction(1, 3))
    assert "1152921504606846977 > 1/3" in capsys.readouterr().out


# What a real kernel makes of it: one page, run once, whose last claim fails.

CLAIMS_PAGE = """\
import math
from fractions import Fraction
import numpy as np
from attention_limits.companion.claims import claim

claim("kernel.int", 2**60 + 1, "<", 2**61, statement="Large integers.", source="P")
claim("kernel.fraction", Fraction(1, 3), "<=", Fraction(1, 2), source="P~")
claim("kernel.infinity", 1.5, "<=", math.inf, note="no bound")
claim("kernel.bool", np.bool_(True), "==", True)
claim("kernel.tolerance", np.float32(0.5), "==", 0.5, tolerance=np.float32(2**-10), note="half a unit")
claim("kernel.markup", 1, "==", 1, statement="<b>bold</b> & 'quoted'", note="a < b")
claim("kernel.observed", 3, ">", 2, empirical=True)"""
FAILING_CELL = """\
print("before")
claim("kernel.failing", float("nan"), "<=", 1.0, statement="It fails.")
print("after")"""


@pytest.fixture(scope="module")
def kernel_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project: Project = new_project(tmp_path_factory.mktemp("claims") / "project")
    project.add("kernel", CLAIMS_PAGE, FAILING_CELL, claims=0)
    (outcome,) = project.execute("kernel")
    assert outcome.error is not None
    return outcome.run.failed_target


@pytest.fixture(scope="module")
def kernel_records(kernel_run: Path) -> dict[str, dict[str, Any]]:
    return {record["id"]: record for record in records_of(kernel_run)}


def test_every_record_has_the_schema(kernel_records: dict[str, dict[str, Any]]) -> None:
    assert len(kernel_records) == 8
    for record in kernel_records.values():
        assert {name: type(value) for name, value in record.items() if name not in ("measured", "bound")} == {
            "id": str,
            "page": str,
            "statement": str,
            "source": str,
            "relation": str,
            "tolerance": float,
            "note": str,
            "kind": str,
            "exact": bool,
            "holds": bool,
        }
        assert isinstance(record["measured"], int | float | str | bool)
        assert isinstance(record["bound"], int | float | str | bool)
        assert record["page"] == "kernel"


def test_records_are_strict_json(kernel_run: Path, kernel_records: dict[str, dict[str, Any]]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    json.loads(kernel_run.read_text(encoding="utf-8"), parse_constant=refuse)
    assert kernel_records["kernel.infinity"]["bound"] == "inf"
    assert kernel_records["kernel.failing"]["measured"] == "nan"


def test_records_keep_exact_values(kernel_records: dict[str, dict[str, Any]]) -> None:
    assert kernel_records["kernel.int"]["measured"] == 2**60 + 1
    assert type(kernel_records["kernel.int"]["measured"]) is int
    assert kernel_records["kernel.fraction"]["measured"] == "1/3"
    assert kernel_records["kernel.bool"]["measured"] is True
    assert kernel_records["kernel.tolerance"]["tolerance"] == 2**-10
    assert [kernel_records[f"kernel.{name}"]["exact"] for name in ("int", "fraction", "bool")] == [True] * 3
    assert [kernel_records[f"kernel.{name}"]["exact"] for name in ("infinity", "tolerance")] == [False] * 2


def test_records_tell_theorems_from_observations(kernel_records: dict[str, dict[str, Any]]) -> None:
    observed = [name for name, record in kernel_records.items() if record["kind"] == "empirical"]
    assert observed == ["kernel.observed"]
    assert {record["kind"] for record in kernel_records.values()} == {"empirical", "theorem"}


def test_the_record_of_a_claim_that_fails_lies_in_the_notebook(
    kernel_run: Path, kernel_records: dict[str, dict[str, Any]]
) -> None:
    assert [name for name, record in kernel_records.items() if not record["holds"]] == ["kernel.failing"]
    failing = code_cells(kernel_run)[-1]
    assert failing.outputs[-1].ename == "ClaimError"
    assert "before" in text_of(kernel_run)
    assert "after" not in text_of(kernel_run)


def test_records_are_read_back_from_the_notebook(kernel_run: Path, kernel_records: dict[str, dict[str, Any]]) -> None:
    notebook = json.loads(kernel_run.read_text(encoding="utf-8"))
    assert claims.records(notebook) == list(kernel_records.values())
    assert claims.records({"cells": [{"cell_type": "markdown"}, {"outputs": [{"output_type": "error"}]}]}) == []


def test_each_claim_is_shown_as_escaped_html_with_its_anchor(kernel_run: Path) -> None:
    shown = [
        output.data["text/html"]
        for cell in code_cells(kernel_run)
        for output in cell.outputs
        if "data" in output and claims.MIME_TYPE in output.data
    ]
    assert len(shown) == 8
    for name, markup in zip(("int", "fraction", "infinity"), shown, strict=False):
        assert f'id="claim-kernel.{name}"' in markup
        assert 'class="claim claim-holds"' in markup
    assert html.escape("<b>bold</b> & 'quoted'") in shown[5]
    assert "(a &lt; b)" in shown[5]
    assert "<b>" not in shown[5]
    assert 'class="claim claim-fails"' in shown[-1]
    assert "does not hold" in shown[-1]


def test_each_claim_has_a_plain_text_form_too(kernel_run: Path) -> None:
    lines = [
        output.data["text/plain"] for cell in code_cells(kernel_run) for output in cell.outputs if "data" in output
    ]
    assert lines[0] == f"holds: kernel.int: {2**60 + 1} < {2**61}. Large integers. [P]"
    assert lines[-1] == "DOES NOT HOLD: kernel.failing: nan ≤ 1. It fails. [N]"


def test_the_anchor_of_a_claim_is_its_identifier_with_a_prefix() -> None:
    assert claims.anchor("thm-2.error") == "claim-thm-2.error"
