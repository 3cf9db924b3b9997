import pytest

from app.agent.meta_text import find_meta_text, names_no_author


@pytest.mark.parametrize(
    "text",
    [
        "Note 3 says that the mine closed in 1891, while Note 5 gives 1893 as the year.",
        "The mine closed in 1891 (Note 4).",
        "Note 1: The mine closed.",
        "According to Note 2, the mine closed.",
        "The mine closed. The passage also mentions Ada Brink.",
        "The passage concludes with her death.",
        "Additionally, the passage omits the flood.",
        "The excerpt explores the tin mine.",
        "The provided text is about a mine.",
        "Ada Brink is the owner in the text provided.",
        "Based on the documents, Ada Brink sold it.",
        "According to the notes, Ada Brink sold it.",
        "These notes do not mention the year.",
        "In this passage, the mine is sold.",
        "This text is about mines.",
        "The instruction asks for causes.",
        "Instructions: Trace what led to the flood.",
        "It closed.\n\nNote: I made changes to enhance clarity.",
        "I kept the meaning of the original message.",
    ],
)
def test_text_about_what_the_generator_was_shown_is_found(text):
    assert find_meta_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "The notes of the Brink Bank were refused in 1891.",
        "The bank notes say little of who printed them, and the notes were burnt.",
        "The musical notes of the hymn rise by a fifth.",
        "The Galaxy Note 7 was recalled in 2016.",
        "The Northwest Passage provides a route, and the text of the treaty fills two pages.",
        "In this passage of the river the tin boats were taxed.",
        "The documents of the court show that she lost, and article 5 gives the reason.",
        "The following articles of the treaty name the ports.",
        "According to the notes of Captain Brink, it rained.",
        "The captain followed the instructions given to him.",
    ],
)
def test_text_whose_subject_is_a_note_or_a_document_is_left_alone(text):
    assert find_meta_text(text) is None


def test_an_author_without_a_name_is_nobody_to_look_for():
    assert names_no_author("Find out what the author thinks of saving money.")
    assert not names_no_author("Find out what the author of Walden thinks.")
    assert not names_no_author("Find out what the writer Ada Brink thinks.")
