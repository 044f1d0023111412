"""For each claim of a page one edit that must turn it red: tables, and their runner, ``python -m tests.mutations``.

A table, `PAGE.toml`, has a row for each claim: the file that is edited, an old text that occurs in it exactly once, and
the new one. A row may name the profile in which the claim is made, quick by default.
"""

import tomllib
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent


class Edit(NamedTuple):
    """One row: what is changed so that ``claim`` fails."""

    claim: str
    file: str
    old: str
    new: str
    profile: str = "quick"

    def apply(self, root: Path) -> str:
        """Change the file under ``root`` and return its text as it was.

        Raises:
            ValueError: unless the old text occurs exactly once.
        """
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.claim}: the old text occurs {count} times in {self.file}, not once")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")
        return text


def tables() -> list[str]:
    """The pages that have a table."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def edits(page_name: str) -> list[Edit]:
    """The rows of a page's table."""
    rows = tomllib.loads((FOLDER / f"{page_name}.toml").read_text(encoding="utf-8"))
    return [Edit(claim, **row) for claim, row in rows.items()]
