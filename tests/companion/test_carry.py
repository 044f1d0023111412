"""What readers carry away: notebooks that open and run, without solutions where they say so, and archives."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from sphinx.errors import ExtensionError

from attention_limits.companion import carry, pixels
from attention_limits.companion.pages import all_pages, find_root, get_page

from .conftest import HEADER, Project, page_source

ROOT = find_root(Path(__file__).parent)
#: Runs a notebook in place, as a reader without this project's command would.
RUN_AGAIN = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook).execute()
nbformat.write(notebook, sys.argv[1])
"""
SOLVED = """# %% [markdown]
# ## Exercises
#
# ::::{exercise}
# :label: ex-a
#
# How many?
# ::::
#
# ::::{solution} ex-a
# :class: dropdown
#
# Three, since
#
# :::{math}
# 1+2=3
# :::
# ::::
#
# And on it goes."""


def test_a_bare_page_keeps_exercises_and_loses_solutions_and_outputs(finished: Project) -> None:
    finished.source("alpha").write_text(HEADER + page_source("alpha") + "\n" + SOLVED + "\n", encoding="utf-8")
    notebook = carry.bare(finished.page("alpha"))
    nbformat.validate(notebook)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert "How many?" in text
    assert "And on it goes." in text
    assert "solution" not in text
    assert "Three, since" not in text
    assert "1+2=3" not in text
    assert text.count(":::") == 2  # the exercise's
    assert all(not cell.get("outputs") for cell in notebook.cells)
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("name", [page.name for page in all_pages(ROOT)])
def test_no_page_of_the_book_keeps_a_solution_when_bare(name: str) -> None:
    page = get_page(ROOT, name)
    bare = carry.bare(page)
    text = "\n".join(cell.source for cell in bare.cells)
    assert "{solution}" in page.text
    assert "{solution}" not in text
    assert "{exercise}" in text
    code = [cell.source for cell in page.notebook.cells if cell.cell_type == "code"]
    assert [cell.source for cell in bare.cells if cell.cell_type == "code"] == code


def test_both_notebooks_open_and_run_again_elsewhere(finished: Project, tmp_path: Path) -> None:
    page = finished.page("beta")
    carry.write_notebooks(page, tmp_path / "away", {"R": r"\mathbb{R}", "abs": [r"\left|#1\right|", 1]})
    for name in ("beta", "beta-bare"):
        notebook = nbformat.read(tmp_path / "away" / f"{name}.ipynb", 4)
        nbformat.validate(notebook)
        assert "pip install" in notebook.cells[0].source
        assert notebook.cells[0].source.endswith(r"$\newcommand{\R}{\mathbb{R}}\newcommand{\abs}[1]{\left|#1\right|}$")
        subprocess.run([sys.executable, "-c", RUN_AGAIN, tmp_path / "away" / f"{name}.ipynb"], cwd=tmp_path, check=True)
        notebook = nbformat.read(tmp_path / "away" / f"{name}.ipynb", 4)
        shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        assert any("beta.seen" in output.get("data", {}).get("text/plain", "") for output in shown)


def test_an_archive_depends_on_what_is_in_it_alone(tmp_path: Path) -> None:
    for name in "ba":
        (tmp_path / name).write_text(f"this is {name}", encoding="utf-8")
    targets = [tmp_path / "one.zip", tmp_path / "two" / "one.zip"]
    targets[1].parent.mkdir()
    carry.archive([tmp_path / "b", tmp_path / "a"], targets[0])
    os.utime(tmp_path / "a", (10**9, 10**9))
    carry.archive([tmp_path / "a", tmp_path / "b"], targets[1])
    assert targets[0].read_bytes() == targets[1].read_bytes()
    with zipfile.ZipFile(targets[0]) as archive:
        assert archive.namelist() == ["one/a", "one/b"]
        assert archive.read("one/b") == b"this is b"


def test_a_figures_file_has_its_number_and_its_name() -> None:
    assert carry.figure_name("fig-hop-chain", 7) == "fig-07-hop-chain"


def drawn_pixels(figure: Path) -> np.ndarray:
    pixels.draw(figure)
    return np.asarray(plt.imread(figure.with_suffix(".png")))


def test_a_figure_is_drawn_in_pixels_on_white_and_again_when_it_changes(tmp_path: Path) -> None:
    frame = '<svg xmlns="http://www.w3.org/2000/svg" width="10pt" height="30pt" viewBox="0 0 10 30">{}</svg>'
    black = '<rect width="10" height="15"/>'
    source, figure = tmp_path / "made.svg", tmp_path / "fig-01-a.svg"
    source.write_text(frame.format(black), encoding="utf-8")
    carry.carry_figure(source, figure)
    drawn = drawn_pixels(figure)
    assert drawn.shape[:2] == (60, 20)  # 10 × 30 pt are 13.3 × 40 px, and half as much again
    assert (drawn[:29, :, :3] == 0).all()
    assert (drawn[31:, :, :3] == 1).all()
    figure.with_suffix(".png").write_bytes(b"kept")
    carry.carry_figure(source, figure)
    pixels.draw(figure)
    assert figure.with_suffix(".png").read_bytes() == b"kept"
    source.write_text(frame.format(""), encoding="utf-8")
    carry.carry_figure(source, figure)
    assert (drawn_pixels(figure)[..., :3] == 1).all()


def test_a_process_draws_figures_and_names_one_that_it_cannot(tmp_path: Path) -> None:
    empty = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
    good, bad, late = figures = [tmp_path / f"{name}.svg" for name in ("good one", "bad", "late")]
    for figure in figures:
        figure.write_text(empty, encoding="utf-8")
    drawer = pixels.Drawer()
    drawer.draw(good)
    drawer.draw(late)
    drawer.finish()
    assert all(figure.with_suffix(".png").read_bytes().startswith(b"\x89PNG") for figure in (good, late))
    bad.write_text("no figure", encoding="utf-8")
    drawer.draw(bad)
    with pytest.raises(ValueError, match=r"a figure could not be drawn: bad\.svg: "):
        drawer.finish()
    assert not bad.with_suffix(".png").exists()
    drawer.finish()  # nothing is left to do


def test_a_book_whose_figure_could_not_be_drawn_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ValueError("a figure could not be drawn: bad.svg")

    monkeypatch.setattr(carry, "_drawer", SimpleNamespace(finish=fail))
    with pytest.raises(ExtensionError, match=r"could not be drawn: bad\.svg"):
        carry.archive_all(SimpleNamespace(builder=SimpleNamespace(name="html")), None)  # type: ignore[arg-type]
