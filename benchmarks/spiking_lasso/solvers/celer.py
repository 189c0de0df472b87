"""celer: coordinate descent over working sets with extrapolated dual points."""

from benchmark_utils.timed import Timed


class Solver(Timed):
    name = "celer"
    requirements = ["pip::celer"]
