"""Refusals, and statements that nothing was found, which open an answer in English, Chinese, Japanese, Korean or Thai.

As all filters, they are meant to miss rather than to hit wrongly.
"""

import re

OPENING_CHARS = 300
"""A refusal shows at an answer's start; further on, people in documents refuse and regret things."""

_CANNOT = (
    r"(?:cannot|can't|can not|could not|couldn't|am unable to|'m unable to|am not able to|'m not able to)"
)
_ANSWER = r"(?:help|assist|answer|provide|comply|fulfil|complete|generate|access|browse|determine|find|see|summarize)"
_CONTEXT = r"(?:texts?|documents?|passages?|context|summary|summaries|sources?|materials?)"
_FOUND = r"(?:information|details?|answer|content|data|context)"
_ENGLISH = (
    r"(?:i'm|i am|we're|we are) (?:\w+ )?(?:sorry|afraid),? (?:but )?(?:that )?(?:i|we|there|the|as an)\b",
    rf"(?:sorry|my apologies|i apologi[sz]e),? (?:but )?(?:i|we) ?{_CANNOT}",
    r"i apologi[sz]e,? (?:but|for (?:the|any) (?:confusion|inconvenience))",
    rf"(?:unfortunately|regrettably),? (?:i|we) ?(?:{_CANNOT}|don't|do not)",
    rf"(?:unfortunately|regrettably),? the (?:\w+ )?{_CONTEXT} (?:provided )?(?:do|does) not\b",
    rf"i ?(?:{_CANNOT}|won't|will not) (?:be able to )?{_ANSWER}\b",
    r"i (?:do not|don't) have (?:access|enough|any|sufficient|the (?:ability|necessary|required))\b",
    r"as an? (?:(?:ai|artificial intelligence)(?: (?:language )?(?:model|assistant))?|"
    r"(?:large )?language model),? (?:i|my)\b",
    rf"(?:there (?:is|are|was|were) )?no relevant {_FOUND}",
    rf"(?:there (?:is|are) )?(?:not enough|insufficient|no (?:specific |further )?) ?{_FOUND}"
    r" (?:is |was )?(?:available|provided|given|found|in the|about|regarding|on|to)\b",
    rf"(?:based on |from )?the (?:\w+ )?{_CONTEXT} (?:provided )?(?:do|does) not (?:contain|provide|include|"
    rf"offer|give|have) (?:\w+ )?(?:\w+ )?{_FOUND}",
    r"it is (?:not possible|impossible) to (?:answer|determine)\b",
    r"(?:this|the|your) (?:question|request|task) (?:cannot|can't|can not|could not) be \w+",
    rf"(?:please|could you(?: please)?) (?:provide|share|give) (?:\w+ ){{0,3}}(?:{_CONTEXT}|{_FOUND})\b",
)

