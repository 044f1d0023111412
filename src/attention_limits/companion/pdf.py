"""The book as one PDF: the printed pages in one, contents in front and solutions at the end, printed by a browser."""

import os
import posixpath
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pypdfium2
from bs4 import BeautifulSoup, SoupStrainer, Tag

from attention_limits.companion import sheets

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NAME = "attention-limits.pdf"
TITLE = "Attention Limits"
FRONT = "book/intro"
#: Parts that are for the screen: pages of the package, to search and to follow.
ON_SCREEN = ("The package",)
CONTENTS, SOLUTIONS = "Contents", "Solutions"
#: How often figures are fitted to their sheets, at most.
FITTINGS = 2
#: Where a line of the contents has its page's number.
NUMBER = '<span class="book-page"></span>'
#: What names an element of the same page: rewritten, since ids of two pages may be equal.
REFERENCES = ("for", "aria-labelledby", "aria-describedby", "aria-controls")
#: An outline of a letter has the same name on each page.
SHARED = "MJX-"
#: What a screen has and paper has not.
OF_SCREENS = (
    "a.headerlink, a.figure-file, a.claim-code, details.cite, script, button, nav, .prev-next-footer, "
    "details.hide.above-input"
)
MARGINS = f"{sheets.TOP:g}mm 15mm {sheets.HEIGHT - sheets.BOTTOM:g}mm"
STYLE = """
@page { size: A4; margin: MARGINS; @bottom-center { content: counter(page); font: 9pt sans-serif; } }
body { background: white; }
.bd-article-container { max-width: none !important; width: auto !important; padding: 0 !important; }
.bd-article { padding: 0 !important; }
.bd-main .bd-content .bd-article h1:first-of-type { display: block; }
.bd-article + .bd-article, .bd-article:has(> h1:first-child) { break-before: page; }
.book-contents ol { list-style: none; padding: 0; margin: 0; }
.book-contents li { display: flex; justify-content: space-between; border-bottom: 1px dotted #999; line-height: 1.3; }
.book-contents li a { color: inherit; text-decoration: none; }
.book-contents p { margin: 0.5rem 0 0.1rem; font-weight: bold; }
""".replace("MARGINS", MARGINS)


class PrintError(RuntimeError):
    """The book could not be printed."""


@dataclass(frozen=True)
class Part:
    """A part of the book, as the menu has it: its caption, and its pages with their titles."""

    caption: str
    pages: dict[str, str]


def find_browser() -> str:
    """Chromium or Chrome: the environment variable CHROME, or from the path.

    Raises:
        ValueError: if there is none.
    """
    program = os.environ.get("CHROME") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise ValueError(f"no browser prints: none of {', '.join(BROWSERS)} is on the path, and CHROME is not set")
    return program


def parts_of(front: str) -> list[Part]:
    """The parts in the menu of the front page."""
    menu = BeautifulSoup(front, "html.parser", parse_only=SoupStrainer("nav"))
    found = []
    for caption in menu.select(".bd-docs-nav p.caption"):
        listed = caption.find_next_sibling("ul")
        links = listed.select("a[href]") if isinstance(listed, Tag) else []
        pages = {_resolve(FRONT, str(link["href"])).removesuffix(".html"): link.get_text().strip() for link in links}
        if (name := caption.get_text().strip()) not in ON_SCREEN:
            found.append(Part(name, pages))
    return found


def article(page: BeautifulSoup, name: str, known: set[str]) -> Tag:
    """A page's article as it stands among others: its ids are its own, its links lead to the other ``known`` ones.

    Raises:
        PrintError: if the page has no article.
    """
    found = page.select_one("article.bd-article")
    if found is None:
        raise PrintError(f"{name} has no article")
    for tag in found.select(OF_SCREENS):
        tag.decompose()
    for cell in found.select("div.cell"):
        if not cell.find(True):  # else a title before it could stand alone at the end of a sheet
            cell.decompose()
    for folded in found.select("details"):
        folded["open"] = ""
    for tag in found.find_all(True):
        if tag.has_attr("id") and not str(tag["id"]).startswith(SHARED):
            tag["id"] = f"{name}--{tag['id']}"
        for attribute in REFERENCES:
            if tag.has_attr(attribute):
                tag[attribute] = " ".join(f"{name}--{word}" for word in str(tag[attribute]).split())
        if tag.has_attr("src"):
            tag["src"] = _from_front(_resolve(name, str(tag["src"])))
        if tag.name == "a" and tag.has_attr("href") and "://" not in (address := str(tag["href"])):
            tag["href"] = _within(name, address, known)
    found["id"] = name
    return found


def _resolve(name: str, address: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), address))


def _from_front(path: str) -> str:
    return posixpath.relpath(path, posixpath.dirname(FRONT))


def _within(name: str, address: str, known: set[str]) -> str:
    path, _, fragment = address.partition("#")
    target = _resolve(name, path).removesuffix(".html") if path else name
    if target not in known:
        return _from_front(_resolve(name, path))
    return f"#{target}--{fragment}" if fragment else f"#{target}"


