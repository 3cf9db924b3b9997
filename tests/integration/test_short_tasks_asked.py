"""The bundled set, asked by the real lm-eval of an endpoint double."""

import json
import re

import pytest

from app.config import EvaluateConfig, ShortConfig
from app.faults import UserError
from app.storage import Folder
from eval.short.bundled import DATA, TASKS
from eval.short.suite import run_short
from eval.short.tasks import check_tasks, task_manager
from tests.eval.completions_double import Answer, CompletionsDouble
from tests.training.tiny_tokenizers import save_chatml, save_llama

pytestmark = pytest.mark.timeout(240)

NUM_SAMPLES = 3
ANSWERS = {
    question["prompt"]: question["answer"]
    for name in ("arithmetic", "facts", "reading")
    for question in map(json.loads, (DATA / f"{name}.jsonl").read_text("utf-8").splitlines())
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LONGSTRAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "not-for-this-endpoint")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return save_chatml(tmp_path_factory.mktemp("tokenizer"))


def settings(**changes):
    short = ShortConfig(tasks=changes.pop("tasks", []), num_samples=changes.pop("num_samples", NUM_SAMPLES))
    return EvaluateConfig(**{"short": short, "num_retries": 0, "num_concurrent_requests": 2, **changes})


def knowing(tokenizer):
    """Answers all but the instructions, which it answers with a line that follows few of them."""

    def script(body):
        if "messages" in body:
            prompt = body["messages"][-1]["content"]
        else:
            text = tokenizer._hf.decode(body["prompt"])
            prompt = re.search(r"user\n(.*)<\|im_end\|>", text, flags=re.DOTALL)[1]
        return Answer(ANSWERS.get(prompt, "Rivers, as they are."))

    return script


def run(endpoint, tokenizer, tmp_path, key=None, model="m", lines=None, **changes):
    report = (lines if lines is not None else []).append
    return run_short(
        settings(**changes), model, tokenizer, endpoint.url, key, Folder(str(tmp_path / model)), report
    )


def by_task(scores, metric="acc"):
    return {score.task: score.score for score in scores.scores if score.metric == metric}


def test_the_bundled_set_is_asked_scored_and_not_asked_again(tokenizer, tmp_path):
    lines = []
    with CompletionsDouble(knowing(tokenizer)) as endpoint:
        scores = run(endpoint, tokenizer, tmp_path, key="s3cret", lines=lines)
        assert len(endpoint.asked) == 4 * NUM_SAMPLES
        assert set(endpoint.keys) == {"Bearer s3cret"}
        again = run(endpoint, tokenizer, tmp_path, key="s3cret")
        assert len(endpoint.asked) == 4 * NUM_SAMPLES
        run(endpoint, tokenizer, tmp_path, num_samples=2)
        assert len(endpoint.asked) == 4 * NUM_SAMPLES + 4 * 2
    assert again == scores
    found = by_task(scores)
    assert found["longstrap_arithmetic"] == found["longstrap_facts"] == found["longstrap_reading"] == 1.0
    assert 0.0 <= found["longstrap_instructions"] < 1.0
    assert [score.task for score in scores.headlines] == list(TASKS)
    assert all(score.num_samples == NUM_SAMPLES for score in scores.scores)
    assert next(s for s in scores.scores if s.task == "longstrap_facts").stderr == 0.0
    assert lines == [f"short m: {task}, 3 questions" for task in TASKS]
    # Prompts are the template's, greedy, and never cut off.
    body = endpoint.asked[0]
    text = tokenizer._hf.decode(body["prompt"])
    assert text.startswith("<|im_start|>user\n")
    assert text.endswith("<|im_start|>assistant\n")
    assert (body["temperature"], body["model"]) == (0.0, "m")
    # Nothing is left of the answers once they are scored.
    assert list((tmp_path / "cache" / "short").iterdir()) == []


