"""bidual's splitting method."""

from benchmark_utils.timed import Timed


class Solver(Timed):
    name = "admm"
    requirements = ["pip::bidual"]
