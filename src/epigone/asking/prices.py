"""What tokens cost: given by the user, or from a small dated table; what is not known is not known.

In: a server and a model. Out: dollars a million tokens in and out, or None.
Source: prices.json beside this file, which says where each price stands and when it was looked up.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a million tokens."""

    in_usd: float | int
    out_usd: float | int

    def usd(self, tokens_in: int, tokens_out: int) -> float:
        """What so many tokens cost. Tokens read from a server's cache count in full."""
        return (tokens_in * self.in_usd + tokens_out * self.out_usd) / 1e6


def price_of(url: str, model: str) -> Price | None:
    """The table's price of a model at its own provider; None for every other server."""
    found = _table().get(f"{urlsplit(url).hostname} {model}")
    return Price(*found) if found else None


def table_date() -> str:
    """When the table was looked up."""
    return str(_file()["date"])


@cache
def _file() -> dict[str, object]:
    return json.loads((Path(__file__).parent / "prices.json").read_text(encoding="utf-8"))


def _table() -> dict[str, list[float]]:
    table = _file()["usd_per_million_tokens"]
    assert isinstance(table, dict)
    return table
