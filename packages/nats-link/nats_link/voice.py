"""What the link tells people: one line for an outage, one for its end, one for the first trouble of each kind."""

import structlog

from nats_link.address import Address, redact
from nats_link.reason import is_credentials, outage_message


class Voice:
    """Counts every error, and logs those that are news."""

    def __init__(self, address: Address) -> None:
        self.errors = 0
        self.last_error: str | None = None
        self._address = address
        self._log = structlog.get_logger("nats_link", nats=str(address))
        self._connects = 0
        self._lost_because: str | None = None
        self._said: set[str] = set()  # since the link exists
        self._said_of_outage: set[bool] = set()

    def trouble(self, kind: str, text: str) -> None:
        """Something went wrong beside the connection itself."""
        self._count(text)
        if kind not in self._said:
            self._said.add(kind)
            self._log.warning("trouble on the link to NATS, said once for each kind", kind=kind, found=self.last_error)

    def unreachable(self, reason: str) -> None:
        """One more attempt to connect has failed."""
        self._count(reason)
        refused = is_credentials(reason)
        if refused not in self._said_of_outage:
            self._said_of_outage.add(refused)
            self._log.warning(outage_message(self._address, reason))

    def connected(self, after_s: float, *, fast: bool) -> None:
        """A connection stands, `after_s` seconds after the last one ended or the link began."""
        self._connects += 1
        if self._lost_because is not None:
            self._log.info("NATS is back", after_s=round(after_s, 1), lost_because=self._lost_because)
        elif self._said_of_outage:
            self._log.info("NATS is there", after_s=round(after_s, 1))
        else:
            self._log.info("connected to NATS")
        self._said_of_outage.clear()
        self._lost_because = None
        if not fast and "plain" not in self._said:
            self._said.add("plain")
            self._log.warning("this version of nats-py has no known fast path: its own and slower one is used")

    def lost(self, reason: str) -> None:
        """The connection that stood has ended unasked."""
        self._count(reason)
        self._lost_because = self.last_error

    def closed(self, lost: int) -> None:
        """The link has ended; `lost` messages were accepted and never sent."""
        if lost:
            self._log.warning("the link to NATS closed before everything was sent", messages_lost=lost)

    def _count(self, text: str) -> None:
        self.errors += 1
        self.last_error = redact(text)
