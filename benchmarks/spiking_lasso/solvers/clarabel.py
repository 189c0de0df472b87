"""Clarabel, through bidual's adapter."""

from benchmark_utils.timed import Timed


class Solver(Timed):
    name = "clarabel"
    requirements = ["pip::clarabel"]
