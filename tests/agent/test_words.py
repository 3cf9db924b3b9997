from app.agent.words import WordWeights, common_shares, specific_words


def test_names_inside_a_sentence_and_numbers_are_specific():
    assert specific_words("Find out what Ada did in 1891. Then tell of Karlsund.") == {
        "ada",
        "1891",
        "karlsund",
    }


def test_a_word_weighs_the_more_the_rarer_it_is():
    weights = WordWeights({"that": 1.0, "people": 0.1})
    assert [weights.total([word]) for word in ("that", "people", "karlsund")] == [0.0, 0.5, 1.0]
    assert weights.is_rare("karlsund")
    assert not weights.is_rare("people")


def test_shares_are_of_texts_and_a_first_text_is_no_sign():
    shares = common_shares([{"that", "mine"}, {"that"}, {"that", "flood"}, {"that"}])
    assert shares == {"that": 0.75}
    # A name that three texts share is rare, however few texts there are.
    assert common_shares([{"that", "Ada"}, {"that", "Ada"}, {"Ada"}, {"that"}, {"that"}]) == {"that": 0.6}
