import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from md_contract import subjects

KEPT = set(string.ascii_letters + string.digits + "-")
symbols = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16)


@pytest.mark.parametrize(
    ("symbol", "token"),
    [
        ("BTCUSDT", "BTCUSDT"),
        ("BTC-USDT", "BTC-USDT"),
        ("BTC/USD", "BTC_2FUSD"),
        ("BRK.B", "BRK_2EB"),
        ("A_B", "A_5FB"),
        ("测试", "_E6_B5_8B_E8_AF_95"),
        ("$X", "_24X"),
        ("*", "_2A"),
        (">", "_3E"),
        ("a b", "a_20b"),
        ("\x00\r\n", "_00_0D_0A"),
        ("__SYSTEM__", "_5F_5FSYSTEM_5F_5F"),
    ],
)
def test_known_symbols_become_known_tokens(symbol: str, token: str) -> None:
    assert subjects.escape(symbol) == token
    assert subjects.unescape(token) == symbol


@given(symbols)
def test_escaping_is_reversible_and_yields_one_plain_token(symbol: str) -> None:
    token = subjects.escape(symbol)
    assert subjects.unescape(token) == symbol
    assert set(token) <= KEPT | {"_"}


@given(symbols, symbols)
def test_two_symbols_never_share_a_token(one: str, other: str) -> None:
    assert (subjects.escape(one) == subjects.escape(other)) == (one == other)


@given(symbols)
def test_only_the_system_itself_has_the_reserved_token(symbol: str) -> None:
    assert (subjects.escape(symbol) == "__system__") == (symbol == subjects.SYSTEM)


@pytest.mark.parametrize(
    "token", ["", "a.b", "_2", "_2f", "_GG", "__", "a b", "_41", "_FF", "BTC_", ">", "*", "_C3_28"]
)
def test_a_token_that_no_symbol_produces_is_refused(token: str) -> None:
    with pytest.raises(subjects.BadTokenError):
        subjects.unescape(token)


@pytest.mark.parametrize("symbol", ["", "\ud800", "A" * 300, "€" * 100])
def test_a_symbol_that_fits_no_subject_is_refused(symbol: str) -> None:
    with pytest.raises(subjects.BadTokenError):
        subjects.escape(symbol)


def test_subjects_are_the_specified_ones() -> None:
    assert subjects.event_subject("trade", "BTCUSDT") == "md.events.trade.BTCUSDT"
    assert subjects.event_subject("book_l2", "BTC/USD") == "md.events.book_l2.BTC_2FUSD"
    assert subjects.event_subject("heartbeat", subjects.SYSTEM) == "md.events.heartbeat.__system__"
    assert subjects.feature_subject("BTCUSDT") == "senpai.features.BTCUSDT"
    assert subjects.signal_subject("BTCUSDT") == "senpai.signals.BTCUSDT"
    assert (subjects.ALERTS, subjects.ALL_EVENTS) == ("senpai.alerts", "md.events.>")


@given(symbols)
def test_every_subject_fits_the_limit(symbol: str) -> None:
    try:
        subject = subjects.event_subject("heartbeat", symbol)
    except subjects.BadTokenError:
        return
    assert len(subject.encode()) <= subjects.MAX_SUBJECT_BYTES
    assert subject.count(".") == 3
