"""The Perspective API, while it lives: out of service at the end of 2026, and closed to new users.

In: texts; a key in the environment. Out: its probability that a reader would find a text toxic. A request that failed
is no score: its text is missing, and where the server fails altogether there is an error.
Source: https://developers.perspectiveapi.com/s/about-the-api-methods (comments:analyze).
"""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from epigone.errors import SpecError, WorkError
from epigone.rows import finite
from epigone.transport import MalformedError, Patience, RefusedError, Transport

KEY_ENV = "PERSPECTIVE_API_KEY"
URL = "https://commentanalyzer.googleapis.com/v1alpha1"
PATH = "/comments:analyze"


@dataclass(frozen=True)
class Perspective:
    """The summary score of one attribute; None for a blank text, and for one that the server would not score."""

    attribute: str = "TOXICITY"
    """Which score: TOXICITY, SEVERE_TOXICITY, INSULT, THREAT, PROFANITY, IDENTITY_ATTACK ..."""
    language: str = "en"
    """The texts' language, as the API names it."""
    url: str = URL
    """Where it is asked."""
    requests_per_minute: int = field(default=60, compare=False)
    """The usual quota is one a second."""
    num_retries: int = field(default=6, compare=False)
    """Of one request."""
    pause_seconds: float | int = field(default=1, compare=False)
    """After a failure, doubling with each one in a row."""

    @property
    def identity(self) -> str:
        """`perspective ATTRIBUTE LANGUAGE`. The service changes its models without a new name."""
        return f"perspective {self.attribute.upper()} {self.language}"

    def toxicity(self, texts: Sequence[str]) -> list[float | None]:
        """One score a text, in order.

        Raises SpecError without a key, WorkError where the server is down, refuses the key or scores none of them.
        """
        key = os.environ.get(KEY_ENV, "").strip()
        if not key:
            raise SpecError(f"the environment variable {KEY_ENV} is not set: it holds the key for {self.url}; without "
                            "one take the scorer recorded_perspective, sequence_classifier or profanity")  # fmt: skip
        asked = [row for row, text in enumerate(texts) if text.strip()]
        scores = asyncio.run(self._all([texts[row] for row in asked], key))
        failed = [score for score in scores if isinstance(score, RefusedError)]
        if failed and len(failed) == len(scores):
            raise WorkError(f"{self.url} scored none of {len(scores)} texts; the first: {failed[0]}")
        found: list[float | None] = [None] * len(texts)
        for row, score in zip(asked, scores, strict=True):
            found[row] = None if isinstance(score, RefusedError) else score
        return found

    async def _all(self, texts: Sequence[str], key: str) -> list[float | RefusedError]:
        patience = Patience(
            concurrency=8,
            requests_per_minute=self.requests_per_minute,
            num_retries=self.num_retries,
            pause_seconds=self.pause_seconds,
        )
        async with Transport(self.url, key, patience, key_header="x-goog-api-key") as transport:
            return await asyncio.gather(*(self._one(transport, text) for text in texts))

    async def _one(self, transport: Transport, text: str) -> float | RefusedError:
        body = {
            "comment": {"text": text},
            "languages": [self.language],
            "requestedAttributes": {self.attribute.upper(): {}},
            "doNotStore": True,
        }
        content = json.dumps(body).encode()
        try:
            reply = await transport.post(PATH, content, _Free(), num_tokens=0, parse=self._score)
        except RefusedError as error:
            return error
        return reply.parsed

    def _score(self, text: str) -> float:
        """The score in a reply. Raises MalformedError."""
        try:
            told: object = json.loads(text)
            scores = cast(dict[str, dict[str, dict[str, dict[str, object]]]], told)["attributeScores"]
            score = finite(scores[self.attribute.upper()]["summaryScore"]["value"])
        except (ValueError, KeyError, TypeError) as error:
            raise MalformedError(f"no score of {self.attribute}: {text[:120]!r}") from error
        if score is None or not 0 <= score <= 1:
            raise MalformedError(f"the score is no number from 0 to 1: {text[:120]!r}")
        return score


class _Free:
    """Nobody is billed."""

    async def opened(self) -> str:
        return "perspective"

    def lost(self, request_id: str) -> None:
        pass

    def free(self, request_id: str) -> None:
        pass
