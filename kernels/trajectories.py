"""Exact cells of the weights (p, theta) of one LIF neuron: the weights of a cell fire alike.

The cells are split node by node. The nodes are input prefixes, parents first. Node k
fires for (p, theta) in the cone theta > 0, p in R^2, where row . (p, theta) >= 0 with

    row = (normals[k], -(base[k] + scale[k] * R)),   R = carry * R_parent + unit[k] * s_parent.

At a root R is 0. The row depends on the neuron's own spikes s at the ancestors.

Every sign is exact. It is the sign of a 3 x 3 determinant of integer rows. Floats compute
the determinant of the rows, each divided by its largest entry, to 100 units of 2**-53: 4 for
each entry of a row, 20 for an entry of a cross product, 90 for the sum of the products, 10 for
the additions. So beyond 2**-46 the sign of the float is right. Otherwise the true determinant
is below 2**-45 * B**3, where B bounds the entries. It is then computed modulo 2**128, which
gives it exactly for B <= 2**57, although intermediate products may wrap.

The file is long because a kernel calls only kernels of its own file.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiled import compiled

_SURE = 2.0**-46
_WIDE = ir.IntType(128)


def _sign_of(builder, wide):  # type: ignore[no-untyped-def]
    """Emit the sign of a 128-bit integer, as an int64."""
    zero = ir.Constant(_WIDE, 0)
    above = builder.zext(builder.icmp_signed(">", wide, zero), ir.IntType(64))
    below = builder.zext(builder.icmp_signed("<", wide, zero), ir.IntType(64))
    return builder.sub(above, below)


@intrinsic
def _dot_sign(typing_context, a, b, c, x, y, z):  # type: ignore[no-untyped-def]
    """Return the sign of a x + b y + c z of int64, computed in 128 bits."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        wide = [builder.sext(argument, _WIDE) for argument in arguments]
        products = [builder.mul(wide[i], wide[i + 3]) for i in range(3)]
        total = builder.add(builder.add(products[0], products[1]), products[2])
        return _sign_of(builder, total)  # type: ignore[no-untyped-call]

    return types.int64(*[types.int64] * 6), generate


