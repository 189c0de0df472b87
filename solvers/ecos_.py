"""ECOS: interior point for second-order and exponential cones (GPL-3.0, an optional extra)."""

from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from ..formulations import ConicForm
from .conic import ConicAnswer, ConicBackend, Part, Request

# whether the point that comes with an exit flag is worth certifying
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


class ECOS(ConicBackend):
    """ECOS; ``options`` are arguments of ``ecos.solve``. It knows no time limit of its own."""

    name = "ecos"
    package = "ecos"
    quadratic: ClassVar[bool] = False

    def build(self, form: ConicForm) -> dict[str, Any]:
        """Split the rows into equations A x = b and cones G x + s = h, in ECOS's cone order."""
        # its exponential cone is ordered (p, r, q), ours (p, q, r)
        first = form.matrix.shape[0] - 3 * form.exponential
        order = np.arange(form.matrix.shape[0])
        triples = order[first:].reshape(-1, 3)
        order[first:] = triples[:, [0, 2, 1]].ravel()
        rows = form.matrix.tocsr()
        return {
            # it knows SciPy's matrices, not its arrays
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
        import ecos

        form, built = part.form, part.built
        settings: dict[str, Any] = {
            "abstol": request.tolerance,
            "reltol": request.tolerance,
            "feastol": request.tolerance,
            "verbose": False,
        }
        result = ecos.solve(
            np.ascontiguousarray(form.linear[:, request.column]),
            built["G"],
            form.bounds[built["order"], request.column],
            built["dims"],
            built["A"],
            form.bounds[: form.zero, request.column],
            **{**settings, **request.options},
        )
        flag = int(result["info"]["exitFlag"])
        message = f"{result['info']['infostring']} (exit {flag})"
        iterations = int(result["info"]["iter"])
        if flag == _INTERRUPTED:
            raise KeyboardInterrupt
        if not STATUSES.get(flag, False):
            return ConicAnswer(None, None, message, iterations)
        multipliers = np.zeros(form.matrix.shape[0])
        multipliers[: form.zero] = result["y"]
        multipliers[built["order"]] = result["z"]
        return ConicAnswer(result["x"], multipliers, message, iterations)
