"""The stream that keeps the events: made by whichever service comes first, and never changed behind anybody's back."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from nats_link.headers import parse
from nats_link.jetstream.api import TIMEOUT_S, ApiError, StreamError, api_request, forbidden
from nats_link.jetstream.window import MESSAGE_ID
from nats_link.link import Link
from nats_link.requests import NoAnswerError, NotPermittedError

NS_PER_S: Final = 1_000_000_000

NO_SUCH_STREAM: Final = 10059
NAME_TAKEN: Final = 10058  # somebody else made it meanwhile, with other limits
SUBJECTS_TAKEN: Final = 10065
NO_ROOM: Final = (10023, 10028, 10047)  # resources, memory, storage
TEMPORARY: Final = (10008, 10009)  # the cluster has no leader now

ACK_MEANS: Final = (
    "the server has the message and its operating system was given it: it outlives a crash of the server, and a power"
    " cut once the server's sync_interval (1 s in our configurations, 2 minutes by default) has passed"
)


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How the stream is made when there is none. What goes beyond a limit is deleted, oldest first."""

    name: str = "MD_EVENTS"
    subjects: tuple[str, ...] = ("md.events.>",)
    max_age_s: float = 3600.0
    max_bytes: int = 1 << 30
    duplicate_window_s: float = 120.0  # how long the server remembers ids; longer takes more of its memory
    replicas: int = 1

    def config(self) -> dict[str, Any]:
        """The stream's configuration in the server's own words."""
        return {
            "name": self.name,
            "subjects": list(self.subjects),
            "retention": "limits",
            "storage": "file",
            "discard": "old",
            "max_age": round(self.max_age_s * NS_PER_S),
            "max_bytes": self.max_bytes,
            "duplicate_window": round(min(self.duplicate_window_s, self.max_age_s) * NS_PER_S),
            "num_replicas": self.replicas,
            "allow_direct": True,
        }


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What was found, or made."""

    created: bool
    config: dict[str, Any]
    state: dict[str, Any]
    differences: list[str] = field(default_factory=list)  # from what we would have made; the stream is left as it is


async def ensure_stream(link: Link, options: StreamOptions, timeout_s: float = TIMEOUT_S) -> StreamReport:
    """Find the stream or make it; several services may do so at once.

    An existing stream is left as it is: other limits are reported, missing subjects are an error.

    Raises:
        StreamError: it cannot be had; the text says what to do.
        RequestError: NATS is away, has no leader, or does not answer; worth trying again.
    """
    try:
        return _found(await _info(link, options, timeout_s), options)
    except ApiError as error:
        if error.err_code != NO_SUCH_STREAM:
            raise await _explained(link, error, options, timeout_s) from None
    except NotPermittedError as error:
        raise forbidden(error, f"look for the stream {options.name}") from None
    try:
        made = await api_request(link, f"STREAM.CREATE.{options.name}", options.config(), timeout_s)
        return StreamReport(True, made["config"], made["state"])
    except ApiError as error:
        if error.err_code != NAME_TAKEN:
            raise await _explained(link, error, options, timeout_s) from None
        return _found(await _info(link, options, timeout_s), options)
    except NotPermittedError as error:
        raise forbidden(error, f"make the stream {options.name}, which does not exist yet") from None


async def last_message_id(link: Link, stream: str, subject: str, timeout_s: float = TIMEOUT_S) -> str | None:
    """Return the id of the newest message of a subject; None when it has none, or this account may not look.

    Raises:
        RequestError: no answer; worth trying again.
    """
    try:
        answer = await api_request(link, f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject}, timeout_s)
    except (ApiError, NotPermittedError):
        return None
    block = base64.b64decode(answer["message"].get("hdrs", ""))
    return parse(block).get(MESSAGE_ID)


def covers(pattern: str, subject: str) -> bool:
    """Tell whether everything that matches `subject`, which may hold wildcards, matches `pattern` as well."""
    ours, theirs = pattern.split("."), subject.split(".")
    for at, part in enumerate(ours):
        if part == ">":
            return len(theirs) > at
        if at >= len(theirs) or theirs[at] == ">" or (part not in ("*", theirs[at])):
            return False
    return len(ours) == len(theirs)


async def _info(link: Link, options: StreamOptions, timeout_s: float) -> dict[str, Any]:
    return await api_request(link, f"STREAM.INFO.{options.name}", None, timeout_s)


def _found(info: dict[str, Any], options: StreamOptions) -> StreamReport:
    config: dict[str, Any] = info["config"]
    name = options.name
    taken = config.get("subjects") or []
    if missing := [subject for subject in options.subjects if not any(covers(one, subject) for one in taken)]:
        wanted = ",".join([*taken, *missing])
        raise StreamError(
            f"the stream {name} exists and takes {', '.join(taken) or 'nothing'}, not {', '.join(missing)}: "
            f"add that (nats stream edit {name} --subjects='{wanted}'), or delete the stream (nats stream rm {name})"
        )
    if config.get("no_ack"):
        raise StreamError(
            f"the stream {name} exists and acknowledges nothing (no_ack): delete it (nats stream rm {name})"
        )
    return StreamReport(False, config, info["state"], list(_differences(config, options.config())))


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> Iterable[str]:
    for key in wanted.keys() - {"name", "subjects"}:
        value = found.get(key, False if wanted[key] is True else None)
        if value != wanted[key]:
            yield f"{key} is {value}, not {wanted[key]}"


async def _explained(link: Link, error: ApiError, options: StreamOptions, timeout_s: float) -> Exception:
    """The server's refusal as something that people can act on."""
    name = options.name
    if error.err_code in TEMPORARY:
        return NoAnswerError(str(error))
    if error.err_code == SUBJECTS_TAKEN:
        others = ", ".join(await _holders(link, options, timeout_s)) or "another one"
        return StreamError(
            f"the stream {name} cannot be made: {', '.join(options.subjects)} belongs to the stream {others} already; "
            f"delete that one (nats stream rm), or take the subject out of it (nats stream edit)"
        )
    if error.err_code in NO_ROOM:
        return StreamError(
            f"the stream {name} cannot be made, NATS has no room for {options.max_bytes} bytes ({error.description}): "
            "lower JETSTREAM_MAX_BYTES, or raise max_file_store of the server's configuration"
        )
    return StreamError(f"the stream {name} cannot be used: {error.description} (JetStream error {error.err_code})")


async def _holders(link: Link, options: StreamOptions, timeout_s: float) -> list[str]:
    try:
        answer = await api_request(link, "STREAM.NAMES", {"subject": options.subjects[0]}, timeout_s)
    except (ApiError, NotPermittedError):
        return []
    return list(answer.get("streams") or [])
