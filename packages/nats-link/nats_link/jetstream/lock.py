"""One process at a time for one durable consumer: a lock that the server keeps, and ends with its holder's connection.

The lock is a second consumer, `<durable>:lock`, that delivers nothing to an inbox of the holder. To make it is atomic:
the server refuses a name that is taken for another inbox, and agrees when it is the same one again. It lasts while
that inbox is listened to, whatever the holder is busy with, and the server deletes it `LAPSE_S` after the holder's
connection has ended: at once with the process, and after the server's pings (by default some minutes) with a machine
that vanished or a process that is stopped. No clock but the server's decides. What the holder sent on that connection
has reached the server by then or never will, so nothing of it comes in the next holder's time: as long as the holder,
once disconnected, sends nothing more before it has the lock again.
"""

import asyncio
from typing import Any, Final

from nats_link.jetstream.api import ApiError, api_request, forbidden
from nats_link.jetstream.consumers import NO_SUCH_CONSUMER
from nats_link.jetstream.stamp import NS_PER_S
from nats_link.link import Link
from nats_link.requests import NotPermittedError, new_inbox

LAPSE_S: Final = 1.0
PATIENCE_S: Final = 5.0  # for a holder that has just ended
RETRY_S: Final = 0.2

_TAKEN: Final = (10013, 10148)  # the name is in use, the consumer exists


class HeldError(Exception):
    """Another process reads with this consumer; the text says which, and what to do."""


class ConsumerLock:
    """The right to read with one durable consumer, as long as the link is connected."""

    def __init__(self, link: Link, stream: str, durable: str, *, called: str, holder: str) -> None:
        """To be made before the link runs.

        Args:
            link: with `LinkOptions(replies=True)`.
            stream: its name.
            durable: the name of the consumer.
            called: where people choose that name.
            holder: who we are, for those who find the lock taken.
        """
        self._link = link
        self._stream = stream
        self._durable = durable
        self._called = called
        self._name = f"{durable}:lock"
        inbox = new_inbox()
        self._config = {
            "name": self._name,
            "description": holder,
            "deliver_subject": inbox,
            "deliver_policy": "new",
            "filter_subject": self._name,  # on which nobody publishes
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": round(LAPSE_S * NS_PER_S),
        }
        link.subscribe_raw(inbox, "", lambda *_: None)

    async def acquire(self) -> None:
        """Take the lock, or see that it is still ours; wait a little for a holder that has just ended.

        Raises:
            HeldError: another process holds it.
            StreamError: the right to make it is missing.
            ApiError: the server refuses it for another reason; worth asking again.
            RequestError: no answer; worth asking again.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE_S
        while not await self.is_ours():
            if loop.time() >= end:
                raise HeldError(await self._who())
            await asyncio.sleep(RETRY_S)

    async def is_ours(self) -> bool:
        """Take the lock, or see that it is still ours, now. Raises as `acquire`, without HeldError."""
        subject = f"CONSUMER.CREATE.{self._stream}.{self._name}"
        try:
            await self._ask(subject, {"stream_name": self._stream, "config": self._config, "action": "create"})
        except ApiError as error:
            if error.err_code not in _TAKEN:
                raise
            return False
        return True

    async def _who(self) -> str:
        """What to tell people about the holder."""
        who = "another process"
        try:
            info = await self._ask(f"CONSUMER.INFO.{self._stream}.{self._name}", None)
        except ApiError as error:
            if error.err_code != NO_SUCH_CONSUMER:
                raise
        else:
            who = f"{info['config'].get('description') or who} (since {info['created']})"
        return (
            f"the consumer {self._durable} of the stream {self._stream} is being read by {who}: "
            f"stop that one, or give this one another {self._called}"
        )

    async def _ask(self, subject: str, body: dict[str, Any] | None) -> dict[str, Any]:
        try:
            return await api_request(self._link, subject, body)
        except NotPermittedError as error:
            raise forbidden(error, f"see that nobody else reads with the consumer {self._durable}") from None
