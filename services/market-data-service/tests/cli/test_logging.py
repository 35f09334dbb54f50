"""The log: one line an event, whatever the text in it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from app.cli import configure_logging

HOSTILE = "a\nlevel=error event=forged \x1b[2J\u2028\x00 end"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("app", "nats_link"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_hostile_text_stays_on_its_line(log_format: str, stream: type[io.StringIO]) -> None:
    out = stream()
    configure_logging("INFO", log_format, out)
    log = structlog.get_logger("app.feed")
    log.warning("frame set aside", sample=HOSTILE, nested={"text": HOSTILE})
    log.info(HOSTILE, **{"key": HOSTILE})
    try:
        int(HOSTILE)
    except ValueError:
        log.exception("failed")
    logging.getLogger("uvicorn.error").error("from a library: %s", HOSTILE)
    lines = out.getvalue().split("\n")
    assert lines.pop() == ""
    assert len(lines) == 4
    for line in lines:
        assert "\u2028" not in line
        assert "\x00" not in line
        assert "\x1b[2J" not in line


def test_json_lines_are_json_with_level_time_and_fields() -> None:
    out = io.StringIO()
    configure_logging("INFO", "json", out)
    structlog.get_logger("app").info("started", symbols=2)
    entry = json.loads(out.getvalue())
    assert (entry["event"], entry["level"], entry["symbols"]) == ("started", "info", 2)
    assert entry["timestamp"].endswith("Z")


def test_off_a_terminal_lines_are_key_value() -> None:
    out = io.StringIO()
    configure_logging("INFO", "console", out)
    structlog.get_logger("app").info("sockets closed", queued=0)
    assert out.getvalue().endswith(' level=info event="sockets closed" queued=0\n')


def test_libraries_speak_from_warning_up_and_we_from_the_level_set() -> None:
    out = io.StringIO()
    configure_logging("DEBUG", "console", out)
    logging.getLogger("uvicorn.error").info("chatter")
    structlog.get_logger("app.feed").debug("detail")
    structlog.get_logger("nats_link").debug("of the link")
    assert [line.partition("event=")[2] for line in out.getvalue().splitlines()] == ["detail", '"of the link"']
