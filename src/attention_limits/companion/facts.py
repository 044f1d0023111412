"""Facts: what a page states of itself in its `facts` cell, and nothing else in the book repeats.

The values of the quick profile, the study that trains the page's models, and which values it covers. That cell alone is
run here, before anything else is; the kernel runs it too.
"""

import ast
import contextlib
import traceback
from dataclasses import dataclass
from types import CodeType
from typing import Any

from attention_limits.hypotheses import HypothesisError

#: The modules that a `facts` cell may import: those that cost milliseconds.
FACTS_IMPORT = ("math", "fractions", "itertools", "attention_limits.hypotheses")
#: What holds on every page, after the page's own facts.
USUAL_FACTS = "from attention_limits.hypotheses import usual_ranges\n\nusual_ranges()"
#: What tracebacks call a facts cell.
FACTS_FILE = "<facts>"


@dataclass(frozen=True)
class Facts:
    """What a page's `facts` cell says, as the command line reads it; the kernel runs the same cell."""

    #: The page, as errors call it.
    owner: str
    #: The whole cell, lines counted as in the page's file.
    code: CodeType
    #: What the profile quick changes.
    quick: dict[str, Any]
    #: The function that trains the page's models, as ``package.module:name``; empty if the page trains none.
    study: str

    @classmethod
    def read(cls, source: str, owner: str, first_line: int) -> "Facts":
        """The facts in ``source``, which starts on this line of its file."""
        try:
            tree = ast.increment_lineno(ast.parse(source), first_line - 1)
        except SyntaxError as error:
            line = first_line - 1 + (error.lineno or 1)
            raise ValueError(f"{owner}, line {line}: its facts cell is no Python: {error.msg}") from error
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for module in _modules(node):
                    place = f"{owner}, line {node.lineno}"
                    if module not in FACTS_IMPORT:
                        raise ValueError(f"{place}: a facts cell imports only {', '.join(FACTS_IMPORT)}; got {module}")
        tree.body += ast.parse(USUAL_FACTS).body
        code = compile(tree, FACTS_FILE, "exec")
        return cls(owner, code, _literal(tree, "quick", {}, owner), _literal(tree, "study", "", owner))

    def check(self, values: dict[str, Any]) -> None:
        """Refuse ``values`` that the page does not cover.

        Raises:
            ValueError: in the words of the hypothesis, or naming the line where the cell itself fails.
        """
        try:
            exec(self.code, {"__name__": "facts", **values})
        except HypothesisError:
            raise
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            line = next((frame.lineno for frame in reversed(frames) if frame.filename == FACTS_FILE), "?")
            raise ValueError(
                f"{self.owner}, line {line}: its facts cell fails: {type(error).__name__}: {error}"
            ) from error


def _modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return ["." * node.level + (node.module or "")]


def _literal(tree: ast.Module, name: str, default: Any, owner: str) -> Any:
    """The literal that a cell assigns to ``name``, of the default's type; the default if there is none."""
    for line in tree.body:
        if isinstance(line, ast.Assign) and [ast.unparse(target) for target in line.targets] == [name]:
            with contextlib.suppress(ValueError, TypeError):
                if isinstance(value := ast.literal_eval(line.value), type(default)):
                    return value
            kind = type(default).__name__
            raise ValueError(
                f"{owner}, line {line.lineno}: {name} must be a literal {kind}, got {ast.unparse(line.value)}"
            )
    return default
