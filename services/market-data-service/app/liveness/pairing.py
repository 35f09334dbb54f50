"""Which provider may stand in for which: only one that trades the same instruments under the same canonical symbols.

BTCUSDT on Binance's spot market and on Bybit's is the same pair in the same coins, so one's price can take the place of
the other's. A perpetual contract of that name is another instrument, and a pair in USD is another quote than USDT.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

SAME_INSTRUMENTS: Final[tuple[frozenset[str], ...]] = (frozenset({"binance", "bybit"}),)

# What each trades, for people who ask for a pair that cannot be.
TRADES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "binance": "spot pairs such as BTCUSDT",
        "bybit": "spot pairs such as BTCUSDT",
        "bybit_linear": "perpetual contracts",
        "alpaca": "US shares and pairs in USD such as BTC/USD",
    }
)


def stand_ins(primary: str) -> list[str]:
    """The providers that may back this one."""
    return sorted({name for group in SAME_INSTRUMENTS if primary in group for name in group} - {primary})


def refuse_backup(primary: str, backup: str, known: Collection[str]) -> str | None:
    """Say in one line why `backup` cannot stand in for `primary`, or None when it can.

    Args:
        primary: a provider's name.
        backup: the one that was asked for.
        known: the providers that exist.
    """
    able = [name for name in stand_ins(primary) if name in known]
    if backup in able:
        return None
    hint = f"expected {' or '.join(able)}" if able else "run without a backup"
    if backup == primary:
        return f"{backup} is the provider itself, which cannot stand in for it; {hint}"
    if backup not in TRADES and backup not in known:
        return f"unknown provider {backup!r}: {hint}"
    theirs, ours = TRADES.get(backup, "other instruments"), TRADES.get(primary, "other instruments")
    if theirs == ours:
        return f"{backup} is not available; {hint}"
    return f"{backup} trades {theirs}, which cannot stand in for {primary}'s {ours}; {hint}"
