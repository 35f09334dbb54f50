"""What can go wrong, and what to do then.

ClientError
├── NotOpenError       the client is used outside its `async with`
└── NotConnectedError  NATS was not there from the beginning (later the client connects again by itself)
"""


class ClientError(RuntimeError):
    """Every error of the client."""


class NotOpenError(ClientError):
    def __init__(self) -> None:
        super().__init__("the client is not open: use it within `async with Client(...) as client:`")


class NotConnectedError(ClientError):
    def __init__(self, url: str, waited_s: float, why: str | None) -> None:
        self.url = url
        said = f" ({why})" if why else ""
        super().__init__(
            f"no connection to NATS at {url} within {waited_s:g} s{said}: start it, or give Client() its URL; "
            "connect_timeout_s=None waits for ever"
        )
