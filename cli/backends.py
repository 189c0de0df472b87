"""bidual backends: which are ready here, in which version, and what each takes."""

import argparse
from typing import Any

from .. import BACKENDS, LOSSES, BinaryMatrix, ConvexProgram


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "backends",
        help="list the backends: version, licence, what each takes",
        description=(
            "Lists every backend with its version, whether it can solve here (and what to do "
            "if not), and which losses it takes, with and without an intercept."
        ),
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    programs = {
        (loss, intercept): ConvexProgram(
            BinaryMatrix.from_dense([[1], [0]]), [1.0, -1.0], loss, 0.1, intercept=intercept
        )
        for loss in LOSSES
        for intercept in (False, True)
    }
    heads = [f"{loss}{' + b' if intercept else ''}" for loss, intercept in programs]
    print(f"{'backend':<9} {'version':<9} {'ready':<6}" + "".join(f"{head:>15}" for head in heads))
    remarks = []
    for name, backend in BACKENDS.items():
        missing = backend.available()
        refusals = [backend.accepts(program) for program in programs.values()]
        marks = "".join(f"{'-' if refusal else 'yes':>15}" for refusal in refusals)
        print(f"{name:<9} {backend.version or '-':<9} {'no' if missing else 'yes':<6}{marks}")
        remarks += [f"{name}: {missing}"] if missing else []
        remarks += [f"{name}: {refusal}" for refusal in dict.fromkeys(refusals) if refusal]
    print("\n+ b is with an intercept. All take row weights and several outputs.")
    print("\n".join(remarks))
    return 0
