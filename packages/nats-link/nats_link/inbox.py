"""The subscriptions of a link and their synchronous handlers."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final, TypeAlias

from nats.aio.client import Client
from nats.aio.msg import Msg

from nats_link.headers import VERSION
from nats_link.options import LinkOptions
from nats_link.reader import Delivery, install

SID_NAME: Final = "_id"  # private: nats-py's number of a subscription
STATUS: Final = "Status"  # what nats-py makes of the status line
DESCRIPTION: Final = "Description"

Handler: TypeAlias = Callable[[str, bytes], None]
RawHandler: TypeAlias = Callable[[str, str, bytes, bytes], None]
"""Takes the subject, the reply subject, the headers as they came, and the payload; "" and b"" where there is none."""


@dataclass(frozen=True, slots=True)
class Subscription:
    subject: str
    queue: str
    deliver: Delivery


class Inbox:
    """Remembers the subscriptions, so that every new client of nats-py gets them, and counts what they deliver."""

    def __init__(self, report: Callable[[str, str], None]) -> None:
        self.received = 0
        self.handler_errors = 0
        self._report = report
        self._subscriptions: list[Subscription] = []

    def add(self, subject: str, queue: str, handler: Handler) -> None:
        self._subscriptions.append(Subscription(subject, queue, self._delivery(handler)))

    def add_raw(self, subject: str, queue: str, handler: RawHandler) -> None:
        self._subscriptions.append(Subscription(subject, queue, self._raw_delivery(handler)))

    async def attach(self, client: Client, options: LinkOptions) -> bool:
        """Subscribe everything on a client that has no subscription yet; true when the fast parser delivers.

        The numbers are foreseen, because the first message may come before nats-py tells them. Where they turn out
        otherwise, nats-py's own way delivers.
        """
        deliveries: dict[bytes, Delivery] = {}
        fast = install(client, deliveries)
        for number, subscription in enumerate(self._subscriptions, start=1):
            deliver = subscription.deliver
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
        def deliver(fields: list[bytes], _: bytes, payload: bytes) -> None:
            self.received += 1
            subject = str(fields[1], "utf-8", "replace")
            try:
                handler(subject, payload)
            except Exception as error:  # noqa: BLE001  # whatever a handler raises, the reading goes on
                self._failed(subject, error)

        return deliver

    def _raw_delivery(self, handler: RawHandler) -> Delivery:
        def deliver(fields: list[bytes], headers: bytes, payload: bytes) -> None:
            self.received += 1
            subject = str(fields[1], "utf-8", "replace")
            has_reply = len(fields) == (6 if headers else 5)
            reply = str(fields[3], "utf-8", "replace") if has_reply else ""
            try:
                handler(subject, reply, headers, payload)
            except Exception as error:  # noqa: BLE001  # as above
                self._failed(subject, error)

        return deliver

    def _failed(self, subject: str, error: Exception) -> None:
        self.handler_errors += 1
        self._report("handler", f"the handler of {subject!r} raised {error!r}")


def _callback(deliver: Delivery) -> Callable[[Msg], Coroutine[None, None, None]]:
    """nats-py's own way: it has taken the message apart, and here it is put together as the fast parser gives it."""

    async def take(message: Msg) -> None:
        headers = _block(message)
        fields = [b"HMSG" if headers else b"MSG", message.subject.encode(), b""]
        if message.reply:
            fields.append(message.reply.encode())
        fields += [b"", b""] if headers else [b""]
        deliver(fields, headers, message.data)

    return take


def _block(message: Msg) -> bytes:
    if not message.headers:
        return b""
    fields = dict(message.headers)
    status = " ".join(part for part in (fields.pop(STATUS, ""), fields.pop(DESCRIPTION, "")) if part)
    lines = [f"{str(VERSION, 'ascii')} {status}".strip(), *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()
