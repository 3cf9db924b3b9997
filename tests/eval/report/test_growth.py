"""The sentence and the picture that say how far a context has grown."""

from app.storage import Folder
from eval.report.contents import Counts, NiahResult
from eval.report.growth import compared, growth_sentence, render_growth
from eval.report.writing import HEADLINE_FILE, write_report


def needles(model, by_length):
    """Two depths; the score of a length is their mean."""
    lengths = sorted(by_length)
    scores = [[by_length[length][depth] for length in lengths] for depth in (0, 1)]
    return NiahResult(model, lengths, [0.0, 100.0], scores, scores, Counts(2 * len(lengths)))


BASE = needles("base", {4096: (100.0, 100.0), 10240: (0.0, 20.0)})
STAGE = needles("10k", {4096: (100.0, 100.0), 10240: (100.0, 80.0), 16384: (0.0, 0.0)})


def test_the_sentence_begins_with_the_longest_length_of_both():
    sentence = growth_sentence([BASE, STAGE], {"base": 8192, "10k": 10240})
    assert sentence == "needles at 10k: base 10.0% (made for 8,192 tokens), 10k 90.0%; at 4k: 100%, 100%"


def test_lengths_between_the_longest_and_the_shortest_are_left_to_the_picture():
    scores = dict.fromkeys((1024, 2048, 4096, 8192), (100.0, 0.0))
    sentence = growth_sentence([needles("base", scores), needles("8k", scores)], {})
    assert sentence == "needles at 8k: base 50.0%, 8k 50.0%; at 1k: 50.0%, 50.0%"


def test_a_model_within_its_limit_or_without_a_known_one_is_not_marked():
    assert "made for" not in growth_sentence([BASE, STAGE], {"base": 10240})


def test_lengths_with_gaps_are_left_out():
    gap = needles("base", {4096: (100.0, 100.0), 10240: (0.0, None)})
    assert growth_sentence([gap, STAGE], {}) == "needles at 4k: base 100%, 10k 100%"


def test_one_model_alone_is_compared_with_nothing(tmp_path):
    assert growth_sentence([STAGE], {}) is None
    assert render_growth([STAGE], {}) is None
    folder = Folder(str(tmp_path))
    write_report(folder, [], render_growth([BASE, STAGE], {}))
    assert folder.exists(HEADLINE_FILE)
    # The headline of an earlier report does not stay.
    write_report(folder, [], render_growth([STAGE], {}))
    assert not folder.exists(HEADLINE_FILE)


def test_the_first_model_is_compared_with_the_last_one():
    between = needles("8k", {4096: (0.0, 0.0), 10240: (0.0, 0.0)})
    found = compared([BASE, between, STAGE])
    assert found is not None
    base, last, lengths = found
    assert (base.model, last.model, lengths) == ("base", "10k", [10240, 4096])
