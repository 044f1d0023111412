"""The printed book: what `build` prints, refuses and leaves alone. A print takes seconds, so that they form a story."""

import copy
import pickle
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from sphinx.errors import ExtensionError

from attention_limits.companion import claims, sphinx, statements

from .conftest import TIMEOUT, Project, copy_of, invoke, text_of


def jupyter_book(project: Project) -> subprocess.CompletedProcess[str]:
    """Print the book without our command."""
    program = Path(sys.executable).with_name("jupyter-book")
    return subprocess.run([program, "build", project.root, "-q"], capture_output=True, text=True, timeout=TIMEOUT)


#: A figure that the source names, and what the source says about it and about the page.
FIGURE = """
# %% mystnb={"figure": {"name": "fig-dot", "caption": "The first caption."}}
from IPython.display import SVG

SVG('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')  # a dot
"""
#: A statement without a number, one with, two exercises, and a link to each kind of statement.
STATEMENTS = r"""Let $x=1$.

$$
y = x
$$

:::{prf:theorem} 4 of the paper (unnumbered)
:label: thm-planted
:nonumber:

It holds.
:::

:::{prf:lemma} (numbered)
:label: lem-planted

So does this, by {prf:ref}`thm-planted`; see {prf:ref}`lem-planted`.
:::

:::{exercise}
:label: ex-planted

Why?
:::

:::{exercise}
:label: ex-planted-too

And why not?
:::
"""
REWORDED = {
    "## Afterwards": "## In other words",
    "The first caption.": "The second caption.",
    '# %% mystnb={"figure"': '# %% tags=["hide-input"] mystnb={"figure"',
    "# a dot": "# a small dot",
    "# %%\nimport uuid": "# %% [markdown]\n# A paragraph of its own.\n\n# %%\nimport uuid",
}


