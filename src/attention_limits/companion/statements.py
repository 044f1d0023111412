"""Statements: what they are called where they are referred to, and a list of all of them, ``{statements}``."""

import html
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from attention_limits.companion import formulas

_OF_THE_PAPER = re.compile(r"\s*(\d+) of the paper\s*")


class Statements(SphinxDirective):
    """``{statements}``: all numbered statements and those of the paper, page by page, each with a link."""

    def run(self) -> list[nodes.Node]:
        """A place that `list_statements` fills."""
        self.env.attention_limits_lists = {self.env.docname}
        return [nodes.raw("", "", format="html", statements=True)]


def name_statements(app: Sphinx, doctree: nodes.document) -> None:
    """Give each proof a title to fold it by, note each statement's title, and the paper's number where it has one.

    sphinx-proof writes "Proof." into a proof's text and gives all proofs of a page the same id.
    """
    proofs = [node for node in doctree.findall(nodes.admonition) if "proof" in node["classes"]]
    for number, proof in enumerate(proofs, 1):
        opening = next(proof.findall(nodes.Text))
        opening.parent.replace(opening, nodes.Text(opening.astext().removeprefix("Proof. ")))
        proof["ids"] = [f"proof-{number}"]
        proof.insert(0, nodes.title("", "Proof"))
    for statement in doctree.findall(lambda node: isinstance(node, nodes.Admonition) and "realtype" in node):
        known = app.env.proof_list[statement["label"]]
        known["title"] = _OF_THE_PAPER.sub("", statement["title"]).strip().removeprefix("(").removesuffix(")")
        if number_in_paper := _OF_THE_PAPER.match(statement["title"]):
            known["name"] = f"{statement['realtype'].title()} {number_in_paper[1]}"


def name_references(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Let a reference to a statement that carries the paper's number say that number: Definition 4."""
    statements = getattr(app.env, "proof_list", {})  # a book without statements has none
    for reference in doctree.findall(nodes.reference):
        label = reference.get("refid") or reference.get("refuri", "").partition("#")[2]
        known = statements.get(label, {})
        if "name" in known and reference.astext().strip() == known["realtype"].title():
            reference.clear()
            reference += nodes.Text(known["name"])


def _rows(env: BuildEnvironment) -> dict[str, list[tuple[str, str, str]]]:
    """By page, in the order of the menu: what each of its statements is called, its title and its label."""
    rows: dict[str, list[tuple[str, str, str]]] = {page: [] for page in env.collect_relations()}
    for label, known in getattr(env, "proof_list", {}).items():
        if "title" not in known:
            continue
        name, numbers = known["realtype"].title(), env.toc_fignumbers.get(known["docname"], {})
        if "name" in known:
            name = f"{known['name']} of the paper"
        elif not known["nonumber"]:
            name = f"{name} {'.'.join(map(str, numbers[known['countertype']][label]))}"
        rows.setdefault(known["docname"], []).append((name, known["title"], label))
    return {page: found for page, found in rows.items() if found}


def note_statements(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Pages with a list, if it is not the one that was printed last."""
    rows = list(_rows(env).items())
    before: Any = getattr(env, "attention_limits_rows", None)
    env.attention_limits_rows = rows
    return [] if rows == before else sorted(getattr(env, "attention_limits_lists", set()) & env.found_docs)


def list_statements(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Fill the places of `Statements`, now that all statements are numbered."""
    for place in doctree.findall(lambda node: isinstance(node, nodes.raw) and node.get("statements", False)):
        lines = []
        for page, rows in _rows(app.env).items():
            address = app.builder.get_relative_uri(docname, page)
            title = html.escape(app.env.titles[page].astext())
            lines.append(f'<tr><th colspan="2" scope="rowgroup"><a href="{address}">{title}</a></th></tr>')
            lines += (
                f'<tr><td><a href="{address}#{label}">{html.escape(name)}</a></td>'
                f"<td>{formulas.typesetter().typeset_text(title)}</td></tr>"
                for name, title, label in rows
            )
        place += nodes.Text(f'<table class="statements"><tbody>{"".join(lines)}</tbody></table>')


def setup(app: Sphinx) -> None:
    """Connect all of it."""
    app.add_directive("statements", Statements)
    app.connect("doctree-read", name_statements)
    app.connect("env-get-updated", note_statements, priority=900)  # after all is numbered
    app.connect("doctree-resolved", name_references)
    app.connect("doctree-resolved", list_statements)
