"""The explorers of the printed book in a browser that opens it as files, without a network.

The book is `_build/html`, which `make book` prints. What the scripts compute is held against the package on the same
inputs, and what they draw against the printed pictures.
"""

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from attention_limits.bounds import crossover
from attention_limits.bounds.attention_protocol import message_bits_bound
from attention_limits.bounds.counting import required_bits
from attention_limits.bounds.match3 import num_different_rows, one_way_bits
from attention_limits.companion import explorers
from attention_limits.companion.explorers import averaging, triples
from attention_limits.companion.explorers.crossover import LARGEST
from attention_limits.constructions.averaging_unit import error_bound
from attention_limits.constructions.keys import (
    adversarial_subsets,
    gram_matrix,
    minimum_norm_certificates,
    random_sign_keys,
)
from attention_limits.constructions.sizes import random_subsets
from attention_limits.constructions.sparse_averaging import narrow_embed_dim
from attention_limits.problems import matching
from attention_limits.problems.sparse_averaging import worst_case_error

from .browser import QUIET, browser_program

HTML = Path(__file__).parents[1] / "_build" / "html"
PAGES = {"averaging": "thm-2-fixed-precision", "triples": "thm-7-match3", "crossover": "crossover"}
DESKTOP: ViewportSize = {"width": 1300, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 800}
#: Milliseconds after which the address holds the state.
WRITTEN_AFTER = 250
SVG = "{http://www.w3.org/2000/svg}"
#: The sizes in pixels of all words in an explorer's panels, the words that leave their panel, and by how much the page
#: is too wide. It is drawn anew for a new width before the next frame but one.
WORDS = """async name => {
    for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
    const all = [...document.querySelectorAll(`#explorer-${name} svg.explorer-panel text`)];
    const frame = one => one.ownerSVGElement.getBoundingClientRect();
    const sizes = all.map(one => parseFloat(getComputedStyle(one).fontSize) * frame(one).width
        / one.ownerSVGElement.viewBox.baseVal.width);
    const cut = all.filter(one => {
        const [word, whole] = [one.getBoundingClientRect(), frame(one)];
        return word.left < whole.left - 2 || word.right > whole.right + 2
            || word.top < whole.top - 2 || word.bottom > whole.bottom + 2;
    }).map(one => one.textContent);
    return [sizes, cut, document.documentElement.scrollWidth - innerWidth];
}"""
#: Takes all else out of the article: pages with hundreds of formulas take seconds to lay out again.
ALONE = """name => {
    const figure = document.querySelector(`#explorer-${name}`);
    document.querySelectorAll("article section > *").forEach(one => one.contains(figure) || one.remove());
}"""
#: Two float64 computations of a well-conditioned number, which sum in another order.
ROUNDING = 1e-9


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = browser_program()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="module")
def reader(browser: Browser) -> Iterator[BrowserContext]:
    """Someone who opens the book from a disk, with the network cut."""
    context = browser.new_context(viewport=DESKTOP, offline=True, accept_downloads=True)
    yield context
    context.close()


class Tabs:
    """A tab for each explorer, which stays open; what goes wrong in any is noted."""

    def __init__(self, context: BrowserContext) -> None:
        self.context, self.pages, self.errors = context, dict[str, Page](), list[str]()

    def __getitem__(self, name: str) -> Page:
        """The tab, at the explorer's page."""
        if name not in self.pages:
            page = self.pages[name] = self.context.new_page()
            page.on("pageerror", lambda error: self.errors.append(str(error)))
            page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
            page.on("request", lambda asked: self.note(asked.url))
            load(page, name)
        return self.pages[name]

    def note(self, url: str) -> None:
        """Files and what pages make themselves need no network."""
        if not url.startswith(("file:", "data:", "blob:")):
            self.errors.append(url)


@pytest.fixture(scope="module")
def all_tabs(reader: BrowserContext) -> Tabs:
    return Tabs(reader)


@pytest.fixture
def tabs(all_tabs: Tabs) -> Iterator[Tabs]:
    """The tabs; when a test ends, no script has failed and nothing was asked for but files."""
    all_tabs.errors.clear()
    yield all_tabs
    assert all_tabs.errors == []


