"""How far the last price is from the volume-weighted average.

Reference: S. Berkowitz, D. Logue, E. Noser, "The Total Cost of Transactions on the NYSE", Journal of Finance 43 (1988).
"""

from typing import Final

from senpai.md_consumer.features.volumes import Volumes

MOST_VWAP_ERROR: Final = 2e-15  # relative: the difference from a price next to it is far smaller than the VWAP


def vwap_deviation(volumes: Volumes) -> float | None:
    """Last price / VWAP - 1, both of the window; null when the window is empty."""
    vwap, last = volumes.vwap(MOST_VWAP_ERROR), volumes.last_price()
    return None if vwap is None or last is None else (last - vwap) / vwap
