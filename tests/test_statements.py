"""Sources that do the same have the same statements, and no others."""

import pytest

from attention_limits.statements import statements

SOURCE = '''"""A module."""

LIMIT = 2


class Box:
    """A box."""

    def double(self, x: int) -> int:
        """Twice."""
        return 2 * x  # two


async def wait() -> None:
    """Nothing."""
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""\n', ""),
        ('"""A box."""', '"""Another."""'),
        ('        """Twice."""\n', ""),
        ("  # two", ""),
        ("2 * x", "(2 *\n            x)"),
        ('"""Nothing."""', '"""Still nothing."""'),
    ],
)
def test_comments_layout_and_docstrings_make_no_difference(old: str, new: str) -> None:
    assert old in SOURCE
    assert statements(SOURCE.replace(old, new).encode()) == statements(SOURCE.encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 2", "LIMIT = 3"),
        ("LIMIT = 2", 'LIMIT = "2"'),
        ("2 * x", "x * 2"),
        ("x: int", "x: float"),
        ("class Box:", "class Box(dict):"),
        ("return 2 * x", "2 * x"),
        ("LIMIT = 2", 'LIMIT = 2\n"a string that no docstring is"'),
        ("async def", "def"),
    ],
)
def test_code_makes_a_difference(old: str, new: str) -> None:
    assert old in SOURCE
    assert statements(SOURCE.replace(old, new).encode()) != statements(SOURCE.encode())


@pytest.mark.parametrize("source", [b"def (", b"x = '\0'", b"\xff = 1"])
def test_what_is_no_python_stands_for_itself(source: bytes) -> None:
    assert statements(source) == source