def address(name: str, fragment: str = "") -> str:
    """Where an explorer's page lies on the disk."""
    path = HTML / "notebooks" / f"{PAGES[name]}.html"
    assert path.is_file(), "the book is not printed, or not all of it: run `make book` first"
    return path.resolve().as_uri() + fragment


def load(page: Page, name: str, fragment: str = "") -> None:
    """Open the page of an explorer anew, until it is alive, and leave it alone there."""
    page.goto("about:blank")  # else only the fragment of an open page changes
    page.goto(address(name, fragment), wait_until="domcontentloaded")
    page.locator(f"#explorer-{name}.explorer-live").wait_for()
    page.evaluate(ALONE, name)


def opened(tabs: Tabs, name: str, fragment: str = "") -> Page:
    """The tab of an explorer at its start, or at what an address says."""
    page = tabs[name]
    page.bring_to_front()  # one behind another draws once a second
    page.set_viewport_size(DESKTOP)
    page.emulate_media(media="screen")
    page.locator(f"#explorer-{name}").get_by_role("button", name="back to the start").click()
    page.wait_for_timeout(WRITTEN_AFTER)
    page.evaluate("history.replaceState(null, '', location.pathname)")
    if fragment:
        page.evaluate(
            "to => new Promise(done => { addEventListener('hashchange', done, {once: true}); location.hash = to; })",
            fragment,
        )
    return page


def call(page: Page, name: str, function: str, *arguments: Any) -> Any:
    """What a function of an explorer's script returns. JSON goes through as text, which is faster by far."""
    script = "([name, one, given]) => JSON.stringify(window.attentionLimits[name][one](...JSON.parse(given)))"
    return json.loads(page.evaluate(script, [name, function, json.dumps(arguments)]))


def numbers(page: Page, name: str) -> dict[str, str]:
    """What the explorer says in numbers."""
    rows = page.evaluate(
        """name => [...document.querySelectorAll(`#explorer-${name} .explorer-numbers > div`)]
            .map(row => [...row.children].map(one => one.innerText))""",
        name,
    )
    return dict(rows)


def state(page: Page, name: str) -> str:
    """The state as the address holds it."""
    page.wait_for_timeout(WRITTEN_AFTER)
    return page.evaluate("location.hash").removeprefix(f"#explorer-{name}?")


# --- what all of them do ---------------------------------------------------------------------------------------------


def parts(svg: str) -> list[tuple[str, dict[str, str], str]]:
    """Each shape of a picture: its name, its attributes, its words."""
    return [(one.tag, dict(one.attrib), one.text or "") for one in ElementTree.fromstring(svg).iter()]


def differences(first: str, second: str) -> list[str]:
    """Shapes that two pictures do not share, where coordinates may differ by a fiftieth of a pixel."""
    ours, theirs = parts(first), parts(second)
    if len(ours) != len(theirs):
        return [f"{len(ours)} shapes and {len(theirs)}"]
    found = []
    for (tag, here, text), (other_tag, there, other_text) in zip(ours, theirs, strict=True):
        same = tag == other_tag and text == other_text and here.keys() == there.keys()
        if not same or any(not alike(here[key], there[key]) for key in here):
            found.append(f"{tag} {here} {text!r} is {other_tag} {there} {other_text!r}")
    return found


def alike(first: str, second: str) -> bool:
    """Whether two attributes say the same, numbers to a fiftieth."""
    ours, theirs = (
        text.replace(",", " ").replace("M", "").replace("L", " ").replace("Z", "").split() for text in (first, second)
    )
    if len(ours) != len(theirs):
        return False
    try:
        return all(abs(float(a) - float(b)) < 0.02 for a, b in zip(ours, theirs, strict=True))
    except ValueError:
        return first == second


@pytest.mark.parametrize("name", PAGES)
def test_the_script_draws_the_printed_picture(tabs: Tabs, name: str) -> None:
    tab = opened(tabs, name)
    for width in explorers.EXPLORERS[name][2]:
        panels, listed = explorers.picture(name, width)
        drawn = tab.evaluate(
            "([name, width]) => { const one = attentionLimits[name]; return one.picture(one.initial(), width); }",
            [name, width],
        )
        assert drawn["numbers"] == [list(row) for row in listed]
        assert len(drawn["panels"]) == len(panels)
        for ours, theirs in zip(panels, drawn["panels"], strict=True):
            assert differences(ours, theirs) == []


