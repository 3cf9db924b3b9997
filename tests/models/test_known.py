import pytest
from transformers import AutoConfig

from app.faults import UserError
from app.models.known import EncoderShape, find_encoder, find_max_tokens, find_shape
from tests.models.known_models import TINY, configuration


def test_usual_models_need_no_hub():
    shape = find_shape("train.model", "meta-llama/Llama-3.2-3B-Instruct", None)
    assert shape is not None
    assert shape.num_parameters == 3_212_749_824
    assert find_max_tokens("train.model", "Qwen/Qwen3-8B", None) == 40_960


def test_a_folder_is_read(tmp_path):
    configuration(TINY).save_pretrained(tmp_path)
    shape = find_shape("train.model", str(tmp_path), None)
    assert shape is not None
    assert (shape.num_layers, shape.hidden_size) == (2, 32)
    assert find_max_tokens("train.model", str(tmp_path), None) == 128
    with pytest.raises(UserError, match=r"train.model: .* does not exist"):
        find_shape("train.model", str(tmp_path / "nowhere"), None)


def test_embedders_are_causal_or_not(tmp_path):
    decoder = find_encoder("retrieval.model", "intfloat/e5-mistral-7b-instruct", None)
    # 7,110,660,096 parameters, of which 32,000 rows of 4,096 are looked up.
    assert decoder == EncoderShape(7_110_660_096 - 32_000 * 4096, 32, 4096, is_causal=True)
    AutoConfig.for_model(
        "bert",
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        vocab_size=100,
    ).save_pretrained(tmp_path)
    encoder = find_encoder("retrieval.model", str(tmp_path), None)
    assert encoder is not None
    assert not encoder.is_causal
    # Two layers of BERT: attention 4 (16² + 16), MLP 2 * 16 * 32 + 48, two norms of 32; a pooler of 16² + 16.
    assert encoder.num_multiplied == 2 * (4 * 272 + 1024 + 48 + 64) + 272
    assert encoder.flops(10) == 2 * encoder.num_multiplied * 10 + 4 * 100 * 16 * 2
