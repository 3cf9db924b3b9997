"""Refusals in several languages and, as important, what is none."""

import pytest

from app.dataset.refusals import is_refusal

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but there is nothing in the documents about the mill.",
    "I am very sorry, but the documents give no answer.",
    "I'm afraid I cannot say which of the two came first.",
    "Sorry, I can't provide a comparison of the two floods.",
    "I apologize, but the summaries are unclear.",
    "I apologize for the confusion earlier; here is another try.",
    "My apologies, but I am unable to find the date of the flood.",
    "Unfortunately, I do not have the documents.",
    "Unfortunately, the provided documents do not say anything about floods.",
    "I cannot answer this question without more context.",
    "I can't assist with that request, as it is unclear.",
    "I'm unable to determine which of them is right.",
    "I don't have enough information to answer the question.",
    "I do not have access to the documents you mention.",
    "As an AI language model, I cannot read documents.",
    "As an AI, I don't have personal opinions on floods.",
    "**As a language model, my knowledge ends in 2023.**",
    "No relevant information was found in the documents.",
    "There is no relevant information in the given summaries.",
    "There is not enough information in the text to say.",
    "Insufficient information is available to compare the floods.",
    "The provided text does not contain any information about floods.",
    "The documents do not provide any specific details on the mill.",
    "It is not possible to determine the date from the documents.",
    "This question cannot be answered from what was given.",
    "Please provide the text of the documents so that I can compare them.",
    "Could you please share more context on the floods?",
    "Answer: I cannot provide that.",
]
OTHER_REFUSALS = [
    "很抱歉，我无法回答这个问题。",
    "对不起，根据提供的资料无法确定。",
    "遗憾的是，文中没有提到磨坊。",
    "我无法确定哪一次洪水更早。",
    "作为一个大型语言模型，我不能阅读文件。",
    "根据提供的文本，没有提及洪水的原因。",
    "提供的資料中沒有足夠的資訊來回答。",
    "没有相关信息。",
    "请提供更多的上下文。",
    "答案：抱歉，我不能提供。",
    "申し訳ありませんが、お答えできません。",
    "提供された文書には洪水に関する記述がありません。",
    "関連する情報は見つかりませんでした。",
    "AIとして、意見を述べることはできません。",
    "죄송하지만 답변할 수 없습니다.",
    "제공된 문서에는 홍수에 대한 정보가 없습니다.",
    "관련 정보가 없습니다.",
    "ขออภัย ฉันไม่สามารถตอบคำถามนี้ได้",
    "เอกสารที่ให้มาไม่มีข้อมูลเกี่ยวกับน้ำท่วม",
    "ไม่พบข้อมูลที่เกี่ยวข้อง",
]
NO_REFUSALS = [
    "The flood of 1862 came first and took the lower fields; the second, ten years later, reached the mill.",
    "I'm Nobody! Who are you? asks the poem's speaker, and the second stanza answers her.",
    "Sorry for his brother, Esau forgave him when they met again after twenty years.",
    "The captain was sorry, but he could not turn back once the ice had closed behind the ship.",
    "Unfortunately, the expedition lost two ships in the first winter and a third in the second.",
    "Unfortunately for Rome, the general could not provide enough grain for the legions in Africa.",
    "As an AI pioneer, Turing asked in 1950 whether machines can think.",
    "As an AI system, Deep Blue searched two hundred million positions a second.",
    "There is no evidence that the two ever met, yet both letters name the same inn.",
    "No ship reached the coast before June, and none left it after September.",
    "The documents do not agree: one says 1862, the other 1863, and the third names no year.",
    "The text does not name the author, but its style and its date point to Defoe.",
    "I. The first account blames the thaw. II. The second blames the miller.",
    "Access to the archive was refused twice, as the second report complains.",
    "It is not the flood but the famine that both writers remember.",
    "Information about the flood came to the town by a rider from the upper valley.",
    "We cannot but admire how the two stories end in the same room.",
    "Nothing relevant to the crown's claim was left out by the second chronicler, who lists nine charters.",
    'The miller says "I cannot help you", and the bailiff "I do not have the key"; only the widow opens.',
    "The second report is the later one. There is no relevant information in the first on who paid.",
    "Requests for help went out on the third day, and the answer came after a week.",
    "遗憾的是，城市在第二年又被大火烧毁，只剩下港口。",
    "我不能不佩服作者在两章里写出的同一间屋子。",
    "没有资料的年份由后来的编年史补上，共有九份文书。",
    "作为人工智能的先驱，图灵在一九五〇年提出了这个问题。",
    "抱歉的是那位船长：冰封之后他再也没有回头。",
    "资料库在一八六二年被洪水冲走，两份报告都提到这一点。",
    "残念ながら城は翌年の火事で焼け、港だけが残った。",
    "情報は上流の谷から馬で町に届いた。",
    "유감스럽게도 배 두 척이 첫 겨울에 가라앉았다.",
    "정보는 위쪽 골짜기에서 말을 타고 온 사람이 전했다.",
    "ข้อมูลเรื่องน้ำท่วมมาถึงเมืองโดยคนขี่ม้า",
    "เอกสารสองฉบับไม่ตรงกัน ฉบับแรกว่า ๑๘๖๒",
]


@pytest.mark.parametrize("answer", REFUSALS + OTHER_REFUSALS)
def test_refusals_are_found(answer):
    assert is_refusal(answer)


@pytest.mark.parametrize("answer", NO_REFUSALS)
def test_answers_are_not_refusals(answer):
    assert not is_refusal(answer)
