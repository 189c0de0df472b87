"""bidual's semismooth Newton over working sets."""

from benchmark_utils.timed import Timed


class Solver(Timed):
    name = "newton"
    requirements = ["pip::bidual"]
