"""bidual certify: prove the gap of weights from any solver, and write the proof to a file."""

import argparse
from pathlib import Path
from typing import Any

from .. import LOSSES, PENALTIES, ConvexProgram, Huber, certify
from ..certificates import checker
from .arrays import read_array, read_design
from .terminal import printable

_BEST = ""  # --intercept without a file


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "certify",
        help="prove the gap of weights in integers, and write a certificate file",
        description=(
            "Proves how far weights from any solver are from the optimum of "
            "sum_i a_i loss((D W + b)_i, y_i) + strength * penalty(W), and writes a .cert file "
            "that anybody can check with nothing but Python."
        ),
        epilog=(
            "Exit status: 0 if the file is written, for any gap. Example: "
            "bidual certify patterns.npy y.npy w.npy --loss hinge --strength 0.01 --out w.cert"
        ),
    )
    parser.add_argument(
        "dictionary", help="D: 0/1 as .npy or .npz (N, P), or a file that dictionary.save() wrote"
    )
    parser.add_argument("targets", help="y: .npy (N,) or (N, C), in the form that the loss takes")
    parser.add_argument("weights", help="W: .npy (P,) or (P, C)")
    losses, penalties = (", ".join(sorted(names)) for names in (LOSSES, PENALTIES))
    parser.add_argument("--loss", default="squared", help=f"one of: {losses} (default: squared)")
    parser.add_argument(
        "--delta", type=float, help="residual at which the huber loss becomes linear (default: 1)"
    )
    parser.add_argument("--penalty", default="l1", help=f"one of: {penalties} (default: l1)")
    parser.add_argument(
        "--strength", type=float, required=True, help="lambda, the factor of the penalty"
    )
    parser.add_argument(
        "--intercept",
        nargs="?",
        const=_BEST,
        metavar="FILE",
        help="the program has an intercept b: .npy of one number or (C,); without FILE the best b",
    )
    parser.add_argument("--row-weights", metavar="FILE", help="a: .npy (N,) (default: 1/N each)")
    parser.add_argument(
        "--dual-point", metavar="FILE", help="another dual point V to try: .npy (N,) or (N, C)"
    )
    parser.add_argument(
        "--solve",
        action="store_true",
        help="solve the program from the weights on, and also try the dual point of this solve",
    )
    parser.add_argument(
        "--out",
        default="answer.cert",
        metavar="FILE",
        help="certificate file to write (default: answer.cert)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.delta is not None and options.loss != "huber":
        raise ValueError(
            f"delta: can be given only together with --loss huber, got --loss {options.loss}"
        )
    given = None if options.intercept == _BEST else options.intercept
    b, a, v = (
        None if file is None else read_array(file)
        for file in (given, options.row_weights, options.dual_point)
    )
    program = ConvexProgram(
        read_design(options.dictionary),
        read_array(options.targets),
        options.loss if options.delta is None else Huber(options.delta),
        options.strength,
        a,
        options.intercept is not None,
        penalty=options.penalty,
    )
    found = certify(
        program,
        weights=read_array(options.weights),
        intercept=b,
        dual_point=v,
        exact=True,
        dual="solve" if options.solve else "weights",
    )
    found.save(options.out)
    try:
        told = checker.statement(checker.check(options.out))
    except checker.Refused as reason:  # of an error of bidual
        Path(options.out).unlink()
        raise RuntimeError(f"out: expected a proof that the checker takes, got: {reason}") from None
    print(told)
    out = printable(options.out)
    print(f"written to {out}; check it: bidual verify {out}")
    return 0
