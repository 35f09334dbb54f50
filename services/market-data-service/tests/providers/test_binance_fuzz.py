"""Whatever arrives, decoding never raises, and every frame is published, dropped with a count, or set aside."""

import contextlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.providers.provider import UnreadableListingError
from md_contract.events import Quote, Trade

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
texts = st.sampled_from(["1", "98765.43000000", "0", "NaN", "inf", "-1", "", "1e400", "0.00000000"]) | st.text(
    max_size=6
)
numbers = st.integers(-5, 50) | st.integers() | st.sampled_from([1795350000121, 2**63, 10**40])
levels = st.lists(st.tuples(texts, texts) | values, max_size=4) | values
fields: dict[str, dict[str, Any]] = {
    "trade": {
        "s": st.just("BTCUSDT") | values,
        "t": numbers,
        "p": texts | values,
        "q": texts,
        "m": st.booleans() | values,
    }
    | {"T": st.just(1795350000121) | numbers},
    "bookTicker": {
        "u": numbers,
        "s": st.just("BTCUSDT") | texts,
        "b": texts,
        "B": texts,
        "a": texts,
        "A": texts | values,
    },
    "depth@100ms": {"E": st.just(1795350000121) | numbers, "s": st.just("BTCUSDT"), "U": numbers, "u": numbers | values}
    | {"b": levels, "a": levels},
}
streams = st.sampled_from(["btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms", "!serverShutdown", "x@trade"])
combined = st.one_of(
    *(
        st.fixed_dictionaries({"stream": st.just(f"btcusdt@{kind}"), "data": st.fixed_dictionaries(shape)})
        for kind, shape in fields.items()
    ),
    st.fixed_dictionaries({"stream": streams | values, "data": values}),
)
answers = st.dictionaries(st.sampled_from(["id", "result", "code", "msg", "error", "e", "stream", "data"]), values)
frames = st.one_of(
    st.binary(max_size=60),
    combined.map(lambda frame: json.dumps(frame).encode()),
    answers.map(lambda frame: json.dumps(frame).encode()),
    st.tuples(combined, st.integers(0, 400)).map(lambda pair: json.dumps(pair[0]).encode()[: pair[1]]),
    st.tuples(combined, st.binary(max_size=3), st.integers(0, 200)).map(
        lambda t: (whole := json.dumps(t[0]).encode())[: t[2]] + t[1] + whole[t[2] :]
    ),
)


@settings(max_examples=150)
@given(st.lists(frames, max_size=8))
def test_no_frame_raises_and_no_frame_goes_uncounted(make_talk: Any, stream: list[bytes]) -> None:
    talk = make_talk("BTCUSDT")
    counters, quarantine = talk.provider.counters, talk.provider.quarantine
    for frame in stream:
        before = quarantine.total + counters.duplicate_trades + counters.stale_quotes
        hang_ups = len(talk.conversation.wants)
        events = talk.read(frame)
        after = quarantine.total + counters.duplicate_trades + counters.stale_quotes
        market = [event for event in events if isinstance(event, Trade | Quote)]
        assert len(market) <= 1
        for event in market:
            prices = [event.price] if isinstance(event, Trade) else [event.bid, event.ask]
            assert all(0 < float(price) < 1e15 for price in prices)
            assert event.symbol == "BTCUSDT"
        if not market and after == before:
            shown_otherwise = b"depth" in frame or b"serverShutdown" in frame
            assert shown_otherwise or len(talk.conversation.wants) > hang_ups
    talk.conversation.on_time(0)
    assert set(quarantine.samples) == {reason for reason, count in quarantine.counts.items() if count}


@given(st.binary(max_size=200))
def test_no_snapshot_and_no_listing_raises_anything_but_what_it_promises(make_talk: Any, body: bytes) -> None:
    talk = make_talk("BTCUSDT")
    talk.depth()
    (fetch,) = talk.fetches()
    assert talk.conversation.fetched(fetch, body, 0) == ()
    with contextlib.suppress(UnreadableListingError):
        talk.provider.unlisted(body, ["BTCUSDT"])
