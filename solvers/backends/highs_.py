"""HiGHS: simplex for linear programs, active-set or interior-point methods for quadratic ones."""

from functools import cache
from typing import Any, ClassVar

import numpy as np

from ...formulations import ConicForm
from ...formulations.lowering.qp import from_form
from .apart import apart
from .conic import ConicAnswer, ConicBackend, Part, Request

# whether the point returned with a model status is worth certifying
STATUSES = {
    "kOptimal": True,
    "kTimeLimit": True,
    "kIterationLimit": True,
    "kUnknown": True,
    "kObjectiveBound": True,
    "kObjectiveTarget": True,
    "kNotset": False,
    "kLoadError": False,
    "kModelError": False,
    "kPresolveError": False,
    "kSolveError": False,
    "kPostsolveError": False,
    "kModelEmpty": False,
    "kMemoryLimit": False,
    "kInfeasible": False,
    "kUnbounded": False,
    "kUnboundedOrInfeasible": False,
    "kSolutionLimit": False,
    "kInterrupt": False,
    "kHighsInterrupt": False,
}
_LOWEST = 1e-10  # smallest tolerance that HiGHS accepts
_SLACK = 1e-9  # least slack of a row that is not at its bound, for targets of size 1


class HiGHS(ConicBackend):
    """Adapter of HiGHS; ``options`` are HiGHS options, for example ``solver="ipm"``."""

    name = "highs"
    package = "highspy"
    quadratic: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset()
    starts: ClassVar[bool] = True

    def build(self, form: ConicForm) -> Any:
        """Build a HiGHS instance with the model of the first column."""
        import highspy

        qp = from_form(form)
        rows, columns = qp.matrix.shape
        model = highspy.HighsModel()
        lp = model.lp_
        lp.num_col_, lp.num_row_ = columns, rows
        lp.col_cost_ = qp.linear[:, 0]
        lp.col_lower_ = np.full(columns, -highspy.kHighsInf)
        lp.col_upper_ = np.full(columns, highspy.kHighsInf)
        lp.row_lower_, lp.row_upper_ = qp.lower[:, 0], qp.upper[:, 0]
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_ = qp.matrix.indptr
        lp.a_matrix_.index_ = qp.matrix.indices
        lp.a_matrix_.value_ = qp.matrix.data
        if qp.quadratic.nnz:
            hessian = model.hessian_
            hessian.dim_ = columns
            hessian.format_ = highspy.HessianFormat.kTriangular
            hessian.start_ = qp.quadratic.indptr
            hessian.index_ = qp.quadratic.indices
            hessian.value_ = qp.quadratic.data
        without_banner()
        solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        solver.setOptionValue("output_flag", False)
        solver.HandleUserInterrupt = True
        solver.passModel(model)
        return solver

    def run(self, part: Part, request: Request) -> ConicAnswer:
        """See :class:`ConicBackend`; the simplex method starts from the column's last answer."""
        import highspy

        qp, solver, k = from_form(part.form), part.built, request.column
        rows, columns = qp.matrix.shape
        solver.changeColsCost(columns, np.arange(columns, dtype=np.int32), qp.linear[:, k])
        numbers = np.arange(rows, dtype=np.int32)
        solver.changeRowsBounds(rows, numbers, qp.lower[:, k], qp.upper[:, k])
        tolerance = float(np.clip(request.tolerance, _LOWEST, 1e-2))
        settings: dict[str, Any] = {
            "primal_feasibility_tolerance": tolerance,
            "dual_feasibility_tolerance": tolerance,
            "ipm_optimality_tolerance": max(tolerance, 1e-12),
            # the default 1e-7 changes the answer; at 0 flat directions stop the active-set method
            "qp_regularization_value": 0.1 * tolerance,
            "time_limit": solver.getRunTime() + min(request.seconds, 1e10),
        }
        for name, value in {**settings, **request.options}.items():
            if solver.setOptionValue(name, value) != highspy.HighsStatus.kOk:
                raise ValueError(
                    f"options: expected HiGHS options with values that HiGHS accepts, got "
                    f"{name}={value!r}"
                )
        if k in part.answers and not qp.quadratic.nnz:
            solver.setBasis(_basis(part.form, k, part.answers[k].x))
        status = apart(
            lambda: _status(solver),
            lambda status: status in ("kInterrupt", "kHighsInterrupt"),
            solver.cancelSolve,  # the active-set method ignores it until its time limit
        )
        info, solution = solver.getInfo(), solver.getSolution()
        iterations = max(info.simplex_iteration_count, 0) + max(info.qp_iteration_count, 0)
        iterations += max(info.ipm_iteration_count, 0)
        if not STATUSES.get(status, False) or not solution.value_valid:
            return ConicAnswer(None, None, status, iterations)
        # HiGHS's multipliers have the opposite sign
        multipliers = -np.array(solution.row_dual) if solution.dual_valid else None
        return ConicAnswer(np.array(solution.col_value), multipliers, status, iterations)


@cache
def without_banner() -> None:
    """Keep HiGHS from printing its banner, which it does once, when its first object is made."""
    import highspy

    class Silent(highspy.Highs):
        def enableCallbacks(self) -> Any:
            # the constructor calls this method of HiGHS, which prints the banner
            self.setOptionValue("log_to_console", False)
            return super().enableCallbacks()  # type: ignore[no-untyped-call]

    Silent()  # type: ignore[no-untyped-call]


def _status(solver: Any) -> str:
    """Run HiGHS and return its model status, or its error."""
    try:
        solver.run()
    except Exception as error:
        return f"kSolveError: {error}"
    return str(solver.getModelStatus().name)


def _basis(form: ConicForm, column: int, x: Any) -> Any:
    """Return the basis of a point: the free columns and the rows with slack; HiGHS repairs it."""
    import highspy

    off = form.bounds[:, column] - form.matrix @ x > _SLACK
    basis, status = highspy.HighsBasis(), highspy.HighsBasisStatus
    basis.col_status = [status.kBasic] * x.size
    basis.row_status = [status.kBasic if each else status.kUpper for each in off]
    basis.valid = basis.alien = True
    return basis
