"""l1-penalised training over a 0/1 dictionary, judged by the certified gap."""

import numpy as np
from benchmark_utils.programs import state
from benchopt import BaseObjective

import bidual as bd


class Objective(BaseObjective):
    """Objective min mean loss(D w + b, y) + lambda |w|_1, with lambda a share of lambda_max.

    The value is the relative duality gap, (primal - dual) / (objective at w = 0), that bidual
    certifies from the answer.
    """

    name = "Spiking Lasso"
    min_benchopt_version = "1.10"
    requirements = ["pip::bidual"]
    parameters = {
        "loss": ["squared", "logistic", "hinge"],
        "share": [0.5, 0.1, 0.02],
        "intercept": [False, True],
    }
    test_dataset_name = "simulated"
    test_config = {"loss": "squared", "share": 0.1, "intercept": False}

    def skip(self, design=None, target=None, missing=None):
        if missing is not None:
            return True, missing
        if self.loss != "squared" and np.unique(target).tolist() != [-1.0, 1.0]:
            return True, f"the {self.loss} loss needs two classes"
        return False, None

    def set_data(self, design, target):
        self.program = state(design, target, self.loss, self.share, self.intercept)

    def get_objective(self):
        return {"program": self.program}

    def get_one_result(self):
        atoms = self.program.design.shape[1]
        return {"weights": np.zeros(atoms), "intercept": np.zeros(1), "dual_point": None}

    def evaluate_result(self, weights, intercept, dual_point):
        certificate = bd.certify(
            self.program, weights=weights, intercept=intercept, dual_point=dual_point
        )
        return {
            "value": certificate.relative_gap,
            "primal": certificate.primal,
            "support_size": int(np.count_nonzero(weights)),
        }
