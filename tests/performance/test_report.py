"""The file of `make bench`: written, published and read, refused where it is broken; tables; the floor; memory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from attention_limits.performance import memory as memory_module
from attention_limits.performance import report as report_module
from attention_limits.performance.contests import Measurement
from attention_limits.performance.memory import MemoryUse, memory_use, memory_uses
from attention_limits.performance.report import (
    growth_table,
    machine_facts,
    memory_details,
    publish_report,
    race_details,
    read_report,
    seconds_by_file,
    timing_table,
    wide_timing_table,
)
from attention_limits.performance.roofline import MachineRates, floor, machine_rates

PROBES = [
    Measurement("machine", "matrix product", {}, (0.5, 0.25), 0.0, 1000),
    Measurement("machine", "2^x", {}, (2.0,), 0.0, 8),
    Measurement("machine", "copy", {}, (4.0, 8.0), 0.0, 64),
]
SIZES = {"N": 8, "m": 2}
PLAIN = Measurement("order three", "plain", SIZES, (0.2, 0.4, 0.3), 0.0, 10)
OTHER = Measurement("order three", "other", SIZES, (0.1, 0.1, 0.1), 1e-7, 10)
TAKEN = MemoryUse("streamed", 512, 5, 1, "forward", 2_000_000)


def entry(measurement: Measurement, first: Measurement) -> dict[str, Any]:
    return {"extra_info": race_details(measurement, first), "stats": {"data": list(measurement.seconds)}}


@pytest.fixture
def content() -> dict[str, Any]:
    races = [entry(PLAIN, PLAIN), entry(OTHER, PLAIN), *(entry(probe, probe) for probe in PROBES)]
    memory = {"extra_info": memory_details(TAKEN), "stats": {"data": [3.0]}}
    return {
        "datetime": "2026-11-26T01:02:03+00:00",
        "machine_info": {"attention_limits": {"processor": "some", "threads": 1, "versions": {"torch": "2.13"}}},
        "benchmarks": [*races, memory],
    }


@pytest.fixture
def whole(content: dict[str, Any]) -> dict[str, Any]:
    """The same as pytest-benchmark writes it, with much that is nobody's business."""
    content["machine_info"] |= {
        "node": "secret-host",
        "machine": "x86_64",
        "python_build": ["main", "Jan  1 2026"],
        "cpu": {"brand_raw": "some processor", "count": 2, "flags": ["avx", "avx2"], "hz_actual": [2900004000, 0]},
    }
    content["commit_info"] = {"id": "secret-commit", "branch": "secret-branch", "dirty": True}
    content["version"] = "5.3.1"
    for number, one in enumerate(content["benchmarks"]):
        one |= {"group": "some contest", "name": f"way {number}", "fullname": "/home/secret-user/bench.py::bench"}
        one |= {"params": {"contest": "UNSERIALIZABLE"}, "options": {"timer": "perf_counter", "warmup": True}}
        one["stats"] |= {"min": 0.1, "iqr_outliers": 0}
    return content


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "benchmarks.json"


