"""Records: trained results that are published with the book, a line of text each, and found by their trial.

A line holds the trial, what came out, with numbers to six digits, and where it comes from: the digest of the code,
processor, versions, device and date. A checksum tells an edited line. A line that can't be trusted is reported by file
and line and is not read; a trial with two lines is an error.

Records need not be of today's code: `replays` train some of them again, to see that they are still what it gives.
"""

import importlib
import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from attention_limits.experiments.store import book_folder, digest
from attention_limits.experiments.trials import Result, Trial, as_json, from_json, group_name, place_in_group
from attention_limits.files import publish

#: Numbers are rounded to so many digits.
DIGITS = 6
#: The modules that define the kinds of trials; a page loads those that it asks for, and records are of all kinds.
KINDS = ("averaging", "detectors")
#: Where a record comes from.
ORIGIN = ("code", "processor", "versions", "device", "finished")


def records_folder() -> Path:
    """Where records lie: in records/ of the book that the current folder is in."""
    return book_folder() / "records"


class RecordError(ValueError):
    """Records that contradict each other; the message is one line and names file and line."""


@dataclass(frozen=True)
class Record:
    """One trained result that was published."""

    trial: Trial
    result: Result
    #: `ORIGIN`: strings, and versions by package.
    origin: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """Core seconds that it took."""
        return float(self.result["seconds"])

    @property
    def of_today(self) -> bool:
        """Whether the code that gave it is the code that is loaded."""
        return bool(self.origin["code"] == self.trial.code)

    @property
    def line(self) -> str:
        """The text that is published."""
        data = {
            "trial": as_json(self.trial),
            "result": rounded(self.result),
            **{key: self.origin[key] for key in ORIGIN},
        }
        return json.dumps({**data, "checksum": digest(data)}, ensure_ascii=False)


def read_line(text: str) -> Record:
    """The record in a line.

    Raises:
        ValueError: saying what is wrong with it.
    """
    try:
        data = json.loads(text)
        checksum, trial, result = data.pop("checksum"), data["trial"], data["result"]
        origin = {key: data[key] for key in ORIGIN}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("it is no record, or a part of one") from error
    if checksum != digest(data):
        raise ValueError("its checksum does not fit: it was edited or damaged")
    for module in KINDS:
        importlib.import_module(f"attention_limits.experiments.{module}")
    return Record(from_json(trial), result, origin)


@dataclass(frozen=True)
class Records:
    """The records in the files *.jsonl of a folder, which are read when the first one is asked for."""

    folder: Path = field(default_factory=records_folder)
    #: Whether records of other code than today's count as missing.
    of_today: bool = False

    def get(self, trial: Trial) -> Record | None:
        """The record of ``trial``, of today's code or of older code, if there is one.

        Raises:
            RecordError: if a trial has two records.
        """
        record, _ = self._read[0].get(trial, (None, ""))
        return None if record is not None and self.of_today and not record.of_today else record

    def company(self, record: Record) -> list[Record]:
        """The records that were trained as one with ``record``, itself among them, in the order of `place_in_group`.

        Empty if not all of them are published: then none of them can be repeated to the bit.
        """
        name = record.result["group_name"]
        found = sorted(self._by_group[name], key=lambda other: place_in_group(other.trial))
        return found if group_name([other.trial for other in found]) == name else []

    def of_file(self, name: str) -> list[Record]:
        """The records of one file, ``name`` without its suffix."""
        return [record for record, file in self._read[0].values() if file == name]

    def file_of(self, trial: Trial) -> str | None:
        """In which file a trial is recorded."""
        return self._read[0].get(trial, (None, None))[1]

    @property
    def problems(self) -> list[str]:
        """What is wrong with lines that are not read, each with file and line."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[dict[Trial, tuple[Record, str]], list[str]]:
        """Each trial's record with the file that it lies in, and the problems."""
        found: dict[Trial, tuple[Record, str]] = {}
        places: dict[Trial, str] = {}
        problems = []
        for path in sorted(self.folder.glob("*.jsonl")):
            for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                place = f"{path.parent.name}/{path.name}, line {number}"
                try:
                    record = read_line(text)
                except ValueError as error:
                    problems.append(f"{place} is not used: {error}")
                    continue
                if record.trial in places:
                    raise RecordError(f"one trial has two records: {places[record.trial]}, and {place}")
                places[record.trial] = place
                found[record.trial] = record, path.stem
        for problem in problems:
            print(problem, file=sys.stderr, flush=True)
        return found, problems

    @cached_property
    def _by_group(self) -> dict[str, list[Record]]:
        groups: dict[str, list[Record]] = {}
        for record, _ in self._read[0].values():
            groups.setdefault(record.result["group_name"], []).append(record)
        return groups


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Publish a file of records, whole, and sorted, so that a difference reads well.

    Raises:
        OSError: if it can't be written; what was there before is still there.
    """
    publish("".join(f"{line}\n" for line in sorted(record.line for record in records)), path)


def rounded(value: Any) -> Any:
    """JSON with its floats rounded to `DIGITS` digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else value
    if isinstance(value, Mapping):
        return {key: rounded(entry) for key, entry in value.items()}
    return [rounded(entry) for entry in value] if isinstance(value, list) else value
