"""One pass over a text and its questions gives what plain transformers gives for each prompt by itself."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM

from app.config import EvaluateConfig
from app.faults import UserError
from app.models.rope import with_rope
from app.probing.attention import Branches, attention_of_transformers
from app.probing.questions import QuestionMaker
from app.probing.reading import MAX_LOSS_POSITIONS, load_decoder, loss_positions, read
from tests.probing.tiny_models import save_model

LENGTH = 512
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 2.0,
    "original_max_position_embeddings": 256,
}


@pytest.fixture(scope="module")
def haystack(tokenizer):
    return QuestionMaker(EvaluateConfig(), tokenizer, 1, LENGTH, 3).make(0)


RAISED = {"rope_type": "default", "rope_theta": 80_000.0}


@pytest.fixture(scope="module")
def tiny_granite(tmp_path_factory):
    """Its logits are divided by a number."""
    return save_model(tmp_path_factory.mktemp("tiny_granite"), model_type="granite", logits_scaling=4.0)


@pytest.mark.parametrize(
    ("folder", "rope"),
    [("tiny_llama", RAISED), ("tiny_llama", YARN), ("tiny_granite", RAISED)],
    ids=["base", "yarn", "scaled logits"],
)
def test_losses_and_answers_are_those_of_plain_transformers(request, haystack, folder, rope):
    model = request.getfixturevalue(folder)
    config = with_rope(AutoConfig.from_pretrained(model), rope, LENGTH)
    plain = AutoModelForCausalLM.from_pretrained(model, config=config, attn_implementation="eager")
    reading = read(load_decoder(model, config, torch.float32, torch.device("cpu")), haystack)
    text = haystack.token_ids[: haystack.boundaries[0]]
    with torch.no_grad():
        for (start, stop), (first, last), found, loss in zip(
            zip(haystack.boundaries, haystack.boundaries[1:], strict=False),
            haystack.answers,
            reading.found,
            reading.answer_losses,
            strict=True,
        ):
            ids = torch.from_numpy(np.concatenate([text, haystack.token_ids[start:stop]]).astype(np.int64))
            logits = plain(input_ids=ids.unsqueeze(0)).logits[0]
            losses = cross_entropy(logits[:-1], ids[1:], reduction="none").numpy()
            assert losses[reading.positions] == pytest.approx(reading.losses, abs=1e-4)
            num_answer = last - first
            assert losses[-num_answer:].mean() == pytest.approx(loss, abs=1e-4)
            likeliest = logits[-num_answer - 1 : -1].argmax(dim=1) == ids[-num_answer:]
            assert found == bool(likeliest.all())
    assert len(reading.found) == 3


def test_a_model_that_repeats_the_answer_finds_the_needle(tiny_llama, haystack):
    """The output layer is made to say the tokens that are due."""
    decoder = load_decoder(
        tiny_llama, AutoConfig.from_pretrained(tiny_llama), torch.float32, torch.device("cpu")
    )
    start, stop = haystack.answers[1]
    answer = torch.from_numpy(haystack.token_ids[start:stop].astype(np.int64))

    class Due(torch.nn.Module):
        """Hidden states that are the next token's row of the output layer."""

        def forward(self, input_ids, **_):
            states = torch.zeros(1, input_ids.shape[1], decoder.config.vocab_size)
            states[0, torch.arange(start - 1, stop - 1), answer] = 1.0
            return type("Output", (), {"last_hidden_state": states})

    class Told:
        device = torch.device("cpu")
        base_model = Due()
        config = decoder.config

        @staticmethod
        def get_output_embeddings():
            return type("Layer", (), {"weight": torch.eye(decoder.config.vocab_size) * 50})

    reading = read(Told(), haystack)
    assert reading.found == [False, True, False]
    assert reading.answer_losses[1] < 1e-3 < reading.answer_losses[0]


def test_positions_are_evenly_spaced_and_each_has_a_token_behind_it():
    assert loss_positions(10).tolist() == list(range(9))
    many = loss_positions(1_000_000)
    assert len(many) == MAX_LOSS_POSITIONS
    assert (many[0], many[-1]) == (0, 999_998)
    assert np.ptp(np.diff(many)) <= 1


@pytest.mark.parametrize("arguments", [{"sliding_window": 4}, {"softcap": 30.0}])
def test_a_model_whose_attention_does_more_is_refused(arguments):
    states = torch.zeros(1, 2, 6, 8)
    with pytest.raises(UserError, match=r"train\.model: Linear needs (sliding_window=4|softcap)"):
        attention_of_transformers(
            torch.nn.Linear(1, 1), states, states, states, None, branches=Branches((4, 6)), **arguments
        )
