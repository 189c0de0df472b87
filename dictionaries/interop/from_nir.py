"""Reader of NIR graphs; ``GivenWitnesses.from_nir`` documents it.

NIR (Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9) defines neurons by
differential equations; the layers compute Euler steps of them.
"""

from os import PathLike
from typing import Any

import numpy as np

from ...kernels.text import printable
from ..neuron import Layer, per_neuron
from ..validation import Array, file_path, is_number, shown
from .linear_maps import LinearMap, linear_map, product

_Ends = dict[str, list[str]]  # for each node, the nodes at the other ends of its edges


def read_nir(graph: Any | str | PathLike[str], dt: float) -> list[Layer]:
    """Read the spiking layers of a NIR graph or file, in Euler steps of ``dt`` seconds.

    Raises
    ------
    ValueError
        If dt is not a positive number, the graph is not a chain of layers, or a
        node can't be represented as a Layer.
    OSError
        If a path can't be read.
    """
    import nir

    if not (is_number(dt) and 0 < dt < np.inf):
        raise ValueError(f"dt: expected a positive number of seconds, got {shown(dt)}")
    if isinstance(graph, str | bytes | PathLike):
        graph = _read_file(file_path(graph, "graph"))
    if not isinstance(graph, nir.NIRGraph):
        raise ValueError(
            f"graph: expected a NIRGraph or the path of a file, got {type(graph).__name__}"
        )
    chain, feedback = _chain(graph)
    layers: list[Layer] = []
    before: list[LinearMap] = []  # Affine and Linear nodes that still need their neurons
    states = None  # an LI or I that still needs its Threshold
    for place, name in enumerate(chain):
        node = graph.nodes[name]
        kind = type(node)
        try:
            if kind is nir.Flatten:
                if (node.start_dim, node.end_dim) != (0, -1):
                    raise ValueError("expected start_dim=0 and end_dim=-1")
            elif kind in (nir.Affine, nir.Linear):
                before.append(_linear_map(node))
            elif kind in (nir.LIF, nir.IF, nir.LI, nir.I, nir.Threshold):
                if not before:
                    raise ValueError("expected an Affine or Linear before it")
                if kind in (nir.LI, nir.I):
                    follower = graph.nodes[chain[place + 1]] if place + 1 < len(chain) else None
                    if not isinstance(follower, nir.Threshold | None):
                        raise ValueError("expected a Threshold after it")
                    states = node
                else:
                    loop = [_linear_map(graph.nodes[back]) for back in feedback.get(name, [])]
                    layers.append(_read_neurons(product(before), states, node, loop, dt))
                    before, states = [], None
            else:
                raise ValueError("expected Affine, Linear, LIF, IF, Threshold, LI and I nodes only")
        except (ValueError, MemoryError) as error:
            raise ValueError(f"node {printable(name)} ({kind.__name__}): {error}") from error
    if not layers:
        raise ValueError("graph: expected spiking nodes, found none")
    return layers


def _read_file(path: str) -> Any:
    import nir

    name = printable(path)
    try:
        # without NIR's check, which files of scalar neurons fail; this file checks the shapes
        return nir.read(path, type_check=False)
    except OSError as error:
        if name in str(error):
            raise
        raise OSError(f"{name}: {error}") from error
    except Exception as error:  # of any kind: NIR reads files that it does not check
        raise ValueError(f"{name}: expected the file of a NIR graph: {error!r:.200}") from error


def _chain(graph: Any) -> tuple[list[str], dict[str, list[str]]]:
    """Return the nodes' names from Input to Output, and each spiking node's recurrent linear nodes.

    Raises
    ------
    ValueError
        If the nodes without these loops are not a single chain.
    """
    import nir

    nodes = graph.nodes
    after, ahead = _ends(graph)
    feedback: dict[str, list[str]] = {}
    for name, node in nodes.items():
        if type(node) in (nir.LIF, nir.IF, nir.Threshold):
            for first in list(after[name]):
                loop = _loop(nodes, after, ahead, name, first)
                if loop and name not in feedback:
                    feedback[name] = loop
                    (target,) = after[loop[-1]]
                    after[name].remove(first)
                    ahead[target].remove(loop[-1])

    loops = {name for loop in feedback.values() for name in loop}
    rest = [name for name in nodes if name not in loops]
    ends = []
    for kind, other, what in ((nir.Input, ahead, "into"), (nir.Output, after, "from")):
        found = [name for name in rest if type(nodes[name]) is kind]
        if len(found) != 1:
            raise ValueError(f"graph: expected one {kind.__name__} node, got {found}")
        if other[found[0]]:
            raise ValueError(
                f"node {printable(found[0])}: expected no edges {what} it, got {other[found[0]]}"
            )
        ends += found
    chain = ends[:1]
    while chain[-1] != ends[1]:
        following = after[chain[-1]]
        if len(following) != 1 or len(ahead[following[0]]) != 1 or following[0] in chain:
            raise ValueError(
                f"node {printable(chain[-1])}: expected a chain of nodes, got edges to "
                f"{following}, which have edges from {[ahead[name] for name in following]}; only "
                "Affine and Linear nodes from spikes back to their neurons are read as recurrent"
            )
        chain += following
    if len(chain) != len(rest):
        raise ValueError(f"graph: expected one chain, got other nodes {set(rest) - set(chain)}")
    return chain[1:-1], feedback


