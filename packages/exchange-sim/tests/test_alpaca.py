"""Alpaca's login, subscriptions and messages, without a socket. The texts are those of PROTOCOLS 4."""

import json
from decimal import Decimal
from typing import Any

import pytest

from exchange_sim.alpaca import Alpaca, AlpacaSession, Door
from exchange_sim.alpaca import text as texts
from exchange_sim.frame import Frame
from exchange_sim.market import Fill, MarketModel
from exchange_sim.venue import Venue

Json = Any
OPENED_NS = 1_795_189_904_000_000_000
KEYS = {"key": "k", "secret": "s"}


def venue_of(**door: Any) -> Alpaca:
    return Alpaca(["AAPL", "BTC/USD"], lambda: Door(key="k", secret="s", **door))


def enter(venue: Alpaca, path: str = "/v2/iex", now_s: float = 0.0) -> AlpacaSession:
    session = venue.open(path)
    assert session is not None
    session.admit(now_s)
    return session


def ask(session: AlpacaSession, **request: Any) -> Json:
    (reply,) = session.receive(json.dumps(request).encode()).replies
    (answer,) = json.loads(reply)
    return answer


def log_in(venue: Alpaca, path: str = "/v2/iex") -> AlpacaSession:
    session = enter(venue, path)
    assert ask(session, action="auth", **KEYS) == {"T": "success", "msg": "authenticated"}
    return session


def code(answer: Json) -> int:
    assert answer["T"] == "error"
    return int(answer["code"])


def test_it_is_a_venue_that_serves_its_endpoints_only() -> None:
    venue: Venue = venue_of()
    assert venue.serves("/v2/iex?x=1")
    assert not venue.serves("/v2/nowhere")
    assert venue.open("/v2/nowhere") is None
    assert venue.get("/v2/stocks", 0).status == 404


def test_the_handshake_greets_and_wants_a_login_within_ten_seconds() -> None:
    session = enter(venue_of())
    assert json.loads(session.greeting) == [{"T": "success", "msg": "connected"}]
    assert session.overdue(9.9) is None
    assert json.loads(session.overdue(10.0) or b"") == [{"T": "error", "code": 404, "msg": "auth timeout"}]
    ask(session, action="auth", **KEYS)
    assert session.overdue(1000.0) is None


def test_errors_before_and_after_the_login() -> None:
    session = enter(venue_of())
    assert code(ask(session, action="subscribe", trades=["AAPL"])) == 401
    assert code(ask(session, action="auth", key="k", secret="wrong")) == 402
    ask(session, action="auth", **KEYS)
    assert code(ask(session, action="auth", **KEYS)) == 403
    assert code(ask(session, action="dance")) == 400
    assert code(ask(session, action="subscribe", trades="AAPL")) == 400
    assert code(ask(session, action="subscribe", orderbooks=["AAPL"])) == 410
    (reply,) = session.receive(b"\xff[").replies
    assert code(json.loads(reply)[0]) == 400


def test_a_plan_without_the_feed() -> None:
    venue = venue_of()
    venue.doors["/v2/sip"].has_feed = False
    assert code(ask(enter(venue, "/v2/sip"), action="auth", **KEYS)) == 409


def test_one_session_per_endpoint_and_none_for_a_while_after_an_abrupt_drop() -> None:
    venue = venue_of()
    first = log_in(venue)
    second = enter(venue)
    assert code(ask(second, action="auth", **KEYS)) == 406
    log_in(venue, "/v1beta3/crypto/us")
    first.left(100.0, abruptly=True)
    second.admit(129.0)
    assert code(ask(second, action="auth", **KEYS)) == 406
    second.admit(131.0)
    assert ask(second, action="auth", **KEYS)["T"] == "success"
    second.left(200.0, abruptly=False)
    third = enter(venue, now_s=200.0)
    assert ask(third, action="auth", **KEYS)["T"] == "success"


def test_the_answer_to_a_subscription_is_the_complete_list() -> None:
    session = log_in(venue_of())
    ask(session, action="subscribe", trades=["AAPL"], quotes=["AMD", "CLDR"], bars=["*"])
    listed = ask(session, action="unsubscribe", bars=["*"], quotes=["AMD"])
    assert {channel: symbols for channel, symbols in listed.items() if symbols} == {
        "T": "subscription",
        "trades": ["AAPL"],
        "quotes": ["CLDR"],
        "corrections": ["AAPL"],
        "cancelErrors": ["AAPL"],
    }
    assert set(session.streams) == {f"alpaca:{kind}.AAPL" for kind in ("trades", "corrections", "cancelErrors")} | {
        "alpaca:quotes.CLDR"
    }


