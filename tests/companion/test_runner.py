"""Runs: results whole or not at all, failures named, fresh pages spared, two runs at once, kills and interrupts."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import psutil
import pytest

from attention_limits.companion import gate, runner

from .conftest import (
    HEADER,
    HOLD,
    NONCE,
    TIMEOUT,
    Project,
    code_cells,
    is_whole,
    new_project,
    records_of,
    text_of,
    wait_until,
)

# A good run.


def test_a_good_run_leaves_a_whole_valid_notebook_that_describes_itself(finished: Project) -> None:
    assert is_whole(finished.executed("alpha"))
    about = finished.about("alpha")
    page = finished.page("alpha")
    assert about["page"] == "alpha"
    assert about["profile"] == "book"
    assert about["parameters"] == page.resolve("book", {})
    assert about["digests"] == page.digests(about["parameters"])
    assert about["error"] is None
    assert about["device"]
    assert about["threads"] >= 1
    assert about["versions"].keys() >= {"python", "torch", "numpy"}
    assert about["commit"] == "unknown"
    assert about["seconds"] > 0
    age = datetime.now(UTC) - datetime.fromisoformat(about["finished"])
    assert 0 <= age.total_seconds() < 3600


def test_a_book_run_injects_no_cell_and_leaves_no_scratch(finished: Project) -> None:
    cells = code_cells(finished.executed("alpha"))
    assert len(cells) == 3
    assert not any("injected-parameters" in cell.metadata.get("tags", []) for cell in cells)
    assert "papermill" not in nbformat.read(finished.executed("alpha"), 4).metadata
    assert not (finished.root / "_build" / "running").exists()
    assert [path.name for path in (finished.root / "notebooks").iterdir() if path.suffix != ".py"] == []


@dataclass
class Profiles:
    """One book: page alpha run in the quick profile, page beta with a reader's own parameters."""

    project: Project
    before: dict[str, str]
    outcomes: list[runner.Outcome]


TELL = """\
import os
print({name: value for name, value in os.environ.items() if name.startswith("ATTENTION_LIMITS_")})
print("threads", os.environ["OMP_NUM_THREADS"])
print("values", num_tokens, accuracy, seed)"""


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Profiles:
    project = new_project(tmp_path_factory.mktemp("profiles") / "project")
    project.add("alpha", TELL, facts='quick = {"num_tokens": 4}')
    project.add("beta", TELL, 'claim("beta.observed", seed, "==", 0, empirical=True)')
    project.execute("alpha", "beta")
    before = project.snapshot()
    plans = [runner.plan(project.page("beta"), "book", {"seed": 5, "accuracy": 0.25})]
    plans.append(runner.plan(project.page("alpha"), "quick", {}))
    with runner.exclusive(project.root):
        outcomes = runner.execute(plans, jobs=2, device="cpu", device_label="cpu", cell_seconds=60)
    return Profiles(project, before, outcomes)


def test_quick_and_custom_runs_go_to_folders_of_their_own(profiles: Profiles) -> None:
    build = profiles.project.root / "_build"
    assert sorted(str(outcome.error) for outcome in profiles.outcomes) == ["None", "None"]
    assert is_whole(build / "quick" / "alpha.ipynb")
    assert is_whole(build / "custom" / "beta.ipynb")
    assert not (build / "quick" / "beta.ipynb").exists()
    assert not (build / "custom" / "alpha.ipynb").exists()


def test_quick_and_custom_runs_never_touch_what_the_book_prints(profiles: Profiles) -> None:
    executed = {path: mark for path, mark in profiles.before.items() if path.startswith("_build/executed")}
    after = profiles.project.snapshot()
    assert len(executed) == 3
    assert {path: mark for path, mark in after.items() if path.startswith("_build/executed")} == executed


def test_a_run_writes_nowhere_but_into_build(profiles: Profiles) -> None:
    before, after = (
        {path: mark for path, mark in snapshot.items() if not path.startswith("_build")}
        for snapshot in (profiles.before, profiles.project.snapshot())
    )
    assert before == after


