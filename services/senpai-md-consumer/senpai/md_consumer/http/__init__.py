"""The HTTP API: health, metrics, latest state, features and statistics; read-only, JSON, errors too."""

from senpai.md_consumer.http.app import create_app
from senpai.md_consumer.http.server import HttpServer, PortTakenError
from senpai.md_consumer.http.views import Views

__all__ = ["HttpServer", "PortTakenError", "Views", "create_app"]