def test_a_request_over_the_symbol_limit_changes_nothing() -> None:
    session = log_in(venue_of(max_symbols=2))
    ask(session, action="subscribe", trades=["A", "B"])
    assert code(ask(session, action="subscribe", trades=["C"], quotes=["C"])) == 405
    assert ask(session, action="subscribe", quotes=["A"])["trades"] == ["A", "B"]


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (0, "44Z"),
        (208_000_000, "44.208Z"),
        (123_456_000, "44.123456Z"),
        (839_159_730, "44.83915973Z"),
        (1, "44.000000001Z"),
    ],
)
def test_times_have_as_many_digits_as_they_need(ns: int, expected: str) -> None:
    assert texts.time(OPENED_NS + ns) == f"2026-11-20T15:51:{expected}"


def test_corrections_and_cancels_name_the_trade_they_are_about() -> None:
    old, new = Fill(71_234, 24_137_000_000, 2_500_000_000), Fill(71_300, 24_135_000_000, 2_000_000_000)
    trade = json.loads(texts.share_trade("AAPL", old, OPENED_NS))
    cancel = json.loads(texts.cancel("AAPL", old, OPENED_NS))
    correction = json.loads(texts.correction("AAPL", old, new, OPENED_NS))
    keys = ("i", "x", "p", "s")
    assert [cancel[key] for key in keys] == [trade[key] for key in keys] == [71_234, trade["x"], 241.37, 25]
    assert [correction[key] for key in ("oi", "x", "op", "os")] == [trade[key] for key in keys]
    assert [correction[key] for key in ("ci", "cp", "cs")] == [71_300, 241.35, 20]


def test_the_market_is_told_in_arrays_and_the_book_follows_the_model() -> None:
    model = MarketModel(3, ["AAPL", "BTC/USD"], rate=400)
    venue = venue_of()
    teller = venue.teller(model, lambda stream: True)
    model.open(OPENED_NS)
    teller.open(OPENED_NS)
    session = log_in(venue, "/v1beta3/crypto/us")
    (first,) = session.receive(b'{"action":"subscribe","orderbooks":["BTC/USD","NO/USD"]}').frames
    frames: list[Frame] = [first]
    for event in model.until(OPENED_NS + 5_000_000_000):
        teller.tell(event, frames)
    book: dict[str, dict[Decimal, Decimal]] = {"b": {}, "a": {}}
    kinds: dict[tuple[str, str], int] = {}
    for frame in frames:
        assert venue.owns(frame.stream)
        for message in json.loads(venue.encode(frame, 0), parse_float=Decimal):
            kinds[message["T"], message["S"]] = kinds.get((message["T"], message["S"]), 0) + 1
            assert venue.route(frame.stream)[1] == message["S"]
            for side in ("b", "a") if message["T"] == "o" else ():
                book[side] |= {Decimal(level["p"]): Decimal(level["s"]) for level in message[side]}
    assert set(kinds) == {("t", "AAPL"), ("q", "AAPL"), ("t", "BTC/USD"), ("q", "BTC/USD"), ("o", "BTC/USD")}
    live = model.book("BTC/USD")
    for side, levels in (("b", live.bids.sizes), ("a", live.asks.sizes)):
        rebuilt = {price * 10**8: size * 10**8 for price, size in book[side].items() if size}
        assert rebuilt == levels


def test_what_is_rare_can_be_made_to_happen() -> None:
    model = MarketModel(3, ["AAPL", "BTC/USD"], rate=400)
    teller = venue_of().teller(model, lambda stream: stream == "alpaca:trades.AAPL")
    model.open(OPENED_NS)
    frames: list[Frame] = []
    for event in model.until(OPENED_NS + 5_000_000_000):
        teller.tell(event, frames)
    last = json.loads(b"[%b]" % frames[-1].data)[-1]
    cancel, correction, book = teller.cancel_last("AAPL"), teller.correct_last("AAPL"), teller.begin_again("BTC/USD")
    assert [json.loads(cancel.data)[key] for key in "ix"] == [last["i"], last["x"]]
    assert json.loads(correction.data)["oi"] == last["i"]
    assert json.loads(book.data)["r"] is True
    assert [frame.stream for frame in (cancel, correction, book)] == [
        "alpaca:cancelErrors.AAPL",
        "alpaca:corrections.AAPL",
        "alpaca:orderbooks.BTC/USD",
    ]


def test_coins_have_ids_beyond_exact_floats_and_the_takers_side() -> None:
    message = json.loads(texts.coin_trade("BTC/USD", Fill(5, 10**8, 10**7), OPENED_NS, buyer_is_maker=True))
    assert message["i"] > 2**53
    assert (message["tks"], message["p"], message["s"]) == ("S", 1, 0.1)
