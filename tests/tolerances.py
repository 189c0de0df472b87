"""The one table of tolerances: the certified relative gap asked of each backend, with its reason.

Nothing else is tuned by hand: answers are compared within their certified gaps.
"""

# gap asked for in the conformance suite
GAPS = {
    "lasso": 1e-8,  # coordinate descent stops on the certified gap
    "admm": 1e-6,  # first order: the last digits take tens of thousands of steps
    "sklearn": 1e-5,  # logistic: liblinear penalises the intercept a little, and ends early
    "osqp": 1e-6,  # first order; its polish usually does far better
    "clarabel": 1e-8,  # interior point
    "ecos": 1e-8,  # interior point
    "mosek": 1e-8,  # interior point; runs where a licence is
    "cvxpy": 1e-8,  # clarabel by another road
}
