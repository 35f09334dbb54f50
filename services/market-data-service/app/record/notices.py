"""What the log says about reading the stream: each thing once, or once a minute."""

from typing import Any, Final

import structlog

SAY_EVERY_S: Final = 60.0

log: Final = structlog.get_logger("app")


class Notices:
    """Of one reader of one stream."""

    def __init__(self, stream: str, consumer: str) -> None:
        self._stream = stream
        self._consumer = consumer
        self._why = ""
        self._said_s = -SAY_EVERY_S
        self._others_said = False
        self._nothing_said = False

    def reading(self, behind: int) -> None:
        log.info("reading the stream", stream=self._stream, consumer=self._consumer, behind=behind)

    def waiting(self, why: str, now_s: float) -> None:
        """Nothing is read for now; the same reason is said at most once a minute. `now_s` only ever grows."""
        if why != self._why or now_s - self._said_s >= SAY_EVERY_S:
            self._why, self._said_s = why, now_s
            log.warning("waiting for JetStream", why=why, next="trying again by itself")

    def wanted(self, is_there: bool, holds: tuple[str, ...]) -> None:
        """Whether the stream takes anything that is wanted, and what it takes; that it takes nothing is said once."""
        if not is_there and not self._nothing_said:
            more: dict[str, Any] = {"holds": ",".join(holds), "next": "all is heard plainly"}
            log.info("nothing wanted is in the stream", stream=self._stream, **more)
        self._nothing_said = not is_there

    def stream_made_anew(self, unread: int) -> None:
        log.warning(
            "the stream was made anew",
            stream=self._stream,
            deleted_unread=f"at least {unread}",
            next="all that it holds is read; what was not read of the old one is a row in the table gap",
        )

    def others(self) -> None:
        """Somebody who asks for no lock reads with our consumer; said once."""
        if not self._others_said:
            self._others_said = True
            log.warning(
                "another process reads with this consumer",
                consumer=self._consumer,
                next="stop it, or give it a consumer of its own; until then this one reads again what that was given",
            )
