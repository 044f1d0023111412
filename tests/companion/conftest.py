"""A tiny book in a temporary folder, with the real command line, for tests that need whole runs.

Each run of a page costs a kernel's start (1-2 s), so that what is run once is copied: `finished` and `built` are made
once a session, and each test that wants one edits its own copy. A copy is as fresh as the original: digests know no
paths.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

import attention_limits
from attention_limits.companion import cli, runner
from attention_limits.companion.pages import Page, all_pages, get_page
from attention_limits.runtime import DEVICE_VARIABLE

REPOSITORY = Path(__file__).parents[2]
COMMAND = Path(sys.executable).parent / "attention-limits"
PACKAGE = Path(attention_limits.__file__).parent
#: Seconds after which a command counts as hung.
TIMEOUT = 300.0

#: What stands on top of this book's pages, for programs that ask a notebook for its kernel; ours does not need it.
HEADER = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

"""
PARAMETERS = """\
num_tokens: int = 8  # N, tokens
sparsity: int = 2  # q, tokens in each average
value_dim: int = 1  # d'
accuracy: float = 0.1  # ε
seed: int = 0  # of the generator
num_seeds: int = 2  # repetitions"""

#: A cell that says that it was reached, then waits until the project's file `hold` is gone.
HOLD = """\
import pathlib, time
pathlib.Path("../reached").touch()
while pathlib.Path("../hold").exists():
    time.sleep(0.05)"""
#: A cell whose output differs in each run.
NONCE = 'import uuid; print("run number", uuid.uuid4().hex)'


def claims_cell(name: str, count: int = 5) -> str:
    """A cell that makes ``count`` claims that hold, with the identifiers name.0, name.1 and so on."""
    return (
        "from attention_limits.companion.claims import claim\n\n"
        f"for number in range({count}):\n"
        f'    claim(f"{name}.{{number}}", number, "<=", {count}, statement=f"Claim {{number}} of {name}.")'
    )


def page_source(
    name: str,
    *cells: str,
    claims: int = 5,
    parameters: str = PARAMETERS,
    facts: str = "",
    header: str = "",
) -> str:
    """A page: parameters, facts if it has any, claims under "Checks", then ``cells`` one by one under "Afterwards"."""
    parts = [f"# %% [markdown]\n# # Page {name}\n#\n# ## Parameters", f'# %% tags=["parameters"]\n{parameters}']
    if facts:
        parts.append(f'# %% tags=["facts"]\n{facts}')
    if claims:
        parts += ["# %% [markdown]\n# ## Checks", f"# %%\n{claims_cell(name, claims)}"]
    if cells:
        parts.append("# %% [markdown]\n# ## Afterwards")
        parts += [cell if cell.startswith("# %%") else f"# %%\n{cell}" for cell in cells]
    return header + "\n\n".join(parts) + "\n"


