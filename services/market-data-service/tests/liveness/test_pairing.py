"""Who may stand in for whom."""

import pytest

from app.liveness.pairing import refuse_backup, stand_ins

KNOWN = ("alpaca", "binance", "bybit")


def test_binance_and_bybit_stand_in_for_each_other() -> None:
    assert refuse_backup("binance", "bybit", KNOWN) is None
    assert refuse_backup("bybit", "binance", KNOWN) is None
    assert stand_ins("binance") == ["bybit"]


@pytest.mark.parametrize(
    ("primary", "backup", "known", "line"),
    [
        (
            "binance", "alpaca", KNOWN,
            "alpaca trades US shares and pairs in USD such as BTC/USD, which cannot stand in for binance's spot pairs"
            " such as BTCUSDT; expected bybit",
        ),
        (
            "binance", "bybit_linear", KNOWN,
            "bybit_linear trades perpetual contracts, which cannot stand in for binance's spot pairs such as BTCUSDT;"
            " expected bybit",
        ),
        ("binance", "binance", KNOWN, "binance is the provider itself, which cannot stand in for it; expected bybit"),
        ("binance", "mars", KNOWN, "unknown provider 'mars': expected bybit"),
        ("binance", "bybit", ("binance",), "bybit is not available; run without a backup"),
        (
            "alpaca", "binance", KNOWN,
            "binance trades spot pairs such as BTCUSDT, which cannot stand in for alpaca's US shares and pairs in USD"
            " such as BTC/USD; run without a backup",
        ),
    ],
)  # fmt: skip
def test_an_impossible_pair_is_refused_in_one_line(
    primary: str, backup: str, known: tuple[str, ...], line: str
) -> None:
    assert refuse_backup(primary, backup, known) == line