def test_a_moved_shape_would_be_found() -> None:
    picture = explorers.picture("averaging", 328)[0][0]
    x = picture.index('cx="') + 4
    assert differences(picture, picture[:x] + "1" + picture[x:])
    assert differences(picture, picture.replace("margin 0.", "margin 1."))
    assert not differences(picture, picture)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_the_printed_picture_is_there_without_scripts_and_fits(
    browser: Browser, name: str, viewport: ViewportSize
) -> None:
    context = browser.new_context(viewport=viewport, java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(address(name))
    figure = page.locator(f"#explorer-{name}")
    visible = [one for one in figure.locator("svg.explorer-panel").all() if one.is_visible()]
    assert visible
    for one in visible:
        place = one.bounding_box()
        assert place is not None
        assert len(one.get_attribute("aria-label") or "") > 40
        assert place["width"] > 250
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= viewport["width"]
    assert len(figure.locator("figcaption").inner_text()) > 100
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_paper_shows_the_picture_and_no_controls(tabs: Tabs, name: str) -> None:
    tab = opened(tabs, name)
    tab.emulate_media(media="print")
    figure = tab.locator(f"#explorer-{name}")
    assert figure.locator("svg.explorer-panel").first.is_visible()
    assert not figure.locator(".explorer-controls").is_visible()
    assert not figure.locator("button").first.is_visible()


@pytest.mark.parametrize("name", PAGES)
def test_a_state_comes_back_from_its_address(tabs: Tabs, name: str) -> None:
    tab = opened(tabs, name)
    slider = tab.locator(f"#explorer-{name} input[type=range]").first
    slider.focus()
    before = state(tab, name), numbers(tab, name)
    for _ in range(9):
        slider.press("ArrowRight")
    tab.locator(f"#explorer-{name} input[type=range]").nth(1).press("ArrowLeft")
    after = state(tab, name), numbers(tab, name)
    assert before[0] == ""
    assert before != after
    load(tab, name, f"#explorer-{name}?{after[0]}")
    assert numbers(tab, name) == after[1]
    assert tab.locator(f"#explorer-{name} .explorer-note").inner_text() == ""


BAD = {
    "averaging": [
        ("q=9", "q = 9 does not lie in 1…8"),
        ("N=64&q=four", "q = “four” is no number"),
        ("N=32&q=4&y=1.2.3.40", "token 41 > N = 32"),
        ("q=3&y=1.2.2", "a token is asked for twice"),
        ("q=3&y=1.2", "2 tokens are asked for where q = 3"),
        ("colour=3", "“colour” is no part of it"),
        ("%F0%9F&k=-1", "is no"),
    ],
    "triples": [
        ("N=6&token=7", "token 7 > N = 6"),
        ("M=8&bob=8", "Bob’s residue 8 ≥ M = 8"),
        ("N=2", "N = 2 does not lie in 3…24"),
        ("H=1.5", "H = “1.5” is no number"),
    ],
    "crossover": [
        ("q=20&n=100", "q = 20 > N = 10"),
        ("q=10&n=100", "q = 10 leaves no other token at N = 10"),
        ("resource=2", "resource = 2 does not lie in 0…1"),
        ("e=", "e = “” is no number"),
    ],
}


@pytest.mark.parametrize(("name", "given", "reason"), [(name, *bad) for name, cases in BAD.items() for bad in cases])
def test_an_address_that_holds_no_state_gives_the_start_and_says_so(
    tabs: Tabs, name: str, given: str, reason: str
) -> None:
    start = numbers(opened(tabs, name), name)
    tab = opened(tabs, name, f"#explorer-{name}?{given}")
    said = tab.locator(f"#explorer-{name} .explorer-note").inner_text()
    assert "holds no state" in said
    assert reason in said
    assert numbers(tab, name) == start


@pytest.mark.parametrize("name", PAGES)
def test_other_addresses_are_left_alone(tabs: Tabs, name: str) -> None:
    tab = opened(tabs, name, "#the-statement")
    assert tab.evaluate("location.hash") == "#the-statement"
    assert tab.locator(f"#explorer-{name} .explorer-note").inner_text() == ""


@pytest.mark.parametrize("name", PAGES)
def test_every_control_is_reached_by_key_named_and_large_enough_to_touch(tabs: Tabs, name: str) -> None:
    tab = opened(tabs, name)
    tab.set_viewport_size(PHONE)
    controls = tab.locator(f"#explorer-{name} :is(input, button)").all()
    assert len(controls) >= 5
    reached = 0
    controls[0].focus()
    for control in controls:
        place = (control.locator("xpath=..") if control.get_attribute("type") == "radio" else control).bounding_box()
        assert place is not None
        assert min(place["width"], place["height"]) >= 44
    for _ in controls:
        reached += tab.evaluate(f"document.querySelector('#explorer-{name}').contains(document.activeElement)")
        tab.keyboard.press("Tab")
    disabled = tab.locator(f"#explorer-{name} button:disabled").count()
    groups = sum(control.get_attribute("type") == "radio" for control in controls)
    assert reached >= len(controls) - disabled - max(0, groups - 1)  # a group of radio buttons is one stop


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 820, 1400])
def test_nothing_is_cut_and_words_are_large_enough(tabs: Tabs, name: str, width: int) -> None:
    tab = opened(tabs, name)
    tab.set_viewport_size({"width": width, "height": 900})
    sizes, cut, too_wide = tab.evaluate(WORDS, name)
    assert len(sizes) > 10
    assert min(sizes) >= 9
    assert cut == []
    assert too_wide <= 0


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_explorer_has_no_serious_accessibility_finding(tabs: Tabs, name: str, mode: str) -> None:
    tab = opened(tabs, name)
    tab.evaluate(f"Object.assign(document.documentElement.dataset, {{theme: '{mode}', mode: '{mode}'}})")
    tab.evaluate(Axe().axe_script)
    found = tab.evaluate(f"axe.run('#explorer-{name}', {{resultTypes: ['violations'], preload: false}})")["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("name", PAGES)
def test_the_downloaded_picture_is_a_drawing_of_its_own(tabs: Tabs, name: str) -> None:
    tab = opened(tabs, name)
    with tab.expect_download() as download:
        tab.locator(f"#explorer-{name}").get_by_role("button", name="download SVG").click()
    assert download.value.suggested_filename == f"attention-limits-{name}.svg"
    root = ElementTree.parse(download.value.path()).getroot()
    assert root.tag == f"{SVG}svg"
    assert len(root.findall(f"{SVG}svg")) == tab.locator(f"#explorer-{name} svg.explorer-panel").count()
    written = [one for one in root.iter(f"{SVG}text") if one.text]
    assert len(written) > 5
    assert all(one.get("fill", "").startswith("rgb") and one.get("font-size") for one in written)
    assert not [one for one in root.iter() if "var(" in " ".join(one.attrib.values()) or one.get("class") == "title"]


# --- averaging -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "q", "k", "alpha"),
    [(16, 1, 6, 4), (16, 8, 20, 10), (40, 3, 40, 12), (128, 5, 200, 25), (512, 8, 256, 60), (64, 4, 7, 8)],
)
def test_averaging_agrees_with_the_package(tabs: Tabs, n: int, q: int, k: int, alpha: int) -> None:
    generator = torch.Generator().manual_seed(n + q)
    tab = opened(tabs, "averaging")
    for subset in random_subsets(n, q, 3, generator=generator):
        keys = random_sign_keys(n, k, generator=generator)
        gram, y = gram_matrix(keys), subset.tolist()
        certificate = minimum_norm_certificates(gram, subset.unsqueeze(0))
        assert torch.linalg.matrix_rank(gram[y][:, y]) == q
        scores = gram[:, y] @ certificate.coefficients[0]
        weights = (alpha * scores).softmax(dim=0)
        found = call(tab, "averaging", "compute", {"keys": keys.int().tolist(), "y": y, "alpha": alpha})
        margin = 1 - certificate.outside.item()
        assert found["margin"] == pytest.approx(margin, abs=ROUNDING)
        assert found["scores"] == pytest.approx(scores.tolist(), abs=ROUNDING)
        assert found["weights"] == pytest.approx(weights.tolist(), abs=ROUNDING)
        assert found["outside"] == pytest.approx(1 - weights[y].sum().item(), abs=ROUNDING)
        assert found["error"] == pytest.approx(
            worst_case_error(weights.unsqueeze(0), subset.unsqueeze(0)).item(), abs=ROUNDING
        )
        if margin > 0:
            assert found["bound"] == pytest.approx(error_bound(n, q, float(alpha), margin=margin), abs=ROUNDING)
            assert found["error"] <= found["bound"] + ROUNDING


