"""The command line: `python -m exchange_sim`."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from exchange_sim.market import MarketModel
from exchange_sim.server import PortTakenError
from exchange_sim.sim import ExchangeSim
from exchange_sim.sources import Source
from exchange_sim.tape import Tape, TapeError, Times

_FAILURE: Final = 1
_USAGE: Final = 2
_HELP: Final = """Play Binance, Bybit and Alpaca on one local port. Nothing it sends is real.

Without --tape it invents a market: calm most of the time, with a move of 0.3 to 0.5 % within ten seconds every minute
or two per symbol, the first after about half a minute. The same --seed invents the same market. Every venue has the
symbols that are shaped like its own: Binance and Bybit (spot and linear) the pairs such as BTCUSDT, both at the same
time, Alpaca the shares (--symbols AAPL,SPY) and coins (BTC/USD). A venue that none is for answers 404.

With --tape it plays recorded frames of Binance or Bybit, several files merged by time, as soon as a client has
subscribed. A slow client holds the tape up; nothing is dropped. The other venues answer 404.

Point a client at it as at Binance: ws://127.0.0.1:9443/stream?streams=btcusdt@trade for streams and
http://127.0.0.1:9443/api/v3/depth?symbol=BTCUSDT for REST; or as at Bybit: ws://127.0.0.1:9443/v5/public/spot (or
linear) and http://127.0.0.1:9443/v5/market/recent-trade?category=spot&symbol=BTCUSDT; or as at Alpaca, with any key and
secret: ws://127.0.0.1:9443/v2/iex (or /v2/sip, /v2/test for FAKEPACA, /v1beta3/crypto/us for coins). Ask
http://127.0.0.1:9443/sim/health how it is, and http://127.0.0.1:9443/sim/control?do=help what can be made to go wrong.
"""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=_HELP)
def run(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for WebSockets and GETs; 0: a free one.")] = 9443,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    symbols: Annotated[
        str, typer.Option(help="Of the invented market, with commas: pairs, shares (AAPL), coins (BTC/USD).")
    ] = "BTCUSDT,ETHUSDT",
    seed: Annotated[int, typer.Option(help="Chooses the invented market.")] = 1,
    rate: Annotated[float, typer.Option(min=0.1, help="Trades and quotes a second, all symbols together.")] = 200.0,
    tape: Annotated[
        list[Path] | None,
        typer.Option(help="Play this recorded file (hftbacktest or cryptofeed format, also .gz); repeatable."),
    ] = None,
    speed: Annotated[float, typer.Option(min=0, help="Of the tape: 2 is twice as fast, 0 as fast as it is read.")] = 1,
    times: Annotated[
        str, typer.Option(help="Of the tape's events: 'now' moves all by one offset to begin now, or 'original'.")
    ] = "now",
) -> None:
    try:
        source = _source(symbols, seed, rate, tape or [], speed, times)
        sim = ExchangeSim(source, host=host, port=port)
    except (TapeError, ValueError) as error:
        raise typer.Exit(_complain(str(error), _USAGE)) from None
    code = _run(_serve(sim, _describe(sim, source)))
    if code:
        raise typer.Exit(code)


def _source(symbols: str, seed: int, rate: float, tape: list[Path], speed: float, times: str) -> Source:
    if tape:
        moved: dict[str, Times] = {"now": "now", "original": "original"}
        if times not in moved:
            raise ValueError(f"expected --times now or original, found {times!r}")
        return Tape(tape, speed=speed, times=moved[times])
    wanted = [symbol.strip().upper() for symbol in symbols.split(",") if symbol.strip()]
    if not wanted:
        raise ValueError("expected at least one symbol in --symbols, such as BTCUSDT")
    return MarketModel(seed, wanted, rate)


def _describe(sim: ExchangeSim, source: Source) -> str:
    if isinstance(source, MarketModel):
        symbols = ", ".join(source.symbols)
        return f"an invented market of {symbols} (seed {source.seed}, about {source.rate:g} events/s)"
    if sim.contents is None or not isinstance(source, Tape):
        return "a script"
    contents = sim.contents
    seconds = (contents.last_ns - contents.first_ns) / 1e9
    pace = f"at speed {source.speed:g}" if source.speed else "as fast as it is read"
    times = "event times moved to now by one offset" if source.times == "now" else "original event times"
    return (
        f"a recording of {', '.join(sim.symbols)} on {', '.join(sim.venues)}, {contents.streams.total()} frames in "
        f"{seconds:.0f} s, {pace}, {times}; begins when a client has subscribed"
    )


def _example(sim: ExchangeSim) -> str:
    """Return paths to try."""
    if "binance" in sim.venues:
        return f"{sim.ws_url}/stream and {sim.rest_url}/api/v3/exchangeInfo"
    if "bybit" in sim.venues:
        return f"{sim.ws_url}/v5/public/spot and {sim.rest_url}/v5/market/time"
    return " and ".join(sim.ws_url + path for path in ("/v2/iex", "/v1beta3/crypto/us"))


def _settings(sim: ExchangeSim) -> str:
    """Return the settings of market-data-service that lead here."""
    return " or ".join(
        f"ALPACA_WS_URL={sim.ws_url} ALPACA_API_KEY=any ALPACA_API_SECRET=any"
        if name == "alpaca"
        else f"{name.upper()}_WS_URL={sim.ws_url} {name.upper()}_REST_URL={sim.rest_url}"
        for name in sim.venues
    )


async def _serve(sim: ExchangeSim, what: str) -> int:
    stop = asyncio.Event()
    if sys.platform != "win32":
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    try:
        async with sim:
            typer.echo(f"SIMULATION, no real exchange: {what}")
            typer.echo(f"listening on {_example(sim)}; Ctrl-C stops")
            typer.echo(f"next: start market-data-service with {_settings(sim)}, or look at {sim.rest_url}/sim/health")
            return await _until_stopped(sim, stop)
    except PortTakenError as error:
        return _complain(f"{error} with --port", _USAGE)
    except TapeError as error:
        return _complain(str(error), _FAILURE)


async def _until_stopped(sim: ExchangeSim, stop: asyncio.Event) -> int:
    async def announce_end() -> None:
        await sim.done.wait()
        typer.echo(f"the end: {sim.hub.sent_total} frames were sent; still answering, Ctrl-C stops")

    waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(sim.failed())]
    end = asyncio.ensure_future(announce_end())
    try:
        finished, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in finished:
            one.result()
    finally:
        for task in (*waits, end):
            task.cancel()
        await asyncio.gather(*waits, end, return_exceptions=True)
    return 0


def _complain(message: str, code: int) -> int:
    typer.echo(message, err=True)
    return code


def _run(serve: Coroutine[Any, Any, int]) -> int:
    if sys.platform == "win32":
        return asyncio.run(serve)
    import uvloop

    return uvloop.run(serve)


def main() -> None:
    """Run the command line."""
    app(prog_name="python -m exchange_sim")
