"""Solvers of the race, each with the input format that is fastest for it.

``prepare(program)`` converts a program into a solver's own form and is not timed.
``fit(program, prepared, tolerance)`` is timed. It returns weights (P, C), intercept (C,) and a
dual point (N, C), or None if the solver has no dual point. All answers are certified in the
original program, by the dual point of the weights or by that of the solver if it is better.

celer, skglm and scikit-learn's Lasso get the faster format at 0.1 lambda_max: dense arrays for
spiking dictionaries, whose entries are half ones, and CSC for designs with 15 % ones. Seconds of
one core to the same tolerance, dense and CSC, were

    digits-lif, squared     celer 0.09, 0.12    skglm 0.07, 0.09    scikit-learn 1.9, 2.7
    digits-lif, logistic    celer 0.35, 0.37    skglm 0.05, 0.14    liblinear 0.28, 0.23
    simulated, squared      celer 0.18, 0.10    skglm 0.34, 0.25    scikit-learn 8.2, 3.6
    simulated, logistic     celer 2.93, 0.55    skglm 1.05, 0.79    liblinear 0.16, 0.11

and for saga on digits-lif 12.6 and 6.2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import bidual as bd
from bidual.solvers.backends.conic import TIGHTENINGS
from bidual.solvers.monitor import Monitor

from . import apart
from .programs import small

GAPS = (1e-3, 1e-6, 1e-9)
TOLERANCES = tuple(10.0**-k for k in range(2, 15))  # for solvers that do not stop by a gap

_DENSE = 0.3  # share of ones above which dense arrays are faster
_MOST = 10_000  # limit on working-set iterations, which no solver reaches


@dataclass(frozen=True)
class Peer:
    """Solver of the race: its package, supported programs, input format and settings."""

    package: str
    takes: Callable[[bd.ConvexProgram], str | None]
    layout: str
    settings: str
    prepare: Callable[[bd.ConvexProgram], Any]
    fit: Callable[[bd.ConvexProgram, Any, float], tuple[Any, Any, Any]]
    tolerances: tuple[float, ...] = TOLERANCES

    def warm_up(self, program: bd.ConvexProgram) -> None:
        """Compile and start threads, on a few atoms, at a tolerance that runs all of its code."""
        few = small(program)
        self.fit(few, self.prepare(few), 1e-4)

    @property
    def version(self) -> str | None:
        """Version of the solver's package, None if it is not installed."""
        if self.package == "adelie":
            return apart.version()
        try:
            return version(self.package)
        except PackageNotFoundError:
            return None

    def refuses(self, program: bd.ConvexProgram) -> str | None:
        """Return why the solver cannot solve a program here, or None if it can."""
        return f"{self.package} is not installed" if self.version is None else self.takes(program)


def dense(program):
    return np.asfortranarray(program.design.to_dense())


def csc(program):
    return program.design.to_csc()


def faster(program):
    return dense(program) if program.design.density >= _DENSE else csc(program)


def for_saga(program):
    # on sparse designs saga's intercept converges a hundred times slower
    return dense(program) if program.intercept else csc(program)


def only(*losses, intercept=True):
    """Return the check of estimators for one output, the l1 norm and uniform row weights."""

    def takes(program):
        if program.loss.name not in losses:
            return f"has no {program.loss.name} loss"
        if program.outputs > 1 or program.penalty.name != "l1":
            return "takes one output under the l1 norm"
        if np.ptp(program.row_weights) > 0:
            return "takes no row weights"
        if program.intercept and not intercept:
            return f"has no intercept for the {program.loss.name} loss"
        return None

    return takes


def answer(model):
    """Return the answer of an estimator with scikit-learn's interface."""
    # a copy, because a warm start may reuse the array
    return np.reshape(model.coef_, (-1, 1)).copy(), np.reshape(model.intercept_, -1), None


def takes_celer(program):
    logistic = program.loss.name == "logistic"
    return only("squared", "logistic", intercept=not logistic)(program)


def fit_celer(program, design, tolerance):
    if program.intercept:
        import celer

        model = celer.Lasso(program.strength, tol=tolerance, max_iter=_MOST)
        return answer(model.fit(design, program.target[:, 0]))
    # not by its estimators: they return no dual point, and LogisticRegression copies the design
    n = program.design.shape[0]
    lasso = program.loss.name == "squared"
    strength = program.strength if lasso else n * program.strength
    found = run_celer_path(program, design, [strength], tolerance)
    weights, thetas = found[1], found[3]
    return weights, np.zeros(1), thetas.T if lasso else program.strength * thetas.T


def run_celer_path(program, design, strengths, tolerance):
    from celer import celer_path

    lasso = program.loss.name == "squared"
    return celer_path(
        design,
        program.target[:, 0].copy(),  # celer needs a writable array
        "lasso" if lasso else "logreg",
        alphas=strengths,
        tol=tolerance,
        max_iter=_MOST,
        prune=lasso,  # as in its estimators
        use_PN=not lasso,
        return_thetas=True,
    )


def fit_skglm(program, design, tolerance):
    import skglm

    settings = {"fit_intercept": program.intercept, "tol": tolerance, "max_iter": _MOST}
    kind = skglm.Lasso if program.loss.name == "squared" else skglm.SparseLogisticRegression
    return answer(kind(program.strength, **settings).fit(design, program.target[:, 0]))


def fit_sklearn(program, design, tolerance):
    from sklearn.linear_model import Lasso

    model = Lasso(program.strength, fit_intercept=program.intercept, tol=tolerance, max_iter=10**7)
    return answer(model.fit(design, program.target[:, 0]))


