"""Read the printed book: its links as files, and each of its pages in a browser that reaches nothing but the book.

The book is `_build/html`, which `make book` prints. The browser is Chromium or Chrome, from the environment variable
CHROME or from the path. Without one the browser's tests are skipped, but under CI=true they fail.

Each page is opened once, all in one tab, which keeps what pages share; what was seen is kept, and the tests look at it.
"""

import functools
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pypdfium2
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Request, ViewportSize, expect, sync_playwright

from .browser import QUIET, browser_program

HTML = Path(__file__).parents[1] / "_build" / "html"
#: Every page; none if the book was not printed, which each test then says.
PAGES = sorted(
    path.relative_to(HTML).as_posix() for path in HTML.rglob("*.html") if HTML.joinpath("_static") not in path.parents
)
#: Those to look at; index.html only leads to the first one.
VISITED = [page for page in PAGES if page != "index.html"]
THEOREM_2 = "notebooks/thm-2-fixed-precision.html"
THEOREM_4 = "notebooks/thm-4-embedding-dimension.html"
ARCHITECTURES = "notebooks/architectures.html"
CLAIMS = "book/claims.html"
STATEMENTS = "book/statements.html"
NOT_PRINTED = "the book is not printed, or not all of it: run `make book` first"

DESKTOP: ViewportSize = {"width": 1300, "height": 900}
#: A4 between margins of 14 mm, at 96 pixels an inch.
SHEET: ViewportSize = {"width": 688, "height": 1009}
#: Grey from which on nothing is printed, of 255 for white.
PALE = 250
#: Code, tables and formulas that do not fit on the sheet, or scroll in a frame of which a part alone is printed.
CUT = """() => [...document.querySelectorAll(".bd-article :is(pre, table, mjx-container[display=true], figure)")]
    .filter(one => one.checkVisibility())
    .filter(one => {
        const frame = one.closest(".cell_output, .cell_input, .bd-article");
        return one.getBoundingClientRect().right > innerWidth + 1 || one.scrollWidth > one.clientWidth + 1
            || frame.scrollWidth > frame.clientWidth + 1;
    })
    .map(one => `${one.tagName} ${one.textContent.slice(0, 60)}`)"""

#: What a visit says of formulas and images.
FORMULAS_AND_IMAGES = """() => {
    const all = selector => [...document.querySelectorAll(selector)];
    return {
        formulas: all(".math").length,
        typeset: all(".math mjx-container > svg").length,
        letters_without_outline: all("mjx-container use").filter(one => !document.querySelector(one.href.baseVal))
            .length,
        tab_stops_in_formulas: all("mjx-container[tabindex], mjx-container :is([tabindex], a)").length,
        broken_images: all("article img").filter(one => !one.naturalWidth).map(one => one.src),
        images_without_text: all("article img").filter(one => !one.alt.trim() || one.src.endsWith(one.alt))
            .map(one => one.src),
    };
}"""

#: Where a page's first picture begins, in pixels from the top; 0 if it has none.
FIRST_PICTURE = """() => {
    const picture = document.querySelector("article :is(figure.explorer, .cell_output figure img)");
    return picture ? picture.getBoundingClientRect().top + scrollY : 0;
}"""

#: Figures in which letters of 11 pt, the least that pages use, are less than 9 pixels high, or that a phone cuts.
SMALL_OR_CUT = """() => [...document.querySelectorAll(".cell_output figure img")].filter(one => {
    const {left, right, width} = one.getBoundingClientRect();
    return 11 / 0.75 * width / one.naturalWidth < 8.95 || left < 0 || right > innerWidth + 1;
}).map(one => one.alt)"""

