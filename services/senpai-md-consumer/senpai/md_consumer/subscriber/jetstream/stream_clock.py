"""When a stored message would have come to a reader that was never behind. Pure."""

from typing import Final

from md_contract.units import NS_PER_S

MEMORY_NS: Final = 15 * NS_PER_S


class StreamClock:
    """Turns the server's times into ours.

    The server says when it stored a message, by its clock. The shortest time between that and its coming, over the
    last 15 to 30 s, is the difference of the two clocks and the way: what took longer had to wait for us.
    """

    def __init__(self) -> None:
        self._least: int | None = None  # ns
        self._before = 0  # the least of the 15 s before
        self._until_ns = 0
        self._last_ns = 0

    def observe(self, ts_ns: int, now_ns: int) -> None:
        """Something that the server dated `ts_ns` has come now."""
        offset = now_ns - ts_ns
        if self._least is None:
            self._least = self._before = offset
            self._until_ns = now_ns + MEMORY_NS
        elif now_ns >= self._until_ns:
            self._before, self._least = self._least, offset
            self._until_ns = now_ns + MEMORY_NS
        elif offset < self._least:
            self._least = offset

    def mono_of(self, ts_ns: int, now_ns: int) -> int:
        """Our monotonic time for a message; never before that of the one asked for last, never in the future."""
        least, before, last_ns = self._least, self._before, self._last_ns
        if least is None:
            mono_ns = now_ns
        else:
            mono_ns = ts_ns + (min(before, least))
            mono_ns = min(mono_ns, now_ns)
        if mono_ns < last_ns:
            return last_ns
        self._last_ns = mono_ns
        return mono_ns
