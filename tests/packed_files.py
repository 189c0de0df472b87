"""The packed file format, written from its documentation with nothing of the package."""

import hashlib
import json
import struct

import numpy as np


def sha256(contents):
    return hashlib.sha256(contents).digest()


def as_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def head_bytes(header, arrays=(), version=1, sizes=None, extra=0):
    header = header if isinstance(header, bytes) else as_json(header)
    contents = b"\0" * 32 + header
    for array in arrays:
        contents += b"\0" * (-len(contents) % 64) + array
    contents += b"\0" * (-(len(contents) + 32) % 64 + extra)
    size, length = sizes or (len(contents) + 32, len(header))
    contents = b"BIDUAL\r\n" + struct.pack("<3Q", version, size, length) + contents[32:]
    return contents + sha256(contents)


def tail_bytes(head, words, origins, entries, state=None, counts=None):
    table = b"".join(struct.pack("<Q", columns) + digest for columns, digest in entries)
    state = state if isinstance(state, bytes) else as_json(state)
    columns = sum(columns for columns, _ in entries)
    footer = struct.pack("<3Q", *(counts or (columns, len(entries), len(state))))
    footer += sha256(head[-32:] + table + state)
    return words + origins + table + state + footer + sha256(footer)


def taken_apart(contents):
    """Parts of a packed file, as its documentation tells them."""
    size, length = struct.unpack("<2Q", contents[16:32])
    header = json.loads(contents[32 : 32 + length])
    arrays, end = {}, 32 + length
    for name in sorted(header["arrays"]):
        told = header["arrays"][name]
        start = end + -end % 64
        end = start + np.prod(told["shape"], dtype=int) * np.dtype(told["dtype"]).itemsize
        arrays[name] = contents[start:end]
    columns, _, state_bytes = struct.unpack("<3Q", contents[-88:-64])
    each = 64 * max(1, -(-header["n_rows"] // 512))
    words = contents[size : size + columns * each]
    start = size + len(words)
    origins = contents[start : start + columns * header["origin_width"] * 8]
    table = [
        struct.unpack("<Q", contents[at : at + 8])[0]
        for at in range(start + len(origins), len(contents) - 88 - state_bytes, 40)
    ]
    return {
        "header": header,
        "arrays": arrays,
        "words": words,
        "origins": origins,
        "table": table,
        "state": json.loads(contents[len(contents) - 88 - state_bytes : -88]),
    }


def put_together(parts):
    """The file of some parts, with right checksums where the parts leave a choice."""
    arrays = [parts["arrays"][name] for name in sorted(parts["arrays"])]
    head = head_bytes(parts["header"], arrays)
    words, origins, table = parts["words"], parts["origins"], b""
    columns = sum(parts["table"])
    each, width = (len(part) // max(columns, 1) for part in (words, origins))
    first = 0
    for count in parts["table"]:
        last = first + count
        chunk = words[first * each : last * each] + origins[first * width : last * width]
        table += struct.pack("<Q", count) + sha256(chunk)
        first = last
    state = as_json(parts["state"])
    footer = struct.pack("<3Q", columns, len(parts["table"]), len(state))
    footer += sha256(head[-32:] + table + state)
    return head + words + origins + table + state + footer + sha256(footer)
