"""Measures tests/reference/*.json anew: every page as the book has it, under several seeds: ``make reference``.

The first seed is the book's own, whose run `make book` has done. An integer or a fraction that is the same for all
seeds becomes a value to be met exactly. Everything else becomes a band: the seeds' range, widened by itself on either
side, by the claim's tolerance and by what machines round differently.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat

from attention_limits.companion import claims, runner
from attention_limits.companion.pages import Page, all_pages, find_root
from attention_limits.files import publish

Record = dict[str, Any]

FOLDER = Path(__file__).parent
#: Floats that do not vary with the seed may still differ between machines in their last digits, relatively; and what
#: float32 leaves of a zero differs in all of them, absolutely, where a claim names no tolerance of its own.
ROUNDING = 1e-6


def reference_path(page_name: str) -> Path:
    """Where a page's reference lies."""
    return FOLDER / f"{page_name}.json"


def summarise(runs: Sequence[Sequence[Record]]) -> dict[str, Record]:
    """The reference for one page from its claims under several seeds, by identifier."""
    by_seed = [{record["id"]: record for record in run} for run in runs]
    identifiers = [list(records) for records in by_seed]
    if any(other != identifiers[0] for other in identifiers):
        raise ValueError(f"the seeds do not leave the same claims: {identifiers}")
    return {name: _summarise_claim([records[name] for records in by_seed]) for name in identifiers[0]}


def _summarise_claim(records: Sequence[Record]) -> Record:
    first, values = records[0], [record["measured"] for record in records]
    bounds = {record["bound"] for record in records}
    summary = {"relation": first["relation"], "bound": first["bound"] if len(bounds) == 1 else None}
    if first["exact"] and len(set(values)) == 1:
        return {**summary, "equals": values[0]}
    least, most = min(values), max(values)
    margin = (most - least) + (first["tolerance"] or ROUNDING) + ROUNDING * max(abs(least), abs(most))
    return {**summary, "least": least - margin, "most": most + margin}


def differences(record: Record, expected: Record) -> list[str]:
    """How a claim departs from its reference, a phrase each; empty if it does not."""
    found = []
    if record["relation"] != expected["relation"]:
        found.append(f"the relation is {record['relation']}, it was {expected['relation']}")
    if expected["bound"] is not None and record["bound"] != expected["bound"]:
        found.append(f"the bound is {record['bound']}, it was {expected['bound']}")
    measured = record["measured"]
    if "equals" in expected:
        if measured != expected["equals"]:
            found.append(f"measured {measured}, it was {expected['equals']}")
    elif not expected["least"] <= measured <= expected["most"]:
        found.append(f"measured {measured}, outside {expected['least']:.6g} … {expected['most']:.6g}")
    return found


def run_book(root: Path, pages: Sequence[Page], seed: int) -> list[list[Record]]:
    """The claims that the pages leave at the book's parameters, but for this seed; a fresh run is not repeated."""
    runs = [runner.plan(page, "book", {"seed": seed}) for page in pages]
    with runner.exclusive(root):
        wanted = [run for run in runs if not run.is_fresh]
        outcomes = runner.execute(wanted, jobs=2, device="cpu", device_label="cpu")
    failed = [f"{outcome.run.page.name}: {outcome.error}" for outcome in outcomes if outcome.error]
    if failed:
        raise RuntimeError("; ".join(failed))
    return [claims.records(nbformat.read(run.target, 4)) for run in runs]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="names of pages; all of them by default")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0 on (default 3)")
    arguments = parser.parse_args()
    root = find_root(FOLDER)
    pages = [page for page in all_pages(root) if not arguments.pages or page.name in arguments.pages]
    runs = [run_book(root, pages, seed) for seed in range(arguments.seeds)]
    for page, of_page in zip(pages, zip(*runs, strict=True), strict=True):
        text = json.dumps(summarise(of_page), indent=2, ensure_ascii=False)
        publish(text + "\n", reference_path(page.name))
        print(f"{reference_path(page.name).relative_to(root)}: {len(of_page[0])} claims")


if __name__ == "__main__":
    sys.exit(main())
