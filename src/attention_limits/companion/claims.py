"""Claims: statements that a page checks while it runs and leaves, as records, in its own executed notebook."""

import html
import math
import operator
import os
import re
from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from typing import Any

from attention_limits.runtime import PAGE_VARIABLE, PROFILE_VARIABLE

#: The output type under which a record lies in the notebook.
MIME_TYPE = "application/vnd.attention-limits.claim+json"
#: Whose statement it is: the paper's; the paper's, with exact form and constants ours; or ours.
SOURCES = {"P": "the paper's", "P~": "the paper's result, our constants", "N": "ours"}
RELATIONS = {"<=": "≤", ">=": "≥", "<": "<", ">": ">", "==": "="}
_COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "==": operator.eq}

Number = int | float | Fraction | bool


class ClaimError(AssertionError):
    """A claim that does not hold."""


def claim(
    identifier: str,
    measured: Any,
    relation: str,
    bound: Any,
    *,
    statement: str = "",
    source: str = "N",
    tolerance: float = 0.0,
    note: str = "",
    empirical: bool = False,
) -> None:
    """Check ``measured relation bound``, print it in one line, and store the record in the cell's output.

    A theorem's claim that does not hold raises. An empirical one raises in the book and quick profiles only: at a
    reader's own parameters it is reported.

    Args:
        identifier: "page.what", unique in the book, of letters, digits and ``. _ -``; the line's anchor is "claim-" +
            identifier.
        measured, bound: numbers: int, bool, Fraction, float or a tensor of one element. They are compared exactly.
        relation: one of <= >= < > ==.
        statement: what is claimed, in a sentence.
        source: P (the paper's), P~ (the paper's with our constants) or N (ours).
        tolerance: how far the comparison may miss, finite; it needs a ``note``.
        note: where the tolerance, or the bound, comes from.
        empirical: true for what was observed, not proved.

    Raises:
        ClaimError: if it does not hold.
        ValueError, TypeError: for a malformed claim: an unknown relation or source, what is not one number, a tolerance
            without a note, == between floats without a tolerance.

    Example:
        >>> claim("demo.count", 3, "==", 3, statement="Three is three.")
        holds: demo.count: 3 = 3. Three is three. [N]
    """
    valid = re.fullmatch(r"[\w.-]+", identifier, re.ASCII) is not None
    if not valid:
        raise ValueError(f"a claim's identifier has letters, digits and . _ - only, got {identifier!r}")
    if relation not in RELATIONS:
        raise ValueError(f"relation must be one of {' '.join(RELATIONS)}, got {relation!r}")
    if source not in SOURCES:
        raise ValueError(f"source must be one of {' '.join(SOURCES)}, got {source!r}")
    left, right, tolerance = _number(measured), _number(bound), float(_number(tolerance))
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"claim {identifier}: tolerance must be finite and at least 0, got {tolerance}")
    if not (not tolerance or bool(note)):
        raise ValueError(f"claim {identifier}: a tolerance needs a note that says where it comes from")
    exact = not isinstance(left, float) and not isinstance(right, float)
    if relation == "==" and not exact and not tolerance:
        raise TypeError(f"claim {identifier}: == between floats needs a tolerance, got {left!r} and {right!r}")
    record = {
        "id": identifier,
        "page": os.environ.get(PAGE_VARIABLE, ""),
        "statement": statement,
        "source": source,
        "measured": _json(left),
        "relation": relation,
        "bound": _json(right),
        "tolerance": tolerance,
        "note": note,
        "kind": "empirical" if empirical else "theorem",
        "exact": exact,
        "holds": _holds(left, relation, right, tolerance),
    }
    _show(record)
    reported_only = empirical and os.environ.get(PROFILE_VARIABLE) not in ("book", "quick")
    if not record["holds"] and not reported_only:
        raise ClaimError(describe(record))


#: A claim of what was seen, not proved.
observed = partial(claim, empirical=True)


def records(notebook: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The claims that an executed notebook carries, in order."""
    return [
        dict(output["data"][MIME_TYPE])
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if MIME_TYPE in output.get("data", {})
    ]


def describe(record: Mapping[str, Any]) -> str:
    """A record in one line of plain text."""
    verdict = "holds" if record["holds"] else "DOES NOT HOLD"
    statement = f" {record['statement']}" if record["statement"] else ""
    return f"{verdict}: {record['id']}: {comparison(record)}.{statement} [{record['source']}]"


def markup(record: Mapping[str, Any], statement: str, name: str = "") -> str:
    """A record as a line of HTML: what is claimed first, then whether it holds.

    Args:
        record: of the claim.
        statement: its statement as HTML.
        name: its identifier as HTML; by default in the style of code.
    """
    verdict, css = ("holds", "holds") if record["holds"] else ("does not hold", "fails")
    code = f"<code>{html.escape(record['id'])}</code>"
    return (
        f'<p class="claim claim-{css}" id="{html.escape(anchor(record["id"]))}">{statement} '
        f'<span class="claim-verdict">{verdict}</span> <strong>{html.escape(comparison(record))}</strong> '
        f'<abbr title="{SOURCES[record["source"]]}">[{record["source"]}]</abbr> '
        f"{name or code}</p>"
    )


def comparison(record: Mapping[str, Any]) -> str:
    """The comparison alone, for example 0.00412 ≤ 0.01 (± 1e-12: rounding)."""
    line = f"{format_number(record['measured'])} {RELATIONS[record['relation']]} {format_number(record['bound'])}"
    tolerance = f"± {format_number(record['tolerance'])}" if record["tolerance"] else ""
    remark = ": ".join(part for part in (tolerance, record["note"]) if part)
    return f"{line} ({remark})" if remark else line


def format_number(value: Any) -> str:
    """Integers and fractions in full, floats to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def anchor(identifier: str) -> str:
    """The HTML id of a claim's line on its page."""
    return f"claim-{identifier}"


def _number(value: Any) -> Number:
    if math.prod(getattr(value, "shape", ())) == 1 and hasattr(value, "item"):
        value = value.item()  # a tensor, an array or a numpy scalar of one element
    if isinstance(value, bool | int | float | Fraction):
        return value
    raise TypeError(f"a claim compares numbers, got {value!r}")


def _json(value: Number) -> bool | int | float | str:
    # JSON has no nan and no infinity, and a Fraction has no float that equals it.
    if isinstance(value, Fraction) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    return value


def _holds(left: Number, relation: str, right: Number, tolerance: float) -> bool:
    compare = _COMPARE[relation]
    if any(isinstance(side, float) and not math.isfinite(side) for side in (left, right)):
        return bool(compare(left, right))  # nan compares false with everything; no tolerance bridges an infinite gap
    gap, allowed = Fraction(left) - Fraction(right), Fraction(tolerance)  # exact: a float is a fraction too
    if relation == "==":
        return abs(gap) <= allowed
    return bool(compare(gap, allowed if relation in ("<=", "<") else -allowed))


def _show(record: dict[str, Any]) -> None:
    from IPython import get_ipython
    from IPython.display import display

    line = describe(record)
    if get_ipython() is None:
        print(line)
        return
    display(
        {MIME_TYPE: record, "text/html": markup(record, html.escape(record["statement"])), "text/plain": line}, raw=True
    )
