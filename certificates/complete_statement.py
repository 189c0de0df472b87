"""Prove that the columns of a certificate are complete; ``completeness.py`` checks the proof.

``dictionaries/complete`` lists the patterns again, with one neuron in integers per pattern or
per trajectory. For threshold patterns the proof also excludes flats of rows, so that the checker
counts exactly the existing patterns.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..dictionaries import BinaryMatrix, Budget, ClassRecord, lif_trajectories, threshold_patterns
from ..dictionaries.complete.closed_faces import cyclic_part
from ..dictionaries.complete.integer_rows import Row, integer_rows
from ..dictionaries.complete.prefix_trie import PrefixTrie, SoftReset, check_neuron
from ..dictionaries.spike_dictionary import Readout
from ..formulations import ConvexProgram
from . import completeness as checked


def completeness(
    program: ConvexProgram,
    X: ArrayLike | None = None,
    leak: Any = None,
    reset: SoftReset | None = None,
    readout: Readout | None = None,
    budget: Budget | None = None,
) -> dict[str, Any]:
    """Return the proof that a program's atoms are all patterns of a class of neurons.

    Saved with an exact certificate, the proof makes the bound global: it holds for every network
    of one hidden layer of that class on ``X``, of any width. ``certificates/completeness.py``
    checks the proof with nothing but Python.

    If a network class stated the program over a complete dictionary, the program is enough:
    ``completeness(program)``, or ``certificate.save(path, complete=True)``. The other arguments
    are for programs that were made from a design alone.

    Parameters
    ----------
    program : ConvexProgram
        A program over a complete dictionary, made by ``network_class.complete``,
        ``complete_thresholds`` or ``complete_lif``.
    X : (n, d) array, or (n, T, d) of LIF neurons, optional
        The inputs of the dictionary, by default those that it keeps. The functions above round
        inputs to a grid: give the rounded X, ``dictionary.sequences``. Threshold units may take
        X - ``dictionary.grid.offsets``, in another unit; no pattern of the class depends on it.
    leak : Fraction, int, str, pair of ints or float, optional
        Leak of LIF neurons, exactly as the caller gave it to the dictionary. Without a leak the
        neurons are threshold units.
    reset : {"delayed", "immediate"}, optional
        Reset of LIF neurons, by default "delayed".
    readout : {"last", "every"}, optional
        For LIF neurons, whether the rows of the program are the last steps or all steps; by
        default "last".
    budget : Budget, optional
        Limit on listing the patterns again; by default ``Budget()``.

    Returns
    -------
    dict
        The proof, for :meth:`ExactCertificate.save`.

    Raises
    ------
    ValueError
        If an argument is out of range or differs from that of the dictionary; if X is neither
        given nor kept; if the patterns of X are not the program's atoms; for networks of several
        layers, recurrent units, or LIF neurons of more than two inputs, whose patterns the checker
        cannot count.
    BudgetExceeded
        If listing the patterns exceeds the budget.

    Examples
    --------
    >>> from itertools import product
    >>> import bidual as bd
    >>> X = list(product((0, 1), repeat=3))
    >>> parity = [sum(bits) % 2 for bits in X]
    >>> units = bd.Feedforward(hidden=(1,), bias=True)
    >>> program = units.program(units.complete(X), parity, loss="hinge", strength=0.01)
    >>> shown = bd.completeness(program)
    >>> shown["class"], shown["listed"]
    ('threshold', 104)
    """
    dictionary = program.dictionary
    record = None if dictionary is None else dictionary.record
    if record is not None and record.complete:
        leak, reset, readout = _of_record(record, leak, reset, readout)
        if X is None and dictionary is not None and dictionary.sequences is not None:
            X = dictionary.sequences if record.kind == "LIF" else dictionary.sequences[:, 0]
    if X is None:
        raise ValueError(
            "X: expected the inputs of the dictionary, which the program does not know; pass X, "
            "and the leak of LIF neurons, or state the program by a network class over its "
            "complete dictionary"
        )
    if leak is None:
        shown = _thresholds(X, budget)
    else:
        shown = _lif(X, leak, reset or "delayed", readout or "last", budget)
    patterns = shown.pop("patterns")
    atoms, found = _distinct(program.design), _distinct(patterns)
    if program.design.shape[0] != patterns.shape[0] or atoms != found:
        raise ValueError(
            f"program: expected the {len(found)} patterns of X on {patterns.shape[0]} rows as "
            f"atoms, got {program.design!r}, with {len(atoms & found)} of them"
        )
    largest = max(abs(x) for key in ("data", "witnesses") for x in shown[key])
    if largest.bit_length() > checked.MOST_BITS or max(shown["inputs"], 1) > checked.MOST_SIZE:
        raise ValueError(
            f"X: expected at most {checked.MOST_SIZE} inputs and {checked.MOST_BITS} bits, "
            f"got {shown['inputs']} and {largest.bit_length()}"
        )
    return shown


def _of_record(
    record: ClassRecord, leak: Any, reset: Any, readout: Any
) -> tuple[Any, Any, Readout]:
    """Return leak, reset and readout of a complete dictionary; refuse other arguments."""
    if record.kind == "Recurrent" or len(record.hidden) > 1:
        raise ValueError(
            "program: expected a dictionary of one hidden layer of LIF or threshold neurons, whose "
            f"patterns the checker can count, got {record.kind} networks {record.hidden}"
        )
    lif = record.kind == "LIF"
    if leak is not None and lif:
        leak = check_neuron(leak, record.reset)[0]
    known = record.fraction, record.reset if lif else None, record.readout
    given = leak, reset, readout
    for name, own, other in zip(("leak", "reset", "readout"), known, given, strict=True):
        if other is not None and other != own:
            raise ValueError(
                f"{name}: expected {own}, that of the program's dictionary, or None, got {other}"
            )
    return known


def inputs_digest(X: ArrayLike, sequences: bool = False) -> str:
    """Return the SHA-256 that ``certificates/completeness.py`` prints for the inputs.

    A reader of a certificate compares it with the digest of their own inputs.

    Parameters
    ----------
    X : (n, d) array, or (n, T, d) if ``sequences``
        The inputs that the caller gave to :func:`completeness`.
    sequences : bool
        Whether the inputs are sequences, for LIF neurons.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> from bidual.certificates.complete_statement import inputs_digest
    >>> inputs_digest([[0.5, 1.5], [2, 0]]) == inputs_digest([[1, 3], [1, 0]])
    True
    """
    data = _whole(PrefixTrie.of(X).sequences) if sequences else _flat(integer_rows(X))
    return hashlib.sha256(" ".join(map(str, data)).encode("ascii")).hexdigest()


def _flat(rows: list[Row]) -> list[int]:
    return [x for row in rows for x in row]


def _distinct(matrix: BinaryMatrix) -> set[bytes]:
    """Return the distinct columns except the zero column."""
    return {words.tobytes() for words in matrix.words if words.any()}


def _whole(array: Any) -> list[int]:
    """Return all entries, row by row, as Python ints."""
    return [int(entry) for entry in array.ravel().tolist()]


def _thresholds(X: ArrayLike, budget: Budget | None) -> dict[str, Any]:
    complete = threshold_patterns(X, budget)
    rows = integer_rows(X)
    distinct = [row for row in dict.fromkeys(rows) if any(row)]
    h0: Row = cyclic_part(distinct)[1] if distinct else (0,) * len(rows[0])
    separators: dict[int, Row] = {}

    def separator(flat: int) -> Row | None:
        chosen = [row for i, row in enumerate(distinct) if flat >> i & 1]
        members, g = cyclic_part(chosen)
        if len(members) == len(chosen):
            return None
        separators[flat] = g
        return g

    try:
        checked.most_patterns(rows, h0, separator, checked.Work())
    except checked.Refused as error:
        raise ValueError(f"X: expected inputs that the checker can count: {error}") from None
    return {
        "version": 1,
        "class": "threshold",
        "inputs": len(rows[0]),
        "listed": complete.patterns.shape[1],
        "data": _flat(rows),
        "h0": list(h0),
        "witnesses": _whole(complete.witnesses),
        "separated": len(separators),
        "separators": [x for flat, g in separators.items() for x in (flat, *g)],
        "patterns": complete.patterns,
    }


def _lif(
    X: ArrayLike, leak: Any, reset: SoftReset, readout: Readout, budget: Budget | None
) -> dict[str, Any]:
    if readout not in ("last", "every"):
        raise ValueError(f"readout: expected 'last' or 'every', got {readout!r}")
    trie = PrefixTrie.of(X)
    share, _ = check_neuron(leak, reset)
    _, steps, inputs = trie.sequences.shape
    if inputs > 2 or steps > checked.MOST_SIZE:
        raise ValueError(
            f"X: expected at most 2 inputs and {checked.MOST_SIZE} steps, which the checker can "
            f"count, got {inputs} and {steps}"
        )
    complete = lif_trajectories(X, leak, reset, budget)
    # X is top / bottom times the whole numbers of the trie
    neurons = complete.witnesses.astype(object) * ([trie.top] * inputs + [trie.bottom])
    neurons //= np.gcd.reduce(neurons, axis=1)[:, None]
    return {
        "version": 1,
        "class": "lif",
        "inputs": inputs,
        "steps": steps,
        "leak": [share.numerator, share.denominator],
        "immediate_reset": reset == "immediate",
        "every_step": readout == "every",
        "listed": len(neurons),
        "data": _whole(trie.sequences),
        "witnesses": _whole(neurons),
        "patterns": complete.trajectories if readout == "every" else complete.final()[0],
    }
