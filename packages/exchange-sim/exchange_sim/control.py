"""Faults by GET, for people and for tests in other processes: `/sim/control?do=mute`. On loopback only.

do=mute[&stream=btcusdt@trade][&venue=binance]   send nothing; of a venue, of a stream, or at all
do=unmute[&venue=...]                            end every silence
do=lose&stream=...[&count=1]                     keep frames back; likewise do=duplicate, do=reorder
do=drop[&code=1001][&venue=...]                  end every connection; without code: TCP reset
do=refuse[&on=1][&venue=...]                     503 to new connections and GETs; on=0: no longer
do=fail_rest&status=429[&count=1][&retry_after_s=5][&venue=...]
do=burst&symbol=BTCUSDT&count=2500               one order that trades that often at one instant
Binance: do=stale_depth[&count=1]                old depth answers
         do=shutdown[&close=1]                   the serverShutdown notice
Bybit:   do=resend&stream=spot:orderbook.50.BTCUSDT          a snapshot in mid-stream
         do=restart&stream=...[&kind=delta]                  the whole book with u = 1
         do=delete_absent&stream=...[&count=1]               deltas that delete a level that is not there
         do=spoil_acks&how=refused[&count=1]                 or missing, hollow, foreign, cut, late
         do=reorder_keys, do=text_times, do=option_pongs     [&on=1] on=0: no longer
Alpaca:  do=refuse_logins[&code=402][&count=1]               all of them without count
         do=accept_logins
         do=limit_symbols[&count=30]                         405 beyond so many a channel; without count: no limit
         do=withhold_feed[&on=1]                             409; on=0: no longer
         (each of them also for one endpoint:                &endpoint=/v2/iex)
         do=slow_client                                      407, then dropped
         do=cancel&symbol=AAPL, do=correct&symbol=AAPL       of the last trade
         do=begin_again&symbol=BTC/USD                       the whole book (r is true) in mid-stream
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


def _on(arguments: _Arguments) -> bool:
    return arguments.get("on", "1") != "0"


def _mute(sim: Controls, arguments: _Arguments) -> None:
    sim.faults.mute([arguments["stream"]] if "stream" in arguments else None, venue=arguments.get("venue"))


def _drop(sim: Controls, arguments: _Arguments) -> None:
    sim.drop(int(arguments["code"]) if "code" in arguments else None, venue=arguments.get("venue"))


def _fail_rest(sim: Controls, arguments: _Arguments) -> None:
    wait_s = int(arguments["retry_after_s"]) if "retry_after_s" in arguments else None
    sim.fail_rest(int(arguments["status"]), _count(arguments), wait_s, venue=arguments.get("venue"))


def _refuse_logins(sim: Controls, arguments: _Arguments) -> None:
    code = int(arguments.get("code", "402"))
    sim.alpaca.refuse_logins(code, _some(arguments), endpoint=arguments.get("endpoint"))


def _some(arguments: _Arguments) -> int | None:
    return int(arguments["count"]) if "count" in arguments else None


def _slow_client(sim: Controls, _arguments: _Arguments) -> None:
    sim.alpaca.slow_client()


_COMMANDS: Final[dict[str, Callable[[Controls, _Arguments], None]]] = {
    "mute": _mute,
    "unmute": lambda sim, given: sim.faults.unmute(venue=given.get("venue")),
    "lose": lambda sim, given: sim.faults.lose(given["stream"], _count(given)),
    "duplicate": lambda sim, given: sim.faults.duplicate(given["stream"], _count(given)),
    "reorder": lambda sim, given: sim.faults.reorder(given["stream"], _count(given)),
    "drop": _drop,
    "refuse": lambda sim, given: sim.refuse(_on(given), venue=given.get("venue")),
    "stale_depth": lambda sim, given: sim.stale_depth(_count(given)),
    "fail_rest": _fail_rest,
    "shutdown": lambda sim, given: sim.server_shutdown(given.get("close", "0") == "1"),
    "burst": lambda sim, given: sim.burst(given["symbol"], int(given["count"])),
    "resend": lambda sim, given: sim.bybit.resend(given["stream"]),
    "restart": lambda sim, given: sim.bybit.restart(given["stream"], given.get("kind", "snapshot")),
    "delete_absent": lambda sim, given: sim.bybit.delete_absent(given["stream"], _count(given)),
    "spoil_acks": lambda sim, given: sim.bybit.spoil_acks(given["how"], _count(given)),
    "reorder_keys": lambda sim, given: sim.bybit.reorder_keys(_on(given)),
    "text_times": lambda sim, given: sim.bybit.text_times(_on(given)),
    "option_pongs": lambda sim, given: sim.bybit.option_pongs(_on(given)),
    "refuse_logins": _refuse_logins,
    "accept_logins": lambda sim, given: sim.alpaca.accept_logins(endpoint=given.get("endpoint")),
    "limit_symbols": lambda sim, given: sim.alpaca.limit_symbols(_some(given), endpoint=given.get("endpoint")),
    "withhold_feed": lambda sim, given: sim.alpaca.withhold_feed(_on(given), endpoint=given.get("endpoint")),
    "slow_client": _slow_client,
    "cancel": lambda sim, given: sim.alpaca.cancel(given["symbol"]),
    "correct": lambda sim, given: sim.alpaca.correct(given["symbol"]),
    "begin_again": lambda sim, given: sim.alpaca.begin_again(given["symbol"]),
}