#: What fades out at its end though it does not scroll, or scrolls and does not; a frame tells.
FADES_WRONGLY = """async () => {
    for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
    const all = ".bd-article :is(pre, mjx-container[display=true], .pst-scrollable-table-container)";
    return [...document.querySelectorAll(all)]
        .filter(one => one.checkVisibility())
        .filter(one => {
            const over = one.scrollWidth - one.clientWidth, fades = getComputedStyle(one).maskImage !== "none";
            return fades ? over <= 0 : over > 2;  // whole pixels, of which one or two may be rounding
        })
        .map(one => `${one.tagName} ${one.textContent.slice(0, 60)}`);
}"""

#: Code that scrolls is reached by key; the theme sees to that a moment after the window has changed its width.
REACHED = """() => [...document.querySelectorAll("article pre")]
    .every(one => one.scrollWidth <= one.clientWidth || one.tabIndex === 0)"""
#: What axe is spared, for time: formulas, which are pictures with their text beside them, and all but the first few
#: code cells, rows of a table and functions of a module, which are built like the others.
THIN_OUT = """() => {
    const more = "mjx-container, tr:nth-child(n + 4), dl.py ~ dl.py ~ dl.py, section ~ section ~ section:has(> dl.py)";
    document.querySelectorAll(more).forEach(one => one.remove());
    [...document.querySelectorAll("pre")].slice(3).forEach(one => one.remove());
}"""
#: Colours take axe milliseconds a text, so of those that look alike one is enough: of the texts whose elements, and all
#: around these, have the same names, classes, colours and sizes in every mode, the first is left, and none if a page
#: that was opened before had one. Around a link that is the first of its kind, and stands in a text, all of it is left.
ONE_OF_A_KIND = """([modes, known]) => {
    const elements = document.querySelectorAll("body, body *"), seen = new Set(known);
    const name = look => {
        let [one, two] = [1, 2];
        for (const letter of look) {
            one = Math.imul(one ^ letter.charCodeAt(0), 0x9e3779b1);
            two = Math.imul(two + letter.charCodeAt(0), 0x85ebca6b) ^ one >>> 13;
        }
        return `${one >>> 0} ${two >>> 0}`;
    };
    for (const mode of modes) {
        Object.assign(document.documentElement.dataset, {theme: mode, mode: mode});
        for (const one of elements) {
            const look = getComputedStyle(one);
            one.kind = name([one.kind, one.parentElement.kind, one.tagName, one.getAttribute("class"), look.color,
                look.backgroundColor, look.backgroundImage, look.opacity, look.fontSize, look.fontWeight,
                look.textDecorationLine].join());
        }
    }
    const isNew = kind => !seen.has(kind) && seen.add(kind);
    const around = one => getComputedStyle(one).display.startsWith("inline") ? around(one.parentElement) : one;
    const blocks = [...document.querySelectorAll("a[href]")].filter(one => one.checkVisibility())
        .map(one => [one, around(one)])
        .filter(([one, block]) => block.textContent.trim() !== one.textContent.trim() && isNew(`link ${one.kind}`))
        .map(([_, block]) => block);
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT, text =>
        text.data.trim() && text.parentElement.checkVisibility() ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_SKIP);
    const alike = [];
    while (texts.nextNode()) {
        const text = texts.currentNode;
        if (!isNew(text.parentElement.kind) && !blocks.some(block => block.contains(text))) alike.push(text);
    }
    alike.forEach(text => text.remove());
    const fields = "input, select, textarea";
    const shows = one => one.textContent.trim() || one.matches(fields) || one.querySelector(fields);
    document.querySelectorAll("article *").forEach(one => shows(one) || one.remove());
    return [...seen];
}"""
MODES = ("light", "dark")
COLOURS = ["color-contrast", "link-in-text-block"]


# --- the book as files -----------------------------------------------------------------------------------------------


