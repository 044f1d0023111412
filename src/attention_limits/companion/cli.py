"""The command line: ``attention-limits list | run | sweep | build | status``.

Exit codes: 0 all went well; 1 a page or a sweep failed, or the book may not be printed; 2 bad input, nothing was done.
"""

import ast
import contextlib
import difflib
import inspect
import io
import os
import pkgutil
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from attention_limits.companion import gate, runner, status
from attention_limits.companion.pages import Page, all_pages, find_root, get_page
from attention_limits.dependencies import package_folder
from attention_limits.runtime import DEVICE_VARIABLE, STORE_VARIABLE, device_name, select_device

app = typer.Typer(
    help="Run the pages of Attention Limits and print the book.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
#: The exit code that typer gives for Ctrl-C.
INTERRUPTED = 130
NO_DATE = datetime.fromtimestamp(0, UTC)


PROFILE_HELP = (
    "book: what is published; quick: a minute at most, for tests; paper: large grids, for a GPU or a cluster."
)


@app.command("list")
def list_pages(
    parameters: Annotated[bool, typer.Option("--parameters", help="Show each page's parameters too.")] = False,
) -> None:
    """List the pages. Title, last run, and whether that is fresh, stale, missing or failed."""
    root = _root()
    _table(("page", "title", "last run", "state"), status.page_rows(root))
    if parameters:
        rows = [
            (page.name, p.name, p.type_name, repr(p.default), p.comment)
            for page in all_pages(root)
            for p in page.parameters.values()
        ]
        _table(("page", "parameter", "type", "default", "meaning"), rows)


@app.command()
def run(
    pages: Annotated[
        list[str] | None, typer.Argument(metavar="PAGE", help="Pages by name; all of them by default.")
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Change a parameter; may be repeated."),
    ] = None,
    profile: Annotated[str, typer.Option(help=PROFILE_HELP)] = "book",
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N; default: CUDA if there is one.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", metavar="N", help="Pages at a time; 0: one for each core.")] = 0,
    cell_seconds: Annotated[
        int, typer.Option(metavar="S", help="The most that one cell may take.")
    ] = runner.CELL_SECONDS,
    force: Annotated[bool, typer.Option("--force", help="Run pages that are fresh too.")] = False,
) -> None:
    """Run pages headless and keep the executed notebooks. Pages that are fresh are not run again.

    Results: _build/executed (book profile), _build/quick, _build/paper, _build/custom (your own parameters),
    _build/failed.

    Example: attention-limits run PAGE -p num_tokens=64 -p accuracy=1e-3
    """
    root = _root()
    with _bad_input():
        if jobs < 0:
            raise ValueError(f"jobs must be at least 0, got {jobs}")
        if not cell_seconds >= 1:
            raise ValueError(f"cell-seconds must be at least 1, got {cell_seconds}")
        chosen: list[Page] = [get_page(root, name) for name in pages] if pages else all_pages(root)
        overrides = dict(_parse_parameter(text) for text in parameters or [])
        runs = [runner.plan(page, profile, overrides) for page in dict.fromkeys(chosen)]
        if device is not None:
            _resolve_device(device)  # refuse an unknown one even if there is nothing to run
    with runner.exclusive(root):
        wanted = [run for run in runs if force or not run.is_fresh]
        for fresh in (run for run in runs if run not in wanted):
            typer.echo(f"fresh {fresh.page.name}: {_shown(fresh.target)}", err=True)
        outcomes = []
        if wanted:
            with _bad_input():
                name, label = _resolve_device(device)
            cores = jobs or os.cpu_count() or 1
            outcomes = runner.execute(wanted, jobs=cores, device=name, device_label=label, cell_seconds=cell_seconds)
    for outcome in outcomes:
        typer.echo(_shown(outcome.run.failed_target if outcome.error else outcome.run.target))
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def sweep(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A page that trains; none: list them.")] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="AXIS=VALUES", help="Change an axis of the grid; may be repeated."),
    ] = None,
    profile: Annotated[str, typer.Option(help=PROFILE_HELP)] = "book",
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", help="Processes; 0: one for each accelerator or core.")
    ] = 0,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, such as tcp://host:8786.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Read what is in the store, or compute all of it again.")
    ] = True,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N; default: CUDA if there is one.")] = None,
) -> None:
    """Train the models of a page into the store. The page then only reads them; so does a sweep that is run again.

    Ctrl-C, a crash or a full disk loses at most what is being trained at that moment. The store is _build/store, or the
    folder that ATTENTION_LIMITS_STORE names.

    Example: attention-limits sweep PAGE -p sparsity_grid=[1,2] -j 2
    """
    root = _root()
    trained = {page.name: page for page in all_pages(root) if page.facts.study}
    if name is None:
        _table(("sweep", "axes"), [(page.name, ", ".join(_axes(_study(page)))) for page in trained.values()])
        return
    with _bad_input():
        if jobs < 0:
            raise ValueError(f"jobs must be at least 0, got {jobs}")
        near = difflib.get_close_matches(name, trained, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the sweeps are {', '.join(trained)}"
        if name not in trained:
            raise ValueError(f"no sweep {name!r}: {hint}")
        values = trained[name].resolve(profile, dict(_parse_parameter(text) for text in parameters or []))
        study = _study(trained[name])
    _sweep(root, name, study, values, jobs=jobs or None, scheduler=scheduler, fresh=not resume, device=device)


def _study(page: Page) -> Callable[..., Any]:
    """The function that trains a page's models; importing it imports torch, which costs seconds."""
    with _bad_input():
        try:
            return pkgutil.resolve_name(page.facts.study)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"page {page.name}: its study {page.facts.study!r} is not there: {error}") from error


