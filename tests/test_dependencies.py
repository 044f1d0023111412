"""Sources that do the same have the same statements, and no others; imports are followed through the package."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import attention_limits
from attention_limits.dependencies import code_digest, dependencies, package_folder, statements

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


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in which one module leads to the next."""
    folder = tmp_path / "attention_limits"
    texts = {
        "__init__.py": "",
        "one.py": "import torch\n\ndef late():\n    from attention_limits.inner.two import ANSWER\n    return ANSWER\n",
        "inner/__init__.py": "from . import three\n",
        "inner/two.py": "from ..four import *\nANSWER = 42\n",
        "inner/three.py": "",
        "four.py": "import attention_limits.one\n",
        "other.py": "",
        "odd.txt": "",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(attention_limits, "__file__", str(folder / "__init__.py"))
    return folder


def names(found: set[Path], package: Path) -> set[str]:
    return {path.relative_to(package).as_posix() for path in found}


REACHED = {"__init__.py", "one.py", "inner/__init__.py", "inner/two.py", "inner/three.py", "four.py"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", set()),
        ("import torch, attention_limits_of_others", set()),
        ("import attention_limits", {"__init__.py"}),
        ("from attention_limits import other", {"__init__.py", "other.py"}),
        ("import attention_limits.other as o", {"__init__.py", "other.py"}),
        ("from attention_limits.inner.three import x", {"__init__.py", "inner/__init__.py", "inner/three.py"}),
        ("if True:\n    from attention_limits.one import late", REACHED),
        ("import attention_limits.four", REACHED),
        ("from attention_limits.inner import two", REACHED),
        ("def (", REACHED | {"other.py"}),
    ],
)
def test_imports_are_followed_wherever_they_stand(source: str, expected: set[str], package: Path) -> None:
    assert names(dependencies(source), package) == expected


def test_the_digest_of_code_changes_with_what_a_module_does_its_name_and_its_absence(package: Path) -> None:
    def digest() -> str:
        return code_digest(dependencies("import attention_limits.one"))

    digests = [digest()]
    (package / "four.py").write_text("import attention_limits.one  # again\n", encoding="utf-8")
    assert digest() == digests[0]
    for name, text in (("four.py", "import attention_limits.one\nX = 1\n"), ("inner/three.py", "X = 1\n")):
        (package / name).write_text(text, encoding="utf-8")
        digests.append(digest())
    (package / "inner" / "__init__.py").write_text("from . import four\n", encoding="utf-8")
    (package / "inner" / "three.py").rename(package / "inner" / "four.py")
    digests.append(digest())
    (package / "inner" / "four.py").unlink()
    digests.append(digest())
    assert len(set(digests)) == 5


def test_code_that_joins_to_the_same_bytes_has_different_digests(package: Path) -> None:
    paths = [package / "other.py", package / "four.py"]
    digests = set()
    for texts in (("!3", "!1other.py!2"), ("!2other.py!3", "!1")):  # no Python, which stands for itself
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8")
        digests.add(code_digest(paths))
        assert code_digest(paths[::-1]) in digests
    assert len(digests) == 2


def test_a_module_of_another_name_has_another_digest(package: Path) -> None:
    before = code_digest([package / "other.py"])
    assert code_digest([(package / "other.py").rename(package / "new.py")]) != before


def test_the_digest_does_not_depend_on_where_the_package_lies(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digest(dependencies("import attention_limits.one"))
    (package.parent / "deep").mkdir()
    home = package.rename(package.parent / "deep" / "attention_limits")
    monkeypatch.setattr(attention_limits, "__file__", str(home / "__init__.py"))
    assert package_folder() == home
    assert code_digest(dependencies("import attention_limits.one")) == before


def test_what_a_page_loads_is_among_its_dependencies() -> None:
    source = (Path(__file__).parents[1] / "notebooks" / "conjecture.py").read_text(encoding="utf-8")
    imports = [ast.unparse(line) for line in ast.parse(source).body if isinstance(line, ast.Import | ast.ImportFrom)]
    ours = "(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'attention_limits')"
    report = f"import sys\nprint(*{ours}, sep='\\n')"
    command = [sys.executable, "-c", "\n".join([*imports, report])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {Path(name) for name in done.stdout.splitlines()}
    assert len(loaded) > 20
    assert loaded <= dependencies(source)