@intrinsic
def _determinant_sign(typing_context, a, b, c, d, e, f, g, h, i):  # type: ignore[no-untyped-def]
    """Return the sign of the determinant, modulo 2**128, of int64 rows (a, b, c), (d, e, f), ..."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        a, b, c, d, e, f, g, h, i = (builder.sext(argument, _WIDE) for argument in arguments)
        total = ir.Constant(_WIDE, 0)
        for entry, (p, q, r, s) in ((a, (e, i, f, h)), (b, (f, g, d, i)), (c, (d, h, e, g))):
            minor = builder.sub(builder.mul(p, q), builder.mul(r, s))
            total = builder.add(total, builder.mul(entry, minor))
        return _sign_of(builder, total)  # type: ignore[no-untyped-call]

    return types.int64(*[types.int64] * 9), generate


@compiled
def _normalise(row, out):  # type: ignore[no-untyped-def]
    """Write ``row`` (3,) int64 divided by its largest entry to ``out``; a zero row stays zero."""
    largest = max(abs(float(row[0])), abs(float(row[1])), abs(float(row[2])))
    factor = 1.0 / largest if largest > 0.0 else 0.0
    for i in range(3):
        out[i] = float(row[i]) * factor


@compiled
def _cross(a, b, unit_a, unit_b, ray):  # type: ignore[no-untyped-def]
    """Write the cross product of two int64 rows, normalised, to ``ray`` in floats."""
    _normalise(a, unit_a)
    _normalise(b, unit_b)
    ray[0] = unit_a[1] * unit_b[2] - unit_a[2] * unit_b[1]
    ray[1] = unit_a[2] * unit_b[0] - unit_a[0] * unit_b[2]
    ray[2] = unit_a[0] * unit_b[1] - unit_a[1] * unit_b[0]


@compiled
def _side(a, b, ray, row, unit_row):  # type: ignore[no-untyped-def]
    """Return the sign of ``row`` on the ray a x b, of which ``ray`` is the value in floats."""
    value = unit_row[0] * ray[0] + unit_row[1] * ray[1] + unit_row[2] * ray[2]
    if value > _SURE:
        return 1
    if value < -_SURE:
        return -1
    return _determinant_sign(a[0], a[1], a[2], b[0], b[1], b[2], row[0], row[1], row[2])


@compiled
def _copy(edges, rays, start, size, out_edges, out_rays, at):  # type: ignore[no-untyped-def]
    """Copy ``size`` edges and rays, from index ``start`` to index ``at``."""
    for i in range(size):
        for c in range(3):
            out_edges[at + i, c] = edges[start + i, c]
            out_rays[at + i, c] = rays[start + i, c]


@compiled
def _clip(edges, rays, start, size, sides, row, keep, out_edges, out_rays, at):  # type: ignore[no-untyped-def]
    """Write the part of a cone where ``keep`` * row >= 0 at ``at``, and return its number of edges.

    A cone is a cycle of ``edges``, inner normals, with ``rays[i]`` = edges[i] x edges[i + 1].
    ``sides`` are the signs of the row on the rays. A part with an empty interior has no edges.
    """
    unit_a = np.empty(3)
    unit_b = np.empty(3)
    inside = False
    whole = True
    entry = start  # the edge on which the cycle returns to the kept side
    for i in range(size):
        inside = inside or keep * sides[i] > 0
        whole = whole and keep * sides[i] >= 0
        if keep * sides[i] > 0 and keep * sides[i - 1 if i else size - 1] <= 0:
            entry = start + i
    if not inside:
        return 0
    if whole:
        _copy(edges, rays, start, size, out_edges, out_rays, at)
        return size
    made = at
    for i in range(size):
        after = keep * sides[i]
        if keep * sides[i - 1 if i else size - 1] <= 0 and after <= 0:
            continue
        _copy(edges, rays, start + i, 1, out_edges, out_rays, made)
        made += 1
        if after <= 0:
            for c in range(3):
                out_edges[made, c] = keep * row[c]
            _cross(edges[start + i], out_edges[made], unit_a, unit_b, out_rays[made - 1])
            _cross(out_edges[made], edges[entry], unit_a, unit_b, out_rays[made])
            made += 1
    return made - at


@compiled
def _inner_point(edges, rays, n_edges, direction, point):  # type: ignore[no-untyped-def]
    """Write short integers (p, theta) inside a cell to ``point``; return False if floats fail.

    The cell is the union of cones in the orthants. It is convex, so the sum of all their
    rays is inside. Edges with theta coefficient 0 bound an orthant, not the cell.
    """
    direction[:] = 0.0
    for i in range(n_edges):
        largest = max(abs(rays[i, 0]), abs(rays[i, 1]), abs(rays[i, 2]))
        if largest > 0.0:
            for c in range(3):
                direction[c] += rays[i, c] / largest
    largest = max(abs(direction[0]), abs(direction[1]), abs(direction[2]))
    if largest == 0.0:
        return False
    scale = 1.0 / largest
    for _ in range(53):
        for c in range(3):
            point[c] = np.int64(np.rint(direction[c] * scale))
        inside = point[2] > 0
        for i in range(n_edges):
            if not inside:
                break
            a, b, c = edges[i, 0], edges[i, 1], edges[i, 2]
            inside = c == 0 or _dot_sign(a, b, c, point[0], point[1], point[2]) > 0
        if inside:
            return True
        scale *= 2.0
    return False


@compiled
def list_cells(  # type: ignore[no-untyped-def]
    parent, normals, base, unit, scale, carry, fixed, most, most_steps, keys, points
):
    """List or count the cells, depth first, in lexicographic order of their spikes.

    Depth first, the memory holds only the result and one path. A cell is a union of at
    most four cones, one per orthant of p, so that all of them are pointed.

    Parameters
    ----------
    parent, base, unit, scale : (K,) int64 arrays
        See the module's docstring; ``parent`` is -1 at a root.
    normals : (K, 2) int64 array
    carry : int64
    fixed : (K,) int8 array
        The required spike of each node, or -1. A cell on which a row is 0 is dropped.
    most, most_steps : int64
        Limits on the number of cells and on the number of pairs of a cell and a node.
    keys : (N, ceil(K / 64)) uint64 array
        Spikes of the cells, packed, bit k for node k; N = 0 to count only.
    points : (N, 3) int64 array
        An inner (p1, p2, theta) of each cell; theta is 0 where the kernel found no such point.

    Returns
    -------
    cells, steps : int64
        Cells and pairs visited; above its limit if the kernel stopped there.
    """
    n_nodes = parent.shape[0]
    spikes = np.zeros(n_nodes, dtype=np.int64)
    resets = np.zeros(n_nodes, dtype=np.int64)
    capacity = 64 * (n_nodes + 4)
    edges = np.zeros((capacity, 3), dtype=np.int64)
    rays = np.zeros((capacity, 3))
    widest = 4 * (n_nodes + 4)
    sides = np.zeros(widest, dtype=np.int64)
    # the silent and the firing part of a cell
    part_edges = np.zeros((2, widest, 3), dtype=np.int64)
    part_rays = np.zeros((2, widest, 3))
    part_sizes = np.zeros((2, 4), dtype=np.int64)
    made = np.zeros(2, dtype=np.int64)
    sizes = np.zeros((n_nodes + 2, 4), dtype=np.int64)
    starts = np.zeros(n_nodes + 2, dtype=np.int64)
    resume = np.zeros(n_nodes + 2, dtype=np.int64)
    row = np.zeros(3, dtype=np.int64)
    unit_row = np.zeros(3)
    unit_a = np.zeros(3)
    direction = np.zeros(3)
    point = np.zeros(3, dtype=np.int64)

    # the four orthants of p with theta >= 0; the order of the edges makes e_i x e_(i+1) inner rays
    for q in range(4):
        first, second = 1 - 2 * (q & 1), 1 - (q & 2)
        at = 3 * q
        if first == second:
            edges[at, 0], edges[at + 1, 1] = first, second
        else:
            edges[at, 1], edges[at + 1, 0] = second, first
        edges[at + 2, 2] = 1
        sizes[0, q] = 3
        for i in range(3):
            _cross(edges[at + i], edges[at + (i + 1) % 3], unit_row, unit_a, rays[at + i])

    cells = 0
    steps = 0
    depth = 0  # number of cells waiting on the stack below the current one
    k = 0
    while True:
        dropped = False
        while k < n_nodes:
            steps += 1
            ancestor = parent[k]
            resets[k] = 0
            if ancestor >= 0:
                resets[k] = carry * resets[ancestor] + unit[k] * spikes[ancestor]
            row[0], row[1] = normals[k, 0], normals[k, 1]
            row[2] = -(base[k] + scale[k] * resets[k])
            _normalise(row, unit_row)

            start = starts[depth]
            high = False
            low = False
            at = start
            for q in range(4):
                size = sizes[depth, q]
                for i in range(size):
                    following = at + i + 1 if i + 1 < size else at
                    side = _side(edges[at + i], edges[following], rays[at + i], row, unit_row)
                    sides[at + i - start] = side
                    high = high or side > 0
                    low = low or side < 0
                at += size

            if fixed[k] >= 0 or not (high and low):
                wanted = fixed[k] if fixed[k] >= 0 else (1 if high else 0)
                if (wanted == 1 and not high) or (wanted == 0 and not low):
                    dropped = True  # empty, or the row is 0 on all of it
                    break
                spikes[k] = wanted
                if not (high and low):
                    k += 1
                    continue

            for part in range(2):
                made[part] = 0
                at = start
                for q in range(4):
                    size = sizes[depth, q]
                    part_sizes[part, q] = _clip(
                        edges, rays, at, size, sides[at - start :], row, 2 * part - 1,
                        part_edges[part], part_rays[part], made[part],
                    )  # fmt: skip
                    made[part] += part_sizes[part, q]
                    at += size
            if start + made[0] + made[1] > capacity:
                capacity = 2 * (start + made[0] + made[1])
                more_edges = np.zeros((capacity, 3), dtype=np.int64)
                more_rays = np.zeros((capacity, 3))
                _copy(edges, rays, 0, start, more_edges, more_rays, 0)
                edges, rays = more_edges, more_rays
            # the firing part waits in place of the cell; the silent part continues above it
            for part in range(1, -1, -1):
                if fixed[k] >= 0 and fixed[k] != part:
                    continue
                _copy(part_edges[part], part_rays[part], 0, made[part], edges, rays, starts[depth])
                for q in range(4):
                    sizes[depth, q] = part_sizes[part, q]
                if fixed[k] < 0 and part == 1:
                    resume[depth] = k
                    depth += 1
                    starts[depth] = start + made[1]
                    spikes[k] = 0
            k += 1

        if not dropped:
            if cells < keys.shape[0]:
                for j in range(n_nodes):
                    keys[cells, j >> 6] |= np.uint64(spikes[j]) << np.uint64(j & 63)
                start = starts[depth]
                total = sizes[depth].sum()
                if _inner_point(
                    edges[start : start + total], rays[start : start + total],
                    total, direction, point,
                ):  # fmt: skip
                    points[cells] = point
            cells += 1
        if depth == 0 or cells > most or steps > most_steps:
            return cells, steps
        depth -= 1
        k = resume[depth]
        spikes[k] = 1
        k += 1


@compiled
def _move_end(line, row, side, end, ends, rays):  # type: ignore[no-untyped-def]
    """Set the start (end 0) or end (1) of an interval of ``line``, on ``side`` of ``row``."""
    unit_a = np.empty(3)
    unit_b = np.empty(3)
    for c in range(3):
        ends[end, c] = side * row[c]
    if end == 0:
        _cross(line, ends[0], unit_a, unit_b, rays[0])
    else:
        _cross(ends[1], line, unit_a, unit_b, rays[1])


@compiled
def count_cut_cells(  # type: ignore[no-untyped-def]
    k, parent, normals, base, unit, scale, carry, most, most_steps
):
    """Count the cells of the nodes before k that the rows of node k cut, line by line.

    Each of the 2**depth spike histories of node k has one line row . (p, 1) = 0. The nodes
    before k split this line into open intervals, and each interval is a cut cell with that
    history. If the row of one of these nodes vanishes on the line, the line bounds the cells
    and cuts none. Arguments and result are those of :func:`list_cells`.
    """
    # ancestors first: with their spikes given, they leave one interval or none
    order = np.empty(k, dtype=np.int64)
    is_ancestor = np.zeros(k, dtype=np.bool_)
    n_given = 0
    node = parent[k]
    while node >= 0:
        is_ancestor[node] = True
        n_given += 1
        node = parent[node]
    first, second = 0, n_given
    for node in range(k):
        if is_ancestor[node]:
            order[first] = node
            first += 1
        else:
            order[second] = node
            second += 1

    spikes = np.zeros(k + 1, dtype=np.int64)
    resets = np.zeros(k + 1, dtype=np.int64)
    line = np.zeros(3, dtype=np.int64)
    row = np.zeros(3, dtype=np.int64)
    across = np.zeros(3, dtype=np.int64)
    unit_row = np.zeros(3)
    unit_a = np.zeros(3)
    foot = np.zeros(3)
    # an interval lies between the rays line x ends[0] and ends[1] x line; the last interval
    # is the current one, and each other waits for the step after ``resume``
    ends = np.zeros((k + 2, 2, 3), dtype=np.int64)
    rays = np.zeros((k + 2, 2, 3))
    resume = np.zeros(k + 2, dtype=np.int64)
    far = np.zeros(3, dtype=np.int64)
    far[2] = 1  # theta = 0: the point at infinity

    cells = 0
    steps = 0
    if normals[k, 0] == 0 and normals[k, 1] == 0:
        return cells, steps
    for history in range(np.int64(1) << np.int64(min(n_given, 62))):  # never all of 2**62
        steps += n_given + 1
        reset = 0
        for i in range(n_given):
            spikes[order[i]] = (history >> i) & 1
            following = order[i + 1] if i + 1 < n_given else k
            reset = carry * reset + unit[following] * spikes[order[i]]
        line[0], line[1] = normals[k, 0], normals[k, 1]
        line[2] = -(base[k] + scale[k] * reset)
        across[0], across[1] = -line[1], line[0]
        _cross(line, across, unit_row, unit_a, foot)

        depth = 0
        whole = True
        _move_end(line, far, 1, 0, ends[0], rays[0])
        _move_end(line, far, 1, 1, ends[0], rays[0])
        step = 0
        while True:
            dropped = False
            while step < k:
                steps += 1
                node = order[step]
                ancestor = parent[node]
                resets[node] = 0
                if ancestor >= 0:
                    resets[node] = carry * resets[ancestor] + unit[node] * spikes[ancestor]
                row[0], row[1] = normals[node, 0], normals[node, 1]
                row[2] = -(base[node] + scale[node] * resets[node])
                _normalise(row, unit_row)
                left = _side(line, ends[depth, 0], rays[depth, 0], row, unit_row)
                right = _side(ends[depth, 1], line, rays[depth, 1], row, unit_row)
                if whole and left == 0 and right == 0:  # parallel, or the same line
                    left = _side(line, across, foot, row, unit_row)
                high = left > 0 or right > 0
                low = left < 0 or right < 0
                given = step < n_given
                if not (high or low) or (given and not (high if spikes[node] == 1 else low)):
                    dropped = True
                    break
                if high and low:
                    whole = False
                    if given:
                        stays_left = (left > 0) == (spikes[node] == 1)
                        if stays_left:
                            _move_end(line, row, left, 1, ends[depth], rays[depth])
                        else:
                            _move_end(line, row, right, 0, ends[depth], rays[depth])
                    else:
                        ends[depth + 1] = ends[depth]
                        rays[depth + 1] = rays[depth]
                        _move_end(line, row, right, 0, ends[depth], rays[depth])
                        resume[depth] = step
                        depth += 1
                        _move_end(line, row, left, 1, ends[depth], rays[depth])
                        spikes[node] = 1 if left > 0 else 0
                elif not given:
                    spikes[node] = 1 if high else 0
                step += 1
            if not dropped:
                cells += 1
            if cells > most or steps > most_steps:
                return cells, steps
            if depth == 0:
                break
            depth -= 1
            step = resume[depth]
            spikes[order[step]] = 1 - spikes[order[step]]
            step += 1
    return cells, steps


@compiled
def spread(keys, nodes, words):  # type: ignore[no-untyped-def]
    """Set bit r of ``words[j]`` (N, W) to bit ``nodes[r]`` of ``keys[j]``; words start at 0."""
    for j in range(keys.shape[0]):
        for r in range(nodes.shape[0]):
            k = nodes[r]
            bit = (keys[j, k >> 6] >> np.uint64(k & 63)) & np.uint64(1)
            words[j, r >> 6] |= bit << np.uint64(r & 63)


@compiled
def replay(  # type: ignore[no-untyped-def]
    sequences, powers, carry, gain, reset, witnesses, slack, words
):
    """Return the first witness (p, theta) whose spikes differ from its column; -1 if all agree.

    The arithmetic is in integers. Let powers[t] = den**t, leak = carry / den, and let
    reset / gain be the reset as a share of theta. Then v[t] = gain * den**t * u[t] of the
    membrane u obeys

        v[t] = carry * v[t-1] + den**t * (gain * x[t].p - reset * theta * s[t-1]).

    The kernel computes v modulo 2**64, and also in floats with an error of at most ``slack``
    times the largest entry of the witness. If the floats leave a spike undecided, v is so near
    its threshold that 64 bits hold their difference. The caller ensures that twice this error
    is below 2**62.

    ``sequences`` (T, d, n) and ``witnesses`` (N, d + 1) are int64. Bit t * n + i of
    ``words[j]`` is sample i at step t.
    """
    steps, inputs, n = sequences.shape
    membranes = np.empty(n, dtype=np.int64)
    rounded = np.empty(n)
    spikes = np.empty(n, dtype=np.int64)
    for j in range(witnesses.shape[0]):
        theta = witnesses[j, inputs]
        error = 0.0
        for c in range(inputs + 1):
            error = max(error, slack * abs(float(witnesses[j, c])))
        membranes[:] = 0
        rounded[:] = 0.0
        spikes[:] = 0
        wrong = np.int64(0)
        for t in range(steps):
            # one operation per loop over samples: the compiler vectorises such loops
            bar = powers[t] * gain * theta
            bar_rounded = float(powers[t]) * float(gain) * float(theta)
            taken = powers[t] * reset * theta
            taken_rounded = float(powers[t]) * float(reset) * float(theta)
            for i in range(n):
                membranes[i] = carry * membranes[i] - taken * spikes[i]
                rounded[i] = float(carry) * rounded[i] - taken_rounded * float(spikes[i])
            for c in range(inputs):
                weight = powers[t] * gain * witnesses[j, c]
                weight_rounded = float(powers[t]) * float(gain) * float(witnesses[j, c])
                for i in range(n):
                    membranes[i] += weight * sequences[t, c, i]
                    rounded[i] += weight_rounded * float(sequences[t, c, i])
            for i in range(n):
                above = rounded[i] - bar_rounded
                exactly = membranes[i] - bar >= 0
                spikes[i] = (above > error) | ((above >= -error) & exactly)
            for i in range(n):
                r = np.uint64(t * n + i)
                listed = words[j, r >> np.uint64(6)] >> (r & np.uint64(63))
                wrong |= spikes[i] ^ np.int64(listed & np.uint64(1))
        if wrong:
            return j
    return -1
