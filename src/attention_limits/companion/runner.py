"""Runs pages headless, several at a time, and puts each result where it belongs, whole or not at all.

`_build/executed` holds only good runs of the book profile at default parameters. Quick and custom runs go to
`_build/quick` and `_build/custom`, and what failed to `_build/failed`.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
from filelock import FileLock, Timeout

from attention_limits.companion import claims, kernels
from attention_limits.companion.display import Display
from attention_limits.companion.pages import Page, Parameters
from attention_limits.companion.workers import Workers
from attention_limits.files import publish
from attention_limits.runtime import DEVICE_VARIABLE, PAGE_VARIABLE, PROFILE_VARIABLE, STORE_VARIABLE

#: The notebook metadata under which a run describes itself.
METADATA_KEY = "attention_limits"
#: Seconds that a cell may take before its page fails.
CELL_SECONDS = 900


@dataclass(frozen=True)
class Run:
    """One page to run, with every parameter's value, and where its result goes."""

    page: Page
    profile: str
    parameters: Parameters
    #: True if the parameters are not the profile's own.
    custom: bool

    @property
    def kind(self) -> str:
        """The folder of `_build` for results of this kind: executed, quick or custom."""
        return "custom" if self.custom else {"book": "executed"}.get(self.profile, self.profile)

    @property
    def target(self) -> Path:
        """The executed notebook of a good run."""
        return self.page.root / "_build" / self.kind / f"{self.page.name}.ipynb"

    @property
    def failed_target(self) -> Path:
        """The notebook of a failed run, up to its failing cell."""
        return self.page.root / "_build" / "failed" / self.kind / f"{self.page.name}.ipynb"

    @property
    def is_fresh(self) -> bool:
        """Whether this very run, on this source, package and versions, was done and did not fail since."""
        digests = self.page.digests(self.parameters)
        done, failed = (read_run(path) for path in (self.target, self.failed_target))
        return done is not None and done["digests"] == digests and (failed is None or failed["digests"] != digests)


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    run: Run
    seconds: float
    error: str | None
    num_claims: int


def plan(page: Page, profile: str, overrides: Mapping[str, Any]) -> Run:
    """The run of ``page`` with these parameters; raises ValueError as `Page.resolve` does."""
    parameters, usual = page.resolve(profile, overrides), page.resolve(profile, {})
    return Run(page, profile, parameters, custom=parameters != usual)