def _sweep(root: Path, name: str, study: Callable[..., Any], values: dict[str, Any], **options: Any) -> None:
    from attention_limits.experiments.store import Store, StoreError
    from attention_limits.experiments.sweeps import Sweep, SweepError

    store = Store(Path(os.environ.get(STORE_VARIABLE, root / "_build" / "store")))
    with _bad_input():
        try:
            store.check_writable()
            at_work = Sweep(store, **options)
            at_work.check_scheduler()
        except (StoreError, SweepError) as error:
            raise ValueError(error) from error
    start = time.perf_counter()
    try:
        study(at_work, **{axis: values[axis] for axis in _axes(study)})
    except (StoreError, SweepError) as error:
        typer.echo(f"error: {error}. {at_work.computed} trials were computed and kept: run it again to go on", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo(f"{at_work.computed} trials were computed and kept: run it again to go on", err=True)
        raise
    found, seconds = at_work.asked - at_work.computed, time.perf_counter() - start
    typer.echo(
        f"{name}: {at_work.asked} trials, {found} from the store, {at_work.computed} computed in {seconds:.0f} s; "
        f"the store: {_shown(store.folder)}"
    )


def _axes(study: Callable[..., Any]) -> list[str]:
    """The parameters of a study: all of its arguments but the first, which computes trials."""
    return list(inspect.signature(study).parameters)[1:]


@app.command()
def build() -> None:
    """Print the book from the executed pages. Refused unless every page is fresh. Result: _build/html/index.html."""
    root = _root()
    program = Path(sys.executable).with_name("jupyter-book")
    with _bad_input():
        if not program.exists():
            raise ValueError("jupyter-book is not installed: pip install -e '.[book]'")
    with runner.exclusive(root):
        found = gate.problems(root)
        for problem in found:
            typer.echo(f"refused: {problem}", err=True)
        if found:
            raise typer.Exit(1)
        index = root / "_build" / "html" / "index.html"
        printed = datetime.fromtimestamp(index.stat().st_mtime, UTC) if index.exists() else NO_DATE
        status.write_tables(root, printed)
        # Sphinx counts a page that it has read as up to date, warnings or not: after a build that did not end well the
        # next one reads all pages again.
        unfinished = root / "_build" / ".unfinished"
        if unfinished.exists():
            shutil.rmtree(root / "_build" / ".doctrees", ignore_errors=True)
        unfinished.touch()
        command = [str(program), "build", str(root), "-n", "-W", "--keep-going", "-q"]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            typer.echo(result.stdout + result.stderr, err=True)
            raise typer.Exit(1)
        unfinished.unlink()
        index.touch()
        typer.echo(f"the book: {_shown(index)}")


@app.command("status")
def show_status() -> None:
    """Show each page's book run. State, profile, seconds, device, commit and claims; and what forbids printing."""
    root = _root()
    _table(("page", "state", "profile", "seconds", "device", "commit", "claims"), status.status_rows(root))
    typer.echo(status.summary(root))
    for problem in gate.problems(root):
        typer.echo(f"  {problem}")


@contextlib.contextmanager
def _bad_input() -> Iterator[None]:
    """Turn the ValueErrors of what is checked before anything is done into one line and exit code 2."""
    try:
        yield
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


def _root() -> Path:
    with _bad_input():
        root = find_root()
        own, loaded = (root / "src" / "attention_limits").resolve(), package_folder().resolve()
        if own.is_dir() and loaded != own:
            raise ValueError(
                f"this command runs the package in {loaded}, and the checkout's own is {own}: use its .venv"
            )
        for page in all_pages(root):
            page.resolve("book", {})  # a page whose parameters cell is broken
    return root


def _parse_parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (bool(equals) and name.isidentifier()):
        raise ValueError(f"a parameter reads NAME=VALUE, got {text!r}")
    try:
        return name, ast.literal_eval(value.strip())
    except (ValueError, TypeError, SyntaxError):
        return name, value  # a string, as it stands


def _resolve_device(name: str | None) -> tuple[str, str]:
    if (name or os.environ.get(DEVICE_VARIABLE)) == "cpu":
        return "cpu", "cpu"  # without torch, whose import takes seconds
    device = select_device(name)
    return str(device), device_name(device)


def _shown(path: Path) -> str:
    return os.path.relpath(path)


def _table(header: tuple[str, ...], rows: Sequence[status.Row]) -> None:
    table = Table(*header, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 10_000  # piped output is for other programs: a row stays a line
    console.print(table)


def main() -> None:
    """Run the command line; a usage error is one line and exit code 2, no argument at all asks for help."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a character that the terminal cannot show is no reason to fail
    arguments = sys.argv[1:]
    try:
        code = app(arguments or ["--help"], standalone_mode=False)
    except typer.TyperException as error:
        typer.echo(f"error: {error.format_message()} (in: {shlex.join(arguments)})", err=True)
        code = 2
    if code == INTERRUPTED:
        typer.echo("interrupted: what was finished is kept", err=True)
    sys.exit(code)
