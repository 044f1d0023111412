"""Pages: the book's notebooks, their typed parameters, and the values that each profile gives them.

A page's `parameters` cell holds the book profile; the quick profile stands here. No page is imported or run.
"""

import ast
import difflib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jupytext
import yaml

import attention_limits
from attention_limits.hypotheses import require, require_accuracy, require_integer, require_sparse_averaging

Parameters = dict[str, Any]

PROFILES = ("book", "quick")

#: What the quick profile changes: at most a minute a page on two cores, for tests.
QUICK: dict[str, Parameters] = {
    "thm-2-fixed-precision": {
        "token_grid": [16, 64, 256],
        "sparsity_grid": [1, 2, 4, 8],
        "num_subsets": 1000,
        "largest_exhaustive": 8,
    },
    "thm-3-part-2": {"tight_tokens": 7, "tight_draws": 5, "map_tokens": 7, "scalar_tokens": 3},
    "learned-attention": {"num_seeds": 2},
}

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
            require(isinstance(value, list | tuple) and len(value) > 0, message)
            return [_scalar(item, inner or int, message) for item in value]
        return _scalar(value, outer, message)


def _scalar(value: Any, kind: type, message: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    require(type(value) is kind, message)
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

    @cached_property
    def text(self) -> str:
        """Its source's text."""
        return self.path.read_text(encoding="utf-8")

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
        cells = jupytext.reads(self.text, fmt="py:percent").cells
        cell = next((cell for cell in cells if "parameters" in cell.metadata.get("tags", [])), None)
        require(cell is not None, f"page {self.name} has no cell with the tag parameters")
        assert cell is not None
        lines, found = cell.source.splitlines(), {}
        for node in ast.parse(cell.source).body:
            declared = isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
            type_name = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else "nothing"
            require(
                declared and type_name in TYPES,
                f"page {self.name}: a parameter reads 'name: type = default', got {ast.unparse(node)!r}",
            )
            assert isinstance(node, ast.AnnAssign)
            assert isinstance(node.target, ast.Name)
            assert node.value is not None
            comment = lines[node.end_lineno - 1].partition("#")[2].strip() if node.end_lineno else ""
            parameter = Parameter(node.target.id, type_name, ast.literal_eval(node.value), comment)
            parameter.convert(parameter.default)
            found[parameter.name] = parameter
        return found

    def resolve(self, profile: str, overrides: Mapping[str, Any]) -> Parameters:
        """The values of a run: the page's own, then the profile's, then ``overrides``; checked before anything runs.

        Raises:
            ValueError: for an unknown profile or parameter, a wrong type, or a value that the page does not cover.
        """
        require(profile in PROFILES, f"unknown profile {profile!r}: use {' or '.join(PROFILES)}")
        values = {name: parameter.convert(parameter.default) for name, parameter in self.parameters.items()}
        for name, value in {**(QUICK.get(self.name, {}) if profile == "quick" else {}), **overrides}.items():
            known = ", ".join(self.parameters)
            require(name in self.parameters, f"unknown parameter {name!r}: {self.name} has {known}")
            values[name] = self.parameters[name].convert(value)
        CONDITIONS.get(self.name, _conditions)(values)
        return values

    def digests(self, parameters: Mapping[str, Any]) -> dict[str, str]:
        """What a run depends on, each part hashed: the page's source, the package, the parameters, the constraints."""
        constraints = self.root / "constraints.txt"
        return {
            "source": _hash(self.text.encode()),
            "package": package_digest(),
            "parameters": _hash(json.dumps(dict(parameters), sort_keys=True).encode()),
            "constraints": _hash(constraints.read_bytes() if constraints.exists() else b""),
        }


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def package_digest() -> str:
    """A hash of every module of the installed package, names included."""
    folder = Path(attention_limits.__file__).parent
    parts = []
    for path in sorted(folder.rglob("*.py")):
        parts += [path.relative_to(folder).as_posix().encode(), path.read_bytes()]
    return _hash(*parts)


def _conditions(values: Parameters) -> None:
    """What holds for a parameter of this name on every page."""
    for name in ("seed",):
        if name in values:
            require_integer(name, values[name], 0)
    for name in ("num_seeds", "num_steps", "embed_dim"):
        if name in values:
            require_integer(name, values[name], 1)
    if {"num_tokens", "sparsity", "value_dim"} <= values.keys():
        require_sparse_averaging(values["num_tokens"], values["sparsity"], values["value_dim"])
    if "accuracy" in values:
        require_accuracy(values["accuracy"])


def _fixed_precision_conditions(values: Parameters) -> None:
    _conditions(values)
    size, sparsity = values["num_tokens"], values["sparsity"]
    require(
        sparsity < size, f"sparsity q = {sparsity} leaves no token outside the subset: the page needs q < N = {size}"
    )
    require_integer("num_subsets", values["num_subsets"], 1)
    require_integer("largest_exhaustive", values["largest_exhaustive"], 2)
    most = values["largest_exhaustive"]
    require(most <= 16, f"largest_exhaustive must be at most 16 (a subset each of 2^N), got {most}")
    for tokens in values["token_grid"]:
        require_integer("token_grid's entries", tokens, 2)
    for entry in values["sparsity_grid"]:
        require_integer("sparsity_grid's entries", entry, 1)
    for accuracy in values["accuracy_grid"]:
        require_accuracy(accuracy)


def _tight_dimension_conditions(values: Parameters) -> None:
    _conditions(values)
    for name, least, most in (
        ("tight_tokens", 3, 12),
        ("tight_sparsity", 1, 6),
        ("tight_draws", 1, 1000),
        ("map_tokens", 3, 12),
        ("scalar_tokens", 2, 4),
    ):
        require_integer(name, values[name], least)
        require(values[name] <= most, f"{name} must be at most {most}, got {values[name]}")
    sparsity, size = values["tight_sparsity"], min(values["tight_tokens"], values["map_tokens"])
    require(sparsity < size, f"tight_sparsity = {sparsity} leaves no token outside a subset of {size}")


def _learned_attention_conditions(values: Parameters) -> None:
    _conditions(values)
    last, snapshot = values["num_steps"], values["snapshot_step"]
    require(0 <= snapshot <= last, f"snapshot_step = {snapshot} lies outside the run's steps 0…{last}")


#: A page's own conditions, where it has more than those of the parameters' names.
CONDITIONS: dict[str, Callable[[Parameters], None]] = {
    "thm-2-fixed-precision": _fixed_precision_conditions,
    "thm-3-part-2": _tight_dimension_conditions,
    "learned-attention": _learned_attention_conditions,
}


def find_root(start: Path | None = None) -> Path:
    """The nearest folder, from ``start`` upwards, that holds a `_toc.yml` and `notebooks`.

    Raises:
        ValueError: if there is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "_toc.yml").is_file() and (folder / "notebooks").is_dir():
            return folder
    raise ValueError(f"no book here: neither {start} nor a folder above it holds _toc.yml and notebooks")


def all_pages(root: Path) -> list[Page]:
    """The book's pages in reading order, as `_toc.yml` lists them.

    Raises:
        ValueError: if it lists a page whose source does not exist.
    """
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

    visit(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))
    pages = [Page(root, name) for name in listed]
    for page in pages:
        require(page.path.is_file(), f"_toc.yml lists the page {page.name!r}, but {page.path.name} is not in notebooks")
    return pages


def get_page(root: Path, name: str) -> Page:
    """The page called ``name``; a path to its source is understood too.

    Raises:
        ValueError: if there is none, with the nearest names.
    """
    pages = {page.name: page for page in all_pages(root)}
    stem = Path(name).name.removesuffix(".py")
    near = difflib.get_close_matches(stem, pages, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the pages are {', '.join(pages)}"
    require(stem in pages, f"no page {name!r}: {hint}")
    return pages[stem]
