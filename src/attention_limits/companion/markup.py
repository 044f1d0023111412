"""What the printed pages get beyond what Sphinx writes: claims that lead to their code, figures without a white ground.

All of it works on texts: a page's HTML body, a figure's SVG, a claim's record.
"""

import ast
import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from attention_limits.companion import claims
from attention_limits.companion.formulas import Typesetter

#: Where a claim's link to its code leads before `anchor_code` knows the cell.
_CODE = "#code"
_INPUT = '<div class="cell_input docutils container"'
#: Ids that extensions write again and again: each content's of a statement or exercise, and that of an unnumbered
#: statement, which its title has beside its box.
_REPEATED_IDS = re.compile(r'(?<=<p class="admonition-title") id="[^"]*"| id="(?:proof|exercise|solution)-content"')
_TITLE = re.compile(
    r'(<div class="(?:proof|exercise)[^"]*" id="([^"]*)">\s*<p class="admonition-title">)(.*?)</p>', re.DOTALL
)
#: The ground of a figure that matplotlib drew, and of its panels.
_GROUND = re.compile(
    r'(<g id="(?:figure|axes)_\d+">\s*<g id="patch_\d+">\s*<path [^>]*style="fill: )#ffffff(?=[;"])', re.DOTALL
)


def claim_line(record: Mapping[str, Any], typesetter: Typesetter) -> str:
    """A claim with its formulas typeset, a link to itself, and one to the cell that makes it.

    Raises:
        ValueError: for a formula that cannot be read.
    """
    anchor, identifier = html.escape(claims.anchor(record["id"])), html.escape(record["id"])
    links = (
        f'<a class="claim-link" href="#{anchor}" title="Link to this claim"><code>{identifier}</code></a> '
        f'<a class="claim-code" href="{_CODE}" title="The cell that makes this claim">code</a>'
    )
    return claims.markup(record, typesetter.typeset_text(record["statement"]), links)


def anchor_code(body: str) -> str:
    """The page with an id, code-1 and so on, for each code cell, and each claim's link leading to its cell's."""
    first, *cells = body.split(_INPUT)
    marked = (
        f'{_INPUT} id="code-{number}"' + cell.replace(f'href="{_CODE}"', f'href="#code-{number}"')
        for number, cell in enumerate(cells, 1)
    )
    return first + "".join(marked)


def drop_repeated_ids(body: str) -> str:
    """The page with each id at one element; links lead to the boxes of statements, whose ids stay.

    A bibliography is no list to docutils' own entries, whose roles are other ones than a list's items have.
    """
    return _REPEATED_IDS.sub("", body).replace('role="list" class="citation-list"', 'class="citation-list"')


def link_statements(body: str) -> str:
    """The page with a link to itself in the title of each statement and exercise, as headings have."""
    return _TITLE.sub(r'\1\3 <a class="headerlink" href="#\2" title="Link to this statement">#</a></p>', body)


def imported_names(sources: Iterable[str]) -> dict[str, str]:
    """What code cells import from this package: names as they stand in the code, and in full."""
    found: dict[str, str] = {}
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("attention_limits."):
                found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def link_functions(body: str, addresses: Mapping[str, str]) -> str:
    """The page with names in its code cells leading to where ``addresses`` says that they are described."""

    def linked(found: re.Match[str]) -> str:
        address = addresses.get(found[1])
        return f'<a class="code-name" href="{address}">{found[0]}</a>' if address else found[0]

    cells = re.compile(r'<div class="highlight-ipython3[^>]*>.*?</pre>', re.DOTALL)
    return cells.sub(lambda cell: re.sub(r'<span class="n">(\w+)</span>', linked, cell[0]), body)


def citation(body: str, title: str, place: str, book: Mapping[str, str]) -> str:
    """What cites a page and each of its statements, folded, as HTML.

    Args:
        body: the page's.
        title: the page's, in plain words.
        place: its address in the book.
        book: the entry's fields that are the same for all pages.
    """
    key = re.sub(r"\W+", "-", place.removesuffix(".html").rpartition("/")[2])
    statements = [
        f"{' '.join(html.unescape(re.sub(r'<[^>]*>', '', heading)).split())}: {place}#{identifier}"
        for box, identifier, heading in _TITLE.findall(body)
        if "exercise" not in box and "proof-" not in identifier
    ]
    fields = {"title": title, **book, "note": place}
    entry = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    rows = "".join(f"<li>{html.escape(statement)}</li>" for statement in statements)
    more = f"<p>In place of its note, for one statement:</p><ul>{rows}</ul>" if statements else ""
    text = html.escape(f"@misc{{attentionlimits:{key},\n{entry}\n}}")
    return (
        '<details class="cite"><summary>Cite this page</summary>'
        f'<div class="highlight"><pre tabindex="0">{text}</pre></div>{more}</details>\n'
    )


def without_ground(figure: str) -> str:
    """A figure of matplotlib's, SVG, through which the page is seen."""
    return _GROUND.sub(r"\1none", figure)
