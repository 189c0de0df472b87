"""SAGA, through scikit-learn."""

from benchmark_utils.timed import Timed


class Solver(Timed):
    name = "saga"
    requirements = ["pip::scikit-learn"]
    test_config = {"objective": {"loss": "logistic"}}