def test_margins_and_the_k_that_is_needed_agree_with_the_package(tabs: Tabs) -> None:
    generator = torch.Generator().manual_seed(0)
    tab = opened(tabs, "averaging")
    for n, q in ((32, 2), (100, 4), (200, 8)):
        keys = random_sign_keys(n, 256, generator=generator)
        subset = random_subsets(n, q, 1, generator=generator)
        y = subset[0].tolist()
        found = call(tab, "averaging", "margins", keys.int().tolist(), y)
        expected = [
            1 - minimum_norm_certificates(gram_matrix(keys[:, :k]), subset).outside.item() for k in range(1, 257)
        ]
        compared = 0
        for k, (ours, theirs) in enumerate(zip(expected, found["margins"], strict=True), 1):
            gram = gram_matrix(keys[:, :k])[y][:, y]
            if torch.linalg.matrix_rank(gram) == q:  # else there are no equations that both could solve alike
                assert theirs == pytest.approx(ours, abs=1e-7), (n, q, k)
                compared += 1
        assert compared > 230
        assert found["needed"] == averaging.needed_embed_dim(expected)


def test_singular_keys_have_no_certificate(tabs: Tabs) -> None:
    tab = opened(tabs, "averaging", "#explorer-averaging?q=4&k=2")
    assert numbers(tab, "averaging")["margin γ"] == "none"
    assert "No certificate" in (tab.locator("svg[data-panel=scores]").text_content() or "")


