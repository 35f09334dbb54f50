"""One connection: a client of nats-py from its connect to its end. It is never used twice.

nats-py's own reconnecting is switched off: a client that ended for whatever reason (a cut, a frozen server, `-ERR`, a
reader that died) is replaced by a new one, which is one path instead of three.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from nats.errors import Error, UnexpectedEOF

from nats_link.access import Access
from nats_link.address import Address
from nats_link.client import SafeClient
from nats_link.deadline import end_task, within
from nats_link.inbox import Inbox
from nats_link.options import LinkOptions
from nats_link.outbox import Outbox
from nats_link.reason import reason_of
from nats_link.writer import PlainWriter, Writer, make_writer

CLOSE_S: Final = 0.5  # nats-py waits for the peer when it closes, and a frozen peer never answers
NEVER_S: Final = 86_400
INFO_NAME: Final = "_server_info"  # private: where nats-py's client keeps the server's INFO
MAX_PROBES: Final = 64  # pings without an answer yet
BROKEN: Final = (
    OSError,
    Error,
    RuntimeError,
)  # by a connection that is no more; the last is uvloop's, of a closed handle


class ConnectError(Exception):
    """A connection that could not be made; the text is one phrase without secrets."""


class Connection:
    def __init__(
        self,
        address: Address,
        access: Access,
        options: LinkOptions,
        outbox: Outbox,
        inbox: Inbox,
        *,
        on_error: Callable[[Exception], None],
        on_writable: Callable[[], None],
    ) -> None:
        self.confirmed = 0  # messages, on the scale of outbox.published, that the server has surely read
        self.why = ""  # it ended
        self._address = address
        self._access = access
        self._options = options
        self._outbox = outbox
        self._inbox = inbox
        self._on_error = on_error
        self._on_writable = on_writable
        self._client = SafeClient(access)
        self._writer: Writer = PlainWriter(self._client, outbox, options.max_pending_bytes, self._ask)
        self._fast_reading = False
        self._error: Exception | None = None  # the last that nats-py told us of
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._congested = asyncio.Event()
        self._answers = 0  # to our pings
        self._probes: set[asyncio.Task[None]] = set()
        self._gone: asyncio.Task[None] | None = None

    @property
    def fast(self) -> bool:
        """Writing and reading past nats-py's queues, not through them."""
        return self._fast_reading and not isinstance(self._writer, PlainWriter)

    @property
    def buffered(self) -> int:
        return self._writer.buffered

    @property
    def max_payload(self) -> int:
        return self._client.max_payload

    @property
    def server_info(self) -> dict[str, Any]:
        """What the server said of itself; empty where this version of nats-py does not tell."""
        return dict(getattr(self._client, INFO_NAME, {}))

    async def open(self) -> None:
        """Connect and subscribe; on return the server knows every subscription.

        Raises:
            ConnectError: the server is away, refuses us or does not answer. Nothing is left open.
        """
        opened = False
        try:
            await within(2 * self._options.connect_timeout_s, self._connect())
            self._error = None
            self._writer = make_writer(self._client, self._outbox, self._options.max_pending_bytes, self._ask)
            self._gone = asyncio.get_running_loop().create_task(self._writer.gone(), name="nats end")
            self._gone.add_done_callback(lambda _: self.end(self._reason()))
            await within(self._options.connect_timeout_s, self._subscribe())
            opened = not self._over.done()
        except (*BROKEN, ValueError) as error:
            raise ConnectError(self._reason(error)) from None
        finally:
            if not opened:
                await self.close()
        if not opened:
            raise ConnectError(self._reason())

    async def live(self) -> None:
        """Keep the connection until it breaks or `end` is called; `why` says the reason. `close` it then."""
        loop = asyncio.get_running_loop()
        helpers = [
            loop.create_task(self._keep_watch(), name="nats pings"),
            loop.create_task(self._pump(), name="nats writer"),
        ]
        try:
            await asyncio.wait({self._over, *helpers}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.end("closed")
            for helper in helpers:
                await end_task(helper)
        for helper in helpers:
            if helper.done() and not helper.cancelled():
                helper.result()

    async def close(self) -> None:
        """Drop the connection; what the transport has not sent is given up. Takes a second at the most."""
        self._writer.abort()
        try:
            await within(CLOSE_S, self._client.close())
        except BROKEN:
            pass  # nats-py's close raises on connections that are already broken
        finally:
            for probe in list(self._probes):
                await end_task(probe)
            if self._gone is not None:
                await asyncio.wait({self._gone}, timeout=CLOSE_S)
                await end_task(self._gone)

    def end(self, why: str) -> None:
        if not self._over.done():
            self.why = why
            self._over.set_result(None)

    def push(self) -> None:
        """Hand over what has gathered; what the connection cannot take now follows when it can."""
        if self._over.done():
            return
        if not self._writer.push():
            self.end(self._reason())
            return
        if self._outbox.queued or self._writer.full:
            self._congested.set()
        if self._outbox.settle(self._writer.buffered):
            self._on_writable()

    async def flush(self) -> bool:
        """Wait until the server has read everything accepted so far; false when the connection ends before."""
        end = self._outbox.gone + self._outbox.queued
        try:
            while not self._over.done():
                self.push()
                if self._outbox.gone >= end:
                    return await self._ask()
                await self._writer.drain()
        except BROKEN as error:
            self.end(self._reason(error))
        return False

    async def _connect(self) -> None:
        async def on_error(error: Exception) -> None:
            self._error = error
            ending = isinstance(error, UnexpectedEOF | OSError)  # whoever waits for the end will hear of it
            if self._client.is_connected and not ending:
                self._on_error(error)

        async def on_end() -> None:
            self.end(self._reason())

        address = self._address
        await self._client.connect(
            address.servers,
            name=self._options.name,
            user=address.user,
            password=address.password,
            token=address.token,
            tls=self._access.tls,
            user_credentials=self._access.creds_file,
            nkeys_seed=None if self._access.nkey_file is None else str(self._access.nkey_file),
            error_cb=on_error,
            disconnected_cb=on_end,
            closed_cb=on_end,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=self._options.connect_timeout_s,  # type: ignore[arg-type]  # annotated int, used as seconds
            ping_interval=NEVER_S,  # our own pings also tell what the server has read
            pending_size=self._options.max_pending_bytes,
        )

    async def _subscribe(self) -> None:
        self._fast_reading = await self._inbox.attach(self._client, self._options)
        await self._ask()  # nats-py's ping overtakes what it has to send: this one lets it out,
        await self._ask()  # and this one comes behind it

    async def _ask(self) -> bool:
        """One round trip; false when the connection ends before."""
        probe = self._probe()
        await asyncio.wait({probe, self._over}, return_when=asyncio.FIRST_COMPLETED)
        if not probe.done():
            return False
        probe.result()
        return True

    def _probe(self) -> asyncio.Task[None]:
        """Start a round trip. It goes on when its caller gives up: nats-py's reader dies of a cancelled one."""
        probe = asyncio.get_running_loop().create_task(self._round_trip(), name="nats ping")
        self._probes.add(probe)
        probe.add_done_callback(self._forget)
        return probe

    def _forget(self, probe: asyncio.Task[None]) -> None:
        self._probes.discard(probe)
        if not probe.cancelled():
            probe.exception()  # those who asked look at it themselves, if they still want to know

    async def _round_trip(self) -> None:
        await self._writer.settle()
        read, read_bytes = self._outbox.published, self._outbox.published_bytes
        await self._client.rtt(timeout=NEVER_S)
        self._answers += 1
        self.confirmed = max(self.confirmed, read)
        self._writer.confirm(read_bytes)

    async def _keep_watch(self) -> None:
        """End the connection when the server gives no sign of life.

        Under load an answer may be long in coming: it waits behind many messages of the server's, and the question
        behind many of ours. So we ask again before the last answer has come, and any of them is a sign; and while a
        backlog of ours gets shorter, somebody reads it.
        """
        options = self._options
        missed = most_sent = 0
        while missed < options.max_outstanding_pings:
            signs, backlog, asked = self._inbox.received + self._answers, self._writer.buffered, bool(self._probes)
            await asyncio.sleep(options.ping_interval_s)
            read = bool(backlog) and self._writer.sent > most_sent
            most_sent = max(most_sent, self._writer.sent)
            silent = asked and self._probes and not read and self._inbox.received + self._answers == signs
            missed = missed + 1 if silent else 0
            if len(self._probes) < MAX_PROBES:
                self._probe().add_done_callback(self._end_if_failed)
        self.end(f"no answer for {options.ping_interval_s * options.max_outstanding_pings:g} s")

    def _end_if_failed(self, probe: asyncio.Task[None]) -> None:
        if not probe.cancelled() and (error := probe.exception()) is not None:
            self.end(self._reason(error))

    async def _pump(self) -> None:
        """Hand over what did not fit into the transport, as it drains."""
        try:
            while not self._over.done():
                await self._congested.wait()
                await self._writer.drain()
                self._congested.clear()
                self.push()
        except BROKEN as error:
            self.end(self._reason(error))

    def _reason(self, error: BaseException | None = None) -> str:
        """Why it failed or ended: nats-py's own finding says more than what followed from it."""
        if self._gone is None:  # still connecting: nats-py sums up several attempts in one empty phrase
            return reason_of(self._error or error)
        return reason_of(self._client.last_error or self._error or error)