@dataclass
class Project:
    """A book's folder, and what the tests do with it."""

    root: Path
    #: Environment variables of its commands, besides this process's.
    environment: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, *cells: str, **options: Any) -> None:
        """Write a page and list it in _toc.yml."""
        self.source(name).write_text(page_source(name, *cells, **options), encoding="utf-8")
        self.write_toc(*dict.fromkeys([*self.listed(), name]))

    def write_toc(self, *names: str) -> None:
        """List these pages, in this order, between the introduction and the tables."""
        chapters = ["book/definitions", *(f"notebooks/{name}" for name in names), "book/claims", "book/status"]
        text = "format: jb-book\nroot: book/intro\nchapters:\n" + "".join(f"  - file: {file}\n" for file in chapters)
        (self.root / "_toc.yml").write_text(text, encoding="utf-8")

    def listed(self) -> list[str]:
        """The names of the pages that _toc.yml lists."""
        return [page.name for page in all_pages(self.root)]

    def source(self, name: str) -> Path:
        """A page's source."""
        return self.root / "notebooks" / f"{name}.py"

    def edit(self, path: str | Path, old: str, new: str) -> None:
        """Replace ``old``, which must be there, in one of the project's files."""
        file = self.root / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file.name}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def page(self, name: str) -> Page:
        """A page, its source read anew."""
        return get_page(self.root, name)

    def executed(self, name: str) -> Path:
        """Where a page's good book run lies."""
        return self.root / "_build" / "executed" / f"{name}.ipynb"

    def about(self, name: str) -> dict[str, Any]:
        """What a page's good book run says about itself."""
        found = runner.read_run(self.executed(name))
        assert found is not None
        return found

    def html(self, document: str) -> Path:
        """A printed page, for example book/claims."""
        return self.root / "_build" / "html" / f"{document}.html"

    def execute(self, *names: str, profile: str = "book", **overrides: Any) -> list[runner.Outcome]:
        """Run pages from this process, which spares the commands' import of torch."""
        plans = [runner.plan(self.page(name), profile, overrides) for name in names]
        with runner.exclusive(self.root):
            return runner.execute(plans, jobs=2, device="cpu", device_label="cpu", cell_seconds=60)

    def start(self, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start ``attention-limits`` with these arguments, in a process group of its own."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ATTENTION_LIMITS_", "PYTEST_", "COLUMNS"))
        }
        return subprocess.Popen(
            [str(COMMAND), *arguments],
            cwd=cwd or self.root,
            env={**inherited, DEVICE_VARIABLE: "cpu", **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def command(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``attention-limits`` with these arguments and wait for it."""
        with self.start(*arguments, cwd=cwd) as process:
            try:
                output, errors = process.communicate(timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    def must(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``attention-limits``, which must exit 0."""
        result = self.command(*arguments)
        assert result.returncode == 0, f"attention-limits {' '.join(arguments)}\n{result.stdout}\n{result.stderr}"
        return result

    def use_own_package(self) -> Path:
        """Copy the package into the project and let its commands import the copy, which is returned."""
        copy = self.root / "src" / "attention_limits"
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        self.environment["PYTHONPATH"] = str(copy.parent)
        return copy

    def snapshot(self) -> dict[str, str]:
        """Every file and folder of the project, with what is in it and when it was written."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
            found[path.relative_to(self.root).as_posix()] = f"{content} {path.stat().st_mtime_ns}"
        return found

    def processes(self) -> list[psutil.Process]:
        """The processes that work in this project: pages, kernels, commands."""
        found = []
        for process in psutil.process_iter():
            try:
                places = [process.cwd(), *process.cmdline()]
            except psutil.Error:
                continue
            if process.pid != os.getpid() and any(str(self.root) in place for place in places):
                found.append(process)
        return found


def new_project(root: Path) -> Project:
    """A book without pages, under this repository's configuration."""
    root.mkdir(parents=True)
    (root / "notebooks").mkdir()
    shutil.copy(REPOSITORY / "_config.yml", root)
    shutil.copytree(REPOSITORY / "book" / "_static", root / "book" / "_static")
    files = {
        "constraints.txt": "numpy==2.4.6\n",
        "book/intro.md": "# A tiny book\n\nIt begins.\n",
        "book/definitions.md": "# Definitions\n\nNone.\n",
        "book/references.bib": "",
        "book/claims.md": "# Claims\n\n```{include} ../_build/generated/claims.md\n```\n",
        "book/status.md": "# Status\n\n```{include} ../_build/generated/status.md\n:relative-docs: ../..\n```\n",
    }
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")
    project = Project(root)
    project.write_toc()
    return project


def invoke(project: Project, *arguments: str) -> int:
    """Call the command line in this process, which takes milliseconds; the exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        patch.setattr(sys, "argv", ["attention-limits", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return int(ended.value.code or 0)


def copy_of(project: Project, root: Path) -> Project:
    """The same book in another folder, as fresh as it was."""
    shutil.copytree(project.root, root)
    return Project(root, dict(project.environment))


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    """The code cells of a notebook, which must be a valid one."""
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_whole(path: Path) -> bool:
    """Whether every cell of an executed notebook was run."""
    return all(cell.execution_count is not None for cell in code_cells(path))


def text_of(path: Path) -> str:
    """What an executed notebook's cells printed."""
    streams = (output.get("text", "") for cell in code_cells(path) for output in cell.outputs)
    return "".join(streams)


def records_of(path: Path) -> list[dict[str, Any]]:
    """The claims in a notebook, found without the package's help."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [
        data
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        for kind, data in output.get("data", {}).items()
        if kind == "application/vnd.attention-limits.claim+json"
    ]


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for ``condition``; fail, naming ``what``, if it does not come true in time."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {TIMEOUT:g} s"
        time.sleep(0.05)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A book without pages. Whatever still works in it when the test ends is ended."""
    fresh = new_project(tmp_path / "project")
    yield fresh
    for process in fresh.processes():
        process.kill()


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = new_project(tmp_path_factory.mktemp("finished") / "project")
    made.add("alpha", NONCE)
    made.add("beta", 'claim("beta.seen", 2.5, ">", 1.0, statement="It was | observed at $x_1$.", empirical=True)')
    made.must("run")
    return made


@pytest.fixture
def finished(_finished: Project, tmp_path: Path) -> Project:
    """A copy of a book whose two pages, alpha and beta, are fresh; it is not printed."""
    return copy_of(_finished, tmp_path / "project")