def read_run(path: Path) -> dict[str, Any] | None:
    """What an executed notebook says about its run; None if there is none, or it is not as a run left it."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        about = notebook["metadata"][METADATA_KEY]
        return about if about["checksum"] == checksum(notebook) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def checksum(notebook: Mapping[str, Any]) -> str:
    """A hash of a notebook's cells with their outputs."""
    return hashlib.sha256(json.dumps(notebook["cells"], sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Hold this checkout's lock; whoever comes second says so and waits. The system frees it when a process dies."""
    build = root / "_build"
    build.mkdir(exist_ok=True)
    lock = FileLock(build / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(
            "another attention-limits command is at work in this checkout: waiting for it", file=sys.stderr, flush=True
        )
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def execute(
    runs: list[Run], *, jobs: int, device: str, device_label: str, cell_seconds: int = CELL_SECONDS
) -> list[Outcome]:
    """Run all of ``runs``, ``jobs`` at a time; a page that fails doesn't stop the others. Call it under `exclusive`.

    Args:
        device: handed to the pages, as `attention_limits.runtime.select_device` names it.
        device_label: written into each result.
        cell_seconds: the most that one cell may take.
    """
    if not runs:
        return []
    scratch = runs[0].page.root / "_build" / "running"
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left; the lock says that nobody is using it
    threads = max(1, (os.cpu_count() or 1) // min(jobs, len(runs)))
    sockets = tempfile.TemporaryDirectory(prefix="pages-")  # not in _build: a socket's path must be short
    outcomes = []
    try:
        scratch.mkdir(parents=True)
        execution = _Execution(scratch, Path(sockets.name), device, device_label, threads, cell_seconds)
        together = ThreadPoolExecutor(min(jobs, len(runs)))
        with sockets, execution.forking(runs), execution.display, execution.workers, together as pool:
            futures = [pool.submit(execution.run, run) for run in runs]
            try:
                for future in as_completed(futures):
                    outcome = future.result()
                    outcomes.append(outcome)
                    execution.display.ended(outcome.run.page.name, outcome.seconds, outcome.num_claims, outcome.error)
            except BaseException:  # Ctrl-C above all: stop the pages, keep nothing of them
                pool.shutdown(wait=False, cancel_futures=True)
                execution.workers.stop()  # their threads then return without publishing anything
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return outcomes


class _Execution:
    """Pages running at the same time: what they share, and their processes."""

    def __init__(
        self, scratch: Path, sockets: Path, device: str, device_label: str, threads: int, cell_seconds: int
    ) -> None:
        self.scratch, self.sockets, self.cell_seconds = scratch, sockets, cell_seconds
        self.device, self.device_label, self.threads = device, device_label, threads
        self.display = Display()
        self.workers = Workers(sockets)
        # The kernel is this very Python, whatever kernels the user has: the first place that is searched says so.
        spec: dict[str, Any] = {"display_name": "Python 3", "language": "python"}
        self.nursery_address = sockets / "fork"
        if kernels.can_fork(self.nursery_address):
            spec["argv"] = [str(self.nursery_address), "-f", "{connection_file}"]
            spec["metadata"] = {"kernel_provisioner": {"provisioner_name": kernels.PROVISIONER}}
        else:
            spec["argv"] = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        kernel = scratch / "jupyter" / "kernels" / "python3" / "kernel.json"
        kernel.parent.mkdir(parents=True)
        kernel.write_text(json.dumps(spec), encoding="utf-8")
        # Matplotlib's settings are the page's alone. The folder stays: it holds the list of fonts, which costs seconds.
        settings = scratch.parent / "matplotlib" / "matplotlibrc"
        settings.parent.mkdir(exist_ok=True)
        settings.write_text("", encoding="utf-8")
        # ipykernel repeats on standard error what is reported here; its own configuration alone can silence that.
        profile = scratch / "ipython" / "profile_default"
        profile.mkdir(parents=True)
        (profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 50\n", encoding="utf-8")

    @contextlib.contextmanager
    def forking(self, runs: list[Run]) -> Iterator[None]:
        """Hold the process that the kernels of ``runs`` are forked from, where they are."""
        if not kernels.can_fork(self.nursery_address):
            yield
            return
        modules = kernels.slow_imports(run.page.path.read_text(encoding="utf-8") for run in runs)
        nursery = kernels.Nursery(self.nursery_address, modules, self._environment(runs[0]))
        try:
            yield
        finally:
            nursery.close()

    def run(self, run: Run) -> Outcome:
        """Run one page and publish the result; a full disk fails this page alone."""
        start = time.perf_counter()
        try:
            error, num_claims = self._run(run)
        except OSError as unwritable:
            error, num_claims = f"{unwritable.strerror}: {unwritable.filename or self.scratch}", 0
        return Outcome(run, time.perf_counter() - start, error, num_claims)

    def _run(self, run: Run) -> tuple[str | None, int]:
        start, name = time.perf_counter(), run.page.name
        output, job = self.scratch / f"{name}.ipynb", self.scratch / f"{name}.json"
        # Only what differs from the page's own values is injected, so that the book's pages show no injected cell.
        injected = {k: v for k, v in run.parameters.items() if v != run.page.parameters[k].default}
        order: dict[str, Any] = {
            "source": str(run.page.path),
            "output": str(output),
            "connection": str(self.sockets / name),
            "parameters": injected,
            "cell_seconds": self.cell_seconds,
            "environment": self._environment(run),
        }
        job.write_text(json.dumps(order), encoding="utf-8")
        digests = run.page.digests(run.parameters)  # taken first: an edit meanwhile makes the result stale, not fresh
        worker = self.workers.engage(order["environment"])
        self.display.started(name)
        last = self.workers.do(worker, job, partial(self.display.event, name))
        error, notebook = last.get("error"), nbformat.v4.new_notebook()
        if "killed" in last:
            error = f"its process ended with status {last['killed']}"
        else:
            with contextlib.suppress(nbformat.reader.NotJSONError):  # half a file, the rest found no place
                notebook = nbformat.read(output, 4)
        # As the kernel tells it; one that did not come so far told nothing.
        python = notebook.metadata.get("language_info", {}).get("version", platform.python_version())
        num_claims = len(claims.records(notebook))
        if not self.workers.stopped.is_set():
            notebook.metadata.pop("papermill", None)
            notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
            notebook.metadata[METADATA_KEY] = {
                "page": name,
                "profile": "custom" if run.custom else run.profile,
                "parameters": run.parameters,
                "digests": digests,
                "seconds": round(time.perf_counter() - start, 1),
                "device": self.device_label,
                "threads": self.threads,
                "versions": {"python": python, **_versions("torch", "numpy", "scipy")},
                "commit": commit(run.page.root),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "error": error,
            }
            # Of what will be read: nbformat writes long texts as lists of lines.
            written = json.loads(nbformat.writes(notebook))
            written["metadata"][METADATA_KEY]["checksum"] = checksum(written)
            publish(
                json.dumps(written, ensure_ascii=False, indent=1) + "\n", run.failed_target if error else run.target
            )
            if not error:
                run.failed_target.unlink(missing_ok=True)
        return error, num_claims

    def _environment(self, run: Run) -> dict[str, str]:
        return {
            **_neutral(os.environ),
            "IPYTHONDIR": str(self.scratch / "ipython"),
            "JUPYTER_PATH": str(self.scratch / "jupyter"),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "MPLCONFIGDIR": str(run.page.root / "_build" / "matplotlib"),
            "OMP_NUM_THREADS": str(self.threads),
            "OPENBLAS_NUM_THREADS": str(self.threads),
            DEVICE_VARIABLE: self.device,
            PAGE_VARIABLE: run.page.name,
            PROFILE_VARIABLE: "custom" if run.custom else run.profile,
            STORE_VARIABLE: os.environ.get(STORE_VARIABLE, str(run.page.root / "_build" / "store")),
        }


#: Variables that would change what a page does or shows: settings of matplotlib, Jupyter and Python's warnings.
FOREIGN = ("MATPLOTLIBRC", "JUPYTER_PREFER_ENV_PATH", "PYTHONWARNINGS")


def _neutral(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what a user set for other programs."""
    return {name: value for name, value in environment.items() if name not in FOREIGN}


def commit(root: Path) -> str:
    """The checkout's commit, with a plus sign if tracked files differ from it; "unknown" outside git.

    A repository around the checkout is not the checkout's, and variables that point git elsewhere are ignored.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return "unknown"
        return git("describe", "--always", "--dirty=+", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _versions(*names: str) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in names}
