"""The probe's picture."""

from app.probing.pictures import draw_probe
from tests.record_makers import reading_record


def test_a_picture_of_more_names_than_colours():
    readings = [
        reading_record(f"candidate {index}", index, 3.0, length_tokens=length)
        for index in range(10)
        for length in (8192, 10_240)
    ]
    plain = draw_probe(readings, 8192, "Candidates")
    assert plain.startswith(b"\x89PNG")
    assert plain != draw_probe(readings, 8192, "Candidates", chosen="candidate 3")
