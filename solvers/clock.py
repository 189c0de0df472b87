"""The clock of all time limits: Numba's compilation of kernels does not count."""

import time

from ..kernels.compiled import compile_seconds


def now() -> float:
    """Return seconds of a clock of this thread, which stops while it compiles or loads kernels.

    A kernel is compiled at its first use, for later processes too. A time limit is for the solve.
    """
    return time.perf_counter() - compile_seconds()
