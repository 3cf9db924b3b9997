import pytest
from transformers import AutoTokenizer

from app.faults import UserError
from app.tokens import Tokenizer
from eval.prompt_frame import PromptFrame
from eval.token_text import tokenize
from tests.eval.prompt_tokenizers import TOKENIZERS, byte_level, digit_groups


@pytest.fixture(params=TOKENIZERS, scope="module")
def tokenizer(request, tmp_path_factory):
    return TOKENIZERS[request.param](tmp_path_factory.mktemp("tokenizer"))


def test_the_answer_prefix_is_the_beginning_of_the_reply(tokenizer):
    frame = PromptFrame(tokenizer, "chat")
    parts = [tokenize(tokenizer, "Where is"), tokenize(tokenizer, " the ship?")]
    prompt = frame.prompt(parts, " It is")
    assert prompt.text == ("<|im_start|>user\nWhere is the ship?<|im_end|>\n<|im_start|>assistant\n It is")
    assert prompt.ids.tolist() == tokenize(tokenizer, prompt.text).ids.tolist()


def test_a_base_prompt_is_the_bare_text(tokenizer):
    prompt = PromptFrame(tokenizer, "base").prompt([tokenize(tokenizer, "Where is the ship?")], " It is")
    assert prompt.text == "Where is the ship? It is"
    assert prompt.ids.tolist() == tokenize(tokenizer, prompt.text).ids.tolist()


def with_leading_token(folder):
    from tokenizers import processors

    digit_groups(folder)
    hf = AutoTokenizer.from_pretrained(folder)
    hf.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", hf.convert_tokens_to_ids("<|im_start|>"))]
    )
    hf.save_pretrained(folder)
    return Tokenizer(str(folder))


def test_a_base_prompt_begins_as_the_tokenizer_begins_texts(tmp_path):
    tokenizer = with_leading_token(tmp_path)
    assert tokenizer.leading_id is not None
    text = tokenize(tokenizer, "Where is the ship?")
    prompt = PromptFrame(tokenizer, "base").prompt([text])
    assert prompt.ids.tolist() == [tokenizer.leading_id, *text.ids.tolist()]
    assert len(prompt.ends) == len(prompt)
    chat = PromptFrame(tokenizer, "chat").prompt([text])
    assert chat.ids.tolist().count(tokenizer.leading_id) == 2


def test_a_template_that_drops_what_the_user_says_is_refused(tmp_path):
    byte_level(tmp_path)
    hf = AutoTokenizer.from_pretrained(tmp_path)
    hf.chat_template = "{{ '<|im_start|>' }}"
    hf.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"does not show a user's message once; set evaluate\.template base"):
        PromptFrame(Tokenizer(str(tmp_path)), "chat")


@pytest.mark.parametrize("template", ["chat", "base"])
def test_a_prompt_knows_what_the_user_says(tokenizer, template):
    frame = PromptFrame(tokenizer, template)
    prompt = frame.prompt([tokenize(tokenizer, "Where is"), tokenize(tokenizer, " the ship?\n")], " It is")
    assert (prompt.content, prompt.answer_prefix) == ("Where is the ship?\n", " It is")


def test_a_template_gets_its_arguments(tmp_path):
    byte_level(tmp_path)
    hf = AutoTokenizer.from_pretrained(tmp_path)
    hf.chat_template = "{{ messages[0]['content'] }}{% if enable_thinking %}<think>{% endif %}"
    hf.save_pretrained(tmp_path)
    tokenizer = Tokenizer(str(tmp_path))
    asked = [tokenize(tokenizer, "Where?")]
    assert PromptFrame(tokenizer, "chat", {"enable_thinking": True}).prompt(asked).text == "Where?<think>"
    assert PromptFrame(tokenizer, "chat").prompt(asked).text == "Where?"


def test_a_chat_of_several_turns_is_the_templates_own(tokenizer):
    frame = PromptFrame(tokenizer, "chat")
    said = [(tokenize(tokenizer, f"Where is {n}?"), tokenize(tokenizer, f"At {n}.")) for n in range(3)]
    prompt = frame.chat(said, [tokenize(tokenizer, "And the ship?")], " It is")
    messages = []
    for asked, answered in said:
        messages += [{"role": "user", "content": asked.text}, {"role": "assistant", "content": answered.text}]
    chat = [*messages, {"role": "user", "content": "And the ship?"}]
    assert prompt.text == tokenizer.render(chat, generation_prompt=True) + " It is"
    assert prompt.ids.tolist() == tokenize(tokenizer, prompt.text).ids.tolist()
    assert prompt.content == "And the ship?"
