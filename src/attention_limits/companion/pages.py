"""Pages: the book's notebooks, their typed parameters, and the facts that each states of itself.

A page's `parameters` cell holds the book profile. Its `facts` cell holds the rest, which the module `facts` reads.
"""

import ast
import copy
import difflib
import hashlib
import io
import json
import re
import sys
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jupytext
import yaml
from nbformat import NotebookNode

from attention_limits.companion.facts import Facts
from attention_limits.dependencies import cell_statements, code_digest, dependencies, package_folder

Parameters = dict[str, Any]

#: What is published; for tests, within seconds; large grids, for a GPU or a cluster.
PROFILES = ("book", "quick")
READS_RECORDS = "experiments/records.py"
#: The modules that run a page and write down how.
RUNNERS = ("companion/runner.py", "companion/worker.py", "companion/kernels.py")
#: The largest integer parameter: generators and tensors take 64 bits, and pages add to what they are given.
LARGEST_INTEGER = 2**62
TYPES: dict[str, tuple[type, type | None]] = {
    "int": (int, None),
    "float": (float, None),
    "bool": (bool, None),
    "str": (str, None),
    "list[int]": (list, int),
    "list[float]": (list, float),
}


@dataclass(frozen=True)
class Parameter:
    """One typed parameter of a page."""

    name: str
    type_name: str
    default: Any
    comment: str

    def convert(self, value: Any) -> Any:
        """``value`` as this parameter's type; an int serves as a float, nothing else is converted.

        Raises:
            ValueError: naming parameter, type and value.
        """
        outer, inner = TYPES[self.type_name]
        message = f"parameter {self.name} must be {self.type_name}, got {value!r}"
        if outer is list:
            if not (isinstance(value, list | tuple) and len(value) > 0):
                raise ValueError(message)
            return [_scalar(item, inner or int, message) for item in value]
        return _scalar(value, outer, message)


