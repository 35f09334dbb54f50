"""nats-py's client that would rather not connect than do it in the open."""

from nats.aio.client import Client
from nats.errors import Error

from nats_link.access import Access


class NoTlsError(Error):
    """TLS is wanted, and the server does not speak it."""

    def __str__(self) -> str:
        return "TLS is wanted (tls://) and the server does not speak it"


class SafeClient(Client):
    """A server tells in its first line whether it speaks TLS, and nats-py believes it: whoever sits in between could
    have everything sent in the open. Here nothing is sent then, neither a name nor a password.
    """

    def __init__(self, access: Access) -> None:
        super().__init__()
        self._must_encrypt = access.tls is not None

    def _connect_command(self) -> bytes:
        if self._must_encrypt and not self._server_info.get("tls_required"):
            raise NoTlsError
        return super()._connect_command()
