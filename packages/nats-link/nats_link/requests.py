"""Questions to NATS and their answers, over one inbox subscription that lasts as long as the link."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nats_link.headers import status

INBOX: Final = "_INBOX"
NO_RESPONDERS: Final = 503


class RequestError(Exception):
    """A question without an answer; most are worth asking again."""


class NotConnectedError(RequestError):
    """The link is not connected, or was cut before the answer."""


class NoRespondersError(RequestError):
    """Nobody listens on the subject: a service that is off, or a stream that has no leader now."""


class NoAnswerError(RequestError):
    """No answer in time."""


class NotPermittedError(RequestError):
    """The server forbids this account to ask; asking again does not help."""


@dataclass(frozen=True, slots=True)
class Reply:
    payload: bytes
    headers: bytes  # as they came; see `nats_link.headers`


def new_inbox() -> str:
    """Return a subject for answers that nobody else uses."""
    return f"{INBOX}.{secrets.token_hex(12)}"


class Requests:
    """The questions that wait for an answer."""

    def __init__(self, post: Callable[[str, bytes, str], bool]) -> None:
        """`post(subject, payload, reply)` sends one message, or returns False."""
        self._post = post
        self._inbox = new_inbox()
        self._asked = 0
        self._waiting: dict[str, tuple[str, asyncio.Future[Reply]]] = {}  # by reply subject, with what was asked

    @property
    def subject(self) -> str:
        """Where the answers come, as a pattern."""
        return f"{self._inbox}.*"

    async def ask(self, subject: str, payload: bytes, timeout_s: float) -> Reply:
        """Raises RequestError."""
        self._asked += 1
        reply_to = f"{self._inbox}.{self._asked}"
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[reply_to] = (subject, answer)
        try:
            if not self._post(subject, payload, reply_to):
                raise NotConnectedError(f"the question to {subject!r} cannot be sent now")
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise NoAnswerError(f"no answer from {subject!r} within {timeout_s:g} s") from None
        finally:
            del self._waiting[reply_to]

    def take(self, subject: str, _: str, headers: bytes, payload: bytes) -> None:
        """One answer; those that come too late are let go."""
        asked, answer = self._waiting.get(subject, ("", None))
        if answer is None or answer.done():
            return
        if status(headers) == NO_RESPONDERS:
            answer.set_exception(NoRespondersError(f"nobody answers on {asked!r}"))
        else:
            answer.set_result(Reply(payload, headers))

    def fail(self) -> None:
        """The connection is gone, and with it the answers."""
        self._end(lambda _: True, lambda asked: NotConnectedError(f"the connection ended before {asked!r} answered"))

    def forbid(self, text: str) -> None:
        """The server forbids something; `text` are its words, with the subject in quotes."""
        lowered = text.lower()
        self._end(
            lambda asked: f'"{asked.lower()}"' in lowered,
            lambda asked: NotPermittedError(f"NATS does not permit this account to publish to {asked!r}"),
        )

    def _end(self, concerns: Callable[[str], bool], why: Callable[[str], RequestError]) -> None:
        for asked, answer in self._waiting.values():
            if not answer.done() and concerns(asked):
                answer.set_exception(why(asked))
