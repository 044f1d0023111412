"""How runs are shown while they go on: live bars on a terminal, a line for each start and end elsewhere."""

import threading
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Display:
    """A bar or two lines for each page that runs."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, markup=False)
        columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, TextColumn("{task.fields[section]}"), console=self.console, transient=True)
        self.tasks: dict[str, TaskID] = {}
        self.lock = threading.Lock()

    def __enter__(self) -> "Display":
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.console.is_terminal:
            self.progress.stop()

    def started(self, page: str) -> None:
        """A page runs from now on."""
        with self.lock:
            self.tasks[page] = self.progress.add_task(page, total=None, section="starting")
        if not self.console.is_terminal:
            self.console.print(f"run   {page} …")

    def event(self, page: str, event: Mapping[str, Any]) -> None:
        """A page's process reports the cell that it starts."""
        if "cell" in event:
            task = self.tasks[page]
            self.progress.update(task, completed=event["cell"] - 1, total=event["of"], section=event["section"])

    def ended(self, page: str, seconds: float, num_claims: int, error: str | None) -> None:
        """A page has ended; one that could not be started was never shown."""
        with self.lock:
            if (task := self.tasks.pop(page, None)) is not None:
                self.progress.remove_task(task)
        good = f"ok    {page}  {seconds:.0f} s, {num_claims} claims hold"
        self.console.print(f"FAIL  {page}, {error}" if error else good, soft_wrap=True)
