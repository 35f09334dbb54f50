"""What the durable consumer gives out, as it comes; acknowledged when it is worked off."""

from collections import deque
from collections.abc import Callable
from typing import Final

from nats_link import Link, new_inbox
from nats_link.jetstream.consumers import Durable
from nats_link.jetstream.pull import SILENCE_S, Pulls
from nats_link.jetstream.stamp import ack_subject, read_stamp
from senpai.md_consumer.queue import EventQueue
from senpai.md_consumer.subscriber.jetstream.acks import Acks
from senpai.md_consumer.subscriber.jetstream.intake import StreamIntake

MOST_OPEN: Final = 2_000  # messages asked for and not here: more than what comes within one round trip
BATCH: Final = 1_000


class Live:
    """Pulls as much as the queue has room for."""

    def __init__(
        self,
        link: Link,
        intake: StreamIntake,
        queue: EventQueue,
        acks: Acks,
        *,
        stream: str,
        durable: str,
        on_irregular: Callable[[str], None],
    ) -> None:
        """To be made before the link runs; `on_irregular(why)`: nothing more is taken until `begin`."""
        self.pending = 0  # messages behind the last one that came
        self.redelivered = 0
        self.stolen = 0  # deliveries that went to somebody else
        self.stolen_times = 0
        self.running = False
        self._intake = intake
        self._queue = queue
        self._acks = acks
        self._on_irregular = on_irregular
        self._names = (stream, durable)
        inbox = new_inbox()
        self._pulls = Pulls(link.post, stream, durable, inbox)
        self._early: deque[tuple[str, str, bytes]] = deque()  # came while the stream was read again
        self._consumer_seq = 0
        self._heard = False
        self._silent_looks = 0
        self._most_open = min(MOST_OPEN, intake.most)
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
            position = self._queue.next_position
            self._acks.note(position, ack_subject(*self._names, durable.delivered, durable.delivered_consumer_seq))
        self.running = True
        while self._early and self.running:
            self._take(*self._early.popleft())
        self.refill()

    def disconnected(self) -> None:
        """Nothing comes any more of what was asked for."""
        self.running = False
        self._pulls.forget()
        self._early.clear()

    def stop(self) -> None:
        self.running = False

    def refill(self) -> None:
        """Ask for what there is room for."""
        pulls = self._pulls
        if self.running and pulls.open <= self._refill_at:
            room = min(self._intake.room, self._most_open) - pulls.open
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
        elif len(self._early) < self._intake.most:
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
        self._intake.take(subject, seq, ts_ns, payload, not pending)
        queue = self._queue
        self._acks.note(queue.taken + len(queue), reply)
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
