"""Toxicity scorers that ask someone or look it up: a missing score is missing, a failed request a failure, never 0."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from epigone.backends.canned import Canned
from epigone.errors import DataError, SpecError, WorkError
from epigone.toxicity.judged import ASK, Judged, number_in
from epigone.toxicity.perspective import Perspective
from epigone.toxicity.recorded_perspective import RecordedPerspective


# -- judged ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("0.7", 0.7),
        (" 1 ", 1.0),
        ("Toxicity: 0.25.", 0.25),
        ("**0**", 0.0),
        ("0.2 or 0.3", None),
        ("7", None),
        ("-0.5", None),
        ("I cannot rate this.", None),
        ("80%", None),
        ("0.5.1", None),
        ("v2", None),
        ("", None),
    ],
)
def test_a_number_in_words(reply: str, number: float | None) -> None:
    assert number_in(reply) == number


def test_judged() -> None:
    replies = {ASK.format(text="you idiot"): "0.9", ASK.format(text="hm"): "I will not say."}
    scorer = Judged(Canned(replies, default="0.1"))
    assert scorer.toxicity(["you idiot", " ", "hm", "dear"]) == [0.9, None, None, 0.1]
    assert scorer.toxicity([""]) == [None]
    others = (Judged(Canned(replies)), Judged(scorer.model, max_tokens=8), Judged(Canned(path="elsewhere")))
    assert len({scorer.identity, *(other.identity for other in others)}) == 4


# -- recorded --------------------------------------------------------------------------------------------------------
def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def reply(value: object) -> dict[str, object]:
    """As the documentation of comments:analyze shows it."""
    spans = [{"begin": 0, "end": 4, "score": {"value": value, "type": "PROBABILITY"}}]
    scored = {"spanScores": spans, "summaryScore": {"value": value, "type": "PROBABILITY"}}
    return {"attributeScores": {"TOXICITY": scored}, "languages": ["en"], "detectedLanguages": ["en"]}


def test_recorded_layouts(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "recorded.jsonl",
        {"prompt": {"text": "A", "toxicity": 0.1, "insult": 0.7}, "continuation": {"text": " b", "toxicity": None}},
        {"prompt": {"text": "C", "toxicity": 0}, "generations": [{"text": " d ", "toxicity": 0.4}, {"text": "e"}]},
        {"text": "F  g", "response": reply(0.5)},
        {"text": "h", **reply(0.6)},
        {"text": "A", "toxicity": 0.1004},
        {"text": "i", "response": {"error": {"code": 400}}},
    )
    scorer = RecordedPerspective(path)
    texts = ["A", " b", "C", "d", "e", "F g", "h", "i", "never seen", ""]
    assert scorer.toxicity(texts) == [0.1, None, 0.0, 0.4, None, 0.5, 0.6, None, None, None]
    assert RecordedPerspective(path, attribute="insult").toxicity(["A", "C"]) == [0.7, None]
    assert scorer.identity == RecordedPerspective("elsewhere").identity == "recorded_perspective toxicity"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"text": "a", "toxicity": 1.5}], "row 1: the toxicity is 1.5; a number from 0 to 1"),
        ([{"text": "a", "toxicity": "0.5"}], "row 1: the toxicity is '0.5'"),
        (
            [{"text": "a", "toxicity": 0.5}, {"text": " a", "toxicity": 0.6}],
            "row 2 gives ' a' the toxicity 0.6, an ear",
        ),
        ([{"id": "a"}], "no row has a text with its toxicity"),
    ],
)
def test_recorded_bad_rows(tmp_path: Path, rows: list[object], says: str) -> None:
    with pytest.raises(DataError, match=says):
        RecordedPerspective(lines(tmp_path / "bad.jsonl", *rows)).toxicity(["a"])


def test_recorded_published_file(data_root: Path) -> None:
    path = data_root / "realtoxicityprompts" / "prompts_sample_1000.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    texts = [row[part]["text"] for row in rows for part in ("prompt", "continuation")]
    expected = [row[part]["toxicity"] for row in rows for part in ("prompt", "continuation")]
    assert RecordedPerspective(path).toxicity(texts) == expected
    assert expected.count(None) >= 7


# -- the API, by a stand-in ------------------------------------------------------------------------------------------
class StandIn(ThreadingHTTPServer):
    """A local server that answers as the API does; `answers` gives status and body by the comment's text."""

    def __init__(self, answers) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.answers = answers
        self.seen: list[tuple[str, dict[str, str], dict]] = []


class _Request(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server = self.server
        assert isinstance(server, StandIn)
        server.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        status, told = server.answers(body["comment"]["text"], len(server.seen))
        data = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def stand_in(answers) -> Iterator[tuple[StandIn, Perspective]]:
    server = StandIn(answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1alpha1"
    try:
        yield server, Perspective(url=url, requests_per_minute=0, num_retries=2, pause_seconds=0.001)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PERSPECTIVE_API_KEY", "secret-key")
    return "secret-key"


def test_perspective(key: str) -> None:
    """The documented request goes out; a text that the server refuses, or whose reply is broken, has no score."""
    broken = {"a": (200, b"<html>"), "b": (200, {"attributeScores": {}}), "c": (200, reply(7)), "d": (200, reply(None))}
    refused = {"error": {"code": 400, "message": "Attribute TOXICITY does not support request languages: zz"}}

    def answers(text: str, number: int):
        return broken.get(text, (400, refused) if text == "zz" else (200, reply(len(text) / 10)))

    with stand_in(answers) as (server, scorer):
        scores = scorer.toxicity(["four", " ", "zz", "sevens.", "a", "b", "c", "d"])
    assert scores == [0.4, None, None, 0.7, None, None, None, None]
    path, headers, body = next(seen for seen in server.seen if seen[2]["comment"]["text"] == "four")
    assert path == "/v1alpha1/comments:analyze" and headers["x-goog-api-key"] == key and "authorization" not in headers
    assert body == {
        "comment": {"text": "four"},
        "languages": ["en"],
        "requestedAttributes": {"TOXICITY": {}},
        "doNotStore": True,
    }


def test_perspective_tries_again(key: str) -> None:
    seen: dict[str, int] = {}

    def answers(text: str, number: int):
        seen[text] = seen.get(text, 0) + 1
        return (429, {"error": "quota"}) if seen[text] == 1 else (500, {}) if seen[text] == 2 else (200, reply(0.3))

    with stand_in(answers) as (_, scorer):
        assert scorer.toxicity(["a", "b"]) == [0.3, 0.3]


def test_perspective_that_is_gone_is_no_safe_text(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = (403, {"error": {"message": "the service was shut down; key secret-key"}})
    with stand_in(lambda text, number: gone) as (_, scorer), pytest.raises(WorkError, match="shut down") as raised:
        scorer.toxicity(["a", "b", "c"])
    assert "secret-key" not in str(raised.value)
    none = pytest.raises(WorkError, match="scored none of 2 texts; the first: http 400")
    with stand_in(lambda text, number: (400, {"error": "no"})) as (_, scorer), none:
        scorer.toxicity(["a", "b"])
    monkeypatch.delenv("PERSPECTIVE_API_KEY")
    with pytest.raises(SpecError, match=r"PERSPECTIVE_API_KEY is not set.*recorded_perspective"):
        Perspective().toxicity(["a"])
