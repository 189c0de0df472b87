"""SpikeDictionary: distinct atoms with the witness of each."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..kernels.text import printable
from .bank_inputs import completed, taken
from .claims import check_parts, first_wrong_atom
from .class_record import ClassRecord
from .class_record import Readout as Readout
from .files.packed_file import open_packed
from .files.packed_head import Path
from .files.packed_writer import PackedWriter, write_packed
from .input_grid import InputGrid, as_sequences
from .live_line import LiveLine
from .matrix.binary_matrix import BinaryMatrix
from .matrix.distinct_columns import DistinctColumns
from .matrix.operands import column_numbers
from .rollout import roll_columns
from .rounding import lowest_bits, spikes_within_rounding
from .validation import file_path
from .witnesses.records import from_record, to_record
from .witnesses.sampled import SampledWitnesses, Witnesses

_CHUNK_BYTES = 2**25


@dataclass(frozen=True, eq=False)
class SpikeDictionary:
    """Atoms D, each with the neuron that fires it (its witness).

    Attributes
    ----------
    atoms : BinaryMatrix
        D, shape (N, P): distinct columns, none all zero.
    witnesses : Witnesses
        Bank that generates the atoms.
    origin : (P, 2) int array
        Subnetwork and final-layer neuron that generate each atom.
    readout : {"last", "every"}
        Whether rows are samples at the last step or at every step.
    samples, steps : int
        Number n of sequences and number T of their steps.
    record : ClassRecord, optional
        Network class of the dictionary, if a class made it.
    sequences : (n, T, d) array, optional
        X of a complete dictionary as its neurons take it, which proofs of completeness use, or
        of a build that was finished before.
    checked : bool
        False for a dictionary of a file until :meth:`verify`: a file may name neurons that
        fire other atoms, and a network of these would not compute D W.
    grid : InputGrid, optional
        Grid of the inputs, on which rebuilt networks take inputs too. None: they are not rounded.
    within_rounding : int, optional
        Number of spikes, over all layers, samples and steps, that exact arithmetic might decide
        otherwise (``dictionaries/rounding.py``). Counted for given witnesses, and for sampled
        ones if the input columns have different grids; a loaded dictionary has None.
    """

    atoms: BinaryMatrix
    witnesses: Witnesses
    origin: NDArray[np.int64]
    readout: Readout
    samples: int
    steps: int
    record: ClassRecord | None = None
    sequences: NDArray[np.float64] | None = None
    checked: bool = True
    grid: InputGrid | None = None
    within_rounding: int | None = None

    @classmethod
    def sample(
        cls,
        X: ArrayLike,
        witnesses: Witnesses,
        readout: Readout = "last",
        record: ClassRecord | None = None,
    ) -> Self:
        """Roll every subnetwork of a bank out over ``X`` (n, T, d) and keep distinct atoms.

        If several neurons fire the same atom, the dictionary keeps it once, with the first
        neuron. The memory holds the packed atoms and one subnetwork's spikes. ``record`` is
        the record of the subnetworks' class, ``network_class.record()``. With it the atoms are
        those of ``network_class.sample``; of threshold units X may then be (n, d). Inputs of
        sampled subnetworks are rounded as by :func:`check_sequences`, or for threshold units by
        their class. Inputs of given subnetworks are not rounded.

        Raises
        ------
        ValueError
            If :func:`check_sequences` refuses X, ``readout`` is another string, the bank
            does not belong to the class of ``record``, ``record`` is complete, or no
            final-layer neuron fires.
        """
        _check_record(record, witnesses, readout)
        sequences, grid = taken(X, witnesses, readout, record)
        return cls.of_sequences(sequences, grid, witnesses, readout, record)

    @classmethod
    def of_sequences(
        cls,
        sequences: NDArray[np.float64],
        grid: InputGrid | None,
        witnesses: Witnesses,
        readout: Readout,
        record: ClassRecord | None,
    ) -> Self:
        """Run :meth:`sample` on inputs as hidden layers take them, from a grid."""
        n, steps, _ = sequences.shape
        found = list(distinct_atoms(sequences, witnesses, readout, DistinctColumns()))
        rows = n * steps if readout == "every" else n
        atoms = BinaryMatrix(np.concatenate([words for words, _ in found]), rows)
        if atoms.shape[1] == 0:
            raise ValueError(NOTHING_FIRES)
        neurons = witnesses.subnetworks * witnesses.hidden[-1]
        if atoms.shape[1] == 1 and neurons >= _MANY_NEURONS and rows > 1:
            warnings.warn(SINGLE_ATOM.format(neurons), UserWarning, stacklevel=3)
        origin = np.concatenate([origins for _, origins in found])
        near = _within_rounding(sequences, grid, witnesses)
        return cls(
            atoms, witnesses, origin, readout, n, steps, record, grid=grid, within_rounding=near
        )

    @classmethod
    def build(
        cls,
        path: Path,
        X: ArrayLike,
        witnesses: Witnesses,
        readout: Readout = "last",
        report: Callable[[int, int, int], None] | None = None,
        record: ClassRecord | None = None,
    ) -> Self:
        """Sample a dictionary into a file, chunk by chunk, and map it.

        The atoms are those of :meth:`sample`. The memory holds a chunk of 32 MB or one
        subnetwork, 16 bytes per atom to detect repeats, and X. If the build is interrupted
        or killed, call it again with the same arguments: it resumes, and the finished file
        has the same bytes. A finished build is loaded.

        Parameters
        ----------
        path : path
            Path of the file; during the build ``path.partial`` and ``path.journal`` are
            beside it.
        X, witnesses, readout, record
            Arguments of :meth:`sample`.
        report : callable, optional
            Function to call after each chunk with the number of subnetworks done, of all
            subnetworks, and of atoms found. By default a terminal shows them.

        Raises
        ------
        ValueError
            If :meth:`sample` would refuse the arguments, or if the path has another
            build or a damaged one.
        TypeError
            If a file can't describe the bank.
        OSError
            If the file can't be written; the finished chunks stay.
        """
        _check_record(record, witnesses, readout)
        sequences, grid = taken(X, witnesses, readout, record)
        bank, arrays = to_record(witnesses)
        n, steps, _ = sequences.shape
        rows = n * steps if readout == "every" else n
        bytes_each = witnesses.hidden[-1] * 64 * -(-rows // 512)
        together = max(1, _CHUNK_BYTES // bytes_each)  # subnetworks per chunk
        metadata = {
            **_metadata(bank, readout, n, steps, record, grid),
            "sequences_sha256": sha256(np.ascontiguousarray(sequences, "<f8").data).hexdigest(),
            "subnetworks_per_chunk": together,
        }
        line = LiveLine()
        with PackedWriter(path, rows, metadata, origin_width=2, arrays=arrays) as writer:
            if writer.finished:
                return replace(cls.load(path), sequences=sequences)
            distinct = DistinctColumns()
            distinct.keep(writer.written())
            for start in range(writer.chunks_done * together, witnesses.subnetworks, together):
                stop = min(start + together, witnesses.subnetworks)
                found = list(distinct_atoms(sequences, witnesses, readout, distinct, start, stop))
                words, origins = (np.concatenate(parts) for parts in zip(*found, strict=True))
                writer.append(words, origins)
                done = (stop, witnesses.subnetworks, writer.n_columns)
                if report is None:
                    line.show("{} of {} subnetworks, {} atoms".format(*done))
                else:
                    report(*done)
            line.clear()
            if writer.n_columns == 0:
                writer.discard()
                raise ValueError(NOTHING_FIRES)
            writer.finish()
        near = _within_rounding(sequences, grid, witnesses)
        return replace(cls.load(path), checked=True, within_rounding=near)

    def save(self, path: Path) -> None:
        """Write the dictionary to a file; replace an existing file.

        Raises
        ------
        ValueError
            If the path has an unfinished build, or the parts of the dictionary contradict each
            other.
        TypeError
            If a file can't describe the bank.
        OSError
            If the file can't be written; an existing file stays.
        """
        bank, arrays = to_record(self.witnesses)
        parts = self.readout, self.samples, self.steps
        check_parts(self.atoms, self.witnesses, self.origin, *parts)
        metadata = _metadata(bank, *parts, self.record, self.grid)
        complete = self.record is not None and self.record.complete
        if complete and self.sequences is not None:
            arrays = {**arrays, "sequences": self.sequences}
        write_packed(path, self.atoms.words, self.atoms.shape[0], metadata, self.origin, arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Map a file of :meth:`build` or :meth:`save`, after verifying all its checksums.

        The parts of the file fit each other then. Which neuron fires an atom shows only in a
        rollout over X: :meth:`verify` rolls the witnesses out, and networks are rebuilt after it.

        Raises
        ------
        ValueError
            If the file is truncated or altered, does not hold a dictionary, or contradicts
            itself; the message begins with the path.
        OSError
            If the file can't be read.
        """
        found = open_packed(path)
        told, name = found.metadata, printable(file_path(path))
        if told.get("contents") != "spike dictionary" or found.origins.shape[1] != 2:
            raise ValueError(f"{name}: expected a spike dictionary, got {told!r:.200}")
        arrays = dict(found.arrays)
        sequences = arrays.pop("sequences", None)
        atoms = BinaryMatrix.of_file(found)
        try:
            witnesses = from_record(told["witnesses"], arrays)
            shape = (told["readout"], told["samples"], told["steps"])
            check_parts(atoms, witnesses, found.origins, *shape)
            record = None
            if "network_class" in told:
                record = ClassRecord.from_json(told["network_class"])
                record.check(witnesses, told["readout"])
            grid = _grid_told(told, witnesses.inputs, record)
            if sequences is not None:
                wanted = (told["samples"], told["steps"], witnesses.inputs)
                _check_sequences(sequences, wanted, record, grid)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"{name}: expected a spike dictionary: {printable(error):.1000}"
            ) from error
        return cls(
            atoms, witnesses, found.origins, *shape, record, sequences, grid=grid, checked=False
        )

    def verify(self, X: ArrayLike) -> Self:
        """Roll the witnesses out over X again, and return the dictionary as checked.

        Parameters
        ----------
        X : (n, T, d) array, or (n, d) for threshold units
            The X of the dictionary, or ``network_class.sequences(X)``.

        Raises
        ------
        ValueError
            If X has another shape, or a witness does not fire its atom on X. The message names
            the first such atom.

        Examples
        --------
        >>> import os, tempfile
        >>> import bidual as bd
        >>> X, y = bd.tasks.first_last_xor(steps=4)
        >>> lif = bd.LIF(hidden=(4,), leak=0.5)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lif.sample(X, subnetworks=3).save(os.path.join(folder, "atoms"))
        ...     atoms = bd.SpikeDictionary.load(os.path.join(folder, "atoms")).verify(X)
        >>> solution = bd.solve(lif.program(atoms, y, loss="hinge", beta=0.05))
        >>> solution.network().predict(X).shape
        (16,)
        """
        sequences = as_sequences(completed(X, self.record), self.witnesses.inputs)
        if sequences.shape[:2] != (self.samples, self.steps):
            raise ValueError(
                f"X: expected {self.samples} sequences of {self.steps} steps, as the dictionary "
                f"has, got {sequences.shape[0]} of {sequences.shape[1]}"
            )
        if self.grid is not None:
            sequences = self.grid.take_first(sequences)
        self._check_witnesses(sequences, None)
        return replace(self, checked=True)

    def for_network(self, columns: ArrayLike) -> Self:
        """Return the dictionary if a network of the chosen atoms computes their columns.

        Raises
        ------
        ValueError
            If the dictionary comes from a file and was not verified, or if it keeps its
            sequences and a witness does not fire its atom on them.
        """
        chosen = column_numbers(columns, self.atoms.shape[1])
        if self.checked or chosen.size == 0:
            return self
        if self.sequences is None:
            raise ValueError(
                "dictionary: expected witnesses that were rolled out, got those of a file, which "
                "may fire other atoms; pass the result of dictionary.verify(X)"
            )
        self._check_witnesses(self.sequences, chosen)
        return self

    def _check_witnesses(
        self, sequences: NDArray[np.float64], columns: NDArray[np.intp] | None
    ) -> None:
        wrong = first_wrong_atom(
            sequences, self.atoms, self.witnesses, self.origin, self.readout == "every", columns
        )
        if wrong is not None:
            subnetwork, neuron = self.origin[wrong].tolist()
            raise ValueError(
                f"dictionary: expected witnesses that fire their atoms on X, got atom {wrong}, "
                f"which final neuron {neuron} of subnetwork {subnetwork} does not fire; pass the "
                "X of the dictionary, or sample it again"
            )

    def take(self, columns: ArrayLike) -> Self:
        """Return the dictionary of some atoms, chosen as by ``atoms.take``.

        The result does not count as complete.
        """
        record = self.record
        if record is not None and record.complete:
            record = replace(record, complete=False, exact_leak=None)
        chosen = column_numbers(columns, self.atoms.shape[1])
        atoms, origin = self.atoms.take(chosen), self.origin[chosen]
        return replace(self, atoms=atoms, origin=origin, record=record, sequences=None)

    def __repr__(self) -> str:
        rows, columns = self.atoms.shape
        near = ""
        if self.within_rounding:
            near = f", {self.within_rounding} spikes within rounding of their threshold"
        return (
            f"SpikeDictionary({columns} atoms on {rows} rows, density {self.atoms.density:.3f}, "
            f"from {self.witnesses.subnetworks} subnetworks {self.witnesses.hidden}{near})"
        )


