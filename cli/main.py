"""The command-line parser and the exit codes.

Exit codes: 0 success, 1 no answer, a contradiction or a refused file, 2 bad input,
130 interrupted, 141 output closed.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from io import TextIOWrapper

from ..kernels.text import printable
from .terminal import Parser

COMMANDS = ("demo", "compare", "certify", "verify", "backends")


def build_parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return the parser of these commands; only their files are imported."""
    parser = Parser(
        prog="bidual",
        description=(
            "Train threshold and spiking networks as convex programs, on any solver, "
            "with certified optimality gaps."
        ),
        epilog="bidual COMMAND --help describes a command. Start with: bidual demo",
    )
    parser.add_argument("--version", action="version", version=f"bidual {version('bidual')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name in names:
        import_module(f".{name}", __package__).add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; print one line on standard error for bad input."""
    try:
        try:
            return _run(sys.argv[1:] if arguments is None else arguments)
        finally:
            print(end="", flush=True)  # a closed pipe shows here, not when Python ends
    except OSError as error:  # also of the output itself
        _discard_output()
        if isinstance(error, BrokenPipeError):
            return 141  # as a shell has it
        print(f"bidual: error: {printable(error)}", file=sys.stderr)
        return 2


def _run(arguments: Sequence[str]) -> int:
    if isinstance(sys.stdout, TextIOWrapper):
        # a file's name in letters that the terminal lacks is escaped, and no error
        sys.stdout.reconfigure(errors="backslashreplace")
    # verify alone must not import the libraries that the other commands need
    named = [name for name in COMMANDS if name in arguments[:1]]
    options = build_parser(named or COMMANDS).parse_args(arguments)
    try:
        return int(options.run(options))
    except (ValueError, RuntimeError) as error:
        print(f"bidual: error: {printable(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bidual: interrupted", file=sys.stderr)
        return 130


def _discard_output() -> None:
    """Send what Python still has to write to nothing, where its reader is gone."""
    with open(os.devnull, "wb") as nothing:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                os.dup2(nothing.fileno(), stream.fileno())
