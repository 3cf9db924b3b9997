import faiss
import numpy as np
import pytest

from app.faults import UserError
from app.planning.storage_bytes import checkpoints_bytes, export_bytes, index_bytes
from app.recipe import load_config
from benchmarks.published import LLAMA_8B, known_shape


@pytest.mark.parametrize("factory", ["Flat", "SQ8", "IVF4,PQ4x4", "IVF4,SQ8"])
def test_an_index_grows_as_faiss_writes_it(factory):
    vectors = np.random.default_rng(1).standard_normal((500, 16), dtype=np.float32)
    index = faiss.index_factory(16, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    few = len(faiss.serialize_index(index))
    index.add(vectors)
    grown = len(faiss.serialize_index(index)) - few
    planned = index_bytes(factory, 16, 1000) - index_bytes(factory, 16, 500)
    # Beside FAISS's own file, 8 bytes of a row's document and count.
    assert planned == pytest.approx(grown + 8 * 500, rel=0.02)


def test_the_bundled_samples_index():
    # 7,329,837 bytes of 4,772 vectors, as `longstrap index --config laptop.yaml` wrote it.
    assert index_bytes("Flat", 384, 4772) == pytest.approx(7_329_837, rel=0.02)


def test_an_unknown_index_is_refused():
    with pytest.raises(UserError, match=r"retrieval.index_factory"):
        index_bytes("Nonsense", 32, 1)


def test_checkpoints_hold_weights_and_both_moments():
    train = load_config("llama3_8b_1m").train
    assert train is not None
    shape = known_shape(LLAMA_8B)
    # Two are kept while a third is written.
    assert checkpoints_bytes(train, shape) == 3 * 12 * 8_030_261_248
    assert export_bytes(train, shape) == 2 * 8_030_261_248
