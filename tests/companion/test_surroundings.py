"""What other people's machines do to a run: their settings of matplotlib, Jupyter, Python and git, and make."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from attention_limits.companion import runner

from .conftest import COMMAND, REPOSITORY, TIMEOUT, Project, code_cells, text_of

FIGURE = """\
# %% mystnb={"figure": {"name": "fig-map", "caption": "A map."}}
import matplotlib as mpl
import matplotlib.pyplot as plt

plt.imshow([[0, 1], [2, 3]])
print(mpl.rcParams["image.origin"], mpl.rcParams["text.usetex"])
plt.show();"""
TELL = 'import sys, warnings; print(sys.executable); warnings.warn("old", DeprecationWarning)'


@pytest.fixture
def drawn(project: Project) -> Project:
    """A book with one page, which draws, says what runs it, and warns."""
    project.add("alpha", FIGURE, TELL)
    return project


def images(project: Project) -> list[str]:
    """The kinds of image that the page shows."""
    outputs = (output for cell in code_cells(project.executed("alpha")) for output in cell.outputs)
    return [kind for output in outputs for kind in output.get("data", {}) if kind.startswith("image/")]


def hostile(project: Project, tmp_path: Path) -> dict[str, str]:
    """Settings of a user: another backend, a matplotlibrc, another Python's kernel, warnings as errors."""
    settings = tmp_path / "matplotlibrc"
    settings.write_text("text.usetex: True\nimage.origin: lower\n")
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {"argv": ["/bin/false", "{connection_file}"], "display_name": "Another", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    return {
        "MPLBACKEND": "Agg",
        "MATPLOTLIBRC": str(settings),
        "MPLCONFIGDIR": str(tmp_path),
        "JUPYTER_PATH": str(tmp_path / "jupyter"),
        "JUPYTER_PREFER_ENV_PATH": "0",
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
        "PYTHONWARNINGS": "error",
    }


def test_a_users_settings_change_nothing_in_a_run(drawn: Project, tmp_path: Path) -> None:
    drawn.environment.update(hostile(drawn, tmp_path))
    drawn.must("run")
    said = text_of(drawn.executed("alpha"))
    assert "upper False" in said
    assert sys.executable in said.splitlines()
    assert len(images(drawn)) == 1


def test_a_page_that_shows_no_figure_where_it_declares_one_fails_by_its_name(project: Project) -> None:
    project.add("alpha", FIGURE.replace("plt.show();", "plt.close();"))
    result = project.command("run")
    assert result.returncode == 1
    assert "the figure fig-map was not drawn" in result.stderr
    assert not project.executed("alpha").exists()
    assert nbformat.read(project.root / "_build" / "failed" / "executed" / "alpha.ipynb", 4).cells


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@y.z", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_the_checkouts_own_or_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    around, other = tmp_path / "around", tmp_path / "other"
    for folder in (around, other):
        folder.mkdir()
        git(folder, "init", "--quiet")
        (folder / "file").write_text(folder.name)
        git(folder, "add", "file")
        git(folder, "commit", "--quiet", "--message", folder.name)
    inside = around / "unpacked"
    inside.mkdir()
    assert runner.commit(inside) == "unknown"
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert runner.commit(inside) == "unknown"
    own = runner.commit(around)
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_WORK_TREE")
    assert own == git(around, "rev-parse", "--short", "HEAD")


def make(folder: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    """Call make with few programs on the path."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("sh", "grep", "awk", "find", "rm", "make"):
        if not (tools / name).exists():
            (tools / name).symlink_to(str(shutil.which(name)))
    command = [str(tools / "make"), "--silent", *targets]
    return subprocess.run(command, cwd=folder, env={"PATH": str(tools)}, capture_output=True, text=True)


def test_help_and_clean_need_few_programs_and_clean_takes_what_is_there(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    shown = make(tmp_path, "help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Run the pages that are not fresh" in shown.stdout
    assert make(tmp_path, "clean").returncode == 0
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "html").mkdir(parents=True)
    (elsewhere / "store").mkdir()
    (tmp_path / "_build").symlink_to(elsewhere)
    assert make(tmp_path, "clean").returncode == 0
    assert [path.name for path in elsewhere.iterdir()] == ["store"]


def script(path: Path, text: str) -> Path:
    """A program of the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("sys.version_info = (3, 15, 0)", "error: Python 3.11 to 3.14 is needed, this is"),
        ("sys.version_info = (3, 10, 9)", "error: Python 3.11 to 3.14 is needed, this is"),
        ('sys.modules["ensurepip"] = None', "error: this Python cannot make environments: install its venv module"),
    ],
)
def test_make_refuses_a_python_that_will_not_do_in_one_line(before: str, message: str, tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "constraints.txt").touch()
    python = script(tmp_path / "python", f"exec '{sys.executable}' -c 'import sys; {before}; exec(sys.argv[2])' \"$@\"")
    result = make(tmp_path, f"PYTHON={python}", "book")
    assert result.returncode != 0
    said = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1
    assert said[0].startswith(message)
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(("locale", "expected"), [("C", "C.UTF-8"), ("POSIX", "C.UTF-8"), ("C.UTF-8", "C.UTF-8")])
def test_make_takes_names_with_any_letter_whatever_the_locale(
    locale: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    command = ["make", "-s", "-f", "Makefile", "--eval", "shown: ; @echo $$LC_ALL $$PYTHONUTF8", "shown"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert result.stdout == f"{expected} 1\n"


def test_make_makes_an_environment_again_that_is_broken_or_was_made_elsewhere(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    shutil.copy(REPOSITORY / "Makefile", here)
    for name in ("pyproject.toml", "constraints.txt"):
        (here / name).touch()
    made = tmp_path / "made"
    python = script(
        tmp_path / "python",
        f'case "$1 $2" in "-m venv") echo made >> {made}; mkdir -p $3/bin; cp {tmp_path}/inner $3/bin/python;; esac',
    )
    script(tmp_path / "inner", "exit 0")
    tools = ("mkdir", "cp", "cat", "test", "printf", "touch")

    def install(folder: Path) -> int:
        (folder / "tools").mkdir(exist_ok=True)
        for name in tools:
            if not (folder / "tools" / name).exists():
                (folder / "tools" / name).symlink_to(str(shutil.which(name)))
        assert make(folder, f"PYTHON={python}", ".venv/.installed").returncode == 0
        return made.read_text().count("made")

    assert (install(here), install(here)) == (1, 1)
    (here / ".venv" / ".installed").unlink()  # installation was interrupted
    assert install(here) == 2
    moved = here.rename(tmp_path / "moved")
    assert (install(moved), install(moved)) == (3, 3)
    script(moved / ".venv" / "bin" / "python", 'case "$3" in --version) exit 1;; esac')  # pip is gone
    (moved / "pyproject.toml").write_text("changed")
    os.utime(moved / "pyproject.toml", (4e9, 4e9))
    assert install(moved) == 4


def test_a_command_of_another_checkout_is_refused(finished: Project) -> None:
    (finished.root / "src" / "attention_limits").mkdir(parents=True)
    result = finished.command("list")
    assert result.returncode == 2
    assert "error: this command runs the package in " in result.stderr
    assert str(finished.root / "src" / "attention_limits") in result.stderr


def test_output_that_cannot_be_shown_is_escaped(finished: Project) -> None:
    finished.environment.update(PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    result = finished.must("list", "--parameters")
    assert "\\u03b5" in result.stdout  # ε


@pytest.mark.parametrize(("kilobytes", "good"), [(60, ["alpha"]), (1, [])])
def test_where_files_find_no_place_each_page_fails_in_one_line_and_others_are_tried(
    kilobytes: int, good: list[str], finished: Project
) -> None:
    finished.edit("notebooks/alpha.py", "run number", "another number")
    finished.edit("notebooks/beta.py", "2.5", "2.75")
    finished.add("gamma", 'print("x" * 200_000)')
    before = {name: finished.executed(name).read_bytes() for name in ("alpha", "beta")}
    limited = 'ulimit -f "$0"; exec "$@"'  # writing more fails as on a full disk, with another name of the error
    result = subprocess.run(
        ["bash", "-c", limited, str(kilobytes), COMMAND, "run", "alpha", "gamma"],
        cwd=finished.root,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env={**os.environ, "ATTENTION_LIMITS_DEVICE": "cpu"},
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    failed = [line for line in result.stderr.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 2 - len(good)
    assert all("File too large" in line and str(finished.root / "_build") in line for line in failed)
    shown = [line for line in result.stdout.split() if "failed" not in line]  # of a failed page there may be a part
    assert shown == [f"_build/executed/{name}.ipynb" for name in good]
    after = {name: finished.executed(name).read_bytes() for name in ("alpha", "beta")}
    assert [name for name in before if before[name] != after[name]] == good
    left = [
        path.name for path in (finished.root / "_build").rglob("*") if path.suffix == ".new" or "running" in path.parts
    ]
    assert left == []
    assert [outcome.error for outcome in finished.execute("gamma")] == [None]


@pytest.mark.parametrize("seed", [2**62 + 1, 99999999999999999999])
def test_an_integer_that_no_generator_takes_is_refused(seed: int, finished: Project) -> None:
    result = finished.command("run", "alpha", "-p", f"seed={seed}")
    assert (result.returncode, result.stderr) == (2, f"error: seed must be at most {2**62}, got {seed}\n")
