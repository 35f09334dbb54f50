"""Subscribing: in chunks, at a pace, answered, and what happens when it is not."""

import json
from itertools import pairwise
from typing import Any

import pytest

from app.providers.provider import HangUp, Notice, Send
from md_contract.units import NS_PER_S


def settle(talk: Any) -> list[dict[str, Any]]:
    """Send everything there is to send, answering each at once; return what was sent."""
    sent: list[dict[str, Any]] = []
    while not talk.conversation.subscribed():
        for request in talk.sent(talk.now):
            sent.append(request | {"at": talk.now})
            talk.read({"result": None, "id": request["id"]})
        talk.now = max(talk.now + 1, talk.conversation.due)
    return sent


def test_streams_are_subscribed_in_requests_of_at_most_200_names_and_at_most_3_a_second(make_talk: Any) -> None:
    symbols = [f"S{number}USDT" for number in range(300)]
    talk = make_talk(*symbols)
    assert not talk.conversation.subscribed()
    talk.conversation.opened(0, None)
    sent = settle(talk)
    assert [len(request["params"]) for request in sent] == [200, 200, 200, 200, 100]
    names = {f"{symbol.lower()}@{kind}" for symbol in symbols for kind in ("trade", "bookTicker", "depth@100ms")}
    assert {name for request in sent for name in request["params"]} == names
    assert len({request["id"] for request in sent}) == len(sent)
    times = [request["at"] for request in sent]
    assert all(b - a >= NS_PER_S // 3 for a, b in pairwise(times))
    assert times[-1] < 2 * NS_PER_S
    assert all(request["method"] == "SUBSCRIBE" for request in sent)


def test_more_symbols_than_a_connection_may_carry_are_shared_out(talk: Any) -> None:
    symbols = [f"S{number}USDT" for number in range(700)]
    shares = talk.provider.split(symbols)
    assert [symbol for share in shares for symbol in share] == symbols
    assert max(len(share) for share in shares) * 3 <= 1024
    assert len(shares) == 3


def test_the_address_is_that_of_combined_streams(talk: Any) -> None:
    for base in ("wss://stream.binance.com:9443", "wss://stream.binance.com:9443/"):
        assert talk.provider.url(base, ["BTCUSDT"]) == "wss://stream.binance.com:9443/stream"


@pytest.mark.parametrize(
    "refusal",
    [
        {"code": 2, "msg": "Invalid request: invalid stream"},
        {"error": {"code": 2, "msg": "Invalid request: invalid stream"}},
    ],
    ids=["flat", "nested"],
)
def test_one_refused_name_is_found_and_told_and_the_others_are_subscribed(
    make_talk: Any, refusal: dict[str, Any]
) -> None:
    talk = make_talk("BTCUSDT", "ETHUSDT", "BNBUSDT")
    talk.conversation.opened(0, None)
    accepted: set[str] = set()
    notices: list[Notice] = []
    while not talk.conversation.subscribed():
        _, wants = talk.turn(talk.now)
        notices += [want for want in wants if isinstance(want, Notice)]
        for request in [json.loads(want.frame) for want in wants if isinstance(want, Send)]:
            refused = "ethusdt@trade" in request["params"]
            accepted.update([] if refused else request["params"])
            talk.read((refusal if refused else {"result": None}) | {"id": request["id"]})
        talk.now = max(talk.now + 1, talk.conversation.due)
    notices += [want for want in talk.turn(talk.now)[1] if isinstance(want, Notice)]
    assert len(accepted) == 8
    assert talk.provider.counters.subscriptions_refused == 1
    assert [notice.fields["stream"] for notice in notices] == ["ethusdt@trade"]
    assert "invalid stream" in str(notices[0].fields["answer"])
    ((symbol, why),) = talk.conversation.refused.items()
    assert (symbol, why.partition(":")[0]) == ("ETHUSDT", "trade")
    assert "invalid stream" in why


def test_a_request_that_is_not_answered_in_10_s_ends_the_connection(talk: Any) -> None:
    talk.conversation.opened(0, None)
    talk.sent(0)
    assert talk.conversation.due == 10 * NS_PER_S
    assert talk.turn(10 * NS_PER_S)[1] == [HangUp("no answer to subscription request 1")]
    assert not [want for want in talk.turn(11 * NS_PER_S)[1] if isinstance(want, HangUp)]


def test_market_data_that_comes_before_the_answer_is_published(talk: Any) -> None:
    talk.conversation.opened(0, None)
    assert len(talk.trade()) == 1
    assert not talk.conversation.subscribed()
