"""Joint rollout of many small spiking networks of one shape: prices of their atoms, gradients.

The samples are lanes: ``values`` (B, T, d, L) holds B blocks of L samples, and every loop over
samples is a loop over neighbours in memory. A network's weights are one row of ``weights`` (K, Q).
The row holds, layer by layer, W (fan-in, m) by rows, then R (m, m) if the layer is recurrent, then
the biases (m,) if the class has biases. ``constants`` (K, M, 3) are leak, threshold and reset of
its M neurons, layer by layer. The recurrence is that of ``kernels/rollout.py``, with sums in the
same order.
"""

import numpy as np

from .compiled import compiled


@compiled
def _forward(  # type: ignore[no-untyped-def]
    values, b, t, widths, recurrent, biased, hard, weights, constants, k, membrane, spikes, current
):
    """Advance network k by one step in block b.

    ``membrane`` (M, L) is the membrane before its reset. ``spikes`` (T + 1, M, L) begin with a
    step of zeros, before the first step. The arguments are whole arrays and indices: a view of a
    row costs as much as adding it.
    """
    n_lanes = current.shape[0]
    q = 0
    first = 0  # index of the layer's first neuron
    below = 0
    for layer in range(widths.shape[0]):
        width = widths[layer]
        fan_in = values.shape[2] if layer == 0 else widths[layer - 1]
        own = q + fan_in * width
        bias = own + (width * width if recurrent[layer] else 0)
        for j in range(width):
            m = first + j
            current[:] = weights[k, bias + j] if biased else 0.0
            for i in range(fan_in):
                w = weights[k, q + i * width + j]
                if layer == 0:
                    for x in range(n_lanes):
                        current[x] += w * values[b, t, i, x]
                else:
                    for x in range(n_lanes):
                        current[x] += w * spikes[t + 1, below + i, x]
            if recurrent[layer] and t > 0:
                for i in range(width):
                    w = weights[k, own + i * width + j]
                    for x in range(n_lanes):
                        current[x] += w * spikes[t, first + i, x]
            leak, threshold, reset = constants[k, m, 0], constants[k, m, 1], constants[k, m, 2]
            if hard[layer]:
                for x in range(n_lanes):
                    membrane[m, x] *= 1.0 - spikes[t, m, x]
            for x in range(n_lanes):
                u = leak * membrane[m, x] + current[x] - reset * spikes[t, m, x]
                membrane[m, x] = u
                spikes[t + 1, m, x] = 1.0 if u >= threshold else 0.0
        q = bias + (width if biased else 0)
        below = first
        first += width


@compiled
def score(  # type: ignore[no-untyped-def]
    values, rows, widths, recurrent, biased, hard, weights, constants, out
):
    """Write d'V of the last layer's neurons to ``out`` (K, m, C).

    Parameters
    ----------
    values : (B, T, d, L) array
    rows : (B, S, C, L) array
        V at the last S steps.
    widths : (layers,) int64 array
    recurrent, hard : (layers,) bool array
    biased : bool
    weights : (K, Q) array
    constants : (K, M, 3) array
    """
    blocks, steps, _, n_lanes = values.shape
    read = rows.shape[1]
    total = widths.sum()
    last = total - widths[-1]
    membrane = np.empty((total, n_lanes))
    spikes = np.empty((steps + 1, total, n_lanes))
    current = np.empty(n_lanes)
    out[:] = 0.0
    for k in range(weights.shape[0]):
        for b in range(blocks):
            membrane[:] = 0.0
            spikes[0] = 0.0
            for t in range(steps):
                _forward(
                    values, b, t, widths, recurrent, biased, hard, weights, constants, k,
                    membrane, spikes, current,
                )  # fmt: skip
                s = t - (steps - read)
                if s >= 0:
                    for j in range(out.shape[1]):
                        for c in range(out.shape[2]):
                            price = 0.0
                            for i in range(n_lanes):
                                if spikes[t + 1, last + j, i] > 0.0:
                                    price += rows[b, s, c, i]
                            out[k, j, c] += price


