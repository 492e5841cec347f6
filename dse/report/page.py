"""The page of a run: hand-written HTML, style and script, filled with data and with Plotly.

One file that loads nothing: a content security policy admits the two scripts it brings, by their
hashes, and no connection. All that comes from specs is data inside an inert element.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from importlib import resources
from typing import Any

from dse.errors import UsageError

SCRIPTS = (
    *("data", "state", "colour", "paint", "scatter"),
    *("parallel", "table", "detail", "charts", "page"),
)
"""The parts of the page's script, in the order in which they build on each other."""


def page_html(document: dict[str, Any]) -> str:
    """The page of a `page_document`; raises UsageError where Plotly is not installed."""
    plotly, script = plotly_script(), _script()
    parts = {
        "policy": _policy(plotly, script, watched=bool(document["watched"])),
        "title": escape(f"{document['study']} · dse"),
        "style": _asset("page.css").strip(),
        "data": inert(document),
        "plotly": plotly,
        "script": script,
    }
    made = []
    # cut at the marks, so that nothing inside a part is taken for one
    for piece in _asset("page.html").split("{{"):
        name, found, rest = piece.partition("}}")
        made.append(parts[name] + rest if found else piece)
    return "".join(made)


def inert(document: Any) -> str:
    """JSON that can stand in a script element: no `<` in it, so nothing can end that element."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def plotly_script() -> str:
    """Plotly's script as it stands in the page."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        message = "a page needs plotly, which is not installed: pip install 'dse[report]'"
        raise UsageError(message) from None
    # a parser of HTML reads other line ends as these, and hashes what it reads
    text: str = get_plotlyjs().replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("</script", "<\\/script")


def _script() -> str:
    parts = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _asset(name: str) -> str:
    return (resources.files("dse.report") / "assets" / name).read_text(encoding="utf-8")


def _policy(*scripts: str, watched: bool) -> str:
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    hashes = " ".join(f"'sha256-{each}'" for each in digests)
    # a page that is watched asks for itself again
    reached = "'self'" if watched else "'none'"
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {hashes}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            f"connect-src {reached}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
