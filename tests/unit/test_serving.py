"""`epigone serve` in a process of its own, asked by the `openai` client and by plain HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import httpx2
import numpy as np
import openai
import pytest

from epigone.backends.checkpoint import Checkpoint
from epigone.decoding.engine import Engine
from epigone.decoding.texts import Texts
from epigone.models.weights import load_checkpoint
from epigone.records import Message, Prompt, SamplingParams
from epigone.serving.scored import Scorer
from epigone.serving.worker import Worker
from small_checkpoint import small_base

KEY = "a-key"
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def started(folder: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "epigone", "serve", str(folder), "--port", "0", *options]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"EPIGONE_SERVE_KEY": KEY})
    line = ""
    while not line.startswith("serving"):
        line = server.stderr.readline()
        assert line or server.poll() is None, "the server ended"
    return server, line.split()[-1]


class Counted(Engine):
    """Notes how many tokens it was asked to score."""

    num_asked: ClassVar[list[int]] = []

    def token_scores(self, pairs, **options):
        self.num_asked.append(sum(len(continuation) for _, continuation in pairs))
        return super().token_scores(pairs, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_base(tmp_path_factory.mktemp("served") / "small", template=CHATML)


@pytest.fixture(scope="module")
def address(folder):
    server, address = started(folder, "--slots", "4")
    with server:
        yield address
        server.terminate()
        assert server.wait(60) in (0, -signal.SIGTERM)


@pytest.fixture(scope="module")
def client(address):
    with openai.OpenAI(base_url=address, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def here(folder):
    return Checkpoint(str(folder), batch_size=4)


def test_texts_are_those_of_the_checkpoint(client, here):
    assert [model.id for model in client.models.list()] == ["small"]
    prompts = ["the", "a longer beginning", "th"]
    found = client.completions.create(model="small", prompt=prompts, max_tokens=12, temperature=0)
    expected = here.generate([Prompt(p, text=p) for p in prompts], SamplingParams(12))
    assert [choice.text for choice in found.choices] == [completion.text for completion in expected]
    assert [choice.finish_reason for choice in found.choices] == [c.finish_reason for c in expected]
    assert found.usage.completion_tokens == sum(completion.num_tokens for completion in expected)
    asked = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello"}]
    told = client.chat.completions.create(model="small", messages=asked, max_tokens=9, temperature=0)
    (answer,) = here.generate([Prompt("c", messages=tuple(Message(**one) for one in asked))], SamplingParams(9))
    assert told.choices[0].message.content == answer.text


def test_streamed_pieces_are_the_whole(client):
    stop = client.completions.create(model="small", prompt="the", max_tokens=30, seed=3).choices[0].text[8:10]
    options = {"model": "small", "max_tokens": 30, "seed": 3, "stop": [stop, "never this"], "n": 2}
    whole = client.completions.create(prompt="the", **options)
    pieces = ["", ""]
    for piece in client.completions.create(prompt="the", stream=True, **options):
        pieces[piece.choices[0].index] += piece.choices[0].text
    assert pieces == [choice.text for choice in whole.choices] and pieces[0] != pieces[1]
    assert stop not in pieces[0] and whole.choices[0].finish_reason == "stop"
    messages = [{"role": "user", "content": "Hello"}]
    options = {"model": "small", "messages": messages, "max_tokens": 20, "seed": 1}
    told = client.chat.completions.create(**options)
    chunks = list(client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **options))
    assert "".join(c.choices[0].delta.content or "" for c in chunks[:-1]) == told.choices[0].message.content
    assert chunks[-1].usage == told.usage


@pytest.mark.slow
def test_together_as_one_by_one(client):
    def ask(number):
        options = {"temperature": number % 3 / 2, "top_p": 0.9, "seed": number, "max_tokens": 5 + number}
        return client.completions.create(model="small", prompt="the " * (1 + number % 5), **options).choices[0].text

    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(ask, range(16)))
    assert together == [ask(number) for number in range(16)] and len(set(together)) > 10


def test_echo_and_logprobs_are_the_engines(client, folder):
    """As lm-evaluation-harness asks: token ids, one token more, the likelihood of what was given."""
    engine, texts = Engine(load_checkpoint(folder), 4), Texts(folder)
    ids = texts.text_ids("the thing")
    found = client.completions.create(model="small", prompt=[ids], max_tokens=1, temperature=0, echo=True, logprobs=2)
    told = found.choices[0].logprobs
    (expected,) = engine.token_scores([(ids[:1], ids[1:])], num_top=2)
    assert told.token_logprobs[0] is None and len(told.tokens) == len(ids) + 1
    np.testing.assert_allclose(told.token_logprobs[1:-1], expected.logprobs, atol=1e-4)
    assert max(told.top_logprobs[-1].values()) == pytest.approx(told.token_logprobs[-1], abs=1e-5)
    assert found.choices[0].text.startswith("the thing")
    nothing = client.completions.create(model="small", prompt=ids, max_tokens=0, echo=True, logprobs=0).choices[0]
    np.testing.assert_allclose(nothing.logprobs.token_logprobs[1:], expected.logprobs, atol=1e-4)
    assert nothing.text == "the thing" and nothing.logprobs.top_logprobs is None


BAD = [
    ({"model": "other", "prompt": "a"}, 404, "model"),
    ({"model": "small", "prompt": "a", "max_tokens": 999}, 400, "max_tokens"),
    ({"model": "small", "prompt": "a", "max_tokens": "9"}, 400, "max_tokens"),
    ({"model": "small", "prompt": "a", "temperature": -1}, 400, "temperature"),
    ({"model": "small", "prompt": "a", "stop": [""]}, 400, "stop"),
    ({"model": "small", "prompt": "a", "tools": [1]}, 400, "tools"),
    ({"model": "small", "prompt": "a", "stream": 1}, 400, "stream"),
    ({"model": "small", "prompt": [10**6]}, 400, "prompt"),
    ({"model": "small", "prompt": []}, 400, "prompt"),
    ({"model": "small"}, 400, "prompt"),
    ({"prompt": "a"}, 400, "model"),
    ([], 400, None),
]


def test_what_texts_begin_with_is_scored_once(folder):
    """Scores of many texts, together and later, are those of each alone, though little is computed again."""
    engine = Counted(load_checkpoint(folder), 4)
    exemplars = list(range(1, 41))
    texts = [(*exemplars, 50 + item, 60 + option) for item in range(5) for option in range(4)] + [(7,), (7, 8)]
    scorer = Scorer(engine, Worker(engine.slots(4, 64)))
    waiting = [scorer.submit(text, 2) for text in texts[:12]]
    for text, future in zip(texts, waiting):
        scorer._score_waiting()
        assert future.result(0) == scorer.scores([text], 2)[text]
    later = scorer.scores(sorted(texts), 2)
    computed = sum(engine.num_asked)
    assert computed < len(exemplars) + 2 * len(texts)
    for text, found in later.items():
        alone = Engine(engine.model, 4).token_scores([(text[:1], text[1:])] if text[1:] else [], num_top=2)
        np.testing.assert_allclose(found.logprobs, [x for a in alone for x in a.logprobs], atol=1e-4)
        assert [[i for i, _ in top] for top in found.top] == [[i for i, _ in top] for a in alone for top in a.top]


def test_what_is_not_served_is_refused_in_openais_form(address):
    def post(path, **options):
        return httpx2.post(f"{address}/{path}", headers={"Authorization": f"Bearer {KEY}"}, **options)

    for body, status, param in BAD:
        reply = post("completions", json=body)
        assert (reply.status_code, reply.json()["error"]["param"]) == (status, param), reply.text
        assert reply.json()["error"]["type"] == "invalid_request_error" and reply.json()["error"]["message"]
    assert "not JSON" in post("completions", content=b"{").json()["error"]["message"]
    bad = post("chat/completions", json={"model": "small", "messages": [{"role": "robot", "content": "x"}]})
    assert (bad.status_code, bad.json()["error"]["param"]) == (400, "messages[0]")
    assert post("nowhere").status_code == 404 and "error" in post("nowhere").json()
    keyless = httpx2.get(f"{address}/models")
    assert (keyless.status_code, keyless.json()["error"]["code"]) == (401, "invalid_api_key")
    assert httpx2.get(address.replace("/v1", "/health")).json() == {"status": "ok", "model": "small"}


def test_a_client_that_goes_away_frees_its_slot(address, client):
    host, port = address.removeprefix("http://").removesuffix("/v1").split(":")
    body = json.dumps({"model": "small", "prompt": "the", "max_tokens": 250, "n": 128, "seed": 1}).encode()
    lines = ["POST /v1/completions HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}", f"Content-Length: {len(body)}"]
    head = "\r\n".join([*lines, "", ""])
    with socket.create_connection((host, int(port))) as gone:
        gone.sendall(head.encode() + body)
        time.sleep(0.3)
    assert client.completions.create(model="small", prompt="a", max_tokens=2, timeout=60).choices


def test_a_signal_lets_what_runs_finish(folder):
    server, address = started(folder, "--slots", "1")
    with server, openai.OpenAI(base_url=address, api_key=KEY, max_retries=0) as client:
        options = {"model": "small", "prompt": "the", "max_tokens": 200, "temperature": 0.7}
        asked = ((seed, client.completions.create(seed=seed, **options).choices[0]) for seed in range(50))
        seed, whole = next((seed, choice) for seed, choice in asked if choice.finish_reason == "length")
        stream = iter(client.completions.create(seed=seed, stream=True, **options))
        begun = next(stream).choices[0].text
        server.send_signal(signal.SIGTERM)
        assert begun + "".join(piece.choices[0].text for piece in stream) == whole.text
        assert server.wait(60) in (0, -signal.SIGTERM)
    with pytest.raises(OSError):
        socket.create_connection(tuple(address.removeprefix("http://").removesuffix("/v1").split(":")), timeout=1)
