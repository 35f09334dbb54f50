"""Consumers of a stream: the durable one that knows what was worked off, short-lived ones for reading again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from nats_link.jetstream.api import ApiError, StreamError, api_request, forbidden
from nats_link.jetstream.stamp import NS_PER_S, read_time, write_time
from nats_link.link import Link
from nats_link.requests import NotPermittedError

NO_SUCH_CONSUMER: Final = 10014
NO_SUCH_MESSAGE: Final = 10037
REPLAY_IDLE_S: Final = 30.0  # after so long without a pull the server forgets a consumer for reading again


@dataclass(frozen=True, slots=True)
class DurableOptions:
    """How the durable consumer is made. Acknowledging a message acknowledges all before it."""

    name: str
    stream: str = "MD_EVENTS"
    max_ack_pending: int = 20_000  # messages given out and not acknowledged; more are not given
    ack_wait_s: float = 30.0
    called: str = "JETSTREAM_DURABLE"  # where people choose the name

    def config(self, start_seq: int) -> dict[str, Any]:
        """The consumer's configuration in the server's own words; it begins at `start_seq`."""
        return {
            "name": self.name,
            "durable_name": self.name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": start_seq,
            "ack_policy": "all",
            "ack_wait": round(self.ack_wait_s * NS_PER_S),
            "max_ack_pending": self.max_ack_pending,
            "max_deliver": -1,
        }


@dataclass(frozen=True, slots=True)
class Durable:
    """Where a durable consumer stands."""

    created: bool  # just now, by us
    floor: int  # every message up to this one was acknowledged
    delivered: int  # the last message that was given out
    delivered_consumer_seq: int
    pending: int  # messages not given out yet
    waiting: int  # open pull requests
    made: str  # when, in the server's words: another one of this name was made at another time


@dataclass(frozen=True, slots=True)
class StreamState:
    first_seq: int
    last_seq: int
    server_ns: int  # what the server's clock showed; 0: an old server that does not say
    made: str  # when, in the server's words


async def stream_state(link: Link, stream: str) -> StreamState:
    """Raises what `api_request` raises."""
    info = await _ask(link, f"STREAM.INFO.{stream}", None, f"look at the stream {stream}")
    state = info["state"]
    server_ns = read_time(info["ts"]) if "ts" in info else 0
    return StreamState(state["first_seq"], state["last_seq"], server_ns, info["created"])


async def find_durable(link: Link, options: DurableOptions) -> Durable | None:
    """The consumer as it stands; None when there is none.

    Raises:
        StreamError: there is one of this name that is made for something else; the text says what to do.
        RequestError: no answer; worth asking again.
    """
    purpose = f"look for the consumer {options.name}"
    try:
        info = await _ask(link, f"CONSUMER.INFO.{options.stream}.{options.name}", None, purpose)
    except ApiError as error:
        if error.err_code == NO_SUCH_CONSUMER:
            return None
        raise
    config = info["config"]
    wrong = [
        f"{key} is {found}, not {wanted}"
        for key, wanted, found in (
            ("ack_policy", "all", config.get("ack_policy")),
            ("deliver_subject", "empty", config.get("deliver_subject") or "empty"),
            ("filter_subject", "empty", config.get("filter_subject") or "empty"),
        )
        if found != wanted
    ]
    if wrong:
        raise StreamError(
            f"the consumer {options.name} of the stream {options.stream} exists and was made for something else "
            f"({'; '.join(wrong)}): set {options.called} to another name, or delete it "
            f"(nats consumer rm {options.stream} {options.name})"
        )
    return _durable(info, created=False)


async def make_durable(link: Link, options: DurableOptions, start_seq: int) -> Durable:
    """Make the consumer so that `start_seq` is the first message it gives out. Raises as `find_durable`."""
    body = {"stream_name": options.stream, "config": options.config(start_seq), "action": "create"}
    purpose = f"make the consumer {options.name}"
    info = await _ask(link, f"CONSUMER.CREATE.{options.stream}.{options.name}", body, purpose)
    return _durable(info, created=True)


async def remove_consumer(link: Link, stream: str, name: str) -> None:
    """Delete a consumer; it is all right when there is none. Raises as `find_durable`."""
    try:
        await _ask(link, f"CONSUMER.DELETE.{stream}.{name}", None, f"delete the consumer {name}")
    except ApiError as error:
        if error.err_code != NO_SUCH_CONSUMER:
            raise


@asynccontextmanager
async def replay_consumer(
    link: Link, stream: str, name: str, *, start_seq: int = 0, start_ns: int = 0
) -> AsyncIterator[int]:
    """A consumer that reads without acknowledging, from a message on or from a time on; gives the number of messages
    there are. It is deleted in the end, and by the server when it is forgotten. Raises as `find_durable`.
    """
    start: dict[str, Any] = {"deliver_policy": "by_start_time", "opt_start_time": write_time(start_ns)}
    if start_seq:
        start = {"deliver_policy": "by_start_sequence", "opt_start_seq": start_seq}
    config = {
        "name": name,
        **start,
        "ack_policy": "none",
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": round(REPLAY_IDLE_S * NS_PER_S),
    }
    body = {"stream_name": stream, "config": config, "action": "create"}
    info = await _ask(link, f"CONSUMER.CREATE.{stream}.{name}", body, "read the stream again from an earlier message")
    try:
        yield int(info["num_pending"])
    finally:
        link.post(f"$JS.API.CONSUMER.DELETE.{stream}.{name}", b"")


async def message_time(link: Link, stream: str, seq: int, *, or_next: str = "") -> int | None:
    """When a message was stored, ns; None when there is none of that number.

    or_next: with a subject, the next message there is on it counts as well.
    """
    body: dict[str, Any] = {"seq": seq} | ({"next_by_subj": or_next} if or_next else {})
    try:
        answer = await _ask(link, f"STREAM.MSG.GET.{stream}", body, f"read single messages of the stream {stream}")
    except ApiError as error:
        if error.err_code == NO_SUCH_MESSAGE:
            return None
        raise
    return read_time(answer["message"]["time"])


async def next_message(link: Link, stream: str, seq: int) -> int | None:
    """The number of the first message there is from `seq` on; None when there is none. Raises as `find_durable`."""
    body = {"seq": seq, "next_by_subj": ">"}
    try:
        answer = await _ask(link, f"STREAM.MSG.GET.{stream}", body, f"read single messages of the stream {stream}")
    except ApiError as error:
        if error.err_code == NO_SUCH_MESSAGE:
            return None
        raise
    return int(answer["message"]["seq"])


async def _ask(link: Link, subject: str, body: dict[str, Any] | None, purpose: str) -> dict[str, Any]:
    try:
        return await api_request(link, subject, body)
    except NotPermittedError as error:
        raise forbidden(error, purpose) from None


def _durable(info: dict[str, Any], *, created: bool) -> Durable:
    delivered, floor = info["delivered"], info["ack_floor"]
    return Durable(
        created,
        floor["stream_seq"],
        delivered["stream_seq"],
        delivered["consumer_seq"],
        info["num_pending"],
        info["num_waiting"],
        info["created"],
    )
