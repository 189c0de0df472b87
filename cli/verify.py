"""bidual verify: check certificate files with certificates/checker.py."""

import argparse
from decimal import ROUND_CEILING
from typing import Any

from ..certificates import checker, completeness
from .terminal import printable


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
        epilog="Exit status: 0 if every file is proven, 1 if one is refused.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a .cert file")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    refused = 0
    for file in options.files:
        try:
            print(f"proven   {printable(file)}: {_told(file)}", flush=True)
        except checker.Refused as reason:
            print(f"refused  {printable(file)}: {printable(reason)}", flush=True)
            refused = 1
    return refused


def _told(file: str) -> str:
    """Return the proven statement in one line; raise Refused if the proof fails."""
    with checker.opened(file) as archive:
        program = checker.prove(archive)
        over = f"the dictionary {program.columns_sha256[:16]}"
        if checker.EXTRA_NAME in archive.namelist():
            words = " ".join(completeness.prove(archive, program).split())
            over = f"every {words.partition(', of any width')[0].removeprefix('no ')}"
    gap = checker.decimal(program.claims["gap"], program.bound_bits, ROUND_CEILING)
    return f"gap at most {gap}, {program.loss} + {program.penalty}, over {over}"
