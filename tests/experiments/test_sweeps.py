"""Sweeps: processes, a cluster and a killed run give what one process gives, and nothing that was finished is lost."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from attention_limits.experiments import sweeps
from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.records import rounded
from attention_limits.experiments.store import Store, StoreError
from attention_limits.experiments.sweeps import Sweep, SweepError

from .sweep_script import TRIALS

SCRIPT = Path(__file__).with_name("sweep_script.py")
#: Seconds after which something counts as hung.
TIMEOUT = 180.0
#: What the current test started.
STARTED: list[subprocess.Popen[str]] = []

SMALL = [
    AveragingTrial(architecture="attention", num_tokens=5, sparsity=2, size=4, num_steps=10 + number % 2, seed=number)
    for number in range(4)
]


def errors(store: Store, trials: list[AveragingTrial]) -> list[float | None]:
    found = [store.get(trial) for trial in trials]
    return [None if result is None else result["error"] for result in found]


def records(store: Store) -> list[Path]:
    return list(store.folder.glob("*.json"))


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        assert process is None or process.poll() is None, "it ended too early"
        time.sleep(0.01)


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Whatever a test started ends with it, also when the test fails: some of it would train for days."""
    yield
    for process in STARTED:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    STARTED.clear()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The errors of `TRIALS` from one process that nothing disturbs."""
    store = Store(tmp_path_factory.mktemp("reference"))
    Sweep(store, jobs=1)(TRIALS)
    return [error for error in errors(store, TRIALS) if error is not None]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_sweep_reads_what_is_there_and_computes_what_is_missing(store: Store) -> None:
    first = Sweep(store, jobs=1)
    results = first(SMALL[:2])
    assert (len(first.asked), first.computed) == (2, 2)
    second = Sweep(store, jobs=1)
    assert second([*SMALL, SMALL[0]])[:2] == results
    assert (len(second.asked), second.computed) == (4, 2)
    assert second(SMALL) == second(SMALL)
    assert (len(second.asked), second.computed) == (4, 2)
    assert len(records(store)) == 4


def test_a_fresh_sweep_computes_everything_once(store: Store) -> None:
    Sweep(store, jobs=1)(SMALL)
    stamps = [record.stat().st_mtime_ns for record in records(store)]
    fresh = Sweep(store, jobs=1, fresh=True)
    fresh(SMALL)
    fresh(SMALL)
    assert fresh.computed == 4
    assert not set(stamps) & {record.stat().st_mtime_ns for record in records(store)}


def test_a_group_with_a_missing_record_is_trained_whole_so_that_its_numbers_are_the_same(store: Store) -> None:
    alike = [replace(SMALL[0], seed=seed) for seed in range(3)]
    before = [result["error"] for result in Sweep(store, jobs=1)(alike)]
    store.path(alike[1]).unlink()
    sweep = Sweep(store, jobs=1)
    assert [result["error"] for result in sweep(alike)] == before
    assert sweep.computed == 1


def test_a_worker_that_loaded_other_code_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AveragingTrial, "code", "other")
    with pytest.raises(SweepError, match="a worker runs other code"):
        Sweep(store, jobs=2)(SMALL)
    assert not records(store)


def test_a_damaged_record_is_computed_again(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    before = [result["error"] for result in Sweep(store, jobs=1)(SMALL)]
    path = store.path(SMALL[2])
    path.write_text(path.read_text()[:100])
    sweep = Sweep(store, jobs=1)
    assert [result["error"] for result in sweep(SMALL)] == before
    assert sweep.computed == 1
    assert "is not used" in capsys.readouterr().err


def test_two_processes_give_what_one_gives(store: Store, reference: list[float]) -> None:
    process = start(SCRIPT, store.folder, "2")
    output, trouble = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, trouble
    assert output == "asked 8, computed 8\n"
    assert errors(store, TRIALS) == reference


@pytest.mark.parametrize("after", [1, 4])
def test_a_killed_sweep_goes_on_where_it_was(store: Store, reference: list[float], after: int) -> None:
    process = start(SCRIPT, store.folder, "1", after)
    wait_until(lambda: len(records(store)) == after, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=TIMEOUT)
    assert len([error for error in errors(store, TRIALS) if error is not None]) == after
    sweep = Sweep(store, jobs=1)
    assert [result["error"] for result in sweep(TRIALS)] == rounded(reference)
    assert sweep.computed == len(TRIALS) - after  # nothing that was finished is done again


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that a sweep trains in."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # one that lives for a moment, between a fork and its program
            if "LokyProcess" in str(child.cmdline()):
                found.append(child)
    return found


def is_at_work(worker: psutil.Process) -> bool:
    """Whether it has begun with a trial, from where on it ignores Ctrl-C."""
    status = Path(f"/proc/{worker.pid}/status")
    if not status.exists():  # no Linux: by then it has done more than load its modules
        return worker.cpu_times().user > 3
    ignored = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigIgn"))
    return bool(int(ignored, 16) >> (signal.SIGINT - 1) & 1)


def start_two_workers(store: Store, after: int) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A sweep that has put ``after`` trials into the store, and its two processes at work on others."""
    process = start(SCRIPT, store.folder, "2", after)
    wait_until(lambda: sum(map(is_at_work, workers_of(process))) == 2, process)
    assert len(records(store)) == after
    return process, workers_of(process)


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_ends_a_sweep_and_its_processes(store: Store, jobs: int) -> None:
    if jobs == 1:
        process = start(SCRIPT, store.folder, "1", 1)
        wait_until(lambda: len(records(store)) == 1, process)
    else:
        process, _ = start_two_workers(store, after=1)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, trouble = process.communicate(timeout=TIMEOUT)
    assert process.returncode != 0
    assert "Warning" not in trouble  # of semaphores, and of work that was lost
    assert psutil.wait_procs(family, timeout=TIMEOUT)[1] == []
    assert len([error for error in errors(store, TRIALS) if error is not None]) == len(records(store)) == 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_command_that_started_them(store: Store, how: signal.Signals) -> None:
    process, family = start_two_workers(store, after=0)
    os.kill(process.pid, how)
    assert psutil.wait_procs(family, timeout=TIMEOUT)[1] == []
    process.communicate(timeout=TIMEOUT)
    assert not records(store)


