r"""Texts for a terminal. This is no kernel: it lies on the lowest floor, without NumPy.

``bidual verify``, which needs the standard library alone, and all floors above use it.
"""


def printable(text: object) -> str:
    r"""Return a text for a terminal: control characters and the like escaped as in Python.

    Names and contents of files may come from strangers; raw escapes could rewrite the screen.

    Examples
    --------
    >>> from bidual.kernels.text import printable
    >>> print(printable("café\x1b[2J\n"))
    café\x1b[2J\n
    """
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in str(text)
    )