def test_what_is_written_is_read(content: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
    report = read_report(path)
    assert report.measurements == [PLAIN, OTHER, *PROBES]
    assert report.about("order three") == [PLAIN, OTHER]
    assert report.memory == [TAKEN]
    assert report.machine == MachineRates(flops=4000.0, exp_seconds=0.25, bandwidth=16.0)
    assert report.description == "2026-11-26, some, 1 thread, torch 2.13"
    assert not report.is_current


def test_a_report_knows_whether_the_code_has_changed_since(
    content: dict[str, Any], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content["machine_info"]["attention_limits"] = machine_facts()
    path.write_text(json.dumps(content), encoding="utf-8")
    report = read_report(path)
    assert report.is_current
    monkeypatch.setattr(report_module, "code_digest", lambda paths: "other")
    assert not report.is_current


def test_ratios_are_written_for_readers() -> None:
    assert race_details(OTHER, PLAIN)["ratio"] == pytest.approx({"low": 2.5, "median": 3.0, "high": 3.5})


def test_what_is_published_reads_like_the_whole(whole: dict[str, Any], path: Path, tmp_path: Path) -> None:
    path.write_text(json.dumps(whole), encoding="utf-8")
    target = tmp_path / "records" / "benchmarks.json"
    publish_report(path, target)
    assert read_report(target) == read_report(path)
    publish_report(target, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == target.read_bytes()


def test_what_is_published_tells_the_processor_and_not_whose_it_is(
    whole: dict[str, Any], path: Path, tmp_path: Path
) -> None:
    path.write_text(json.dumps(whole), encoding="utf-8")
    publish_report(path, tmp_path / "published.json")
    text = (tmp_path / "published.json").read_text(encoding="utf-8")
    found = json.loads(text)
    assert found.keys() == {"datetime", "machine_info", "benchmarks"}
    assert found["machine_info"]["cpu"] == {"brand_raw": "some processor", "count": 2}
    assert found["machine_info"].keys() == {"attention_limits", "cpu", "machine"}
    assert {tuple(one) for one in found["benchmarks"]} == {("group", "name", "extra_info", "stats")}
    assert [one["name"] for one in found["benchmarks"]] == [f"way {number}" for number in range(6)]
    assert "secret" not in text
    assert max(map(len, text.splitlines())) < 120


def test_published_numbers_have_six_digits_and_sizes_keep_their_order(
    whole: dict[str, Any], path: Path, tmp_path: Path
) -> None:
    whole["benchmarks"][0]["stats"]["data"] = [0.123456789, 2.0, 1.23456789e-5]
    whole["benchmarks"][0]["extra_info"]["sizes"] = {"form": "plain", "N": 8_388_608, "B": 3}
    path.write_text(json.dumps(whole), encoding="utf-8")
    publish_report(path, tmp_path / "published.json")
    (first, *_) = read_report(tmp_path / "published.json").measurements
    assert first.seconds == (0.123457, 2.0, 1.23457e-5)
    assert list(first.sizes.items()) == [("form", "plain"), ("N", 8_388_608), ("B", 3)]


@pytest.mark.parametrize("spoilt", ["", "{", "{}"])
def test_a_bad_file_is_not_published_and_what_was_there_stays(spoilt: str, path: Path, tmp_path: Path) -> None:
    path.write_text(spoilt, encoding="utf-8")
    target = tmp_path / "published.json"
    target.write_text("before", encoding="utf-8")
    with pytest.raises(ValueError, match=r"benchmarks\.json "):
        publish_report(path, target)
    assert target.read_text(encoding="utf-8") == "before"
    assert {other.name for other in tmp_path.iterdir()} == {"benchmarks.json", "published.json"}


def test_a_topic_that_was_not_measured_is_named(content: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match="nothing was measured about 'threads': `make bench` measures all topics"):
        read_report(path).about("threads")


@pytest.mark.parametrize("text", ["", "{", '{"benchmarks": [', "\ud800"], ids=["empty", "brace", "cut", "no UTF-8"])
def test_a_file_that_is_no_json_is_refused_by_name(text: str, path: Path) -> None:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"benchmarks\.json cannot be read as JSON: .+"):
        read_report(path)


def test_a_file_that_is_not_there_is_refused_by_name(path: Path) -> None:
    with pytest.raises(ValueError, match=r"benchmarks\.json cannot be read"):
        read_report(path)


@pytest.mark.parametrize("missing", ["benchmarks", "datetime", "machine_info"])
def test_a_file_that_lacks_a_part_is_refused_by_its_name(missing: str, content: dict[str, Any], path: Path) -> None:
    del content[missing]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=f"no file that `make bench` leaves: it has no '{missing}'"):
        read_report(path)


def test_a_file_of_another_form_is_refused(path: Path) -> None:
    for text in ("[]", "3", '{"benchmarks": 3}', '{"benchmarks": [3]}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match="no file that `make bench` leaves"):
            read_report(path)


def test_seconds_that_are_none_and_missing_probes_are_refused(content: dict[str, Any], path: Path) -> None:
    probe = content["benchmarks"].pop(2)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match="the measurements of the machine lack 'matrix product'"):
        read_report(path)
    content["benchmarks"].append(probe)
    content["benchmarks"][0]["stats"]["data"] = [0.1, 0.0]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=r"the seconds of 'plain' must be positive, got \[0\.1, 0\.0\]"):
        read_report(path)


def test_the_comparison_has_milliseconds_quotients_and_rates() -> None:
    plain, other = timing_table([PLAIN, OTHER]).to_dict("records")
    assert (plain["N"], plain["way"], plain["ms"], plain["times faster"]) == (8, "plain", 300.0, 1.0)
    assert other["ms"] == 100.0
    assert other["times faster"] == pytest.approx(3.0)
    assert other["per second"] == 100.0
    assert other["rounds"] == 3


def test_a_way_that_one_contest_lacks_leaves_an_empty_cell() -> None:
    more = Measurement("order three", "plain", {"N": 16, "m": 2}, (1.0,), 0.0, 10)
    table = wide_timing_table([PLAIN, OTHER, more], "ms")
    assert list(table.columns) == ["N", "m", "plain", "other"]
    assert table["plain"].tolist() == ["300 (250–350)", "1,000 (1,000–1,000)"]
    assert table["other"].tolist() == ["100 (100–100)", ""]
    turned = wide_timing_table([PLAIN, OTHER, more], "times faster", across="N")
    assert list(turned.columns) == ["m", "way", "N = 8", "N = 16"]
    assert turned["N = 16"].tolist() == ["1.00 (1.00–1.00)", ""]


