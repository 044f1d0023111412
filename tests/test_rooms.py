"""Imports among the package's rooms run downwards only, as book/_static/rooms.svg draws them."""

import ast
from pathlib import Path
from xml.etree import ElementTree

import pytest

import attention_limits

PACKAGE = Path(attention_limits.__file__).parent
PICTURE = Path(__file__).parents[1] / "book" / "_static" / "rooms.svg"

#: What a room, a folder or file of the package, may import besides itself: this, and what that may import.
MAY_IMPORT: dict[str, set[str]] = {
    "hypotheses": set(),
    "files": set(),
    "dependencies": set(),
    "figures": set(),
    "fixed_point": {"hypotheses"},
    "runtime": set(),
    "problems": {"hypotheses"},
    "models": {"problems"},
    "constructions": {"models", "fixed_point"},
    "bounds": {"constructions"},
    "experiments": {"constructions", "models", "runtime", "files", "dependencies"},
    "performance": {"constructions", "experiments"},
    "companion": {"experiments", "bounds"},
}


def below(room: str) -> set[str]:
    """The rooms that a room may import, at any remove."""
    found: set[str] = set()
    ahead = [room]
    while ahead:
        new = MAY_IMPORT[ahead.pop()] - found
        found |= new
        ahead += new
    return found


def imported(source: str) -> set[str]:
    """The rooms that a source imports itself, in functions too."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"a relative import, which this test does not follow: {ast.unparse(node)}"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith(f"{PACKAGE.name}.")}


def refused(room: str, source: str) -> set[str]:
    """The rooms that a source in ``room`` imports and may not."""
    return imported(source) - below(room) - {room}


def sources(room: str) -> dict[str, str]:
    """The text of each file of a room."""
    files = [PACKAGE / f"{room}.py", *(PACKAGE / room).rglob("*.py")]
    return {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in files if path.is_file()}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_no_other_than_those_below_it(room: str) -> None:
    assert {name: found for name, text in sources(room).items() if (found := refused(room, text))} == {}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_each_that_the_table_names(room: str) -> None:
    assert MAY_IMPORT[room] <= set().union(*map(imported, sources(room).values()))


def test_no_room_lies_below_itself() -> None:
    assert [room for room in MAY_IMPORT if room in below(room)] == []


def test_the_table_holds_all_rooms() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    assert rooms - {"__init__"} == MAY_IMPORT.keys()
    assert imported((PACKAGE / "__init__.py").read_text(encoding="utf-8")) == set()


def test_the_picture_shows_the_table() -> None:
    drawn = list(ElementTree.parse(PICTURE).iter())
    rooms = [shape.get("data-room") for shape in drawn if shape.get("data-room")]
    arrows = [(shape.get("data-from"), shape.get("data-to")) for shape in drawn if shape.get("data-from")]
    assert sorted(map(str, rooms)) == sorted(MAY_IMPORT)
    assert sorted(map(str, arrows)) == sorted(str((room, other)) for room in MAY_IMPORT for other in MAY_IMPORT[room])


@pytest.mark.parametrize(
    ("room", "planted", "found"),
    [
        ("problems", "from attention_limits.models.attention import SelfAttentionUnit", "models"),
        ("constructions", "import attention_limits.bounds.rank", "bounds"),
        ("experiments", "def train():\n    from attention_limits import companion", "companion"),
        ("bounds", "from attention_limits.experiments import training", "experiments"),
        ("companion", "import math, attention_limits.figures as figures", "figures"),
        ("hypotheses", "if True:\n    from attention_limits.problems.tuples import planted_triples", "problems"),
    ],
)
def test_an_import_upwards_or_aside_is_found(room: str, planted: str, found: str) -> None:
    assert refused(room, planted) == {found}
