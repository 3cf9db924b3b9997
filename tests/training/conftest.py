import pytest

from tests.training.tiny_tokenizers import save_chatml, save_llama


@pytest.fixture(scope="session")
def chatml(tmp_path_factory):
    return save_chatml(tmp_path_factory.mktemp("chatml"))


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    return save_llama(tmp_path_factory.mktemp("llama"))
