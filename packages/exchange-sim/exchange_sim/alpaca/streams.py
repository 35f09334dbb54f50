"""The names of streams: `alpaca:trades.AAPL`, `alpaca:orderbooks.BTC/USD`."""

from typing import Final

_PREFIX: Final = "alpaca:"


def stream_of(channel: str, symbol: str) -> str:
    """Return the stream of a channel and symbol."""
    return f"{_PREFIX}{channel}.{symbol}"


def is_stream(stream: str) -> bool:
    """Tell whether a stream has a name as they have here."""
    return stream.startswith(_PREFIX)


def parts_of(stream: str) -> tuple[str, str]:
    """Return channel and symbol of a stream."""
    channel, _, symbol = stream.removeprefix(_PREFIX).partition(".")
    return channel, symbol


def feed_of(symbol: str) -> str:
    """Return which kind of feed has a symbol: `crypto` or `shares`."""
    return "crypto" if "/" in symbol else "shares"
