"""The book as one PDF: a single page of HTML, with contents in front and solutions at the end, printed by a browser."""

import os
import shutil
import subprocess
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from attention_limits.companion.carry import FIGURES
from attention_limits.companion.terminal import book_program

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NAME = "attention-limits.pdf"
#: What a printed book has and a screen has not: page numbers, parts that begin on a page of their own.
STYLE = """
@page { size: A4; margin: 18mm 15mm 20mm; @bottom-center { content: counter(page); font: 9pt sans-serif; } }
.bd-sidebar-primary, .bd-sidebar-secondary, .bd-header-article, .prev-next-footer, .bd-footer-content, .headerlink,
.figure-file, .claim-code, details.cite, .search-button, .copybtn, .toggle-button { display: none !important; }
.bd-main .bd-content .bd-article-container { max-width: none; padding: 0; }
.bd-article h1 { break-before: page; }
.bd-article h1:first-of-type { break-before: avoid; }
nav.book-contents { break-before: page; }
nav.book-contents li { margin: 0.15rem 0; }
"""


class PrintError(RuntimeError):
    """The book could not be printed."""


def find_browser() -> str:
    """Chromium or Chrome: the environment variable CHROME, or from the path.

    Raises:
        ValueError: if there is none.
    """
    program = os.environ.get("CHROME") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise ValueError(f"no browser prints: none of {', '.join(BROWSERS)} is on the path, and CHROME is not set")
    return program


def arrange(page: str) -> str:
    """A single page of HTML with a list of contents before its second part, and its solutions at its end."""
    soup = BeautifulSoup(page, "html.parser")
    article = soup.select_one("article.bd-article")
    if article is None:
        raise PrintError("the single page has no article")
    parts = [title.parent for title in article.select("h1") if title.parent is not None and title.parent.get("id")]
    if len(parts) > 1:
        contents = soup.new_tag("nav", attrs={"class": "book-contents"})
        contents.append(_new(soup, "h1", "Contents"))
        listed = soup.new_tag("ol")
        for part in parts[1:]:
            item, link = soup.new_tag("li"), soup.new_tag("a", href=f"#{part['id']}")
            link.string = next(part.stripped_strings).rstrip("#¶ ")
            item.append(link)
            listed.append(item)
        contents.append(listed)
        parts[1].insert_before(contents)
    for folded in article.select("details"):
        folded["open"] = ""
    solutions = article.select("div.solution")
    if solutions:
        article.append(_new(soup, "h1", "Solutions"))
        for solution in solutions:
            article.append(solution.extract())
    head = soup.head
    if head is not None:
        head.append(_new(soup, "style", STYLE))
        for policy in head.select("meta[http-equiv='Content-Security-Policy']"):
            policy.decompose()  # a file's own folder is no origin that it could name
    return str(soup)


def _new(soup: BeautifulSoup, name: str, text: str) -> Tag:
    tag = soup.new_tag(name)
    tag.string = text
    return tag


def print_book(root: Path, browser: str) -> Path:
    """Print the book under ``root`` with ``browser``; the PDF.

    Raises:
        PrintError: if the page or the PDF could not be made, with what was said.
    """
    build = root / "_build"
    command = [str(book_program()), "build", str(root), "--builder", "singlehtml", "-q"]
    _must(command, "the single page could not be written")
    folder = build / "singlehtml"
    pages = sorted(folder.glob("book/*.html")) or sorted(folder.glob("*.html"))
    single = max(pages, key=lambda page: page.stat().st_size)
    shutil.copytree(build / "html" / FIGURES, single.parent / FIGURES, dirs_exist_ok=True)
    arranged = single.with_name("print.html")
    arranged.write_text(arrange(single.read_text(encoding="utf-8")), encoding="utf-8")
    target, aside = build / NAME, build / f".{NAME}"
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", "--generate-pdf-document-outline"]
    patient = ["--virtual-time-budget=120000", "--run-all-compositor-stages-before-draw"]
    _must([browser, *quiet, *patient, f"--print-to-pdf={aside}", arranged.as_uri()], "the browser printed nothing")
    if not aside.exists() or not aside.read_bytes().startswith(b"%PDF"):
        raise PrintError(f"the browser printed nothing: {browser}")
    aside.replace(target)
    return target


def _must(command: list[str], failure: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        lines = (result.stdout + result.stderr).strip().splitlines()
        raise PrintError(f"{failure}: {lines[-1] if lines else command[0]}")
