"""The gate: what a page's state is, and what forbids printing the book."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from attention_limits.companion import gate, runner
from attention_limits.files import publish

from .conftest import Project, new_project


def state(project: Project, name: str) -> tuple[str, str]:
    """A page's state and the reason."""
    found = gate.state(project.page(name))
    return found.name, found.reason


def test_nothing_forbids_printing_a_book_of_fresh_pages(finished: Project) -> None:
    assert gate.problems(finished.root) == []
    current = gate.state(finished.page("alpha"))
    assert (current.name, current.reason) == ("fresh", "")
    assert current.run == finished.about("alpha")


def test_a_page_that_was_never_run_is_missing(finished: Project) -> None:
    finished.add("gamma")
    assert state(finished, "gamma") == ("missing", "it was never run")
    assert gate.problems(finished.root) == ["gamma is missing: it was never run"]


def test_a_page_whose_copy_is_gone_is_missing(finished: Project) -> None:
    finished.executed("alpha").unlink()
    assert gate.problems(finished.root) == ["alpha is missing: it was never run"]


@pytest.mark.parametrize("keep", [0, 100, 2000])
def test_a_copy_that_is_cut_off_is_missing(keep: int, finished: Project) -> None:
    copy = finished.executed("alpha")
    copy.write_bytes(copy.read_bytes()[:keep])
    assert state(finished, "alpha")[0] == "missing"


def test_a_quick_or_custom_run_is_not_the_books(finished: Project) -> None:
    for kind in ("quick", "custom"):
        (finished.root / "_build" / kind).mkdir()
        shutil.copy(finished.executed("alpha"), finished.root / "_build" / kind)
    finished.executed("alpha").unlink()
    assert state(finished, "alpha")[0] == "missing"


def test_an_edited_source_makes_its_page_stale_and_no_other(finished: Project) -> None:
    finished.edit("notebooks/alpha.py", "run number", "number")
    assert state(finished, "alpha") == ("stale", "its source changed since it was run")
    assert state(finished, "beta")[0] == "fresh"
    assert gate.problems(finished.root) == ["alpha is stale: its source changed since it was run"]


def test_edited_prose_and_an_edited_comment_leave_a_page_fresh(finished: Project) -> None:
    finished.edit("notebooks/alpha.py", "# # Page alpha", "# # Page alpha\n#\n# A remark.")
    finished.edit("notebooks/alpha.py", "import uuid", "# to tell runs apart\nimport uuid")
    assert state(finished, "alpha")[0] == "fresh"


def test_an_edited_default_makes_its_page_stale(finished: Project) -> None:
    finished.edit("notebooks/alpha.py", "seed: int = 0", "seed: int = 1")
    name, reason = state(finished, "alpha")
    assert name == "stale"
    assert "source" in reason
    assert "parameters" in reason


def test_edited_constraints_make_every_page_stale(finished: Project) -> None:
    finished.edit("constraints.txt", "2.4.6", "2.4.5")
    reason = "is stale: its constraints changed since it was run"
    assert gate.problems(finished.root) == [f"alpha {reason}", f"beta {reason}"]


def test_an_edit_that_is_taken_back_leaves_the_page_fresh(finished: Project) -> None:
    finished.edit("notebooks/alpha.py", "run number", "number")
    finished.edit("notebooks/alpha.py", 'print("number"', 'print("run number"')
    assert state(finished, "alpha")[0] == "fresh"


def test_an_edited_module_makes_the_pages_that_import_it_stale_and_the_book_refused(finished: Project) -> None:
    package = finished.use_own_package()
    for name in ("status", "claims"):  # the pages import only the second
        assert finished.must("list").stdout.count("fresh") == 2
        module = package / "companion" / f"{name}.py"
        module.write_text(module.read_text(encoding="utf-8") + "\nEDITED = True\n", encoding="utf-8")
    assert finished.must("list").stdout.count("stale: its package changed") == 2
    refused = finished.command("build")
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        f"refused: {name} is stale: its package changed since it was run" for name in ("alpha", "beta")
    ]
    assert not (finished.root / "_build" / "html").exists()


def fail(project: Project, name: str) -> None:
    """Make it look as if the page's last run, on its present source, had failed."""
    plan = gate.book_run(project.page(name))
    notebook = json.loads(project.executed(name).read_text(encoding="utf-8"))
    notebook["metadata"][runner.METADATA_KEY] |= {
        "digests": project.page(name).digests(plan.parameters),
        "error": "cell 3 (Checks): ValueError: planted",
    }
    publish(json.dumps(notebook), plan.failed_target)


