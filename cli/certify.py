"""bidual certify: prove the gap of weights from any solver, and write the proof to a file."""

import argparse
import os
import sys
import warnings
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import LOSSES, PENALTIES, ConvexProgram, Huber, certify
from ..certificates import checker
from ..certificates.exact_certificate import write
from ..dictionaries.files.replacing import check_target, replacing
from ..dictionaries.validation import real_array
from ..formulations.losses import Loss, find_loss
from ..formulations.targets import encode
from ..kernels.text import printable
from .arrays import read_array, read_design, read_targets
from .terminal import Parser

_BEST = ""  # --intercept without a file


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser: Parser = commands.add_parser(
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
    parser.hints = {
        "required: weights": "an --intercept before it may have taken its file: write "
        "--intercept last, or --intercept=FILE"
    }
    parser.hints["required: targets, weights"] = parser.hints["required: weights"]
    parser.add_argument(
        "dictionary", help="D: 0/1 as .npy or .npz (N, P), or a file that dictionary.save() wrote"
    )
    parser.add_argument(
        "targets",
        help="y: .npy (N,) or (N, C), in the form that the loss takes, or class labels (N,)",
    )
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
        "--time-limit",
        type=float,
        metavar="SECONDS",
        help="with --solve: seconds after which the solve stops (default: none)",
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
    if options.time_limit is not None and not options.solve:
        raise ValueError("time-limit: can be given only together with --solve")
    given = None if options.intercept == _BEST else options.intercept
    side = given, options.row_weights, options.dual_point
    _check_out(options.out, [options.dictionary, options.targets, options.weights, *side])
    b, a, v = (None if file is None else read_array(file) for file in side)
    design, weights = read_design(options.dictionary), read_array(options.weights)
    loss = find_loss(options.loss if options.delta is None else Huber(options.delta))
    program = ConvexProgram(
        design,
        _targets(read_targets(options.targets), design.shape[0], loss, weights),
        loss,
        options.strength,
        a,
        options.intercept is not None,
        penalty=options.penalty,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        found = certify(
            program,
            weights=weights,
            intercept=b,
            dual_point=v,
            exact=True,
            dual="solve" if options.solve else "weights",
            time_limit=np.inf if options.time_limit is None else options.time_limit,
        )
    with replacing(options.out) as file:  # an earlier file stays unless the new one is proven
        write(found, file)
        file.flush()
        try:
            told = checker.statement(checker.check(file.name))
        except checker.Refused as reason:  # of an error of bidual
            raise RuntimeError(
                f"out: expected a proof that the checker takes, got: {reason}; nothing was written"
            ) from None
    for each in caught:
        said = str(each.message).replace("dual='solve'", "--solve")
        print(f"bidual: warning: {printable(said)}", file=sys.stderr)
    print(told)
    out = printable(options.out)
    print(f"written to {out}; check it: bidual verify {out}")
    return 0


def _check_out(out: str, inputs: list[str | None]) -> None:
    """Raise an error, before any work, if the file can't be written or is one of the inputs."""
    check_target(out)
    given = [file for file in inputs if file is not None and os.path.exists(file)]
    for file in given if os.path.exists(out) else []:
        if os.path.samefile(out, file):
            raise ValueError(
                f"out: expected a file of its own, got the input {file}; give another name"
            )


def _targets(given: NDArray[Any], rows: int, loss: Loss, weights: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as they are if loss and weights take them, else the targets of labels."""
    outputs = weights.shape[1] if weights.ndim == 2 else 1
    fits = given.reshape(len(given), -1).shape[1] == outputs if given.size else False
    if given.dtype.kind != "U" and fits:
        with suppress(ValueError):
            loss.check_targets(real_array("target", given))
            return given
    try:
        targets, classes = encode(given, rows, loss)
    except ValueError:
        if given.dtype.kind == "U":
            raise
        return given  # the program's error speaks of numbers
    labels = classes is not None and (targets.shape[1] == outputs or given.dtype.kind == "U")
    return targets if labels else given
