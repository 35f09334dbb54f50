"""The HTTP API: health, metrics, latest state, features and signals, a stream, statistics; read-only, JSON."""

from senpai.md_consumer.http.app import create_app
from senpai.md_consumer.http.server import HttpServer
from senpai.md_consumer.http.views import Views
from service_http import BadHostError, PortTakenError

__all__ = ["BadHostError", "HttpServer", "PortTakenError", "Views", "create_app"]
