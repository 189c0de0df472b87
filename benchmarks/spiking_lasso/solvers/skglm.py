"""skglm: coordinate descent with Anderson acceleration, or prox-Newton, over working sets."""

from benchmark_utils.timed import Timed


class Solver(Timed):
    name = "skglm"
    requirements = ["pip::skglm"]