@dataclass
class Story:
    """Prints of one book, in this order, and what lay there after each that went through."""

    project: Project
    first: subprocess.CompletedProcess[str]
    #: With a broken reference in a chapter, twice.
    warned: subprocess.CompletedProcess[str]
    warned_again: subprocess.CompletedProcess[str]
    #: Mended, and with page alpha run again.
    second: subprocess.CompletedProcess[str]
    #: With new prose, a new caption and a new tag on alpha, which is not run again.
    reworded: subprocess.CompletedProcess[str]
    #: With nothing changed.
    third: subprocess.CompletedProcess[str]
    #: By jupyter-book alone, every source as it was, with other constraints.
    alone: subprocess.CompletedProcess[str]
    #: The text and the time of writing of each HTML file, and what alpha had printed when it was run.
    pages: list[dict[str, str]] = field(default_factory=list)
    times: list[dict[str, int]] = field(default_factory=list)
    nonces: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def story(_finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Story:
    project = copy_of(_finished, tmp_path_factory.mktemp("story") / "project")
    project.edit("book/definitions.md", "None.", STATEMENTS)
    pages, times, nonces = [], [], []

    def build() -> subprocess.CompletedProcess[str]:
        result = project.command("build")
        html = project.root / "_build" / "html"
        files = {path.relative_to(html).as_posix(): path for path in html.glob("[!_]*/*.html")}
        pages.append({name: path.read_text(encoding="utf-8") for name, path in files.items()})
        times.append({name: path.stat().st_mtime_ns for name, path in files.items()})
        nonces.append(text_of(project.executed("alpha")).strip().splitlines()[-1])
        return result

    first = build()
    project.edit("book/intro.md", "It begins.", "It begins with {ref}`nowhere`.")
    warned, warned_again = project.command("build"), project.command("build")
    project.edit("book/intro.md", "with {ref}`nowhere`.", "again.")
    project.source("alpha").write_text(project.source("alpha").read_text(encoding="utf-8") + FIGURE, encoding="utf-8")
    project.execute("alpha")
    second = build()
    for old, new in REWORDED.items():
        project.edit("notebooks/alpha.py", old, new)
    assert project.must("run").stdout == ""  # both pages are fresh
    reworded, third = build(), build()
    project.edit("constraints.txt", "2.4.6", "2.4.5")
    alone = jupyter_book(project)
    return Story(project, first, warned, warned_again, second, reworded, third, alone, pages, times, nonces)


def test_build_prints_the_book_and_says_where(story: Story) -> None:
    assert (story.first.returncode, story.first.stderr) == (0, "")
    assert story.first.stdout == "the book: _build/html/index.html\n"
    assert (story.project.root / "_build" / "html" / "index.html").exists()
    chapters = {f"book/{name}.html" for name in ("intro", "definitions", "claims", "status")}
    assert story.pages[0].keys() == chapters | {"notebooks/alpha.html", "notebooks/beta.html"}


def test_a_page_shows_what_its_executed_copy_shows(story: Story) -> None:
    assert story.nonces[0].startswith("run number")
    assert story.nonces[0] in story.pages[0]["notebooks/alpha.html"]
    assert "DOES NOT HOLD" not in "".join(story.pages[0].values())
    assert claims.MIME_TYPE not in "".join(story.pages[0].values())


def test_every_link_of_the_claims_page_leads_to_a_claims_line(story: Story) -> None:
    links = re.findall(r'href="\.\./(notebooks/\w+\.html)#(claim-[^"]+)"', story.pages[0]["book/claims.html"])
    assert len(links) == 11
    for page, anchor in links:
        assert story.pages[0][page].count(f'id="{anchor}"') == 1


def test_no_id_occurs_twice_on_a_page_and_links_to_statements_lead_somewhere(story: Story) -> None:
    for name, text in story.pages[0].items():
        identifiers = re.findall(r'<[a-z][^<>]*? id="([^"]+)"', text)
        assert sorted(identifiers) == sorted(set(identifiers)), name
    definitions = story.pages[0]["book/definitions.html"]
    for label, link in (("thm-planted", "Theorem 4"), ("lem-planted", "Lemma 1")):
        assert definitions.count(f'id="{label}"') == 1
        assert re.search(rf'href="#{label}"[^>]*>(<[^>]*>)*\s*{link}', definitions)


def test_the_status_page_tells_fresh_pages_from_cached_ones(story: Story) -> None:
    told = [re.findall(r"<p>(fresh|cached)</p>", pages["book/status.html"]) for pages in story.pages]
    assert told == [["fresh", "fresh"], ["fresh", "cached"], ["cached", "cached"], ["cached", "cached"]]


def test_formulas_are_drawn_in_the_page_without_a_script(story: Story) -> None:
    definitions = story.pages[0]["book/definitions.html"]
    assert "mathjax" not in "".join(re.findall(r"<script\b.*?</script>", definitions, flags=re.DOTALL)).lower()
    formulas = re.findall(r'<(?:span|div) class="math[^>]*>.*?<svg.*?</mjx-container>', definitions, flags=re.DOTALL)
    assert len(formulas) == len(re.findall(r'class="math ', definitions)) > 0
    used, drawn = (set(re.findall(rf'{tag}="#?(MJX-[^"]*)"', definitions)) for tag in ("href", "path id"))
    assert used == drawn
    assert "mjx-assistive-mml" in (story.project.root / "_build/html/_static/formulas.css").read_text(encoding="utf-8")


def test_nothing_is_loaded_from_another_host_and_no_idle_script_is_left(story: Story) -> None:
    for text in story.pages[0].values():
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", text)
        assert len(loaded) > 5
        assert [tag for tag in loaded if re.search(r"""(?:src|href)=["']?(?:https?:)?//""", tag)] == []
        scripts = re.findall(r"<script\b.*?</script>", text, flags=re.DOTALL)
        running = [script for script in scripts if not script.startswith('<script type="text/x-')]  # else it is data
        assert [script for script in running if "thebe" in script.lower()] == []


@pytest.mark.parametrize("attempt", ["warned", "warned_again"])
def test_a_book_with_a_warning_is_refused_every_time(attempt: str, story: Story) -> None:
    result = getattr(story, attempt)
    assert result.returncode == 1
    assert "intro.md" in result.stderr
    assert "nowhere" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_page_that_was_run_again_is_printed_again(story: Story) -> None:
    assert (story.second.returncode, story.second.stderr) == (0, "")
    assert story.nonces[0] != story.nonces[1]
    assert story.nonces[1] in story.pages[1]["notebooks/alpha.html"]
    assert story.nonces[0] not in "".join(story.pages[1].values())
    assert "It begins again." in story.pages[1]["book/intro.html"]


def test_prose_captions_tags_and_comments_are_the_sources_without_another_run(story: Story) -> None:
    assert (story.reworded.returncode, story.reworded.stderr) == (0, "")
    before, after = (pages["notebooks/alpha.html"] for pages in story.pages[1:3])
    for old, new in (
        ("Afterwards", "In other words"),
        ("The first caption.", "The second caption."),
        ("# a dot", "# a small dot"),
    ):
        assert (old in before, new in before, old in after, new in after) == (True, False, False, True)
    assert (before.count("tag_hide-input"), after.count("tag_hide-input")) == (0, 1)
    assert "A paragraph of its own." in after
    assert story.nonces[1] == story.nonces[2]
    assert story.nonces[2] in after


def test_a_figure_is_linked_and_packed_as_drawing_and_as_pixels(story: Story) -> None:
    files = {"fig-01-dot.svg", "fig-01-dot.png"}
    links = re.findall(r'class="figure-file" href="([^"]*)"', story.pages[1]["notebooks/alpha.html"])
    downloads = story.project.root / "_build" / "html" / "_downloads"
    assert set(links) == {f"../_downloads/figures/{name}" for name in files}
    with zipfile.ZipFile(downloads / "attention-limits-figures.zip") as packed:
        assert {Path(name).name for name in packed.namelist()} == files


def test_what_did_not_change_is_not_written_again(story: Story) -> None:
    assert (story.third.returncode, story.third.stderr) == (0, "")
    before, after = story.times[2:]
    for name in ("notebooks/alpha.html", "notebooks/beta.html", "book/claims.html", "book/definitions.html"):
        assert after[name] == before[name]


def test_jupyter_book_alone_refuses_a_page_that_is_outdated_although_its_source_is_the_same(story: Story) -> None:
    assert story.alone.returncode != 0
    assert "alpha is stale: its constraints changed since it was run" in story.alone.stdout + story.alone.stderr


def _edit(project: Project) -> None:
    project.edit("notebooks/alpha.py", "run number", "number")


def _remove(project: Project) -> None:
    project.executed("alpha").unlink()


def _break(project: Project) -> None:
    project.add("alpha", 'raise RuntimeError("planted")')
    project.execute("alpha")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_edit, "alpha is stale: its source changed since it was run"),
        (_remove, "alpha is missing: it was never run"),
        (_break, "alpha is failed: its last run failed: cell 3 (Afterwards): RuntimeError: planted"),
    ],
)
def test_our_command_and_sphinx_refuse_a_bad_page_by_name(
    damage: object,
    problem: str,
    finished: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert callable(damage)
    damage(finished)
    capsys.readouterr()
    assert invoke(finished, "build") == 1
    assert capsys.readouterr().err == f"refused: {problem}\n"
    assert not (finished.root / "_build" / "html").exists()
    monkeypatch.setattr(sphinx, "_root", finished.root)
    with pytest.raises(ExtensionError, match=re.escape(problem)):
        sphinx.refuse(SimpleNamespace())


def test_an_executed_copy_with_other_code_cells_is_refused_by_cell(
    finished: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sphinx, "_root", finished.root)
    text, target = finished.source("alpha").read_text(encoding="utf-8"), finished.executed("alpha")
    whole = nbformat.read(target, 4)
    cells = [index for index, cell in enumerate(whole.cells) if cell.cell_type == "code"]
    edited, shorter = copy.deepcopy(whole), copy.deepcopy(whole)
    edited.cells[cells[1]].source += "\nprint(1)"
    del shorter.cells[cells[1]]
    for damaged, problem in (
        (edited, "alpha: code cell 2 is not the one that was run"),
        (shorter, "alpha has 3 code cells, and its executed copy has 2"),
    ):
        nbformat.write(damaged, target)
        with pytest.raises(ExtensionError, match=problem):
            sphinx.read(text)


def test_a_source_that_is_no_page_of_the_book_is_refused(finished: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sphinx, "_root", finished.root)
    assert sphinx.read(finished.source("alpha").read_text(encoding="utf-8")).cells
    with pytest.raises(ExtensionError, match=r"no page of _toc\.yml has this source"):
        sphinx.read("# %%\nprint()")


WITHOUT_TRITON = """
import sys
from types import SimpleNamespace

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "triton":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from attention_limits.companion import sphinx
from sphinx.ext.autodoc.mock import mock
config = SimpleNamespace(autodoc_mock_imports=[])
sphinx.find_spec = lambda name: None
sphinx.imitate_what_is_optional(config)
with mock(config.autodoc_mock_imports):
    from attention_limits.models import triton_attention
print(triton_attention.triton_attention.__doc__)
"""


def test_docstrings_are_read_where_triton_is_not_installed() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TRITON], capture_output=True, text=True, check=True)
    assert "softmax over pairs" in done.stdout


