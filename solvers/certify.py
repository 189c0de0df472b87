"""certify(): bound the gap of an answer from any solver, by its own dual point or a solve's."""

import warnings
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from ..certificates.certificate import TELLING, Certificate, DualSource
from ..certificates.certify import certify_answer, certify_quickly
from ..certificates.exact_certificate import ExactCertificate
from ..certificates.kinks import points_at_kinks
from ..dictionaries import DenseMatrix
from ..dictionaries.validation import Array, check_flag, check_seconds, finite_array
from ..formulations import ConvexProgram
from ..formulations.best_intercept import best_intercept
from .solution import INTERRUPTED
from .solve import solve_from

_GAP = 1e-9  # relative gap that dual="solve" asks for


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
    time_limit: float = np.inf,
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
    time_limit: float = np.inf,
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
    time_limit: float = np.inf,
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
        Another V to try besides those of the weights. Of all of them and V = 0, each block
        takes the one with the smallest gap.
    exact : bool
        Whether to prove the bounds in integers. ``certify`` rounds weights and dual point to
        integers over powers of two; the certificate keeps them and can save them to a file.
    dual : {"weights", "solve"}
        "weights" derives V from the weights alone, which takes a few products with D. The gap
        then falls with the distance of the weights from the optimum more slowly than their
        objective does. "solve" also solves the program, from the weights on, to a relative gap
        of 1e-9, and also tries the V of this solve. The gap is then what the weights' objective
        is above the optimum, plus at most the gap of the solve.
    time_limit : float, seconds
        With dual="solve": time after which the solve stops. The V that it has found by then is
        tried. Ctrl-C raises KeyboardInterrupt instead, because a certificate has no status.

    Returns
    -------
    Certificate or, if exact, ExactCertificate

    Raises
    ------
    ValueError
        If the caller gives neither or both of solution and weights, or parts together with a
        solution; if a part has another shape or contains NaN or infinity, or D W + b exceeds
        the largest float64; if exact, for a DenseMatrix or a user-defined loss or penalty; if
        a time limit is given without dual="solve".
    KeyboardInterrupt
        After Ctrl-C, also during the solve.

    Warns
    -----
    UserWarning
        If V comes from the weights alone, rows lie on kinks of the hinge or absolute loss, and
        the gap is above 1e-6 of the reference: dual="solve" may prove a smaller gap.

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
    if not isinstance(program, ConvexProgram):
        raise ValueError(f"program: expected a ConvexProgram, got {type(program).__name__}")
    if check_flag("exact", exact):
        from ..certificates.exact import check_provable, exact_certificate  # slow imports

        if isinstance(program.design, DenseMatrix):
            raise ValueError(
                f"program: expected a 0/1 design (BinaryMatrix) for an exact certificate, got "
                f"{program.design!r}; certify it with exact=False"
            )
        check_provable(program)
    if dual not in ("weights", "solve"):
        raise ValueError(f"dual: expected 'weights' or 'solve', got {dual!r}")
    check_seconds(time_limit)
    if time_limit < np.inf and dual != "solve":
        raise ValueError("time_limit: can be given only together with dual='solve'")
    W, b, points = _parts(program, solution, weights, intercept, dual_point)
    source: DualSource = "given" if points else "weights"
    kinks = 0
    # a given V that proves little may be worse than those of the weights
    if dual == "solve" or not points or _gap(program, W, b, points) > TELLING:
        own, kinks = points_at_kinks(program, W, b)
        points.extend(own)
    if dual == "solve":
        points.append(_solved(program, W, b, points, time_limit))
        source = "solve"
    if source != "weights":
        kinks = 0
    found = certify_answer(program, W, b, points, source, kinks)
    if kinks and found.relative_gap > TELLING:
        warnings.warn(
            f"weights: {kinks} rows lie on kinks of the {program.loss.name} loss, where weights do "
            "not determine a dual point, so that the gap may be larger than need be; dual='solve' "
            "also tries the dual point of a solve",
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


def _gap(program: ConvexProgram, W: Array, b: Array, points: list[Array]) -> float:
    return certify_quickly(program, W, b, points).relative_gap


def _solved(
    program: ConvexProgram, W: Array, b: Array, points: list[Array], time_limit: float
) -> Array:
    """Solve the program from W and b on, and return its dual point; raise KeyboardInterrupt."""
    found = certify_quickly(program, W, b, points)
    solution = solve_from(program, _GAP, (W, b, found.dual_point), time_limit)
    if solution.message == INTERRUPTED:
        raise KeyboardInterrupt
    return solution.dual_point