def fit_logistic(solver):
    def fit(program, design, tolerance):
        from sklearn.linear_model import LogisticRegression

        n = program.design.shape[0]
        model = LogisticRegression(
            C=1 / (n * program.strength),
            l1_ratio=1.0,
            solver=solver,
            fit_intercept=program.intercept,
            # liblinear penalises the intercept, less with a larger scaling
            intercept_scaling=min(1 / tolerance, 1e8),
            tol=tolerance,
            max_iter=10**6,
            random_state=0,
        )
        return answer(model.fit(design, program.target[:, 0]))

    return fit


def ours(name):
    """Return a built-in backend as a peer; the race times all of ``bd.solve``."""

    def fit(program, prepared, tolerance):
        solution = bd.solve(program, name, gap=tolerance)
        return solution.weights, solution.intercept, solution.dual_point

    return Peer(
        "bidual",
        bd.BACKENDS[name].accepts,
        "packed bits",
        "stops at a certified gap",
        lambda program: None,
        fit,
        tuple(10.0**-k for k in range(1, 10)),
    )


def adapted(name, package, layout, settings, options=lambda program: {}):
    """Return a solver as a peer through bidual's adapter; lowering the program is not timed."""
    backend = bd.BACKENDS[name]

    def fit(program, model, tolerance):
        monitor = Monitor(program, tolerance, np.inf)
        backend.solve(model, monitor, options(program))
        return monitor.weights, monitor.intercept, monitor.dual_point

    tried = ", ".join(f"{part:.0e}" for part in getattr(backend, "tightenings", TIGHTENINGS))
    settings += f"; tolerances {tried} of the asked gap until it is certified"
    return Peer(package, backend.accepts, layout, settings, backend.compile, fit, GAPS)


def takes_adelie(program):
    """Accept the programs on which the race runs adelie; adelie itself supports more."""
    fits = program.loss.name == "softmax" and program.penalty.name == "group"
    if not fits or program.intercept or np.ptp(program.row_weights) > 0:
        return "runs here for the softmax loss under the group norm only"
    return None


def fit_adelie(program, server, tolerance):
    return server.fit(tolerance), np.zeros(program.outputs), None


def highs_options(program):
    linear = program.loss.curvature == np.inf
    return {"solver": "ipm", "run_crossover": "off"} if linear else {}


_FASTER = "dense in Fortran order, CSC below 30 % ones"
_QP = "cones with a quadratic objective, CSC"

PEERS = {
    "newton": ours("newton"),
    "lasso": ours("lasso"),
    "admm": ours("admm"),
    "celer": Peer(
        "celer",
        takes_celer,
        _FASTER,
        "celer_path, Lasso with an intercept, max_iter 10,000; tol from 1e-2 to 1e-14",
        faster,
        fit_celer,
    ),
    "skglm": Peer(
        "skglm",
        only("squared", "logistic"),
        _FASTER,
        "Lasso or SparseLogisticRegression, max_iter 10,000; tol from 1e-2 to 1e-14",
        faster,
        fit_skglm,
    ),
    "sklearn": Peer(
        "scikit-learn",
        only("squared"),
        _FASTER,
        "Lasso, max_iter 10**7; tol from 1e-2 to 1e-14",
        faster,
        fit_sklearn,
    ),
    "liblinear": Peer(
        "scikit-learn",
        only("logistic"),
        "CSC",
        "LogisticRegression, max_iter 10**6, intercept_scaling 1 / tol up to 1e8; "
        "tol from 1e-2 to 1e-14",
        csc,
        fit_logistic("liblinear"),
    ),
    "saga": Peer(
        "scikit-learn",
        only("logistic"),
        "CSC, or dense with an intercept",
        "LogisticRegression, max_iter 10**6; tol from 1e-2 to 1e-14",
        for_saga,
        fit_logistic("saga"),
    ),
    "osqp": adapted("osqp", "osqp", _QP, "polishing, 100,000 iterations"),
    "clarabel": adapted("clarabel", "clarabel", _QP, "defaults"),
    "scs": adapted("scs", "scs", _QP, "100,000 iterations"),
    "ecos": adapted("ecos", "ecos", "cones, CSC", "defaults"),
    "highs": adapted(
        "highs",
        "highspy",
        "linear or quadratic program, CSC",
        "interior points without crossover for linear ones, seven times as fast as its simplex",
        highs_options,
    ),
    "adelie": Peer(
        "adelie",
        takes_adelie,
        "dense, Fortran order",
        f"grpnet on a path of {apart.STRENGTHS} strengths, n_threads as cores, no early exit; "
        "tol and irls_tol from 1e-4 to 1e-20",
        apart.Server,
        fit_adelie,
        tuple(10.0**-k for k in range(4, 21, 2)),
    ),
    "cvxpy": adapted(
        "cvxpy", "cvxpy", "a CVXPY problem, canonicalised", "Clarabel on its defaults"
    ),
}


def path_ours(program, prepared, strengths, tolerance):
    solutions = bd.path(program, strengths, "newton", gap=tolerance)
    return [(found.weights, found.intercept, found.dual_point) for found in solutions]


def path_celer(program, design, strengths, tolerance):
    _, weights, _, thetas = run_celer_path(program, design, strengths, tolerance)
    return [(w, np.zeros(1), v) for w, v in zip(weights.T, thetas, strict=True)]


def path_skglm(program, design, strengths, tolerance):
    import skglm

    model = skglm.Lasso(fit_intercept=False, warm_start=True, tol=tolerance, max_iter=_MOST)
    answers = []
    for strength in strengths:
        model.set_params(alpha=strength)
        answers.append(answer(model.fit(design, program.target[:, 0])))
    return answers


# squared loss without an intercept, strengths from large to small; answers as of ``fit``
PATHS = {"newton": path_ours, "celer": path_celer, "skglm": path_skglm}