def test_quick_and_custom_runs_say_what_they_are(profiles: Profiles) -> None:
    build = profiles.project.root / "_build"
    quick, custom = (runner.read_run(build / path) for path in ("quick/alpha.ipynb", "custom/beta.ipynb"))
    assert quick is not None
    assert custom is not None
    assert (quick["profile"], custom["profile"]) == ("quick", "custom")
    assert quick["parameters"]["num_tokens"] == 4
    assert custom["parameters"]["seed"] == 5


def test_a_page_sees_its_values_its_profile_and_its_device(profiles: Profiles) -> None:
    build = profiles.project.root / "_build"
    for path, page, profile, values in (
        ("executed/alpha", "alpha", "book", "8 0.1 0"),
        ("quick/alpha", "alpha", "quick", "4 0.1 0"),
        ("custom/beta", "beta", "custom", "8 0.25 5"),
    ):
        text = text_of(build / f"{path}.ipynb")
        assert f"'ATTENTION_LIMITS_PAGE': '{page}'" in text
        assert f"'ATTENTION_LIMITS_PROFILE': '{profile}'" in text
        assert "'ATTENTION_LIMITS_DEVICE': 'cpu'" in text
        assert f"values {values}" in text


def test_pages_that_run_at_the_same_time_share_the_cores(profiles: Profiles) -> None:
    threads = max(1, (os.cpu_count() or 1) // 2)
    assert f"threads {threads}\n" in text_of(profiles.project.executed("alpha"))
    assert profiles.project.about("alpha")["threads"] == threads


def test_an_empirical_claim_that_fails_is_only_reported_in_a_custom_run(profiles: Profiles) -> None:
    record = records_of(profiles.project.root / "_build" / "custom" / "beta.ipynb")[-1]
    assert (record["id"], record["holds"], record["kind"]) == ("beta.observed", False, "empirical")


def test_parameters_of_the_profile_given_by_hand_are_no_custom_run(project: Project) -> None:
    project.add("alpha")
    assert runner.plan(project.page("alpha"), "book", {"seed": 0}).kind == "executed"
    assert runner.plan(project.page("alpha"), "quick", {"seed": 0}).kind == "quick"
    assert runner.plan(project.page("alpha"), "book", {"seed": 1}).kind == "custom"
    assert runner.plan(project.page("alpha"), "quick", {"seed": 1}).kind == "custom"


# Pages that fail.


@dataclass
class Mixed:
    """A good book, then the same with broken pages, then mended."""

    project: Project
    #: The good copies before the pages broke.
    good: dict[str, bytes]
    broken: subprocess.CompletedProcess[str]
    #: What lay in _build/executed after the pages broke.
    kept: dict[str, bytes]
    refused: subprocess.CompletedProcess[str]
    mended: subprocess.CompletedProcess[str]


BREAK = {
    "raises": 'raise RuntimeError("planted\\nand more")',
    "dies": "import os; os._exit(3)",
    "slow": "import time; time.sleep(600)",
}
#: Of these, what is mended by an edit; the others get their old source back.
EDITED = ("raises",)


def _executed(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project.root / "_build" / "executed").iterdir()}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    project = new_project(tmp_path_factory.mktemp("mixed") / "project")
    last = 'print("the end")'
    for name in (*BREAK, "sound"):
        project.add(name, last)
    project.must("run")
    good = _executed(project)
    sources = {name: project.source(name).read_text() for name in BREAK}
    for name, cell in BREAK.items():
        project.add(name, cell, last)
    project.edit("notebooks/sound.py", "the end", "the new end")
    broken = project.command("run", "--cell-seconds", "10")
    kept = _executed(project)
    refused = project.command("build")
    for name, source in sources.items():
        project.source(name).write_text(source.replace("the end", "mended") if name in EDITED else source)
    mended = project.command("run")
    return Mixed(project, good, broken, kept, refused, mended)


