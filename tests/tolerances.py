"""The one table of tolerances: the certified relative gap asked of each backend, with its reason.

Nothing else is tuned by hand: answers are compared within their certified gaps.
"""

# gap asked for in the conformance suite
GAPS = {
    "newton": 1e-8,  # second order, and stops on the certified gap
    "lasso": 1e-8,  # coordinate descent stops on the certified gap
    "admm": 1e-6,  # first order: the last digits take tens of thousands of steps
    "sklearn": 1e-5,  # liblinear penalises the intercept a little, and ends early
    "osqp": 1e-6,  # first order; its polish usually does far better
    "clarabel": 1e-8,  # interior point
    "scs": 1e-6,  # first order
    "highs": 1e-8,  # simplex, and active sets
    "ecos": 1e-8,  # interior point
    "mosek": 1e-8,  # interior point; runs where a licence is
    "cvxpy": 1e-8,  # clarabel by another road
}

# of a single program, where a backend does worse on it
HARD = {
    # on the linear program its splitting crawls, and what it does not end it does not polish
    ("osqp", "absolute, l1, 3 outputs"): 1e-4,
}

# share of the reference by which a primal may miss the least loss where nothing is penalised,
# and no gap tells a backend to go on
LEAST_SQUARES = 1e-4


def gap_for(name, problem):
    """The gap to ask of a backend on a program, both by name."""
    return HARD.get((name, problem), GAPS[name])
