"""Ask a local HTTP server; straight to 127.0.0.1, whatever proxy the environment names."""

from __future__ import annotations

import http.client
import json
from typing import Any

from ports import LOOPBACK

TIMEOUT_S = 1.0


class NoAnswerError(Exception):
    """Nobody answered in time, or not in HTTP."""


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body. Raises NoAnswerError."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswerError(f"no answer on port {port} ({type(error).__name__})") from error
    finally:
        connection.close()


def get_json(port: int, path: str) -> dict[str, Any]:
    """Body of a 200 answer. Raises NoAnswerError for anything else."""
    status, body = get(port, path)
    if status != http.client.OK:
        raise NoAnswerError(f"{path} answers {status}")
    try:
        parsed = json.loads(body)
    except ValueError as error:
        raise NoAnswerError(f"{path} answers no JSON") from error
    if not isinstance(parsed, dict):
        raise NoAnswerError(f"{path} answers {type(parsed).__name__}, not an object")
    return parsed


def not_ready(port: int, path: str) -> str | None:
    """None when `path` answers 200, else what it answers."""
    try:
        status, body = get(port, path)
    except NoAnswerError as error:
        return str(error)
    return None if status == http.client.OK else f"{path} answers {status} {' '.join(body.split())[:300]}"
