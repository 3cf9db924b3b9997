"""A SentencePiece normalization map, compiled into the bytes that `tokenizers.normalizers.Precompiled` takes.

Format: the size of a double-array trie in bytes (uint32), its units (uint32 each), then the replacement
texts, each ended by a zero byte; the trie maps the UTF-8 bytes of a character to the offset of its
replacement. Unit layout as in darts-clone, which SentencePiece embeds: bits 0-7 label, bit 8 "has a leaf",
bits 10-30 offset, bit 31 leaf.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

_BLOCK = 256
_HAS_LEAF = 1 << 8
_OFFSET_SHIFT = 10
_LEAF = 1 << 31
_LEAF_LABEL = 0


@dataclass
class _Node:
    children: "dict[int, _Node]" = field(default_factory=dict)
    leaf: int | None = None

    def labels(self) -> list[int]:
        return [*self.children, *([] if self.leaf is None else [_LEAF_LABEL])]


def compile_charsmap(replacements: Mapping[str, str]) -> bytes:
    """Compile single characters and their replacements (possibly empty) into a precompiled charsmap."""
    texts = bytearray()
    root = _Node()
    for character, replacement in replacements.items():
        node = root
        for byte in character.encode("utf-8"):
            node = node.children.setdefault(byte, _Node())
        node.leaf = len(texts)
        texts += replacement.encode("utf-8") + b"\0"
    units = _double_array(root)
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + bytes(texts)


def _double_array(root: _Node) -> list[int]:
    units = [0] * _BLOCK
    used = {0}
    bases: set[int] = set()
    lowest = 1
    pending = [(0, root)]
    while pending:
        position, node = pending.pop()
        labels = node.labels()
        base = next(
            base
            for base in count(lowest)
            if base not in bases and not any(base ^ label in used for label in labels)
        )
        bases.add(base)
        while lowest in bases or lowest in used:
            lowest += 1
        used.update(base ^ label for label in labels)
        # A lookup xors any byte onto a base, so that whole blocks must exist.
        while base >= len(units):
            units += [0] * _BLOCK
        units[position] |= (position ^ base) << _OFFSET_SHIFT
        if node.leaf is not None:
            units[position] |= _HAS_LEAF
            units[base ^ _LEAF_LABEL] = _LEAF | node.leaf
        for label, child in node.children.items():
            units[base ^ label] = label
            pending.append((base ^ label, child))
    return units
