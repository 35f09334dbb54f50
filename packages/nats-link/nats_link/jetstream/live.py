"""What a durable consumer gives out, as it comes: no more than there is room for, in its order, none left out."""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from nats_link.jetstream.consumers import Durable
from nats_link.jetstream.pull import SILENCE_S, Pulls
from nats_link.jetstream.stamp import ack_subject, read_stamp
from nats_link.link import Link
from nats_link.requests import new_inbox

MOST_OPEN: Final = 2_000  # messages asked for and not here: more than what comes within one round trip
BATCH: Final = 1_000


class Taker(Protocol):
    """Who takes the messages."""

    @property
    def most(self) -> int:
        """Messages that may be waiting or on their way, all in all."""
        ...

    @property
    def room(self) -> int:
        """Messages that may come before anything has to be worked off."""
        ...

    def take(self, subject: str, seq: int, ts_ns: int, payload: bytes, newest: bool, /) -> None:
        """The next message; one that was given out before may come again.

        newest: the stream held nothing behind it when it was given out.
        """
        ...


class Live:
    """Pulls as much as the taker has room for."""

    def __init__(
        self,
        link: Link,
        taker: Taker,
        note: Callable[[str], None],
        *,
        stream: str,
        durable: str,
        on_irregular: Callable[[str], None],
    ) -> None:
        """To be made before the link runs.

        Args:
            link: with `LinkOptions(replies=True)`.
            taker: gets the messages.
            note: told, after each, the subject that acknowledges it and all before it, for when they are worked off.
            stream: its name.
            durable: the name of the consumer.
            on_irregular: told why nothing more is taken until `begin`.
        """
        self.pending = 0  # messages behind the last one that came
        self.redelivered = 0
        self.stolen = 0  # deliveries that went to somebody else
        self.stolen_times = 0
        self.running = False
        self._taker = taker
        self._note = note
        self._on_irregular = on_irregular
        self._names = (stream, durable)
        inbox = new_inbox()
        self._pulls = Pulls(link.post, stream, durable, inbox)
        self._early: deque[tuple[str, str, bytes]] = deque()  # came before `begin`
        self._consumer_seq = 0
        self._heard = False
        self._silent_looks = 0
        self._most_open = min(MOST_OPEN, taker.most)
        self._refill_at = self._most_open // 2
        link.subscribe_raw(f"{inbox}.*", "", self._on_message)

    @property
    def open(self) -> int:
        """Messages that were asked for and have not come."""
        return self._pulls.open

    def begin(self, durable: Durable) -> None:
        """Go on behind what the consumer has given out, all of which has been taken."""
        self._consumer_seq = durable.delivered_consumer_seq
        if durable.delivered > durable.floor:
            self._note(ack_subject(*self._names, durable.delivered, durable.delivered_consumer_seq))
        self.running = True
        while self._early and self.running:
            self._take(*self._early.popleft())
        self.refill()

    def disconnected(self) -> None:
        """Nothing comes any more of what was asked for: the connection is gone, or the consumer."""
        self.running = False
        self._pulls.forget()
        self._early.clear()

    def stop(self) -> None:
        self.running = False

    def refill(self) -> None:
        """Ask for what there is room for."""
        pulls = self._pulls
        if self.running and pulls.open <= self._refill_at:
            room = min(self._taker.room, self._most_open) - pulls.open
            if room > self._most_open // 4 or (room > 0 and not pulls.open):
                pulls.ask(min(room, BATCH))

    def look(self) -> None:
        """Call it about once a second: when not even a heartbeat comes, the server has forgotten our requests."""
        self._silent_looks = 0 if self._heard or not self._pulls.open else self._silent_looks + 1
        self._heard = False
        if self._silent_looks > SILENCE_S:
            self._silent_looks = 0
            self._pulls.forget()
            self._break("nothing comes, not even a heartbeat")
        self.refill()

    def _on_message(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        self._heard = True
        if not reply:
            self._on_status(headers)
            return
        if self._pulls.open:
            self._pulls.open -= 1
        if self.running:
            self._take(subject, reply, payload)
        elif len(self._early) < self._taker.most:
            self._early.append((subject, reply, payload))

    def _on_status(self, headers: bytes) -> None:
        why = self._pulls.on_status(headers)
        if why is None:
            self.refill()
        else:
            self._pulls.forget()
            self._break(f"the pull ended: {why}")

    def _take(self, subject: str, reply: str, payload: bytes) -> None:
        """One delivery, which has to be the next: anything else means that one went elsewhere."""
        delivered, seq, consumer_seq, ts_ns, pending = read_stamp(reply)
        if consumer_seq != self._consumer_seq + 1:
            self._miss(consumer_seq - self._consumer_seq - 1)
            return
        self._consumer_seq = consumer_seq
        self.pending = pending
        if delivered > 1:
            self.redelivered += 1
        self._taker.take(subject, seq, ts_ns, payload, not pending)
        self._note(reply)
        if self._pulls.open <= self._refill_at:
            self.refill()

    def _miss(self, missing: int) -> None:
        if missing > 0:
            self.stolen += missing
            self.stolen_times += 1
            self._break(f"{missing} deliveries did not come here")

    def _break(self, why: str) -> None:
        if self.running:
            self.running = False
            self._on_irregular(why)
