"""Faults by GET, for people and for tests in other processes: `/sim/control?do=mute`. On loopback only.

do=mute[&stream=btcusdt@trade]    send nothing            do=unmute
do=lose&stream=...[&count=1]      keep frames back        do=duplicate, do=reorder   likewise
do=drop[&code=1001]               end every connection    without code: TCP reset
do=refuse[&on=1]                  503 to new connections  on=0: no longer
do=stale_depth[&count=1]          old depth answers       do=fail_rest&status=429[&count=1][&retry_after_s=5]
do=shutdown[&close=1]             the serverShutdown notice
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from exchange_sim.faults import Controls
from exchange_sim.venue import HttpReply

_JSON: Final = {"Content-Type": "application/json"}
_Arguments: TypeAlias = Mapping[str, str]


def control(sim: Controls, query: str) -> HttpReply:
    """Do what the query asks for; 400 says what could have been asked."""
    arguments = dict(parse_qsl(query, keep_blank_values=True))
    command = _COMMANDS.get(arguments.get("do", ""))
    if command is None:
        return _refusal(f"expected do= one of {', '.join(sorted(_COMMANDS))}, found {arguments.get('do')!r}")
    try:
        command(sim, arguments)
    except KeyError as error:
        return _refusal(f"expected {error.args[0]}= beside do={arguments['do']}")
    except ValueError as error:
        return _refusal(str(error))
    return HttpReply(200, msgspec.json.encode({"ok": True, **arguments}), _JSON)


def _refusal(message: str) -> HttpReply:
    return HttpReply(400, msgspec.json.encode({"ok": False, "error": message}), _JSON)


def _count(arguments: _Arguments) -> int:
    return int(arguments.get("count", "1"))


def _mute(sim: Controls, arguments: _Arguments) -> None:
    sim.faults.mute([arguments["stream"]] if "stream" in arguments else None)


def _drop(sim: Controls, arguments: _Arguments) -> None:
    sim.drop(int(arguments["code"]) if "code" in arguments else None)


def _fail_rest(sim: Controls, arguments: _Arguments) -> None:
    wait_s = int(arguments["retry_after_s"]) if "retry_after_s" in arguments else None
    sim.fail_rest(int(arguments["status"]), _count(arguments), wait_s)


_COMMANDS: Final[dict[str, Callable[[Controls, _Arguments], None]]] = {
    "mute": _mute,
    "unmute": lambda sim, _: sim.faults.unmute(),
    "lose": lambda sim, given: sim.faults.lose(given["stream"], _count(given)),
    "duplicate": lambda sim, given: sim.faults.duplicate(given["stream"], _count(given)),
    "reorder": lambda sim, given: sim.faults.reorder(given["stream"], _count(given)),
    "drop": _drop,
    "refuse": lambda sim, given: sim.refuse(given.get("on", "1") != "0"),
    "stale_depth": lambda sim, given: sim.stale_depth(_count(given)),
    "fail_rest": _fail_rest,
    "shutdown": lambda sim, given: sim.server_shutdown(given.get("close", "0") == "1"),
}
