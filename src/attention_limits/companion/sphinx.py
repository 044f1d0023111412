"""The Sphinx side of the book: the gate, executed notebooks for .py pages, formulas, no idle scripts.

Named in _config.yml: `read` under nb_custom_formats, this module under extra_extensions.
"""

import gc
import hashlib
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from shutil import copytree
from typing import Any

import nbformat
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

from attention_limits.companion import carry, claims, explorers, formulas, gate, markup, statements, training
from attention_limits.companion.pages import all_pages, code_cells, page_at
from attention_limits.dependencies import cell_statements

#: What a page may load: the book's own files. The theme writes styles and scripts into the page.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'"
)
SVG = "image/svg+xml"
#: What a folded cell holds, by its tag.
FOLDED = {"parameters": "parameters", "facts": "limits of parameters"}
#: When Python looks for what nobody holds any more: nearly all that Sphinx makes lives to the end.
RARELY = (200_000, 20, 100)
_root = Path()


def read(text: str) -> nbformat.NotebookNode:
    """The page whose source is ``text`` (Sphinx hands over the text, not the path), with the outputs of its run.

    Prose, captions and tags are the source's. A claim's line is written from its record, which is left out: it is for
    programs. Figures get the page's ground.

    Raises:
        ExtensionError: if the run was of other code cells.
    """
    page = next((page for page in all_pages(_root) if page.text == text), None)
    if page is None:
        raise ExtensionError(f"no page of _toc.yml has this source: {text[:60]!r}…")
    executed = nbformat.read(gate.book_run(page).target, 4)
    here, there = code_cells(page.notebook), code_cells(executed)
    if len(here) != len(there):
        raise ExtensionError(f"{page.name} has {len(here)} code cells, and its executed copy has {len(there)}")
    for number, (cell, run) in enumerate(zip(here, there, strict=True), 1):
        if cell_statements(cell.source) != cell_statements(run.source):
            raise ExtensionError(f"{page.name}: code cell {number} is not the one that was run")
        cell.outputs, cell.execution_count = run.outputs, run.execution_count
        for output in cell.outputs:
            data = output.get("data", {})
            data.pop(training.MIME_TYPE, None)
            if claims.MIME_TYPE in data:
                data["text/html"] = markup.claim_line(data.pop(claims.MIME_TYPE), formulas.typesetter())
            if SVG in data:
                data[SVG] = markup.without_ground(data[SVG])
    fold_early_parameters(page.notebook)
    name_folded_cells(page.notebook)
    page.notebook.metadata = executed.metadata
    return page.notebook


def fold_early_parameters(notebook: nbformat.NotebookNode) -> None:
    """Fold a parameters cell that stands before the first section: a page's first picture is computed from it."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and re.search("^## ", cell.source, re.MULTILINE):
            return
        if "parameters" in cell.metadata.get("tags", ()):
            cell.metadata.tags.append("hide-input")


def name_folded_cells(notebook: nbformat.NotebookNode) -> None:
    """Let the bar of a folded cell say what it holds, where the cell's tag tells."""
    for cell in notebook.cells:
        for tag in FOLDED.keys() & set(cell.metadata.get("tags", ())):
            said = {f"code_prompt_{verb.lower()}": f"{verb} {FOLDED[tag]}" for verb in ("Show", "Hide")}
            cell.metadata.mystnb = {**cell.metadata.get("mystnb", {}), **said}


def refuse(app: Sphinx) -> None:
    """Let the gate refuse before a page is read, whoever started Sphinx."""
    if found := gate.problems(_root):
        raise ExtensionError("the book is not printed:\n" + "\n".join(found))


