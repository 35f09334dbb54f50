"""The last message of every subject before some time: the state that is older than what is read again."""

import asyncio
import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from nats_link.headers import description, parse, status
from nats_link.jetstream.stamp import read_time, write_time
from nats_link.link import Link
from nats_link.requests import NoAnswerError, NotConnectedError, RequestError, new_inbox

_END: Final = 204
_NOTHING: Final = 404


class Stored(NamedTuple):
    """One message as the stream holds it."""

    seq: int
    subject: str
    ts_ns: int
    payload: bytes


class Seeds:
    """Asks the stream directly; servers before 2.11 and streams without `allow_direct` do not answer."""

    def __init__(self, link: Link, stream: str) -> None:
        """To be made before the link runs."""
        self._link = link
        self._subject = f"$JS.API.DIRECT.GET.{stream}"
        self._inbox = new_inbox()
        self._asked = 0
        self._found: list[Stored] = []
        self._end: asyncio.Future[None] | None = None
        link.subscribe_raw(f"{self._inbox}.*", "", self._take)

    async def before(self, ts_ns: int, subjects: Sequence[str], timeout_s: float) -> list[Stored]:
        """The last message of every subject (patterns; up to 1,024 subjects each) stored at `ts_ns` or before, in the
        order of the stream.

        Raises:
            RequestError: they cannot be had.
        """
        found = []
        for subject in subjects:
            found += await self._ask(ts_ns, subject, timeout_s)
        return sorted(found)

    async def _ask(self, ts_ns: int, subject: str, timeout_s: float) -> list[Stored]:
        self._asked += 1
        self._found = []
        self._end = asyncio.get_running_loop().create_future()
        body = json.dumps({"multi_last": [subject], "up_to_time": write_time(ts_ns)}).encode()
        if not self._link.post(self._subject, body, reply=f"{self._inbox}.{self._asked}"):
            raise NotConnectedError("the question for earlier messages cannot be sent now")
        try:
            async with asyncio.timeout(timeout_s):
                await self._end
        except TimeoutError:
            raise NoAnswerError(f"the stream did not give its earlier messages within {timeout_s:g} s") from None
        return self._found

    def _take(self, subject: str, _: str, headers: bytes, payload: bytes) -> None:
        if self._end is None or self._end.done() or not subject.endswith(f".{self._asked}"):
            return
        code = status(headers)
        if code in (_END, _NOTHING):
            self._end.set_result(None)
        elif code:
            self._end.set_exception(RequestError(f"the stream does not give earlier messages: {description(headers)}"))
        else:
            fields = parse(headers)
            at = read_time(fields["Nats-Time-Stamp"])
            self._found.append(Stored(int(fields["Nats-Sequence"]), fields["Nats-Subject"], at, payload))
