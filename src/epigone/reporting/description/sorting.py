"""The page on which a person sorts sampled queries into the nine categories of Table 5.

In: queries. Out: one HTML file that works from the file system, by keyboard and by touch, remembers where it was, and
hands out the labels as JSON lines: query_id, category, rater. It loads nothing and sends nothing.
"""

import json
from collections.abc import Sequence

from markupsafe import Markup

from epigone.metrics.categories import DEFINITIONS
from epigone.metrics.query_sample import SampledQuery
from epigone.reporting.page import template

LONGEST = 6000
"""Characters of a query that are shown."""


def sorting_page(title: str, study_id: str, queries: Sequence[SampledQuery]) -> str:
    """The page, the queries in the order given and without a word on which dataset they are from."""
    told = {
        "store": f"epigone {study_id}",
        "file": f"labels-{study_id.rpartition('/')[2]}",
        "categories": [{"name": name, "what": what} for name, what in DEFINITIONS.items()],
        "queries": [
            {"id": q.query_id, "text": q.text[:LONGEST], "more": max(0, len(q.text) - LONGEST)} for q in queries
        ],
    }
    return template("categorise.html.j2").render(title=title, data=in_script(told))


def in_script(value: object) -> Markup:
    """JSON that may stand inside a script element whatever it holds."""
    text = json.dumps(value, ensure_ascii=True)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
