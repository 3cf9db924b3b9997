from app.progress.actor import ProgressTally
from app.progress.counts import Delta


def test_names_beyond_ascii_are_counted():
    # Ray's metrics take ASCII alone and fail at once otherwise.
    tally = ProgressTally("runs/größe \udcff", 3, 1)
    tally.add(Delta(outcomes={"1": "", "2": "zu groß"}))
    counters = tally.snapshot().counters
    assert (counters.num_examples, counters.rejects) == (1, {"zu groß": 1})
