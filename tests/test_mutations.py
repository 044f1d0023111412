"""The tables of mutations: a row for each claim, and each old text where it is looked for, once."""

import json
from pathlib import Path

import pytest

from attention_limits.companion.pages import find_root

from .mutations import Edit, edits, tables
from .reference.measure import reference_path

ROOT = find_root(Path(__file__).parent)


@pytest.mark.parametrize("page", tables())
def test_each_claim_of_a_page_has_an_edit_that_must_turn_it_red(page: str) -> None:
    claims = json.loads(reference_path(page).read_text(encoding="utf-8"))
    assert [edit.claim for edit in edits(page)] == list(claims)


@pytest.mark.parametrize("page", tables())
def test_each_edit_finds_its_text_once_and_changes_it(page: str) -> None:
    for edit in edits(page):
        assert (ROOT / edit.file).read_text(encoding="utf-8").count(edit.old) == 1, edit.claim
        assert edit.old != edit.new, edit.claim
        assert edit.file.startswith("src/") or edit.file == f"notebooks/{page}.py", edit.claim


def test_an_edit_changes_a_file_and_returns_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\ny = 1\n", encoding="utf-8")
    edit = Edit("a.b", "a.py", "x = 1", "x = 2")
    assert edit.apply(tmp_path) == "x = 1\ny = 1\n"
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == "x = 2\ny = 1\n"
    with pytest.raises(ValueError, match=r"a\.b: the old text occurs 0 times in a\.py"):
        edit.apply(tmp_path)
