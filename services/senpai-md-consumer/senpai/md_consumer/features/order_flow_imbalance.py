"""Order-flow imbalance: what was added to and taken from both sides of the best quotes.

Reference: R. Cont, A. Kukanov, S. Stoikov, "The Price Impact of Order Book Events", Journal of Financial Econometrics
12 (2014).
"""

from senpai.md_consumer.features.running_sum import MOST_ERROR, CompensatedSum
from senpai.md_consumer.series import Quotes
from senpai.md_consumer.window import Window


class OrderFlowImbalance:
    """Follows a window of quotes with the sum of their order flows.

    A flow is known from a quote and the one before it, which need not be in the window.
    """

    lead, reach = 0, 1

    def __init__(self, window: Window[Quotes]) -> None:
        self._window = window
        self._flow = CompensatedSum()
        window.follow(self)

    def add(self, start: int, stop: int) -> None:
        self._flow.add(self._window.series.flow[start:stop])

    def remove(self, start: int, stop: int) -> None:
        self._flow.remove(self._window.series.flow[start:stop])

    def reset(self) -> None:
        self._flow.reset()

    def imbalance(self) -> float | None:
        """Σ of [b >= b'] q_b - [b <= b'] q_b' - [a <= a'] q_a + [a >= a'] q_a' over the quotes of the window: best
        prices b and a with sizes q, primes for the quote before; null before the first quote.
        """
        self._window.sync()
        if self._window.series.began is None:
            return None
        if not self._flow.is_sound(MOST_ERROR):
            self._window.resum(self)
        return self._flow.total
