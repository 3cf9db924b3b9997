"""The extension benchmark in small: a base that fails beyond its length, one real stage, and what it retrieves then."""

import pytest

from benchmarks.extension_model import ModelSize, load_model
from benchmarks.extension_run import Experiment, Setup
from benchmarks.extension_task import RetrievalTask

TASK = RetrievalTask(num_keys=8, values_per_key=4, num_noise_tokens=16, num_needles=8)
SETUP = Setup(
    task=TASK,
    size=ModelSize(hidden_size=64, num_layers=2, num_heads=4, intermediate_size=128),
    base_tokens=64,
    factors=(8,),
    base_steps=120,
    base_batch_tokens=512,
    base_learning_rate=3e-3,
    extension_steps=12,
    extension_batch_tokens=2048,
    extension_learning_rate=1e-3,
    sequence_parallel_size=1,
    num_documents=32,
    num_depths=2,
)


@pytest.mark.timeout(300)
def test_a_stage_at_length_repairs_what_the_base_cannot(tmp_path):
    experiment = Experiment(SETUP, 1, tmp_path)
    base = experiment.train_base()
    before = experiment.retrieval(base)
    trained = experiment.extend_in_one_step()
    after = experiment.retrieval(trained)
    assert before[64].accuracy >= 0.95
    assert before[512].accuracy <= 0.7
    assert after[512].accuracy >= before[512].accuracy + 0.25
    config = load_model(trained).config
    assert config.rope_parameters["rope_theta"] == SETUP.raised_base == 64 * 10_000
    assert config.max_position_embeddings == 512
