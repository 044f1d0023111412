"""The command line: ``attention-limits list | run | sweep | records | build | pdf | status``.

Exit codes: 0 all went well; 1 a page or a sweep failed, or the book may not be printed; 2 bad input, nothing was done.
"""

import errno
import io
import os
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from attention_limits.companion import gate, runner, status, sweep_commands
from attention_limits.companion.pages import Page, all_pages, get_page
from attention_limits.companion.terminal import (
    PROFILE_HELP,
    bad_input,
    book_program,
    find_book,
    parse_parameter,
    print_table,
    resolve_device,
    shown,
)
from attention_limits.files import publish

app = typer.Typer(
    help="Run the pages of Attention Limits and print the book.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
#: The exit code that typer gives for Ctrl-C.
INTERRUPTED = 130
NO_DATE = datetime.fromtimestamp(0, UTC)


@app.command("list")
def list_pages(
    parameters: Annotated[bool, typer.Option("--parameters", help="Show each page's parameters too.")] = False,
) -> None:
    """List the pages. Title, last run, and whether that is fresh, stale, missing or failed."""
    root = find_book()
    print_table(("page", "title", "last run", "state"), status.page_rows(root))
    if parameters:
        rows = [
            (page.name, p.name, p.type_name, repr(p.default), p.comment)
            for page in all_pages(root)
            for p in page.parameters.values()
        ]
        print_table(("page", "parameter", "type", "default", "meaning"), rows)


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

    Results: _build/executed (book profile), _build/quick, _build/custom (your own parameters), _build/failed.

    Example: attention-limits run PAGE -p num_tokens=64 -p accuracy=1e-3
    """
    root = find_book()
    with bad_input():
        if jobs < 0:
            raise ValueError(f"jobs must be at least 0, got {jobs}")
        if not cell_seconds >= 1:
            raise ValueError(f"cell-seconds must be at least 1, got {cell_seconds}")
        chosen: list[Page] = [get_page(root, name) for name in pages] if pages else all_pages(root)
        overrides = dict(parse_parameter(text) for text in parameters or [])
        runs = [runner.plan(page, profile, overrides) for page in dict.fromkeys(chosen)]
        if device is not None:
            resolve_device(device)  # refuse an unknown one even if there is nothing to run
    with runner.exclusive(root):
        wanted = [run for run in runs if force or not run.is_fresh]
        for fresh in (run for run in runs if run not in wanted):
            typer.echo(f"fresh {fresh.page.name}: {shown(fresh.target)}", err=True)
        outcomes = []
        if wanted:
            with bad_input():
                name, label = resolve_device(device)
            cores = jobs or os.cpu_count() or 1
            outcomes = runner.execute(wanted, jobs=cores, device=name, device_label=label, cell_seconds=cell_seconds)
    for outcome in outcomes:
        result = outcome.run.failed_target if outcome.error else outcome.run.target
        if result.exists():  # a full disk may have had no place for it
            typer.echo(shown(result))
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


app.command()(sweep_commands.sweep)
app.command()(sweep_commands.records)


@app.command()
def build() -> None:
    """Print the book from the executed pages. Refused unless every page is fresh. Result: _build/html/index.html."""
    root = find_book()
    with bad_input():
        program = book_program()
    with runner.exclusive(root):
        found = gate.problems(root)
        for problem in found:
            typer.echo(f"refused: {problem}", err=True)
        if found:
            raise typer.Exit(1)
        index, last = root / "_build" / "html" / "index.html", root / "_build" / ".printed"
        made_of = gate.ingredients(root)
        if index.exists() and last.exists() and last.read_text(encoding="utf-8") == made_of:
            typer.echo(f"the book, as it was printed: {shown(index)}")
            return
        printed = datetime.fromtimestamp(index.stat().st_mtime, UTC) if index.exists() else NO_DATE
        status.write_tables(root, printed)
        # Sphinx counts a page that it has read as up to date, warnings or not: after a build that did not end well the
        # next one reads all pages again.
        if not last.exists():
            shutil.rmtree(root / "_build" / ".doctrees", ignore_errors=True)
        last.unlink(missing_ok=True)
        command = [str(program), "build", str(root), "-n", "-W", "--keep-going", "-q"]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            typer.echo(result.stdout + result.stderr, err=True)
            raise typer.Exit(1)
        index.touch()
        publish(made_of, last)
        typer.echo(f"the book: {shown(index)}")


@app.command("pdf")
def print_pdf() -> None:
    """Print the book as one PDF, by Chromium or Chrome. Refused unless every page is fresh. Result: _build/*.pdf."""
    root = find_book()
    with bad_input():
        book_program()
        from attention_limits.companion import pdf  # here: it imports what is installed with that program

        browser = pdf.find_browser()
        if found := gate.problems(root):
            raise ValueError(f"the book is not printed: {found[0]}")
    with runner.exclusive(root):
        typer.echo("printing, twice: the first time tells the numbers of the pages; a minute or two", err=True)
        try:
            target = pdf.print_book(root, browser)
        except pdf.PrintError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from error
    typer.echo(f"the book: {shown(target)}")


@app.command("status")
def show_status() -> None:
    """Show each page's book run. State, profile, seconds, device, commit and claims; and what forbids printing."""
    root = find_book()
    print_table(("page", "state", "profile", "seconds", "device", "commit", "claims"), status.status_rows(root))
    typer.echo(status.summary(root))
    for problem in gate.problems(root):
        typer.echo(f"  {problem}")


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
    except OSError as error:  # above all a full disk, which names no file
        if error.filename is None and error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        typer.echo(f"error: {error.strerror}: {shown(error.filename or '_build')}", err=True)
        code = 1
    if code == INTERRUPTED:
        typer.echo("interrupted: what was finished is kept", err=True)
    sys.exit(code)
