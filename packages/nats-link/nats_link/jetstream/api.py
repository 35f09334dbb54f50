"""Questions to the JetStream of a server: JSON there and back, and what its errors mean."""

import json
from typing import Any, Final

from nats_link.link import Link
from nats_link.requests import NoRespondersError, NotPermittedError

PREFIX: Final = "$JS.API."
TIMEOUT_S: Final = 5.0

NOT_ENABLED: Final = (10039, 10076)  # for the account, on the server
START_IT: Final = (
    "start it with JetStream (nats-server -js, 'make run', or NATS of the compose files), or set USE_JETSTREAM=false"
)


class StreamError(Exception):
    """JetStream cannot be used as it is; the text says what to do. Asking again does not help."""


class NoJetStreamError(StreamError):
    """The server, or this account of it, has no JetStream."""

    def __init__(self, url: str, found: str) -> None:
        super().__init__(f"NATS at {url} has no JetStream ({found}): {START_IT}")


class ApiError(Exception):
    """JetStream answered with an error; `err_code` is its number in the server's list: 10059 means no such stream."""

    def __init__(self, subject: str, code: int, err_code: int, description: str) -> None:
        self.subject = subject
        self.code = code
        self.err_code = err_code
        self.description = description
        super().__init__(f"{subject}: {description} (code {code}, {err_code})")


async def api_request(
    link: Link, subject: str, body: dict[str, Any] | None = None, timeout_s: float = TIMEOUT_S
) -> dict[str, Any]:
    """Ask `$JS.API.<subject>` and return the answer.

    Raises:
        ApiError: it is an error.
        NoJetStreamError: there is no JetStream to ask.
        NotPermittedError: this account may not ask that.
        RequestError: no answer; worth asking again.
    """
    payload = b"" if body is None else json.dumps(body).encode()
    try:
        reply = await link.request(PREFIX + subject, payload, timeout_s)
    except NoRespondersError:
        if link.server_info.get("jetstream") or not link.server_info:
            raise  # it has one, which has no leader now, or is still starting
        raise NoJetStreamError(link.url, "it was started without") from None
    answer: dict[str, Any] = json.loads(reply.payload)
    if (error := answer.get("error")) is not None:
        found = ApiError(subject, error.get("code", 0), error.get("err_code", 0), error.get("description", ""))
        if found.err_code in NOT_ENABLED:
            raise NoJetStreamError(link.url, found.description)
        raise found
    return answer


def forbidden(error: NotPermittedError, purpose: str) -> StreamError:
    """What to tell people when a permission is missing."""
    return StreamError(f"{error}, which is needed to {purpose}: grant it in the server's configuration, or {START_IT}")
