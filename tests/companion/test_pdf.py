"""The book as one PDF: how its pages are arranged, a small book on paper, and what is refused."""

import sys
from pathlib import Path

import pypdfium2
import pytest
from bs4 import BeautifulSoup

from attention_limits.companion import pdf
from tests.browser import browser_program

from .conftest import Project, invoke

MENU = """<nav class="bd-links bd-docs-nav"><p class="caption">Strengths</p><ul>
<li><a href="../notebooks/one.html">One</a></li><li><a href="../notebooks/two.html">Two &lt;b&gt; three</a></li></ul>
<p class="caption">The package</p><ul><li><a href="api.html">Functions</a></li></ul></nav>"""
PAGE = """<html><head><title>{name}</title><link rel="stylesheet" href="{style}"></head><body>{menu}
<script>alert()</script><article class="bd-article"><section id="it">
<h1>{name}<a class="headerlink" href="#it">#</a></h1>{body}</section></article></body></html>"""
ONE = """<p id="p">Text, <a href="two.html#p">there</a>, <a href="#it">here</a>, <a href="https://a.b/c.html">out</a>,
<a href="../book/api.html#f">code</a>, <a href="two.html">two</a></p><img src="../_images/a.svg" alt="">
<div class="exercise admonition" id="ex">Why?</div><div class="solution admonition" id="s">Because.</div>
<svg class="outlines"><defs><path id="MJX-a" d="M0 0"></path></defs></svg><button>copy</button>
<div class="cell"><details class="hide above-input"><summary>code</summary><pre>secret()</pre></details></div>
<div class="cell"><details class="hide above-input"><pre>secret()</pre></details><p>output</p></div>
<details><pre>seen</pre></details>"""
TWO = """<p id="p" aria-labelledby="it">More.</p><div class="solution admonition" id="s">So.</div>
<svg class="outlines"><defs><path id="MJX-a" d="M0 0"></path><path id="MJX-b" d="M1 1"></path></defs></svg>"""


@pytest.fixture
def printed(finished: Project) -> Path:
    """A project's root with a small printed book."""
    folder = finished.root / "_build" / "html"
    for name, style, menu, body in (
        ("book/intro", "../_static/book.css", MENU, "<p>It begins.</p>"),
        ("notebooks/one", "../_static/book.css", "", ONE),
        ("notebooks/two", "more.css", "", TWO),
    ):
        path = folder / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        title = name.rpartition("/")[2].title()
        path.write_text(PAGE.format(name=title, style=style, menu=menu, body=body), encoding="utf-8")
    return finished.root


def arranged(root: Path) -> BeautifulSoup:
    return BeautifulSoup(pdf.assemble(root / "_build" / "html"), "html.parser")


def test_contents_stand_in_front_and_solutions_at_the_end(printed: Path) -> None:
    book = pdf.assemble(printed / "_build" / "html")
    soup = BeautifulSoup(pdf.number(book, [3, 5, 8]), "html.parser")
    with pytest.raises(pdf.PrintError, match="3 parts are listed, and the outline of the PDF has 2"):
        pdf.number(book, [3, 5])
    assert [title.get_text() for title in soup.select("h1")] == ["Intro", "Contents", "One", "Two", "Solutions"]
    rows = soup.select("#contents li")
    assert [row.get_text(" ") for row in rows] == ["One 3", "Two <b> three 5", "Solutions 8"]
    assert [row.a["href"] for row in rows if row.a] == ["#notebooks/one", "#notebooks/two", "#solutions"]
    assert [caption.get_text() for caption in soup.select("#contents p")][:2] == ["Strengths", "Exercises"]
    solutions = soup.select_one("#solutions")
    assert solutions is not None
    assert [part.get_text() for part in solutions.select("h2, .solution")] == [
        "One",
        "Because.",
        "Two <b> three",
        "So.",
    ]
    assert len(soup.select(".solution")) == 2
    assert soup.select_one("[id='notebooks/one'] .exercise") is not None


