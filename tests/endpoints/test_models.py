import pytest

from app.endpoints.models import EndpointModel, read_models


def test_models_are_read_with_what_the_endpoint_tells_of_them():
    body = (
        '{"object": "list", "data": [{"id": "a", "owned_by": "vllm", "max_model_len": 8192},'
        ' {"id": "b", "context_length": 4096, "owned_by": null}, {"id": "c", "max_model_len": "long"}]}'
    )
    assert read_models(body) == [
        EndpointModel("a", 8192, "vllm"),
        EndpointModel("b", 4096),
        EndpointModel("c"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        "<html>hello</html>",
        '{"data": [',
        "null",
        "[]",
        '{"data": null}',
        "{}",
        '{"data": [7]}',
        '{"data": [{}]}',
    ],
)
def test_anything_else_is_no_list_of_models(body):
    assert read_models(body) is None