def _scalar(value: Any, kind: type, message: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        if not abs(value) <= sys.float_info.max:
            raise ValueError(message)
        return float(value)
    if type(value) is not kind:
        raise ValueError(message)
    return value


@dataclass(frozen=True)
class Page:
    """One notebook of the book."""

    root: Path
    name: str

    @property
    def path(self) -> Path:
        """Its source, a py:percent file."""
        return self.root / "notebooks" / f"{self.name}.py"

    @property
    def docname(self) -> str:
        """What Sphinx calls it."""
        return f"notebooks/{self.name}"

    @cached_property
    def text(self) -> str:
        """Its source's text."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def notebook(self) -> NotebookNode:
        """Its source as a notebook without outputs."""
        return copy.deepcopy(_parsed(self.text))

    @cached_property
    def title(self) -> str:
        """Its first heading."""
        return next((line[4:].strip() for line in self.text.splitlines() if line.startswith("# # ")), self.name)

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """What its `parameters` cell declares, in order: ``name: type = default  # comment``.

        Raises:
            ValueError: if there is no such cell, or a line of it is not of this form.
        """
        cell = self._tagged("parameters")
        if cell is None:
            raise ValueError(f"page {self.name} has no cell with the tag parameters")
        try:
            lines = ast.parse(cell.source).body
        except SyntaxError as error:
            raise ValueError(f"page {self.name}: its parameters cell is no Python: {error.msg}") from error
        comments = {
            token.start[0]: token.string.lstrip("# ")
            for token in tokenize.generate_tokens(io.StringIO(cell.source).readline)
            if token.type == tokenize.COMMENT
        }
        found = {}
        for line in lines:
            parameter = _declaration(line, comments)
            if parameter is None:
                form = f"name: type = literal, with a type among {', '.join(TYPES)}"
                raise ValueError(f"page {self.name}: a parameter reads '{form}'; got {ast.unparse(line)!r}")
            parameter.convert(parameter.default)
            found[parameter.name] = parameter
        return found

    @cached_property
    def facts(self) -> Facts:
        """What its `facts` cell says.

        Raises:
            ValueError: naming page and line, if the cell is no Python, imports more than it may, or holds no literal
                where one is needed.
        """
        source = cell.source if (cell := self._tagged("facts")) else ""
        return Facts.read(source, f"page {self.name}", self.text[: self.text.find(source)].count("\n") + 1)

    def _tagged(self, tag: str) -> NotebookNode | None:
        return next((cell for cell in self.notebook.cells if tag in cell.metadata.get("tags", [])), None)

    def resolve(self, profile: str, overrides: Mapping[str, Any]) -> Parameters:
        """The values of a run: the page's own, then the profile's, then ``overrides``; checked before anything runs.

        Raises:
            ValueError: for an unknown profile or parameter, a wrong type, or a value that the page does not cover.
        """
        if profile not in PROFILES:
            raise ValueError(f"unknown profile {profile!r}: use book or quick")
        values = {name: parameter.convert(parameter.default) for name, parameter in self.parameters.items()}
        for name, value in {**(self.facts.quick if profile == "quick" else {}), **overrides}.items():
            if name not in self.parameters:
                raise ValueError(f"unknown parameter {name!r}: {self.name} has {', '.join(self.parameters)}")
            values[name] = self.parameters[name].convert(value)
        self.facts.check(values)
        for name, value in values.items():
            if isinstance(value, int) and value > LARGEST_INTEGER:
                raise ValueError(f"{name} must be at most {LARGEST_INTEGER}, got {value}")
        return values

    def digests(self, parameters: Mapping[str, Any]) -> dict[str, str]:
        """What a run depends on, hashed: code cells, modules of the package, parameters, constraints, and all records.

        The modules are those that the page imports, itself or through others, and the two that run it; without the
        module of records there are none. Prose, captions, tags, and comments and layout of code do nothing to a run.
        """
        constraints = self.root / "constraints.txt"
        modules = dependencies(self.text) | {package_folder() / name for name in RUNNERS}
        published = sorted((self.root / "records").glob("*")) if package_folder() / READS_RECORDS in modules else []
        return {
            "source": _hash(b"\0".join(cell_statements(cell.source) for cell in code_cells(self.notebook))),
            "package": code_digest(modules),
            "parameters": _hash(json.dumps(dict(parameters), sort_keys=True).encode()),
            "constraints": _hash(constraints.read_bytes() if constraints.exists() else b""),
            "records": _hash(b"\0".join(path.read_bytes() for path in published)),
        }


@cache
def _parsed(text: str) -> NotebookNode:
    return jupytext.reads(text, fmt="py:percent")


def _declaration(line: ast.stmt, comments: Mapping[int, str]) -> Parameter | None:
    """The parameter that a line declares; None if it is of another form."""
    if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value is not None):
        return None
    try:
        default = ast.literal_eval(line.value)
    except (ValueError, TypeError):
        return None
    type_name, covered = ast.unparse(line.annotation), range(line.lineno, (line.end_lineno or line.lineno) + 1)
    return (
        Parameter(line.target.id, type_name, default, next(filter(None, map(comments.get, reversed(covered))), ""))
        if type_name in TYPES
        else None
    )


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """A notebook's code cells, but for the one that papermill adds."""
    return [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
    ]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def find_root(start: Path | None = None) -> Path:
    """The nearest folder, from ``start`` upwards, that holds a `_toc.yml` and `notebooks`.

    Raises:
        ValueError: if there is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "_toc.yml").is_file() and (folder / "notebooks").is_dir():
            return folder
    raise ValueError(
        f"no book here: neither {start} nor a folder above it holds _toc.yml and notebooks; a checkout is needed"
    )


def all_pages(root: Path) -> list[Page]:
    """The book's pages in reading order, as `_toc.yml` lists them.

    Raises:
        ValueError: if it is no YAML, or lists a page whose name is none or whose source does not exist.
    """
    try:
        listed = _listed((root / "_toc.yml").read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"_toc.yml is no YAML: {' '.join(str(error).split())}") from error
    pages = [Page(root, name) for name in listed]
    for page in pages:
        if not re.fullmatch(r"[A-Za-z0-9][\w-]*", page.name):
            raise ValueError(f"_toc.yml lists the page {page.name!r}: a name has letters, digits, - and _ only")
        if not page.path.is_file():
            raise ValueError(f"_toc.yml lists the page {page.name!r}, but {page.path.name} is not in notebooks")
    return pages


@cache
def _listed(contents: str) -> list[str]:
    """The names of the pages in a table of contents."""
    listed: list[str] = []

    def visit(node: Any) -> None:
        if isinstance(node, Mapping):
            if str(node.get("file", "")).startswith("notebooks/"):
                listed.append(node["file"].removeprefix("notebooks/").removesuffix(".py"))
            for value in node.values():
                visit(value)
        elif isinstance(node, list):
            for item in node:
                visit(item)

    visit(yaml.safe_load(contents))
    return listed


def get_page(root: Path, name: str) -> Page:
    """The page called ``name``; a path to its source is understood too.

    Raises:
        ValueError: if there is none, with the nearest names.
    """
    pages = {page.name: page for page in all_pages(root)}
    stem = Path(name).name.removesuffix(".py")
    near = difflib.get_close_matches(stem, pages, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the pages are {', '.join(pages)}"
    if stem not in pages:
        raise ValueError(f"no page {name!r}: {hint}")
    return pages[stem]


def page_at(root: Path, docname: str) -> Page | None:
    """The page that Sphinx calls ``docname``; None for the book's other documents."""
    return next((page for page in all_pages(root) if page.docname == docname), None)
