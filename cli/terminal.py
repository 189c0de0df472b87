"""The parser of commands: its errors are safe to print, and may say more."""

import argparse
from typing import NoReturn

from ..kernels.text import printable


class Parser(argparse.ArgumentParser):
    """Parser whose errors hold no control characters of the arguments.

    ``hints`` are further sentences for errors whose message ends with certain words.
    """

    hints: dict[str, str] = {}  # noqa: RUF012  (parsers with hints have their own)

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with status 2."""
        more = [hint for words, hint in self.hints.items() if message.endswith(words)]
        super().error(printable("; ".join([message, *more])))
