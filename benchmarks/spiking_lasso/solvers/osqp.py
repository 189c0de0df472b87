"""OSQP, through bidual's adapter."""

from benchmark_utils.timed import Timed


class Solver(Timed):
    name = "osqp"
    requirements = ["pip::osqp"]
