"""NetworkClass: the common part of network classes, from weight decay to the program.

A class is K parallel subnetworks, f(X) = sum_k Phi_k(X) W_k + b, with Phi_k (n, m) the 0/1
spikes of the m final neurons and W_k (m, C). Its weight decay,

    (beta / 2) sum over nodes of (||incoming weights||_p^2 + amplitude^2),

does not constrain hidden weights, since their scale changes no spike. By the inequality of means
(Ergen et al. 2023, Lemmas 2.1 and 3.1; Udupi, Yang and Zhai 2026) training reduces to

    min  loss(f(X), Y) + beta sum_k ||W_k||_p     one amplitude per subnetwork,
    min  loss(f(X), Y) + beta sum_ki |W_ki|_p     one amplitude per final neuron, W_ki in R^C.

An amplitude is the output scale of a subnetwork or neuron; ``gauge`` chooses between the two. Let
D have all columns that a final neuron can fire, and let m final neurons fire the same column.
Then both duals have the constraint max_j ||V'd_j||_q <= lambda, 1/p + 1/q = 1, and both are

    min over W (P, C)   loss(D W + b, Y) + lambda sum_j ||W_j||_p,

with lambda = beta / m**(1/q) for the first and lambda = beta for the second.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...dictionaries import (
    BinaryMatrix,
    Budget,
    ClassRecord,
    InputGrid,
    Layer,
    Readout,
    SpikeDictionary,
    Witnesses,
    as_sequences,
)
from ...dictionaries.class_record import Gauge, Kind
from ...dictionaries.validation import Array, check_flag, check_number, finite_array, real_array
from ...networks.labels import label_array
from ..losses import Loss, find_loss
from ..penalties import PENALTIES, Penalty, find_penalty
from ..program import ConvexProgram
from ..targets import StepWeights, by_step, encode
from .dual import Dual
from .heads import Heads, head_programs
from .membership import check_member, some_hear_others
from .primal import Primal
from .rebuilt_witnesses import RebuiltWitnesses


class NetworkClass(ABC):
    """K parallel subnetworks of given hidden widths under weight decay.

    Attributes
    ----------
    hidden : tuple of int
        Width of each hidden layer of one subnetwork; the last is m.
    readout : {"last", "every"}
    p : float
    gauge : {"subnetwork", "neuron"}
    kind : {"LIF", "Feedforward", "Recurrent"} or None
        The name of the class in records; None if records do not know it.
    """

    kind: ClassVar[Kind | None] = None
    hidden: Any
    readout: Readout
    p: float
    gauge: Gauge

    def record(self, **parts: Any) -> ClassRecord | None:
        """Return the record that dictionaries keep; None if records do not know the class.

        ``parts`` are ``complete`` and ``exact_leak``, for a complete dictionary.
        :func:`bidual.class_of` turns a record into the class again.
        """
        if self.kind is None:
            return None
        own = {part.name for part in fields(self) if part.init} & _RECORDED  # type: ignore[arg-type]
        return ClassRecord(self.kind, **{name: getattr(self, name) for name in own}, **parts)

    def _check(self) -> None:
        """Check the parts of the class by its record; a ValueError names the part."""
        record = self.record()
        if record is not None:
            object.__setattr__(self, "hidden", record.hidden)

    @abstractmethod
    def witnesses(self, inputs: int, subnetworks: int = 64, seed: int = 0) -> Witnesses:
        """Draw subnetworks of the class for sequences of ``inputs`` inputs per step."""

    def sample(self, X: ArrayLike, subnetworks: int = 64, seed: int = 0) -> SpikeDictionary:
        """Sample subnetworks of the class and roll them out over X into a dictionary.

        Parameters
        ----------
        X : array
            Inputs in the form that networks of the class take: (n, T, d), or (n, d) for
            threshold units.
        subnetworks : int
            K, at least 1.
        seed : int
            Seed of the random weights, 0 to 2**64 - 1.

        Raises
        ------
        ValueError
            If X is not finite or has another shape, or if no final neuron fires.
        """
        grid = self.input_grid(X)
        return self.sample_sequences(self.on_grid(X, grid), grid, subnetworks, seed)

    def sample_sequences(
        self, sequences: Array, grid: InputGrid | None, subnetworks: int, seed: int
    ) -> SpikeDictionary:
        """Run :meth:`sample` on inputs that :meth:`on_grid` returned."""
        bank = self.witnesses(sequences.shape[2], subnetworks, seed)
        return SpikeDictionary.of_sequences(sequences, grid, bank, self.readout, self.record())

    @abstractmethod
    def complete(self, X: ArrayLike, budget: Budget | None = None) -> SpikeDictionary:
        """Return all patterns of a final neuron of the class on X, as a dictionary."""

    @abstractmethod
    def network(self, dictionary: SpikeDictionary, solution: Any) -> Any:
        """Rebuild the network of the class that computes D W + b of a solution."""

    def refuses(self, layer: Layer) -> str:
        """Describe the neurons of the class if a layer has others; else return "".

        See :meth:`ClassRecord.refuses`. A class that records do not know accepts every layer.
        """
        record = self.record()
        return "" if record is None else record.refuses(layer)

    def sequences(self, X: ArrayLike) -> Array:
        """Return X in the form that hidden layers take, (n, T, d), rounded to a grid.

        Raises
        ------
        ValueError
            If X is not finite, or has another shape than networks of the class take.
        """
        grid = self.input_grid(X)
        taken = grid.take(self._shaped(X), fitted=True) * 2.0**grid.unit
        return self._completed(taken + grid.offsets)

    def input_grid(self, X: ArrayLike) -> InputGrid:
        """Choose the grid of inputs on X, with the errors of :meth:`sequences`."""
        return InputGrid.fit(self._shaped(X))

    def on_grid(self, X: ArrayLike, grid: InputGrid | None) -> Array:
        """Return X as hidden layers take it on a grid, or not rounded (None)."""
        shaped = self._shaped(X)
        taken = as_sequences(shaped) if grid is None else grid.take(shaped, fitted=True)
        return self._completed(taken)

    def _shaped(self, X: ArrayLike) -> Any:
        """Return X with the axes (n, T, d)."""
        return X

    def _completed(self, sequences: Array) -> Array:
        """Return inputs with the columns that the class adds."""
        return sequences

    def strength(self, beta: float) -> float:
        """Return the program's strength (lambda) for weight decay ``beta``.

        The strength is beta / m**(1/q) with one amplitude per subnetwork, and beta with one
        amplitude per neuron.
        """
        if self.gauge == "neuron":
            return float(beta)
        return float(beta / self.hidden[-1] ** (1.0 - 1.0 / self.p))

    def penalty(self, outputs: int) -> Penalty:
        """Return the norm for p and a number of outputs, if each subnetwork serves all outputs.

        Raises
        ------
        ValueError
            If p is neither 1 nor 2 and the program has several outputs.
        """
        if outputs == 1 or self.p == 1:
            return PENALTIES["l1"]
        if self.p == 2:
            return PENALTIES["group"]
        raise ValueError(
            f"penalty: expected p = 1 or 2 for {outputs} outputs, got p = {self.p:g}; programs "
            "penalise rows of W only by their 1-norm, 'l1', and their 2-norm, 'group'; use "
            "penalty='l1', which gives each output its own subnetworks, for any p"
        )

    def program(
        self,
        dictionary: SpikeDictionary,
        y: ArrayLike,
        loss: str | Loss = "squared",
        *,
        beta: float | None = None,
        strength: float | None = None,
        row_weights: ArrayLike | None = None,
        step_weights: StepWeights | None = None,
        intercept: bool = False,
        penalty: str | Penalty | None = None,
    ) -> ConvexProgram:
        """State the program of training this class on targets ``y``.

        Parameters
        ----------
        dictionary : SpikeDictionary
            A dictionary of this class, with the same readout and the same widths. The width of
            the last layer may differ if its neurons have no recurrent input from others: the
            network then gets m copies of a neuron.
        y : (n,) or (n, C) array; for every step (n,), (n, T) or (n, T, C)
            Integers or strings are class labels, coded -1 and +1, one output
            against the rest, or one-hot for softmax. Float targets are used
            unchanged. For every step, a single entry per sequence counts at all
            its steps.
        loss : str or Loss
            One of ``bidual.LOSSES``.
        beta, strength : float
            Give exactly one: weight decay beta, or lambda, the factor of the penalty.
        row_weights : (N,) array, optional
            Weights of the rows of D; by default a mean.
        step_weights : (T,) array or "ramp", optional
            alpha_t of every step's loss, used as alpha_t / (n sum alpha). The ramp is
            2 t / (T + 1), t = 1 to T.
        intercept : bool
            Whether outputs have an intercept, which is not penalised.
        penalty : {"l1", "group"} or Penalty, optional
            By default the norm that p determines. For several outputs it is "group" for
            p = 2 and "l1" for p = 1: each subnetwork serves all outputs. "l1" under another
            p gives each output its own subnetworks.

        Raises
        ------
        ValueError
            If the dictionary belongs to another class, if y or a weight has another shape or
            range, if beta or strength is negative or NaN, or if p excludes the penalty.
        TypeError
            If ``dictionary`` is not a SpikeDictionary.
        """
        self.check_dictionary(dictionary)
        if (beta is None) == (strength is None):
            raise ValueError("beta, strength: expected exactly one of the two")
        found = find_loss(loss)
        targets, classes, weights = self._stated(
            dictionary.samples, dictionary.steps, y, found, row_weights, step_weights
        )
        if beta is not None:
            check_number("beta", beta, zero=True)
            self._check_copies(dictionary)
            strength = self.strength(beta)
        program = ConvexProgram(
            dictionary.atoms,
            targets,
            found,
            0.0 if strength is None else strength,
            weights,
            intercept,
            classes,
            self._penalty(penalty, targets.shape[1]),
        )
        return program.stated_by(self, dictionary)

    def bidual(
        self,
        dictionary: SpikeDictionary,
        y: ArrayLike,
        loss: str | Loss = "squared",
        **options: Any,
    ) -> ConvexProgram:
        """State the bidual of training, which is the program of :meth:`program`."""
        return self.program(dictionary, y, loss, **options)

    def dual(
        self,
        dictionary: SpikeDictionary,
        y: ArrayLike,
        loss: str | Loss = "squared",
        **options: Any,
    ) -> Dual:
        """State the dual of training over a dictionary; ``options`` are those of :meth:`program`.

        Over a complete dictionary the dual bounds the objective of all networks of the class,
        over another one that of the networks of its atoms.
        """
        return Dual(self.program(dictionary, y, loss, **options), 1.0 / self.strength(1.0))

    def primal(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: str | Loss = "squared",
        *,
        beta: float,
        row_weights: ArrayLike | None = None,
        step_weights: StepWeights | None = None,
        intercept: bool = False,
        penalty: str | Penalty | None = None,
    ) -> Primal:
        """State the non-convex problem of training, which evaluates any network.

        Parameters
        ----------
        X : array
            Inputs in the form that networks of the class take.
        beta : float
            Weight decay.
        y, loss, row_weights, step_weights, intercept, penalty
            As for :meth:`program`.

        Raises
        ------
        ValueError
            As :meth:`program`.
        """
        check_number("beta", beta, zero=True)
        found = find_loss(loss)
        samples, steps, _ = self.on_grid(X, None).shape
        targets, _, weights = self._stated(samples, steps, y, found, row_weights, step_weights)
        # a program checks targets and weights
        ones = BinaryMatrix.from_dense(np.ones((len(targets), 1)))
        checked = ConvexProgram(ones, targets, found, row_weights=weights)
        return Primal(
            real_array("X", X),
            checked.target,
            found,
            checked.row_weights,
            float(beta),
            tuple(self.hidden),
            self.readout,
            check_flag("intercept", intercept),
            self.p,
            self.gauge == "subnetwork",
            self._penalty(penalty, targets.shape[1]).separable,
        )

    def heads(
        self,
        dictionary: SpikeDictionary,
        targets: Mapping[str, ArrayLike],
        loss: str | Loss | Mapping[str, str | Loss] = "squared",
        weights: Mapping[str, float] | None = None,
        *,
        beta: float | None = None,
        strength: float | None = None,
        **options: Any,
    ) -> Heads:
        """State the programs of several heads, each with its own loss and subnetworks.

        Parameters
        ----------
        dictionary : SpikeDictionary
        targets : mapping of str to array
            y of each head, in the form that :meth:`program` takes.
        loss : str, Loss, or a mapping from each head to one
        weights : mapping of str to float, optional
            Weight of each head's loss, above 0; by default 1.
        beta, strength : float
            Give exactly one, for all heads together.
        **options
            As for :meth:`program`.

        Raises
        ------
        ValueError
            If a head has no loss or weight, or as :meth:`program`.

        Examples
        --------
        >>> import bidual as bd
        >>> X, digit = bd.tasks.addition(digits=2)
        >>> _, carry = bd.tasks.addition(digits=2, head="carry")
        >>> lif = bd.LIF(hidden=(8, 4), readout="every")
        >>> atoms = lif.sample(X, subnetworks=4)
        >>> heads = lif.heads(atoms, {"sum": digit, "carry": carry}, "hinge", beta=0.01)
        >>> solutions = {name: bd.solve(program) for name, program in heads.items()}
        >>> heads.dual(solutions) <= heads.primal(solutions)
        True
        """
        if (beta is None) == (strength is None):
            raise ValueError("beta, strength: expected exactly one of the two")
        programs, shares = head_programs(
            self, dictionary, targets, loss, weights, beta, strength, options
        )
        return Heads(programs, shares)

    def _rebuilt(
        self, dictionary: SpikeDictionary, solution: Any
    ) -> tuple[SpikeDictionary, Array, Array, NDArray[np.generic] | None]:
        """Return the arguments of a network's ``rebuild``, which copies final neurons if it can."""
        self.check_dictionary(dictionary)
        program = getattr(solution, "program", None)
        if program is None or not _same(program.design, dictionary.atoms):
            raise ValueError(
                "solution: belongs to another dictionary; pass the dictionary of its program"
            )
        dictionary = dictionary.for_network(np.flatnonzero(solution.weights.any(axis=1)))
        grid = self.grid_of(dictionary)
        unit = 0 if grid is None else grid.unit
        rebuilt = RebuiltWitnesses(dictionary.witnesses, self.hidden, self._reads_ones, unit)
        plain = None if grid is None else replace(grid, unit=0)
        return (
            replace(dictionary, witnesses=rebuilt, grid=plain, checked=True),
            solution.weights,
            solution.intercept,
            program.classes,
        )

    def grid_of(self, dictionary: SpikeDictionary) -> InputGrid | None:
        """Return the grid of the inputs X of a dictionary, without the ones of a bias."""
        grid = dictionary.grid
        return None if grid is None else grid.first(dictionary.witnesses.inputs - self._reads_ones)

    @property
    def _reads_ones(self) -> bool:
        """Whether the last input of the dictionary is a column of ones from the class."""
        return False

    def check_dictionary(self, dictionary: Any, name: str = "dictionary") -> None:
        """Raise ValueError, by ``name``, if the dictionary is not of this class.

        The record of the dictionary decides; without a record the layers of its networks do. A
        TypeError says that the argument is not a dictionary.
        """
        check_member(name, dictionary, self.hidden, self.readout, self.refuses)

    def _check_copies(self, dictionary: SpikeDictionary) -> None:
        """Refuse final neurons that cannot be copied if the strength assumes copies."""
        if self.strength(1.0) < 1 and some_hear_others(dictionary):
            raise ValueError(
                "dictionary: expected final neurons without recurrent input from others, so that "
                f"{self.hidden[-1]} copies of one are a layer; use gauge='neuron' or p = 1"
            )

    def _penalty(self, penalty: str | Penalty | None, outputs: int) -> Penalty:
        if penalty is None:
            return self.penalty(outputs)
        norm = find_penalty(penalty)
        if not norm.separable and self.p != 2:
            raise ValueError(f"penalty: expected 'l1' for p = {self.p:g}; 'group' needs p = 2")
        return norm

    def _stated(
        self,
        samples: int,
        steps: int,
        y: ArrayLike,
        loss: Loss,
        row_weights: ArrayLike | None,
        step_weights: StepWeights | None,
    ) -> tuple[Array, NDArray[np.generic] | None, Array | None]:
        """Return targets (N, C), classes of labels and row weights, in the order of D's rows."""
        rows = samples * steps if self.readout == "every" else samples
        targets, classes = encode(self._rows(samples, steps, y), rows, loss)
        weights = None if row_weights is None else finite_array("row_weights", row_weights, rows)
        if step_weights is not None:
            if self.readout != "every" or weights is not None:
                raise ValueError("step_weights: expected readout 'every' and no row_weights")
            weights = by_step(samples, steps, step_weights)
        return targets, classes, weights

    def _rows(self, n: int, steps: int, y: ArrayLike) -> Any:
        """Put y in the order of D's rows."""
        labels = label_array("y", y)
        if labels.ndim == 0 or labels.shape[0] != n:
            raise ValueError(f"y: expected one entry for each of {n} samples, got {labels.shape}")
        if self.readout == "last":
            return labels
        if labels.ndim == 1:
            return np.tile(labels, steps)
        if labels.ndim > 3 or labels.shape[1] != steps:
            raise ValueError(
                f"y: expected shape ({n},), ({n}, {steps}) or ({n}, {steps}, C) for a loss at "
                f"every step, got {labels.shape}"
            )
        return np.swapaxes(labels, 0, 1).reshape(n * steps, *labels.shape[2:])


_RECORDED = {part.name for part in fields(ClassRecord)}


def _same(design: Any, atoms: BinaryMatrix) -> bool:
    """Tell whether a program's design is these atoms, maybe read from a file again."""
    if design is atoms:
        return True
    alike = isinstance(design, BinaryMatrix) and design.shape == atoms.shape
    return alike and np.array_equal(design.words, atoms.words)
