import pytest

from app.tokens import Tokenizer
from tests.probing.tiny_models import save_model


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("tiny_llama"))


@pytest.fixture(scope="session")
def tokenizer(tiny_llama):
    return Tokenizer(tiny_llama)
