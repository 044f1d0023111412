"""Runs each edit of the tables in a copy of the checkout and says which claims survive it: ``make mutate``.

A claim is *red* if it is made and does not hold, and *before* it the page may have stopped, at another claim or with an
error. It *survives* if it holds, or is not made. Verdicts lie in `_build/mutations.json`; a row whose page, package and
edit are as they were is not run again.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat

from attention_limits.companion import claims, runner
from attention_limits.companion.pages import Page, find_root, get_page
from attention_limits.files import publish
from attention_limits.runtime import STORE_VARIABLE

from . import Edit, edits, tables

RED, SURVIVES = "red", "survives"
ROOT = find_root(Path(__file__).parent)
VERDICTS = ROOT / "_build" / "mutations.json"
#: What a page needs to run.
COPIED = ("src", "notebooks", "records", "_toc.yml", "constraints.txt")


def key(page: Page, edit: Edit) -> str:
    """What a verdict depends on, hashed."""
    digests = page.digests(page.resolve(edit.profile, {}))
    return hashlib.sha256(json.dumps([digests, *edit]).encode()).hexdigest()


def verdict(page: Page, edit: Edit) -> str:
    """How the page of an edited copy runs."""
    try:
        run = runner.plan(page, edit.profile, {})
    except ValueError as refusal:
        return f"before: {refusal}"
    with runner.exclusive(page.root), contextlib.redirect_stderr(io.StringIO()):
        (outcome,) = runner.execute([run], jobs=1, device="cpu", device_label="cpu")
    notebook = nbformat.read(run.failed_target if outcome.error else run.target, 4)
    made = {record["id"]: record["holds"] for record in claims.records(notebook)}
    if edit.claim in made:
        return SURVIVES if made[edit.claim] else RED
    if outcome.error is None:
        return f"{SURVIVES}: it is not made"
    failing = [name for name, holds in made.items() if not holds]
    return f"before: {failing[-1] if failing else outcome.error}"


def verdicts() -> dict[str, str]:
    """What is known, by `key`."""
    return json.loads(VERDICTS.read_text(encoding="utf-8")) if VERDICTS.exists() else {}


def run(pages: list[str]) -> dict[str, dict[str, str]]:
    """The verdict on each claim, page by page; what is new is published at once."""
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = Path(folder)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, copy)
        # Bytecode is checked against a file's second and size, which an edit may leave as they are.
        os.environ |= {
            "PYTHONPATH": str(copy / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            STORE_VARIABLE: str(copy / "store"),
        }
        for name in pages:
            rows = edits(name)
            found[name] = {}
            for number, edit in enumerate(rows, 1):
                digest = key(get_page(ROOT, name), edit)
                said = verdicts().get(digest)
                if said is None:
                    try:
                        text = edit.apply(copy)
                    except ValueError as error:
                        said = f"{SURVIVES}: {error}"
                    else:
                        said = verdict(get_page(copy, name), edit)
                        (copy / edit.file).write_text(text, encoding="utf-8")
                        publish(json.dumps(verdicts() | {digest: said}, indent=1, ensure_ascii=False) + "\n", VERDICTS)
                found[name][edit.claim] = said
                print(f"{name} {number}/{len(rows)}  {edit.claim}: {said}", flush=True)
    return found


def main() -> int:
    """Run the tables of the pages that are named, or of all; 1 if a claim survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("pages", nargs="*", help="names of pages that have a table; all of them by default")
    pages = parser.parse_args().pages or tables()
    if unknown := sorted(set(pages) - set(tables())):
        parser.error(f"no table for {', '.join(unknown)}; there are {', '.join(tables())}")
    rows = [(name, claim, said) for name, of_page in run(pages).items() for claim, said in of_page.items()]
    survivors = [row for row in rows if row[2].startswith(SURVIVES)]
    red = sum(said == RED for _, _, said in rows)
    print(f"\n{len(rows)} claims: {red} red, {len(rows) - red - len(survivors)} after a page that stopped before")
    for name, claim, said in survivors:
        print(f"  {name}  {claim}  {said}")
    print(f"{len(survivors)} survive" if survivors else "none survives")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
