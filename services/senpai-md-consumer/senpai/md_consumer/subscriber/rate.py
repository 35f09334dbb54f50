"""Events per second over the last seconds, from a counter that is read now and then. Pure."""

from collections import deque

from md_contract.units import NS_PER_S


class Rate:
    """Slides over `window_s` in steps of the samples."""

    def __init__(self, window_s: float) -> None:
        self._window_ns = int(window_s * NS_PER_S)
        self._samples: deque[tuple[int, int]] = deque()

    def sample(self, total: int, mono_ns: int) -> None:
        """Note that the counter stood at `total`; call it about once a second."""
        self._samples.append((mono_ns, total))
        while len(self._samples) > 1 and self._samples[1][0] <= mono_ns - self._window_ns:
            self._samples.popleft()

    def per_second(self, total: int, mono_ns: int) -> float:
        """The mean rate from the oldest sample in the window until now; 0 before there is one."""
        if not self._samples or mono_ns <= self._samples[0][0]:
            return 0.0
        since, then = self._samples[0]
        return (total - then) * NS_PER_S / (mono_ns - since)
