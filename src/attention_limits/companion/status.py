"""What the book says of itself: the claims page, the status page, and the same on a terminal."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from attention_limits.companion import claims, gate, training
from attention_limits.companion.pages import Page, all_pages
from attention_limits.companion.runner import commit
from attention_limits.files import publish

Row = tuple[str, ...]


def generated_folder(root: Path) -> Path:
    """Where the tables lie that pages of book/ include."""
    return root / "_build" / "generated"


def write_tables(root: Path, printed: datetime) -> None:
    """Write the tables of claims, runs and trainings from the executed pages; unchanged ones are left alone.

    Args:
        printed: when the last print of the book ended; a page run after it is fresh, others come from the cache.
    """
    pages = all_pages(root)
    for name, text in (
        ("claims.md", _claims_table(pages)),
        ("status.md", _status_table(pages, printed)),
        ("training.md", _training_table(pages)),
    ):
        target = generated_folder(root) / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            publish(text, target)


def _claims_table(pages: list[Page]) -> str:
    blocks, total = [], 0
    for page in pages:
        records = gate.executed_claims(page)
        total += len(records)
        rows = []
        for record in records:
            link = f"../notebooks/{page.name}.html#{claims.anchor(record['id'])}"
            kind = "proved" if record["kind"] == "theorem" else "observed"
            rows.append(
                (
                    _statement(record["statement"]),
                    _cell(claims.comparison(record)),
                    rf"\[{record['source']}\] {kind}",
                    f'<a href="{link}"><code>{record["id"]}</code></a>',
                )
            )
        table = _markdown_table(("What is claimed", "Measured", "Whose", "Claim"), rows)
        blocks.append(f"## {page.title}\n\n:::{{table}}\n:class: claims\n\n{table}:::\n")
    head = f"{total} claims on {len(pages)} pages; every one holds, or this book would not have been printed.\n\n"
    return head + "\n".join(blocks)


def _statement(text: str) -> str:
    # Formulas between dollars stay; in a table their bars are escaped all the same.
    parts = " ".join(text.split()).split("$")
    formulas = (part.replace("|", r"\|") for part in parts[1::2])
    return "".join(f"${next(formulas)}$" if place % 2 else _cell(part) for place, part in enumerate(parts))


def _status_table(pages: list[Page], printed: datetime) -> str:
    rows, versions = [], set()
    for page in pages:
        run = gate.state(page).run or {}
        finished = datetime.fromisoformat(run["finished"])
        link = f"[{page.title}](../../notebooks/{page.name}.py)"
        computed = "fresh" if finished > printed else "cached"
        place = f"{run['device']}, {run['threads']} thread{'s'[: run['threads'] != 1]}"
        when = finished.strftime("%Y-%m-%d %H:%M UTC")
        rows.append((link, run["profile"], f"{run['seconds']:.1f}", place, run["commit"], when, computed))
        versions.add(", ".join(f"{name} {version}" for name, version in run["versions"].items()))
    header = ("Page", "Profile", "Seconds", "Device", "Commit", "Run", "Computed")
    return _markdown_table(header, rows) + f"\nVersions: {'; '.join(sorted(versions))}.\n"


def _training_table(pages: list[Page]) -> str:
    rows = []
    for page in pages:
        for account in training.accounts(gate.executed(page)):
            link = f"[{page.title}](../../notebooks/{page.name}.py)"
            when = " to ".join(dict.fromkeys(account["days"][:1] + account["days"][-1:]))
            where = _cell("; ".join(account["processors"]))
            counts = [f"{account[name]:,}" for name in ("asked", "recorded", "trained")]
            again = f"{account['replayed']:,}" + (f" + {account['sampled']:,}" if account["sampled"] else "")
            differ = f"{account['disagreeing']:,}" + (f", {len(p)} lines unread" if (p := account["problems"]) else "")
            rows.append(
                (link, *counts, when, where, f"{account['hours']:.2f}", f"{account['other_code']:,}", again, differ)
            )
    header = (
        "Page",
        "Results",
        "Recorded",
        "Trained here",
        "When",
        "On",
        "Core hours",
        "Of other code",
        "Replayed",
        "Differ",
    )
    return _markdown_table(header, rows) if rows else "No page trains anything.\n"


def _markdown_table(header: Row, rows: Sequence[Row]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    # One line, and no character that Markdown would read as markup.
    return re.sub(r"([\\|*_$<>`&\[\]])", r"\\\1", " ".join(text.split()))


def page_rows(root: Path) -> list[Row]:
    """For each page: name, title, when its book run ended, and its state with the reason."""
    rows: list[Row] = []
    for page in all_pages(root):
        current = gate.state(page)
        last = _age(current.run["finished"]) if current.run else "never"
        rows.append((page.name, page.title, last, current.name + (f": {current.reason}" if current.reason else "")))
    return rows


def status_rows(root: Path) -> list[Row]:
    """For each page: name, state, profile, seconds, device, commit and number of claims of its book run."""
    rows = []
    for page in all_pages(root):
        current = gate.state(page)
        run = current.run
        facts = (
            (
                run["profile"],
                f"{run['seconds']:.1f}",
                run["device"],
                run["commit"],
                str(len(gate.executed_claims(page))),
            )
            if run
            else ("-",) * 5
        )
        rows.append((page.name, current.name, *facts))
    return rows


def summary(root: Path) -> str:
    """The checkout's commit and whether the book could be printed now."""
    found = gate.problems(root)
    verdict = (
        "the book can be printed" if not found else f"{len(found)} reason{'s'[: len(found) != 1]} not to print the book"
    )
    return f"commit {commit(root)}: {verdict}"


def _age(finished: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(finished)).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return "just now"
