"""ECOS, through bidual's adapter."""

from benchmark_utils.timed import Timed


class Solver(Timed):
    name = "ecos"
    requirements = ["pip::ecos"]
