"""Sweeps: trials computed through the store, by processes of this machine or by the workers of a Dask cluster.

What is in the store or among the book's records is read, what is missing is computed and put into the store as soon as
it is done. Only this process writes, so workers need no common disk. Trials are handed out in groups that are trained
as one (`trials.groups`); when a sweep dies, at most the groups that were being trained are lost.
"""

import contextlib
import os
import signal
import threading
import time
import warnings
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch

from attention_limits.experiments.accelerators import claim_accelerator
from attention_limits.experiments.records import Records, rounded
from attention_limits.experiments.store import Store, default_folder
from attention_limits.experiments.trials import Result, Trial, groups, num_parameters, run_group
from attention_limits.hypotheses import require_integer
from attention_limits.runtime import device_name, processor_name, progress, select_device

#: Seconds to wait for a scheduler to answer.
SCHEDULER_SECONDS = 10


class SweepError(RuntimeError):
    """A sweep could not go on; the message is one line, and what was finished is in the store."""


@dataclass
class Sweep:
    """Computes trials through a store: a `trials.TrialRunner`.

    Args:
        store: the one of this book by default.
        records: published results, which are looked up where the store has none; those of this book by default.
        jobs: processes; 1 is this one. By default as many as there are accelerators, else what OMP_NUM_THREADS says
            (the runner of pages shares the cores out by it), else one for each core. A cluster uses all its workers.
        scheduler: the address of a Dask scheduler, such as tcp://host:8786.
        device: cpu, cuda or cuda:N; by default CUDA where there is one. Each process or worker takes an accelerator for
            itself.
        fresh: compute what is in the store or recorded too.

    Raises:
        ValueError: for a number of jobs or a device that makes no sense.
    """

    store: Store = field(default_factory=lambda: Store(default_folder()))
    records: Records | None = field(default_factory=Records)
    jobs: int | None = None
    scheduler: str | None = None
    device: str | None = None
    fresh: bool = False

    #: What was done so far: trials asked for, and how many of them were computed and how many read from records.
    asked: list[Trial] = field(default_factory=list, init=False)
    computed: int = field(default=0, init=False)
    recorded: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.jobs is not None:
            require_integer("jobs", self.jobs, 1)
        self._done: dict[Trial, Result] = {}
        # On a cluster the workers know their devices, this process may have none.
        remote = self.scheduler is not None
        self._kind = self.device or "" if remote else str(select_device(self.device))

    def __call__(self, trials: Sequence[Trial]) -> list[Result]:
        """The results of ``trials``, in their order, with as many digits as records have, wherever they come from.

        Raises:
            StoreError: if the store can't be written.
            SweepError: if the scheduler can't be reached, or a process died.
        """
        wanted = [trial for trial in dict.fromkeys(trials) if trial not in self._done]
        self.asked += wanted
        if not self.fresh:
            for trial in wanted:
                if (found := self.store.get(trial)) is not None:
                    self._done[trial] = rounded(found)
                elif self.records is not None and (record := self.records.get(trial)) is not None:
                    self._done[trial] = record.result
                    self.recorded += 1
        # From the whole list, so that a sweep that goes on where it was stopped trains the same groups.
        family = torch.device("cuda" if self._kind.startswith("cuda") else "cpu")
        pending = [group for group in groups(trials, family) if any(trial not in self._done for trial in group)]
        if pending:
            self.store.check_writable()
            missing = sum(trial not in self._done for group in pending for trial in group)
            with contextlib.closing(self._compute(pending)) as finished, progress(None, "trials", missing) as bar:
                for group, results, device, processor in finished:
                    for trial, result in zip(group, results, strict=True):
                        if trial not in self._done:
                            self.store.put(trial, result, device, processor)
                            self._done[trial] = rounded(result)
                            self.computed += 1
                            bar.update()
        return [self._done[trial] for trial in trials]

    def _compute(self, pending: list[list[Trial]]) -> Generator[tuple[list[Trial], list[Result], str, str]]:
        """Each group with its results, the device's name and the processor's, as they are finished."""
        pending.sort(key=_work, reverse=True)  # the longest first, so that none is left over at the end
        jobs = min(self._jobs(), len(pending))
        if self.scheduler is None and jobs == 1:
            for group in pending:
                yield group, *_run_group(group, self._kind)
            return
        import joblib  # here, because it costs more than the rest of this module and one process does not need it

        parent = os.getpid() if self.scheduler is None else None  # a cluster's workers are not this process's
        with self._backend():
            parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="all", batch_size=1)
            tasks = (
                joblib.delayed(_run_numbered)(index, group, self._kind, group[0].code, parent)
                for index, group in enumerate(pending)
            )
            finished = parallel(tasks)
            try:
                for index, *found in finished:
                    yield pending[index], *found
            except (joblib.externals.loky.process_executor.BrokenProcessPool, TimeoutError) as error:
                raise SweepError(f"a worker was lost: {' '.join(str(error).split())[:200]}") from error
            finally:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # that work was lost is said by whoever asked for it
                    finished.close()  # ends the processes that are still at work

    def _jobs(self) -> int:
        if self.jobs is not None:
            return self.jobs
        if self._kind.startswith("cuda"):
            return 1 if ":" in self._kind else torch.cuda.device_count()
        threads = os.environ.get("OMP_NUM_THREADS", "")
        return int(threads) if threads.isdecimal() and int(threads) else os.cpu_count() or 1

    def check_scheduler(self) -> None:
        """Refuse a scheduler that does not answer or has no workers, before anything is trained.

        Raises:
            SweepError: naming its address.
        """
        if self.scheduler is not None:
            with self._backend():
                pass

    @contextlib.contextmanager
    def _backend(self) -> Iterator[None]:
        import joblib

        if self.scheduler is None:
            # Processes that are ended leave semaphores, which one of multiprocessing's own removes, with a warning.
            quiet = "ignore:resource_tracker:UserWarning"
            os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), quiet)))
            with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
                yield
            return
        try:
            from distributed import Client
        except ImportError as error:
            raise SweepError("a cluster needs more packages: pip install -e '.[cluster]'") from error
        try:
            client = Client(self.scheduler, timeout=SCHEDULER_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise SweepError(f"no Dask scheduler answers at {self.scheduler}: {_one_line(error)}") from error
        with client:
            if not client.scheduler_info()["workers"]:
                raise SweepError(f"the Dask scheduler at {self.scheduler} has no workers")
            with joblib.parallel_config(backend="dask", client=client):
                yield


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _work(group: list[Trial]) -> float:
    """About how long a group takes, in any unit."""
    widest = group[-1]
    return float(len(group) * num_parameters(widest) * widest.batch_size * widest.num_tokens * widest.num_steps)


def _run_group(group: list[Trial], kind: str) -> tuple[list[Result], str, str]:
    device = select_device(kind or None)
    return run_group(group, device), device_name(device), processor_name()


def _run_numbered(
    index: int, group: list[Trial], kind: str, code: str, parent: int | None
) -> tuple[int, list[Result], str, str]:
    """In a worker: Ctrl-C is the parent's to handle, and an accelerator is taken for as long as the worker lives.

    Its ``code`` must be the parent's, under which the results are kept. It ends when its ``parent`` does.
    """
    if parent is not None:
        _end_with(parent)
    if group[0].code != code:
        raise SweepError("a worker runs other code or another version of torch than this command")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    device = select_device(kind or None)
    if device.type == "cuda" and device.index is None:
        kind = f"cuda:{claim_accelerator(torch.cuda.device_count())}"
    return index, *_run_group(group, kind)


@cache
def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone: nobody would take the results."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