@compiled
def ascent(  # type: ignore[no-untyped-def]
    values, rows, widths, recurrent, biased, hard, weights, constants, neurons, directions, width,
    prices, out,
):  # fmt: skip
    """Write d'V a of one neuron per network to ``prices`` (K,), its surrogate gradient to ``out``.

    The forward pass has hard spikes. The backward pass, also through resets and recurrent weights,
    takes 1 / (1 + ((u - threshold) / width)^2) as the derivative of a spike.

    Parameters
    ----------
    values, rows, widths, recurrent, biased, hard, weights, constants
        As in :func:`score`.
    neurons : (K,) int64 array
        Neuron of the last layer.
    directions : (K, C) array
        a: the weight of each output's price.
    width : float64
    out : (K, Q) array
    """
    blocks, steps, inputs, n_lanes = values.shape
    read = rows.shape[1]
    depth = widths.shape[0]
    total = widths.sum()
    last = total - widths[-1]
    membranes = np.empty((steps, total, n_lanes))
    spikes = np.empty((steps + 1, total, n_lanes))  # entry t + 1 is step t; entry 0 is zero
    membrane = np.empty((total, n_lanes))
    current = np.empty(n_lanes)
    worth = np.empty(n_lanes)
    sums = np.empty((weights.shape[1], n_lanes))
    at_spikes = np.empty((total, n_lanes))
    at_membranes = np.empty((total, n_lanes))
    at_next = np.empty((total, n_lanes))
    for k in range(weights.shape[0]):
        sums[:] = 0.0
        prices[k] = 0.0
        for b in range(blocks):
            membrane[:] = 0.0
            spikes[0] = 0.0
            for t in range(steps):
                _forward(
                    values, b, t, widths, recurrent, biased, hard, weights, constants, k,
                    membrane, spikes, current,
                )  # fmt: skip
                membranes[t] = membrane
            at_next[:] = 0.0  # derivatives at the membranes of the next step
            for t in range(steps - 1, -1, -1):
                at_spikes[:] = 0.0
                s = t - (steps - read)
                if s >= 0:
                    worth[:] = 0.0
                    for c in range(directions.shape[1]):
                        for i in range(n_lanes):
                            worth[i] += directions[k, c] * rows[b, s, c, i]
                    chosen = last + neurons[k]
                    at_spikes[chosen] = worth
                    for i in range(n_lanes):
                        prices[k] += worth[i] * spikes[t + 1, chosen, i]
                q_end = weights.shape[1]
                first = total
                for layer in range(depth - 1, -1, -1):
                    m_width = widths[layer]
                    fan_in = inputs if layer == 0 else widths[layer - 1]
                    first -= m_width
                    bias = q_end - (m_width if biased else 0)
                    own = bias - (m_width * m_width if recurrent[layer] else 0)
                    q = own - fan_in * m_width
                    if recurrent[layer] and t + 1 < steps:
                        for i in range(m_width):
                            for j in range(m_width):
                                r = weights[k, own + i * m_width + j]
                                for x in range(n_lanes):
                                    at_spikes[first + i, x] += r * at_next[first + j, x]
                    for j in range(m_width):
                        m = first + j
                        leak, threshold = constants[k, m, 0], constants[k, m, 1]
                        reset = constants[k, m, 2]
                        for i in range(n_lanes):
                            u = membranes[t, m, i]
                            kept = leak * at_next[m, i]
                            felt = at_spikes[m, i] - reset * at_next[m, i]
                            if hard[layer]:
                                felt -= kept * u
                                kept *= 1.0 - spikes[t + 1, m, i]
                            far = (u - threshold) / width
                            at_membranes[m, i] = kept + felt / (1.0 + far * far)
                        for i in range(fan_in):
                            place = q + i * m_width + j
                            if layer == 0:
                                for x in range(n_lanes):
                                    sums[place, x] += values[b, t, i, x] * at_membranes[m, x]
                            else:
                                source = first - fan_in + i
                                w = weights[k, place]
                                for x in range(n_lanes):
                                    felt = at_membranes[m, x]
                                    sums[place, x] += spikes[t + 1, source, x] * felt
                                    at_spikes[source, x] += w * felt
                        if recurrent[layer]:
                            for i in range(m_width):
                                place = own + i * m_width + j
                                for x in range(n_lanes):
                                    sums[place, x] += spikes[t, first + i, x] * at_membranes[m, x]
                        if biased:
                            for x in range(n_lanes):
                                sums[bias + j, x] += at_membranes[m, x]
                    q_end = q
                at_next[:] = at_membranes
        for q in range(weights.shape[1]):
            out[k, q] = sums[q].sum()
