import pytest

from app.endpoints.refusals import Whose, blamed_by


@pytest.mark.parametrize(
    ("statuses", "whose"),
    [
        ((400, 406, 411, 413, 415, 422, 431), Whose.REQUEST),
        ((301, 307, 401, 402, 403, 404, 405, 410, 501), Whose.ENDPOINT),
        ((408, 409, 425, 429, 500, 502, 503, 504, 529), Whose.NOBODY),
    ],
)
def test_whom_a_status_blames(statuses, whose):
    assert {blamed_by(status) for status in statuses} == {whose}
