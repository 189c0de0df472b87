"""ECOS: interior point for second-order and exponential cones (GPL-3.0, an optional extra)."""

from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from ..formulations import ConicForm
from .conic import ConicAnswer, ConicBackend, ConicModel, Request

# each exit flag of ECOS that leaves a point worth certifying; any other is a failure.
# 0 optimal, 10 close to optimal, -1 iterations, -2 numerical trouble
_USABLE = frozenset({0, 10, -1, -2})


class ECOS(ConicBackend):
    """ECOS; ``options`` are arguments of ``ecos.solve``. It knows no time limit of its own."""

    name = "ecos"
    package = "ecos"
    quadratic = False
    cones: ClassVar[frozenset[str]] = frozenset({"second_order", "exponential"})

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

    def run(self, model: ConicModel, request: Request) -> ConicAnswer:
        """See :class:`ConicBackend`."""
        import ecos

        form, built = model.form, model.built
        settings: dict[str, Any] = {
            "abstol": request.tolerance,
            "reltol": request.tolerance,
            "feastol": request.tolerance,
            "verbose": False,
        }
        result = ecos.solve(
            np.ascontiguousarray(form.linear[:, request.output]),
            built["G"],
            form.bounds[built["order"], request.output],
            built["dims"],
            built["A"],
            form.bounds[: form.zero, request.output],
            **{**settings, **request.options},
        )
        flag = int(result["info"]["exitFlag"])
        message = f"{result['info']['infostring']} (exit {flag})"
        if flag not in _USABLE:
            return ConicAnswer(None, None, message)
        multipliers = np.zeros(form.matrix.shape[0])
        multipliers[: form.zero] = result["y"]
        multipliers[built["order"]] = result["z"]
        return ConicAnswer(result["x"], multipliers, message)
