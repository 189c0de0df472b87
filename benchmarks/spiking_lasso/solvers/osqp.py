"""OSQP, by way of bidual's adapter."""

from benchmark_utils.timed import Timed


class Solver(Timed):
    name = "osqp"
    requirements = ["pip::osqp"]
