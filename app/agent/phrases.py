"""Phrases by which a reply gives away that it speaks of its prompt, which its reader never sees.

They stand here in English, Chinese, Japanese, Korean and Thai. All are meant to miss rather than to hit wrongly: a
text, a passage or notes may well be a subject.
"""

import re

from app.agent.meta_text import find_meta_text
from app.agent.prompts import NOTHING_RELEVANT

_TEXT_NOUN = r"(?:text|passage|document|excerpt|article|paragraph|sentence|statement)s?"
_TEXT_ZH = r"(?:文本|文字|文章|文[档檔]|段落|短文|摘[录錄]|[节節][选選])"
_TEXT_JA = r"(?:文章|テキスト|文書|段落|本文|抜粋|資料)"
# "글" begins many longer words.
_TEXT_KO = r"(?:글(?![가-힣]{2})|텍스트|문서|지문|본문|단락|발췌문?)"
_TEXT_TH = r"(?:ข้อความ|บทความ|เอกสาร|ย่อหน้า|เนื้อหา|บันทึก)"

_REFERS_TO_CONTEXT = re.compile(
    rf"\b(?:the|this|these|that|those)\s+(?:\w+\s+)?{_TEXT_NOUN}\s+(?:above|below)\b"
    rf"|\b(?:above|following|given|provided|preceding|original)\s+{_TEXT_NOUN}\b"
    rf"|\b(?:according to|based on|from|in|of)\s+(?:the|this)\s+{_TEXT_NOUN}\b"
    rf"|\b(?:this|two|three|these|those)\s+{_TEXT_NOUN}\b"
    rf"|\b(?:this|these)\s+(?:instruction|question)s?\b"
    rf"|\bthe\s+(?:passage|excerpt)s?\b"
    rf"|\b(?:mentioned|described|stated|discussed|written)\s+(?:above|below|here)\b"
    rf"|(?:上述|上面|以上|下述|下面|以下|[给給]定|所[给給]|提供|前述)的?{_TEXT_ZH}"
    rf"|(?:[这這][段篇份些]?|(?<![日基版原书書应應])[该該本此]|那[段篇份些])[个個]?{_TEXT_ZH}"
    r"|(?<![日基版原])本文(?=[中所的，。、]|$)|[上下]文(?=[中所的，。、]|$)"
    rf"|(?:上記|以下|次|下記|前述|与えられた|提示された|提供された|この|これらの)の?{_TEXT_JA}"
    rf"|(?<!\w)(?:위|아래|다음|이|주어진|제시된|제공된)의? ?{_TEXT_KO}"
    rf"|{_TEXT_TH}(?:ข้างต้น|ด้านบน|ด้านล่าง|ต่อไปนี้|นี้|ที่ให้มา|ที่กำหนด)",
    re.IGNORECASE,
)
_ABOUT_ITSELF = re.compile(
    r"(?<=[.!?])\s+(?:(?:This|The|Your)\s+(?:instruction|question|task|request|topic|subject|answer|response|example)\b"
    r"|This\s+(?:is|asks|will|should|can|could|would|requires|involves)\b|For example\b|Here(?:'s| is)\b)"
    r"|(?<=[。！？.!?])\s*(?:[这這][个個一条條道项項]*|[该該本此])(?:指令|指示|[问問][题題]|任[务務]|要求|[请請]求)"
    r"|(?<=[。！？.!?])\s*(?:この|本)(?:指示|質問|課題|依頼|問い)"
    r"|(?<=[.!?])\s+이 ?(?:지시|질문|과제|요청|문제)"
    r"|\s(?:คำสั่ง|คำถาม|โจทย์)นี้"
)
_SPEAKS_OF_NOTES = re.compile(
    rf"(?:上述|以上|[这這][些份段]|[给給]定的?|所[给給]的?|提供的)(?:[笔筆][记記]|指令|[资資]料|{_TEXT_ZH})"
    r"|(?:[笔筆][记記]|摘[录錄])中?(?:提到|指出|[显顯]示|表明|描述|[说說]明|[没沒]有)"
    rf"|(?:この|これらの|上記の|提供された|与えられた)(?:メモ|ノート|指示|{_TEXT_JA})"
    rf"|(?<!\w)(?:이|위|위의|제공된|주어진|다음) ?(?:메모|노트|지시|자료|{_TEXT_KO})"
    rf"|{_TEXT_TH}(?:ข้างต้น|เหล่านี้|นี้|ที่ให้มา)",
    re.IGNORECASE,
)
_NOTHING_RELEVANT = re.compile(
    rf"{NOTHING_RELEVANT}\b.*"
    r"|(?:.{0,6}中)?(?:[没沒]有|[无無]|并[无無]|未找到)(?:任何)?(?:与.{0,8})?(?:相[关關]|有[关關])的?(?:信息|[内內]容|[资資][讯訊料])"
    r"|(?:関連する|該当する)?(?:情報|内容|記述|記載)[はが](?:ありません|ない|見つかりません|なし)|(?:該当|関連情報)なし"
    r"|관련(?:된)? ?(?:정보|내용|사항)(?:가|이|는|은)? ?(?:없음|없습니다|없다)"
    r"|ไม่(?:มี|พบ)(?:ข้อมูล|เนื้อหา|สิ่ง)ที่เกี่ยวข้อง",
    re.IGNORECASE | re.DOTALL,
)


def refers_to_context(instruction: str) -> bool:
    """Whether an instruction points at a text that nobody will see."""
    return _REFERS_TO_CONTEXT.search(instruction) is not None


def before_comment(instruction: str) -> str:
    """An instruction without what it goes on to say about itself, as small models do."""
    comment = _ABOUT_ITSELF.search(instruction)
    return instruction[: comment.start()].rstrip() if comment else instruction


def speaks_of_notes(text: str) -> bool:
    """Whether a text speaks of the notes that it was written from."""
    return find_meta_text(text) is not None or _SPEAKS_OF_NOTES.search(text) is not None


def says_nothing_relevant(summary: str) -> bool:
    """Whether a summary says that there is nothing to note."""
    return _NOTHING_RELEVANT.fullmatch(summary.strip(" .*\"'。！「」“”")) is not None
