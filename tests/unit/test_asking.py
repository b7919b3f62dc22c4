"""What is sent and what comes back, with the ways in which servers differ; pace, prices, the ledger, the store."""

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from epigone.answers import Answer, Answers, Attempt, Failed, Place
from epigone.asking.budget import Budget, most_tokens
from epigone.asking.prices import Price, price_of
from epigone.asking.questions import question
from epigone.asking.scores import likelihood_of, scoring_body
from epigone.asking.wire import error_text, parsed, reply_of, request_body, streamed, usage_of
from epigone.errors import ArtifactError, SpecError, WorkError
from epigone.pacing import Gate, Spacing, pause_seconds, retry_after_seconds
from epigone.records import Completion, Message, Prompt, SamplingParams
from epigone.replies import Reply
from epigone.transport import MalformedError

CHAT = Prompt("p", messages=(Message("system", "brief"), Message("user", "hé?")))
TEXT = Prompt("p", text="The capital is")
ONE = SamplingParams(max_tokens=7, temperature=0.5, seed=3, stop=("\n",))


def said(message: dict | None = None, reason: object = "stop", **more: object) -> dict:
    choice = {"finish_reason": reason} | ({"message": message} if message is not None else {})
    return {"choices": [choice | more]}


def test_bodies() -> None:
    path, body = request_body("m", CHAT, ONE, "auto")
    assert path == "/chat/completions"
    assert body == {
        "model": "m",
        "max_tokens": 7,
        "temperature": 0.5,
        "seed": 3,
        "stop": ["\n"],
        "messages": [{"role": "system", "content": "brief"}, {"role": "user", "content": "hé?"}],
    }
    assert request_body("m", TEXT, ONE, "auto")[0] == "/completions"
    drawn = request_body("m", TEXT, SamplingParams(max_tokens=7, top_p=0.9, top_k=40), "auto")[1]
    assert (drawn["top_p"], drawn["top_k"]) == (0.9, 40)
    assert request_body("m", TEXT, ONE, "chat")[1]["messages"] == [{"role": "user", "content": "The capital is"}]
    with pytest.raises(SpecError, match="'p' is in chat form"):
        request_body("m", CHAT, ONE, "completions")
    with pytest.raises(SpecError, match="'soap' is not among"):
        request_body("m", CHAT, ONE, "soap")
    thought = Prompt("p", messages=(Message("assistant", "a", reasoning="secret"), Message("user", "b")))
    assert "secret" not in json.dumps(request_body("m", thought, ONE, "auto")[1])


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (said({"content": "hi"}), Reply(Completion("hi", 1, "stop"))),
        (said({"content": "hi"}, None), Reply(Completion("hi", 1, "unknown"))),
        (said({"content": "hi"}, "eos"), Reply(Completion("hi", 1, "stop"))),
        (said({"content": "hi"}, "max_tokens"), Reply(Completion("hi", 1, "length"))),
        (said(None, "length", text="on"), Reply(Completion("on", 1, "length"))),
        (said({"content": None}), Reply(Completion("", 0, "stop"))),
        (said({"content": "a", "reasoning_content": "why"}), Reply(Completion("a", 1, "stop", reasoning="why"))),
        (said({"content": "a", "reasoning": "why"}), Reply(Completion("a", 1, "stop", reasoning="why"))),
        (said({"content": "<think>\nwhy\n</think>\n\na"}), Reply(Completion("a", 6, "stop", reasoning="why"))),
        (said({"content": "why\n</think>\n\na"}), Reply(Completion("a", 4, "stop", reasoning="why"))),
        (said({"content": "<think>wh"}, "length"), Reply(Completion("", 3, "length", reasoning="wh"))),
        (said({"content": "<think>why</think>"}), Reply(Completion("", 5, "stop", reasoning="why"))),
        (
            said({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "w"}]}, {"text": "a"}]}),
            Reply(Completion("a", 1, "stop", reasoning="w")),
        ),
        (said({"content": "", "refusal": "I will not"}), Reply(None, "refusal", "I will not")),
        (said({"content": None, "tool_calls": [{"id": 1}]}, "tool_calls"), Reply(None, "tool_calls", '[{"id": 1}]')),
        (said({"content": "x"}, "content_filter"), Reply(Completion("x", 1, "content_filter"))),
        (said({"content": "x"}, "exploded"), Reply(None, "finish reason exploded", "x")),
        (said({"content": 5}, {"odd": 1}), Reply(None, "finish reason {'odd': 1}", "")),
    ],
)
def test_replies(reply: dict, outcome: Reply) -> None:
    assert reply_of(parsed(json.dumps(reply))) == outcome


