"""What shows that the columns of a certificate are complete, for ``completeness.py`` to check.

The lists of ``dictionaries/complete`` are made again: neurons in integers, one a pattern, or
one a trajectory; and for threshold patterns what excludes flats of rows, so that the
checker counts no more patterns than there are.
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
    """Return what shows that a program is one over all patterns of a class of neurons.

    Saved with an exact certificate it makes the bound global: it holds for every network of
    one hidden layer of that class on ``X``, of any width. ``certificates/completeness.py``
    checks it, with nothing but Python.

    A program that a network class stated over a complete dictionary knows all of this:
    ``completeness(program)``, or ``certificate.save(path, complete=True)``. The other arguments
    are for programs over a design alone.

    Parameters
    ----------
    program : ConvexProgram
        Over a complete dictionary, such as ``network_class.complete``, ``complete_thresholds`` or
        ``complete_lif`` makes.
    X : (n, d) array, or (n, T, d) of LIF neurons, optional
        The inputs that the dictionary was made of. Those functions round to 2**-20: give X
        rounded. Unless given, they are those that the dictionary keeps.
    leak : Fraction, int, str, pair of ints or float, optional
        Of LIF neurons, exactly as it was given to the dictionary; without it the neurons are
        threshold units.
    reset : {"delayed", "immediate"}, optional
        Of LIF neurons; "delayed" unless given.
    readout : {"last", "every"}, optional
        Of LIF neurons: whether the rows of the program are the last steps or all; "last" unless
        given.
    budget : Budget, optional
        Of making the list again; ``Budget()`` unless given.

    Returns
    -------
    dict
        For :meth:`ExactCertificate.save`.

    Raises
    ------
    ValueError
        If an argument is not what the lists of ``dictionaries/complete`` expect, or another one
        than the dictionary's; if X is neither given nor kept; if the patterns of X are not the
        program's atoms; with networks of several layers, recurrent units, or LIF neurons of more
        than two inputs, for which the checker has no count.
    BudgetExceeded
        If the list takes more than the budget.

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
            "X: expected the inputs of the dictionary, which the program does not know: pass X, "
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
            f"program: expected one over the {len(found)} patterns of X on {patterns.shape[0]} "
            f"rows, got {program.design!r}, with {len(atoms & found)} of them"
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
    """Leak, reset and readout of a complete dictionary; ValueError if others were given."""
    if record.kind == "Recurrent" or len(record.hidden) > 1:
        raise ValueError(
            "program: expected one over the neurons of one hidden layer, got a dictionary of "
            f"{record.kind} networks {record.hidden}, for which the checker has no count"
        )
    lif = record.kind == "LIF"
    if leak is not None and lif:
        leak = check_neuron(leak, record.reset)[0]
    known = record.fraction, record.reset if lif else None, record.readout
    given = leak, reset, readout
    for name, own, other in zip(("leak", "reset", "readout"), known, given, strict=True):
        if other is not None and other != own:
            raise ValueError(
                f"{name}: expected {own}, as of the program's dictionary, or nothing, got {other}"
            )
    return known


def inputs_digest(X: ArrayLike, sequences: bool = False) -> str:
    """Return the SHA-256 that ``certificates/completeness.py`` prints of the inputs.

    It is that of :func:`completeness` for the same X, so that a reader of a certificate can tell
    whether it is about their own inputs.

    Parameters
    ----------
    X : (n, d) array, or (n, T, d) if ``sequences``
        As given to :func:`completeness`.
    sequences : bool
        Whether of LIF neurons.

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
    """The columns but the zero one."""
    return {words.tobytes() for words in matrix.words if words.any()}


def _whole(array: Any) -> list[int]:
    """All entries, row by row, as Python ints."""
    return [int(entry) for entry in np.asarray(array).ravel().tolist()]


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
        raise ValueError(f"X: expected inputs that can be checked: {error}") from None
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
            f"X: expected at most 2 inputs and {checked.MOST_SIZE} steps for a count that "
            f"can be checked, got {inputs} and {steps}"
        )
    complete = lif_trajectories(X, leak, reset, budget)
    # X is the trie's whole numbers times top / bottom
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
