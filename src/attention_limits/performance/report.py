"""Measurements in one form, whether `make bench` published them or a page makes a few of its own.

The file is pytest-benchmark's JSON, or the part of it that `publish_report` keeps. What is ours in it lies in
``extra_info`` and ``machine_info``.
"""

import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import torch

from attention_limits.dependencies import code_digest, dependencies
from attention_limits.experiments.records import rounded
from attention_limits.files import publish
from attention_limits.performance.contests import Contest, Measurement, growth_exponent, race, ratio
from attention_limits.performance.memory import MemoryUse
from attention_limits.performance.roofline import MachineRates, machine_rates, probes

#: Under which the machine's description lies in ``machine_info``.
FACTS_KEY = "attention_limits"
#: What is raced, to tell whether it changed since.
RACED = "from attention_limits.performance import attention, batches, roofline, strassen, structure"
#: Packages whose versions matter, where they are installed.
PACKAGES = ("torch", "numpy", "opt_einsum", "simplicial-attention")
#: What is published of pytest-benchmark's ``machine_info``, and of the processor in it: what may change a time. Names
#: of machine and user, and the commit, are not.
MACHINE_FACTS = ("machine", "system", FACTS_KEY)
PROCESSOR_FACTS = ("brand_raw", "count", "l1_data_cache_size", "l2_cache_size", "l3_cache_size")


@dataclass(frozen=True)
class Report:
    """What was measured, when and where.

    Attributes:
        when: ISO date and time.
        facts: processor, threads, versions and code, as `machine_facts` gives them.
        measurements: of all races.
        machine: its best rates.
        memory: of single calls, a process each.
    """

    when: str
    facts: Mapping[str, Any]
    measurements: Sequence[Measurement]
    machine: MachineRates
    memory: Sequence[MemoryUse]

    def about(self, topic: str) -> list[Measurement]:
        """The measurements of one topic.

        Raises:
            ValueError: if there is none.
        """
        found = [measurement for measurement in self.measurements if measurement.topic == topic]
        if not found:
            raise ValueError(f"nothing was measured about {topic!r}: `make bench` measures all topics")
        return found

    @property
    def is_current(self) -> bool:
        """Whether the code that was measured is the present one."""
        return bool(self.facts.get("code") == code_digest(dependencies(RACED)))

    @property
    def description(self) -> str:
        """Date, processor, threads and versions in one line."""
        versions = ", ".join(f"{name} {version}" for name, version in self.facts["versions"].items())
        threads = self.facts["threads"]
        return f"{self.when[:10]}, {self.facts['processor']}, {threads} thread{'s'[: threads != 1]}, {versions}"


def machine_facts() -> dict[str, Any]:
    """The processor's name, the number of threads, versions, and a digest of the code that is raced."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    versions = {"Python": platform.python_version(), **found}
    code = code_digest(dependencies(RACED))
    return {"processor": _processor(), "threads": torch.get_num_threads(), "versions": versions, "code": code}


def measure_report(contests: Sequence[Contest], budget: float, memory: Sequence[MemoryUse]) -> Report:
    """Race all contests and the machine's probes now, each for about ``budget`` seconds and three rounds at least."""
    raced = [measurement for contest in contests for measurement in race(contest, budget, least=3)]
    rates = machine_rates([measurement for probe in probes() for measurement in race(probe, budget)])
    return Report(datetime.now(UTC).isoformat(timespec="seconds"), machine_facts(), raced, rates, memory)


def race_details(measurement: Measurement, first: Measurement) -> dict[str, Any]:
    """What ``extra_info`` says of one way in a race; ``ratio`` is how many times faster than the first way it is."""
    return {
        "topic": measurement.topic,
        "way": measurement.way,
        "sizes": dict(measurement.sizes),
        "deviation": measurement.deviation,
        "count": measurement.count,
        "ratio": ratio(measurement, first)._asdict(),
    }


def memory_details(taken: MemoryUse) -> dict[str, Any]:
    """What ``extra_info`` says of one call's memory."""
    return {"memory": taken._asdict()}


