"""HiGHS, through bidual's adapter."""

from benchmark_utils.timed import Timed


class Solver(Timed):
    name = "highs"
    requirements = ["pip::highspy"]
    test_config = {"objective": {"loss": "hinge"}}
