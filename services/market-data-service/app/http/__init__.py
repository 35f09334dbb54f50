"""The HTTP side: health, metrics, the ledger and the choice of provider, served in the service's own event loop."""

from app.http.api import ENDPOINTS, create_app
from app.http.describe import Parts, describe_bus, describe_health, describe_providers
from app.http.order import OrderRules
from service_http import BadHostError, HttpServer, PortTakenError, listen

__all__ = [
    "ENDPOINTS",
    "BadHostError",
    "HttpServer",
    "OrderRules",
    "Parts",
    "PortTakenError",
    "create_app",
    "describe_bus",
    "describe_health",
    "describe_providers",
    "listen",
]
