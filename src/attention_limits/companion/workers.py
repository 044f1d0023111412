"""The processes that run pages, one after another, as the runner holds them; what they do is in `worker`."""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

Worker = subprocess.Popen[str]
PROGRAM = "attention_limits.companion.worker"


class Workers:
    """As many processes as pages run at a time. They end with the block that this object opens.

    Args:
        sockets: the folder of all kernels' sockets.
    """

    def __init__(self, sockets: Path) -> None:
        self.sockets = sockets
        self.stopped = threading.Event()
        self._all: list[Worker] = []
        self._idle: list[Worker] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self._all:
            _end(worker)

    def engage(self, environment: Mapping[str, str]) -> Worker:
        """A process that has nothing to do, or a new one.

        Raises:
            KeyboardInterrupt: once all are stopped.
        """
        with self._lock:
            if self.stopped.is_set():
                raise KeyboardInterrupt
            while self._idle:
                if (worker := self._idle.pop()).poll() is None:
                    return worker
            command, pipe = [sys.executable, "-m", PROGRAM, str(self.sockets)], subprocess.PIPE
            self._all.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment))
            return self._all[-1]

    def do(self, worker: Worker, job: Path, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Let ``worker`` run a page and ``tell`` what it reports; the last report, or ``{"killed": status}``."""
        with contextlib.suppress(BrokenPipeError):  # it was killed, and reports nothing
            assert worker.stdin is not None
            worker.stdin.write(f"{job}\n")
            worker.stdin.flush()
        for line in worker.stdout or ():
            with contextlib.suppress(json.JSONDecodeError):  # the last line of a process that was killed
                report = json.loads(line)
                tell(report)
                if "done" in report or "error" in report:
                    with self._lock:
                        self._idle.append(worker)
                    return report
        _end(worker)
        return {"killed": worker.returncode}

    def stop(self) -> None:
        """End all of them, whatever they do."""
        with self._lock:
            self.stopped.set()
            for worker in self._all:
                worker.terminate()


def _end(worker: Worker) -> None:
    """Close a process's input, at which it ends, and wait for it."""
    with contextlib.suppress(BrokenPipeError), worker:
        pass
