"""Kernels as forks: what they share, what they don't, and that none outlives what it was started for."""

import signal
from functools import partial
from pathlib import Path

import psutil
import pytest

from attention_limits.companion import kernels

from .conftest import HOLD, Project, text_of, wait_until

WHOSE_CHILD = 'import os, sys\nprint("child of", os.getppid(), "pandas" in sys.modules)'


@pytest.mark.parametrize(("imports", "loaded"), [("import pandas", True), ("import math", False)])
def test_kernels_are_forks_of_one_process_that_has_loaded_what_one_of_the_pages_imports(
    project: Project, imports: str, loaded: bool
) -> None:
    project.add("alpha", WHOSE_CHILD, imports)
    project.add("beta", WHOSE_CHILD)
    assert [outcome.error for outcome in project.execute("alpha", "beta")] == [None, None]
    told = [line for name in ("alpha", "beta") for line in text_of(project.executed(name)).splitlines()]
    first, second = (line for line in told if line.startswith("child of"))
    assert first == second
    assert first.endswith(str(loaded))
    assert not psutil.pid_exists(int(first.split()[2]))


def test_what_one_page_changes_in_its_process_another_does_not_see(project: Project) -> None:
    change = 'import os, sys\nos.environ["CHANGED"] = "yes"\nsys.path.insert(0, "changed")\nos.chdir("/")'
    look = 'import os, sys\nprint(os.environ.get("CHANGED"), "changed" in sys.path, os.getcwd())'
    project.add("alpha", change, "import pandas\npandas.changed = True")
    project.add("beta", HOLD, look, 'import pandas\nprint(hasattr(pandas, "changed"))')
    for name in ("alpha", "beta"):  # one after the other would do for forks, and not for one process
        assert [outcome.error for outcome in project.execute(name)] == [None]
    told = text_of(project.executed("beta"))
    assert f"None False {project.root / 'notebooks'}\nFalse" in told


def test_what_a_page_started_ends_with_it_whether_it_is_good_or_not(project: Project) -> None:
    start = 'import subprocess\nchild = subprocess.Popen(["sleep", "1000"])\nprint("started", child.pid)'
    project.add("alpha", start)
    project.add("beta", start, 'raise RuntimeError("planted")')
    assert sorted(bool(outcome.error) for outcome in project.execute("alpha", "beta")) == [False, True]
    places = [project.executed("alpha"), project.root / "_build" / "failed" / "executed" / "beta.ipynb"]
    for place in places:
        (line,) = (line for line in text_of(place).splitlines() if line.startswith("started"))
        pid = int(line.split()[1])
        wait_until(partial(_ended, pid), "the end of what a page started")


def test_what_a_page_started_ends_when_its_kernel_ends_itself(project: Project) -> None:
    note = project.root / "number"
    start = 'import os, pathlib, subprocess\nchild = subprocess.Popen(["sleep", "1000"])\n'
    project.add("alpha", f"{start}pathlib.Path({str(note)!r}).write_text(str(child.pid))\nos._exit(3)")
    (outcome,) = project.execute("alpha")
    assert "the kernel died" in (outcome.error or "")
    wait_until(partial(_ended, int(note.read_text())), "the end of what a page started")


def test_a_page_that_is_killed_takes_its_kernel_along_and_what_that_started(project: Project) -> None:
    (project.root / "hold").touch()
    project.add("alpha", f'import subprocess\nchild = subprocess.Popen(["sleep", "1000"])\n{HOLD}')
    with project.start("run") as command:
        wait_until((project.root / "reached").exists, "the page")
        family = psutil.Process(command.pid).children(recursive=True)
        (sleeper,) = (process for process in family if process.name() == "sleep")
        kernel = sleeper.parent()
        assert kernel is not None
        (page,) = (process for process in family if "attention_limits.companion.worker" in process.cmdline())
        page.kill()
        command.communicate(timeout=300)
        assert command.returncode == 1
        for process in (kernel, sleeper):
            wait_until(partial(_ended, process.pid), "the end of the page's processes")


def test_pages_fail_and_nothing_is_left_when_the_process_that_was_forked_is_killed(project: Project) -> None:
    (project.root / "hold").touch()
    project.add("alpha", HOLD)
    with project.start("run") as command:
        wait_until((project.root / "reached").exists, "the page")
        children = psutil.Process(command.pid).children()
        (parent,) = (child for child in children if kernels.__name__ in child.cmdline())
        (kernel,) = parent.children()
        parent.send_signal(signal.SIGKILL)
        _, errors = command.communicate(timeout=300)
        assert command.returncode == 1
        assert "FAIL  alpha, cell" in errors
        assert "kernel died" in errors
        wait_until(partial(_ended, kernel.pid), "the end of the kernel")
    assert project.processes() == []


def test_where_there_is_no_fork_a_kernel_starts_by_itself(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "can_fork", lambda address: False)
    project.add("alpha", WHOSE_CHILD)
    project.add("beta", WHOSE_CHILD)
    assert [outcome.error for outcome in project.execute("alpha", "beta")] == [None, None]
    first, second = (
        next(line for line in text_of(project.executed(name)).splitlines() if line.startswith("child of"))
        for name in ("alpha", "beta")
    )
    assert first != second


def test_a_socket_whose_path_is_too_long_for_the_system_is_not_tried() -> None:
    assert kernels.can_fork(Path("/tmp/a"))
    assert not kernels.can_fork(Path("/tmp") / ("a" * 100))


def test_only_what_pages_import_is_loaded_and_what_they_import_through_the_package_is_seen() -> None:
    assert kernels.slow_imports(["import math"]) == []
    assert kernels.slow_imports(["from pandas import DataFrame", "x = 1"]) == ["pandas"]
    assert kernels.slow_imports(["from attention_limits import figures"]) == ["pandas", "matplotlib.pyplot", "seaborn"]
    assert "torch" in kernels.slow_imports(["from attention_limits.models.attention import Attended"])
    training = kernels.slow_imports(["import attention_limits.experiments.training"])
    assert {"torch", kernels.OPTIMISER} <= set(training)
    assert kernels.OPTIMISER not in kernels.slow_imports(["import attention_limits.models.attention"])
    assert kernels.slow_imports(["# import torch", "imported = 'torch'"]) == []
    assert kernels.slow_imports(["def draw():\n    import pandas"]) == ["pandas"]
    assert kernels.slow_imports(["from attention_limits.companion.claims import claim"]) == []  # but in functions


def _ended(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
