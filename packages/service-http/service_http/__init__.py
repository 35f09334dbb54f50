"""The HTTP server of a service: in its own event loop, with bounded connections, HEAD like GET."""

from service_http.gate import Gate
from service_http.head import HeadIsGet
from service_http.server import BadHostError, HttpServer, PortTakenError, listen

__all__ = ["BadHostError", "Gate", "HeadIsGet", "HttpServer", "PortTakenError", "listen"]
