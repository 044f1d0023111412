"""The command line: bad input changes nothing and gets one line, help, tables, overrides, and live progress."""

import os
import pty
import subprocess
from pathlib import Path

import pytest
import torch

from attention_limits.companion import runner

from .conftest import COMMAND, HOLD, Project, invoke, new_project, text_of, wait_until

COMMANDS = {
    "list": ("--parameters",),
    "run": ("--parameter", "-p", "--profile", "--device", "--jobs", "-j", "--cell-seconds", "--force"),
    "sweep": ("--parameter", "-p", "--profile", "--jobs", "-j", "--scheduler", "--resume", "--fresh", "--device"),
    "build": (),
    "status": (),
}


@pytest.fixture(scope="module")
def unrun(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A book of two pages that were never run; the second one lacks a parameter of the first."""
    project = new_project(tmp_path_factory.mktemp("unrun") / "project")
    project.add("alpha")
    project.add("beta", parameters="seed: int = 0\nrates: list[float] = [0.5]")
    return project


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "alpha", "-p", "width=3"), "unknown parameter 'width': alpha has num_tokens, sparsity"),
        (("run", "-p", "num_tokens=4"), "unknown parameter 'num_tokens': beta has seed, rates"),
        (("run", "alpha", "-p", "num_tokens=8.0"), "parameter num_tokens must be int, got 8.0"),
        (("run", "alpha", "-p", "num_tokens=many"), "parameter num_tokens must be int, got 'many'"),
        (("run", "alpha", "-p", "num_tokens="), "parameter num_tokens must be int, got ''"),
        (("run", "beta", "-p", "rates={[]: 1}"), "parameter rates must be list[float], got '{[]: 1}'"),
        (("run", "alpha", "-p", "sparsity=9"), "sparsity q = 9 needs num_tokens N ≥ 9, got N = 8"),
        (("run", "alpha", "-p", "sparsity=0"), "sparsity must be at least 1, got 0"),
        (("run", "alpha", "-p", "accuracy=0"), "accuracy ε must lie strictly between 0 and 1, got 0.0"),
        (("run", "alpha", "-p", "accuracy=1.5"), "accuracy ε must lie strictly between 0 and 1, got 1.5"),
        (("run", "alpha", "-p", "seed"), "a parameter reads NAME=VALUE, got 'seed'"),
        (("run", "alpha", "-p", "=3"), "a parameter reads NAME=VALUE, got '=3'"),
        (("run", "alpha", "-p", "two words=3"), "a parameter reads NAME=VALUE, got 'two words=3'"),
        (("run", "alhpa"), "no page 'alhpa': did you mean 'alpha'?"),
        (("run", "alpha", "zzz"), "no page 'zzz': the pages are alpha, beta"),
        (("run", "--profile", "fast"), "unknown profile 'fast': use book or quick"),
        (("run", "--device", "tpu"), "unknown device 'tpu': use cpu, cuda or cuda:N"),
        (("run", "--device", "cuda"), "device 'cuda' needs more CUDA devices than the 0 here"),
        (("run", "-j", "-1"), "jobs must be at least 0, got -1"),
        (("run", "-j", "two"), "run -j two"),
        (("run", "--cell-seconds", "0"), "cell-seconds must be at least 1, got 0"),
        (("run", "--cell-seconds", "0.5"), "run --cell-seconds 0.5"),
        (("run", "--speed", "9"), "--speed"),
        (("run", "-p"), "'-p'"),
        (("list", "alpha"), "alpha"),
        (("sweep", "alpha"), "no sweep 'alpha': the sweeps are"),
        (("sweep", "-j", "-1", "alpha"), "jobs must be at least 0, got -1"),
        (("fly",), "'fly'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_named_in_one_line_and_nothing_is_done(
    arguments: tuple[str, ...],
    message: str,
    unrun: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    before = unrun.snapshot()
    assert invoke(unrun, *arguments) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.count("\n") == 1
    assert errors.startswith("error: ")
    assert message in errors
    assert unrun.snapshot() == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_broken_book_is_refused_by_every_command(
    command: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.add("alpha")
    project.add("broken", parameters="seed = 0")
    assert invoke(project, command) == 2
    assert capsys.readouterr().err.startswith("error: page broken: a parameter reads 'name: type = literal")
    project.write_toc("alpha", "ghost")
    assert invoke(project, command) == 2
    assert capsys.readouterr().err.startswith("error: _toc.yml lists the page 'ghost'")
    assert not (project.root / "_build").exists()


def test_the_installed_command_refuses_alike(unrun: Project, tmp_path: Path) -> None:
    refused = unrun.command("run", "alpha", "-p", "sparsity=9")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "error: sparsity q = 9 needs num_tokens N ≥ 9, got N = 8\n"
    outside = unrun.command("list", cwd=tmp_path)
    assert (outside.returncode, outside.stdout) == (2, "")
    assert outside.stderr.startswith("error: no book here: ")
    assert outside.stderr.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_option(command: str, unrun: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(unrun, command, "--help") == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    assert f"attention-limits {command}" in output
    for option in COMMANDS[command]:
        assert option in output


def test_help_names_every_command_and_is_what_no_argument_gives(
    unrun: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(unrun, "--help") == 0
    asked = capsys.readouterr().out
    assert all(f"\n  {command} " in asked for command in COMMANDS)
    assert not any(line.endswith("...") for line in asked.splitlines()[1:])  # no summary is cut off
    assert invoke(unrun) == 0
    assert capsys.readouterr().out == asked


def test_list_shows_title_last_run_and_state(finished: Project, capsys: pytest.CaptureFixture[str]) -> None:
    finished.add("gamma")
    finished.edit("notebooks/beta.py", "# # Page beta", f"# # Page {'long ' * 60}beta")
    finished.edit("notebooks/beta.py", "2.5", "2.25")
    assert invoke(finished, "list") == 0
    header, alpha, beta, gamma = capsys.readouterr().out.splitlines()  # a page a line: nothing is folded
    assert header.split() == ["page", "title", "last", "run", "state"]
    assert alpha.startswith("alpha  Page alpha")
    assert alpha.rstrip().endswith("fresh")
    assert f"Page {'long ' * 60}beta" in beta
    assert beta.rstrip().endswith("stale: its source changed since it was run")
    assert gamma.split() == ["gamma", "Page", "gamma", "never", "missing:", "it", "was", "never", "run"]


def test_list_shows_the_parameters_when_asked(unrun: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(unrun, "list", "--parameters") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["alpha", "num_tokens", "int", "8", "N,", "tokens"] in lines
    assert ["beta", "rates", "list[float]", "[0.5]"] in lines


def test_status_shows_each_run_and_what_forbids_printing(finished: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(finished, "status") == 0
    header, alpha, _, summary = capsys.readouterr().out.splitlines()
    assert header.split() == ["page", "state", "profile", "seconds", "device", "commit", "claims"]
    seconds = f"{finished.about('alpha')['seconds']:.1f}"
    assert alpha.split() == ["alpha", "fresh", "book", seconds, "cpu", "unknown", "5"]
    assert summary == "commit unknown: the book can be printed"
    finished.executed("alpha").unlink()
    assert invoke(finished, "status") == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "commit unknown: 1 reason not to print the book",
        "  alpha is missing: it was never run",
    ]


def test_an_override_holds_for_every_page_named_and_leaves_the_book_alone(
    finished: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    executed = {name: finished.executed(name).read_bytes() for name in ("alpha", "beta")}
    command = ("run", "alpha", "beta", "-p", "seed=3", "-p", "accuracy=0.5", "--device", "cpu")
    assert invoke(finished, *command) == 0
    output, errors = capsys.readouterr()
    assert sorted(output.splitlines()) == ["_build/custom/alpha.ipynb", "_build/custom/beta.ipynb"]
    assert sorted(line.split()[:2] for line in errors.splitlines()) == [
        ["ok", "alpha"],
        ["ok", "beta"],
        ["run", "alpha"],
        ["run", "beta"],
    ]
    for name in ("alpha", "beta"):
        run = runner.read_run(finished.root / "_build" / "custom" / f"{name}.ipynb")
        assert run is not None
        assert (run["profile"], run["parameters"]["seed"], run["parameters"]["accuracy"]) == ("custom", 3, 0.5)
        assert finished.executed(name).read_bytes() == executed[name]
    assert invoke(finished, *command) == 0
    assert sorted(line.split(":")[0] for line in capsys.readouterr().err.splitlines()) == ["fresh alpha", "fresh beta"]


def test_a_terminal_sees_the_cell_and_section_while_a_page_runs(project: Project) -> None:
    project.add("alpha", HOLD)
    (project.root / "hold").touch()
    screen, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "ATTENTION_LIMITS_DEVICE": "cpu"}
    with subprocess.Popen(
        [COMMAND, "run"], cwd=project.root, env=environment, stdout=subprocess.DEVNULL, stderr=terminal
    ) as process:
        os.close(terminal)
        wait_until((project.root / "reached").exists, "the page's last cell")
        shown = ""
        while "Afterwards" not in shown:
            shown += os.read(screen, 65536).decode(errors="replace")
        assert "alpha" in shown
        assert "2/3" in shown  # cells done
        (project.root / "hold").unlink()
        while "claims hold" not in shown:
            shown += os.read(screen, 65536).decode(errors="replace")
    os.close(screen)
    assert process.returncode == 0
    assert is_last_line_ok(shown)
    assert "Traceback" not in shown
    assert text_of(project.executed("alpha")).count("holds") == 0


def is_last_line_ok(shown: str) -> bool:
    """Whether the page's end was reported on a line of its own."""
    return any("ok    alpha" in line and line.rstrip().endswith("5 claims hold") for line in shown.splitlines())


def test_build_says_when_jupyter_book_is_not_installed(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert invoke(finished, "build") == 2
    assert capsys.readouterr().err == "error: jupyter-book is not installed: pip install -e '.[book]'\n"
