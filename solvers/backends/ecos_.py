"""ECOS: interior-point method for second-order and exponential cones (GPL-3.0, optional)."""

from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from ...formulations import ConicForm
from .apart import apart
from .conic import ConicAnswer, ConicBackend, Part, Request

# whether the point returned with an exit flag is worth certifying
STATUSES = {
    0: True,  # optimal
    10: True,  # close to optimal
    -1: True,  # iterations ran out
    -2: True,  # numerical trouble
    1: False,  # primal infeasible
    2: False,  # dual infeasible
    11: False,  # close to primal infeasible
    12: False,  # close to dual infeasible
    -3: False,  # outside its cones
    -4: False,  # interrupted
    -7: False,  # unknown trouble
}
_INTERRUPTED = -4
_ITERATIONS = 100  # its own max_iters


class ECOS(ConicBackend):
    """Adapter of ECOS; ``options`` are arguments of ``ecos.solve``.

    ECOS has no time limit. If the caller sets one, the adapter first solves with one iteration
    to measure the costs of setup and iterations. It then sets ``max_iters`` to the iterations
    that fit into the remaining time. At the limit the adapter stops ECOS as Ctrl-C would, except
    on Windows. Setup and one iteration may still exceed the limit.
    """

    name = "ecos"
    package = "ecos"
    quadratic: ClassVar[bool] = False

    def build(self, form: ConicForm) -> dict[str, Any]:
        """Split the rows into equations A x = b and cones G x + s = h, in ECOS's cone order."""
        # ECOS orders the exponential cone (p, r, q), bidual (p, q, r)
        first = form.matrix.shape[0] - 3 * form.exponential
        order = np.arange(form.matrix.shape[0])
        triples = order[first:].reshape(-1, 3)
        order[first:] = triples[:, [0, 2, 1]].ravel()
        rows = form.matrix.tocsr()
        return {
            # ECOS accepts SciPy's sparse matrices, not its sparse arrays
            "A": sparse.csc_matrix(rows[: form.zero]),
            "G": sparse.csc_matrix(rows[order[form.zero :]]),
            "order": order[form.zero :],
            "dims": {
                "l": form.nonnegative,
                "q": list(form.second_order),
                "e": form.exponential,
            },
        }

    def run(self, part: Part, request: Request) -> ConicAnswer:
        """See :class:`ConicBackend`."""
        most = request.options.get("max_iters", _ITERATIONS)
        if np.isinf(request.seconds):
            return _solve(part, request, most)
        begun, answer = perf_counter(), None
        if "costs" not in part.built:
            answer = _solve(part, request, min(most, 1))
        setup, each = part.built["costs"]
        fit = int((request.seconds - (perf_counter() - begun) - setup) / each)
        allowed = min(max(fit, 1), most)
        if answer is not None and allowed <= 1:
            return answer
        return _solve(part, request, allowed)


def _solve(part: Part, request: Request, iterations: int) -> ConicAnswer:
    """Solve with a limit on iterations, and store the costs of setup and iterations."""
    import ecos

    form, built = part.form, part.built
    settings: dict[str, Any] = {
        "abstol": request.tolerance,
        "reltol": request.tolerance,
        "feastol": request.tolerance,
        "verbose": False,
    }
    result = apart(
        lambda: ecos.solve(
            np.ascontiguousarray(form.linear[:, request.column]),
            built["G"],
            form.bounds[built["order"], request.column],
            built["dims"],
            built["A"],
            form.bounds[: form.zero, request.column],
            **{**settings, **request.options, "max_iters": iterations},
        ),
        interrupted,
        seconds=request.seconds,
    )
    info = result["info"]
    built["costs"] = _costs(form, info)
    flag = int(info["exitFlag"])
    message = f"{info['infostring']} (exit {flag})"
    # interrupted only by the time limit, as if its iterations had run out
    if not (STATUSES.get(flag, False) or interrupted(result)):
        return ConicAnswer(None, None, message, int(info["iter"]))
    multipliers = np.zeros(form.matrix.shape[0])
    multipliers[: form.zero] = result["y"]
    multipliers[built["order"]] = result["z"]
    return ConicAnswer(result["x"], multipliers, message, int(info["iter"]))


def _costs(form: ConicForm, info: dict[str, Any]) -> tuple[float, float]:
    """Return the seconds before the first iteration, and those of an iteration."""
    # without exponential cones ECOS computes its start, at the cost of an iteration
    start = 0 if form.exponential else 1
    each = max(info["timing"]["tsolve"], 1e-9) / max(info["iter"] + start, 1)
    return info["timing"]["tsetup"] + start * each, each


def interrupted(result: dict[str, Any]) -> bool:
    """Return whether a SIGINT has stopped ECOS."""
    return int(result["info"]["exitFlag"]) == _INTERRUPTED
