"""One subscription: an asynchronous iterator over what comes, and its account."""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from md_contract.codec import UnreadableError
from md_contract.events import Event
from md_contract.signals import Alert, FeatureVector, Signal
from nats_link import Link, LinkOptions, redact
from senpai.client.buffer import Latest, Queue
from senpai.client.errors import NotConnectedError
from senpai.client.holes import Holes

CLOSE_S: Final = 1.0

T = TypeVar("T", bound=Event | FeatureVector | Signal | Alert)


class Stream(Generic[T]):
    """`async for message in stream`. It has a connection of its own and connects again by itself.

    Counters, all of them since the beginning: `received` = `given` + `expired` + `untrusted` + `unreadable` + `dropped`
    + `conflated` + `waiting`. What never came is in none of them: `missed` counts it where messages are numbered
    (features and events), `reconnects` says how often the connection was lost.
    """

    def __init__(
        self,
        options: LinkOptions,
        subjects: Sequence[str],
        decode: Callable[[bytes], T],
        *,
        buffer: Queue[T] | Latest[T],
        is_wanted: Callable[[T], bool],
        is_fresh: Callable[[T], bool],
        connect_timeout_s: float | None,
    ) -> None:
        """Subscribe; `is_wanted` is asked when a message comes, `is_fresh` when it is given."""
        self.received = 0
        self.given = 0
        self.expired = 0
        self.untrusted = 0
        self.unreadable = 0  # messages that are none; `last_unreadable` says what is wrong with the last of them
        self.last_unreadable: str | None = None
        self._options = options
        self._decode = decode
        self._buffer = buffer
        self._is_wanted = is_wanted
        self._is_fresh = is_fresh
        self._holes = Holes()
        self._news = asyncio.Event()
        self._closed = False
        self._was_connected = False
        loop = asyncio.get_running_loop()
        self._timeout_s = connect_timeout_s
        self._patience_ends = None if connect_timeout_s is None else loop.time() + connect_timeout_s
        self._link = Link(options, on_state=self._on_state)
        for subject in subjects:
            self._link.subscribe(subject, "", self._on_message)
        self._running = loop.create_task(self._link.run(), name="senpai stream")

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def connected(self) -> bool:
        return self._link.connected

    @property
    def reconnects(self) -> int:
        """Connections after the first; what was published in between is lost."""
        return self._link.reconnects

    @property
    def waiting(self) -> int:
        """Messages that have come and were not taken yet."""
        return len(self._buffer)

    @property
    def dropped(self) -> int:
        """Messages that gave way to newer ones because too many waited to be taken."""
        return self._buffer.dropped

    @property
    def conflated(self) -> int:
        """Feature messages that gave way to newer ones of the same symbol (`latest=True`)."""
        return self._buffer.conflated

    @property
    def missed(self) -> int:
        """Messages that were numbered and never came."""
        return self._holes.missed

    async def aclose(self) -> None:
        """End the subscription; whoever iterates gets what waits, and then the end. Twice is as good as once."""
        self._closed = True
        self._news.set()
        await self._link.close(CLOSE_S)
        await self._running

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """The next message.

        Raises:
            NotConnectedError: NATS could not be reached from the beginning. Asking again waits no longer.
        """
        while True:
            while len(self._buffer):
                message = self._buffer.take()
                if self._is_fresh(message):
                    self.given += 1
                    return message
                self.expired += 1
            if self._closed:
                raise StopAsyncIteration
            await self._wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _wait(self) -> None:
        """Until something comes or the connection is made."""
        self._news.clear()
        until = None if self._was_connected else self._patience_ends
        try:
            async with asyncio.timeout_at(until):
                await self._news.wait()
        except TimeoutError:
            if self._timeout_s is not None and not self._was_connected:
                raise NotConnectedError(redact(self._options.url), self._timeout_s, self._link.last_error) from None

    def _on_state(self, connected: bool) -> None:
        if connected and not self._was_connected:
            self._was_connected = True
            self._news.set()

    def _on_message(self, subject: str, payload: bytes) -> None:
        self.received += 1
        try:
            message = self._decode(payload)
        except UnreadableError as error:
            self.unreadable += 1
            self.last_unreadable = f"{subject}: {error}"
            return
        if not isinstance(message, Signal | Alert):
            self._holes.see(subject, message.epoch, message.seq)
        if not self._is_wanted(message):
            self.untrusted += 1
            return
        self._buffer.put(subject, message)
        self._news.set()
