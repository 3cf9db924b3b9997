import pytest

from app.agent.parsing import (
    MalformedReplyError,
    parse_answer,
    parse_instruction,
    parse_prose,
    parse_selection,
    parse_summary,
    selection_schema,
    strip_thoughts,
)
from app.agent.words import WordWeights
from app.text.words import content_words

SUBJECT = "Nantucket whalers hunted sperm whales for oil until the harbour silted up."


SOURCES = [{"ports"}, {"whales"}, {"ports"}]
COMMON = WordWeights({"this": 0.5, "will": 0.15, "people": 0.06, "number": 0.05, "country": 0.05})


def instruction(text, was_cut=False, subject=SUBJECT, weights=COMMON):
    request = "Trace how something came about in documents."
    return parse_instruction(text, was_cut, subject, request, weights)


def test_instruction_loses_quotes_line_breaks_and_further_paragraphs():
    text = '"Trace how Nantucket lost\nits sperm whales."\n\nThis asks for causes.'
    assert instruction(text) == "Trace how Nantucket lost its sperm whales."


def test_instruction_that_the_limit_cut_keeps_its_whole_sentences():
    assert instruction("Trace how Nantucket whalers fared. Then tell what", was_cut=True) == (
        "Trace how Nantucket whalers fared."
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Nantucket whalers.", "instruction too short"),
        ("Trace how Nantucket whalers lived according to the text.", "instruction refers to a text"),
        ("Trace how the whalers of Nantucket are described above.", "instruction refers to a text"),
        ("Trace how Nantucket whalers live in this passage.", "instruction refers to a text"),
        ("Trace how something came about in many documents.", "instruction off its subject"),
        ("Trace how steel mills in Ohio closed down.", "instruction off its subject"),
        ("Trace how the author hunted sperm whales for oil.", "instruction refers to a text"),
        ("Trace how Nantucket whalers fare in the provided notes.", "instruction refers to a text"),
        (
            "Trace how Nantucket whalers lived. Trace how Nantucket whalers lived.",
            "instruction repeats itself",
        ),
        ("", "empty reply"),
    ],
)
def test_malformed_instructions_are_told_apart(text, reason):
    with pytest.raises(MalformedReplyError, match=reason):
        instruction(text)


CHINESE = "第865年，商人修理桥梁道路，共6900车，港口储存铜矿石。"
THAI = "แม่น้ำท่วมเมืองในฤดูฝน ชาวบ้านย้ายไปอยู่บนเนินเขา"


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Compare how 商人修理桥梁道路与港口储存铜矿石的车数，并说明差异。", CHINESE),
        ("比较商人修理桥梁的经过。再说明港口储存铜矿石的数量。", CHINESE),
        ("อธิบายว่าแม่น้ำท่วมเมืองแล้วชาวบ้านย้ายไปที่ใด", THAI),
        ("항구에서 상인들이 다리를 고친 과정을 비교하라.", "상인들은 항구의 다리를 고쳤다."),
    ],
)
def test_instruction_in_other_scripts(text, subject):
    assert parse_instruction(text, False, subject, request="Compare how") == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("比较。", "instruction too short"),
        ("比较商人修理桥梁。比较商人修理桥梁。", "instruction repeats itself"),
        ("比较上述文章中的商人修理桥梁。", "instruction refers to a text"),
        ("说明天文学家如何发现新的行星与恒星。", "instruction off its subject"),
    ],
)
def test_malformed_instructions_in_chinese(text, reason):
    with pytest.raises(MalformedReplyError, match=reason):
        parse_instruction(text, False, CHINESE, request="Compare how")


def test_instruction_loses_what_it_says_about_itself():
    text = "Trace how Nantucket whalers lived. This instruction asks for causes. It is long."
    assert instruction(text) == "Trace how Nantucket whalers lived."


def test_an_instruction_that_shares_only_common_words_with_its_subject_is_off_it():
    with pytest.raises(MalformedReplyError, match="instruction off its subject"):
        instruction("Trace how this request will be implemented.", subject="This treaty will hold.")


def test_an_instruction_without_a_name_a_number_or_a_rare_word_names_nothing_to_look_for():
    subject = "People and Society: number of people in the country: 911,707"
    with pytest.raises(MalformedReplyError, match="names nothing to look for"):
        instruction("Find out who has the most number of people in their country.", subject=subject)
    assert instruction("Find out which country has a number of 911,707 people.", subject=subject)


def test_a_script_without_capitals_has_no_names_to_be_told():
    common = WordWeights(dict.fromkeys(content_words(CHINESE), 0.4))
    text = "Compare how 商人修理桥梁道路与港口储存铜矿石的车数，并说明差异。"
    assert parse_instruction(text, False, CHINESE, request="Compare how", weights=common) == text


def test_names_count_although_a_corpus_is_full_of_them():
    weights = WordWeights({"nantucket": 0.6, "whalers": 0.3, "sperm": 0.2, "whales": 0.5, "hunted": 0.05})
    assert instruction("Trace how Nantucket whalers hunted sperm whales.", weights=weights)


def test_a_good_answer_loses_no_sentence():
    text = "Whales dive deep, as logs of forty ships show. It takes an hour. Oil paid for the harbour."
    assert parse_answer(text, was_cut=False) == text
    assert parse_answer(f"**Answer:** {text}", was_cut=False) == text


