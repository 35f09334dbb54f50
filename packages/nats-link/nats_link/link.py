"""The link: a synchronous way to publish to NATS, and a connection that looks after itself."""

import asyncio
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from nats.errors import SlowConsumerError

from nats_link.access import make_access
from nats_link.address import parse
from nats_link.backoff import Backoff
from nats_link.connection import ConnectError, Connection
from nats_link.inbox import Handler, Inbox, RawHandler
from nats_link.options import LinkOptions
from nats_link.outbox import Outbox
from nats_link.reason import reason_of
from nats_link.requests import Reply, Requests
from nats_link.voice import Voice

STABLE_S: Final = 5.0  # a connection that lasted so long starts the backoff anew


class Link:
    """One connection to NATS for life. All methods belong to the event loop's thread.

    Counters: every message that `publish` accepted is in exactly one of `published` (handed to the socket),
    `pending_messages` and `lost_on_disconnect`; `unconfirmed` says how many of the published ones were on a connection
    that died before the server had confirmed them, so at most so many never arrived.
    """

    publish: Callable[[str, bytes], bool]
    """`publish(subject, payload)`: accept one message for sending, in order, without waiting and without raising.

    False, and counted in `refused`, when the link is not connected, when `max_pending_bytes` are waiting, or when the
    message is one the server would not take. The messages of one event-loop tick go out in one write. What a broken
    connection leaves unsent goes out first on the next one.
    """

    def __init__(
        self,
        options: LinkOptions,
        *,
        on_state: Callable[[bool], None] | None = None,
        on_writable: Callable[[], None] | None = None,
    ) -> None:
        """`on_state(connected)` is called at every change; `on_writable()` when publishing is worth a try again: after
        connecting, and after a refusal for want of room once half of the room is free.

        Raises:
            BadUrlError: the URL is none.
            BadAccessError: the credentials or certificates cannot be used, or would be sent where others can read them.
        """
        self.slow_consumer_drops = 0
        self.unconfirmed = 0
        self._options = options
        self._address = parse(options.url)
        self._access = make_access(self._address, options)
        self._voice = Voice(self._address)
        self._listeners = [on_state] if on_state is not None else []
        self._on_writable = on_writable
        self._outbox = Outbox(options.max_pending_bytes, wake=self._wake, report=self._voice.trouble)
        self._inbox = Inbox(self._voice.trouble)
        self._requests = Requests(lambda subject, payload, reply: self.post(subject, payload, reply=reply))
        if options.replies:
            self._inbox.add_raw(self._requests.subject, "", self._requests.take)
        self._connection: Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._life: asyncio.Task[None] | None = None
        self._closing = False
        self._connects = 0
        self.server_info: Mapping[str, Any] = {}  # of the current server, or of the last one
        self.publish = self._outbox.put
        self.post = self._outbox.post
        self.put_frame = self._outbox.put_frame
        self.withdraw_frames = self._outbox.withdraw_frames

    @property
    def url(self) -> str:
        """Where it connects to, fit to be shown."""
        return str(self._address)

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def writable(self) -> bool:
        """Connected, pending below the bound, and after a refusal for want of room half of it free again."""
        return self._outbox.has_room

    @property
    def max_payload(self) -> int:
        """Bytes that the current server, or the last one, takes in one message; 0 before the first."""
        return self._outbox.max_payload

    @property
    def published(self) -> int:
        return self._outbox.published

    @property
    def refused(self) -> int:
        return self._outbox.refused

    @property
    def refused_oversize(self) -> int:
        return self._outbox.refused_oversize

    @property
    def refused_subject(self) -> int:
        return self._outbox.refused_subject

    @property
    def lost_on_disconnect(self) -> int:
        return self._outbox.lost

    @property
    def received(self) -> int:
        return self._inbox.received

    @property
    def handler_errors(self) -> int:
        return self._inbox.handler_errors

    @property
    def pending_messages(self) -> int:
        return self._outbox.queued

    @property
    def pending_bytes(self) -> int:
        """Accepted and not yet taken by the operating system: our own buffer and the transport's."""
        return self._outbox.queued_bytes + (self._connection.buffered if self._connection else 0)

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self._connects - 1)

    @property
    def errors(self) -> int:
        """Failed attempts, lost connections, and whatever else went wrong on the link."""
        return self._voice.errors

    @property
    def last_error(self) -> str | None:
        return self._voice.last_error

    def subscribe(self, subject: str, queue: str, handler: Handler) -> None:
        """Have `handler(subject, payload)` called on the loop for every message, over all reconnects.

        Call it before `run`. An empty `queue` means no queue group. What a handler raises is counted and logged once.
        """
        self._expect_not_running()
        self._inbox.add(subject, queue, handler)

    def subscribe_raw(self, subject: str, queue: str, handler: RawHandler) -> None:
        """As `subscribe`, with `handler(subject, reply, headers, payload)`, all as they came."""
        self._expect_not_running()
        self._inbox.add_raw(subject, queue, handler)

    def listen(self, on_state: Callable[[bool], None]) -> None:
        """Have `on_state(connected)` called at every change, after those who asked before."""
        self._listeners.append(on_state)

    async def request(self, subject: str, payload: bytes, timeout_s: float) -> Reply:
        """Ask on a subject and return the first answer.

        Raises:
            RequestError: not connected, nobody there, no answer in time, or not permitted; see its subclasses.
        """
        if not self._options.replies:
            raise RuntimeError("expected a link with LinkOptions(replies=True) to ask questions on")
        return await self._requests.ask(subject, payload, timeout_s)

    async def run(self) -> None:
        """Own the connection until `close`: connect, look after it, connect again, for ever."""
        if self._closing:
            return
        if self._life is not None:
            raise RuntimeError("the link runs already")
        self._loop = asyncio.get_running_loop()
        self._life = self._loop.create_task(self._live(), name="nats link")
        try:
            await self._life
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._closing or (task is not None and task.cancelling()):
                raise

    async def flush(self, timeout_s: float) -> bool:
        """Wait until the server has read everything accepted so far; false when not connected or not in time."""
        if self._connection is None:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                return await self._connection.flush()
        except TimeoutError:
            return False

    async def close(self, timeout_s: float) -> None:
        """Refuse new messages, flush the accepted ones within the timeout, then end `run`. Twice is as good as once.

        While not connected there is nothing to flush to: what is pending counts as lost.
        """
        if not self._closing:
            self._closing = True
            self._outbox.shut()
            try:
                await self.flush(timeout_s)
            finally:
                if self._life is not None:
                    self._life.cancel()
        if self._life is not None:
            await asyncio.wait({self._life})

    def _expect_not_running(self) -> None:
        if self._life is not None:
            raise RuntimeError("subscribe before the link runs")

    async def _live(self) -> None:
        backoff = Backoff(self._options.reconnect_wait_s, self._options.reconnect_wait_max_s)
        loop = asyncio.get_running_loop()
        down_since = loop.time()
        try:
            while True:
                connection = Connection(
                    self._address,
                    self._access,
                    self._options,
                    self._outbox,
                    self._inbox,
                    on_error=self._take_error,
                    on_writable=self._call_writable,
                )
                try:
                    await connection.open()
                except ConnectError as error:
                    self._voice.unreachable(str(error))
                else:
                    up_since = loop.time()
                    self._voice.connected(up_since - down_since, fast=connection.fast)
                    await self._serve(connection)
                    down_since = loop.time()
                    if down_since - up_since >= STABLE_S:
                        backoff.reset()
                await asyncio.sleep(backoff.next_s(random.random()))  # noqa: S311  # jitter is no secret
        finally:
            self._outbox.shut()
            self._voice.closed(self._outbox.discard())

    async def _serve(self, connection: Connection) -> None:
        """Use the connection until its end."""
        self._connection = connection
        self._connects += 1
        self.server_info = connection.server_info
        if not self._closing:
            self._outbox.open(connection.max_payload)
        connection.push()
        self._call_state(connected=True)
        self._call_writable()
        try:
            await connection.live()
            self._voice.lost(connection.why)
        finally:
            self._connection = None
            self._outbox.shut()
            self.unconfirmed += self._outbox.published - connection.confirmed
            self._requests.fail()
            self._call_state(connected=False)
            await connection.close()

    def _wake(self) -> None:
        """The outbox has something: hand it over at the end of this tick."""
        if self._connection is not None and self._loop is not None:
            self._loop.call_soon(self._connection.push)

    def _take_error(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            self.slow_consumer_drops += 1
            self._voice.trouble("slow consumer", f"messages on {error.subject!r} come faster than they are handled")
        else:
            reason = reason_of(error)
            self._requests.forbid(reason)
            self._voice.trouble("server", reason)

    def _call_state(self, *, connected: bool) -> None:
        for listener in self._listeners:
            self._call(partial(listener, connected))

    def _call_writable(self) -> None:
        if self._on_writable is not None and self.writable:
            self._call(self._on_writable)

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:  # noqa: BLE001  # whatever a callback raises, the connection stays
            self._voice.trouble("callback", f"a callback of the link raised {error!r}")
