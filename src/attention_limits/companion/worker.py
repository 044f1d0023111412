"""Headless runs of pages, one after another: ``python -m attention_limits.companion.worker SOCKETS``.

The runner starts one for each page that may run at a time, and writes jobs to its standard input: the path of a JSON
file, a line. Each page has a kernel of its own. It reports on standard output, which the page itself does not get, a
JSON object a line: ``{"cell": 3, "of": 20, "section": "…"}`` when a code cell starts, and at a page's end
``{"done": true}`` or ``{"error": "…"}``. The executed notebook lands in the job's ``output`` either way.
"""

import json
import logging
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

import jupytext
import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from traitlets.config import Config

#: Bytes of an executed notebook, above which its page fails: the book's pages have some hundred thousand.
LARGEST_NOTEBOOK = 20_000_000


def main(sockets: Path) -> None:
    """Do the jobs until standard input ends; the kernels' ``sockets`` are in one folder."""
    _die_with_parent(sockets)
    logging.disable(logging.WARNING)  # papermill repeats what is reported here
    channel = _report_channel()
    for line in sys.stdin:
        run(json.loads(Path(line.rstrip("\n")).read_text(encoding="utf-8")), channel)


def run(job: dict[str, Any], channel: TextIO) -> None:
    """Run one page and report of it to ``channel``."""
    os.environ.clear()
    os.environ.update(job["environment"])  # the kernel's too
    output = Path(job["output"])
    notebook = jupytext.read(job["source"], fmt="py:percent")
    position = Position(sum(cell.cell_type == "code" for cell in notebook.cells), channel)
    try:
        nbformat.write(notebook, output)  # papermill takes files, and only .ipynb ones
        papermill.execute_notebook(
            output,
            output,
            parameters=job["parameters"],
            kernel_name="python3",
            language="python",  # so that a source needs no header
            cwd=Path(job["source"]).parent,
            progress_bar=False,
            start_timeout=120,
            execution_timeout=job["cell_seconds"],
            force_raise_errors=True,  # in a cell tagged raises-exception too
            on_cell_start=position.enter,
            config=_connection(job["connection"]),
        )
        error = _oversized(output) or _halted(output) or _figureless(output)
    except papermill.PapermillExecutionError as raised:
        error = f"{raised.ename}: {_first_line(raised.evalue)}"
    except CellTimeoutError:
        error = f"took more than {job['cell_seconds']} s"
    except DeadKernelError:
        error = "the kernel died"
    except OSError as unwritable:  # of this process: what a page's code raises is wrapped
        error = f"{unwritable.strerror}: {unwritable.filename or output}"
    except Exception as other:  # whatever it is, the page has failed and the others go on
        error = f"{type(other).__name__}: {_first_line(str(other))}"
    position.tell(**({"error": f"{position}: {error}"} if error else {"done": True}))


class Position:
    """Where a run is: the cell, counted among the code cells of the source, and the last heading before it."""

    def __init__(self, num_cells: int, channel: TextIO) -> None:
        self.number, self.num_cells, self.channel = 0, num_cells, channel
        self.section = "before the first heading"

    def __str__(self) -> str:
        return f"cell {self.number} ({self.section})" if self.number else "before the first cell"

    def enter(self, cell: Any, **_: Any) -> None:
        """Move on to ``cell`` and report it."""
        if cell.cell_type == "markdown":
            headings = [line.lstrip("# ") for line in cell.source.splitlines() if line.startswith("#")]
            self.section = headings[-1] if headings else self.section
        elif cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", []):
            self.number += 1
            self.tell(cell=self.number, of=self.num_cells, section=self.section)

    def tell(self, **event: Any) -> None:
        """Report to the runner; if it has gone, wait for `_die_with_parent`, which cleans up."""
        try:
            print(json.dumps(event), file=self.channel, flush=True)
        except BrokenPipeError:
            time.sleep(60)


def _report_channel() -> TextIO:
    """This process's standard output, kept for the reports: the kernel inherits standard error in its place."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def _connection(path: str) -> Config:
    """Reach the kernel by sockets whose names begin so: ports are picked before they are bound, some of them twice.

    Once its page is run it is killed: to take all of torch down in good order costs seconds, and nothing waits for it.
    """
    settings = {"NotebookClient": {"shutdown_kernel": "immediate"}}
    if os.name == "posix" and len(os.fsencode(f"{path}-ipc-5")) <= 100:  # a socket's path has some 104 bytes at most
        settings["KernelManager"] = {"transport": "ipc", "connection_file": f"{path}.connection"}
    return Config(settings)


def _halted(output: Path) -> str:
    """What ended a run that papermill calls good: it takes a page's SystemExit for its regular end."""
    outputs = [shown for cell in nbformat.read(output, 4).cells for shown in cell.get("outputs", [])]
    return next((f"{shown.ename}: {shown.evalue}" for shown in outputs if shown.output_type == "error"), "")


def _oversized(output: Path) -> str:
    """That a page shows more than anybody reads; its outputs are then dropped."""
    size = output.stat().st_size
    if size <= LARGEST_NOTEBOOK:
        return ""
    notebook = nbformat.read(output, 4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    nbformat.write(notebook, output)
    return f"its outputs take {size / 1e6:.0f} MB, and at most {LARGEST_NOTEBOOK / 1e6:.0f} MB are kept"


def _figureless(output: Path) -> str:
    """The figure that a cell declares and does not show."""
    for cell in nbformat.read(output, 4).cells:
        declared = cell.metadata.get("mystnb", {}).get("figure", {}).get("name", "")
        kinds = [kind for shown in cell.get("outputs", []) for kind in shown.get("data", {})]
        if declared and not any(kind.startswith("image/") for kind in kinds):
            return f"the figure {declared} was not drawn"
    return ""


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0]


def _die_with_parent(sockets: Path) -> None:
    """End this process, and by its own watch the kernel, when the runner is killed: nobody would take the result.

    The folder of all pages' ``sockets``, which the runner would have removed, goes then.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        shutil.rmtree(sockets, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except KeyboardInterrupt:  # the runner says so once for all pages
        sys.exit(130)
