"""One headless run of one page, in a process of its own: ``python -m attention_limits.companion.worker JOB.json``.

It reports on standard output, a JSON object a line: ``{"cell": 3, "of": 20, "section": "…"}`` when a cell starts, and
at the end ``{"done": true}`` or ``{"error": "…"}``. The executed notebook lands in the job's ``output`` either way.
"""

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill


def main(job_path: Path) -> int:
    """Run the job; 0 if every cell ran, else 1."""
    _die_with_parent()
    logging.disable(logging.WARNING)  # papermill repeats what is reported here
    job = json.loads(job_path.read_text(encoding="utf-8"))
    output = Path(job["output"])
    notebook = jupytext.read(job["source"], fmt="py:percent")
    nbformat.write(notebook, output)  # papermill takes files, and only .ipynb ones
    offset = 1 if job["parameters"] else 0  # papermill adds a cell for what it injects
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]

    def report(cell: Any, cell_index: int) -> None:
        before = max(0, cell_index - offset)
        number = sum(index <= before for index in code)
        _tell(cell=number, of=len(code), section=section(notebook.cells, before))

    try:
        papermill.execute_notebook(
            output,
            output,
            parameters=job["parameters"],
            kernel_name="python3",
            cwd=Path(job["source"]).parent,
            progress_bar=False,
            start_timeout=120,
            execution_timeout=job["cell_seconds"],
            on_cell_start=report,
        )
    except Exception as error:  # a cell that raises, a kernel that dies, a cell over its time: told apart by name
        executed = nbformat.read(output, 4)
        _tell(error=explain(error, executed.cells, job["cell_seconds"]))
        return 1
    _tell(done=True)
    return 0


def explain(error: Exception, cells: list[Any], cell_seconds: float) -> str:
    """One line: the cell and its section, then what happened."""
    started = [
        i for i, c in enumerate(cells) if c.cell_type == "code" and c.metadata.get("papermill", {}).get("start_time")
    ]
    if not started:
        return f"before the first cell: {type(error).__name__}: {_first_line(error)}"
    index = started[-1]
    number = sum(cell.cell_type == "code" for cell in cells[: index + 1])
    place = f"cell {number} ({section(cells, index)})"
    if isinstance(error, papermill.PapermillExecutionError):
        return f"{place}: {error.ename}: {error.evalue.splitlines()[0] if error.evalue else ''}"
    names = {"CellTimeoutError": f"took more than {cell_seconds:g} s", "DeadKernelError": "the kernel died"}
    return f"{place}: {names.get(type(error).__name__, f'{type(error).__name__}: {_first_line(error)}')}"


def section(cells: list[Any], index: int) -> str:
    """The last heading before a cell."""
    for cell in reversed(cells[: index + 1]):
        if cell.cell_type == "markdown":
            headings = [line.lstrip("# ") for line in cell.source.splitlines() if line.startswith("#")]
            if headings:
                return headings[-1]
    return "before the first heading"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def _tell(**event: Any) -> None:
    print(json.dumps(event), flush=True)


def _die_with_parent() -> None:
    """End this process, and by its own watch the kernel, when the runner is killed: nobody would take the result."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except KeyboardInterrupt:  # the runner says so once for all pages
        sys.exit(130)