def _within_rounding(
    sequences: NDArray[np.float64], grid: InputGrid | None, witnesses: Witnesses
) -> int | None:
    """Count the spikes of a bank within rounding; None if sampled weights make sums exact."""
    if isinstance(witnesses, SampledWitnesses) and grid is not None and grid.exact:
        return None
    lowest = lowest_bits(sequences)
    return sum(
        int(spikes_within_rounding(sequences, witnesses.layers(k), lowest).sum())
        for k in range(witnesses.subnetworks)
    )


def _check_record(record: ClassRecord | None, witnesses: Witnesses, readout: Readout) -> None:
    """Refuse a record of another class than the bank's, or of a complete dictionary."""
    if record is None:
        return
    if record.complete:
        raise ValueError(
            "record: expected complete=False for sampled subnetworks, which may lack atoms, got "
            "complete=True; pass network_class.record()"
        )
    record.check(witnesses, readout)


_MANY_NEURONS = 16  # of which some should fire differently
SINGLE_ATOM = (
    "X: all {} sampled final-layer neurons that fire have the same atom; centre the inputs, and "
    "give their columns similar sizes"
)
NOTHING_FIRES = (
    "X: no final-layer neuron fires on any sequence, so the dictionary is empty; "
    "raise the inputs or the number of subnetworks, or lower the threshold; "
    "bidual.health(X, witnesses) shows which layer is silent"
)


