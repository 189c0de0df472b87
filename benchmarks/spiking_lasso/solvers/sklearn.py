"""scikit-learn's Lasso: coordinate descent."""

from benchmark_utils.timed import Timed


class Solver(Timed):
    name = "sklearn"
    requirements = ["pip::scikit-learn"]
