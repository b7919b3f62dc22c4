"""The rating application against those who mean harm: markup, forged and foreign forms, injection, keys, headers."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from epigone.commands.rate import Sources, Wanted, opened_campaign, run_rate
from epigone.errors import SpecError
from epigone.rating.app import RatingApp, ballot_of
from epigone.rating.dashboard import Dashboard
from epigone.rating.database import opened
from epigone.rating.markup import TAGS, safe_html, sentences
from epigone.rating.masking import HIDDEN, masked
from epigone.rating.seats import Seat, seat_for
from epigone.rating.security import HEADERS, signed, value_of
from rating_cases import KEY, OPEN_CODE, Forms, asked, made_campaign, people, write_answers

HARMFUL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](https://elsewhere.test/x.png)",
    "<a href='data:text/html,x'>x</a>",
    "<svg><script>alert(1)</script></svg>",
    "```html\n</code></pre><script>alert(1)</script>\n```",
    "<style>*{display:none}</style><form action=//elsewhere.test><input autofocus onfocus=alert(1)>",
    "| a |\n|---|\n| <iframe srcdoc='<script>alert(1)</script>'> |",
    "<https://elsewhere.test> &lt;script&gt; &#60;script&#62;",
    "[x]: javascript:alert(1)\n\n[x]",
    "<div\n" * 50 + "**" * 200 + "[" * 500 + "> " * 300,
]


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))


def harmless(html: str) -> None:
    """Read by another parser than the one that cleaned it: known tags, no attributes but where a list starts."""
    for tag, attrs in Tags(html).found:
        assert tag in TAGS and all(tag == "ol" and name == "start" for name, _ in attrs), (tag, attrs)


@pytest.mark.parametrize("text", HARMFUL)
def test_harmful_markup_is_only_text(text: str) -> None:
    harmless(safe_html(text))


@given(st.text(alphabet="<>&\"'/=`*_[](){}#|!-+:.\n\t ascriptonjvdimg:0\u202e\x00", max_size=80))
def test_no_text_makes_a_tag_of_its_own(text: str) -> None:
    harmless(safe_html(text))


def test_markdown_is_markdown() -> None:
    html = safe_html(
        "# Head\n\nA **bold** `x < y`\nnext\n\n3. three\n\n| a | b |\n|---|:-:|\n| 1 | 2 |\n\n```py\nif a < b:\n```"
    )
    assert html.startswith("<p><strong>Head</strong></p>\n<p>A <strong>bold</strong> <code>x &lt; y</code><br>")
    assert '<ol start="3">' in html and "<td>1</td>" in html and "<pre><code>if a &lt; b:\n</code></pre>" in html
    assert "[image: a cat]" in safe_html("![a cat](cat.png)")


def test_sentences() -> None:
    assert sentences("One is. Two is!\n- Three e.g. this one?\n\n---\n\nVersion 3.5 stays.") == (
        "One is.", "Two is!", "- Three e.g. this one?", "Version 3.5 stays.")  # fmt: skip


@pytest.mark.parametrize(
    ("text", "asked_for", "count", "left"),
    [
        ("As ChatGPT, I cannot.", "", 1, f"As {HIDDEN}, I cannot."),
        ("I was trained by OpenAI and Anthropic.", "", 2, f"I was trained by {HIDDEN} and {HIDDEN}."),
        ("I am Koala, a chatbot.", "", 1, f"I am {HIDDEN}, a chatbot."),
        ("A koala sleeps twenty hours; the bard sang of llamas.", "", 0, None),
        ("ChatGPT is a chatbot of OpenAI.", "What is ChatGPT by OpenAI?", 0, None),
        ("I'm an AI language model called Vicuna.", "", 1, f"I'm an AI language model called {HIDDEN}."),
        ("Says amber-7b: GPT-4 and gpt-3.5-turbo differ.", "", 3, f"Says {HIDDEN}: {HIDDEN} and {HIDDEN} differ."),
        ("The opening of Anthropics, chatgptish.", "", 0, None),
    ],
)
def test_names_that_give_a_response_away_are_hidden(text: str, asked_for: str, count: int, left: str | None) -> None:
    assert masked(text, ["amber-7b", "basalt"], asked_for) == (left or text, count)


@pytest.fixture
def app(tmp_path: Path):
    campaign = made_campaign(tmp_path, 3, with_practice=False)
    yield RatingApp(campaign, OPEN_CODE, KEY).app(), campaign
    campaign.database.close()


def session(campaign, rater: str) -> tuple[dict[str, str], dict[str, str]]:
    """A rater's cookie, and the fields of the form on the page."""
    seat = seat_for(campaign, rater, 0.0)
    assert isinstance(seat, Seat)
    secret = campaign.database.secret
    cookies = {"rater": signed(secret, "rater", rater)}
    return cookies, {"form": signed(secret, "form", rater), "ticket": seat.ticket, "verdict": "A"}


def num_votes(campaign) -> int:
    from sqlalchemy import func, select

    from epigone.rating.database import SEATS

    with campaign.database.reading() as connection:
        return connection.execute(select(func.count()).where(SEATS.c.voted_at.is_not(None))).scalar_one()