def _metadata(
    bank: dict[str, Any],
    readout: Readout,
    samples: int,
    steps: int,
    record: ClassRecord | None,
    grid: InputGrid | None,
) -> dict[str, Any]:
    """Return the metadata of a dictionary's file; they describe the class if it has a record.

    Files without a grid have the default one: earlier versions wrote no other.
    """
    metadata: dict[str, Any] = {
        "contents": "spike dictionary",
        "witnesses": bank,
        "readout": readout,
        "samples": samples,
        "steps": steps,
    }
    if record is not None:
        metadata["network_class"] = record.to_json()
    if grid is None or not grid.is_default:
        metadata["input_grid"] = None if grid is None else grid.to_json()
    return metadata


def _grid_told(told: dict[str, Any], inputs: int, record: ClassRecord | None) -> InputGrid | None:
    """Return the grid of a dictionary's file."""
    if "input_grid" not in told:
        return InputGrid.default(inputs)
    found = told["input_grid"]
    if found is None:
        return None
    grid = InputGrid.from_json(found)
    if grid.inputs != inputs and not (  # the class adds a column of ones
        record is not None and record.bias and grid.inputs == inputs - 1
    ):
        raise ValueError(f"input_grid: expected {inputs} columns, got {grid.inputs}")
    return grid


