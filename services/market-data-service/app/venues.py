"""From settings to providers: which ones this run has, what each is given, and where each connects to."""

from app.liveness.pairing import refuse_backup
from app.providers import PROVIDERS, Provider, ProviderOptions, UnknownProviderError
from app.providers import make_provider as make
from app.providers.alpaca import Credentials
from app.settings import BadSettingsError, Settings

ALPACA_REST_URL = "https://data.alpaca.markets"  # nothing is fetched from it: every REST call there needs the keys


def endpoints(settings: Settings, name: str) -> tuple[str, str]:
    """Where the provider of this name is reached: WebSocket and REST."""
    return {
        "alpaca": (settings.alpaca_ws_url, ALPACA_REST_URL),
        "binance": (settings.binance_ws_url, settings.binance_rest_url),
        "bybit": (settings.bybit_ws_url, settings.bybit_rest_url),
        "bybit_linear": (settings.bybit_ws_url, settings.bybit_rest_url),
    }[name]


def make_provider(settings: Settings, name: str) -> Provider:
    """A new provider, with what the settings choose for it.

    Raises:
        UnknownProviderError: there is none of that name.
        BadSettingsError: it cannot work with these settings.
    """
    key, secret = settings.read_secret("alpaca_api_key"), settings.read_secret("alpaca_api_secret")
    try:
        options = ProviderOptions(
            bybit_orderbook_depth=settings.bybit_orderbook_depth,
            alpaca_feed=settings.alpaca_feed,
            alpaca_credentials=Credentials(key, secret) if key and secret else None,
        )
        return make(name, options)
    except UnknownProviderError:
        raise
    except ValueError as error:
        raise BadSettingsError([f"PROVIDER: {error}"]) from None


def make_providers(settings: Settings) -> dict[str, Provider]:
    """The provider and its backup, by name.

    Raises:
        UnknownProviderError: the settings name a provider that does not exist.
        BadSettingsError: the backup cannot stand in for the provider, or a symbol is none of theirs.
    """
    providers = [make_provider(settings, settings.provider)]
    if settings.backup is not None:
        if (why := refuse_backup(settings.provider, settings.backup, PROVIDERS)) is not None:
            raise BadSettingsError([f"BACKUP: {why}"])
        providers.append(make_provider(settings, settings.backup))
    refusals = [f"SYMBOLS: {why}" for symbol in settings.symbols for one in providers if (why := one.refuse(symbol))]
    if refusals:
        raise BadSettingsError(refusals)
    return {provider.name: provider for provider in providers}
