from app.agent.llm import LlmCall
from app.agent.vllm_generator import render_prompt
from app.config import VllmConfig

CALL = LlmCall("instruction", ({"role": "user", "content": "Whales."},), 8, 1, opening="Trace how")


class Template:
    """Shows what a chat template is given."""

    def apply_chat_template(self, messages, *, add_generation_prompt, tokenize, **arguments):
        assert add_generation_prompt
        assert not tokenize
        return f"{messages[-1]['content']}|{arguments}|"


def render(**settings):
    return render_prompt(Template(), CALL, VllmConfig(model="any", **settings))


def test_a_reply_is_begun_with_its_opening():
    assert render() == ("Whales.|{}|Trace how", "Trace how")


def test_a_model_that_is_to_think_is_asked_for_the_opening():
    assert render(thinking_tokens=100) == ('Whales.\n\nBegin with "Trace how".|{}|', "")


def test_the_chat_template_gets_its_arguments():
    prompt, _ = render(chat_template_args={"enable_thinking": False})
    assert "{'enable_thinking': False}" in prompt