def test_usage_is_the_servers_or_unknown() -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 4}}
    found = usage_of({"usage": {"prompt_tokens": 3, "completion_tokens": 9, **details}})
    assert found and (found.tokens_in, found.tokens_out, found.reasoning_tokens) == (3, 9, 4)
    for usage in (None, {}, {"prompt_tokens": 3}, {"prompt_tokens": True, "completion_tokens": -1}, "many"):
        assert usage_of({"usage": usage}) is None
    assert reply_of(said({"content": "hi"}) | {"usage": {"prompt_tokens": 3, "completion_tokens": 9}}).completion == (
        Completion("hi", 9, "stop")
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not JSON"),
        ("<html>", "not JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "not JSON"),
        ("{}", "no choice"),
        ('{"choices": []}', "no choice"),
        ('{"choices": [{"message": "hi"}]}', "no choice"),
        ('{"error": {"code": 502, "message": "upstream"}}', "502 upstream"),
        ('data: {"choices": [{"delta": {"content": "a"}}]}\n\n', "breaks off"),
        ('data: {"choices": [{"delta": {"content": "a"}}]}\n\ndata: {"error": "gone"}\n\n', "gone"),
        ('data: {"choices": [{"de', "not JSON"),
    ],
)
def test_what_is_no_reply(text: str, complaint: str) -> None:
    with pytest.raises(MalformedError, match=complaint):
        parsed(text)


