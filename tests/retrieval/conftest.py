from collections.abc import Callable

import pytest

from app.config import RetrievalConfig


@pytest.fixture
def settings() -> Callable[..., RetrievalConfig]:
    return lambda **changed: RetrievalConfig(**({"model": "some/model"} | changed))
