"""Fixtures that several packages use."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from nats_link.testing import NatsServer

# How long an example takes says more about the machine than about the code; the first text of a fresh clone, whose
# Unicode tables are still to be made, takes a second.
settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")

RECORDINGS = Path(__file__).resolve().parent.parent / "shared" / "data"


@pytest.fixture
def nats_server() -> Iterator[NatsServer]:
    """A fresh nats-server with JetStream on 127.0.0.1 and a free port."""
    with NatsServer() as server:
        yield server


@pytest.fixture
def recordings() -> Path:
    """The folder of recorded market data, beside the repository; the test is skipped where it is absent."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"no recordings here: expected the folder {RECORDINGS}")
    return RECORDINGS
