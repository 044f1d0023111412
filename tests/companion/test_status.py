"""The claims table, the status table, and the rows that `list` and `status` show."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from attention_limits.companion import runner, status

from .conftest import Project

LONG_AGO = datetime.fromtimestamp(0, UTC)


def tables(project: Project, printed: datetime = LONG_AGO) -> tuple[str, str]:
    """The claims table and the status table."""
    status.write_tables(project.root, printed)
    folder = status.generated_folder(project.root)
    return (folder / "claims.md").read_text(encoding="utf-8"), (folder / "status.md").read_text(encoding="utf-8")


def rows(table: str) -> list[list[str]]:
    """The cells of a Markdown table's rows, header and rule left out."""
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    found = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return [cells for cells in found if cells[0] not in ("---", "What is claimed", "Page")]


def rewrite(project: Project, name: str, **about: object) -> None:
    """Change what a page's run says about itself."""
    notebook = json.loads(project.executed(name).read_text(encoding="utf-8"))
    notebook["metadata"][runner.METADATA_KEY] |= about
    project.executed(name).write_text(json.dumps(notebook), encoding="utf-8")


def test_the_claims_table_lists_every_claim_under_its_page(finished: Project) -> None:
    claims_table, _ = tables(finished)
    assert claims_table.startswith("11 claims on 2 pages;")
    alpha, beta = claims_table.index("## Page alpha"), claims_table.index("## Page beta")
    assert alpha < claims_table.index("alpha.4") < beta < claims_table.index("beta.0")
    assert len(rows(claims_table)) == 11


def test_each_claim_links_to_its_line_and_says_what_was_measured(finished: Project) -> None:
    first = rows(tables(finished)[0])[0]
    assert first == [
        "Claim 0 of alpha.",
        "0 ≤ 5",
        "\\[N\\] proved",
        '<a href="../notebooks/alpha.html#claim-alpha.0"><code>alpha.0</code></a>',
    ]


def test_an_observation_is_marked_and_its_statement_escaped(finished: Project) -> None:
    last = [line for line in tables(finished)[0].splitlines() if "beta.seen" in line]
    assert len(last) == 1
    assert r"It was \| observed at $x_1$." in last[0]  # a formula stays one
    assert r"2.5 \> 1" in last[0]
    assert r"\[N\] observed" in last[0]
    assert r"\] observed" not in tables(finished)[0].split("## Page beta")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b", r"a\|b"),
        ("<b>", r"\<b\>"),
        ("`code`", r"\`code\`"),
        ("*_$", r"\*\_\$"),
        ("\\", r"\\"),
        ("[text](link)", r"\[text\](link)"),
        ("two\nlines,  one row", "two lines, one row"),
    ],
)
def test_a_statement_stays_text_in_a_tables_cell(text: str, expected: str) -> None:
    assert status._cell(text) == expected


def test_the_status_table_says_how_each_page_was_run(finished: Project) -> None:
    rewrite(
        finished,
        "alpha",
        seconds=12.34,
        device="a GPU",
        threads=1,
        commit="abc1234+",
        finished="2026-01-02T03:04:05+00:00",
        versions={"python": "3.11.7", "torch": "2.13.0"},
    )
    rewrite(finished, "beta", threads=4, versions={"python": "3.11.7", "torch": "2.13.0"})
    table = tables(finished)[1]
    assert rows(table)[0] == [
        "[Page alpha](../../notebooks/alpha.py)",
        "book",
        "12.3",
        "a GPU, 1 thread",
        "abc1234+",
        "2026-01-02 03:04 UTC",
        "fresh",
    ]
    assert rows(table)[1][3].endswith("4 threads")
    assert table.endswith("Versions: python 3.11.7, torch 2.13.0.\n")


def test_different_versions_are_all_named(finished: Project) -> None:
    rewrite(finished, "alpha", versions={"torch": "2.13.0"})
    rewrite(finished, "beta", versions={"torch": "2.12.0"})
    assert tables(finished)[1].endswith("Versions: torch 2.12.0; torch 2.13.0.\n")


def test_a_page_run_after_the_last_print_is_fresh_and_others_are_cached(finished: Project) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    rewrite(finished, "alpha", finished=(noon + timedelta(seconds=1)).isoformat())
    rewrite(finished, "beta", finished=(noon - timedelta(seconds=1)).isoformat())
    assert [row[-1] for row in rows(tables(finished, printed=noon)[1])] == ["fresh", "cached"]


def test_tables_that_did_not_change_are_left_alone(finished: Project) -> None:
    tables(finished)
    folder = status.generated_folder(finished.root)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(before) == 3
    tables(finished)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    tables(finished, printed=datetime.now(UTC))
    assert [path.name for path in folder.iterdir() if path.stat().st_mtime_ns != before[path]] == ["status.md"]


def test_the_rows_of_list_give_title_age_and_state(finished: Project) -> None:
    finished.add("gamma")
    finished.edit("notebooks/beta.py", "beta.seen", "beta.found")
    assert status.page_rows(finished.root) == [
        ("alpha", "Page alpha", status._age(finished.about("alpha")["finished"]), "fresh"),
        (
            "beta",
            "Page beta",
            status._age(finished.about("beta")["finished"]),
            "stale: its source changed since it was run",
        ),
        ("gamma", "Page gamma", "never", "missing: it was never run"),
    ]


def test_the_rows_of_status_give_the_facts_of_the_last_good_run(finished: Project) -> None:
    finished.add("gamma")
    rewrite(finished, "alpha", seconds=2.0, device="cpu", commit="abc1234")
    alpha, beta, gamma = status.status_rows(finished.root)
    assert alpha == ("alpha", "fresh", "book", "2.0", "cpu", "abc1234", "5")
    assert beta[-1] == "6"
    assert gamma == ("gamma", "missing", "-", "-", "-", "-", "-")


def test_the_summary_says_whether_the_book_can_be_printed(finished: Project) -> None:
    assert status.summary(finished.root).endswith(": the book can be printed")
    finished.add("gamma")
    finished.add("delta")
    assert "2 reasons not to print the book" in status.summary(finished.root)


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=61), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=1, seconds=1), "1 h ago"),
        (timedelta(hours=23, minutes=59), "23 h ago"),
        (timedelta(days=2, hours=23), "2 d ago"),
    ],
)
def test_ages_are_given_in_whole_units(ago: timedelta, words: str) -> None:
    assert status._age((datetime.now(UTC) - ago).isoformat()) == words
