"""What has come and was not taken yet: bounded, the oldest gives way. Pure."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Queue(Generic[T]):
    """Every message in order; beyond `bound` the oldest is dropped.

    Raises:
        ValueError: `bound` is below 1.
    """

    def __init__(self, bound: int) -> None:
        self.dropped = 0
        self.conflated = 0
        self._bound = _checked(bound)
        self._waiting: deque[T] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, _key: str, message: T) -> None:
        if len(self._waiting) >= self._bound:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(message)

    def take(self) -> T:
        """The oldest. Raises IndexError when nothing waits."""
        return self._waiting.popleft()


class Latest(Generic[T]):
    """The latest message of each key, in the order the keys came in; beyond `bound` keys the oldest is dropped.

    Raises:
        ValueError: `bound` is below 1.
    """

    def __init__(self, bound: int) -> None:
        self.dropped = 0
        self.conflated = 0
        self._bound = _checked(bound)
        self._waiting: dict[str, T] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, key: str, message: T) -> None:
        if key in self._waiting:
            self.conflated += 1
        elif len(self._waiting) >= self._bound:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1
        self._waiting[key] = message

    def take(self) -> T:
        """The message of the key that has waited longest. Raises IndexError when nothing waits."""
        if not self._waiting:
            raise IndexError("nothing waits")
        return self._waiting.pop(next(iter(self._waiting)))


def _checked(bound: int) -> int:
    if bound < 1:
        raise ValueError(f"buffer: expected at least 1, found {bound}")
    return bound
