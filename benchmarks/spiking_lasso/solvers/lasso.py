"""bidual's coordinate descent over working sets."""

from benchmark_utils.timed import Timed


class Solver(Timed):
    name = "lasso"
    requirements = ["pip::bidual"]