def read_report(path: Path) -> Report:
    """The report in a file that `make bench` left, whole or as it was published.

    Raises:
        ValueError: for a file that is no JSON, or lacks something, naming the file and what.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = content["benchmarks"]
        races = [entry for entry in entries if "topic" in entry["extra_info"]]
        taken = [MemoryUse(**entry["extra_info"]["memory"]) for entry in entries if "memory" in entry["extra_info"]]
        measurements = [_measurement(entry) for entry in races]
        return Report(
            content["datetime"], content["machine_info"][FACTS_KEY], measurements, machine_rates(measurements), taken
        )
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error
    except KeyError as error:
        raise ValueError(f"{path} is no file that `make bench` leaves: it has no {error}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is no file that `make bench` leaves: {error}") from error


def publish_report(source: Path, target: Path) -> None:
    """Publish what pages need of pytest-benchmark's JSON, numbers to six digits; entries stay in the order of the run.

    Raises:
        ValueError: for a file that `read_report` refuses, in its words; then what was published before is still there.
        OSError: if ``target`` can't be written; likewise.
    """
    read_report(source)
    whole = json.loads(source.read_text(encoding="utf-8"))
    kept = {
        "datetime": whole["datetime"],
        "machine_info": {
            **_part(whole["machine_info"], MACHINE_FACTS),
            "cpu": _part(whole["machine_info"].get("cpu", {}), PROCESSOR_FACTS),
        },
        "benchmarks": [
            {**_part(entry, ("group", "name", "extra_info")), "stats": {"data": entry["stats"]["data"]}}
            for entry in whole["benchmarks"]
        ],
    }
    publish(json.dumps(rounded(kept), ensure_ascii=False, indent=1) + "\n", target)


def _part(content: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """What ``content`` has under these keys."""
    return {key: content[key] for key in keys if key in content}


def _measurement(entry: Mapping[str, Any]) -> Measurement:
    own, seconds = entry["extra_info"], tuple(map(float, entry["stats"]["data"]))
    if not seconds or min(seconds) <= 0:
        raise ValueError(f"the seconds of {own['way']!r} must be positive, got {list(seconds)}")
    return Measurement(own["topic"], own["way"], own["sizes"], seconds, own["deviation"], own["count"])


def timing_table(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """A row for each way and contest: sizes, milliseconds with quartiles, and how many times faster than the first way.

    Columns: the sizes' letters, way, ms, ms low, ms high, times faster, low, high, rounds, per second.
    """
    first: dict[tuple[Any, ...], Measurement] = {}
    rows = []
    for one in measurements:
        plain = first.setdefault((one.topic, *one.sizes.items()), one)
        low, median, high = (1e3 * seconds for seconds in one.quartiles)
        faster = ratio(one, plain)
        rows.append(
            {
                **one.sizes,
                "way": one.way,
                "ms": median,
                "ms low": low,
                "ms high": high,
                "times faster": faster.median,
                "low": faster.low,
                "high": faster.high,
                "rounds": len(one.seconds),
                "per second": one.rate,
            }
        )
    return pd.DataFrame(rows)


def wide_timing_table(measurements: Sequence[Measurement], column: str, across: str = "way") -> pd.DataFrame:
    """Medians with their quartiles, *median (lower–upper)*, a column for each way or each value of one size.

    Args:
        measurements: of one topic.
        column: ms, or times faster.
        across: what the columns stand for: way, or a size's letter. The rows are what is left of sizes and way.
    """
    table = timing_table(measurements)
    low, high = ("ms low", "ms high") if column == "ms" else ("low", "high")
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in table.to_dict("records"):
        row = {name: record[name] for name in (*measurements[0].sizes, "way") if name != across}
        cell = f"{_short(record[column])} ({_short(record[low])}–{_short(record[high])})"
        heading = record["way"] if across == "way" else f"{across} = {record[across]}"
        rows.setdefault(tuple(row.values()), row)[heading] = cell
    return pd.DataFrame(list(rows.values())).fillna("")


def _short(number: float) -> str:
    """Two decimals below 10, one below 100, none from there on."""
    digits = 2 if number < 10 else 1 if number < 100 else 0
    return f"{number:,.{digits}f}"


def growth_table(measurements: Sequence[Measurement], *, follow: Sequence[str] = ()) -> pd.DataFrame:
    """The exponent of each way's median time in N, the other sizes fixed, where three values of N are there.

    Args:
        measurements: of one topic.
        follow: letters of sizes that change with N.

    Returns:
        A row for each series: the fixed sizes' letters, way, from, to (the values of N), exponent, low, high (95 %).
    """
    series: dict[tuple[Any, ...], list[tuple[int, float]]] = {}
    for one in measurements:
        fixed = tuple((letter, size) for letter, size in one.sizes.items() if letter not in ("N", *follow))
        series.setdefault((*fixed, ("way", one.way)), []).append((int(one.sizes["N"]), one.quartiles.median))
    rows = []
    for key, points in series.items():
        sizes, seconds = zip(*points, strict=True)
        if len(set(sizes)) >= 3:
            low, exponent, high = growth_exponent(sizes, seconds)
            span = {"from": min(sizes), "to": max(sizes)}
            rows.append({**dict(key), **span, "exponent": exponent, "low": low, "high": high})
    return pd.DataFrame(rows)


def seconds_by_file(path: Path) -> pd.DataFrame:
    """Where `make test` spent its time, by the JUnit XML that pytest wrote; with several workers, theirs together.

    Returns:
        A row for each file, the slowest first: file, tests, seconds.

    Raises:
        ValueError: for a file that is no JUnit XML, naming it.
    """
    try:
        cases = [
            (case.attrib["classname"], float(case.attrib["time"])) for case in ElementTree.parse(path).iter("testcase")
        ]
    except (OSError, ElementTree.ParseError, KeyError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as JUnit XML: {error}") from error
    times = pd.DataFrame(cases, columns=["file", "seconds"])
    times["file"] = times["file"].str.replace(".", "/") + ".py"
    sums = times.groupby("file", as_index=False).agg(tests=("seconds", "size"), seconds=("seconds", "sum"))
    return sums.sort_values("seconds", ascending=False, ignore_index=True)


def _processor() -> str:
    """The processor's model, as Linux names it; elsewhere what Python knows."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
