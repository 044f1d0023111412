"""What the commands share: their terminal, the book that they are in, and how bad input is told."""

import ast
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from attention_limits.companion.pages import all_pages, find_root
from attention_limits.dependencies import package_folder
from attention_limits.runtime import DEVICE_VARIABLE, device_name, select_device

#: Through which torch reaches a CUDA device on Linux: NVIDIA's drivers, Windows' below it, AMD's.
DRIVERS = ("/dev/nvidiactl", "/dev/nvmap", "/dev/dxg", "/dev/kfd")
PROFILE_HELP = "book: what is published; quick: smaller, some seconds, for tests."


@contextlib.contextmanager
def bad_input() -> Iterator[None]:
    """Turn the ValueErrors of what is checked before anything is done into one line and exit code 2."""
    try:
        yield
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


def find_book() -> Path:
    """The book that the current folder is in, with a package and pages that can be read."""
    with bad_input():
        root = find_root()
        own, loaded = (root / "src" / "attention_limits").resolve(), package_folder().resolve()
        if own.is_dir() and loaded != own:
            raise ValueError(
                f"this command runs the package in {loaded}, and the checkout's own is {own}: use its .venv"
            )
        for page in all_pages(root):
            page.resolve("book", {})  # a page whose parameters cell is broken
    return root


def parse_parameter(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value a Python literal or else a string."""
    name, equals, value = text.partition("=")
    if not (bool(equals) and name.isidentifier()):
        raise ValueError(f"a parameter reads NAME=VALUE, got {text!r}")
    try:
        return name, ast.literal_eval(value.strip())
    except (ValueError, TypeError, SyntaxError):
        return name, value  # a string, as it stands


def resolve_device(name: str | None) -> tuple[str, str]:
    """A device's name for torch, and in words."""
    wanted = name or os.environ.get(DEVICE_VARIABLE)
    if wanted == "cpu" or (wanted is None and not _drives_accelerators()):
        return "cpu", "cpu"  # without torch, whose import takes seconds
    device = select_device(name)
    return str(device), device_name(device)


def book_program() -> Path:
    """The program that prints books, beside this Python.

    Raises:
        ValueError: if it is not installed.
    """
    program = Path(sys.executable).with_name("jupyter-book")
    if not program.exists():
        raise ValueError("jupyter-book is not installed: pip install -e '.[book]'")
    return program


def _drives_accelerators() -> bool:
    """Whether this system has a driver through which torch may find a CUDA device; elsewhere than on Linux: perhaps."""
    return sys.platform != "linux" or any(Path(driver).exists() for driver in DRIVERS)


def shown(path: Path | str) -> str:
    """A path as seen from the current folder."""
    return os.path.relpath(path)


def print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table; piped, each row is one line."""
    table = Table(*header, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 10_000  # piped output is for other programs: a row stays a line
    console.print(table)