def test_a_vote_of_the_page_is_counted_and_forged_ones_are_not(app) -> None:
    app, campaign = app
    one, two = people(campaign, 2)
    cookies, fields = session(campaign, one)
    theirs, _ = session(campaign, two)
    secret = campaign.database.secret
    elsewhere = {"origin": "https://elsewhere.test"}
    forged = [
        ({}, fields, {}),
        ({"rater": f"{one}.{'0' * 64}"}, fields, {}),
        ({"rater": one}, fields, {}),
        ({"rater": signed(secret, "form", one)}, fields, {}),
        (cookies, fields | {"form": ""}, {}),
        (cookies, fields | {"form": cookies["rater"]}, {}),
        (theirs, fields, {}),
        (cookies, fields, elsewhere),
        (cookies, fields, {"origin": "null"}),
        (cookies, fields, {"sec-fetch-site": "cross-site"}),
    ]
    for given_cookies, given_fields, headers in forged:
        told = {"cookies": given_cookies, "data": given_fields, "headers": headers}
        assert asked(app, "POST", "/rate", **told).status_code == 403, told
        assert asked(app, "POST", "/undo", **told).status_code == 403
    assert num_votes(campaign) == 0
    told = {"cookies": cookies, "data": fields, "headers": {"origin": "http://rate.test"}}
    assert asked(app, "POST", "/rate", **told).headers["location"] == "/rate"
    assert asked(app, "POST", "/rate", **told).headers["location"] == "/rate", "the same form again"
    assert num_votes(campaign) == 1


def test_another_raters_ticket_is_no_vote(app) -> None:
    app, campaign = app
    one, two = people(campaign, 2)
    _, fields = session(campaign, one)
    theirs, own = session(campaign, two)
    answer = asked(app, "POST", "/rate", cookies=theirs, data=own | {"ticket": fields["ticket"]})
    assert answer.headers["location"] == "/rate?note=gone" and num_votes(campaign) == 0


@pytest.mark.parametrize(
    "text", ["'; drop table seats; --", "' or '1'='1", '" or 1=1', "\x00", "x" * 15_000, "%00", "{{7777*7777}}"]
)
def test_injection_is_only_text(app, text: str) -> None:
    app, campaign = app
    (rater,) = people(campaign, 1)
    cookies, fields = session(campaign, rater)
    for name in ("ticket", "verdict", "form"):
        assert asked(app, "POST", "/rate", cookies=cookies, data=fields | {name: text}).status_code in (303, 403)
    assert num_votes(campaign) == 0
    page = asked(app, "GET", "/rate", cookies=cookies, params={"note": text[:500], "after": text[:500]})
    assert page.status_code == 200 and "60481729" not in page.text
    assert asked(app, "GET", "/join", params={"code": text[:500]}, follow_redirects=True).status_code == 404
    reason = asked(
        app, "POST", "/rate", cookies=cookies, data=fields | {"reason": text, "strength": text, "marks": text}
    )
    assert reason.status_code == 303 and num_votes(campaign) == 1


def test_forms_that_are_none(app) -> None:
    app, campaign = app
    (rater,) = people(campaign, 1)
    cookies, _ = session(campaign, rater)
    for body, status in ((b"x" * 70_000, 413), (b"a=%ff%fe", 400), (b"a=1&" * 400, 400), (b"\xff\xfe", 400)):
        assert asked(app, "POST", "/rate", cookies=cookies, content=body).status_code == status, body[:9]


def test_every_answer_has_the_headers(app) -> None:
    app, campaign = app
    (rater,) = people(campaign, 1)
    cookies, _ = session(campaign, rater)
    paths = [
        "/",
        "/rate",
        "/join/no",
        f"/join/{OPEN_CODE}",
        "/nowhere",
        "/dashboard",
        "/static/rate.css",
        "/static/../app.py",
    ]
    for path in paths:
        headers = asked(app, "GET", path, cookies=cookies).headers
        assert {name: headers.get(name) for name in HEADERS} == HEADERS, path
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy and "http" not in policy and policy.startswith("default-src 'none'")
    assert asked(app, "GET", "/static/../app.py").status_code == 404


def test_pages_ask_for_nothing_from_elsewhere(app) -> None:
    app, campaign = app
    (rater,) = people(campaign, 1)
    cookies, _ = session(campaign, rater)
    for path in ("/", "/rate", f"/join/{OPEN_CODE}", "/dashboard", "/nowhere"):
        page = asked(app, "GET", path, cookies=cookies).text
        assert (
            re.findall(r'(?:src|href|action)="(?!/)[^"]*"', page) == []
            and "<script>" not in page
            and "style=" not in page
        )


