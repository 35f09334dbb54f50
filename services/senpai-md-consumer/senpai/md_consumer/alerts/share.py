"""What part of the messages of the last seconds was not as it should be, from counters that are read once a second."""

from collections import deque
from typing import Final

from md_contract.units import NS_PER_S

WINDOW_S: Final = 10
LEAST: Final = 20  # messages: of fewer nothing can be said


class Share:
    """Bad messages / all messages, sliding over WINDOW_S."""

    def __init__(self) -> None:
        self._looks: deque[tuple[int, int, int]] = deque()

    def look(self, bad: int, every: int, now_ns: int) -> float:
        """Take both totals, neither of which ever falls; return the share, 0 while there is too little to tell."""
        looks = self._looks
        looks.append((now_ns, bad, every))
        while len(looks) > 1 and looks[1][0] <= now_ns - WINDOW_S * NS_PER_S:
            looks.popleft()
        _, bad_then, every_then = looks[0]
        new = every - every_then
        return (bad - bad_then) / new if new >= LEAST else 0.0
