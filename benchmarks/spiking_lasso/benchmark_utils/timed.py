"""Timed: common base of this benchmark's solvers, with a timed run per tolerance."""

from benchopt import BaseSolver
from benchopt.stopping_criterion import StoppingCriterion

from benchmark_utils.peers import PEERS

ENOUGH = 1e-9  # certified relative gap


class Certified(StoppingCriterion):
    """Stopping rule: a small enough certified gap, or the smallest tolerance tried."""

    def __init__(self, strategy=None, key_to_monitor="value", minimize=True):
        super().__init__(strategy=strategy, key_to_monitor=key_to_monitor, minimize=minimize)

    def check_convergence(self, objective_list):
        last = objective_list[-1]
        tried = last["stop_val"] <= PEERS[self.solver.name].tolerances[-1]
        return last["objective_value"] <= ENOUGH or tried, 0.0


class Timed(BaseSolver):
    """Solver of ``PEERS`` by name; each tolerance is a separate run from the start."""

    sampling_strategy = "tolerance"
    stopping_criterion = Certified()

    def skip(self, program):
        reason = PEERS[self.name].refuses(program)
        return reason is not None, reason

    def set_objective(self, program):
        self.program = program

    def warm_up(self):
        PEERS[self.name].warm_up(self.program)

    def get_next(self, stop_val):
        tolerances = PEERS[self.name].tolerances
        return next((t for t in tolerances if t < stop_val), tolerances[-1])

    def pre_run_hook(self, stop_val):
        # again for each run, because it may store earlier results
        self.prepared = PEERS[self.name].prepare(self.program)

    def run(self, stop_val):
        # benchopt's first tolerance is infinite
        tolerance = min(stop_val, 1.0)
        self.answer = PEERS[self.name].fit(self.program, self.prepared, tolerance)

    def get_result(self):
        weights, intercept, dual_point = self.answer
        return {"weights": weights, "intercept": intercept, "dual_point": dual_point}
