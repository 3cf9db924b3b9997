from benchmarks.gpu_kit import longest, training
from benchmarks.gpu_kit.cells import SMALL, Cell


def test_cells_are_told_apart():
    for cells in (training.CELLS, longest.CELLS):
        assert len({cell.key for cell in cells}) == len(cells)


def test_documents_lie_one_after_another():
    assert Cell("project", SMALL, 10, 4).boundaries == [0, 4, 8, 10]
    assert Cell("project", SMALL, 10).boundaries == [0, 10]