def assemble(folder: Path) -> str:
    """The printed book in ``folder`` as one page of HTML; `number` writes the numbers of pages into its contents.

    Raises:
        PrintError: if a page of the menu has no article.
    """
    parts = parts_of((folder / f"{FRONT}.html").read_text(encoding="utf-8"))
    titles = {name: title for part in parts for name, title in part.pages.items()}
    known, articles = {FRONT, *titles}, []
    styles: dict[str, None] = {}
    outlines: dict[str, str] = {}
    for name in (FRONT, *titles):
        text = (folder / f"{name}.html").read_text(encoding="utf-8")
        page = BeautifulSoup(text, "html.parser", parse_only=SoupStrainer(["article", "link"]))
        for style in page.select("link[rel~=stylesheet]"):
            styles[_resolve(name, str(style["href"]))] = None
        articles.append(article(page, name, known))
        for outline in articles[-1].select("svg.outlines path"):
            outlines[str(outline["id"])] = str(outline.extract())
    solutions = _solutions(articles[1:], list(titles.values()))
    body = [articles[0], _contents(parts, bool(solutions)), *articles[1:], *solutions]
    links = "".join(f'<link rel="stylesheet" href="{_from_front(style)}">' for style in styles)
    return (
        f'<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f"<title>{TITLE}</title>{links}<style>{STYLE}</style></head><body>"
        f'<main class="bd-main"><div class="bd-content"><div class="bd-article-container">{"".join(map(str, body))}'
        f'<svg class="outlines"><defs>{"".join(outlines.values())}</defs></svg></div></div></main></body></html>'
    )


def _contents(parts: list[Part], solved: bool) -> str:
    listed = {part.caption: {f"#{name}": title for name, title in part.pages.items()} for part in parts}
    if solved:
        listed["Exercises"] = {"#solutions": SOLUTIONS}
    lists = (
        f"<p>{escape(caption)}</p><ol>"
        + "".join(f'<li><a href="{to}">{escape(title)}</a>{NUMBER}</li>' for to, title in rows.items())
        + "</ol>"
        for caption, rows in listed.items()
    )
    note = "Code that is folded on the screen is left out, and so are the package's pages: the book has them."
    title = f"<h1>{CONTENTS}</h1>"
    return f'<article class="bd-article book-contents" id="contents">{title}{"".join(lists)}<p></p>{note}</article>'


def number(arranged: str, pages: Sequence[int]) -> str:
    """The same with the numbers of ``pages`` in the contents.

    Raises:
        PrintError: if there are not as many of them as lines.
    """
    parts = arranged.split(NUMBER)
    if len(parts) != len(pages) + 1:
        raise PrintError(f"{len(parts) - 1} parts are listed, and the outline of the PDF has {len(pages)}")
    return parts[0] + "".join(f"<span>{page}</span>{part}" for page, part in zip(pages, parts[1:], strict=True))


def _solutions(articles: list[Tag], titles: list[str]) -> list[str]:
    """The solutions, taken out of the pages."""
    found = [f'<article class="bd-article" id="solutions"><h1>{SOLUTIONS}</h1>']
    for page, title in zip(articles, titles, strict=True):
        solutions = [solution.extract() for solution in page.select("div.solution")]
        if solutions:
            found.append(f"<h2>{escape(title)}</h2>{''.join(map(str, solutions))}")
    return [*found, "</article>"] if len(found) > 1 else []


def first_pages(pdf: Path) -> list[int]:
    """The numbers of the pages on which the parts of a printed book begin: what its outline has at the top."""
    with pypdfium2.PdfDocument(pdf) as document:
        entries = [(entry.level, entry.get_title(), entry.get_dest()) for entry in document.get_toc()]
        return [dest.get_index() + 1 for level, title, dest in entries if level == 0 and title != CONTENTS][1:]


def print_book(root: Path, browser: str) -> Path:
    """Print the book that is in ``_build/html`` under ``root`` with ``browser``; the PDF.

    It is printed several times: figures that would fit on the sheet before theirs are made smaller, which moves others;
    then it is known on which page each part begins.

    Raises:
        PrintError: if the browser printed nothing, with what it said.
    """
    folder, target = root / "_build" / "html", root / "_build" / NAME
    arranged, aside = folder / f"{FRONT}.print.html", target.with_name(f".{NAME}")
    try:
        book = assemble(folder)
        for remaining in reversed(range(FITTINGS + 1)):
            arranged.write_text(book, encoding="utf-8")
            _print(browser, arranged, aside)
            heights = sheets.smaller_figures(aside) if remaining else {}
            if not heights:
                break
            book = sheets.shrink(book, heights)
        arranged.write_text(number(book, first_pages(aside)), encoding="utf-8")
        _print(browser, arranged, aside)
        aside.replace(target)
    finally:
        arranged.unlink(missing_ok=True)
        aside.unlink(missing_ok=True)
    return target


def _print(browser: str, page: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", "--generate-pdf-document-outline"]
    command = [browser, *quiet, f"--print-to-pdf={target}", page.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode or not target.exists() or not target.read_bytes().startswith(b"%PDF"):
        lines = (result.stdout + result.stderr).strip().splitlines()
        raise PrintError(f"the browser printed nothing: {lines[-1] if lines else browser}")