_SOURCE_ZH = r"(?:文本|文[档檔章件]|[资資][料讯訊]|信息|[内內]容|材料|[笔筆][记記]|上下文|段落|摘[录錄])"
_CHINESE = (
    r"(?:很|非常|十分|真的)?(?:抱歉|[对對]不起|不好意思|[遗遺]憾)[,，。!！\s]*(?:但是?)?"
    r"(?:我|作[为為]|[无無]法|不能|[没沒]有|未能|由[于於]|[这這上]|根[据據]|[您你])",
    r"(?:(?:很)?[遗遺]憾的?是?|可惜)[,，\s]*(?:我(?:[无無]法|不能)|[无無]法[回答提确確]|文中|[笔筆][记記]|提供的)",
    r"(?:我|本人)(?:目前|[暂暫][时時])?(?:[无無]法|不能|[没沒]法|[没沒]有[办辦]法)(?:[为為]您?|[给給]您?|直接)?"
    r"(?:回答|提供|完成|[帮幫]助|[协協]助|[处處]理|[满滿]足|生成|[访訪][问問]|[确確]定|判[断斷]|[总總][结結])",
    r"[无無]法(?:根[据據].{0,12})?(?:回答|[确確]定|判[断斷])(?:[这這该該此]|您|[。!！,，]|$)",
    r"(?:作[为為]|身[为為])(?:一[个個款名])?(?:ai|人工智[能慧]|大?型?[语語]言模型)[^,，。]{0,12}[,，]\s*我",
    rf"(?:根[据據]|[从從]|在)?(?:上述|以上|所?提供的?|[给給]定的?|[这這]些){_SOURCE_ZH}[,，]?(?:中|里|裡|[内內])?(?:[并並])?"
    r"(?:[没沒]有|未|[无無]法|不足以)(?:.{0,6})(?:提及|提到|包含|提供|[说說]明|[确確]定|回答|相[关關]|有[关關]|足[够夠])",
    rf"(?:[没沒]有|[无無]|未找到|找不到|缺[乏少])(?:任何)?(?:足[够夠]|相[关關]|有[关關])的?{_SOURCE_ZH}",
    rf"[请請](?:您)?(?:先|再)?(?:提供|[给給]出|分享)(?:更多|相[关關]|具[体體]|完整)?的?{_SOURCE_ZH}",
)
_SOURCE_JA = r"(?:文書|テキスト|文章|資料|情報|メモ|文脈|本文|抜粋)"
_JAPANESE = (
    r"(?:大変|誠に)?(?:申し訳(?:あり|ござい)ません|申し訳ない|すみません|恐れ入ります)(?:が|[、。,!！\s])",
    r"残念ながら[、,\s]*(?:私|提供|お答え|回答|情報|資料|この質問)",
    r"(?:私(?:に)?は|その質問に(?:は)?|この質問に(?:は)?)?[、\s]*(?:お答え|回答|ご?提供|お手伝い|要約|判断)(?:すること)?(?:は|が|を)?"
    r"(?:できません|出来ません|いたしかねます|できかねます)",
    r"(?:私は)?(?:ai|人工知能|(?:大規模)?言語モデル)(?:アシスタント)?(?:として|なので|ですので|であるため)",
    rf"(?:提供された|与えられた|上記の|この|ご提示の){_SOURCE_JA}(?:に|から|だけ|のみ|で)?[^。]{{0,40}}"
    r"(?:ありません|含まれていません|記載されていません|言及されていません|[分わ]かりません|判断できません|見つかりません)",
    r"(?:関連する|十分な|該当する)(?:情報|記述|記載|内容)[はが](?:ありません|見つかりません|不足して|得られません)",
    rf"(?:さらに|もう少し|具体的な)?{_SOURCE_JA}を(?:ご)?(?:提供|共有|提示)(?:して)?(?:ください|下さい|いただけ)",
)
_KOREAN = (
    r"(?:정말 |매우 |대단히 )?(?:죄송|미안)(?:합니다|하지만|해요|스럽지만|합니다만)",
    r"(?:유감스럽게도|안타깝게도),? (?:저는|제가|제공된|주어진|문서)",
    r"(?:저는 |제가 )?(?:이 |그 |해당 )?(?:질문에 |요청에 |요청을 )?(?:답변|대답|도움|제공|도와|처리|요약)"
    r"[^.]{0,14} 수(?:가)? 없습니다",
    r"(?:저는 )?(?:ai|인공지능|(?:대규모 )?언어 모델)(?: (?:언어 모델|어시스턴트|모델))?(?:로서|로써|이므로|이기 때문)",
    r"(?:제공된|주어진|위의?|이) ?(?:문서|텍스트|글|자료|정보|지문|메모)(?:에는|에서는|에서|만으로는|에)[^.]{0,40}"
    r"(?:없습니다|않습니다|않았습니다)",
    r"(?:관련(?:된)?|충분한|해당) ?(?:정보|내용|자료)(?:가|이|는|은) (?:없습니다|부족합니다)",
)
_THAI = (
    r"(?:ต้อง)?ขอ(?:โทษ|อภัย)|(?:ฉัน|ผม|ดิฉัน)?(?:รู้สึก)?เสียใจ(?:ด้วย)?\s*(?:แต่|ที่)?\s*(?:ฉัน|ผม|ดิฉัน|ไม่)",
    r"(?:ฉัน|ผม|ดิฉัน|เรา)?ไม่สามารถ(?:ที่จะ)?(?:ตอบ|ให้|ช่วย|สรุป|ระบุ|เข้าถึง|ดำเนินการ)",
    r"ในฐานะ(?:ที่(?:เป็น|ฉันเป็น))?\s*(?:ปัญญาประดิษฐ์|โมเดลภาษา|แบบจำลองภาษา|ai)",
    r"(?:จาก)?(?:เอกสาร|ข้อความ|ข้อมูล|บทความ)(?:ที่ให้มา|ข้างต้น|นี้|ดังกล่าว)?\s*ไม่(?:มี|ได้|พบ)(?:ข้อมูล|ระบุ|กล่าวถึง)",
    r"ไม่(?:มี|พบ)ข้อมูล(?:ใด\s?ๆ\s?)?(?:ที่เกี่ยวข้อง|เพียงพอ|ที่เพียงพอ)",
)
_REFUSAL = re.compile(
    r"\W*(?:(?:answer|答案|回答|答え?|답변?|คำตอบ)[:：]\s*)?(?:"
    + "|".join(_ENGLISH + _CHINESE + _JAPANESE + _KOREAN + _THAI)
    + ")"
)


def is_refusal(text: str) -> bool:
    """Whether a text opens with a refusal, or with the statement that nothing was found."""
    opening = " ".join(text[:OPENING_CHARS].lower().replace("’", "'").split())
    return _REFUSAL.match(opening) is not None