def test_links_lead_within_the_book_and_no_id_is_there_twice(printed: Path) -> None:
    soup = arranged(printed)
    ids = [str(tag["id"]) for tag in soup.select("[id]")]
    assert len(ids) == len(set(ids))
    one = soup.select_one("[id='notebooks/one--p']")
    assert one is not None
    assert [link["href"] for link in one.select("a")] == [
        "#notebooks/two--p",
        "#notebooks/one--it",
        "https://a.b/c.html",
        "api.html",  # the pages of the package are not in it
        "#notebooks/two",
    ]
    assert {str(link["href"])[1:] for link in soup.select("a[href^='#']")} <= set(ids)
    assert [picture["src"] for picture in soup.select("img")] == ["../_images/a.svg"]
    assert [labelled["aria-labelledby"] for labelled in soup.select("[aria-labelledby]")] == ["notebooks/two--it"]
    assert [style["href"] for style in soup.select("link")] == ["../_static/book.css", "../notebooks/more.css"]


def test_paper_has_no_buttons_and_nothing_folded(printed: Path) -> None:
    soup = arranged(printed)
    assert soup.select("script, button, .headerlink") == []
    assert "secret" not in soup.get_text()
    assert [cell.get_text(strip=True) for cell in soup.select("div.cell")] == ["output"]
    assert [details.has_attr("open") for details in soup.select("details")] == [True]
    assert [path["id"] for path in soup.select("svg.outlines path")] == ["MJX-a", "MJX-b"]


def test_a_page_without_an_article_is_refused(printed: Path) -> None:
    (printed / "_build" / "html" / "notebooks" / "two.html").write_text("<html><body><p>x</p></body></html>")
    with pytest.raises(pdf.PrintError, match="notebooks/two has no article"):
        pdf.assemble(printed / "_build" / "html")


def test_a_small_book_on_paper(printed: Path) -> None:
    target = pdf.print_book(printed, browser_program())
    assert target == printed / "_build" / pdf.NAME
    with pypdfium2.PdfDocument(target) as document:
        pages = [page.get_textpage().get_text_range().split() for page in document]
        parts = [(entry.get_title(), entry.get_dest().get_index()) for entry in document.get_toc() if entry.level == 0]
    assert parts == [("Intro", 0), ("Contents", 1), ("One", 2), ("Two", 3), ("Solutions", 4)]
    assert [page[0] for page in pages] == ["1", "2", "3", "4", "5"]  # its number comes first in its text
    assert " ".join(pages[1]).startswith("2 Contents Strengths One 3 Two <b> three 4 Exercises Solutions 5 ")
    assert sorted(path.name for path in (printed / "_build" / "html" / "book").iterdir()) == ["intro.html"]
    assert [path.name for path in (printed / "_build").glob(f"*{pdf.NAME}")] == [pdf.NAME]


def test_without_the_packages_that_print_books_that_is_said(
    finished: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(finished.root / "python"))
    monkeypatch.setitem(sys.modules, "attention_limits.companion.pdf", None)
    assert invoke(finished, "pdf") == 2
    assert "error: jupyter-book is not installed" in capsys.readouterr().err


def test_without_a_browser_nothing_is_printed(
    finished: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CHROME", raising=False)
    monkeypatch.setenv("PATH", str(finished.root))
    assert invoke(finished, "pdf") == 2
    assert "error: no browser prints" in capsys.readouterr().err


def test_a_book_with_a_stale_page_is_not_printed(
    finished: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHROME", sys.executable)
    finished.edit("notebooks/alpha.py", "run number", "this is run")
    assert invoke(finished, "pdf") == 2
    assert "alpha is stale" in capsys.readouterr().err


HALF = 'for given; do case $given in --print-to-pdf=*) echo %PDF > "${given#*=}";; esac; done'


@pytest.mark.parametrize("script", ["echo no display >&2; exit 1", "exit 0", f"{HALF}; echo no display; exit 1"])
def test_a_browser_that_prints_nothing_is_told_in_a_line_and_the_last_pdf_stays(
    printed: Path, tmp_path: Path, script: str
) -> None:
    (printed / "_build" / pdf.NAME).write_bytes(b"%PDF the last one")
    browser = tmp_path / "a-browser"
    browser.write_text(f"#!/bin/sh\n{script}\n")
    browser.chmod(0o755)
    said = "no display" if "display" in script else str(browser)
    with pytest.raises(pdf.PrintError, match=f"the browser printed nothing: {said}"):
        pdf.print_book(printed, str(browser))
    assert (printed / "_build" / pdf.NAME).read_bytes() == b"%PDF the last one"
    assert list((printed / "_build").glob("**/*.print.html")) == []
    assert [path.name for path in (printed / "_build").glob(f"*{pdf.NAME}")] == [pdf.NAME]
