"""The claims of every page in the quick profile, run through papermill, against tests/reference/*.json."""

import json
from typing import Any

import nbformat
import pytest

from attention_limits.companion import claims, runner
from attention_limits.companion.gate import LEAST_CLAIMS
from attention_limits.companion.pages import Page, all_pages, find_root

from .reference.measure import FOLDER, differences, reference_path, summarise

ROOT = find_root(FOLDER)
PAGES = all_pages(ROOT)


@pytest.fixture(scope="module")
def records() -> dict[str, list[dict[str, Any]]]:
    """Each page's claims in the quick profile; a run that is fresh is not repeated."""
    runs = [runner.plan(page, "quick", {}) for page in PAGES]
    with runner.exclusive(ROOT):
        wanted = [run for run in runs if not run.is_fresh]
        outcomes = runner.execute(wanted, jobs=2, device="cpu", device_label="cpu")
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    return {run.page.name: claims.records(nbformat.read(run.target, 4)) for run in runs}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_leaves_the_claims_of_its_reference(page: Page, records: dict[str, list[dict[str, Any]]]) -> None:
    reference = json.loads(reference_path(page.name).read_text(encoding="utf-8"))
    found = records[page.name]
    assert [record["id"] for record in found] == list(reference)
    assert len(found) >= LEAST_CLAIMS
    assert [record["id"] for record in found if not record["holds"]] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_pages_claims_measure_what_they_did(page: Page, records: dict[str, list[dict[str, Any]]]) -> None:
    reference = json.loads(reference_path(page.name).read_text(encoding="utf-8"))
    drifted = {
        record["id"]: found
        for record in records[page.name]
        if record["id"] in reference and (found := differences(record, reference[record["id"]]))
    }
    assert drifted == {}, "if the change is meant, run `make reference` and commit what it writes"


def test_every_reference_belongs_to_a_page() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(page.name for page in PAGES)


def _record(**changes: Any) -> dict[str, Any]:
    record = {"id": "a", "measured": 3, "relation": "<=", "bound": 4, "tolerance": 0.0, "exact": True}
    return {**record, **changes}


def test_an_exact_value_that_no_seed_changes_is_compared_exactly() -> None:
    reference = summarise([[_record()], [_record()]])["a"]
    assert differences(_record(), reference) == []
    assert differences(_record(measured=2), reference) == ["measured 2, it was 3"]


def test_values_that_vary_with_the_seed_are_held_to_a_band() -> None:
    reference = summarise([[_record(measured=0.25, exact=False)], [_record(measured=0.5, exact=False)]])["a"]
    for inside in (0.001, 0.25, 0.4, 0.75):
        assert differences(_record(measured=inside), reference) == []
    for outside in (-0.01, 0.76):
        (message,) = differences(_record(measured=outside), reference)
        assert str(outside) in message


def test_a_bound_or_relation_that_was_changed_is_a_difference() -> None:
    reference = summarise([[_record()]])["a"]
    assert len(differences(_record(bound=5), reference)) == 1
    assert len(differences(_record(relation=">="), reference)) == 1


def test_seeds_that_leave_different_claims_are_no_reference() -> None:
    with pytest.raises(ValueError, match="same claims"):
        summarise([[_record()], [_record(id="b")]])