@pytest.mark.parametrize(
    ("page", "what"),
    [
        ("raises", "RuntimeError: planted"),
        ("dies", "the kernel died"),
        ("slow", "took more than 10 s"),
    ],
)
def test_a_page_that_fails_is_named_with_its_cell_and_section(page: str, what: str, mixed: Mixed) -> None:
    assert mixed.broken.returncode == 1
    (line,) = [line for line in mixed.broken.stderr.splitlines() if line.startswith("FAIL") and page in line]
    assert "cell 3 (Afterwards)" in line
    assert what in line
    assert "and more" not in line


def test_the_other_pages_run_although_some_fail(mixed: Mixed) -> None:
    assert any(line.startswith("ok") and "sound" in line for line in mixed.broken.stderr.splitlines())
    assert "_build/executed/sound.ipynb" in mixed.broken.stdout
    assert b"the new end" in mixed.kept["sound.ipynb"]


def test_a_failing_page_prints_no_traceback_of_ours(mixed: Mixed) -> None:
    assert "Traceback" not in mixed.broken.stdout + mixed.broken.stderr


def test_the_last_good_copy_of_a_page_that_fails_stays_as_it_was(mixed: Mixed) -> None:
    assert mixed.kept.keys() == mixed.good.keys() == {f"{name}.ipynb" for name in (*BREAK, "sound")}
    assert [name for name in mixed.good if mixed.kept[name] != mixed.good[name]] == ["sound.ipynb"]


def test_the_book_is_refused_and_every_failing_page_named(mixed: Mixed) -> None:
    assert mixed.refused.returncode == 1
    lines = mixed.refused.stderr.splitlines()
    assert len(lines) == len(BREAK)
    for name in BREAK:
        assert any(f"{name} is failed" in line and "cell 3 (Afterwards)" in line for line in lines)
    assert "Traceback" not in mixed.refused.stderr


def test_a_mended_page_goes_through(mixed: Mixed) -> None:
    assert mixed.mended.returncode == 0, mixed.mended.stderr
    assert gate.problems(mixed.project.root) == []
    for name in EDITED:
        assert "mended" in text_of(mixed.project.executed(name))
        assert not (mixed.project.root / "_build" / "failed" / "executed" / f"{name}.ipynb").exists()


def test_a_page_that_gets_its_old_source_back_has_its_old_run_back(mixed: Mixed) -> None:
    assert "fresh slow: _build/executed/slow.ipynb" in mixed.mended.stderr
    assert mixed.project.executed("slow").read_bytes() == mixed.good["slow.ipynb"]


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, runner.Outcome]]:
    """Pages run once, in one batch, that misbehave in other ways."""
    project = new_project(tmp_path_factory.mktemp("troubled") / "project")
    project.add("raises", 'print("before")', 'raise RuntimeError("planted")', 'print("after")', header=HEADER)
    project.add("noisy", 'import os; os.system("echo 5; echo null; echo {}"); os.write(1, b\'{"done": true}\\n\')')
    project.add("lying", "import os; os.system('echo \\'{\"done\": true}\\''); os._exit(1)")
    project.add("leaves", "raise SystemExit(0)", 'print("the end")')
    project.add("tagged", '# %% tags=["raises-exception"]\nraise ValueError("allowed")', 'print("the end")')
    project.add("observed", 'claim("observed.seed", 1, "<=", 0, empirical=True)')
    project.add("custom", "assert seed == 0")
    names = ("raises", "noisy", "lying", "leaves", "tagged", "observed")
    plans = [runner.plan(project.page(name), "book", {}) for name in names]
    plans.append(runner.plan(project.page("custom"), "book", {"seed": 3}))
    with runner.exclusive(project.root):
        outcomes = runner.execute(plans, jobs=2, device="cpu", device_label="cpu", cell_seconds=60)
    return project, {outcome.run.page.name: outcome for outcome in outcomes}


def test_a_page_that_ends_itself_halfway_is_no_good_run(troubled: tuple[Project, dict[str, runner.Outcome]]) -> None:
    project, outcomes = troubled
    error = outcomes["leaves"].error
    assert error is not None
    assert error.startswith("cell 3 (Afterwards): SystemExit")
    assert not project.executed("leaves").exists()


