"""bidual verify: check certificate files, as certificates/checker.py does."""

import argparse
from decimal import ROUND_CEILING
from typing import Any

from ..certificates import checker, completeness


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "verify",
        help="check certificate files, a line each",
        description=(
            "Proves the statement of each .cert file anew, in integers, from the file alone, "
            "or tells the first thing that fails. certificates/checker.py and completeness.py "
            "do the same with nothing but Python's standard library, and say more."
        ),
        epilog="Exit status: 0 if every file is proven, 1 if one is refused.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a .cert file")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    refused = 0
    for file in options.files:
        try:
            print(f"proven   {file}: {_told(file)}", flush=True)
        except checker.Refused as reason:
            print(f"refused  {file}: {reason}", flush=True)
            refused = 1
    return refused


def _told(file: str) -> str:
    """What has been proven, in a line; Refused if it is not."""
    program = checker.check(file)
    over = f"the dictionary {program.columns_sha256[:16]}"
    with checker.open_archive(file) as archive:
        if checker.EXTRA_NAME in archive.namelist():
            words = " ".join(completeness.check(file).split())
            over = f"every {words.partition(', of any width')[0].removeprefix('no ')}"
    gap = checker.decimal(program.claims["gap"], program.bound_bits, ROUND_CEILING)
    return f"gap at most {gap}, {program.loss} + {program.penalty}, over {over}"
