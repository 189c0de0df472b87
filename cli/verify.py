"""bidual verify: check certificate files with certificates/checker.py."""

import argparse
from decimal import ROUND_CEILING
from typing import Any

from ..certificates import checker, completeness
from ..kernels.text import printable


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "verify",
        help="check certificate files, one line per file",
        description=(
            "Proves the statement of each .cert file again, in integers, from the file alone, "
            "or prints the first failure. certificates/checker.py and completeness.py do the "
            "same with nothing but Python's standard library, and print the whole statement."
        ),
        epilog=(
            "Exit status: 0 if every file is proven, and about the given data; 1 if one is refused "
            "or about other data. Example: bidual verify --against patterns.npy y.npy w.cert"
        ),
    )
    parser.add_argument(
        "--against",
        nargs=2,
        metavar=("D", "Y"),
        help=(
            "compare with your data, exactly: D as .npy or .npz (N, P) or a file that "
            "dictionary.save() wrote, Y as .npy or .npz: targets or class labels"
        ),
    )
    parser.add_argument(
        "--row-weights", metavar="FILE", help="with --against: compare these too, .npy (N,)"
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a .cert file")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.row_weights is not None and options.against is None:
        raise ValueError("row-weights: can be given only together with --against D Y")
    data = None
    if options.against is not None:
        # with their libraries, which a check of files alone does not need
        from .arrays import read_array, read_numbers, read_targets

        design, targets = options.against
        a = None if options.row_weights is None else read_array(options.row_weights)
        data = read_numbers(design), read_targets(targets), a
    status = 0
    for file in options.files:
        try:
            told, unlike = _told(file, data)
        except checker.Refused as reason:
            word, told, status = "refused ", str(reason), 1
        else:
            word = "proven  "
            if data is not None and unlike is not None:
                word, told, status = "differs ", unlike, 1
            elif data is not None:
                told += ", about the given " + (
                    "D and Y; row weights not compared" if a is None else "D, Y and row weights"
                )
        print(f"{word} {printable(file)}: {printable(told)}", flush=True)
    return status


def _told(file: str, data: Any) -> tuple[str, str | None]:
    """Return the proven statement in one line, and how it differs from the data, if given.

    Raise Refused if the proof fails.
    """
    unlike = None
    with checker.opened(file) as archive:
        program = checker.prove(archive)
        over = f"the dictionary {program.columns_sha256[:16]}"
        if checker.EXTRA_NAME in archive.namelist():
            words = " ".join(completeness.prove(archive, program).split())
            over = f"every {words.partition(', of any width')[0].removeprefix('no ')}"
        if data is not None:
            from ..certificates.difference import data_difference

            unlike = data_difference(archive, program, *data)
    gap = checker.decimal(program.claims["gap"], program.bound_bits, ROUND_CEILING)
    return f"gap at most {gap}, {program.loss} + {program.penalty}, over {over}", unlike
