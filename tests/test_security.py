"""What the package never does with what it reads: run it, unpickle it, or hand it to a shell."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import attention_limits

PACKAGE = Path(attention_limits.__file__).parent
#: Modules that turn data into objects of any kind, and so into code.
UNPICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
#: Calls that do it, or start a shell, by their last name and what it is taken from; None for whatever it is.
FORBIDDEN = {("load", "torch"), ("load", "joblib"), ("read_pickle", None), ("system", "os"), ("popen", "os")}


def breaches(source: str) -> Iterator[str]:
    """What a module's source does of all that, in words."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in UNPICKLING)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNPICKLING:
            yield f"from {node.module}"
        elif isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute):
                owner = function.value.id if isinstance(function.value, ast.Name) else None
                if (function.attr, owner) in FORBIDDEN or (function.attr, None) in FORBIDDEN:
                    yield f"{owner}.{function.attr}()"
            for keyword in node.keywords:
                if keyword.arg in ("shell", "allow_pickle") and not _is_false(keyword.value):
                    yield f"{keyword.arg}=…"


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_module_unpickles_or_starts_a_shell(path: Path) -> None:
    assert list(breaches(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from shelve import open",
        "torch.load(path)",
        "pd.read_pickle(path)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(line, shell=True)",
        "os.system(line)",
    ],
)
def test_each_of_these_would_be_seen(source: str) -> None:
    assert len(list(breaches(source))) == 1


def test_make_serves_on_this_machine_alone() -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")
    (line,) = (line for line in makefile.splitlines() if "http.server" in line)
    assert "--bind 127.0.0.1" in line