def test_an_answer_in_chinese_that_speaks_of_its_notes_is_malformed():
    text = "商人每年修理桥梁，共6900车。上述笔记说明了这一点。港口储存铜矿石，共2车。"
    with pytest.raises(MalformedReplyError, match="speaks of its notes"):
        parse_answer(text, was_cut=False)


def test_answer_keeps_its_paragraphs():
    text = "One.\n\n- Two\n- Three 4.5 per cent\n\nFour"
    assert parse_answer(text, was_cut=False) == text


@pytest.mark.parametrize(
    "text", ["The excerpt shows whales.", "Yes. The text is about ships and the sea and so on."]
)
def test_answer_that_speaks_of_little_but_its_notes_is_malformed(text):
    with pytest.raises(MalformedReplyError, match="speaks of its notes"):
        parse_answer(text, was_cut=False)


def test_answer_may_speak_of_texts_that_are_its_subject():
    text = "The Northwest Passage took years, and the text of the treaty fills two pages."
    assert parse_answer(text, was_cut=False) == text


def test_instruction_may_speak_of_texts_that_are_its_subject():
    text = "Compare how Nantucket whalers wrote of whales in letters, in the context of the oil trade."
    assert instruction(text) == text


def test_selection_is_sorted_and_unique():
    assert parse_selection('{"notes": [3, 1, 3]}', SOURCES) == [0, 2]


def test_a_selection_rests_on_as_many_documents_as_its_task_needs():
    assert parse_selection('{"notes": [1, 2]}', SOURCES, min_documents=2) == [0, 1]
    with pytest.raises(MalformedReplyError, match="selection of too few documents"):
        parse_selection('{"notes": [1, 3]}', SOURCES, min_documents=2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("notes 1 and 2", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"notes": ' + "[" * 100_000, "not JSON"),
        ('{"notes": null}', "no list of numbers"),
        ('{"notes": [true]}', "no list of numbers"),
        ('{"notes": [' + "9" * 5000 + "]}", "not JSON"),
        ('{"numbers": [1]}', "JSON without notes"),
        ('{"notes": ["one"]}', "no list of numbers"),
        ('{"notes": []}', "empty"),
        ('{"notes": [4]}', "no such note"),
        ('{"notes": [0]}', "no such note"),
    ],
)
def test_malformed_selections_are_told_apart(text, reason):
    with pytest.raises(MalformedReplyError, match=reason):
        parse_selection(text, SOURCES)


def test_selection_schema_admits_just_the_notes_there_are():
    notes = selection_schema(SOURCES)["properties"]["notes"]
    assert notes["items"]["enum"] == [1, 2, 3]
    assert notes["minItems"] == 1


@pytest.mark.parametrize(
    ("sources", "min_documents", "least"),
    [(SOURCES, 2, 2), ([{"a", "b"}, {"a"}], 2, 1), ([{"a", "b"}, {"c"}], 3, 2)],
)
def test_selection_schema_asks_for_as_many_notes_as_the_documents_take(sources, min_documents, least):
    assert selection_schema(sources, min_documents)["properties"]["notes"]["minItems"] == least


@pytest.mark.parametrize("text", ["NOTHING RELEVANT", "Nothing relevant.", "**NOTHING RELEVANT** in it."])
def test_nothing_relevant_is_a_valid_summary(text):
    assert parse_summary(text, was_cut=False) is None


def test_summary_that_begins_otherwise_is_a_summary():
    assert parse_summary("Nothing is said of Ohio, but oil paid for the port.", was_cut=False) is not None


def test_cut_prose_ends_with_its_last_complete_sentence():
    assert parse_prose('He said "Go." Then the ship sank and', was_cut=True) == 'He said "Go."'
    assert parse_prose("船は沈んだ。 そして", was_cut=True) == "船は沈んだ。"
    assert parse_prose("商人修桥。共2车。最后一句没有写", was_cut=True) == "商人修桥。共2车。"
    assert parse_prose("แม่น้ำท่วมเมือง ชาวบ้านย้าย", was_cut=True) == "แม่น้ำท่วมเมือง"


def test_prose_cut_before_its_first_sentence_ended_is_malformed():
    with pytest.raises(MalformedReplyError, match="cut before"):
        parse_prose("The ship that", was_cut=True)


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"notes": [2]}\n```',
        '```\n{"notes": [2]}\n```\n',
        '  ```JSON\r\n{\n "notes": [2]\n}\r\n```',
    ],
)
def test_fence_around_json_is_taken_off(text):
    assert parse_selection(text, SOURCES) == [1]


def test_thoughts_before_an_answer_are_taken_off():
    assert strip_thoughts("<think>\nThey want whales.\n</think>\n\nWhales dive.") == "Whales dive."
    # Some templates begin the thoughts themselves.
    assert strip_thoughts("They want whales.</think>Whales dive.") == "Whales dive."
    assert strip_thoughts(" Whales dive.\n") == " Whales dive.\n"


def test_thoughts_without_an_answer_are_malformed():
    with pytest.raises(MalformedReplyError, match="thoughts without an answer"):
        strip_thoughts("<think>They want whales, so")