def test_hostile_subsets_are_those_of_the_package(tabs: Tabs) -> None:
    tab = opened(tabs, "averaging")
    keys = random_sign_keys(60, 40, generator=torch.Generator().manual_seed(0))
    gram = gram_matrix(keys)
    ours = adversarial_subsets(gram, 5)
    theirs = torch.tensor(call(tab, "averaging", "crowds", keys.int().tolist(), 5))
    # Among tokens that correlate equally either may be taken.
    assert torch.equal(gram.gather(1, ours).sort().values, gram.gather(1, theirs).sort().values)
    margins = 1 - minimum_norm_certificates(gram, theirs).outside
    worst = call(tab, "averaging", "hostile", keys.int().tolist(), 5)
    assert 1 - minimum_norm_certificates(gram, torch.tensor([worst])).outside.item() == pytest.approx(
        margins.min().item()
    )


def test_a_token_is_asked_for_by_click_and_by_key(tabs: Tabs) -> None:
    tab = opened(tabs, "averaging")
    panel = tab.locator("svg[data-panel=scores]")
    place = panel.bounding_box()
    assert place is not None
    panel.click(position={"x": 30 + (place["width"] - 36) * 9.5 / 64, "y": 120})
    assert "q=5" in state(tab, "averaging")
    assert "token=10" in state(tab, "averaging")
    assert "9" in state(tab, "averaging").split("y=")[1].split(".")
    tab.get_by_role("button", name="drop token 10").press("Enter")
    assert "q=4" in state(tab, "averaging")
    look = tab.get_by_label("look at token")
    look.press("ArrowRight")
    tab.get_by_role("button", name="ask for token 11").press("Space")
    assert "10" in state(tab, "averaging").split("y=")[1].split(".")
    assert "token 11" in (panel.text_content() or "")


def test_fewer_coordinates_let_outsiders_in_and_a_smaller_n_says_what_it_drops(tabs: Tabs) -> None:
    tab = opened(tabs, "averaging")
    masses = []
    for k in (120, 40, 12):
        tab.get_by_label("key coordinates k").fill(str(k))
        masses.append(call(tab, "averaging", "compute", probe(tab, k))["outside"])
    assert masses == sorted(masses)
    before = state(tab, "averaging")
    tab.get_by_label("tokens N").fill("16")
    assert "leaves" in tab.locator("#explorer-averaging .explorer-note").inner_text()
    tab.get_by_label("tokens N").fill("64")
    assert state(tab, "averaging") == before