def test_streams_are_put_together() -> None:
    assert streamed({"model": "m"})["stream_options"] == {"include_usage": True}
    pieces = [
        {"model": "served", "choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        {"choices": [{"delta": {"reasoning_content": "wh"}}]},
        {"choices": [{"delta": {"reasoning_content": "y"}}]},
        {"choices": [{"delta": {"content": "a é"}}]},
        {"choices": [{"delta": {"content": " b"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    ]
    text = (
        ": keep-alive\n\n"
        + "".join(f"data: {json.dumps(p, ensure_ascii=False)}\n\n" for p in pieces)
        + "data: [DONE]\n\n"
    )
    whole = parsed(text)
    assert reply_of(whole).completion == Completion("a é b", 2, "stop", reasoning="why")
    assert whole["model"] == "served"
    plain = 'data: {"choices": [{"text": "x"}]}\n\ndata: {"choices": [{"text": "y", "finish_reason": "length"}]}\n\n'
    assert reply_of(parsed(plain)).completion == Completion("xy", 1, "length")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"message": "bad", "type": "t", "code": "c"}}, "c t bad"),
        ({"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}, "400 BadRequestError bad"),
        ({"error": {"code": 503, "message": "Loading", "type": "unavailable_error"}}, "503 unavailable_error Loading"),
        ({"error": "model 'x' not found"}, "model 'x' not found"),
        ({"detail": "Not Found"}, "Not Found"),
    ],
)  # fmt: skip
def test_errors_of_four_servers(body: dict, text: str) -> None:
    assert error_text(body) == text


def test_a_key_is_of_all_that_shapes_the_answer() -> None:
    path, body = request_body("m", CHAT, ONE, "auto")
    same = question("http://h/v1", path, body, 0, 7)
    assert question("http://h/v1/", path, streamed(body), 0, 7).key == same.key
    others = [
        question("http://other/v1", path, body, 0, 7),
        question("http://h/v1", path, body, 1, 7),
        question("http://h/v1", path, body | {"temperature": 0.6}, 0, 7),
        question("http://h/v1", path, body | {"messages": []}, 0, 7),
        question("http://h/v1", "/completions", body, 0, 7),
    ]
    assert len({same.key, *(each.key for each in others)}) == 6
    assert same.tokens_in >= len(json.dumps(body["messages"], ensure_ascii=False).encode())
    assert most_tokens("né", 1) == 3 + 16 + 256


def test_likelihoods() -> None:
    path, body = scoring_body("m", TEXT, " Paris", "echo")
    assert path == "/completions" and body["prompt"] == "The capital is Paris"
    assert (body["echo"], body["logprobs"], body["max_tokens"]) == (True, 1, 1)
    tokens, values = ["The", " capital", " is", " Par", "is"], [None, -1.0, -2.0, -0.25, -0.5]
    echoed = {"choices": [{"text": "", "logprobs": {"tokens": tokens, "token_logprobs": values}}]}
    found = likelihood_of(echoed, path, " Paris")
    assert (found.logprob, found.num_tokens, found.is_greedy) == (-0.75, 2, None)
    top = [
        None,
        *({"x": value, token: value} for token, value in zip(tokens[1:4], values[1:4])),
        {"or": -0.4},
        {"y": 0.0},
    ]
    more = {"tokens": [*tokens, " and"], "token_logprobs": [*values, -9.0], "top_logprobs": top}
    added = {"choices": [{"text": "", "logprobs": more}], "usage": {"prompt_tokens": 5}}  # one token of its own
    found = likelihood_of(added, path, " Paris")
    assert (found.logprob, found.num_tokens, found.is_greedy) == (-0.75, 2, False)
    top[4] = {"is": -0.5}
    assert likelihood_of(added, path, " Paris").is_greedy is True
    assert likelihood_of(echoed, path, "s").num_tokens == 1  # a token that straddles counts
    path, body = scoring_body("m", CHAT, "Paris", "prompt_logprobs")
    assert body["messages"][-1] == {"role": "assistant", "content": "Paris"} and body["continue_final_message"]
    told = [
        None,
        *(
            {str(n): {"logprob": v, "decoded_token": t, "rank": 1}}
            for n, (t, v) in enumerate(zip(tokens[3:], (-1.0, -3.0)))
        ),
    ]
    found = likelihood_of({"choices": [{"message": {}}], "prompt_logprobs": told}, path, "Paris")
    assert (found.logprob, found.num_tokens, found.is_greedy) == (-4.0, 2, True)
    for reply in ({"choices": [{"text": "x", "logprobs": None}]}, {"choices": [{"text": "x", "logprobs": {}}]}):
        with pytest.raises(SpecError, match="gives no log-probabilities"):
            likelihood_of(reply, "/completions", "x")
    with pytest.raises(SpecError, match="in chat form"):
        scoring_body("m", CHAT, "x", "echo")


def test_retry_after() -> None:
    now = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
    assert retry_after_seconds({"retry-after": "7"}) == 7
    assert retry_after_seconds({"retry-after": "7", "retry-after-ms": "250"}) == 0.25
    assert retry_after_seconds({"retry-after": "Thu, 26 Nov 2026 12:01:30 GMT"}, now) == 90
    assert retry_after_seconds({"retry-after": "Thu, 26 Nov 2026 11:00:00 GMT"}, now) == 0
    assert retry_after_seconds({"retry-after": "soon"}, now) is None
    assert retry_after_seconds({}, now) is None
    assert all(4 <= pause_seconds(4, 1) <= 8 for _ in range(20))


def test_the_gate_grows_and_shrinks() -> None:
    async def run() -> None:
        now = 0.0
        gate = Gate(100, clock=lambda: now)
        epochs = [await gate.enter() for _ in range(16)]
        late = asyncio.ensure_future(gate.enter())
        await asyncio.sleep(0)
        assert not late.done() and gate.in_flight == 16
        for _ in range(16):
            gate.succeed()
        assert gate.limit == 32  # doubled in a round
        assert await late == epochs[0]
        for epoch in epochs:  # all were under way: one refusal
            gate.refuse(epoch, 5.0)
        assert gate.limit == 16 and gate.num_refusals == 1
        for _ in range(17):
            gate.leave()
        now = 5.6
        gate.refuse(await gate.enter(), 0.0)
        assert gate.limit == 8 and gate.num_refusals == 2
        now = 10.0
        for _ in range(8):
            gate.succeed()
        assert 8.9 < gate.limit < 9.1 and gate.num_refusals == 0  # creeps where it was refused

    asyncio.run(run())


def test_spacing_never_lets_more_through_in_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now, sent = 0.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def run() -> None:
        spacing = Spacing(120, clock=lambda: now)
        for _ in range(300):
            await spacing.take()
            sent.append(now)

    monkeypatch.setattr("epigone.pacing.asyncio.sleep", sleep)
    asyncio.run(run())
    assert max(sum(start <= t < start + 60 for t in sent) for start in sent) <= 120
    assert sent[-1] == pytest.approx(149.5)


def test_prices_are_known_or_not() -> None:
    assert price_of("http://127.0.0.1:8000/v1", "gpt-4o-mini") is None
    assert price_of("https://api.openai.com/v1", "no-such-model") is None
    assert price_of("https://api.openai.com/v1", "gpt-4o-mini") == Price(0.15, 0.6)
    assert price_of("https://proxy.example/v1", "gpt-4o-mini") is None  # another server, another price
    assert Price(2.0, 8.0).usd(500_000, 250_000) == 3.0


def test_what_is_in_flight_counts_at_its_most() -> None:
    async def run() -> None:
        with Answers() as answers:
            budget = Budget(answers, Price(1.0, 1.0), usd=0.001)
            first = await budget.open("a", 400, 200)
            second = asyncio.ensure_future(budget.open("b", 400, 200))
            await asyncio.sleep(0)
            assert not second.done()  # 1,200 tokens might be too many
            answers.note(budget.paid(first, (50, 20), "text"))
            third = await second
            budget.lost(third)
            assert budget.spent.tokens == 670 and budget.spent.num_uncertain == 1
            with pytest.raises(WorkError, match=r"\$0.001 is spent: \$0.0007, 670 tokens"):
                await budget.open("c", 400, 200)
            fourth = await budget.open("d", 100, 100)
            budget.free(fourth)
            assert answers.spent() == (670, pytest.approx(0.00067), 1)
            unpaid = await budget.open("e", 100, 200)
            assert budget.paid(unpaid, None, "abc").tokens_out == 4  # no count: a token a byte

    asyncio.run(run())


ANSWER = Answer("k", "{}", "m", "fp", 1, 2, None, 0.5, 1.0, "r", 1)


def test_the_store(tmp_path: Path) -> None:
    place = Place(tmp_path, "responses/x")
    with Answers(place) as one, Answers(place) as other:
        assert one.claim("k", 0) is True
        assert one.claim("k", 0) is other.claim("k", 0) is False
        one.note(Attempt("r", "responses/x", "k", "open", 9, 9, None))
        one.keep(ANSWER, Attempt("r", "responses/x", "k", "paid", 1, 2, None))
        assert other.claim("k", 0) == ANSWER and other.spent() == (3, None, 0)
        assert one.claim("f", 0) is True
        one.keep(Failed("f", "http 400", "no", 0, 1.0))
        assert other.claim("f", 0) == Failed("f", "http 400", "no", 0, 1.0)
        assert other.claim("f", 1) is True  # in the next round
        other.keep(Answer(**asdict(ANSWER) | {"key": "f"}))
        assert isinstance(one.find("f"), Answer)
        assert other.claim("x", 0) is True
    with Answers(place) as later:
        assert later.claim("x", 0) is True  # whoever held it is gone
        assert later.find("k") == ANSWER and later.attempts()[0].state == "paid"
    assert [path.suffix for path in (tmp_path / "answers").iterdir()] == [".sqlite"]
    (tmp_path / "answers" / "answers.sqlite").write_bytes(b"something else entirely, and long enough to be read" * 9)
    with pytest.raises(ArtifactError, match="is no answers store"), Answers(place):
        pass
