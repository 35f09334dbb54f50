"""The socket's callback: from a WebSocket frame to published events in one synchronous call chain.

Most frames are whole text messages, and for them the way is as short as it can be. Everything else (control frames,
fragments, frames longer than any message should be) goes through `_on_other`.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from msgspec import Struct
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from app.feed.clock import Clock
from app.feed.connection import Connection, ConnectionState, Sign
from app.feed.gate import Gate
from app.providers.provider import Conversation, Fetch, HangUp, Notice, Ready, Replace, Send
from app.providers.quarantine import Quarantine
from md_contract.events import Event
from md_contract.units import NS_PER_S

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024  # longer ones are set aside unread
MAX_FRAME_BYTES: Final = 16 * 1024 * 1024  # longer ones end the connection
MAX_CONTROL_BYTES: Final = 125  # what RFC 6455 allows a control frame to carry

_log = structlog.get_logger()


class Ending(Struct, frozen=True):
    """How a connection, or the attempt at one, ended."""

    reason: str
    wait_s: float = 0.0  # the least wait before the next attempt
    lasted_s: float = 0.0  # from its opening to its end


class FrameListener(WSListener):
    """One open WebSocket: reads frames, does what the conversation wants, and tells when it is over."""

    def __init__(
        self,
        conversation: Conversation,
        connection: Connection,
        *,
        publish: Callable[[Event], None],
        fetch: Callable[[Fetch], None],
        quarantine: Quarantine,
        gate: Gate,
        clock: Clock,
        reconnect_reason: str | None,
        is_successor: bool,
    ) -> None:
        """Prepare for one WebSocket.

        Args:
            conversation: its pure side.
            connection: the facts for people.
            publish: takes every event.
            fetch: takes what is to be fetched for the conversation.
            quarantine: of the provider.
            gate: backpressure.
            clock: for every time.
            reconnect_reason: how the last connection of these symbols ended, or None.
            is_successor: another one still serves; this one keeps quiet about its state until it has taken over.
        """
        self.ready = asyncio.Event()  # everything flows
        self.replace = asyncio.Event()  # another connection should take over
        self.reconnect_reason = reconnect_reason  # looked at when the connection opens
        self._is_successor = is_successor
        self.ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self.abandoned = False  # nobody waits for this connection any more
        self._conversation = conversation
        self._connection = connection
        self._publish = publish
        self._fetch = fetch
        self._quarantine = quarantine
        self._gate = gate
        self._clock = clock
        self._transport: WSTransport | None = None
        self._opened_at = 0  # monotonic ns
        self._new_read = True  # the next frame comes from a new read of the socket
        self._ts_recv = 0
        self._parts: list[bytes] | None = None  # of a fragmented message
        self._parts_size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0  # monotonic ns; frames that make something due earlier are looked after at once

    @property
    def opened(self) -> bool:
        """True once the WebSocket has been open."""
        return self._transport is not None

    def on_ws_connected(self, transport: WSTransport) -> None:
        if self.abandoned:
            transport.disconnect(graceful=False)
            return
        self._transport = transport
        self._gate.add(transport)
        self._opened_at = self._clock.monotonic_ns()
        wall_ns = self._clock.wall_ns()
        if self._connection.opens and not self._is_successor:
            self._connection.reconnects += 1
        self._connection.opens += 1
        self._note(Sign.OPENED)
        for event in self._conversation.opened(wall_ns, self.reconnect_reason):
            self._publish(event)
        self.look_after()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self._new_read:
            self._ts_recv = self._clock.wall_ns()
        self._new_read = frame.last_in_buffer
        connection = self._connection
        connection.frames += 1
        # A frame longer than any control frame is data; reading its type would cost more than all of these checks.
        if MAX_CONTROL_BYTES < frame.payload_size <= MAX_MESSAGE_BYTES and frame.fin and self._parts is None:
            connection.last_recv_ns = ts_recv = self._ts_recv
            conversation = self._conversation
            for event in conversation.decode(frame.get_payload_as_bytes(), ts_recv):
                self._publish(event)
            if conversation.due < self._timer_at:
                self.look_after()
        else:
            self._on_other(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._gate.discard(transport)
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is None:
            return
        for event in self._conversation.closed():
            self._publish(event)
        self._end(_close_reason(transport))

    def look_after(self) -> None:
        """Do everything the conversation has due, and set the timer for what comes next."""
        if self.ended.done():
            return
        conversation = self._conversation
        now = self._clock.monotonic_ns()
        while conversation.due <= now:
            for event in conversation.on_time(now):
                self._publish(event)
            self._do_wanted()
        if self.ended.done():
            return
        if conversation.subscribed():
            self._note(Sign.SUBSCRIBED)
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = conversation.due
        delay_s = min(conversation.due - now, 3_600 * NS_PER_S) / NS_PER_S
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.look_after)

    def take_over(self) -> None:
        """The connection before this one has ended, or will: speak of the state of this one from now on."""
        self._is_successor = False
        self._note(Sign.DIALLED)
        if self._transport is not None:
            self._note(Sign.OPENED)
            self.look_after()

    def _note(self, sign: Sign) -> None:
        if self._is_successor:
            return
        connection = self._connection
        was_live = connection.state is ConnectionState.LIVE
        connection.note(sign, self._clock.wall_ns())
        if connection.state is ConnectionState.LIVE and not was_live:
            _log.info("market data connection is up", symbols=len(connection.symbols), opened=connection.opens)

    def ping(self) -> None:
        """Ask whether the server is there."""
        if self._transport is not None:
            self._transport.send_ping()

    def hang_up(self, reason: str, wait_s: float = 0.0) -> None:
        """End this connection for a reason of ours."""
        self._end(reason, wait_s)

    def answered(self, fetch: Fetch, body: bytes, ts_recv: int) -> None:
        """Hand over the answer to a fetch."""
        if self.ended.done():
            return
        for event in self._conversation.fetched(fetch, body, ts_recv):
            self._publish(event)
        self.look_after()

    def _do_wanted(self) -> None:
        wants = self._conversation.wants
        for want in wants:
            match want:
                case Send(frame) if self._transport is not None:
                    self._transport.send(WSMsgType.TEXT, frame)
                case Fetch():
                    self._fetch(want)
                case HangUp(reason, wait_s):
                    self.hang_up(reason, wait_s)
                case Replace(reason):
                    _log.info("connection to be replaced", reason=reason)
                    self.replace.set()
                case Ready():
                    self.ready.set()
                case Notice(event, fields):
                    _log.warning(event, **fields)
        wants.clear()

    def _on_other(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            if not transport.is_close_frame_sent:
                transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif kind is not WSMsgType.PONG:
            self._connection.last_recv_ns = self._ts_recv
            self._on_part(frame, starts=kind is not WSMsgType.CONTINUATION)
            if self._conversation.due < self._timer_at:
                self.look_after()

    def _on_part(self, frame: WSFrame, *, starts: bool) -> None:
        """A short, an over-long or a fragmented message; never more than MAX_MESSAGE_BYTES of it are kept."""
        if starts == (self._parts is not None):
            self._set_aside("fragment", frame)
            if not starts:
                return
        if starts:
            self._parts, self._parts_size = [], 0
        parts = self._parts if self._parts is not None else []
        self._parts_size += frame.payload_size
        if self._parts_size <= MAX_MESSAGE_BYTES:
            parts.append(frame.get_payload_as_bytes())
        if not frame.fin:
            return
        self._parts = None
        if self._parts_size > MAX_MESSAGE_BYTES:
            self._set_aside("too_big", frame)
            return
        for event in self._conversation.decode(b"".join(parts), self._ts_recv):
            self._publish(event)

    def _set_aside(self, reason: str, frame: WSFrame) -> None:
        sample = bytes(frame.get_payload_as_memoryview()[:240])
        if self._quarantine.add(reason, sample):
            _log.warning("frame set aside", reason=reason, sample=sample)

    def _end(self, reason: str, wait_s: float = 0.0) -> None:
        if not self.ended.done():
            lasted_s = (self._clock.monotonic_ns() - self._opened_at) / NS_PER_S
            self.ended.set_result(Ending(reason, wait_s, lasted_s))


def _close_reason(transport: WSTransport) -> str:
    closing: Any = transport.close_handshake  # None when there was none, which its stub does not say
    if closing is None or closing.recv is None:
        return "connection lost without a close frame"
    code = closing.recv.code
    said = f" {closing.recv.reason[:80]!r}" if closing.recv.reason else ""
    return f"closed by the server with {code.value if isinstance(code, WSCloseCode) else code}{said}"