def _check_sequences(
    sequences: NDArray[Any],
    shape: tuple[int, int, int],
    record: ClassRecord | None,
    grid: InputGrid | None,
) -> None:
    """Raise ValueError unless a file holds the sequences of its complete dictionary."""
    if record is None or not record.complete:
        raise ValueError(
            f"sequences: expected none, except for complete dictionaries, got shape "
            f"{sequences.shape}"
        )
    if sequences.dtype != np.float64 or sequences.shape != shape:
        raise ValueError(
            f"sequences: expected float64 of shape {shape}, got {sequences.dtype} of shape "
            f"{sequences.shape}"
        )
    as_sequences(sequences)
    if grid is not None and not grid.holds(sequences):
        raise ValueError(
            "sequences: expected multiples of the steps of the file's grid, got others"
        )


def distinct_atoms(
    sequences: NDArray[np.float64],
    witnesses: Witnesses,
    readout: Readout,
    distinct: DistinctColumns,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """Yield the new atoms of subnetworks ``start`` to ``stop``: packed columns and origins."""
    for k in range(start, witnesses.subnetworks if stop is None else stop):
        words = roll_columns(sequences, witnesses.layers(k), readout == "every")
        kept = distinct.keep(words)
        origins = np.stack([np.full(kept.size, k), kept], axis=1).astype(np.int64)
        yield words[kept], origins