def test_a_cell_that_may_raise_in_a_notebook_may_not_in_a_page(
    troubled: tuple[Project, dict[str, runner.Outcome]],
) -> None:
    project, outcomes = troubled
    assert outcomes["tagged"].error == "cell 3 (Afterwards): ValueError: allowed"
    assert not project.executed("tagged").exists()


def test_a_failed_run_is_kept_up_to_its_failing_cell(troubled: tuple[Project, dict[str, runner.Outcome]]) -> None:
    project, outcomes = troubled
    failed = outcomes["raises"].run.failed_target
    assert failed.is_relative_to(project.root / "_build" / "failed")
    assert text_of(failed).count("before") == 1
    assert "after" not in text_of(failed)
    about = runner.read_run(failed)
    assert about is not None
    assert about["error"] == outcomes["raises"].error == "cell 4 (Afterwards): RuntimeError: planted"
    assert not project.executed("raises").exists()


def test_what_a_page_writes_to_standard_output_does_not_disturb_its_run(
    troubled: tuple[Project, dict[str, runner.Outcome]],
) -> None:
    project, outcomes = troubled
    assert outcomes["noisy"].error is None
    assert is_whole(project.executed("noisy"))


def test_a_page_cannot_report_its_own_success(troubled: tuple[Project, dict[str, runner.Outcome]]) -> None:
    project, outcomes = troubled
    assert outcomes["lying"].error == "cell 3 (Afterwards): the kernel died"
    assert not project.executed("lying").exists()


def test_an_empirical_claim_that_fails_fails_the_book_run(
    troubled: tuple[Project, dict[str, runner.Outcome]],
) -> None:
    _, outcomes = troubled
    assert outcomes["observed"].error is not None
    assert "ClaimError: DOES NOT HOLD: observed.seed: 1 ≤ 0" in outcomes["observed"].error


def test_a_cell_is_counted_as_the_source_counts_it_in_a_custom_run_too(
    troubled: tuple[Project, dict[str, runner.Outcome]],
) -> None:
    project, outcomes = troubled
    assert outcomes["custom"].error == "cell 3 (Afterwards): AssertionError: "
    assert outcomes["custom"].run.failed_target == project.root / "_build" / "failed" / "custom" / "custom.ipynb"


def test_a_failed_run_counts_the_claims_that_it_left(troubled: tuple[Project, dict[str, runner.Outcome]]) -> None:
    _, outcomes = troubled
    assert outcomes["noisy"].num_claims == 5
    assert outcomes["observed"].num_claims == 6


# Fresh pages.


def test_fresh_pages_are_not_run_again_unless_forced_and_then_once(finished: Project) -> None:
    before = finished.snapshot()
    result = finished.must("run", "--jobs", "1")
    assert finished.snapshot() == before
    assert result.stderr.splitlines() == [
        "fresh alpha: _build/executed/alpha.ipynb",
        "fresh beta: _build/executed/beta.ipynb",
    ]
    nonce, marks = text_of(finished.executed("alpha")), finished.about("alpha")["finished"]
    forced = finished.must("run", "alpha", "notebooks/alpha.py", "alpha", "--force")  # one page by two names
    assert forced.stderr.count("run   alpha") == 1
    assert forced.stdout == "_build/executed/alpha.ipynb\n"
    assert text_of(finished.executed("alpha")) != nonce
    assert finished.about("alpha")["finished"] >= marks
    beta = "_build/executed/beta.ipynb"
    assert finished.snapshot()[beta] == before[beta]


def test_a_run_is_fresh_until_something_that_it_depends_on_changes(finished: Project) -> None:
    assert runner.plan(finished.page("alpha"), "book", {}).is_fresh
    assert not runner.plan(finished.page("alpha"), "quick", {}).is_fresh
    assert not runner.plan(finished.page("alpha"), "book", {"seed": 1}).is_fresh
    finished.edit("constraints.txt", "2.4.6", "2.4.7")
    assert not runner.plan(finished.page("alpha"), "book", {}).is_fresh
    finished.edit("constraints.txt", "2.4.7", "2.4.6")
    assert runner.plan(finished.page("alpha"), "book", {}).is_fresh


