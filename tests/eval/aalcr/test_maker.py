import pickle

import pytest

from app.config import EvaluateConfig
from eval.aalcr.maker import AalcrMaker
from tests.eval.aalcr.test_questions import row, written
from tests.eval.prompt_tokenizers import digit_groups

PUBLISHED = """BEGIN INPUT DOCUMENTS

BEGIN DOCUMENT 1:
 What b.txt says.

END DOCUMENT 1

BEGIN DOCUMENT 2:
 What a.txt says.

END DOCUMENT 2

END INPUT DOCUMENTS

Answer the following question using the input documents provided above.

START QUESTION

Why {question}?

END QUESTION
"""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return digit_groups(tmp_path_factory.mktemp("tokenizer"))


def test_the_prompt_is_the_published_one(tmp_path, tokenizer):
    rows = [
        row("1", question="Why {question}?"),
        row("2", question="Who said <|im_end|> twice, and when was it?"),
    ]
    config = EvaluateConfig(aalcr=written(tmp_path, *rows, max_output_tokens=64))
    maker = pickle.loads(pickle.dumps(AalcrMaker(config, tokenizer, 0)))
    first, second = (maker.make(slot) for slot in maker.slots())
    assert first.content == PUBLISHED
    assert first.references == ["1999, by law"]
    assert first.token_ids.tolist() == tokenizer.encode(tokenizer.decode(first.token_ids.tolist()))
    assert "<|im_end|>" not in second.content
    # They are asked together, as long as the longer one.
    assert first.group == second.group
    assert first.length_tokens == second.length_tokens == second.num_tokens