@pytest.mark.parametrize(("section", "tags"), [("## Parameters", ["parameters"]), ("", ["parameters", "hide-input"])])
def test_parameters_are_folded_where_they_stand_before_the_first_section(section: str, tags: list[str]) -> None:
    text, parameters = nbformat.v4.new_markdown_cell(f"# A page\n\n{section}"), nbformat.v4.new_code_cell("n: int = 1")
    parameters.metadata.tags = ["parameters"]
    sphinx.fold_early_parameters(nbformat.v4.new_notebook(cells=[text, nbformat.v4.new_code_cell("1"), parameters]))
    assert parameters.metadata.tags == tags
    assert not text.metadata.get("tags")


def test_all_pages_are_read_again_when_the_code_that_prints_is_another_one(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("a.py", "inner/b.js"):
        (tmp_path / name).write_text("one", encoding="utf-8")
        before = sphinx.code_version(tmp_path)
        (tmp_path / "notes.txt").write_text(name, encoding="utf-8")
        assert sphinx.code_version(tmp_path) == before
        (tmp_path / name).write_text("two", encoding="utf-8")
        assert sphinx.code_version(tmp_path) != before


def test_a_print_is_kept_with_the_version_of_the_code_that_made_it(story: Story) -> None:
    kept = (story.project.root / "_build" / ".doctrees" / "environment.pickle").read_bytes()
    assert pickle.loads(kept).version[sphinx.__name__] == sphinx.code_version()


def test_the_bar_of_a_folded_cell_says_what_the_cells_tag_tells() -> None:
    cells = [nbformat.v4.new_code_cell("1", metadata={"tags": tags}) for tags in (["parameters"], ["facts"], ["other"])]
    cells[0].metadata.mystnb = {"remove_code_source": False}
    sphinx.name_folded_cells(nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_markdown_cell("text")]))
    assert cells[0].metadata.mystnb == {
        "remove_code_source": False,
        "code_prompt_show": "Show parameters",
        "code_prompt_hide": "Hide parameters",
    }
    assert cells[1].metadata.mystnb["code_prompt_show"] == "Show limits of parameters"
    assert "mystnb" not in cells[2].metadata