def probe(page: Page, k: int) -> dict[str, Any]:
    """The unit that the page shows, with k coordinates."""
    chosen = [int(one) for one in state(page, "averaging").split("y=")[1].split(".")]
    keys = [key[:k] for key in averaging.signs(1, 64)]
    return {"keys": keys, "y": chosen, "alpha": 12}


# --- triples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(3, 4), (12, 24), (12, 60), (24, 25), (24, 576)])
def test_pairs_and_completing_cells_agree_with_the_package(tabs: Tabs, n: int, m: int) -> None:
    tab = opened(tabs, "triples")
    problem = matching.Match3(n, m)
    inputs = problem.sample(4, generator=torch.Generator().manual_seed(m))
    expected, pairs = matching.triples(inputs, m), matching.Match2(n, m).target(inputs)
    for row, tokens in enumerate(inputs.tolist()):
        assert call(tab, "triples", "paired", tokens, m) == pairs[row].tolist()
        found = [call(tab, "triples", "completing", tokens, m, token) for token in range(n)]
        assert found == [expected[row, token].nonzero().tolist() for token in range(n)]
        assert [bool(cells) for cells in found] == problem.target(inputs)[row].tolist()


def test_bits_needed_agree_with_the_package(tabs: Tabs) -> None:
    tab = opened(tabs, "triples")
    for n in (3, 4, 9, 17, 24):
        for m in (4, 5, 9, n + 1, 100, n * n, 600):
            if m >= 4:
                assert int(call(tab, "triples", "rows", n, m)) == num_different_rows(n, m), (n, m)
                assert call(tab, "triples", "needed", n, m) == one_way_bits(n, m), (n, m)


def test_bits_that_a_layer_passes_agree_with_the_package(tabs: Tabs) -> None:
    tab = opened(tabs, "triples")
    for heads in (1, 2, 3, 8, 16):
        for m in (1, 2, 7, 32):
            for p in (1, 2, 9, 16):
                expected = message_bits_bound(
                    heads, m, writers=heads, spread=2.0**p, log_sum_range=2 * m * 4.0**p, error=1.0
                )
                assert call(tab, "triples", "passed", heads, m, p) == expected, (heads, m, p)


def test_a_token_is_chosen_on_the_circle_and_in_the_table(tabs: Tabs) -> None:
    tab = opened(tabs, "triples")
    tokens = triples.residues(triples.Triples())
    circle = tab.locator("svg[data-panel=circle]")
    circle.locator("circle.off").last.click(force=True)
    assert numbers(tab, "triples")[f"token {len(tokens)} holds"].startswith(f"{tokens[-1]} of")
    table = tab.locator("svg[data-panel=table]")
    table.click(position={"x": 60, "y": 48 + 254 * 3.5 / 12})
    assert "token 4 holds" in numbers(tab, "triples")


def test_bob_completes_a_triple_and_a_larger_layer_is_no_longer_ruled_out(tabs: Tabs) -> None:
    tab = opened(tabs, "triples")
    cut = tab.locator("svg[data-panel=cut]")
    tab.get_by_role("button", name="let Bob complete a triple").click()
    tokens = [
        1,
        *triples.residues(triples.Triples())[1:-1],
        int(state(tab, "triples").split("bob=")[1].split("&")[0]),
    ]
    assert matching.Match3(12, 60).target(torch.tensor([tokens]))[0, 0]
    assert "token 1 is in a triple" in (cut.text_content() or "")
    assert "Too few" in (cut.text_content() or "")
    tab.get_by_label("dimension m").fill("32")
    assert "rules nothing out" in (cut.text_content() or "")


def test_a_smaller_n_and_m_say_what_they_change(tabs: Tabs) -> None:
    tab = opened(tabs, "triples")
    note = tab.locator("#explorer-triples .explorer-note")
    tab.get_by_label("tokens N").fill("5")
    assert note.inner_text() == "N = 5 has no token 9: this is token 5."
    tab.get_by_label("modulus M").fill("7")
    assert note.inner_text() == "Bob’s residue is 3 now, which is 10 modulo 7."


