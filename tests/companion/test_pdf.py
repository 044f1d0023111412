"""The book as one PDF: how the single page is arranged, and what is refused. The print itself takes minutes."""

import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from attention_limits.companion import pdf

from .conftest import Project, invoke

PAGE = """<html><head><title>Book</title><meta http-equiv="Content-Security-Policy" content="default-src 'self'"></head>
<body><article class="bd-article">
<section id="front"><h1>Front</h1><p>It begins.</p></section>
<section id="one"><h1>One<a class="headerlink" href="#one">#</a></h1><p>Text</p>
<div class="exercise" id="ex-1">Why?</div><div class="solution" id="s-1">Because.</div>
<details><summary>code</summary><pre>x</pre></details></section>
<section id="two"><h1>Two</h1><div class="solution" id="s-2">So.</div></section>
</article></body></html>"""


def test_contents_stand_in_front_and_solutions_at_the_end() -> None:
    soup = BeautifulSoup(pdf.arrange(PAGE), "html.parser")
    contents = soup.select_one("nav.book-contents")
    assert contents is not None
    assert [(link.get_text(), link["href"]) for link in contents.select("a")] == [("One", "#one"), ("Two", "#two")]
    order = [tag.get("id") or tag.name for tag in soup.select("section, nav, article > h1, .solution, .exercise")]
    assert order == ["front", "nav", "one", "ex-1", "two", "h1", "s-1", "s-2"]
    assert soup.select_one("article > h1").get_text() == "Solutions"  # type: ignore[union-attr]
    assert all(details.has_attr("open") for details in soup.select("details"))
    assert "Content-Security-Policy" not in str(soup)
    assert "counter(page)" in str(soup)


def test_a_page_without_an_article_is_refused() -> None:
    with pytest.raises(pdf.PrintError, match="no article"):
        pdf.arrange("<html><body><p>x</p></body></html>")


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


def test_a_browser_that_prints_nothing_is_told_in_a_line_and_the_last_pdf_stays(
    finished: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (finished.root / "_build" / pdf.NAME).write_bytes(b"%PDF the last one")
    folder = finished.root / "_build" / "singlehtml" / "book"
    folder.mkdir(parents=True)
    (folder / "intro.html").write_text(PAGE, encoding="utf-8")
    (finished.root / "_build" / "html" / "_downloads" / "figures").mkdir(parents=True)
    commands: list[list[str]] = []
    monkeypatch.setattr(pdf, "_must", lambda command, failure: commands.append(command))
    with pytest.raises(pdf.PrintError, match="the browser printed nothing"):
        pdf.print_book(finished.root, "a-browser")
    assert [command[0].rpartition("/")[2] for command in commands] == ["jupyter-book", "a-browser"]
    assert (finished.root / "_build" / pdf.NAME).read_bytes() == b"%PDF the last one"
