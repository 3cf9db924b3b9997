"""What replies say of their prompt, in the languages that are known; and what they may say."""

import pytest

from app.agent.phrases import before_comment, refers_to_context, says_nothing_relevant, speaks_of_notes


@pytest.mark.parametrize(
    "text",
    [
        "Trace how whalers lived according to the text.",
        "根据上述文本，说明商人如何修理桥梁。",
        "说明这段文字中的港口如何储存铜矿石。",
        "请按照上文，比较两座港口。",
        "請說明以下文章的重點。",
        "上記の文章から、港の歴史を説明してください。",
        "この資料に基づいて船の数を比較せよ。",
        "다음 글을 읽고 항구의 역사를 설명하라.",
        "이 문서에서 배의 수를 비교하라.",
        "จากข้อความข้างต้น อธิบายประวัติของท่าเรือ",
    ],
)
def test_instruction_that_points_at_a_text(text):
    assert refers_to_context(text)


@pytest.mark.parametrize(
    "text",
    [
        "Compare how whalers wrote of whales in letters, in the context of the oil trade.",
        "比较日本文化与中国文字的发展。",
        "说明日本文学史上文人的地位以及基本文字的来历。",
        "列出以下文献馆的藏书数量：北京、上海。",
        "港と文書館の歴史を比較してください。",
        "글로벌 기업의 역사를 비교하라.",
        "อธิบายประวัติของเอกสารโบราณในหอสมุด",
    ],
)
def test_instruction_whose_subject_is_texts(text):
    assert not refers_to_context(text)


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("Trace the ships. This instruction asks for causes.", "Trace the ships."),
        ("比较两座港口。这个问题需要多份资料。", "比较两座港口。"),
        ("港を比較せよ。この質問は難しい。", "港を比較せよ。"),
        ("항구를 비교하라. 이 질문은 어렵다.", "항구를 비교하라."),
        ("เปรียบเทียบท่าเรือ คำถามนี้ต้องใช้เอกสาร", "เปรียบเทียบท่าเรือ"),
        ("比较这个任务的两种做法。", "比较这个任务的两种做法。"),
    ],
)
def test_comment_on_the_instruction_is_left_out(text, instruction):
    assert before_comment(text) == instruction


@pytest.mark.parametrize(
    "text",
    [
        "The excerpt describes this.",
        "上述笔记说明了这一点。",
        "根据提供的资料，共有三座港口。",
        "笔记中提到了船只。",
        "このメモによると、港は三つある。",
        "제공된 자료에 따르면 항구는 셋이다.",
        "บันทึกข้างต้นกล่าวถึงเรือ",
    ],
)
def test_sentence_that_speaks_of_the_notes(text):
    assert speaks_of_notes(text)


@pytest.mark.parametrize(
    "text",
    [
        "The text of the treaty fills two pages.",
        "他的笔记本丢了。",
        "メモを書いた船長。",
        "자료실은 항구에 있다.",
    ],
)
def test_sentence_that_speaks_of_its_subject(text):
    assert not speaks_of_notes(text)


@pytest.mark.parametrize(
    "text",
    [
        "NOTHING RELEVANT",
        "**Nothing relevant.** The text is on Ohio.",
        "没有相关信息。",
        "摘录中没有任何相关内容",
        "関連する情報はありません。",
        "該当なし",
        "관련 내용이 없습니다.",
        "ไม่มีข้อมูลที่เกี่ยวข้อง",
    ],
)
def test_nothing_relevant(text):
    assert says_nothing_relevant(text)


@pytest.mark.parametrize(
    "text",
    ["没有相关记录的城市有三座，共865车。", "Nothing is said of Ohio, but oil paid.", "情報はない町だった。"],
)
def test_note_that_begins_alike(text):
    assert not says_nothing_relevant(text)
