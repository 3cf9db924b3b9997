"""What a folder must hold so that an engine can load its model, looked at in seconds: weights and a tokenizer."""

import json
import math
import operator
import struct
from itertools import pairwise
from typing import Any

from app.faults import UserError, one_line
from app.storage import Folder

INDEX_FILE = "model.safetensors.index.json"
OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".gguf")
TOKENIZER_FILE = "tokenizer.json"
BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}
"""Of one number, by its kind as safetensors names it."""
MAX_HEADER_BYTES = 100_000_000
"""safetensors' own limit."""


def check_tokenizer(field: str, folder: Folder) -> None:
    """Refuse a folder whose tokenizer is no JSON, as of a copy that was cut.

    Args:
        field: The setting that names the model.
        folder: In Hugging Face's layout.

    Raises:
        UserError: It is so.
    """
    if folder.exists(TOKENIZER_FILE):
        try:
            folder.read_json(TOKENIZER_FILE)
        except ValueError as error:
            raise UserError(
                f"{field}: {TOKENIZER_FILE} in {folder.uri} can't be read ({one_line(error)}); copy it anew"
            ) from error


def check_weights(field: str, folder: Folder) -> None:
    """Refuse weights that are not there as a whole: their headers are read, not they.

    Args:
        field: The setting that names the model.
        folder: In Hugging Face's layout.

    Raises:
        UserError: names the first file that is missing or cut.
    """
    names = folder.list_names(".safetensors")
    if folder.exists(INDEX_FILE):
        try:
            wanted = sorted(set(folder.read_json(INDEX_FILE)["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise UserError(
                f"{field}: {INDEX_FILE} in {folder.uri} can't be read ({one_line(error)}); copy it anew"
            ) from error
        if missing := [name for name in wanted if name not in names]:
            raise UserError(
                f"{field}: {folder.uri} lacks {missing[0]}, which its {INDEX_FILE} names; copy it there"
            )
        names = wanted
    if not names and not any(name.endswith(OTHER_WEIGHTS) for name in folder.list_names()):
        raise UserError(f"{field}: {folder.uri} holds no weights; copy its *.safetensors there")
    for name in names:
        if fault := _fault_in(folder, name):
            raise UserError(f"{field}: {name} in {folder.uri} {fault}; copy it anew")


def _fault_in(folder: Folder, name: str) -> str | None:
    """What is wrong with a file by its header: its length, then where each tensor begins and ends, then these."""
    with folder.filesystem.open_input_file(folder.file(name)) as file:
        num_bytes = file.size()
        if num_bytes < 8:
            return f"has {num_bytes} bytes"
        [header_bytes] = struct.unpack("<Q", file.read(8))
        if header_bytes > min(MAX_HEADER_BYTES, num_bytes - 8):
            return "is no safetensors file, or is cut in its header"
        text = file.read(header_bytes)
    try:
        header: dict[str, Any] = json.loads(text)
        tensors = {key: tensor for key, tensor in header.items() if key != "__metadata__"}
        ranges = [tuple(map(operator.index, tensor["data_offsets"])) for tensor in tensors.values()]
        edges = [0, *(edge for begin_end in sorted(ranges) for edge in begin_end)]
        is_whole = all(end == begin for end, begin in zip(edges[::2], edges[1::2], strict=False))
        misshapen = [name for name, tensor in tensors.items() if not _fills_its_shape(tensor)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "has a header that can't be read"
    if misshapen:
        return f"has another number of bytes for {misshapen[0]} than its shape takes"
    wanted_bytes = 8 + header_bytes + edges[-1]
    if not is_whole or any(begin > end for begin, end in pairwise(edges)):
        return "has tensors that overlap or leave gaps"
    return (
        None
        if wanted_bytes == num_bytes
        else f"has {num_bytes} bytes, and its header tells of {wanted_bytes}"
    )


def _fills_its_shape(tensor: dict[str, Any]) -> bool:
    """Whether a tensor's bytes are as many as its numbers take; of a kind that is not known here nothing is said."""
    begin, end = tensor["data_offsets"]
    num_bytes = BYTES.get(tensor["dtype"])
    return num_bytes is None or num_bytes * math.prod(tensor["shape"]) == end - begin