def test_a_page_that_failed_since_its_good_run_is_not_fresh(finished: Project) -> None:
    failed = finished.root / "_build" / "failed" / "executed" / "alpha.ipynb"
    failed.parent.mkdir(parents=True)
    shutil.copy(finished.executed("alpha"), failed)
    assert not runner.plan(finished.page("alpha"), "book", {}).is_fresh
    assert runner.plan(finished.page("beta"), "book", {}).is_fresh


@pytest.mark.parametrize("content", ["", '{"cells": [', "[]", "{}", '{"metadata": {}}', '{"metadata": []}', "\x00"])
def test_a_file_that_is_no_run_of_ours_counts_as_missing(content: str, tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    assert runner.read_run(path) is None
    path.write_text(content)
    assert runner.read_run(path) is None


# Two commands, kills and interrupts.


def test_two_runs_at_once_take_turns_and_both_succeed(project: Project) -> None:
    project.add("alpha", HOLD)
    project.add("beta")
    (project.root / "hold").touch()
    first = project.start("run")
    wait_until((project.root / "reached").exists, "the first run's page")
    second = project.start("run")
    assert second.stderr is not None
    waiting = second.stderr.readline()
    assert "waiting" in waiting
    assert "another attention-limits command" in waiting
    assert second.poll() is None
    (project.root / "hold").unlink()
    first_output, first_errors = first.communicate(timeout=TIMEOUT)
    second_output, second_errors = second.communicate(timeout=TIMEOUT)
    assert (first.returncode, second.returncode) == (0, 0), first_errors + second_errors
    assert "waiting" not in first_errors
    assert sorted(first_output.splitlines()) == ["_build/executed/alpha.ipynb", "_build/executed/beta.ipynb"]
    assert second_output == ""
    assert [line.split(":")[0] for line in second_errors.splitlines()] == ["fresh alpha", "fresh beta"]
    for name in ("alpha", "beta"):
        assert is_whole(project.executed(name))
        assert len(records_of(project.executed(name))) == 5


@pytest.fixture
def temporary(project: Project) -> Iterator[Path]:
    """The folder that the project's commands take for temporary files, with a path short enough for sockets."""
    with tempfile.TemporaryDirectory() as folder:
        project.environment["TMPDIR"] = folder
        yield Path(folder)


def _hanging(project: Project, *options: str) -> subprocess.Popen[str]:
    """A run of which page beta hangs in a cell."""
    project.add("beta", HOLD)
    (project.root / "hold").touch()
    process = project.start("run", *options)
    wait_until((project.root / "reached").exists, "beta's cell")
    assert len(project.processes()) >= 3  # the command, the page's process, its kernel
    return process


def _half_done(project: Project) -> subprocess.Popen[str]:
    """A run of which page alpha is finished and page beta hangs in a cell."""
    project.add("alpha", NONCE)
    process = _hanging(project)
    wait_until(project.executed("alpha").exists, "alpha's result")
    return process


def _ports(project: Project) -> list[object]:
    return [
        connection
        for process in project.processes()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]


def test_kernels_are_reached_by_sockets_of_their_own(project: Project, temporary: Path) -> None:
    process = _hanging(project)
    assert {path.name for path in temporary.glob("pages-*/*")} >= {f"beta-ipc-{number}" for number in range(1, 6)}
    assert len(_ports(project)) < 5  # ipykernel takes one for itself
    (project.root / "hold").unlink()
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert not list(temporary.glob("pages-*"))


def test_where_temporary_paths_are_too_long_for_sockets_kernels_take_ports(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 25)
    folder.mkdir()
    project.environment["TMPDIR"] = str(folder)
    process = _hanging(project)
    assert len(_ports(project)) >= 5
    (project.root / "hold").unlink()
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert not list(folder.glob("pages-*"))


def _must_hold_alpha_alone(project: Project) -> None:
    executed = list((project.root / "_build" / "executed").rglob("*"))
    assert executed == [project.executed("alpha")]
    assert is_whole(project.executed("alpha"))
    assert len(records_of(project.executed("alpha"))) == 5


def test_a_killed_run_leaves_whole_results_no_process_and_the_next_goes_on(project: Project, temporary: Path) -> None:
    process = _half_done(project)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=TIMEOUT)
    wait_until(lambda: not project.processes(), "the end of the killed run's pages and kernels")
    assert not list(temporary.glob("pages-*"))
    _must_hold_alpha_alone(project)
    assert not (project.root / "_build" / "failed").exists()
    (project.root / "hold").unlink()
    after = project.must("run")
    assert "fresh alpha: _build/executed/alpha.ipynb" in after.stderr
    assert "waiting" not in after.stderr
    assert after.stdout.splitlines() == ["_build/executed/beta.ipynb"]
    assert is_whole(project.executed("beta"))
    assert not (project.root / "_build" / "running").exists()


