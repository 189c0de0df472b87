"""Given witnesses: subnetworks that the caller has trained or specified, instead of drawn ones.

The caller gives them as layers, as arrays, or as networks of other libraries. The
readers refuse, with the reason, a computation that a :class:`Layer` can't represent;
they never approximate it. Numbers keep every bit (float32 fits into float64).
"""

from collections.abc import Sequence
from os import PathLike
from typing import Any, Self

from numpy.typing import ArrayLike

from ..interop.from_nir import read_nir
from ..interop.from_snntorch import read_snntorch
from ..interop.from_spikingjelly import read_spikingjelly
from ..neuron import Layer
from ..validation import array_shape


class GivenWitnesses:
    """Bank of K given subnetworks, all of the same widths.

    A network's atoms come from its last spiking layer. For atoms of an earlier layer,
    give only the layers up to it: ``GivenWitnesses([bank.layers(0)[:1]])``.

    Parameters
    ----------
    subnetworks : sequence of sequences of Layer
        The layers of each subnetwork, first to last.

    Attributes
    ----------
    inputs : int
        Inputs d of the first layer.
    hidden : tuple of int
        Width of each layer; the last is the final width m.
    subnetworks : int
        K.

    Raises
    ------
    ValueError
        If ``subnetworks`` is empty, or a layer does not fit the layer before it or
        the first subnetwork.

    Examples
    --------
    >>> import bidual as bd
    >>> layer = bd.Layer.build([[1.0, 2.0], [0.5, 1.0]], leak=0.9, threshold=1.0)
    >>> bank = bd.GivenWitnesses([[layer, layer]])
    >>> bank
    GivenWitnesses(inputs=2, hidden=(2, 2), subnetworks=1)
    """

    inputs: int
    hidden: tuple[int, ...]
    subnetworks: int

    def __init__(self, subnetworks: Sequence[Sequence[Layer]]) -> None:
        self._chains = tuple(tuple(layers) for layers in subnetworks)
        if not self._chains or not self._chains[0]:
            raise ValueError(
                "subnetworks: expected at least one subnetwork of at least one layer, got none"
            )
        first = self._chains[0]
        self.inputs = first[0].fan_in
        self.hidden = tuple(layer.width for layer in first)
        self.subnetworks = len(self._chains)
        shapes = list(zip((self.inputs, *self.hidden[:-1]), self.hidden, strict=True))
        for index, layers in enumerate(self._chains):
            found = [layer.weights.shape for layer in layers]
            if found != shapes:
                raise ValueError(
                    f"subnetworks: expected layers of shapes {shapes} in subnetwork {index}, "
                    f"got {found}"
                )

    def __repr__(self) -> str:
        return (
            f"GivenWitnesses(inputs={self.inputs}, hidden={self.hidden}, "
            f"subnetworks={self.subnetworks})"
        )

    def layers(self, index: int) -> list[Layer]:
        """Return the layers of subnetwork ``index``; raise IndexError unless 0 <= index < K."""
        if not 0 <= index < self.subnetworks:
            raise IndexError(f"index: expected 0 to {self.subnetworks - 1}, got {index}")
        return list(self._chains[index])

    @classmethod
    def from_arrays(
        cls,
        weights: Sequence[ArrayLike],
        leak: ArrayLike,
        threshold: ArrayLike,
        reset: ArrayLike = "delayed",
        bias: ArrayLike = 0.0,
        recurrent: ArrayLike | Sequence[ArrayLike | None] | None = None,
        strict: bool | Sequence[bool] = False,
    ) -> Self:
        """Build a bank from arrays, with the constants of :meth:`Layer.build`.

        Parameters
        ----------
        weights : list of (fan-in, m) or (K, fan-in, m) arrays
            One array per layer; all subnetworks share an array without K.
        leak, threshold, reset, bias, recurrent, strict
            An argument of :meth:`Layer.build` for every layer, or a list (or tuple)
            with one per layer. An array with an additional first axis K has one entry
            per subnetwork.

        Raises
        ------
        ValueError
            If an argument has another shape, or is out of its range.

        Examples
        --------
        >>> import numpy as np
        >>> import bidual as bd
        >>> weights = [np.ones((5, 3, 4)), np.ones((5, 4, 2))]  # five subnetworks
        >>> bd.GivenWitnesses.from_arrays(weights, leak=[0.9, 0.5], threshold=1.0)
        GivenWitnesses(inputs=3, hidden=(4, 2), subnetworks=5)
        """
        if not isinstance(weights, list | tuple) or not weights:
            raise ValueError(
                "weights: expected a non-empty list of arrays, one per layer, got "
                f"{type(weights).__name__}"
            )
        parts: dict[str, Any] = {
            "weights": weights,
            "leak": leak,
            "threshold": threshold,
            "reset": reset,
            "bias": bias,
            "recurrent": recurrent,
            "strict": strict,
        }
        for name, value in parts.items():
            if isinstance(value, list | tuple) and len(value) != len(weights):
                raise ValueError(
                    f"{name}: expected {len(weights)} entries, one per layer, got {len(value)}"
                )
        shapes = [array_shape("weights", matrix) for matrix in weights]
        count = max(shape[0] if len(shape) == 3 else 1 for shape in shapes)

        def part(name: str, layer: int, k: int) -> Any:
            value = parts[name][layer] if isinstance(parts[name], list | tuple) else parts[name]
            shape = array_shape(name, value)
            if len(shape) <= (2 if name in ("weights", "recurrent") else 1):
                return value
            if len(value) != count:
                raise ValueError(
                    f"{name}: expected {count} entries, one per subnetwork, got {len(value)}"
                )
            return value[k]

        return cls(
            [
                [
                    Layer.build(**{name: part(name, layer, k) for name in parts})
                    for layer in range(len(weights))
                ]
                for k in range(count)
            ]
        )

    @classmethod
    def from_snntorch(cls, *networks: Any) -> Self:
        """Read snnTorch networks, one per subnetwork: Linear layers, each followed by its Leaky.

        A network is an ``nn.Sequential``, or a list of layers in the order they run. (bidual
        can't read the order from a module with its own ``forward``.) ::

            bd.GivenWitnesses.from_snntorch(nn.Sequential(fc1, lif1, fc2, lif2))
            bd.GivenWitnesses.from_snntorch([net.fc1, net.lif1, net.fc2, net.lif2])

        Flatten, Identity and Dropout in eval mode pass signals on. Linears in a row are
        multiplied: each entry of the product is exact but for one rounding to float64 per
        Linear. (PyTorch rounds the signals between them instead.) The reader leaves out
        the Linears after the last spiking layer: they are the readout, which the program
        optimises. Neurons start at rest, whatever state the modules hold. The reader
        refuses forward hooks and a ``forward`` set on a module, also on containers,
        because they may compute anything. In float64, with exact sums, spikes equal
        snnTorch's bit for bit. A network that runs in float32 may round differently near
        the threshold.

        ============================================ =============================
        ``Leaky``, ``RLeaky``                         here
        ============================================ =============================
        ``beta``, clamped to [0, 1]                   ``leak``
        fires where membrane > ``threshold``          ``strict=True``
        ``reset_mechanism="subtract"``                ``reset="delayed"``
        ``"zero"`` (``RLeaky``: no ``reset_delay``)   ``reset="hard"``
        ``"none"``                                    ``reset=0``
        ``recurrent`` Linear; ``V``                   ``recurrent``, bias; a diagonal
        ============================================ =============================

        Raises
        ------
        ValueError
            If a layer computes anything else; the message names the layer.
        """
        return cls([read_snntorch(network) for network in networks])

    @classmethod
    def from_spikingjelly(cls, *networks: Any) -> Self:
        """Read spikingjelly networks, one per subnetwork: Linear layers, each followed by its node.

        A network is an ``nn.Sequential`` or a list of layers, in either step mode, as
        in :meth:`from_snntorch`; Linears in a row are multiplied in the same way. Nodes
        start in the state after ``reset()``; the reader ignores their present state.
        ``1 - 1 / tau`` and the input's factor are rounded
        to float64, and spikingjelly adds in another order. Spikes are equal if tau is a
        power of 2 and sums are exact. Otherwise a membrane within rounding errors of its
        threshold may fire in spikingjelly and not in bidual.

        ============================================ =============================
        ``LIFNode``, ``ParametricLIFNode``, ``IFNode`` here
        ============================================ =============================
        ``tau``; sigmoid of ``w``; none               ``leak`` 1 - 1/tau; 1 - that; 1
        ``decay_input=True``                          weights and bias times 1/tau
        fires where membrane >= ``v_threshold``       ``strict=False``
        ``v_reset=None``                              ``reset="immediate"``
        ``v_reset`` v                                 ``reset="hard"``, measured from v
        ============================================ =============================

        Raises
        ------
        ValueError
            If a layer computes anything else; the message names the layer.
        """
        return cls([read_spikingjelly(network) for network in networks])

    @classmethod
    def from_nir(cls, *graphs: Any | str | PathLike[str], dt: float) -> Self:
        """Read NIR graphs or ``.nir`` files, one per subnetwork, in Euler steps of ``dt`` seconds.

        NIR describes continuous time, and files do not record their step: snnTorch and
        spikingjelly write 1e-4. A graph is a chain of Affine or Linear nodes, each
        followed by its neurons; several in a row are multiplied as in
        :meth:`from_snntorch`. The reader leaves out an Affine, Linear or LI after the
        last spiking node: it is a readout. Neurons start at 0 and fire if
        v > v_threshold; spikingjelly's also fire at the threshold.

        ============================================ =============================
        node                                          here
        ============================================ =============================
        ``LIF``, ``LI`` then ``Threshold``            ``leak`` 1 - dt/tau, weights and
                                                      bias times r dt/tau, plus the
                                                      bias v_leak dt/tau
        ``IF``, ``I`` then ``Threshold``              ``leak`` 1, all times r dt
        ``Threshold``                                 ``leak`` 0
        reset to 0 of ``LIF`` and ``IF``              ``reset="hard"``
        ``Linear`` from spikes back to their neurons  ``recurrent``, a step later; a
                                                      diagonal -g after ``Threshold``
                                                      is a soft reset by g r dt/tau
        ``Affine`` from spikes back to their neurons  the same; its bias is added at
                                                      every step, as snnTorch does
        ============================================ =============================

        NIR's LIF lacks a soft reset; the loop in the last row represents it. snnTorch's
        exporter writes ``"subtract"`` as a reset to 0 without a warning, and no reader can
        detect this: read such a network with :meth:`from_snntorch`.

        Parameters
        ----------
        *graphs : nir.NIRGraph or path
        dt : float
            Seconds per step; at most the smallest tau.

        Raises
        ------
        ValueError
            If a node computes anything else; the message names the node.
        OSError
            If a path can't be read.
        """
        return cls([read_nir(graph, dt) for graph in graphs])