def test_lists_of_statements_are_printed_again_when_one_is_new_unless_their_page_is_gone() -> None:
    lemma = {"docname": "page", "realtype": "lemma", "title": "(Rows)", "countertype": "lemma", "nonumber": False}
    environment = SimpleNamespace(
        collect_relations=lambda: {"page": []},
        proof_list={"lem-rows": lemma},
        toc_fignumbers={"page": {"lemma": {"lem-rows": (3,)}}},
        attention_limits_lists={"gone", "list"},
        found_docs={"list", "page"},
    )
    assert statements.note_statements(SimpleNamespace(), environment) == ["list"]  # type: ignore[arg-type]
    assert statements.note_statements(SimpleNamespace(), environment) == []  # type: ignore[arg-type]


def test_pages_that_the_book_no_longer_has_are_removed(tmp_path: Path) -> None:
    files = ["index.html", "search.html", "book/claims.html", "book/gone.html", "prf-prf.html", "_static/x/page.html"]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    environment = SimpleNamespace(found_docs={"book/claims"})
    app = SimpleNamespace(outdir=tmp_path, builder=SimpleNamespace(name="html"), env=environment)

    def left() -> list[str]:
        return sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html"))

    sphinx.drop_what_is_gone(app, RuntimeError("not printed"))  # type: ignore[arg-type]
    assert left() == sorted(files)
    sphinx.drop_what_is_gone(app, None)  # type: ignore[arg-type]
    assert left() == ["_static/x/page.html", "book/claims.html", "index.html", "search.html"]