def test_an_interrupted_run_keeps_what_was_finished_and_says_so(project: Project, temporary: Path) -> None:
    process = _half_done(project)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the command and its pages at once
    output, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert "Traceback" not in output + errors
    assert errors.splitlines()[-1] == "interrupted: what was finished is kept"
    wait_until(lambda: not project.processes(), "the end of the interrupted run's pages and kernels")
    assert not list(temporary.glob("pages-*"))
    _must_hold_alpha_alone(project)
    assert not (project.root / "_build" / "failed").exists()
    assert not (project.root / "_build" / "running").exists()


def test_each_page_is_told_its_own_name_by_a_process_that_runs_several(project: Project) -> None:
    for name in ("alpha", "beta"):
        project.add(name, 'import os\nprint("I am", os.environ["ATTENTION_LIMITS_PAGE"])')
    project.must("run", "-j", "1")
    for name in ("alpha", "beta"):
        assert f"I am {name}\n" in text_of(project.executed(name))


def test_a_killed_page_fails_alone(project: Project) -> None:
    for name in ("alpha", "beta", "gamma"):
        project.add(name, NONCE)
    process = _hanging(project, "-j", "1")  # one process for all three pages, in this order
    (page,) = [child for child in project.processes() if "attention_limits.companion.worker" in child.cmdline()]
    page.kill()
    output, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1, errors
    assert "Traceback" not in output + errors
    assert "FAIL  beta, its process ended with status -9" in errors
    assert all(is_whole(project.executed(name)) for name in ("alpha", "gamma"))
    assert not project.executed("beta").exists()
    wait_until(lambda: not project.processes(), "the end of the killed page's kernel")


def test_the_lock_is_free_after_an_error(project: Project) -> None:
    with pytest.raises(RuntimeError, match="planted"), runner.exclusive(project.root):
        raise RuntimeError("planted")
    with runner.exclusive(project.root):
        pass


# The commit.


@pytest.fixture
def without_git_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that no repository above it owns, and a git that reads no one's configuration."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_outside_git_the_commit_is_unknown(without_git_above: Path) -> None:
    assert runner.commit(without_git_above) == "unknown"


def test_without_git_installed_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert runner.commit(tmp_path) == "unknown"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_has_a_plus_sign_while_tracked_files_differ_from_it(without_git_above: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(without_git_above), "-c", "user.name=n", "-c", "user.email=e@x", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    file = without_git_above / "file"
    file.write_text("one")
    git("init", "--quiet")
    assert runner.commit(without_git_above) == "unknown"  # no commit yet
    git("add", "file")
    git("commit", "--quiet", "-m", "one")
    git("tag", "-a", "v1", "-m", "v1")
    commit = git("rev-parse", "--short", "HEAD")
    assert runner.commit(without_git_above) == commit
    (without_git_above / "untracked").touch()
    assert runner.commit(without_git_above) == commit
    file.write_text("two")
    assert runner.commit(without_git_above) == f"{commit}+"
