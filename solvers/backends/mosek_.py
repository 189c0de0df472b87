"""MOSEK: interior-point method, by its Optimizer API; models compile without a licence."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np

from ...dictionaries.files.replacing import replacing
from ...formulations import ConicForm, ConvexProgram
from ...kernels.text import printable
from .conic import ConicAnswer, ConicBackend, Part, Request

_LICENCE_HELP = (
    "set MOSEKLM_LICENSE_FILE to the licence file or server before Python starts, "
    "or put the file at ~/mosek/mosek.lic; bidual compiles and writes models without a licence"
)

_FORMATS = (".task", ".jtask", ".mps", ".ptf", ".cbf")

# whether the point returned with a solution status is worth certifying
STATUSES = {
    "optimal": True,
    "integer_optimal": True,
    "prim_and_dual_feas": True,
    "prim_feas": True,
    "unknown": True,
    "dual_feas": False,
    "prim_infeas_cer": False,
    "dual_infeas_cer": False,
    "prim_illposed_cer": False,
    "dual_illposed_cer": False,
}


class MOSEK(ConicBackend):
    """Adapter of MOSEK; ``options`` are parameters: ``MSK_DPAR_INTPNT_TOL_REL_GAP`` is one."""

    name = "mosek"
    package = "mosek"
    loads_mkl = True
    # MOSEK refuses a quadratic objective together with cones (error 1501)
    quadratic: ClassVar[bool] = False

    def available(self) -> str | None:
        """See :class:`Backend`; checks out a licence, which takes about a millisecond."""
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
        """Build a task: linear rows as constraints, other rows as affine conic constraints."""
        import mosek

        task = mosek.Task()
        rows, columns = form.matrix.shape
        linear_rows = form.zero + form.nonnegative
        task.appendvars(columns)
        task.appendcons(linear_rows)
        task.putvarboundsliceconst(0, columns, mosek.boundkey.fr, -np.inf, np.inf)
        top = form.matrix[:linear_rows].tocoo()
        task.putaijlist(top.row.astype(np.int32), top.col.astype(np.int32), top.data)
        curved = np.flatnonzero(form.quadratic.diagonal()).astype(np.int32)
        if curved.size:
            task.putqobj(curved, curved, form.quadratic.diagonal()[curved])
        bottom = (-form.matrix[linear_rows:]).tocoo()
        task.appendafes(rows - linear_rows)
        if bottom.nnz:
            task.putafefentrylist(
                bottom.row.astype(np.int64), bottom.col.astype(np.int32), bottom.data
            )
        height = sum(form.second_order)
        if form.second_order:
            domains = {
                size: task.appendquadraticconedomain(size) for size in set(form.second_order)
            }
            each = [domains[size] for size in form.second_order]
            task.appendaccsseq(each, height, 0, np.zeros(height))
        if form.exponential:
            # MOSEK orders the exponential cone (r, q, p), bidual (p, q, r)
            domain = task.appendprimalexpconedomain()
            order = np.arange(height, rows - linear_rows).reshape(-1, 3)[:, ::-1].ravel()
            task.appendaccs([domain] * form.exponential, order, np.zeros(order.size))
        task.putobjsense(mosek.objsense.minimize)
        if not (form.second_order or form.exponential):
            # run() reads the interior-point solution, which the simplex method does not compute
            task.putintparam(mosek.iparam.optimizer, mosek.optimizertype.intpnt)
            task.putintparam(mosek.iparam.intpnt_basis, mosek.basindtype.never)
        _set_column(task, form, 0)
        return task

    def write(self, program: ConvexProgram, path: str | Path) -> None:
        """Write the model of the program's first block to a file; the suffix selects the format.

        Writing needs no licence. ``.task``, ``.jtask``, ``.ptf`` and ``.cbf`` hold the conic
        model that :meth:`run` solves. ``.mps`` has a quadratic objective and no cones, so loss
        and penalty must not need cones.

        Raises
        ------
        ValueError
            If the suffix is unknown, or if MOSEK cannot write the file or the format cannot hold
            the model; the message gives MOSEK's reason.
        """
        import mosek

        suffix = Path(path).suffix
        if suffix not in _FORMATS:  # MOSEK would write MPS
            raise ValueError(
                f"path: expected a suffix among {', '.join(_FORMATS)}, got {printable(path)}"
            )
        first = program.select(program.blocks[0])
        task = self.build(first.to_conic(quadratic=suffix == ".mps"))
        try:
            with TemporaryDirectory() as folder:
                model = Path(folder) / f"model{suffix}"
                task.writedata(str(model))
                with replacing(path) as file:
                    file.write(model.read_bytes())
        except (mosek.Error, OSError) as error:
            reason = error.msg.strip() if isinstance(error, mosek.Error) else error
            raise ValueError(
                f"path: cannot write the model to {printable(path)}: {reason}"
            ) from error

    def run(self, part: Part, request: Request) -> ConicAnswer:
        """See :class:`ConicBackend`."""
        import mosek

        task, form = part.built, part.form
        _set_column(task, form, request.column)
        for family in ("", "CO_"):  # linear and conic programs
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
            status = str(task.getsolsta(which)).removeprefix("solsta.")
            x, y = np.array(task.getxx(which)), np.array(task.gety(which))
        except mosek.Error as error:
            return ConicAnswer(None, None, str(error))
        iterations = task.getintinf(mosek.iinfitem.intpnt_iter)
        if not STATUSES.get(status, False):
            return ConicAnswer(None, None, status, iterations)
        multipliers = np.zeros(form.matrix.shape[0])
        # minus, because MOSEK's Lagrangian subtracts y' (A x - b)
        multipliers[: form.zero + form.nonnegative] = -y
        return ConicAnswer(x, multipliers, status, iterations)


def _set_column(task: Any, form: ConicForm, column: int) -> None:
    """Set the vectors of a column in the task."""
    import mosek

    linear_rows = form.zero + form.nonnegative
    bounds = form.bounds[:linear_rows, column]
    kinds = [mosek.boundkey.fx] * form.zero + [mosek.boundkey.up] * form.nonnegative
    lower = np.concatenate([bounds[: form.zero], np.full(form.nonnegative, -np.inf)])
    task.putconboundslice(0, linear_rows, kinds, lower, bounds)
    task.putclist(np.arange(form.linear.shape[0], dtype=np.int32), form.linear[:, column])
    task.putcfix(float(form.offset[column]))
    constants = form.bounds[linear_rows:, column]
    if constants.size:
        task.putafegslice(0, constants.size, constants)
