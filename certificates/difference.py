"""Compare the statement of a certificate file with data or with a program of one's own."""

from contextlib import suppress
from fractions import Fraction
from os import PathLike
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from ..dictionaries import BinaryMatrix
from ..dictionaries.validation import file_path
from ..formulations import ConvexProgram
from ..formulations.losses import find_loss
from ..formulations.targets import encode
from . import checker
from .cert_file import columns_sha256
from .exact_terms import to_integers


def difference(path: str | PathLike[str], program: ConvexProgram) -> str | None:
    """Prove a certificate file, and return the first difference between its program and yours.

    All numbers are compared exactly: design, targets, row weights, loss, penalty, intercept and
    strength.

    Parameters
    ----------
    path : path
        A ``.cert`` file.
    program : ConvexProgram
        A program over a 0/1 design.

    Returns
    -------
    str or None
        The first difference in words; None if the file is about this program.

    Raises
    ------
    checker.Refused
        If the file proves nothing.
    ValueError
        If the design is not a BinaryMatrix.

    Examples
    --------
    >>> import os, tempfile
    >>> import bidual as bd
    >>> from bidual.certificates.difference import difference
    >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    >>> program = bd.ConvexProgram(D, [1.0, 2.0, -1.0], strength=0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "a.cert")
    ...     bd.certify(program, bd.solve(program), exact=True).save(path)
    ...     print(difference(path, program))
    ...     print(difference(path, program.with_strength(0.2)))
    None
    strength: 0.1 in the file, 0.2 here
    """
    if not isinstance(program.design, BinaryMatrix):
        raise ValueError(f"program: expected a 0/1 design (BinaryMatrix), got {program.design!r}")
    with checker.opened(file_path(path)) as archive:
        proven = checker.prove(archive)
        found = data_difference(
            archive, proven, program.design, program.target, program.row_weights
        )
    if found:
        return found
    for name, there, here in (
        ("loss", proven.loss, program.loss.name),
        ("penalty", proven.penalty, program.penalty.name),
        ("intercept", proven.intercept, program.intercept),
        ("strength", _number(*proven.strength), Fraction(program.strength)),
        ("delta", _number(*proven.delta), Fraction(program.loss.delta or 1)),
    ):
        if there != here:
            told = (_shown(x) if isinstance(x, Fraction) else x for x in (there, here))
            return "{}: {} in the file, {} here".format(name, *told)
    return None


def data_difference(
    archive: ZipFile,
    proven: checker.Program,
    design: BinaryMatrix | NDArray[Any],
    target: NDArray[Any],
    row_weights: NDArray[Any] | None,
) -> str | None:
    """Return the first difference between data and those of an opened and proven file, in words.

    ``design`` may be any real matrix. ``target`` may be the program's targets (N,) or (N, C), or
    labels, which network classes turn into targets. Row weights (N,) are compared if given.
    """
    there = proven.rows, proven.atoms
    if design.shape != there:
        return f"design: shape {there} in the file, {design.shape} here"
    if not isinstance(design, BinaryMatrix):
        odd = np.argwhere((design != 0) & (design != 1))
        if len(odd):
            i, j = odd[0].tolist()
            return f"design: 0 or 1 in the file, {design[i, j]} here, at row {i}, atom {j}"
        design = BinaryMatrix.from_dense(design)
    if columns_sha256(design) != proven.columns_sha256:
        for j, column in checker.columns(archive, proven):
            mine = int.from_bytes(design.packed_bytes(j, j + 1).tobytes(), "little")
            if different := column ^ mine:
                i = (different & -different).bit_length() - 1
                values = column >> i & 1, mine >> i & 1
                return "design: {} in the file, {} here, at row {}, atom {}".format(*values, i, j)
    flat = [y for row in proven.targets for y in row]
    candidates = _candidates(proven, target)
    bits = proven.target_bits
    places = [_first(flat, bits, each) for each in candidates]
    if None not in places:
        if rounded := _rounded(target):
            return f"targets: numbers of float64 in the file, {rounded[0]} here"
        if not candidates:
            shape = proven.rows, proven.outputs
            return (
                f"targets: finite, of shape {shape} in the file, not so here, shape {target.shape}"
            )
        # of numbers and labels those that agree further
        place, here = max(zip(places, candidates, strict=True), key=lambda each: each[0] or 0)
        return _told("targets", place or 0, flat, bits, here, proven.outputs)
    if row_weights is None:
        return None
    if row_weights.shape not in ((proven.rows,), (proven.rows, 1)):
        return f"row weights: shape {(proven.rows,)} in the file, {row_weights.shape} here"
    weights, bits = row_weights.astype(np.float64), proven.row_weight_bits
    if rounded := _rounded(row_weights):
        return f"row weights: numbers of float64 in the file, {rounded[0]} here"
    if not np.isfinite(weights).all():
        return "row weights: finite numbers in the file, not here"
    place = _first(proven.row_weights, bits, weights)
    return None if place is None else _told("row weights", place, proven.row_weights, bits, weights)


def _candidates(proven: checker.Program, target: NDArray[Any]) -> list[NDArray[np.float64]]:
    """Return what the targets may mean: numbers, and labels that a network class encodes."""
    found, rounded = [], _rounded(target)
    if target.dtype.kind in "biuf" and not rounded:
        found.append(target.astype(np.float64))
    with suppress(ValueError):
        numbers, classes = encode(target, proven.rows, find_loss(proven.loss))
        if classes is not None or not rounded:
            found.append(numbers)
    shape = proven.rows, proven.outputs
    fitting = (x for x in found if x.shape == shape or (shape[1] == 1 and x.shape == shape[:1]))
    return [x for x in fitting if np.isfinite(x).all()]


def _rounded(given: NDArray[Any]) -> list[Any]:
    """Return the numbers that float64 rounds: those of a file are float64."""
    if given.dtype.kind not in "iuf" or given.dtype.itemsize < 8:
        return []
    numbers = given[np.isfinite(given)].astype(object)
    return [x for x, y in zip(numbers, numbers.astype(np.float64), strict=True) if x != float(y)]


def _first(there: list[int], bits: int, here: NDArray[np.float64]) -> int | None:
    """Return the place of the first difference between integers over 2^bits and floats."""
    mine = to_integers(here.reshape(1, -1))
    common = max(bits, mine.bits)
    shifts = common - bits, common - mine.bits
    for place, (x, y) in enumerate(zip(there, mine.integers[0].tolist(), strict=True)):
        if x << shifts[0] != y << shifts[1]:
            return place
    return None


def _told(
    name: str, place: int, there: list[int], bits: int, here: NDArray[np.float64], outputs: int = 1
) -> str:
    """State a difference in words."""
    where = f"row {place // outputs}" + f", output {place % outputs}" * (outputs > 1)
    value = _shown(_number(there[place], bits))
    mine = _shown(Fraction(float(here.flat[place])))
    return f"{name}: {value} in the file, {mine} here, at {where}"


def _number(integer: int, bits: int) -> Fraction:
    return Fraction(integer) / Fraction(2) ** bits


def _shown(value: Fraction) -> str:
    """Write a number in the digits that tell it apart from other float64."""
    try:
        return repr(float(value)).removesuffix(".0")
    except OverflowError:
        return f"a number of {len(str(abs(value.numerator)))} digits"