def test_joining_needs_the_cookie_of_the_page(app) -> None:
    app, _ = app
    page = asked(app, "GET", f"/join/{OPEN_CODE}", params={"PROLIFIC_PID": "5f3c"})
    fields = Forms(page.text).forms["/join"] | {"domain": "teaching", "consent": "yes"}
    assert fields["platform_id"] == "5f3c" and "httponly" in page.headers["set-cookie"].lower()
    cookie = {"joining": page.cookies["joining"]}
    for wrong in ({}, {"joining": "x"}):
        assert asked(app, "POST", "/join", data=fields, cookies=wrong).status_code == 403
    for name, value in (("consent", ""), ("domain", "astrology")):
        assert asked(app, "POST", "/join", data=fields | {name: value}, cookies=cookie).status_code == 400
    assert asked(app, "POST", "/join", data=fields | {"code": "other"}, cookies=cookie).status_code == 403
    joined = [asked(app, "POST", "/join", data=fields, cookies=cookie) for _ in range(2)]
    assert joined[0].cookies["rater"] == joined[1].cookies["rater"], "the form sent twice is one rater"
    assert asked(app, "GET", f"/join/{OPEN_CODE}", cookies=cookie).status_code == 200, "opening a link joins nobody"
    mine = {"rater": joined[0].cookies["rater"]}
    assert asked(app, "GET", f"/join/{OPEN_CODE}?PROLIFIC_PID=5f3c", cookies=mine).headers["location"] == "/rate"
    assert asked(app, "GET", f"/join/{OPEN_CODE}", cookies=mine).headers["location"] == "/rate"
    another = asked(app, "GET", f"/join/{OPEN_CODE}?PROLIFIC_PID=60aa", cookies=mine)
    assert another.status_code == 200, "somebody else on the same device"


def test_the_dashboard_is_behind_its_key(app, tmp_path: Path) -> None:
    app, campaign = app
    assert asked(app, "GET", "/dashboard").status_code == 401
    assert asked(app, "GET", "/dashboard", cookies={"researcher": "yes"}).status_code == 401
    forged = signed(campaign.database.secret, "key:other", "yes")
    assert asked(app, "GET", "/dashboard", cookies={"researcher": forged}).status_code == 401
    wrong = asked(without_waiting(campaign), "POST", "/dashboard", data={"key": "wrong"})
    assert wrong.status_code == 403 and "set-cookie" not in wrong.headers
    entered = asked(app, "POST", "/dashboard", data={"key": KEY})
    assert "Nobody has rated yet" in asked(app, "GET", "/dashboard", cookies=dict(entered.cookies)).text
    closed = RatingApp(campaign, OPEN_CODE).app()
    assert [asked(closed, method, "/dashboard").status_code for method in ("GET", "POST")] == [404, 404]


def without_waiting(campaign):
    from starlette.applications import Starlette

    return Starlette(routes=Dashboard(campaign, KEY, wrong_key_seconds=0.0).routes())


def test_signatures_are_for_one_use_alone() -> None:
    assert value_of(b"k", "rater", signed(b"k", "rater", "a.b")) == "a.b"
    made = signed(b"k", "rater", "me")
    for text in (made[:-1], made.replace("me", "you"), "", ".", "me", "é.ü"):
        assert value_of(b"k", "rater", text) == ""
    assert value_of(b"k", "form", made) == value_of(b"other", "rater", made) == ""


def test_what_a_form_says() -> None:
    fields = {
        "verdict": ["B"],
        "strength": ["clearly"],
        "marks": ["A0", "B12", "C1", "A999", "b0"],
        "read_seconds": ["2.5"],
    }
    found = ballot_of(fields, "b")
    assert found and (found.verdict, found.marks, found.read_seconds) == ("a", ("b0", "a12"), 2.5)
    for text in ("nan", "inf", "-1", "1e9", "", "x"):
        assert ballot_of({"verdict": ["equal"], "read_seconds": [text]}, "a").read_seconds is None
    assert ballot_of({"verdict": ["A", "B"]}, "a") is None and ballot_of({}, "a") is None


def test_databases_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 200)
    for where in (str(tmp_path), str(tmp_path / "text"), "nosuch://x/y"):
        with pytest.raises(SpecError, match="--database"):
            opened(where)
    with pytest.raises(SpecError, match="--database") as error:
        opened("postgresql://me:hush@127.0.0.1:1/none")
    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"EPIGONE_RATE_KEY": "short"}, "has 5 characters"),
        ({"EPIGONE_RATE_CODE": "a/b?c"}, "4 to 64 letters"),
        ({}, "nobody could join"),
    ],
)
def test_a_server_that_could_not_serve_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], words: str
) -> None:
    for name in ("EPIGONE_RATE_KEY", "EPIGONE_RATE_CODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    answers = [str(path) for path in write_answers(tmp_path, 2)]
    with pytest.raises(SpecError, match=words):
        run_rate(Wanted(Sources(answers), str(tmp_path / "r.db")), port=0, quiet=True)


def test_options_that_differ_from_a_rating_that_runs(tmp_path: Path) -> None:
    made_campaign(tmp_path, 3, num_raters=2).database.close()
    going_on = Wanted(Sources([]), str(tmp_path / "rating.db"), {"num_raters": 2})
    assert opened_campaign(going_on, Console(quiet=True)).rules.num_raters == 2
    with pytest.raises(SpecError, match="leave out num_raters"):
        opened_campaign(Wanted(Sources([]), str(tmp_path / "rating.db"), {"num_raters": 4}), Console(quiet=True))
