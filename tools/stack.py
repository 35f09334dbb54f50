"""Run the whole path on this machine: NATS, an exchange, market-data-service, senpai-md-consumer.

    python tools/stack.py                                             against the simulated exchange
    python tools/stack.py --provider binance --symbols BTCUSDT        against the live exchange

`make run` calls this. Every option can be given by the environment as well (PROVIDER, SYMBOLS, CONSUMER_PORT ...).
Ctrl-C stops producer, consumer, simulator and NATS in that order.

Exit codes: 0 stopped as asked, 1 something failed (the last line says what), 2 cannot start (a port is taken).
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import sysconfig
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import ticker
from http_json import not_ready
from ports import LOOPBACK, why_not_free
from runner import Process, Runner

ROOT = Path(__file__).resolve().parent.parent
NATS, SIMULATOR, PRODUCER, CONSUMER = "nats-server", "exchange-sim", "market-data-service", "senpai-md-consumer"
STOP_ORDER = (PRODUCER, CONSUMER, SIMULATOR, NATS)
PORTS = {
    "NATS_PORT": (4222, NATS),
    "NATS_MONITOR_PORT": (8222, f"{NATS} monitoring"),
    "SIM_PORT": (9443, SIMULATOR),
    "PRODUCER_PORT": (8891, PRODUCER),
    "CONSUMER_PORT": (8892, CONSUMER),
}


def tidy(symbols: str) -> str:
    return ",".join(symbol.strip().upper() for symbol in symbols.split(",") if symbol.strip())


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Run NATS, an exchange and both services until Ctrl-C.",
        epilog="every option can also be given by the environment: PROVIDER, SYMBOLS, " + ", ".join(PORTS),
    )
    of = os.environ.get
    parser.add_argument("--provider", default=of("PROVIDER") or None, help="live exchange; without it: the simulator")
    parser.add_argument(
        "--symbols", type=tidy, default=of("SYMBOLS") or "BTCUSDT,ETHUSDT", help="comma separated (%(default)s)"
    )
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="folder of the stores (data/)")
    parser.add_argument("--look-every", type=float, default=5.0, metavar="S", help="0: no live lines (%(default)s)")
    for variable, (port, owner) in PORTS.items():
        option = "--" + variable.lower().replace("_", "-")
        parser.add_argument(option, type=int, default=of(variable) or port, metavar="N", help=f"{owner} (%(default)s)")
    return parser.parse_args(arguments)


def taken_ports(options: argparse.Namespace) -> list[str]:
    """One line for each port that we cannot have."""
    lines = []
    owners: dict[int, str] = {}
    for variable, (usual, owner) in PORTS.items():
        port = getattr(options, variable.lower())
        if variable == "SIM_PORT" and options.provider:
            continue
        why = f"is wanted by {owners[port]} too" if port in owners else why_not_free(port)
        owners[port] = owner
        if why:
            lines.append(
                f"port {port} for {owner} {why}: choose another with make run {variable}={usual + 10000}, "
                f"or see who has it with lsof -i :{port}"
            )
    return lines


def nats_server(options: argparse.Namespace) -> Process:
    binary = Path(sysconfig.get_path("scripts")) / "nats-server"
    command = [str(binary), "--config", str(ROOT / "deploy/nats/nats.conf"), "--addr", LOOPBACK]
    command += ["--port", str(options.nats_port), "--http_port", str(options.nats_monitor_port)]
    command += ["--store_dir", str(options.data / "nats")]
    is_healthy = partial(not_ready, options.nats_monitor_port, "/healthz")
    return Process(NATS, command, is_healthy, cwd=ROOT, hidden="[INF]")


def simulator(options: argparse.Namespace) -> Process:
    command = [sys.executable, "-m", "exchange_sim", "--port", str(options.sim_port), "--symbols", options.symbols]
    is_healthy = partial(not_ready, options.sim_port, "/sim/health")
    return Process(SIMULATOR, command, is_healthy, cwd=ROOT, hidden="next: start")  # which is what comes next here


def service(name: str, port: int, arguments: Sequence[str], environment: dict[str, str]) -> Process:
    return Process(
        name,
        [sys.executable, "-m", *arguments],
        partial(not_ready, port, "/health"),
        cwd=ROOT / "services" / name,
        environment={"HTTP_HOST": LOOPBACK, "HTTP_PORT": str(port), **environment},
        ready_within_s=12,
        may_lag=True,
    )


def processes(options: argparse.Namespace) -> list[Process]:
    """Everything to run, in the order of starting."""
    link = {"NATS_URL": f"nats://{LOOPBACK}:{options.nats_port}"}
    spill = "spill" if options.provider else "spill-simulated"  # what is not real must never follow what is
    feed = {**link, "NATS_ENABLED": "true", "SPILL_DIR": str(options.data / spill)}
    feed["STORAGE_URL"] = storage_url(options)
    if not options.provider:
        for venue in ("BINANCE", "BYBIT"):  # the simulator is both, so BACKUP=bybit works as well
            feed[f"{venue}_WS_URL"] = f"ws://{LOOPBACK}:{options.sim_port}"
            feed[f"{venue}_REST_URL"] = f"http://{LOOPBACK}:{options.sim_port}"
    run = ["app", "run", "--provider", options.provider or "binance", "--symbols", options.symbols]
    return [
        nats_server(options),
        *([] if options.provider else [simulator(options)]),
        service(CONSUMER, options.consumer_port, ["senpai.md_consumer"], link),  # first, so that it misses nothing
        service(PRODUCER, options.producer_port, run, feed),
    ]


def storage_url(options: argparse.Namespace) -> str:
    """Where events are stored: what the environment says, else a file, another one for what is not real."""
    file = "market.db" if options.provider else "market-simulated.db"
    return os.environ.get("STORAGE_URL", f"sqlite+aiosqlite:///{(options.data / file).resolve()}")


def where_to_look(options: argparse.Namespace) -> list[str]:
    symbol = options.symbols.split(",")[0]
    consumer, producer = (f"http://{LOOPBACK}:{port}" for port in (options.consumer_port, options.producer_port))
    source = f"LIVE data of {options.provider}" if options.provider else "SIMULATED data: no price here is real"
    return [
        f"everything runs on {source}; Ctrl-C stops it. In another terminal:",
        f'  features   curl -s "{consumer}/features/latest?symbol={symbol}"',
        f'  state      curl -s "{consumer}/state/latest?symbol={symbol}"',
        f'  signals    curl -s "{consumer}/signals/latest?symbol={symbol}"',
        f"  statistics curl -s {consumer}/stats",
        f"  health     curl -s {consumer}/health",
        f"  producer   curl -s {producer}/health   (also /bus-stats, /metrics)",
        *([] if "STORAGE_URL" in os.environ else [f"  recorded   {recorded(options)}"]),
    ]


def recorded(options: argparse.Namespace) -> str:
    """The command that asks the store."""
    symbol = options.symbols.split(",")[0]
    url, python = shlex.quote(storage_url(options)), shlex.quote(sys.executable)
    return f"STORAGE_URL={url} {python} -m app query trades --symbol {symbol} --since 10m"


def main() -> int:
    options = parse()
    complaints = taken_ports(options)
    for line in complaints:
        print(line, file=sys.stderr)
    if complaints:
        return 2
    options.data.mkdir(parents=True, exist_ok=True)
    runner = Runner(processes(options), STOP_ORDER)

    def when_up() -> None:
        for line in where_to_look(options):
            runner.say(line)
        if options.look_every > 0:
            ticker.start(
                options.consumer_port, options.symbols.split(","), runner.say, options.look_every, runner.stopping
            )

    return runner.run(when_up)


if __name__ == "__main__":
    sys.exit(main())
