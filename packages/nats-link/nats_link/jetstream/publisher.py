"""Publishing to a stream with acknowledgement, without waiting for any."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from nats_link.jetstream.api import StreamError
from nats_link.jetstream.states import State
from nats_link.jetstream.stream import NS_PER_S, StreamReport, last_message_id
from nats_link.jetstream.window import AckWindow
from nats_link.link import Link
from nats_link.requests import RequestError, new_inbox

TICK_S: Final = 0.25
MAX_MESSAGES: Final = 8_192  # below the 10,000 that older servers take before they refuse
MAX_BYTES: Final = 16 * 1024 * 1024
ACK_TIMEOUT_S: Final = 3.0
MAX_SUBJECTS: Final = 65_536


class AckedPublisher:
    """Keeps what it has sent until the stream has acknowledged it, over all outages of the connection and the stream.

    Order is kept for each subject, but for one case: when a stream that stays connected loses its leader or its
    storage, and finds it again within a round trip, messages that were on their way at that instant may be stored
    after younger ones.
    """

    def __init__(
        self,
        link: Link,
        *,
        prepare: Callable[[], Awaitable[StreamReport]],
        on_writable: Callable[[], None],
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
        ack_timeout_s: float = ACK_TIMEOUT_S,
    ) -> None:
        """Publish over `link`, which must not run yet and needs `LinkOptions(replies=True)`.

        Args:
            link: the connection; who made it runs and closes it.
            prepare: finds or makes the stream, such as `ensure_stream`; awaited after every connect, and when the
                stream has gone. It raises RequestError to be tried again, and StreamError when that would not help.
            on_writable: called when `put` is worth a try again; the link's own `on_writable` tells that, too.
            max_messages: bound of what is not acknowledged.
            max_bytes: bound of what is not acknowledged.
            ack_timeout_s: time without an acknowledgement after which a message is sent again.
        """
        self._link = link
        self._prepare = prepare
        self._was_ready = False
        self._cut_s = 0.0  # when the window was last open
        self._closed = False
        self._changed = asyncio.Event()
        self._empty = asyncio.Event()
        self._subjects: dict[str, bytes] = {}
        inbox = new_inbox()
        self.window = AckWindow(
            inbox,
            send=lambda frame, again: link.put_frame(frame, again=again),
            withdraw=link.withdraw_frames,
            on_writable=on_writable,
            on_empty=self._empty.set,
            clock=time.monotonic,
            max_messages=max_messages,
            max_bytes=max_bytes,
            ack_timeout_s=ack_timeout_s,
        )
        link.subscribe_raw(f"{inbox}.*", "", self.window.take)
        link.listen(self._on_state)

    def publish(self, subject: str, message_id: str, payload: bytes) -> bool:
        """Send one message and keep it until it is acknowledged. Never waits.

        `subject` must be fit for NATS (see `md_contract.subjects`) and `message_id` one line of text. False when the
        window is full or not open, and counted in `window.refused`; or when no server would ever take the message,
        and counted in `window.impossible`.
        """
        raw = self._subjects.get(subject)
        if raw is None:
            if len(self._subjects) >= MAX_SUBJECTS:
                self._subjects.clear()
            raw = self._subjects[subject] = subject.encode()
        return self.window.put(raw, message_id.encode(), payload)

    async def run(self) -> None:
        """Prepare the stream, open the window, look after what is late; until `close`.

        Raises:
            StreamError: the stream cannot be had, and never could since the start; the text says what to do. Later
                on, `window.trouble` says it and it is tried again.
        """
        while not self._closed:
            if self._link.connected and self.window.state is State.SHUT:
                await self._get_ready()
            self.window.on_time(time.monotonic())
            await self._wait()

    async def settle(self, timeout_s: float) -> bool:
        """Wait until everything is acknowledged; false when that takes too long."""
        self._empty.clear()
        if not self.window.pending:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """End `run`."""
        self._closed = True
        self._changed.set()

    async def _get_ready(self) -> None:
        try:
            report = await self._prepare()
            await self._find_stored(report)
        except RequestError as error:
            self.window.trouble = str(error)
        except StreamError as error:
            if not self._was_ready:
                raise
            self.window.trouble = str(error)
        else:
            self._was_ready = True
            if self._link.connected:
                self.window.open(time.monotonic(), self._link.max_payload)

    async def _find_stored(self, report: StreamReport) -> None:
        """After an outage so long that the stream has forgotten the ids, look which messages it has.

        Raises RequestError.
        """
        window = self.window
        if not window.pending or time.monotonic() - self._cut_s < report.config["duplicate_window"] / NS_PER_S / 2:
            return
        for subject in window.subjects():
            name = await last_message_id(self._link, report.config["name"], subject)
            if name is not None:
                window.note_last(subject, name)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(TICK_S):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    def _on_state(self, connected: bool) -> None:
        if connected:
            self._changed.set()
        else:
            self._cut_s = time.monotonic() if self.window.is_open else self._cut_s
            self.window.cut()
