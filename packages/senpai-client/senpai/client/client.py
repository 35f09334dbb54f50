"""The client: one `async with`, any number of streams."""

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from md_contract import codec
from md_contract.events import EVENT_TYPES, Event
from md_contract.signals import Alert, FeatureVector, Signal
from md_contract.subjects import ALERTS, EVENTS, FEATURES, SIGNALS, event_subject, feature_subject, signal_subject
from nats_link import LinkOptions
from nats_link.address import parse
from senpai.client.buffer import Latest, Queue
from senpai.client.errors import NotOpenError
from senpai.client.judgement import is_trusted, is_valid
from senpai.client.stream import Stream

DEFAULT_URL: Final = "nats://127.0.0.1:4222"
BUFFER: Final = 1_000  # messages that may wait to be taken, in each stream
EVENT_BUFFER: Final = 10_000

_T = TypeVar("_T", bound=Event | FeatureVector | Signal | Alert)


class _Closable(Protocol):
    @property
    def closed(self) -> bool:
        """It was ended."""

    async def aclose(self) -> None:
        """End it."""


class Client:
    """Gives what SenpAI publishes on NATS as typed messages.

    Every stream has a connection of its own, so that a slow reader holds up nobody, and subscribes when it is made, not
    when it is read first. A message that is not taken in time gives way to newer ones, which `Stream.dropped` counts.
    """

    def __init__(
        self,
        nats: str | LinkOptions = DEFAULT_URL,
        *,
        connect_timeout_s: float | None = 10.0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """`nats`: a URL, or link options with credentials and TLS. `clock`: UTC in ns, against which signals expire.

        `connect_timeout_s`: for NATS to be there at first; afterwards a stream connects again by itself, for ever.

        Raises:
            BadUrlError: the URL is none.
        """
        self._options = LinkOptions(url=nats, name="senpai-client") if isinstance(nats, str) else nats
        parse(self._options.url)  # said here, and not where the first stream is made
        self._timeout_s = connect_timeout_s
        self._clock = clock
        self._streams: list[_Closable] = []
        self._open = False

    def signals(
        self, *symbols: str, only_trusted: bool = False, expired: bool = False, buffer: int = BUFFER
    ) -> Stream[Signal]:
        """Signals of these symbols (none named: of all), `new` and `cancel`.

        Those that have expired before they are taken are left out unless `expired`; with `only_trusted`, those whose
        numbers are not to be trusted too. A cancel is always given.
        """

        def is_wanted(signal: Signal) -> bool:
            return not only_trusted or signal.state == "cancel" or is_trusted(signal)

        def is_fresh(signal: Signal) -> bool:
            return expired or signal.state == "cancel" or is_valid(signal, self._clock())

        subjects = [signal_subject(symbol) for symbol in _canonical(symbols)] or [f"{SIGNALS}.*"]
        return self._stream(subjects, codec.decode_signal, Queue[Signal](buffer), is_wanted, is_fresh)

    def features(
        self, *symbols: str, only_trusted: bool = False, latest: bool = False, buffer: int = BUFFER
    ) -> Stream[FeatureVector]:
        """Feature messages of these symbols (none named: of all).

        With `latest` only the newest message of each symbol waits to be taken; with `only_trusted`, those are left out
        whose windows are not full yet, lack something, or whose symbol has fallen silent.
        """

        def is_wanted(vector: FeatureVector) -> bool:
            return not only_trusted or is_trusted(vector)

        subjects = [feature_subject(symbol) for symbol in _canonical(symbols)] or [f"{FEATURES}.*"]
        waiting = Latest[FeatureVector](buffer) if latest else Queue[FeatureVector](buffer)
        return self._stream(subjects, codec.decode_features, waiting, is_wanted, _always)

    def alerts(self, *, buffer: int = BUFFER) -> Stream[Alert]:
        """Alerts, `firing` and `resolved`."""
        return self._stream([ALERTS], codec.decode_alert, Queue[Alert](buffer), _always, _always)

    def events(
        self, *symbols: str, types: Iterable[str] = tuple(EVENT_TYPES), buffer: int = EVENT_BUFFER
    ) -> Stream[Event]:
        """Market data events of these symbols and types (none named: of all).

        Raises:
            ValueError: there is no such type.
        """
        wanted = list(types) or list(EVENT_TYPES)
        if strange := sorted(set(wanted).difference(EVENT_TYPES)):
            raise ValueError(f"unknown type {strange[0]!r}: expected some of {', '.join(EVENT_TYPES)}")
        named = _canonical(symbols)
        subjects = [event_subject(kind, symbol) for kind in wanted for symbol in named]
        subjects = subjects or [f"{EVENTS}.{kind}.*" for kind in wanted]
        return self._stream(subjects, codec.decode_event, Queue[Event](buffer), _always, _always)

    async def __aenter__(self) -> Self:
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        for stream in self._streams:
            await stream.aclose()

    def _stream(
        self,
        subjects: list[str],
        decode: Callable[[bytes], _T],
        buffer: Queue[_T] | Latest[_T],
        is_wanted: Callable[[_T], bool],
        is_fresh: Callable[[_T], bool],
    ) -> Stream[_T]:
        if not self._open:
            raise NotOpenError
        stream = Stream(
            self._options,
            subjects,
            decode,
            buffer=buffer,
            is_wanted=is_wanted,
            is_fresh=is_fresh,
            connect_timeout_s=self._timeout_s,
        )
        self._streams = [other for other in self._streams if not other.closed]
        self._streams.append(stream)
        return stream


def _always(_message: object) -> bool:
    return True


def _canonical(symbols: Iterable[str]) -> list[str]:
    """As the subjects have them: a symbol in small letters is meant in capitals."""
    stripped = (symbol.strip() for symbol in symbols)
    return list(dict.fromkeys(symbol.upper() if symbol.islower() else symbol for symbol in stripped))
