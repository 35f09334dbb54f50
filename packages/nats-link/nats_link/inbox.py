"""The subscriptions of a link and their synchronous handlers."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final, TypeAlias

from nats.aio.client import Client
from nats.aio.msg import Msg

from nats_link.options import LinkOptions
from nats_link.reader import Delivery, install

SID_NAME: Final = "_id"  # private: nats-py's number of a subscription

Handler: TypeAlias = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class Subscription:
    subject: str
    queue: str
    handler: Handler


class Inbox:
    """Remembers the subscriptions, so that every new client of nats-py gets them, and counts what they deliver."""

    def __init__(self, report: Callable[[str, str], None]) -> None:
        self.received = 0
        self.handler_errors = 0
        self._report = report
        self._subscriptions: list[Subscription] = []

    def add(self, subject: str, queue: str, handler: Handler) -> None:
        self._subscriptions.append(Subscription(subject, queue, handler))

    async def attach(self, client: Client, options: LinkOptions) -> bool:
        """Subscribe everything on a client that has no subscription yet; true when the fast parser delivers.

        The numbers are foreseen, because the first message may come before nats-py tells them. Where they turn out
        otherwise, nats-py's own way delivers.
        """
        deliveries: dict[bytes, Delivery] = {}
        fast = install(client, deliveries)
        for number, subscription in enumerate(self._subscriptions, start=1):
            deliver = self._delivery(subscription.handler)
            deliveries[b"%d" % number] = deliver
            made = await client.subscribe(
                subscription.subject,
                queue=subscription.queue,
                cb=_callback(deliver),
                pending_msgs_limit=options.max_waiting_messages,
                pending_bytes_limit=options.max_waiting_bytes,
            )
            if getattr(made, SID_NAME, None) != number:
                fast = False
        if not fast:
            deliveries.clear()
        return fast

    def _delivery(self, handler: Handler) -> Delivery:
        def deliver(subject: str, payload: bytes) -> None:
            self.received += 1
            try:
                handler(subject, payload)
            except Exception as error:  # noqa: BLE001  # whatever a handler raises, the reading goes on
                self.handler_errors += 1
                self._report("handler", f"the handler of {subject!r} raised {error!r}")

        return deliver


def _callback(deliver: Delivery) -> Callable[[Msg], Coroutine[None, None, None]]:
    async def take(message: Msg) -> None:
        deliver(message.subject, message.data)

    return take
