"""The gate: the book is printed from good, current runs of all its pages, or not at all."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from attention_limits.companion import claims
from attention_limits.companion.pages import Page, all_pages
from attention_limits.companion.runner import Run, plan, read_run
from attention_limits.dependencies import package_folder

#: The least number of claims that a page leaves.
LEAST_CLAIMS = 5


@dataclass(frozen=True)
class State:
    """How a page's executed copy stands to what it was made from."""

    #: fresh, stale, missing or failed; only a fresh page is printed.
    name: str
    #: Why it is not fresh.
    reason: str
    #: What the last good run says about itself, if there is one.
    run: dict[str, Any] | None


def state(page: Page) -> State:
    """The state of a page's book run."""
    book = book_run(page)
    digests = page.digests(book.parameters)
    executed, failed = read_run(book.target), read_run(book.failed_target)
    if failed is not None and failed["digests"] == digests:
        return State("failed", f"its last run failed: {failed['error']}", executed)
    if executed is None:
        damaged = "its executed copy is not as a run left it"
        return State("missing", damaged if book.target.exists() else "it was never run", None)
    changed = [part for part, digest in digests.items() if executed["digests"].get(part) != digest]
    if changed:
        return State("stale", f"its {' and '.join(changed)} changed since it was run", executed)
    return State("fresh", "", executed)


def problems(root: Path) -> list[str]:
    """What forbids printing the book, a line each; empty if nothing does."""
    found: list[str] = []
    owners: dict[str, str] = {}
    for page in all_pages(root):
        current = state(page)
        if current.name != "fresh":
            found.append(f"{page.name} is {current.name}: {current.reason}")
            continue
        page_claims = executed_claims(page)
        if len(page_claims) < LEAST_CLAIMS:
            found.append(f"{page.name} leaves {len(page_claims)} claims, at least {LEAST_CLAIMS} are needed")
        for record in page_claims:
            if not record["holds"]:
                found.append(f"{page.name}: {claims.describe(record)}")
            if record["id"] in owners:
                found.append(f"the claim {record['id']} is made twice, on {owners[record['id']]} and {page.name}")
            owners[record["id"]] = page.name
    return found


def ingredients(root: Path) -> str:
    """A hash of all that the printed book is made of: sources, executed copies, settings and this package."""

    def files() -> Iterator[Path]:
        yield from (root / name for name in ("_config.yml", "_toc.yml", "constraints.txt"))
        for folder, kind in (
            (root / "book", "*"),
            (root / "notebooks", "*.py"),
            (root / "_build" / "executed", "*.ipynb"),
            (package_folder(), "*.py"),
            (package_folder(), "*.js"),
        ):
            yield from sorted(folder.rglob(kind))

    digest = hashlib.sha256()
    for path in filter(Path.is_file, files()):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def book_run(page: Page) -> Run:
    """The run that the book prints."""
    return plan(page, "book", {})


def executed_claims(page: Page) -> list[dict[str, Any]]:
    """The claims in the copy that the book prints."""
    return claims.records(executed(page))


def executed(page: Page) -> nbformat.NotebookNode:
    """The copy that the book prints."""
    return nbformat.read(book_run(page).target, 4)
