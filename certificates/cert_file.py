"""Write ``.cert`` files; docs/certificate_format.md describes every field."""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from typing import IO, Any

from ..dictionaries import BinaryMatrix
from . import checker
from .checker import EXTRA_NAME, MOST_STATEMENT_BYTES, NAMES

_COLUMNS = 4096  # columns packed at a time
_DATE = (1980, 1, 1, 0, 0, 0)  # equal certificates give equal bytes


def write(
    file: IO[bytes],
    statement: dict[str, Any],
    design: BinaryMatrix,
    completeness: dict[str, Any] | None,
) -> None:
    """Write a certificate to a file; raise ValueError before if it is too large for the checker."""
    contents = {NAMES[0]: _json(statement)}
    if completeness is not None:
        contents[EXTRA_NAME] = _json(completeness)
    for name, text in contents.items():
        if len(text) > MOST_STATEMENT_BYTES:
            raise ValueError(
                f"certificate: expected a {name} of at most {MOST_STATEMENT_BYTES} bytes, the "
                f"limit of the checker, got {len(text)}; use fewer rows or outputs"
            )
    _check_work(statement)
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in contents.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), text)
        with archive.open(zipfile.ZipInfo(NAMES[1], _DATE), "w", force_zip64=True) as columns:
            for chunk in _packed(design):
                columns.write(chunk)


def _check_work(statement: dict[str, Any]) -> None:
    """Raise ValueError if the checker would refuse the statement's numbers or its work."""
    try:
        steps = checker.work(checker.Program(statement))
    except checker.Refused as reason:
        raise ValueError(
            f"certificate: expected numbers in the checker's ranges, got: {reason}; rescale the "
            "program"
        ) from None
    if steps > checker.MOST_WORK:
        raise ValueError(
            f"certificate: expected at most {checker.MOST_WORK} steps of the checker, got {steps}; "
            "use fewer rows, outputs or atoms"
        )


def columns_sha256(design: BinaryMatrix) -> str:
    """Return the digest of a matrix in certificates: SHA-256 of its shape and packed columns.

    Examples
    --------
    >>> import bidual as bd
    >>> from bidual.certificates.cert_file import columns_sha256
    >>> columns_sha256(bd.BinaryMatrix.from_dense([[1, 0], [1, 1]]))[:16]
    'c848b1697aaccda4'
    """
    digest = hashlib.sha256(b"%d %d\n" % design.shape)
    for chunk in _packed(design):
        digest.update(chunk)
    return digest.hexdigest()


def _packed(design: BinaryMatrix) -> Iterator[bytes]:
    """Yield bytes of some columns at a time, row i in bit i % 8 of byte i // 8."""
    for first in range(0, design.shape[1], _COLUMNS):
        yield design.packed_bytes(first, first + _COLUMNS).tobytes()


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)