# --- crossover -------------------------------------------------------------------------------------------------------

SIZES = [33, 34, 100, 1000, 12345, 10**6]


@pytest.mark.parametrize(
    ("q", "e", "d"), [(1, 2, 1), (1, 9, 3), (2, 3, 1), (4, 4, 1), (7, 1, 64), (32, 12, 5), (32, 3, 1)]
)
def test_curves_agree_with_the_package(tabs: Tabs, q: int, e: int, d: int) -> None:
    tab = opened(tabs, "crossover")
    tokens, accuracy = np.array(SIZES), Fraction(1, 2**e)
    bits = [
        crossover.attention_bits(tokens, q, accuracy, d).tolist(),
        [required_bits(n, q, accuracy) for n in SIZES],
        crossover.recurrent_bits(tokens).tolist(),
        crossover.stacked_bits(tokens).tolist(),
    ]
    found = call(tab, "crossover", "curves", {"q": q, "e": e, "d": d, "resource": 0}, SIZES)
    assert found == bits[: 4 if accuracy * q < 1 else 2]
    width = [(narrow_embed_dim(tokens, q) + d).tolist(), crossover.feedforward_width(tokens, d).tolist()]
    found = call(tab, "crossover", "curves", {"q": q, "e": e, "d": d, "resource": 1}, SIZES)
    assert found == width[: 2 if accuracy * (2 * q - 1) < 1 else 1]


@pytest.mark.parametrize(("q", "e", "d"), [(1, 2, 1), (2, 5, 1), (4, 4, 1), (8, 5, 16), (32, 7, 1), (5, 12, 64)])
def test_crossings_agree_with_the_package(tabs: Tabs, q: int, e: int, d: int) -> None:
    tab = opened(tabs, "crossover")
    accuracy, most = Fraction(1, 2**e), LARGEST

    def own(tokens: crossover.Sizes) -> crossover.Sizes:
        return crossover.attention_bits(tokens, q, accuracy, d)

    expected = [
        list(crossover.overtaking(own, rival, q, most)) for rival in (crossover.recurrent_bits, crossover.stacked_bits)
    ]
    assert call(tab, "crossover", "crossings", {"q": q, "e": e, "d": d, "resource": 0}) == expected

    def numbers_of(tokens: crossover.Sizes) -> crossover.Sizes:
        return narrow_embed_dim(tokens, q) + d

    def width(tokens: crossover.Sizes) -> crossover.Sizes:
        return crossover.feedforward_width(tokens, d)

    expected = [list(crossover.overtaking(numbers_of, width, q, most))]
    assert call(tab, "crossover", "crossings", {"q": q, "e": e, "d": d, "resource": 1}) == expected


def test_what_is_not_proved_is_not_drawn(tabs: Tabs) -> None:
    tab = opened(tabs, "crossover")
    drawn = tab.locator("svg[data-panel=crossover] polyline")
    assert drawn.count() == 4
    tab.get_by_label("accuracy ε").fill("2")
    assert drawn.count() == 2
    assert numbers(tab, "crossover")["recurrent stack: ⌊N/2⌋"] == "not proved at this ε"
    tab.get_by_role("button", name="ε = 1/(4q)").click()
    assert drawn.count() == 4


def test_one_resource_at_a_time_is_chosen_by_key(tabs: Tabs) -> None:
    tab = opened(tabs, "crossover")
    tab.get_by_label("bits: attention").focus()
    tab.keyboard.press("ArrowRight")
    assert "resource=1" in state(tab, "crossover")
    assert "feed-forward width: N d′" in numbers(tab, "crossover")
    assert tab.get_by_label("numbers: attention").is_checked()


def test_more_tokens_asked_for_than_there_are_raise_n_and_say_so(tabs: Tabs) -> None:
    tab = opened(tabs, "crossover", "#explorer-crossover?q=2&n=60")
    tab.get_by_label("asked for, q").fill("32")
    assert tab.locator("#explorer-crossover .explorer-note").inner_text() == "q = 32 needs N > q: N is 33 now."
