"""What printed pages get beyond Sphinx: claims, ids, links and figures, as text in and text out."""

import re
from typing import Any

import pytest

from attention_limits.companion import markup
from attention_limits.companion.formulas import Typesetter

RECORD = {
    "id": "thm-9.rows",
    "statement": r"All $2^n$ rows differ & <more>.",
    "measured": 8,
    "relation": "==",
    "bound": 8,
    "tolerance": 0.0,
    "note": "",
    "source": "N",
    "holds": True,
}
CELL = (
    '<div class="cell_input docutils container"><div class="highlight-ipython3 notranslate"><pre>{}</pre></div></div>'
)


@pytest.fixture(scope="module")
def typesetter() -> Typesetter:
    """One without macros."""
    return Typesetter({})


def test_a_claim_says_first_what_is_claimed_with_formulas_and_leads_to_itself_and_its_code(
    typesetter: Typesetter,
) -> None:
    line = markup.claim_line(RECORD, typesetter)
    assert re.match(r'<p class="claim claim-holds" id="claim-thm-9.rows">All <mjx-container', line)
    assert "differ &amp; &lt;more&gt;." in line
    assert line.index("mjx-container") < line.index("claim-verdict") < line.index("8 = 8")
    assert '<a class="claim-link" href="#claim-thm-9.rows"' in line
    assert 'href="#code"' in line
    assert "$" not in line


@pytest.mark.parametrize("statement", ["One $x", r"Bad $\frac{1}$."])
def test_a_claim_whose_formula_cannot_be_read_is_refused(typesetter: Typesetter, statement: str) -> None:
    with pytest.raises(ValueError, match=r"One|frac"):
        markup.claim_line(RECORD | {"statement": statement}, typesetter)


def test_claims_lead_to_the_cell_that_makes_them(typesetter: Typesetter) -> None:
    line = markup.claim_line(RECORD, typesetter)
    body = markup.anchor_code("<h1>A</h1>" + CELL.format("a") + CELL.format("b") + line + CELL.format("c") + line)
    assert re.findall(r'id="(code-\d+)"', body) == ["code-1", "code-2", "code-3"]
    assert re.findall(r'class="claim-code" href="(#[^"]*)"', body) == ["#code-2", "#code-3"]
    assert markup.anchor_code("<p>none</p>") == "<p>none</p>"


def test_statements_and_exercises_lead_to_themselves_and_proofs_do_not_lose_their_titles() -> None:
    title = '<p class="admonition-title">Theorem 2 (y)</p>'
    box = f'<div class="proof theorem admonition" id="thm-x">\n{title}\n<p>It.</p></div>'
    linked = markup.link_statements(box)
    assert 'Theorem 2 (y) <a class="headerlink" href="#thm-x"' in linked
    assert linked.endswith("<p>It.</p></div>")
    assert markup.link_statements("<p>none</p>") == "<p>none</p>"


def test_names_that_a_page_imports_lead_to_where_they_are_described() -> None:
    source = "import math\nfrom attention_limits.problems.matching import Match3 as Triples, Match2\nTriples(3)"
    names = markup.imported_names([source, "from pathlib import Path"])
    assert names == {
        "Triples": "attention_limits.problems.matching.Match3",
        "Match2": "attention_limits.problems.matching.Match2",
    }
    code = '<span class="n">Triples</span><span class="p">(</span><span class="n">other</span>'
    outside = '<span class="n">Triples</span>'
    body = markup.link_functions(CELL.format(code) + outside, {"Triples": "api.html#Match3"})
    assert body.count('<a class="code-name" href="api.html#Match3"><span class="n">Triples</span></a>') == 1
    assert body.endswith(outside)


def test_a_citation_names_the_page_and_each_statement_but_no_proof_and_no_exercise() -> None:
    boxes = {"proof theorem": "thm-x", "proof proof": "proof-1", "exercise": "ex-y"}
    body = "".join(
        f'<div class="{kind} admonition" id="{name}"><p class="admonition-title">Title <b>of</b> {name}</p></div>'
        for kind, name in boxes.items()
    )
    text = markup.citation(body, "A <page>", "notebooks/a-page.html", {"author": "{Us}", "year": "2026"})
    assert "@misc{attentionlimits:a-page," in text
    assert "title = {A &lt;page&gt;}" in text
    assert "note = {notebooks/a-page.html}" in text
    assert re.findall(r"<li>(.*?)</li>", text) == ["Title of thm-x: notebooks/a-page.html#thm-x"]
    assert "<ul>" not in markup.citation("<p>none</p>", "A", "a.html", {})


def figure(**options: Any) -> str:
    """What matplotlib draws, as SVG."""
    import io

    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, **options)
    axes[0].plot([0, 1], color="white")
    drawn = io.StringIO()
    fig.savefig(drawn, format="svg")
    plt.close(fig)
    return drawn.getvalue()


def test_the_page_is_seen_through_a_figure_and_its_panels_and_nothing_else_changes() -> None:
    drawn = figure()
    seen = markup.without_ground(drawn)
    assert drawn.count("#ffffff") - seen.count("#ffffff") == 3  # the figure and two panels
    assert "stroke: #ffffff" in seen  # a white line stays
    assert seen.replace("fill: none", "").replace("fill: #ffffff", "") == drawn.replace("fill: none", "").replace(
        "fill: #ffffff", ""
    )
    coloured = figure(facecolor="#ffff00")
    assert "#ffff00" in markup.without_ground(coloured)
