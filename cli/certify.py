"""bidual certify: prove the gap of weights from anywhere, and write the proof to a file."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import LOSSES, PENALTIES, BinaryMatrix, ConvexProgram, Huber, certify
from ..certificates import checker

_BEST = ""  # an intercept asked for without a file


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "certify",
        help="prove the gap of weights in integers, and write a certificate file",
        description=(
            "Proves how far weights, whoever found them, are from the optimum of "
            "sum_i a_i loss((D W + b)_i, y_i) + strength * penalty(W), and writes a .cert file "
            "that anybody can check with nothing but Python."
        ),
        epilog=(
            "Exit status: 0 if the file is written, whatever its gap. Example: "
            "bidual certify patterns.npy y.npy w.npy --loss hinge --strength 0.01 --out w.cert"
        ),
    )
    parser.add_argument(
        "dictionary", help="D: 0/1 as .npy (N, P), or a file that bidual's save has written"
    )
    parser.add_argument("targets", help="y: .npy of (N,) or (N, C), as the loss takes them")
    parser.add_argument("weights", help="W: .npy of (P,) or (P, C)")
    losses, penalties = (", ".join(sorted(names)) for names in (LOSSES, PENALTIES))
    parser.add_argument("--loss", default="squared", help=f"one of: {losses} (default: squared)")
    parser.add_argument("--delta", type=float, help="where huber's loss turns linear (default: 1)")
    parser.add_argument("--penalty", default="l1", help=f"one of: {penalties} (default: l1)")
    parser.add_argument("--strength", type=float, required=True, help="lambda itself")
    parser.add_argument(
        "--intercept",
        nargs="?",
        const=_BEST,
        metavar="FILE",
        help="the program has one, b: .npy of one number or (C,), the best without a file",
    )
    parser.add_argument("--row-weights", metavar="FILE", help="a: .npy of (N,); 1/N unless given")
    parser.add_argument("--dual-point", metavar="FILE", help="a V to try: .npy of (N,) or (N, C)")
    parser.add_argument(
        "--out", default="answer.cert", metavar="FILE", help="where it goes (default: answer.cert)"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.delta is not None and options.loss != "huber":
        raise ValueError(f"delta: expected beside --loss huber, not {options.loss}")
    given = None if options.intercept == _BEST else options.intercept
    b, a, v = (
        None if file is None else _array(file)
        for file in (given, options.row_weights, options.dual_point)
    )
    program = ConvexProgram(
        _dictionary(options.dictionary),
        _array(options.targets),
        options.loss if options.delta is None else Huber(options.delta),
        options.strength,
        a,
        options.intercept is not None,
        penalty=options.penalty,
    )
    found = certify(
        program,
        weights=_array(options.weights),
        intercept=b,
        dual_point=v,
        exact=True,
    )
    found.save(options.out)
    print(checker.statement(checker.check(options.out)))
    print(f"written to {options.out}; check it: bidual verify {options.out}")
    return 0


def _array(file: str) -> NDArray[np.float64]:
    """Numbers of an .npy file."""
    try:
        found: NDArray[np.float64] = np.load(file, allow_pickle=False)
    except (EOFError, ValueError):
        found = np.array(None)
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "biuf":
        raise ValueError(f"{file}: expected an .npy file of real numbers")
    return found


def _dictionary(file: str) -> BinaryMatrix:
    """A matrix from an .npy file, or from one of bidual's own."""
    if Path(file).suffix != ".npy":
        return BinaryMatrix.load(file)
    try:
        return BinaryMatrix.from_dense(_array(file))
    except ValueError as error:
        raise ValueError(f"{file}: {str(error).removeprefix('dense: ')}") from error
