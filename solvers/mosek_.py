"""MOSEK: interior point through the Optimizer API; models compile and write without a licence."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..formulations import ConicForm, ConvexProgram
from .conic import ConicAnswer, ConicBackend, ConicModel, Request

_LICENCE_HELP = (
    "set MOSEKLM_LICENSE_FILE to the licence file or server before Python starts, "
    "or put it at ~/mosek/mosek.lic; models compile and write without one"
)

# each solution status of MOSEK that leaves a point worth certifying; any other is a failure
_USABLE = frozenset({"optimal", "prim_and_dual_feas", "prim_feas", "unknown"})


class MOSEK(ConicBackend):
    """MOSEK; ``options`` are parameters by name, such as ``MSK_DPAR_INTPNT_TOL_REL_GAP``."""

    name = "mosek"
    package = "mosek"
    quadratic = True
    cones: ClassVar[frozenset[str]] = frozenset({"second_order", "exponential"})

    def available(self) -> str | None:
        """See :class:`Backend`; asks for a licence, which takes about a millisecond."""
        missing = super().available()
        if missing is not None:
            return missing
        import mosek

        try:
            with mosek.Env() as environment:
                environment.checkoutlicense(mosek.feature.pton)
        except mosek.Error as error:
            return f"mosek has no licence ({error.errno!s}): {_LICENCE_HELP}"
        return None

    def build(self, form: ConicForm) -> Any:
        """Fill a task: linear rows as constraints, the others as affine conic constraints."""
        import mosek

        task = mosek.Task()
        rows, columns = form.matrix.shape
        linear_rows = form.zero + form.nonnegative
        task.appendvars(columns)
        task.appendcons(linear_rows)
        task.putvarboundsliceconst(0, columns, mosek.boundkey.fr, -np.inf, np.inf)
        top = form.matrix[:linear_rows].tocoo()
        task.putaijlist(top.row, top.col, top.data)
        curved = np.flatnonzero(form.quadratic.diagonal()).astype(np.int32)
        if curved.size:
            task.putqobj(curved, curved, form.quadratic.diagonal()[curved])
        bottom = (-form.matrix[linear_rows:]).tocoo()
        task.appendafes(rows - linear_rows)
        if bottom.nnz:
            task.putafefentrylist(bottom.row.astype(np.int64), bottom.col, bottom.data)
        start = 0
        for size in form.second_order:
            domain = task.appendquadraticconedomain(size)
            task.appendaccseq(domain, size, start, np.zeros(size))
            start += size
        if form.exponential:
            # its exponential cone is ordered (r, q, p), ours (p, q, r)
            domain = task.appendprimalexpconedomain()
            for first in range(start, rows - linear_rows, 3):
                task.appendacc(domain, [first + 2, first + 1, first], np.zeros(3))
        task.putobjsense(mosek.objsense.minimize)
        if not (form.second_order or form.exponential):
            # recover() reads the interior solution, which the simplex would not leave
            task.putintparam(mosek.iparam.optimizer, mosek.optimizertype.intpnt)
            task.putintparam(mosek.iparam.intpnt_basis, mosek.basindtype.never)
        _set_output(task, form, 0)
        return task

    def write(self, program: ConvexProgram, path: str | Path) -> None:
        """Write the model of the program's first output; the suffix names the format.

        No licence is needed. ``.task`` takes every model, ``.mps`` those with
        linear constraints, ``.ptf`` and ``.cbf`` those without a quadratic objective.

        Raises
        ------
        ValueError
            If the format cannot hold the model; the message is MOSEK's.
        """
        import mosek

        try:
            self.build(program.to_conic(self.quadratic)).writedata(str(path))
        except mosek.Error as error:
            raise ValueError(
                f"path: {Path(path).suffix} cannot hold this model: {error}"
            ) from error

    def run(self, model: ConicModel, request: Request) -> ConicAnswer:
        """See :class:`ConicBackend`."""
        import mosek

        task, form = model.built, model.form
        _set_output(task, form, request.output)
        for family in ("", "QO_", "CO_"):  # linear, quadratic and conic programs
            for name in ("REL_GAP", "PFEAS", "DFEAS"):
                task.putparam(
                    f"MSK_DPAR_INTPNT_{family}TOL_{name}", repr(max(request.tolerance, 1e-14))
                )
        if np.isfinite(request.seconds):
            task.putparam("MSK_DPAR_OPTIMIZER_MAX_TIME", repr(request.seconds))
        for name, value in request.options.items():
            task.putparam(name, str(value))
        which = mosek.soltype.itr
        try:
            task.optimize()
            status = task.getsolsta(which)
            x, y = np.array(task.getxx(which)), np.array(task.gety(which))
        except mosek.Error as error:
            return ConicAnswer(None, None, str(error))
        if status.name not in _USABLE:
            return ConicAnswer(None, None, status.name)
        multipliers = np.zeros(form.matrix.shape[0])
        # minus, since its Lagrangian subtracts y' (A x - b)
        multipliers[: form.zero + form.nonnegative] = -y
        return ConicAnswer(x, multipliers, status.name)


def _set_output(task: Any, form: ConicForm, output: int) -> None:
    """Put the vectors of one output into the task."""
    import mosek

    linear_rows = form.zero + form.nonnegative
    bounds = form.bounds[:linear_rows, output]
    kinds = [mosek.boundkey.fx] * form.zero + [mosek.boundkey.up] * form.nonnegative
    lower = np.concatenate([bounds[: form.zero], np.full(form.nonnegative, -np.inf)])
    task.putconboundslice(0, linear_rows, kinds, lower, bounds)
    task.putclist(np.arange(form.linear.shape[0], dtype=np.int32), form.linear[:, output])
    task.putcfix(float(form.offset[output]))
    constants = form.bounds[linear_rows:, output]
    if constants.size:
        task.putafegslice(0, constants.size, constants)