def test_replies_are_kept_beside_the_scores(tokenizer, tmp_path):
    with CompletionsDouble(knowing(tokenizer)) as endpoint:
        run(endpoint, tokenizer, tmp_path, tasks=["longstrap_reading"])
    samples = (tmp_path / "m" / "longstrap_reading-samples.jsonl").read_text("utf-8").splitlines()
    assert len(samples) == NUM_SAMPLES
    sample = json.loads(samples[0])
    assert sample["scores"] == {"acc": 1.0}
    assert sample["replies"] == [[sample["target"]]]
    written = json.loads((tmp_path / "m" / "longstrap_reading.json").read_text("utf-8"))
    assert written["settings"]["num_samples"] == NUM_SAMPLES
    assert (tmp_path / "m" / "scores.csv").read_text("utf-8").startswith("model,task,metric,")


def test_a_run_that_broke_off_asks_only_what_is_missing(tokenizer, tmp_path):
    knows = knowing(tokenizer)

    def away(body):
        return knows(body) if len(endpoint.asked) <= 5 else Answer(status=503)

    with CompletionsDouble(away) as endpoint:
        with pytest.raises(UserError, match=r"^evaluate\.url: http.* does not answer"):
            run(endpoint, tokenizer, tmp_path, num_concurrent_requests=1)
        assert (tmp_path / "m" / "longstrap_instructions.json").exists()
        assert not (tmp_path / "m" / "longstrap_arithmetic.json").exists()
        answered = [str(body["prompt"]) for body in endpoint.asked[:5]]
        del endpoint.asked[:]
        endpoint.script = knows
        broken = run(endpoint, tokenizer, tmp_path, num_concurrent_requests=1)
        asked = [str(body["prompt"]) for body in endpoint.asked]
        assert len(asked) == len(set(asked)) == 4 * NUM_SAMPLES - 5
        assert not set(asked) & set(answered)
        assert by_task(broken) == by_task(run(endpoint, tokenizer, tmp_path / "whole"))


def test_models_do_not_share_answers(tokenizer, tmp_path):
    with CompletionsDouble(knowing(tokenizer)) as endpoint:
        for model in ("base", "stage"):
            run(endpoint, tokenizer, tmp_path, model=model, tasks=["longstrap_facts"])
        assert [body["model"] for body in endpoint.asked] == ["base"] * NUM_SAMPLES + ["stage"] * NUM_SAMPLES


def test_chats_are_sent_where_the_endpoint_has_nothing_else(tokenizer, tmp_path):
    with CompletionsDouble(knowing(tokenizer)) as endpoint:
        scores = run(endpoint, tokenizer, tmp_path, api="chat", tasks=["longstrap_arithmetic"])
    assert by_task(scores) == {"longstrap_arithmetic": 1.0}
    assert [message["role"] for message in endpoint.asked[0]["messages"]] == ["user"]
    assert set(endpoint.keys) == {"Bearer none"}, "a key that belongs elsewhere was sent"


def test_a_base_model_reads_the_bare_text_behind_its_first_token(tmp_path):
    llama = save_llama(tmp_path / "llama")
    with CompletionsDouble() as endpoint:
        run(endpoint, llama, tmp_path, template="base", tasks=["longstrap_facts"])
    prompt = endpoint.asked[0]["prompt"]
    assert prompt[0] == llama.leading_id
    assert llama._hf.decode(prompt[1:]) in ANSWERS


def test_a_refused_question_is_the_users_fault(tokenizer, tmp_path):
    def script(body):
        return Answer(status=400, message="too long") if len(body["prompt"]) > 4 else Answer()

    with (
        CompletionsDouble(script) as endpoint,
        pytest.raises(
            UserError, match=r"^evaluate\.short\.tasks: http.* does not answer a question .*too long"
        ),
    ):
        run(endpoint, tokenizer, tmp_path, tasks=["longstrap_facts"])


def test_lm_evals_own_tasks_are_known_beside_the_bundled_ones():
    names = [
        "longstrap_reading",
        "leaderboard_musr",
        "leaderboard_bbh",
        "leaderboard_gpqa",
        "leaderboard_mmlu_pro",
    ]
    manager = task_manager([*names, "ifeval"])
    assert set(names) <= set(manager.task_index)
    assert check_tasks(manager, ["longstrap_reading"], "completions") == {"longstrap_reading": 54}
    with pytest.raises(UserError, match="lm-eval has no task 'leaderbord_bbh'"):
        check_tasks(manager, ["leaderbord_bbh"], "completions")
