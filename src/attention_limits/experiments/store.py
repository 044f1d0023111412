"""The store of trained results: one file a trial, found by what the trial is and by the code that computes it.

A record is written aside and renamed, so that it is whole or not there, whenever the process dies. It carries a
checksum and the trial itself. A file that is damaged, or is no record of the trial that its name stands for, is
reported, set aside and computed again; it is never read as truth.
"""

import hashlib
import json
import os
import platform
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from attention_limits.experiments.trials import Result, Trial, as_json
from attention_limits.files import publish
from attention_limits.runtime import STORE_VARIABLE

#: Where damaged records go, inside the store.
SET_ASIDE = "set-aside"
#: A file that is written takes less than a second; one that is older than this was left by a killed process.
LEFTOVER_SECONDS = 3600


def default_folder() -> Path:
    """Where the store lies: what the environment says, else _build/store of the book that the current folder is in."""
    if STORE_VARIABLE in os.environ:
        return Path(os.environ[STORE_VARIABLE])
    return book_folder() / "_build" / "store"


def book_folder() -> Path:
    """The nearest folder, from the current one upwards, that holds a _toc.yml; the current one if there is none."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "_toc.yml").is_file()), here)


class StoreError(OSError):
    """The store can't be written; the message is one line."""


@dataclass(frozen=True)
class Store:
    """Results of trials in a folder, which is made when the first one is written."""

    folder: Path

    def path(self, trial: Trial) -> Path:
        """Where the record of ``trial`` lies if there is one."""
        return self.folder / f"{digest({'trial': as_json(trial), 'code': trial.code})}.json"

    def check_writable(self) -> None:
        """Refuse a folder that can't be written, before anything is trained for it; sweep up what killed writers left.

        Raises:
            StoreError: naming folder and reason.
        """
        try:
            publish("", self.folder / f".writable-{os.getpid()}")
            (self.folder / f".writable-{os.getpid()}").unlink()
            for leftover in self.folder.glob(".*.new"):
                with suppress(FileNotFoundError):  # another process has renamed it since
                    if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                        leftover.unlink()
        except OSError as error:
            raise StoreError(f"the store {self.folder} can't be written: {error.strerror}") from error

    def get(self, trial: Trial) -> Result | None:
        """The result of ``trial``, or None if there is no good record of it."""
        record = self.find(trial)
        return None if record is None else record["result"]

    def find(self, trial: Trial) -> dict[str, Any] | None:
        """The same with where it comes from: trial, code, result, device, processor, versions and finished."""
        path = self.path(trial)
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            checksum = record.pop("checksum")
            trouble = ""
            if checksum != digest(record):
                trouble = "its checksum does not fit"
            elif record["trial"] != as_json(trial) or record["code"] != trial.code or "result" not in record:
                trouble = "it is the record of something else"
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            trouble = "it is no record, or a part of one"
        if not trouble:
            return dict(record)
        self._set_aside(path, trouble)
        return None

    def put(self, trial: Trial, result: Result, device: str, processor: str) -> None:
        """Keep a result, with where it comes from; ``device`` and ``processor`` in words.

        Raises:
            StoreError: if it can't be written, a full disk among the reasons; what was there before is still there.
        """
        record: dict[str, Any] = {
            "trial": as_json(trial),
            "code": trial.code,
            "result": result,
            "device": device,
            "processor": processor,
            "versions": versions(),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        try:
            publish(json.dumps({**record, "checksum": digest(record)}, indent=1), self.path(trial))
        except OSError as error:
            raise StoreError(f"the store {self.folder} can't be written: {error.strerror}") from error

    def _set_aside(self, path: Path, reason: str) -> None:
        aside = self.folder / SET_ASIDE / f"{path.name}.{os.getpid()}"
        try:
            aside.parent.mkdir(exist_ok=True)
            path.replace(aside)
        except FileNotFoundError:  # another sweep was faster
            return
        except OSError as error:
            raise StoreError(f"the store {self.folder} can't be written: {error.strerror}") from error
        print(f"record {path.name} is not used: {reason}. It is now {aside}", file=sys.stderr, flush=True)


def versions() -> dict[str, str]:
    """The versions that a result may depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("torch", "numpy")}}


def digest(data: Any) -> str:
    """A hash of what JSON can hold. Numbers are written in full and nan as NaN, so that a copy has the same."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
