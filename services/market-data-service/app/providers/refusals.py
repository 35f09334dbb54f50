"""What the venue would not give on one connection: stream by stream as it answers, symbol by symbol for people."""

from collections.abc import Mapping
from typing import Final

MOST_CHARACTERS: Final = 200  # of the venue's words


class Refusals:
    """The refused streams of one connection; `by_symbol` says of each symbol which and why, in plain words."""

    def __init__(self) -> None:
        self.by_symbol: dict[str, str] = {}
        self._answers: dict[str, dict[str, str]] = {}  # symbol -> stream -> what the venue said

    def refused(self, symbol: str, stream: str, answer: str) -> None:
        """The venue would not give this stream of a symbol."""
        self._answers.setdefault(symbol, {})[stream] = answer[:MOST_CHARACTERS]
        self._describe(symbol)

    def joined(self, symbol: str, stream: str) -> None:
        """It gives it now."""
        if symbol in self._answers:
            self._answers[symbol].pop(stream, None)
            self._describe(symbol)

    def _describe(self, symbol: str) -> None:
        streams = self._answers[symbol]
        if streams:
            self.by_symbol[symbol] = _in_words(streams)
        else:
            del self._answers[symbol]
            del self.by_symbol[symbol]


def _in_words(streams: Mapping[str, str]) -> str:
    """Such as "trades, quotes: error 405: symbol limit exceeded"."""
    by_answer: dict[str, list[str]] = {}
    for stream, answer in streams.items():
        by_answer.setdefault(answer, []).append(stream)
    return "; ".join(f"{', '.join(names)}: {answer}" for answer, names in by_answer.items())
