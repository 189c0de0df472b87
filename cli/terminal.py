"""Texts for a terminal, without NumPy: ``bidual verify`` needs the standard library alone."""


def printable(text: object) -> str:
    """Escape control characters and the like, as ``dictionaries/validation.py`` does."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in str(text)
    )
