"""One HTTP connection whose client has its part to do in time.

uvicorn closes a connection that is silent after an answer, but waits for ever for a first request, for the rest of one
and for a client to take its answer; at its own bound it answers 503 to everybody. Here nobody can use the connections
up: what waits for its client gives way to who comes next, and what takes too long is closed.
"""

import asyncio
import json
from typing import ClassVar, Final

import h11
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope  # the types of the class below
from uvicorn.protocols.http.h11_impl import H11Protocol

from service_http.gate import Gate

CLOSE_S: Final = 1.0  # for a client to take a last word
STOP_S: Final = 0.7  # for an answer to end when the server stops; below the second after which uvicorn cancels it

_BUSY: Final = {
    "error": "every connection is busy",
    "hint": "try again in a second; one connection can carry many requests",
}


def _headers(body: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]


async def _say_busy(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    body = json.dumps(_BUSY).encode()
    headers = [*_headers(body), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


class BoundedConnection(H11Protocol):
    """uvicorn's connection within the bounds of `gate`, which a server sets on a class of its own."""

    gate: ClassVar[Gate] = Gate()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base has it
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._waits_since = 0.0
        self._wait_for_request()
        if len(self.connections) > self.gate.max_connections and not self._make_room():
            self.gate.refused += 1
            self.app = _say_busy

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._awaits_client:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._awaits_client:  # nothing that was sent in advance is answered already
            self._wait_for_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self._stall or self.loop.call_later(self.gate.stall_s, self._on_stall)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_stall()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()
        self._stop_stall()

    def shutdown(self) -> None:
        super().shutdown()
        self.loop.call_later(STOP_S, self.transport.abort)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's words are not ours
        if self._is_idle:
            self._answer(400, "not a request of HTTP/1.1", "ask like this: curl http://HOST:PORT/")
        else:
            self.transport.abort()

    @property
    def _is_idle(self) -> bool:
        """No request is under way; before the first one uvicorn has no cycle, whatever its types say."""
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # as said above

    @property
    def _awaits_client(self) -> bool:
        """The next step is the client's: to send a request, or the rest of it."""
        return self._is_idle or self.cycle.more_body

    def _make_room(self) -> bool:
        """Close the connection that has waited longest for its client; false when all the others are busy."""
        waiting = [
            other
            for other in self.connections
            if other is not self and isinstance(other, BoundedConnection) and other._awaits_client
        ]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda other: other._waits_since)
        self.connections.discard(oldest)
        self.gate.evicted += 1
        oldest.transport.abort()
        return True

    def _wait_for_request(self) -> None:
        self._stop_waiting()
        self._waits_since = self.loop.time()
        self._timer = self.loop.call_later(self.gate.request_s, self._on_time_up)

    def _on_time_up(self) -> None:
        self.gate.timed_out += 1
        begun = bool(self.conn.trailing_data[0]) and self.conn.our_state is h11.IDLE
        if begun and not self.transport.is_closing():
            self._answer(408, f"no whole request within {self.gate.request_s:g} s", "send the request in one go")
        else:
            self.transport.abort()

    def _answer(self, status: int, error: str, hint: str) -> None:
        """Say why, and close, whether the client reads it or not."""
        body = json.dumps({"error": error, "hint": hint}).encode()
        response = h11.Response(status_code=status, headers=_headers(body), reason=b"")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._stop_waiting()
        self._timer = self.loop.call_later(CLOSE_S, self.transport.abort)

    def _on_stall(self) -> None:
        self.gate.stalled += 1
        self.transport.abort()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
