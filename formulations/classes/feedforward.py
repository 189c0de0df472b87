"""Feedforward: K parallel networks of threshold units (Ergen, Gulluk, Lacotte and Pilanci 2023).

A unit is 1[x w >= 0]. Over the columns D of all patterns of a last unit on the data, training is
the program of ``network_class.py`` (their Theorems 2.2 and 3.2, Corollary 4.1 for any loss). The
paper has one amplitude (output scale) per unit, ``gauge="neuron"``. Over a sampled dictionary the
optimum is that of the sampled atoms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...dictionaries import (
    THRESHOLD_UNIT,
    Budget,
    GivenWitnesses,
    InputGrid,
    Layer,
    Readout,
    SampledWitnesses,
    SpikeDictionary,
    deep_patterns,
)
from ...dictionaries.class_record import Gauge, Kind
from ...dictionaries.complete.dictionary import column_powers, thresholds_of_sequences
from ...dictionaries.validation import check_flag, real_array
from ...networks import ThresholdNetwork
from .network_class import NetworkClass
from .pattern_dictionary import dictionary_of


@dataclass(frozen=True)
class Feedforward(NetworkClass):
    """A class of threshold networks, and the convex program of training them.

    Parameters
    ----------
    hidden : sequence of int
        Width of each hidden layer of one subnetwork; the last is m.
    bias : bool
        Whether the class appends a column of ones to X, a bias for each unit of the first layer.
    p : float
        Norm of the weight decay, in [1, inf]; 2 is ordinary weight decay.
    gauge : {"subnetwork", "neuron"}
        One output scale (amplitude) per subnetwork or per final neuron. The strength is
        beta / m**(1/q) for "subnetwork", beta for "neuron".

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    The exclusive or, to the global optimum over all networks of one hidden layer:

    >>> import bidual as bd
    >>> from bidual.formulations import Feedforward
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
    >>> ergen = Feedforward(hidden=(1,), bias=True, gauge="neuron")
    >>> atoms = ergen.complete(X)
    >>> atoms.atoms.shape  # all threshold functions of two bits but the zero
    (4, 13)
    >>> program = ergen.program(atoms, y, loss="hinge", beta=0.1, intercept=True)
    >>> solution = bd.solve(program, gap=1e-9)
    >>> solution.network().predict(X)
    array([0, 1, 1, 0])
    """

    kind: ClassVar[Kind] = "Feedforward"
    hidden: Sequence[int]
    bias: bool = False
    p: float = 2.0
    gauge: Gauge = "subnetwork"
    readout: Readout = field(default="last", init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bias", check_flag("bias", self.bias))
        self._check()

    def witnesses(self, inputs: int, subnetworks: int = 64, seed: int = 0) -> SampledWitnesses:
        """Draw Gaussian subnetworks for ``inputs`` inputs, including the ones of a bias."""
        return SampledWitnesses(inputs, self.hidden, subnetworks, seed, THRESHOLD_UNIT)

    def complete(self, X: ArrayLike, budget: Budget | None = None) -> SpikeDictionary:
        """Return every pattern of a last unit on X (n, d) as a dictionary.

        For one hidden layer these are the patterns 1[X h >= 0] of :func:`complete_thresholds`,
        for more layers, at tiny sizes, those of :func:`deep_patterns`.

        Raises
        ------
        ValueError
            If X has another shape, or float64 cannot hold a network that fires a pattern.
        BudgetExceeded
            As :func:`threshold_patterns` and :func:`deep_patterns`.
        """
        grid = self.input_grid(X)
        sequences = self.on_grid(X, grid)
        record = self.record(complete=True)
        if len(self.hidden) == 1:
            return replace(thresholds_of_sequences(sequences, grid, budget), record=record)
        powers = column_powers(sequences, grid)
        found = deep_patterns(sequences[:, 0] / powers, self.hidden[:-1], budget)
        first = found.weights[0] / powers[:, None]
        subnetworks = [
            [Layer.build(matrix[k], 0.0, 0.0, 0.0) for matrix in (first, *found.weights[1:])]
            for k in range(found.patterns.shape[1])
        ]
        bank = GivenWitnesses(subnetworks)
        return dictionary_of(sequences, found.patterns, bank, "last", record, grid)

    def network(self, dictionary: SpikeDictionary, solution: Any) -> ThresholdNetwork:
        """Rebuild the K-parallel network that computes D W + b of a solution.

        The network takes X without a column of ones.

        Raises
        ------
        ValueError
            If the dictionary belongs to another class, or the solution to another dictionary.
        """
        return ThresholdNetwork.rebuild(*self._rebuilt(dictionary, solution))

    def input_grid(self, X: ArrayLike) -> InputGrid:
        """Choose the grid of inputs: it has a unit, and with a bias offsets.

        Neither the size of X nor, with a bias, its distance from 0 changes what threshold units
        can fire. Inputs on the default grid have neither.

        Raises
        ------
        ValueError
            As :meth:`sequences`.
        """
        return InputGrid.fit(self._shaped(X), scaled=True, centred=self.bias)

    def _shaped(self, X: ArrayLike) -> Any:
        array = real_array("X", X, "numbers of shape (n, d)")
        if array.ndim != 2:
            raise ValueError(f"X: expected shape (n, d), got {array.shape}")
        return array[:, None]

    def _completed(self, sequences: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self.bias:
            return sequences
        return np.concatenate([sequences, np.ones_like(sequences[..., :1])], 2)

    @property
    def _reads_ones(self) -> bool:
        return self.bias

    def check_dictionary(self, dictionary: Any, name: str = "dictionary") -> None:
        """Check as :meth:`NetworkClass.check_dictionary`, and for the ones of a bias."""
        super().check_dictionary(dictionary, name)
        if dictionary.steps != 1:
            raise ValueError(
                f"{name}: expected a dictionary of inputs (n, d), got sequences of "
                f"{dictionary.steps} steps"
            )
        record, sequences = dictionary.record, dictionary.sequences
        ones = sequences is not None and bool((sequences[..., -1] == 1).all())
        # a file of before there were records, without its sequences, cannot be asked
        known = record.bias if record is not None else sequences is None
        if self.bias and not (ones or known):
            raise ValueError(
                f"{name}: expected a dictionary of inputs with a column of ones, the bias of this "
                "class; make it by sample() or complete() of the class"
            )