def _ends(graph: Any) -> tuple[_Ends, _Ends]:
    """Return for each node where its edges lead, and where they come from."""
    if not isinstance(graph.nodes, dict) or not all(isinstance(name, str) for name in graph.nodes):
        raise ValueError(f"graph: expected nodes by name, got {graph.nodes!r:.100}")
    after: _Ends = {name: [] for name in graph.nodes}
    ahead: _Ends = {name: [] for name in graph.nodes}
    try:
        edges = list(dict.fromkeys((source, target) for source, target in graph.edges))
    except (TypeError, ValueError) as error:
        raise ValueError(f"graph: expected edges as pairs, got {graph.edges!r:.100}") from error
    for source, target in edges:
        if source not in after or target not in after:
            raise ValueError(f"graph: expected edges between its nodes, got {(source, target)}")
        after[source].append(target)
        ahead[target].append(source)
    return after, ahead


def _loop(nodes: dict[str, Any], after: _Ends, ahead: _Ends, spikes: str, first: str) -> list[str]:
    """Return the linear nodes from spikes back to their own states, from ``first``; [] if none."""
    import nir

    loop = [first]
    while True:
        name = loop[-1]
        single = len(ahead[name]) == len(after[name]) == 1
        if type(nodes[name]) not in (nir.Affine, nir.Linear) or not single:
            return []
        (target,) = after[name]
        back_to_states = target in ahead[spikes] and type(nodes[target]) in (nir.LI, nir.I)
        if target == spikes or back_to_states:
            return loop
        if target in loop:
            return []
        loop.append(target)


def _linear_map(node: Any) -> LinearMap:
    return linear_map(node.weight, getattr(node, "bias", None))


def _read_neurons(
    before: LinearMap, states: Any, spiking: Any, loop: list[LinearMap], dt: float
) -> Layer:
    """Read the neurons of a LIF or IF node, or of a Threshold with any LI or I before it."""
    import nir

    weights, bias = before
    width = weights.shape[1]
    hard = type(spiking) is not nir.Threshold
    if hard and per_neuron("v_reset", spiking.v_reset, width).any():
        raise ValueError(f"expected v_reset 0, got {spiking.v_reset}")
    reset: Any = "hard" if hard else 0.0
    recurrent = None
    with np.errstate(over="ignore", invalid="ignore"):  # the layer refuses what is not finite
        leak, gain, drift = _euler(spiking if hard else states, dt, width)
        if loop:
            back, constants = product(loop)
            if back.shape != (width, width):
                raise ValueError(
                    f"expected a recurrent weight of shape {(width, width)}, got {back.T.shape}"
                )
            recurrent = back * gain
            bias = bias + constants  # added at every step
            taken = -np.diagonal(recurrent)
            if not hard and (taken >= 0).all() and np.array_equal(recurrent, -np.diag(taken)):
                reset, recurrent = taken, None  # u is the same, and the rollout is faster
        weights, bias = weights * gain, gain * bias + drift
    return Layer.build(
        weights,
        leak=leak,
        threshold=spiking.v_threshold if hard else spiking.threshold,
        reset=reset,
        bias=bias,
        recurrent=recurrent,
        strict=True,
    )


def _euler(states: Any, dt: float, width: int) -> tuple[Array, Array, Array]:
    """Return leak, gain and drift of u[t] = leak * u[t-1] + gain * input[t] + drift, each (m,)."""
    if states is None:
        return np.zeros(width), np.ones(width), np.zeros(width)
    r = per_neuron("r", states.r, width)
    if not hasattr(states, "tau"):
        return np.ones(width), r * dt, np.zeros(width)
    tau = per_neuron("tau", states.tau, width)
    if not np.isfinite(tau).all() or np.any(tau < dt):
        raise ValueError(f"tau: expected finite times of at least dt = {dt}, got {tau}")
    return 1.0 - dt / tau, r * dt / tau, per_neuron("v_leak", states.v_leak, width) * dt / tau
