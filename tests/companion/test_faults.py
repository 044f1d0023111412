"""Faults of pages and machines: after each the command says so in a line, and what is made next is the same book.

`make faults` runs those that kill processes, at ten moments each, drawn from a seed: it takes minutes.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import psutil
import pytest

from attention_limits.companion import kernels

from .conftest import TIMEOUT, Project, copy_of, records_of, text_of

MOMENTS = 10
FIGURE = """\
# %% mystnb={"figure": {"name": "fig-NAME", "caption": "A line."}}
import matplotlib.pyplot as plt

plt.plot([0, 1], [0, 1])
plt.show();"""


HOARD = """\
held = []
try:
    while True:
        held.append(bytearray(50_000_000))
except MemoryError:
    print("held", 5e7 * len(held))
    raise"""


def images_of(path: Path) -> list[str]:
    """The pictures in a notebook, as they are written."""
    notebook = nbformat.read(path, 4)
    outputs = (output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs)
    return [text for output in outputs for kind, text in output.get("data", {}).items() if kind.startswith("image/")]


def book_of(project: Project) -> dict[str, tuple[object, object]]:
    """The claims and the pictures of every page."""
    return {name: (records_of(project.executed(name)), images_of(project.executed(name))) for name in project.listed()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, _finished: Project) -> tuple[Project, float]:
    """A printed book with a figure on each page, and the seconds that its run took."""
    project = copy_of(_finished, tmp_path_factory.mktemp("whole") / "project")
    for name in project.listed():
        source = project.source(name)
        source.write_text(
            source.read_text(encoding="utf-8") + "\n" + FIGURE.replace("NAME", name) + "\n", encoding="utf-8"
        )
    start = time.monotonic()
    project.must("run")
    seconds = time.monotonic() - start
    project.must("build")
    return project, seconds


def kernel_parents(command: psutil.Process) -> list[psutil.Process]:
    return [child for child in command.children() if kernels.__name__ in child.cmdline()]


#: Who is killed, found among the processes that the command has started.
VICTIMS: dict[str, Callable[[psutil.Process], list[psutil.Process]]] = {
    "the command": lambda command: [command],
    "a page": lambda command: [
        child for child in command.children() if "attention_limits.companion.worker" in child.cmdline()
    ],
    "a kernel": lambda command: [kernel for parent in kernel_parents(command) for kernel in parent.children()],
    "what kernels are forked from": kernel_parents,
}


def kill(process: subprocess.Popen[str], find: Callable[[psutil.Process], list[psutil.Process]], after: float) -> None:
    """Kill what ``find`` finds, once so many seconds have passed and there is something."""
    time.sleep(after)
    while process.poll() is None:
        try:
            if found := find(psutil.Process(process.pid)):
                found[0].kill()
                return
        except psutil.Error:
            pass
        time.sleep(0.01)


@pytest.mark.faults
@pytest.mark.parametrize("moment", range(MOMENTS))
@pytest.mark.parametrize("victim", VICTIMS)
def test_whoever_is_killed_the_next_run_gives_the_same_book(
    victim: str, moment: int, whole: tuple[Project, float], tmp_path: Path
) -> None:
    project, seconds = copy_of(whole[0], tmp_path / "project"), whole[1]
    expected = book_of(project)
    shutil.rmtree(project.root / "_build" / "executed")
    after = random.Random(f"{victim} {moment}").uniform(0, seconds)
    with project.start("run") as process:
        kill(process, VICTIMS[victim], after)
        _, errors = process.communicate(timeout=TIMEOUT)
    assert "Traceback" not in errors
    assert process.returncode in (0, 1, -signal.SIGKILL), f"killed after {after:.2f} s"
    assert (project.root / "_build" / "html" / "index.html").exists()  # the last good book
    project.must("run")
    assert book_of(project) == expected
    assert not list((project.root / "_build").rglob("*.new"))
    assert project.processes() == []


@pytest.mark.faults
@pytest.mark.parametrize("moment", range(MOMENTS))
def test_after_a_print_that_was_killed_the_next_one_is_whole(
    moment: int, whole: tuple[Project, float], tmp_path: Path
) -> None:
    project = copy_of(whole[0], tmp_path / "project")
    project.edit("book/intro.md", "It begins.", "It begins anew.")
    with project.start("build") as process:
        kill(process, lambda command: command.children() or [command], random.Random(moment).uniform(0, 6))
        process.communicate(timeout=TIMEOUT)
    project.must("build")
    assert "It begins anew." in project.html("book/intro").read_text(encoding="utf-8")
    assert all(project.html(f"notebooks/{name}").stat().st_size > 10_000 for name in project.listed())


def test_a_page_that_prints_without_end_fails_with_the_size_of_it_and_keeps_none(finished: Project) -> None:
    finished.add("gamma", 'for _ in range(100):\n    print("x" * 250_000)')
    (outcome,) = finished.execute("gamma")
    assert outcome.error is not None
    assert "its outputs take 25 MB, and at most 20 MB are kept" in outcome.error
    assert outcome.run.failed_target.stat().st_size < 100_000


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is the kernel's, on Linux alone")
def test_a_page_that_asks_for_memory_without_end_gets_an_error_and_not_the_machines_last_byte(
    finished: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished.add("gamma", HOARD)
    # This machine seems to have little memory, so that the test does not need much.
    little = "lambda name: 600_000 if name == 'SC_PHYS_PAGES' else real(name)"
    customised = finished.root / "sitecustomize.py"
    customised.write_text(f"import os\nreal = os.sysconf\nos.sysconf = {little}\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(finished.root))
    (outcome,) = finished.execute("gamma")
    assert outcome.error is not None
    assert "MemoryError" in outcome.error
    (told,) = (line for line in text_of(outcome.run.failed_target).splitlines() if line.startswith("held"))
    little_memory = 600_000 * os.sysconf("SC_PAGE_SIZE")
    assert 0 < float(told.split()[1]) < kernels.MEMORY_SHARE * little_memory


def test_a_checkout_that_cannot_be_written_is_told_in_a_line(finished: Project) -> None:
    shutil.rmtree(finished.root / "_build")
    (finished.root / "_build").write_text("no folder")  # what a read-only disk does, for whom nothing is read-only
    result = finished.command("run")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1


def test_sources_from_the_future_and_a_clock_that_was_set_back_change_nothing(
    whole: tuple[Project, float], tmp_path: Path
) -> None:
    project = copy_of(whole[0], tmp_path / "project")
    future = time.time() + 10**6
    for path in [*project.root.glob("*.yml"), *(project.root / "book").glob("*.md"), *project.root.glob("notebooks/*")]:
        os.utime(path, (future, future))
    assert project.must("run").stdout == ""  # every page is fresh
    project.edit("book/intro.md", "It begins.", "It begins later.")
    past = time.time() - 10**6
    os.utime(project.root / "book" / "intro.md", (past, past))
    project.must("build")
    assert "It begins later." in project.html("book/intro").read_text(encoding="utf-8")
