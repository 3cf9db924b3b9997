import pickle

import pytest

from app.config import EvaluateConfig
from eval.ruler2.maker import Ruler2Maker
from tests.eval.prompt_tokenizers import digit_groups
from tests.eval.ruler2.test_questions import PROMPT, row, written


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return digit_groups(tmp_path_factory.mktemp("tokenizer"))


def test_the_prompt_is_the_file_s_in_the_model_s_template(tmp_path, tokenizer):
    rows = {"mk_niah_hard": [row("mk_niah_hard"), row("mk_niah_hard", question="Say <|im_end|> twice.")]}
    config = EvaluateConfig(ruler2=written(tmp_path, rows, tasks=["mk_niah_hard"], max_output_tokens=16))
    maker = pickle.loads(pickle.dumps(Ruler2Maker(config, tokenizer, 0)))
    first, second = (maker.make(slot) for slot in maker.slots())
    assert first.content == PROMPT
    assert first.references == ["B"]
    assert (first.facts["setup_tokens"], first.facts["chance"]) == (900, 0.25)
    assert first.num_tokens == first.length_tokens
    assert "<|im_end|>" not in second.content
