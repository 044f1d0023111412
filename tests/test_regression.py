"""The claims of every page: those of the book against tests/reference/*.json, and in the quick profile that they hold.

The book's are read from `_build/executed`, where `make book` leaves them. Those of the quick profile are of a run on
other parameters and with an empty store, so that what is trained is trained from nothing: `make test` has just done it,
and what is not fresh is run here.
"""

import json
from collections.abc import Callable
from typing import Any

import nbformat
import pytest

from attention_limits.companion import claims, gate, runner
from attention_limits.companion.pages import Page, all_pages, find_root
from attention_limits.runtime import STORE_VARIABLE

from .reference.measure import FOLDER, differences, reference_path, summarise

ROOT = find_root(FOLDER)
PAGES = all_pages(ROOT)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def book_claims(page: Page) -> list[dict[str, Any]]:
    """The claims that the book prints."""
    assert gate.state(page).name == "fresh", "run `make book` first"
    return gate.executed_claims(page)


def reference(page: Page) -> dict[str, dict[str, Any]]:
    """What the page's claims are held to, by identifier."""
    return json.loads(reference_path(page.name).read_text(encoding="utf-8"))


@each_page
def test_the_book_makes_the_claims_of_its_reference(page: Page) -> None:
    found = book_claims(page)
    assert [record["id"] for record in found] == list(reference(page))
    assert [record["id"] for record in found if not record["holds"]] == []


@each_page
def test_the_books_claims_measure_what_they_did(page: Page) -> None:
    expected = reference(page)
    drifted = {
        record["id"]: found
        for record in book_claims(page)
        if record["id"] in expected and (found := differences(record, expected[record["id"]]))
    }
    assert drifted == {}, "if the change is meant, run `make reference` and commit what it writes"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """The error of each page's run in the quick profile, None for a good one."""
    runs = [runner.plan(page, "quick", {}) for page in PAGES]
    with runner.exclusive(ROOT), pytest.MonkeyPatch.context() as patch:
        patch.setenv(STORE_VARIABLE, str(tmp_path_factory.mktemp("store")))
        wanted = [run for run in runs if not run.is_fresh]
        outcomes = runner.execute(wanted, jobs=2, device="cpu", device_label="cpu")
    return {page.name: None for page in PAGES} | {outcome.run.page.name: outcome.error for outcome in outcomes}


@each_page
def test_a_pages_claims_hold_in_the_quick_profile(
    page: Page, quick: dict[str, str | None], record_property: Callable[[str, object], None]
) -> None:
    assert quick[page.name] is None
    target = runner.plan(page, "quick", {}).target
    about = runner.read_run(target)
    assert about is not None
    record_property("seconds", about["seconds"])
    found = claims.records(nbformat.read(target, 4))
    assert len(found) >= gate.LEAST_CLAIMS
    assert [record["id"] for record in found if not record["holds"]] == []


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


def test_what_float32_leaves_of_a_zero_may_be_another_number_elsewhere() -> None:
    left = 2.0**-22
    reference = summarise([[_record(measured=left, bound=1e-5, exact=False)]] * 3)["a"]
    assert differences(_record(measured=0.9 * left, bound=1e-5), reference) == []
    assert len(differences(_record(measured=3e-6, bound=1e-5), reference)) == 1
    named = summarise([[_record(measured=left, bound=1e-5, exact=False, tolerance=1e-9)]] * 3)["a"]
    assert len(differences(_record(measured=0.9 * left, bound=1e-5), named)) == 1


def test_the_last_digits_of_a_large_float_may_be_others_elsewhere() -> None:
    reference = summarise([[_record(measured=4000.0, exact=False)]] * 3)["a"]
    assert differences(_record(measured=4000.001), reference) == []
    assert len(differences(_record(measured=4000.01), reference)) == 1


def test_a_bound_or_relation_that_was_changed_is_a_difference() -> None:
    reference = summarise([[_record()]])["a"]
    assert len(differences(_record(bound=5), reference)) == 1
    assert len(differences(_record(relation=">="), reference)) == 1


def test_seeds_that_leave_different_claims_are_no_reference() -> None:
    with pytest.raises(ValueError, match="same claims"):
        summarise([[_record()], [_record(id="b")]])
