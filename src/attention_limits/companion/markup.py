"""What the printed pages get beyond what Sphinx writes: claims that lead to their code, figures without a white ground.

All of it works on texts: a page's HTML body, a figure's SVG, a claim's record.
"""

import html
import re
from collections.abc import Mapping
from typing import Any

from attention_limits.companion import claims
from attention_limits.companion.formulas import Typesetter

#: Where a claim's link to its code leads before `anchor_code` knows the cell.
_CODE = "#code"
_INPUT = '<div class="cell_input docutils container"'
#: Ids that extensions write again and again: each content's of a statement or exercise, and that of an unnumbered
#: statement, which its title has beside its box.
_REPEATED_IDS = re.compile(r'(?<=<p class="admonition-title") id="[^"]*"| id="(?:proof|exercise|solution)-content"')
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
    """The page with each id at one element; links lead to the boxes of statements, whose ids stay."""
    return _REPEATED_IDS.sub("", body)


def without_ground(figure: str) -> str:
    """A figure of matplotlib's, SVG, through which the page is seen."""
    return _GROUND.sub(r"\1none", figure)