def test_growth_is_fitted_where_three_sizes_are_there() -> None:
    def timed(way: str, tokens: int, seconds: float) -> Measurement:
        return Measurement("t", way, {"N": tokens, "M": 3 * tokens}, (seconds,), 0.0, 1)

    cubic = [timed("cubic", n, 1e-6 * n**3 * (1.01 if n == 8 else 1)) for n in (4, 8, 16)]
    table = growth_table([*cubic, timed("short", 4, 1.0)], follow=["M"])
    (row,) = table.to_dict("records")
    assert (row["way"], row["from"], row["to"]) == ("cubic", 4, 16)
    assert row["low"] < row["exponent"] < row["high"]
    assert row["exponent"] == pytest.approx(3, abs=0.02)


def test_the_floor_is_products_and_exponentials() -> None:
    at = MachineRates(flops=8000.0, exp_seconds=0.5, bandwidth=1.0)
    assert floor(10, 3, 1, at) == 2 * 1000 * 4 / 8000 + 1000 * 0.5
    assert floor(20, 3, 1, at) == 8 * floor(10, 3, 1, at)
    assert floor(1, 0, 0, at) == 0.5


def test_the_best_rounds_give_the_machine() -> None:
    assert machine_rates(PROBES) == MachineRates(4000.0, 0.25, 16.0)


def test_the_machine_is_described() -> None:
    facts = machine_facts()
    assert len(facts["code"]) == 64
    assert facts["processor"]
    assert facts["threads"] >= 1
    assert {"Python", "torch", "numpy"} <= facts["versions"].keys()


def test_memory_is_measured_in_a_process_of_its_own() -> None:
    taken = memory_use("plain einsum", 200, 5, 1, "forward")
    assert taken[:5] == ("plain einsum", 200, 5, 1, "forward")
    assert 4 * 200**3 <= taken.num_bytes <= 16 * 200**3  # all scores, and their softmax


def test_several_forms_are_measured_as_well_together_as_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forms = ("streamed", "Khatri–Rao", "plain einsum")
    for clear in (memory_module._CLEAR, tmp_path / "none"):  # where there is none, each has a process of its own
        monkeypatch.setattr(memory_module, "_CLEAR", clear)
        taken = memory_uses([(form, 200, 5, 1, "forward") for form in forms])
        assert [one[:5] for one in taken] == [(form, 200, 5, 1, "forward") for form in forms]
        small, *large = [one.num_bytes for one in taken]
        assert small <= 10e6
        assert all(4 * 200**3 <= num_bytes <= 16 * 200**3 for num_bytes in large)


def test_an_unknown_form_and_a_failing_process_are_reported() -> None:
    with pytest.raises(ValueError, match="unknown form 'magic': use one of plain einsum, "):
        memory_use("magic", 8, 5, 1, "forward")
    with pytest.raises(RuntimeError, match=r"measuring the memory of streamed at N = -1 failed: \w+"):
        memory_uses([("streamed", 8, 5, 1, "forward"), ("streamed", -1, 5, 1, "forward")])


def test_times_of_tests_are_added_up_by_file(tmp_path: Path) -> None:
    cases = (("tests.a", 0.25), ("tests.deep.b", 2), ("tests.a", 0.5))
    inner = "".join(f'<testcase classname="{name}" name="test" time="{seconds}"/>' for name, seconds in cases)
    (tmp_path / "tests.xml").write_text(f"<testsuites><testsuite>{inner}</testsuite></testsuites>", encoding="utf-8")
    rows = seconds_by_file(tmp_path / "tests.xml").to_dict("records")
    assert rows == [
        {"file": "tests/deep/b.py", "tests": 1, "seconds": 2.0},
        {"file": "tests/a.py", "tests": 2, "seconds": 0.75},
    ]


def test_times_that_pytest_writes_are_read(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "test_one.py").write_text("def test_it(): pass\n", encoding="utf-8")
    (tmp_path / "deep" / "test_two.py").write_text("def test_it(): pass\n\ndef test_more(): pass\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "--rootdir=.", "--junitxml=times.xml", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    times = seconds_by_file(tmp_path / "times.xml")
    assert dict(zip(times["file"], times["tests"], strict=True)) == {"test_one.py": 1, "deep/test_two.py": 2}
    assert (times["seconds"] >= 0).all()


@pytest.mark.parametrize("text", ["", "<testsuites><testcase classname='a'/></testsuites>", "<testsuites>"])
def test_a_file_without_times_of_tests_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "tests.xml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"tests\.xml cannot be read as JUnit XML: "):
        seconds_by_file(tmp_path / "tests.xml")
