"""The HTTP server of a service: in its own event loop, with bounded connections, HEAD like GET."""

from service_http.gate import Gate
from service_http.head import HeadIsGet
from service_http.server import HttpServer, PortTakenError, listen

__all__ = ["Gate", "HeadIsGet", "HttpServer", "PortTakenError", "listen"]
