"""CVXPY's modelling layer with Clarabel, through bidual's adapter."""

from benchmark_utils.timed import Timed


class Solver(Timed):
    name = "cvxpy"
    requirements = ["pip::cvxpy"]