class Anchors(HTMLParser):
    """The addresses that a page points to, and the identifiers that it offers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.identifiers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        found = dict(attributes)
        self.links += [found[name] or "" for name in ("href", "src") if name in found]
        self.identifiers += [found["id"] or ""] if "id" in found else []


@functools.cache
def anchors(page: str) -> Anchors:
    """What one page points to and offers."""
    return Anchors((HTML / page).read_text(encoding="utf-8"))


def broken_links(page: str) -> list[str]:
    """Its links into the book that lead nowhere: no such file, or no such identifier in it."""
    broken = []
    for link in anchors(page).links:
        address = urlsplit(link)
        if address.scheme or address.netloc:
            continue
        target = (HTML / page).parent.joinpath(unquote(address.path)).resolve() if address.path else HTML / page
        if not target.is_file():
            broken.append(link)
        elif address.fragment and target.suffix == ".html":
            name = target.relative_to(HTML.resolve()).as_posix() if address.path else page
            if unquote(address.fragment) not in anchors(name).identifiers:
                broken.append(link)
    return broken


def test_book_was_printed() -> None:
    assert {"index.html", THEOREM_2, CLAIMS} <= set(PAGES), NOT_PRINTED


@pytest.mark.parametrize("page", PAGES)
def test_links_into_the_book_lead_somewhere(page: str) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", PAGES)
def test_claims_equations_figures_and_proofs_have_anchors_of_their_own(page: str) -> None:
    kinds = ("claim-", "equation-", "fig-", "proof-", "button-")
    # sphinx-proof gives the text of each statement the same identifier, which nothing links to.
    identifiers = [name for name in anchors(page).identifiers if name.startswith(kinds) and name != "proof-content"]
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.parametrize("page", [page for page in VISITED if page.startswith("notebooks/")])
def test_the_bars_of_folded_parameters_say_so(page: str) -> None:
    cells = (HTML / page).read_text(encoding="utf-8").split('<div class="cell ')
    parameters, facts = (
        [cell for cell in cells if cell.startswith(f"{tag} tag_hide-input")] for tag in ("tag_parameters", "tag_facts")
    )
    assert all(">Show parameters<" in cell for cell in parameters)  # on most pages they are not folded
    assert facts
    assert all(">Show limits of parameters<" in cell for cell in facts)


def test_claims_page_links_to_every_claim_on_every_page() -> None:
    offered = {
        f"../{page}#{identifier}"
        for page in PAGES
        for identifier in anchors(page).identifiers
        if identifier.startswith("claim-")
    }
    listed = [link for link in anchors(CLAIMS).links if "#claim-" in link]
    assert offered
    assert sorted(listed) == sorted(offered)


# --- the book in a browser -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Visit:
    """What was seen when a page was opened."""

    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    policy: str = ""
    formulas: int = 0
    typeset: int = 0
    letters_without_outline: int = 0
    tab_stops_in_formulas: int = 0
    broken_images: list[str] = field(default_factory=list)
    images_without_text: list[str] = field(default_factory=list)
    first_picture: float = 0
    too_wide: dict[int, float] = field(default_factory=dict)
    small_or_cut_on_a_phone: list[str] = field(default_factory=list)
    fades_wrongly: list[str] = field(default_factory=list)
    cut_on_paper: list[str] = field(default_factory=list)
    findings: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """A browser for all tests of this file, which reaches no other machine and keeps what pages share."""
    offline = "--proxy-server=127.0.0.1:9"  # which nobody answers, and which is not asked for this machine
    program = browser_program()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=[*QUIET, offline])
        yield started.new_context(viewport=DESKTOP)
        started.close()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The book on a port of this machine: its address."""
    if not PAGES:
        pytest.fail(NOT_PRINTED)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer; a browser asks for an icon by itself."""
            if self.path == "/favicon.ico":
                self.send_response(http.HTTPStatus.NO_CONTENT)
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def visitor(browser: BrowserContext, site: str) -> "Visitor":
    """Who opens the pages."""
    return Visitor(browser, site)


@pytest.fixture
def tab(browser: BrowserContext, site: str) -> Iterator[Page]:
    """An empty tab for one test; when it ends, nothing outside was asked for and no script failed."""
    visit = Visit()
    opened = open_tab(browser, site, lambda: visit)
    yield opened
    opened.close()
    assert (visit.outside, visit.errors) == ([], [])


@pytest.fixture
def visit(page: str, visitor: "Visitor") -> Visit:
    """What is seen on ``page``, which is opened at most once."""
    if page not in visitor.visits:
        visitor.look_at(page)
    return visitor.visits[page]


def open_tab(browser: BrowserContext, site: str, current: Callable[[], Visit]) -> Page:
    """An empty tab; requests to others than ``site`` and errors of scripts are noted in the ``current`` visit."""

    def note(request: Request) -> None:
        if not request.url.startswith((f"{site}/", "data:", "blob:")):
            current().outside.append(request.url)

    page = browser.new_page()
    page.on("request", note)
    page.on("pageerror", lambda error: current().errors.append(str(error)))
    page.on("console", lambda message: current().errors.append(message.text) if message.type == "error" else None)
    return page


class Visitor:
    """Opens pages in one tab and writes down what there is to see."""

    def __init__(self, browser: BrowserContext, site: str) -> None:
        self.site, self.visits = site, dict[str, Visit]()
        self.visit = Visit()
        self.kinds: list[str] = []
        self.tab = open_tab(browser, site, lambda: self.visit)

    def look_at(self, name: str) -> None:
        """Open one page."""
        visit, page = Visit(), self.tab
        self.visit = self.visits[name] = visit
        page.set_viewport_size(DESKTOP)
        page.goto(f"{self.site}/{name}")
        visit.policy = page.locator("meta[http-equiv='Content-Security-Policy']").get_attribute("content") or ""
        for name, count in page.evaluate(FORMULAS_AND_IMAGES).items():
            setattr(visit, name, count)
        visit.first_picture = page.evaluate(FIRST_PICTURE)
        for width in (820, 390):
            page.set_viewport_size({"width": width, "height": 800})
            visit.too_wide[width] = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        visit.small_or_cut_on_a_phone = page.evaluate(SMALL_OR_CUT)
        visit.fades_wrongly = page.evaluate(FADES_WRONGLY)
        page.emulate_media(media="print")
        page.set_viewport_size(SHEET)
        visit.cut_on_paper = page.evaluate(CUT)
        page.evaluate(THIN_OUT)  # while nothing is laid out for a screen yet
        page.emulate_media(media="screen")
        page.set_viewport_size(DESKTOP)
        page.wait_for_function(REACHED)
        # Unfold everything, at once: a colour halfway between two states is no colour of the book.
        page.add_style_tag(content="* { transition: none !important; animation: none !important }")
        page.evaluate("document.querySelectorAll('.toggle-button-hidden').forEach(one => one.click())")
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        # The two modes differ in colours only: the other rules are tried once.
        page.evaluate(Axe().axe_script)
        others = violations(page, {"rules": {rule: {"enabled": False} for rule in COLOURS}})
        self.kinds = page.evaluate(ONE_OF_A_KIND, [MODES, self.kinds])
        for mode in MODES:
            page.evaluate(f"Object.assign(document.documentElement.dataset, {{theme: '{mode}', mode: '{mode}'}})")
            visit.findings[mode] = violations(page, {"runOnly": COLOURS}) + (others if mode == "light" else [])


def violations(page: Page, options: dict[str, Any]) -> list[dict[str, Any]]:
    """What axe, which is loaded in the page, finds there."""
    # Nothing is preloaded, as axe looks for imported style sheets in the wrong folder.
    usual = {"resultTypes": ["violations"], "preload": False}
    return page.evaluate("options => axe.run(options)", {**usual, **options})["violations"]


@pytest.mark.parametrize("page", VISITED)
def test_page_asks_no_other_host_for_anything(visit: Visit) -> None:
    assert visit.outside == []


@pytest.mark.parametrize("page", VISITED)
def test_page_runs_without_a_javascript_error_and_breaks_no_policy(visit: Visit) -> None:
    assert visit.errors == []
    assert "default-src 'self'" in visit.policy
    assert "unsafe-eval" not in visit.policy


def test_the_policy_stops_what_comes_from_elsewhere_and_text_that_is_run_as_code(
    browser: BrowserContext, site: str
) -> None:
    visit = Visit()
    tab = open_tab(browser, site, lambda: visit)
    tab.goto(f"{site}/book/intro.html")
    for attempt in (
        "document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.2:9/a.png'}))",
        "document.body.append(Object.assign(document.createElement('script'), {src: 'http://127.0.0.2:9/a.js'}))",
        "setTimeout(() => eval('1'), 0)",
    ):
        visit.errors.clear()
        tab.evaluate(attempt)
        tab.wait_for_timeout(100)
        assert any("Content Security Policy" in error or "unsafe-eval" in error for error in visit.errors), attempt
    tab.close()


@pytest.mark.parametrize("page", VISITED)
def test_every_formula_is_drawn_and_none_stops_the_tab_key(visit: Visit) -> None:
    assert visit.typeset == visit.formulas
    assert visit.letters_without_outline == 0
    assert visit.tab_stops_in_formulas == 0


@pytest.mark.parametrize("page", VISITED)
def test_page_shows_every_image_and_says_in_words_what_it_shows(visit: Visit) -> None:
    assert visit.broken_images == []
    assert visit.images_without_text == []


@pytest.mark.parametrize("page", VISITED)
def test_page_is_no_wider_than_a_phone_or_a_tablet(visit: Visit) -> None:
    assert {width: over for width, over in visit.too_wide.items() if over > 0} == {}


@pytest.mark.parametrize("page", [page for page in VISITED if page.startswith("notebooks/")])
def test_figures_are_seen_whole_and_can_be_read_on_a_phone(visit: Visit) -> None:
    assert visit.small_or_cut_on_a_phone == []


@pytest.mark.parametrize("page", VISITED)
def test_what_scrolls_on_a_phone_and_nothing_else_fades_out_at_its_end(visit: Visit) -> None:
    assert visit.fades_wrongly == []


@pytest.mark.parametrize("page", VISITED)
def test_page_loses_nothing_on_paper(visit: Visit) -> None:
    assert visit.cut_on_paper == []


@pytest.mark.parametrize(("page", "most_sheets"), [(THEOREM_2, 16), (THEOREM_4, 16), (ARCHITECTURES, 14)])
def test_page_wastes_no_paper(tab: Page, site: str, page: str, most_sheets: int) -> None:
    tab.goto(f"{site}/{page}")
    with pypdfium2.PdfDocument(tab.pdf(prefer_css_page_size=True)) as printed:
        drawn = [sheet.render(grayscale=True).to_numpy() for sheet in printed]
    inked = [(sheet < PALE).reshape(len(sheet), -1).any(axis=1) for sheet in drawn]
    assert len(inked) <= most_sheets
    left_empty = [1 - (np.flatnonzero(rows).max() + 1) / len(rows) for rows in inked[:-1]]
    # A figure that has no place left on a sheet begins the next one.
    assert max(left_empty) < 0.55
    assert np.mean([empty > 1 / 3 for empty in left_empty]) < 0.2


def test_paper_has_no_solutions_thin_letters_and_a_small_explorer(tab: Page, site: str) -> None:
    tab.goto(f"{site}/{THEOREM_2}")
    tab.emulate_media(media="print")
    tab.set_viewport_size(SHEET)
    solutions = tab.locator("div.solution")
    assert solutions.count() >= 3
    assert not any(solution.is_visible() for solution in solutions.all())
    assert tab.locator("article mjx-container g").first.evaluate("one => getComputedStyle(one).stroke") == "none"
    panels = tab.locator(".explorer-panels").bounding_box()
    assert panels is not None
    assert panels["height"] < SHEET["height"] / 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("page", VISITED)
def test_page_has_no_accessibility_finding_that_matters(visit: Visit, mode: str) -> None:
    found = [
        f"{finding['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for finding in visit.findings[mode]
        if finding["impact"] != "minor"
        for node in finding["nodes"]
    ]
    assert found == []


def test_reader_comes_from_the_first_page_to_the_theorem_and_sees_its_number(tab: Page, site: str) -> None:
    tab.goto(f"{site}/index.html")
    tab.wait_for_url("**/book/intro.html")
    tab.get_by_role("article").get_by_role("link", name="Theorem 2", exact=True).click()
    tab.wait_for_url(f"**/{THEOREM_2}")
    theorem = tab.locator("#thm-fixed-precision")
    assert theorem.locator(".admonition-title").inner_text().startswith("Theorem 2 of the paper")
    assert theorem.locator("mjx-container svg").count() > 5
    definition = theorem.get_by_role("link", name="Definition 4")
    definition.click()
    tab.wait_for_url("**/book/definitions.html#def-sparse-averaging")


def test_reader_comes_from_the_list_of_claims_to_a_claim(tab: Page, site: str) -> None:
    tab.goto(f"{site}/{CLAIMS}")
    link = tab.get_by_role("article").locator("a[href*='#claim-thm-2']").last
    identifier = link.inner_text()
    link.click()
    tab.wait_for_url(f"**/{THEOREM_2}#claim-{identifier}")
    line = tab.locator(f"[id='claim-{identifier}']")
    assert line.locator(".claim-verdict").inner_text() == "holds"
    assert line.locator("abbr").get_attribute("title")
    expect(line).to_be_in_viewport()


def test_proof_is_folded_until_it_is_clicked(tab: Page, site: str) -> None:
    tab.goto(f"{site}/{THEOREM_2}")
    proofs = tab.locator(".proof.dropdown")
    assert proofs.count() >= 2
    for proof in proofs.all():
        title, text = proof.locator(".admonition-title"), proof.locator("p").nth(1)
        assert title.inner_text().startswith("Proof")
        assert not text.is_visible()
        title.click()
        text.wait_for(state="visible")
        title.click()
        text.wait_for(state="hidden")


def test_there_is_one_search_box_and_it_finds_a_word(tab: Page, site: str) -> None:
    tab.goto(f"{site}/book/intro.html")
    buttons = tab.locator(".search-button-field, .search-button").filter(visible=True)
    assert buttons.count() == 1
    buttons.click()
    box = tab.locator("input[type=search]").filter(visible=True)
    assert box.count() == 1
    box.fill("certificate")
    box.press("Enter")
    tab.wait_for_url("**/search.html?q=certificate*")
    tab.locator(f"#search-results a[href*='{THEOREM_2}']").first.wait_for()


def test_figures_change_light_and_dark_in_dark_mode_and_lie_on_the_page(tab: Page, site: str) -> None:
    look = "all => all.map(one => [getComputedStyle(one).backgroundColor, getComputedStyle(one).filter])"
    for scheme, filters in (("light", "none"), ("dark", "invert(0.93) hue-rotate(180deg)")):
        tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        tab.goto(f"{site}/{THEOREM_4}")
        assert tab.locator("html").get_attribute("data-theme") == scheme
        looks = tab.eval_on_selector_all("article figure img", look)
        assert looks
        assert all(seen == ["rgba(0, 0, 0, 0)", filters] for seen in looks)
    tab.emulate_media(media="print", color_scheme="dark")
    assert all(seen[1] == "none" for seen in tab.eval_on_selector_all("article figure img", look))


def test_the_first_page_leads_to_everything_on_one_screen(tab: Page, site: str) -> None:
    tab.set_viewport_size({"width": 1400, "height": 900})
    tab.goto(f"{site}/book/intro.html")
    article = tab.get_by_role("article")
    for name in ("Understand", "Cite", "Teach", "Run", "The map of results"):
        expect(
            article.get_by_role("link", name=name, exact=True).or_(tab.get_by_role("heading", name=name)).first
        ).to_be_in_viewport()
    assert tab.locator(".sd-card img").count() == 2
    rows = article.locator("table tbody tr")
    assert rows.count() >= 15
    assert all(row.locator("a").count() >= 1 for row in rows.all())


@pytest.mark.parametrize("page", [page for page in VISITED if page.startswith("notebooks/")])
def test_a_pages_first_picture_is_on_its_first_screen_or_begins_right_below(visit: Visit) -> None:
    assert 0 < visit.first_picture < 1100


def test_claims_can_be_found_narrowed_down_and_sorted(tab: Page, site: str) -> None:
    tab.goto(f"{site}/{CLAIMS}")
    shown = tab.locator("table.claims tbody tr:visible")
    everything = shown.count()
    tab.get_by_label("Find").fill("thm-4.")
    assert 0 < shown.count() < everything
    assert all("thm-4." in text for text in shown.all_inner_texts())
    expect(tab.locator(".claims-bar output")).to_have_text(f"{shown.count()} of {everything} claims")
    for whose in ("[P]", "[N]"):
        tab.get_by_label("Whose").select_option(whose)
        assert shown.count() > 0
        assert all(whose in text for text in shown.locator("td:nth-child(3)").all_inner_texts())
    tab.get_by_label("Whose").select_option("")
    tab.get_by_label("Known").select_option("observed")
    assert shown.count() > 0
    assert all("observed" in text for text in shown.locator("td:nth-child(3)").all_inner_texts())
    tab.get_by_label("Find").fill("no claim says this")
    assert shown.count() == 0
    tab.get_by_label("Find").fill("")
    tab.get_by_label("Known").select_option("")
    table = tab.locator("table.claims").first
    button = table.locator("thead th:nth-child(4) button")
    orders = []
    for _ in range(2):
        button.click()
        orders.append(table.locator("tbody td:nth-child(4)").all_inner_texts())
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] == orders[1][::-1] != orders[1]


def test_the_claims_of_a_page_are_found_by_its_title_and_others_by_their_address(tab: Page, site: str) -> None:
    tab.goto(f"{site}/{CLAIMS}")
    shown = tab.locator("table.claims tbody tr:visible")
    everything = shown.count()
    tab.get_by_label("Find").fill("Theorem 4")
    of_theorem_4 = tab.locator("table.claims tbody tr").filter(has_text="thm-4.").count()
    assert of_theorem_4 > 10
    assert shown.filter(has_text="thm-4.").count() == of_theorem_4
    elsewhere = tab.locator("section:has(> table.claims), section:has(> * table.claims)").last
    assert not elsewhere.is_visible()
    tab.evaluate("name => { location.hash = name }", elsewhere.get_attribute("id"))
    expect(elsewhere).to_be_visible()
    assert shown.count() == everything


def test_all_statements_are_listed_by_name_in_the_order_of_the_book(tab: Page, site: str) -> None:
    box = re.compile(r'<div class="proof (?!admonition)[^"]*" id="(?!proof-)([^"]*)"')
    stated = {f"{page}#{label}" for page in VISITED for label in box.findall((HTML / page).read_text("utf-8"))}
    tab.goto(f"{site}/{STATEMENTS}")
    links = tab.locator("table.statements td a")
    addresses = links.evaluate_all("all => all.map(one => one.href)")
    assert len(stated) > 100
    assert sorted(addresses) == sorted(f"{site}/{address}" for address in stated)
    names = links.all_inner_texts()
    assert "Theorem 4 of the paper" in names
    counted = [int(name.split()[-1]) for name in names if re.fullmatch(r"(?!Conjecture)\w+ \d+", name)]
    assert counted == sorted(counted)
    assert len(set(counted)) == len(counted)


def test_claims_are_cards_on_a_phone(tab: Page, site: str) -> None:
    tab.set_viewport_size({"width": 390, "height": 800})
    tab.goto(f"{site}/{CLAIMS}")
    cards = tab.locator("table.claims tbody tr")
    assert cards.first.evaluate("one => getComputedStyle(one).display") == "block"
    widths = cards.evaluate_all("all => all.map(one => one.getBoundingClientRect().right)")
    assert max(widths) <= 390


def test_a_claim_leads_to_its_code_and_the_code_to_the_package(tab: Page, site: str) -> None:
    tab.goto(f"{site}/{THEOREM_4}")
    claim = tab.locator(".claim").first
    cell = tab.locator(claim.locator("a.claim-code").get_attribute("href") or "")
    identifier = claim.locator("code").inner_text()
    assert identifier.rpartition(".")[2] in (cell.text_content() or "")
    name = tab.locator("a.code-name").first
    word = name.text_content()
    address = name.get_attribute("href") or ""
    tab.goto(f"{site}/notebooks/{address}")
    described = tab.locator(f"[id='{address.partition('#')[2]}']")
    assert word in (described.text_content() or "")


def test_statements_and_figures_have_addresses_and_figures_files(tab: Page, site: str) -> None:
    tab.goto(f"{site}/{THEOREM_4}")
    theorem = tab.locator("#thm-embedding-dimension")
    assert theorem.locator(".admonition-title a.headerlink").get_attribute("href") == "#thm-embedding-dimension"
    for figure in tab.locator("article figure[id]").all():
        assert figure.locator("a.headerlink").count() == 1
        links = figure.locator("a.figure-file").evaluate_all("all => all.map(one => one.getAttribute('href'))")
        drawn, pixels = [(HTML / "notebooks" / link).resolve() for link in links]
        assert pixels == drawn.with_suffix(".png")
        assert drawn.read_text(encoding="utf-8").lstrip().startswith("<")
        assert pixels.read_bytes().startswith(b"\x89PNG")
    assert "@misc{attentionlimits:" in (tab.locator("details.cite").text_content() or "")


def test_a_page_can_be_taken_along_with_and_without_what_it_shows(tab: Page, site: str) -> None:
    tab.goto(f"{site}/{THEOREM_4}")
    links = tab.locator(".dropdown-download-buttons a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    files = [(HTML / "notebooks" / link).resolve() for link in links]
    assert all(file.is_file() for file in files)
    assert {file.name for file in files} >= {
        "thm-4-embedding-dimension.ipynb",
        "thm-4-embedding-dimension-bare.ipynb",
        "attention-limits-notebooks.zip",
        "attention-limits-figures.zip",
    }


def test_searching_for_a_theorem_finds_its_page_first(tab: Page, site: str) -> None:
    for number, page in (("Theorem 4", THEOREM_4), ("Theorem 2", THEOREM_2)):
        tab.goto(f"{site}/search.html?q={number.replace(' ', '+')}")
        first = tab.locator("#search-results li a").first
        first.wait_for()
        assert page in (first.get_attribute("href") or "")


def test_searching_for_a_notion_finds_pages_before_the_package_and_for_a_name_the_package(tab: Page, site: str) -> None:
    for asked, place in (("disjointness", "notebooks/"), ("margin", "notebooks/"), ("attention_map", "book/api/")):
        tab.goto(f"{site}/search.html?q={asked}")
        first = tab.locator("#search-results li a").first
        first.wait_for()
        expect(tab.locator("#search-results .search-summary")).to_contain_text("found")
        assert place in (tab.locator("#search-results li a").first.get_attribute("href") or ""), asked


def test_without_scripts_a_page_shows_its_formulas(browser: BrowserContext, site: str) -> None:
    assert browser.browser is not None
    plain = browser.browser.new_context(viewport=DESKTOP, java_script_enabled=False)
    page = plain.new_page()
    page.goto(f"{site}/{THEOREM_4}")
    formula = page.locator("article mjx-container svg").first
    expect(formula).to_be_visible()
    assert (formula.bounding_box() or {"width": 0})["width"] > 5
    plain.close()
