"""What a source depends on: this package's modules that it imports, itself or through others, and what they do.

It tells whether results are out of date. Comments, layout and docstrings do nothing. An import counts wherever it
stands, in a function too; a module that is found by a name put together while the code runs is not seen.
"""

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import attention_limits

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
#: Tokens other than comments, ends of lines and indentation.
_SPEAKING = (tokenize.NAME, tokenize.NUMBER, tokenize.STRING, tokenize.OP)


def dependencies(source: str) -> set[Path]:
    """The files of this package's modules that ``source`` imports at any remove, and of the packages that they lie in.

    A source that is no Python may depend on all of them.
    """
    package = package_folder()
    found: set[Path] = set()
    ahead = list(_files(source.encode(), package.name))
    while ahead:
        path = ahead.pop()
        if path not in found:
            found.add(path)
            inside = ".".join((package.name, *path.parent.relative_to(package).parts))
            ahead += _files(path.read_bytes(), inside)
    return found


def code_digest(paths: Iterable[Path]) -> str:
    """A hash of the names in this package and the `statements` of some of its modules, in whatever order."""
    package = package_folder()
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(package).as_posix(), path) for path in set(paths)):
        for part in (name.encode(), statements(path.read_bytes())):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


@cache
def statements(source: bytes) -> bytes:
    """The syntax tree of a module's source, the same for sources that differ in comments, layout or docstrings only.

    A source that is no Python stands for itself.

    Example:
        >>> statements(b"x = 1  # one") == statements(b"x = 1") != statements(b"x = 2")
        True
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return source
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return ast.dump(tree).encode()


@cache
def cell_statements(source: str) -> bytes:
    """The same for a notebook's cell, where a string on a line of its own and a last semicolon do something.

    A cell with IPython's own syntax is no Python and stands for itself.

    Example:
        >>> cell_statements("x  # one") == cell_statements("x") != cell_statements("x;")
        True
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return source.encode()
    last = [token.string for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type in _SPEAKING]
    return ast.dump(tree).encode() + (b";" if last[-1:] == [";"] else b"")


def package_folder() -> Path:
    """Where this package's modules lie."""
    return Path(attention_limits.__file__).parent


def _files(source: bytes, inside: str) -> Iterator[Path]:
    """The modules that a source in the package ``inside`` imports itself."""
    package = package_folder()
    names = _imported(source, inside)
    if names is None:
        yield from package.rglob("*.py")
        return
    for name in names:
        first, *rest = name.split(".")
        if first == package.name:
            for depth in range(len(rest) + 1):  # `import a.b` runs a, then a.b; b may also be something in a
                place = package.joinpath(*rest[:depth])
                yield from filter(Path.is_file, (place / "__init__.py", place.with_suffix(".py")))


@cache
def _imported(source: bytes, inside: str) -> frozenset[str] | None:
    """The full names of what a source in the package ``inside`` imports; None if it is no Python."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return None
    names: set[str] = set()
    around = inside.split(".")
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = around[: len(around) - node.level + 1] if node.level else []
            start = ".".join([*above, *filter(None, [node.module])])
            names.update(f"{start}.{alias.name}" for alias in node.names)
    return frozenset(names)