def changed_documents(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Documents that are not what Sphinx read: it looks at times, which a clock that was set back makes wrong."""
    known: dict[str, str] = getattr(env, "attention_limits_content", {})
    content = _content(env)
    return [name for name in content if name in env.all_docs and known.get(name) != content[name]]


def note_content(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Keep with what Sphinx read what it read it from."""
    env.attention_limits_content = _content(env)
    return []


def _content(env: BuildEnvironment) -> dict[str, str]:
    """For each document a hash of its source, of what that includes, and of a page's executed copy."""
    runs = {page.docname: gate.book_run(page).target for page in all_pages(_root)}
    found = {}
    for name in env.found_docs:
        included = (Path(env.srcdir, path) for path in sorted(env.dependencies.get(name, ())))
        parts = [Path(env.doc2path(name)), *included, *filter(None, [runs.get(name)])]
        content = b"\0".join(part.read_bytes() for part in parts if part.is_file())
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def copy_static(app: Sphinx, exception: Exception | None) -> None:
    """Copy the book's static files, which Sphinx copies only with a page that changed, and add the formulas' style."""
    if exception is None and app.builder.format == "html":
        static = Path(app.outdir, "_static")
        copytree(_root / "book" / "_static", static, dirs_exist_ok=True)
        (static / formulas.STYLE_SHEET).write_text(formulas.typesetter().style, encoding="utf-8")


def drop_what_is_gone(app: Sphinx, exception: Exception | None) -> None:
    """Remove pages that an earlier print left and that the book no longer has."""
    if exception is None and app.builder.name == "html":
        out = Path(app.outdir)
        known = {out / f"{name}.html" for name in (*app.env.found_docs, "index", "search")}
        for page in out.rglob("*.html"):
            if page not in known and out / "_static" not in page.parents:
                page.unlink()


def add_policy(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """Let no page load or run anything of another host, whatever it holds."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" />\n'
    context["metatags"] = policy + context.get("metatags", "")


def drop_thebe(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """Jupyter Book 1 declares Thebe's constants twice on each page, a JavaScript error; no page uses Thebe."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in f"{script.filename} {script.attributes.get('body')}".lower()
    ]


def finish_body(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """Leave each id to one element of a page, link claims, code and statements, and say how to cite the page."""
    if "body" not in context:
        return
    body = markup.anchor_code(markup.drop_repeated_ids(context["body"]))
    if (page := page_at(_root, pagename)) is not None:
        to, described = context["pathto"], app.env.get_domain("py").objects
        names = markup.imported_names(cell.source for cell in code_cells(page.notebook))
        addresses = {
            name: f"{to(described[full].docname)}#{described[full].node_id}"
            for name, full in names.items()
            if full in described
        }
        body = markup.link_functions(body, addresses)
        book = {
            "author": "{Attention Limits contributors}",
            "howpublished": f"Attention Limits, version {version('attention-limits')}",
            "year": app.config.copyright,
        }
        body += markup.citation(body, page.title, app.builder.get_target_uri(pagename), book)
    context["body"] = formulas.share_outlines(markup.link_statements(body))


def escape_docstring(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Let the mathematics of docstrings, bars and letters with an underscore, be no markup; what is code stays."""
    escaped = [
        line
        if line.lstrip().startswith(">>>")
        else "`".join(_plain(part, place) for place, part in enumerate(line.split("`")))
        for line in lines
    ]
    lines[:] = escaped


def _plain(text: str, place: int) -> str:
    return text if place % 2 else re.sub(r"([|*]|(?<=\w)_(?=\W|$))", r"\\\1", text)


def imitate_what_is_optional(config: Config) -> None:
    """Let modules be imported, for their docstrings, where Triton is not installed."""
    if find_spec("triton") is None:
        config.autodoc_mock_imports.append("triton")


def code_version(folder: Path = Path(__file__).parent) -> int:
    """A number for the code that prints, all that lies in ``folder``: at another one Sphinx reads all pages again."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".js"))
    return int(hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:12], 16)


def setup(app: Sphinx) -> dict[str, int]:
    """Connect all of it."""
    global _root
    _root = Path(app.srcdir)
    gc.set_threshold(*RARELY)
    imitate_what_is_optional(app.config)
    formulas.setup(app)
    carry.setup(app)
    explorers.setup(app)
    statements.setup(app)
    app.connect("builder-inited", refuse)
    app.connect("autodoc-process-docstring", escape_docstring, priority=400)  # before sections become markup
    app.connect("env-get-outdated", changed_documents)
    app.connect("env-updated", note_content)
    app.connect("build-finished", copy_static)
    app.connect("build-finished", drop_what_is_gone)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", add_policy)
    app.connect("html-page-context", finish_body)
    return {"env_version": code_version(), "parallel_read_safe": True, "parallel_write_safe": True}
