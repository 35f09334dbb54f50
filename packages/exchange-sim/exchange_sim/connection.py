"""One client's WebSocket: control frames, pings, and writes that stay in order."""

import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, Protocol, TypeAlias

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from exchange_sim.frame import Frame
from exchange_sim.hub import CLOSE, PING, PONG, TEXT, one_array, ws_frame
from exchange_sim.venue import Close, Session

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_PINGS_KEPT: Final = 16
Clock: TypeAlias = Callable[[], float]


class Owner(Protocol):
    """Who keeps the connections."""

    def joined(self, connection: "Connection") -> None: ...
    def changed(self, connection: "Connection", frames: Iterable[Frame]) -> None: ...
    def left(self, connection: "Connection") -> None: ...
    def writable(self) -> None: ...


class Connection(WSListener):
    """A client. `gone`: told to leave, or left."""

    def __init__(self, session: Session, owner: Owner, clock: Clock, high_water: int) -> None:
        super().__init__()
        self.session = session
        self.pending: list[bytes] = []
        self.gone = False
        self.parted = False  # one side has said goodbye, or the server ended it on purpose
        self.warned = False  # it was told that the server will close the connection
        self.congested = False  # more than `high_water` bytes wait for this client
        self.connected_s = self.last_pong_s = self.last_ping_s = self.last_text_s = clock()
        self._owner = owner
        self._clock = clock
        self._high_water = high_water
        self._transport: WSTransport | None = None
        self._batches = session.habits.batches
        self._batch: list[bytes] = []  # texts that leave as one array
        self._pings: deque[bytes] = deque(maxlen=_PINGS_KEPT)  # payloads that a pong may echo

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=self._high_water)
        self._owner.joined(self)
        if self.session.greeting is not None:
            self.say(self.session.greeting)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - the library names it
        self.gone = True
        self._transport = None
        self.pending.clear()
        self._batch.clear()
        self.session.left(self._clock(), abruptly=not self.parted)
        self._owner.left(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            self.parted = True
            self.close(Close(1000, ""))
            transport.disconnect()
            return
        if self.gone:
            return
        refusal = self.session.admit(self._clock())
        if refusal is not None:
            self.close(refusal)
        elif frame.msg_type == WSMsgType.TEXT:
            self._answer(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.PING:
            self._send(PONG, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.PONG and frame.get_payload_as_bytes() in self._pings:
            self.last_pong_s = self._clock()

    def _answer(self, text: bytes) -> None:
        self.last_text_s = self._clock()
        outcome = self.session.receive(text)
        if outcome.frames_first:
            self._owner.changed(self, outcome.frames)
        self._end_batch()
        self.pending += [ws_frame(TEXT, reply) for reply in outcome.replies]
        self.flush()
        if not outcome.frames_first:
            self._owner.changed(self, outcome.frames)
        if outcome.close is not None:
            self.close(outcome.close)

    def pause_writing(self) -> None:
        self.congested = True

    def resume_writing(self) -> None:
        self.congested = False
        self._owner.writable()

    @property
    def buffered(self) -> int:
        """Bytes that the client has not taken yet."""
        if self._transport is None:
            return 0
        return int(self._transport.underlying_transport.get_write_buffer_size())

    def queue(self, message: bytes, text: bytes | None) -> None:
        """Take a message for the next flush; where the venue batches, texts that follow each other become one."""
        if text is not None and self._batches:
            self._batch.append(text)
            return
        self._end_batch()
        self.pending.append(message)

    def _end_batch(self) -> None:
        if self._batch:
            self.pending.append(ws_frame(TEXT, one_array(self._batch)))
            self._batch.clear()

    def say(self, text: bytes) -> None:
        """Write a text of the venue's to this client alone, at once."""
        self.queue(ws_frame(TEXT, text), None)
        self.flush()

    def flush(self) -> None:
        """Write what is pending, in one piece."""
        self._end_batch()
        if self.pending:
            self.last_text_s = self._clock()
            self._write()

    def _write(self) -> None:
        if self._transport is not None:
            self._transport.underlying_transport.write(b"".join(self.pending))
        self.pending.clear()

    def ping(self, payload: bytes) -> None:
        """Ask for a pong with this payload."""
        self._pings.append(payload)
        self.last_ping_s = self._clock()
        self._send(PING, payload)

    def close(self, why: Close) -> None:
        """Say goodbye, once, and hang up when the client answers or after the server's patience."""
        if not self.gone:
            self.gone = self.parted = True
            self._send(CLOSE, struct.pack("!H", why.code) + why.reason.encode())

    def hang_up(self) -> None:
        """Close the socket after what is buffered."""
        self.gone = self.parted = True
        if self._transport is not None:
            self._transport.disconnect()

    def reset(self) -> None:
        """Break the connection with a TCP reset, without a close frame and without what is buffered."""
        self.gone = True
        if self._transport is not None:
            raw: socket.socket = self._transport.underlying_transport.get_extra_info("socket")
            with suppress(OSError):  # closed by the other side in this very moment
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.disconnect(graceful=False)

    def _send(self, opcode: int, payload: bytes) -> None:
        self._end_batch()
        self.pending.append(ws_frame(opcode, payload))
        self._write()
