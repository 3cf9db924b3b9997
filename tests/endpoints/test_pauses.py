import email.utils
import time

import pytest

from app.endpoints.pauses import asked_pause_sec


@pytest.mark.parametrize(
    ("headers", "sec"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-reset-requests": "20ms"}, 0.02),
        ({"x-ratelimit-reset": "12"}, 12.0),
        ({"x-ratelimit-reset-requests": "later"}, None),
        # The limit that is reached counts, not the one with room left.
        (
            {
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-tokens": "100",
            },
            1.0,
        ),
    ],
)
def test_every_way_to_say_how_long(headers, sec):
    assert asked_pause_sec(headers) == pytest.approx(sec)


def test_a_date_counts_by_the_endpoints_clock():
    headers = {"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert asked_pause_sec(headers) == 30.0
    assert asked_pause_sec({"retry-after": headers["retry-after"]}) == 0.0
    soon = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert asked_pause_sec({"retry-after": soon}) == pytest.approx(60, abs=2)


def test_a_time_since_1970_is_told_from_a_duration():
    assert asked_pause_sec({"x-ratelimit-reset": str(int(time.time()) + 40)}) == pytest.approx(40, abs=2)
    assert asked_pause_sec({"x-ratelimit-reset": str(int(1000 * (time.time() + 40)))}) == pytest.approx(
        40, abs=2
    )
