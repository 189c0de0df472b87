"""certify(): bound the gap of an answer from any solver, by its own dual point or a solve's."""

import warnings
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from ..certificates.certificate import Certificate, DualSource
from ..certificates.certify import certify_answer
from ..certificates.exact_certificate import ExactCertificate
from ..certificates.kinks import points_at_kinks
from ..dictionaries import DenseMatrix
from ..dictionaries.validation import Array, finite_array
from ..formulations import ConvexProgram
from ..formulations.best_intercept import best_intercept
from .solve import solve_from

_GAP = 1e-9  # relative gap that dual="solve" asks for
_TELLING = 1e-6  # relative gap from which on kinks are worth a warning


@overload
def certify(
    program: ConvexProgram,
    solution: Any = None,
    *,
    weights: ArrayLike | None = None,
    intercept: ArrayLike | None = None,
    dual_point: ArrayLike | None = None,
    exact: Literal[False] = False,
    dual: Literal["weights", "solve"] = "weights",
) -> Certificate: ...
@overload
def certify(
    program: ConvexProgram,
    solution: Any = None,
    *,
    weights: ArrayLike | None = None,
    intercept: ArrayLike | None = None,
    dual_point: ArrayLike | None = None,
    exact: Literal[True],
    dual: Literal["weights", "solve"] = "weights",
) -> ExactCertificate: ...


def certify(
    program: ConvexProgram,
    solution: Any = None,
    *,
    weights: ArrayLike | None = None,
    intercept: ArrayLike | None = None,
    dual_point: ArrayLike | None = None,
    exact: bool = False,
    dual: Literal["weights", "solve"] = "weights",
) -> Certificate | ExactCertificate:
    """Certify an answer to a program from any solver: bound its gap to the optimum.

    Parameters
    ----------
    program : ConvexProgram
    solution : Solution, optional
        An answer of :func:`bidual.solve`. For any other answer give its parts instead:
    weights : (P,) or (P, C) array, optional
    intercept : float, (C,) or (1, C) array, optional
        b. By default, if the program has an intercept, the best one for the weights.
    dual_point : (N,) or (N, C) array, optional
        Another V to try besides the gradient at the weights. Of both and V = 0, each block
        takes the one with the smallest gap.
    exact : bool
        Whether to prove the bounds in integers. ``certify`` rounds weights and dual point to
        integers over powers of two; the certificate keeps them and can save them to a file.
    dual : {"weights", "solve"}
        "weights" derives V from the weights alone, which takes a few products with D. The gap
        then falls with the distance of the weights from the optimum more slowly than their
        objective does. "solve" also solves the program, from the weights on, to a relative gap
        of 1e-9, and tries the V of this solve. The gap is then what the weights' objective is
        above the optimum, plus the gap of the solve.

    Returns
    -------
    Certificate or, if exact, ExactCertificate

    Raises
    ------
    ValueError
        If the caller gives neither or both of solution and weights, or parts together with a
        solution; if a part has another shape or contains NaN or infinity, or D W + b exceeds
        the largest float64; if exact, for a DenseMatrix or a user-defined loss or penalty.

    Warns
    -----
    UserWarning
        If V comes from the weights alone, rows lie on kinks of the hinge or absolute loss, and
        the gap is above 1e-6 of the reference: another V of these rows may prove more.

    Examples
    --------
    >>> import bidual as bd
    >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    >>> program = bd.ConvexProgram(D, [1.0, 2.0, -1.0], loss="squared", strength=0.1)
    >>> round(bd.certify(program, weights=[0.0, 0.0]).relative_gap, 6)
    0.81
    >>> near = [1.3, 0.0]
    >>> for dual in ("weights", "solve"):
    ...     print(round(bd.certify(program, weights=near, dual=dual).relative_gap, 6))
    0.016458
    0.001111
    """
    if exact:
        from ..certificates.exact import check_provable, exact_certificate  # slow imports

        if isinstance(program.design, DenseMatrix):
            raise ValueError(
                f"program: expected a 0/1 design (BinaryMatrix) for an exact certificate, got "
                f"{program.design!r}; certify it with exact=False"
            )
        check_provable(program)
    if dual not in ("weights", "solve"):
        raise ValueError(f"dual: expected 'weights' or 'solve', got {dual!r}")
    W, b, points = _parts(program, solution, weights, intercept, dual_point)
    source: DualSource = "given" if points else "weights"
    kinks = 0
    if dual == "solve":
        points.append(_solved(program, W, b, points))
        source = "solve"
    elif not points:
        points, kinks = points_at_kinks(program, W, b)
    found = certify_answer(program, W, b, points, source, kinks)
    if kinks and found.relative_gap > _TELLING:
        warnings.warn(
            f"weights: {kinks} rows lie on kinks of the {program.loss.name} loss, where weights do "
            "not determine a dual point, so that the gap may be too large; call certify(..., "
            "dual='solve') for the dual point of a solve",
            UserWarning,
            stacklevel=2,
        )
    return exact_certificate(program, found, W, b) if exact else found


def _parts(
    program: ConvexProgram,
    solution: Any,
    weights: ArrayLike | None,
    intercept: ArrayLike | None,
    dual_point: ArrayLike | None,
) -> tuple[Array, Array, list[Array]]:
    """Return W, b and the dual points of a caller's arguments."""
    if solution is not None and not hasattr(solution, "dual_point"):
        raise ValueError("solution: expected a Solution; pass weights by name, weights=...")
    if (solution is None) == (weights is None):
        raise ValueError("solution, weights: expected exactly one of the two")
    if weights is None:
        if intercept is not None or dual_point is not None:
            raise ValueError("intercept, dual_point: can be given only together with weights=")
        weights, intercept = solution.weights, solution.intercept
        dual_point = solution.dual_point
        shape = program.design.shape[1], program.outputs
        if np.shape(weights) != shape or np.shape(dual_point) != program.target.shape:
            raise ValueError(
                f"solution: expected weights of shape {shape} and a dual point of shape "
                f"{program.target.shape}, got {np.shape(weights)} and {np.shape(dual_point)}; pass "
                "the program that was solved"
            )
    W, b = program.checked_answer(weights, 0.0 if intercept is None else intercept)
    with np.errstate(over="ignore", invalid="ignore"):
        fit = program.affine(W, b)
    if not np.isfinite(fit).all():
        raise ValueError(
            "weights: expected a finite D W + b, got numbers beyond the largest float64"
        )
    if program.intercept and intercept is None:
        with np.errstate(over="ignore", invalid="ignore"):
            b = best_intercept(program.loss, fit, program.target, program.row_weights)
            fit = program.affine(W, b)
        if not np.isfinite(fit).all():
            raise ValueError(
                "weights: expected weights with a best intercept in float64, got none; rescale "
                "weights, targets or row weights"
            )
    if dual_point is None:
        return W, b, []
    return W, b, [finite_array("dual_point", dual_point, *program.target.shape)]


def _solved(program: ConvexProgram, W: Array, b: Array, points: list[Array]) -> Array:
    """Solve the program from W and b on, and return its dual point."""
    found = certify_answer(program, W, b, points)
    return solve_from(program, _GAP, (W, b, found.dual_point)).dual_point
