"""/signals/latest: the last signals of a symbol, and what they are worth now."""

from typing import Any

import pytest

S = 1_000_000_000


async def test_no_signal_yet_is_an_empty_list(api: Any) -> None:
    await api.feed(api.trade())
    status, body = await api.get("/signals/latest", symbol="btcusdt")
    assert (status, body["symbol"], body["signals"]) == (200, "BTCUSDT", [])


async def test_a_signal_is_valid_until_the_symbols_clock_passes_its_end(api: Any) -> None:
    await api.move()
    _, body = await api.get("/signals/latest", symbol="BTCUSDT")
    (row,) = body["signals"]
    assert (row["status"], row["signal"]["state"], row["signal"]["direction"]) == ("valid", "new", "long")
    assert body["ts"] < row["signal"]["valid_until"]
    end_s = (row["signal"]["valid_until"] - api.start) / S
    await api.feed(api.quote(second=end_s, bid="100.99", ask="101.01"))
    (row,) = (await api.get("/signals/latest", symbol="BTCUSDT"))[1]["signals"]
    assert row["status"] == ("expired" if row["signal"]["state"] == "new" else "cancelled")


async def test_a_cancelled_signal_is_shown_as_such(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.move()
    pipeline = api.service.pipeline
    (made,) = pipeline.last_signals("BTCUSDT")
    made.state = "cancel"
    monkeypatch.setattr(pipeline, "last_signals", lambda _symbol: [made])
    (row,) = (await api.get("/signals/latest", symbol="BTCUSDT"))[1]["signals"]
    assert row["status"] == "cancelled"