def test_a_killed_worker_process_is_an_error_in_one_line_and_keeps_what_was_done(store: Store) -> None:
    process, workers = start_two_workers(store, after=1)
    workers[0].kill()
    _, trouble = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert "Warning" not in trouble
    assert len([line for line in trouble.splitlines() if line.startswith("error: a worker was lost")]) == 1
    assert len(records(store)) == 1


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """A Dask scheduler and two workers, processes of their own on the loopback interface."""
    where = tmp_path / "scheduler.json"
    dask = Path(sys.executable).with_name("dask")
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    processes = [start(dask, "scheduler", *local, "--port", "0", "--scheduler-file", where)]
    try:
        wait_until(lambda: where.exists() and where.read_text().endswith("}"), processes[0])
        address = json.loads(where.read_text())["address"]
        processes += [
            start(dask, "worker", address, *local, "--nthreads", "1", "--no-nanny", "--local-directory", tmp_path)
            for _ in range(2)
        ]
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.communicate(timeout=TIMEOUT)


def test_a_cluster_that_loses_a_worker_gives_what_one_process_gives(
    store: Store, reference: list[float], cluster: tuple[str, list[subprocess.Popen[str]]]
) -> None:
    address, workers = cluster
    wait_for_workers = f"from distributed import Client; Client({address!r}, timeout={TIMEOUT}).wait_for_workers(2)"
    subprocess.run([sys.executable, "-c", wait_for_workers], check=True, timeout=TIMEOUT, capture_output=True)
    workers[0].send_signal(signal.SIGSTOP)  # it takes trials and finishes none
    process = start(SCRIPT, store.folder, address)
    wait_until(lambda: len(records(store)) >= 1, process)
    assert len(records(store)) < len(TRIALS)
    workers[0].kill()
    output, trouble = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, trouble
    assert output == "asked 8, computed 8\n"
    assert errors(store, TRIALS) == reference


def test_a_scheduler_that_does_not_answer_is_an_error_in_one_line(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "SCHEDULER_SECONDS", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(SweepError, match=f"no Dask scheduler answers at {address}") as caught:
            Sweep(store, scheduler=address).check_scheduler()
        assert "\n" not in str(caught.value)
    assert not store.folder.exists()


def test_a_cluster_without_its_package_names_the_extra(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SweepError, match=r"pip install -e '\.\[cluster\]'"):
        Sweep(store, scheduler="tcp://127.0.0.1:9").check_scheduler()


def test_a_store_that_cannot_be_written_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(sweeps, "run_group", lambda *_: pytest.fail("trained"))
    with pytest.raises(StoreError, match="can't be written"):
        Sweep(Store(tmp_path / "file" / "store"), jobs=1)(SMALL)


def test_a_disk_that_fills_up_keeps_what_was_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    put = Store.put

    def full_at_the_third(self: Store, *arguments: Any) -> None:
        if len(written) == 2:
            raise StoreError("the store can't be written: No space left on device")
        written.append(arguments)
        put(self, *arguments)

    monkeypatch.setattr(Store, "put", full_at_the_third)
    sweep = Sweep(store, jobs=1)
    with pytest.raises(StoreError, match="No space left"):
        sweep(SMALL)
    assert sweep.computed == len(records(store)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [({"jobs": 0}, "jobs must be at least 1, got 0"), ({"device": "tpu"}, "unknown device 'tpu'")],
)
def test_bad_options_are_refused(store: Store, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sweep(store, **options)


def test_the_number_of_processes_follows_devices_then_threads(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert Sweep(store, device="cpu")._jobs() == 3
    assert Sweep(store, device="cpu", jobs=5)._jobs() == 5
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert Sweep(store, device="cpu")._jobs() == os.cpu_count()
    on_gpus = Sweep(store, device="cpu")
    on_gpus._kind = "cuda"
    monkeypatch.setattr(sweeps.torch.cuda, "device_count", lambda: 4)
    assert on_gpus._jobs() == 4