def test_a_page_whose_last_run_failed_is_failed_although_its_good_copy_is_kept(finished: Project) -> None:
    fail(finished, "alpha")
    reason = "its last run failed: cell 3 (Checks): ValueError: planted"
    assert state(finished, "alpha") == ("failed", reason)
    assert gate.problems(finished.root) == [f"alpha is failed: {reason}"]
    assert gate.state(finished.page("alpha")).run == finished.about("alpha")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace('"measured": 3', '"measured": 2'),
        lambda text: text.replace("run number", "run numbex"),
        lambda text: text.replace("Claim 1 of alpha", "Claim one of alpha"),
    ],
    ids=["half of it", "nothing", "another claim", "another output", "another statement"],
)
def test_an_executed_copy_that_is_not_as_the_run_left_it_is_not_printed(
    damage: Callable[[str], str], finished: Project
) -> None:
    copy = finished.executed("alpha")
    text = copy.read_text(encoding="utf-8")
    assert damage(text) != text
    copy.write_text(damage(text), encoding="utf-8")
    reason = "its executed copy is not as a run left it"
    assert state(finished, "alpha") == ("missing", reason)
    assert gate.problems(finished.root) == [f"alpha is missing: {reason}"]
    assert not gate.book_run(finished.page("alpha")).is_fresh


def test_a_failure_of_an_earlier_source_is_forgotten(finished: Project) -> None:
    fail(finished, "alpha")
    finished.edit("notebooks/alpha.py", "run number", "number")
    assert state(finished, "alpha")[0] == "stale"


def test_a_failing_page_that_was_never_good_is_failed_not_missing(finished: Project) -> None:
    fail(finished, "alpha")
    finished.executed("alpha").unlink()
    assert state(finished, "alpha")[0] == "failed"
    assert gate.state(finished.page("alpha")).run is None


def test_all_problems_are_named_in_reading_order(finished: Project) -> None:
    finished.add("gamma")
    finished.write_toc("gamma", "beta", "alpha")
    finished.edit("notebooks/alpha.py", "run number", "number")
    fail(finished, "beta")
    names = [problem.split()[:3] for problem in gate.problems(finished.root)]
    assert names == [["gamma", "is", "missing:"], ["beta", "is", "failed:"], ["alpha", "is", "stale:"]]


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Pages that run to their end and still may not be printed."""
    project = new_project(tmp_path_factory.mktemp("poor") / "project")
    project.add("few", claims=4)
    project.add("twice", 'claim("twice.0", 1, "==", 1)')
    project.add("borrowing", 'claim("few.0", 1, "==", 1)')
    project.add("silent", 'try:\n    claim("silent.wrong", 2, "<", 1)\nexcept AssertionError:\n    pass')
    outcomes = project.execute("few", "twice", "borrowing", "silent")
    assert [outcome.error for outcome in outcomes] == [None] * 4
    return project


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("few", "few leaves 4 claims, at least 5 are needed"),
        ("twice", "the claim twice.0 is made twice, on twice and twice"),
        ("borrowing", "the claim few.0 is made twice, on few and borrowing"),
        ("silent", "silent: DOES NOT HOLD: silent.wrong: 2 < 1. [N]"),
    ],
)
def test_a_page_with_poor_claims_is_refused_by_name(page: str, problem: str, poor: Project) -> None:
    assert state(poor, page) == ("fresh", "")
    assert gate.problems(poor.root).count(problem) == 1


def test_there_is_nothing_else_wrong_with_these_pages(poor: Project) -> None:
    assert len(gate.problems(poor.root)) == 4


def test_the_book_with_poor_claims_is_not_printed(poor: Project) -> None:
    refused = poor.command("build")
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [f"refused: {problem}" for problem in gate.problems(poor.root)]
    assert refused.stdout == ""
    assert not (poor.root / "_build" / "html").exists()


def test_the_claims_of_a_page_are_read_from_the_copy_that_is_printed(finished: Project) -> None:
    identifiers = [record["id"] for record in gate.executed_claims(finished.page("beta"))]
    assert identifiers == ["beta.0", "beta.1", "beta.2", "beta.3", "beta.4", "beta.seen"]


def test_the_books_run_is_the_book_profile_at_default_parameters(finished: Project) -> None:
    plan = gate.book_run(finished.page("alpha"))
    assert (plan.profile, plan.custom) == ("book", False)
    assert plan.target == finished.root / "_build" / "executed" / "alpha.ipynb"
    assert Path(plan.failed_target).parts[-3:] == ("failed", "executed", "alpha.ipynb")
