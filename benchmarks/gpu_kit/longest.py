"""The longest sequence that a training step takes, this project's beside plain transformers'.

The project's sequences are packed from short documents: their memory is that of a single document, and their time is
not. Plain transformers knows no documents; its time is small at the lengths that it reaches.
"""

from dataclasses import replace

from benchmarks.gpu_kit.box import Box
from benchmarks.gpu_kit.cell_steps import CellSteps
from benchmarks.gpu_kit.cells import LARGE, SMALL, Cell

K = 1024
DOCUMENT_TOKENS = 8 * K
CELLS = (
    *(Cell("plain", SMALL, tokens) for tokens in (64 * K, 96 * K, 128 * K)),
    *(Cell("plain", LARGE, tokens) for tokens in (64 * K, 96 * K, 128 * K)),
    Cell("project", SMALL, 512 * K, DOCUMENT_TOKENS),
    Cell("project", LARGE, 256 * K, DOCUMENT_TOKENS),
    Cell("project", SMALL, 1024 * K, DOCUMENT_TOKENS),
    Cell("project", LARGE, 384 * K, DOCUMENT_TOKENS),
)
REHEARSAL_TOKENS, REHEARSAL_DOCUMENT_TOKENS = 512, 128


def measure(box: Box) -> None:
    """See the module."""
    steps = CellSteps(box)
    for cell in CELLS[5:8] if box.is_rehearsal else CELLS:
        steps.measure(_tiny(cell) if box.is_rehearsal else cell)


def _tiny(cell: Cell) -> Cell:
    documents = REHEARSAL_DOCUMENT_TOKENS if cell.document_tokens else None
    return replace(cell, num_tokens=REHEARSAL_TOKENS, document_tokens=documents)
