"""Division of a time limit among blocks of outputs.

Each block in turn gets an equal share of the time left. The time that it does not use goes to the
blocks after it.
"""

from collections.abc import Callable, Iterable
from math import inf
from typing import TypeVar

from .monitor import Monitor

T = TypeVar("T")

LATE = "time limit"  # last words of a block
STUCK = "no further progress in float64"

_MOST = 0.98  # of a share: a solver that ends later has used it up


class Turn:
    """Share of the time that a block has at present."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._seconds = self._deadline = 0.0
        self.whole = False  # whether the share is all the time that is left

    def begin(self, share: float) -> None:
        """Begin a turn with a share of the time that is left, at most 1."""
        self.whole, self._seconds = share == 1.0, share * self._monitor.remaining
        self._deadline = self._monitor.seconds + self._seconds

    @property
    def remaining(self) -> float:
        """Seconds left of the share, at least 0."""
        return max(self._deadline - self._monitor.seconds, 0.0)

    @property
    def late(self) -> bool:
        """Whether the share has passed."""
        return self._monitor.seconds >= self._deadline

    @property
    def used_up(self) -> bool:
        """Whether a solver with a clock of its own has used up the share."""
        return self._seconds < inf and self.remaining <= (1.0 - _MOST) * self._seconds


def take_turns(monitor: Monitor, blocks: Iterable[T], step: Callable[[T, Turn], bool]) -> None:
    """Call ``step`` for each block, and again for those that would go on, until no time is left.

    ``step`` works on a block until its turn is late and returns whether the block would go on.
    Each block gets a fair share of the time left, so that each gets an answer.
    """
    waiting, turn = list(blocks), Turn(monitor)
    while waiting:
        left = []
        for number, block in enumerate(waiting):
            turn.begin(1.0 / (len(waiting) - number))
            if step(block, turn):
                left.append(block)
        waiting = [] if monitor.out_of_time or monitor.done else left
