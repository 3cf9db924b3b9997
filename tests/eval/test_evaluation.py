"""The whole evaluation against an endpoint double: samples, answers, scores, report, and what a second start does."""

import json
from dataclasses import replace
from functools import cache

import pytest

from app.config import (
    EvaluateConfig,
    EvaluatedModelConfig,
    EvaluateSamplingConfig,
    NiahConfig,
    RecallConfig,
    RulerConfig,
    RunConfig,
    ServeConfig,
    ServedModelConfig,
)
from app.endpoints import client as client_module
from app.faults import UserError
from app.run import Run
from app.tokens import Tokenizer
from eval.evaluation import Evaluation
from eval.models import evaluated_models
from eval.preflight import check_evaluation
from eval.reading import show_sample
from eval.recall.facts import facts_not_in
from eval.suite import Endpoint
from tests.eval.completions_double import Answer, CompletionsDouble
from tests.training.train_settings import train_config

MODEL = "bundled:smollm2-135m-instruct"
_load_tokenizer = cache(Tokenizer)
_facts_not_in = cache(facts_not_in)
TOKENIZER = _load_tokenizer(MODEL, None)


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(client_module, "FIRST_PAUSE_SEC", 0.01)
    monkeypatch.setattr("eval.evaluation.cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr("eval.niah.START_TOKENS", 2048)
    # Loaded and compared once for all of these tests, not once for every model of each.
    monkeypatch.setattr("eval.models.Tokenizer", _load_tokenizer)
    monkeypatch.setattr("eval.recall.maker.facts_not_in", lambda text: list(_facts_not_in(text)))


def config_of(tmp_path, **changes):
    settings = {
        "models": {
            "base": EvaluatedModelConfig(tokenizer=MODEL),
            "long": EvaluatedModelConfig(tokenizer=MODEL),
        },
        "suites": ["niah", "ruler", "recall"],
        "num_retries": 1,
        "niah": NiahConfig(lengths_tokens=[512, 1024], depths_percent=[0.0, 50.0, 100.0]),
        "ruler": RulerConfig(lengths_tokens=[1024], tasks=["vt"], num_samples=3),
        "recall": RecallConfig(lengths_tokens=[512], num_samples=4),
    }
    return RunConfig(run_dir=str(tmp_path / "run"), evaluate=EvaluateConfig(**(settings | changes)))


def evaluate(config, endpoint, lines=None):
    report = (lines if lines is not None else []).append
    return Evaluation(config, Run(config.run_dir), Endpoint(endpoint.url, "secret"), report).run()


def knows(body):
    """Finds needles and nothing else; the model called `base` finds only those of short prompts."""
    text = TOKENIZER.decode(body["prompt"])
    if body["model"] == "base" and len(body["prompt"]) > 600:
        return Answer("no idea")
    found = [
        line.rpartition("is: ")[2] for line in text.split(".") if "magic number" in line and "is: " in line
    ]
    return Answer(" ".join(found) or "nothing")


def both(script):
    return CompletionsDouble(script, models=("base", "long"))


def test_scores_and_report_of_two_models(tmp_path, capsys):
    config, lines = config_of(tmp_path), []
    with both(knows) as endpoint:
        contents = evaluate(config, endpoint, lines)
    base, long = contents.of("niah")
    assert (base.mean(512), base.mean(1024)) == (100.0, 0.0)
    assert (long.mean(512), long.mean(1024)) == (100.0, 100.0)
    assert [result.means for result in contents.of("ruler")] == [{1024: 0.0}, {1024: 0.0}]
    # One task's mean is not to be compared with means over all of them.
    assert {(result.published, result.threshold) for result in contents.of("ruler")} == {((), None)}
    assert set(endpoint.keys) == {"Bearer secret"}
    report = tmp_path / "run" / "eval" / "report"
    names = {path.name for path in report.iterdir()}
    assert {
        "niah.csv",
        "niah.png",
        "ruler_tasks.csv",
        "ruler.png",
        "recall.csv",
        "section.html",
        "report.md",
    } <= names
    shown = capsys.readouterr().out
    assert "Needle in a haystack" in shown
    assert "RULER" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert any("niah base: 6 of 6 asked" in line for line in lines)
    # Wrong answers are listed with the needle's place, and each can be read back.
    written = (report / "report.md").read_text()
    assert "base, niah-1024-00000, needles at " in written
    assert "long, niah-1024-00000" not in written
    shown = show_sample(config, Run(config.run_dir), "niah-1024-00000")
    assert shown.count("Read the following text. I will ask you about it afterwards.") == 2
    assert "score: 0.0\n" in shown
    assert "score: 100.0\n" in shown
    assert "reply: no idea" in shown
    with pytest.raises(UserError, match=r"evaluate.show: 'niah-9-00000' is in none of the records"):
        show_sample(config, Run(config.run_dir), "niah-9-00000")


def test_a_second_start_asks_nothing_again_and_says_the_same(tmp_path):
    config = config_of(tmp_path)
    with both(knows) as endpoint:
        first = evaluate(config, endpoint)
        num_asked = len(endpoint.asked)
        assert evaluate(config, endpoint) == first
    assert len(endpoint.asked) == num_asked


def test_an_evaluation_that_stops_goes_on_with_what_is_missing(tmp_path):
    config, answered = config_of(tmp_path, num_concurrent_requests=1), []

    def dies(body):
        if len(answered) == 10:
            return Answer(status=503)
        answered.append((body["model"], tuple(body["prompt"])))
        return knows(body)

    with (
        both(dies) as endpoint,
        pytest.raises(UserError, match=r"does not answer .* resumes from there"),
    ):
        evaluate(config, endpoint)
    with both(knows) as endpoint:
        contents = evaluate(config, endpoint)
        asked = [(body["model"], tuple(body["prompt"])) for body in endpoint.asked]
    assert not set(asked) & set(answered)
    with both(knows) as endpoint:
        undisturbed = evaluate(config_of(tmp_path / "other"), endpoint)
    assert contents == undisturbed


def test_a_failed_request_leaves_a_gap_until_it_counts_as_wrong(tmp_path):
    refused_of = {}

    def refuses(body):
        if "VAR" in TOKENIZER.decode(body["prompt"]):
            is_refused = refused_of.setdefault(body["model"], body["prompt"]) == body["prompt"]
        else:
            is_refused = len(body["prompt"]) > 600
        return Answer(status=400, message="too long") if is_refused else knows(body)

    lines = []
    with both(refuses) as endpoint:
        contents = evaluate(config_of(tmp_path, suites=["niah", "ruler"]), endpoint, lines)
        assert contents.of("niah")[1].mean(512) == 100.0
        assert contents.of("niah")[1].mean(1024) is None
        assert contents.of("niah")[1].counts.num_failed == 3
        assert contents.of("ruler")[1].means == {1024: None}
        counted = evaluate(
            config_of(tmp_path, suites=["niah", "ruler"], failures_count_as_wrong=True), endpoint
        )
    assert counted.of("niah")[1].mean(1024) == 0.0
    assert counted.of("ruler")[1].means == {1024: 0.0}
    assert any("niah long: 3 of 6 requests failed: refused with HTTP 400: too long" in line for line in lines)
    assert any("asks them again" in line for line in lines)


def test_records_are_one_line_of_json_a_sample(tmp_path):
    with both(knows) as endpoint:
        evaluate(config_of(tmp_path, suites=["niah"]), endpoint)
    (part,) = (tmp_path / "run" / "eval" / "long" / "niah").glob("records-*.jsonl")
    records = [json.loads(line) for line in part.read_text().splitlines()]
    assert len(records) == 6
    assert {record["length_tokens"] for record in records} == {512, 1024}
    assert all(record["reply"]["num_prompt_tokens"] + 64 <= record["length_tokens"] for record in records)


def test_other_prompts_do_not_go_into_the_same_records(tmp_path):
    with both(knows) as endpoint:
        evaluate(config_of(tmp_path, suites=["niah"]), endpoint)
        with pytest.raises(
            UserError, match=r"samples.template: .* was made with 'chat', but now it is 'base'"
        ):
            evaluate(config_of(tmp_path, suites=["niah"], template="base"), endpoint)


def test_a_model_that_is_not_served_is_named_before_anything_is_asked(tmp_path):
    with (
        CompletionsDouble(knows, models=("base",)) as endpoint,
        pytest.raises(UserError, match=r"does not serve 'long'; it serves base"),
    ):
        evaluate(config_of(tmp_path), endpoint)
    assert endpoint.asked == []


def test_endpoints_with_chats_only_get_the_question_without_our_template(tmp_path):
    def chat(body):
        (message,) = body["messages"]
        assert "<|im_start|>" not in message["content"]
        assert message["content"].startswith("Read the following text.")
        assert message["content"].endswith("mentioned in the provided text?")
        return Answer("0")

    with both(chat) as endpoint:
        contents = evaluate(config_of(tmp_path, suites=["niah"], api="chat"), endpoint)
    assert len(endpoint.asked) == 12
    assert contents.of("niah")[0].mean(512) == 0.0


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"url": None}, "evaluate.url: is missing, and the recipe has no `serve`"),
        ({"models": {}}, "evaluate.models: is empty"),
        ({"models": {"base": EvaluatedModelConfig()}}, r"evaluate.models.base.tokenizer: is missing"),
        (
            {"models": {"base": EvaluatedModelConfig(tokenizer="./no")}},
            "evaluate.models.base.tokenizer: './no'",
        ),
        (
            {"ruler": RulerConfig(tasks=["vt", "no"])},
            "evaluate.ruler.tasks: no task is called no; known: niah_single_1",
        ),
        (
            {
                "models": {"base": EvaluatedModelConfig(tokenizer=MODEL, max_tokens=8192)},
                "niah": NiahConfig(lengths_tokens=[4096, 16384]),
            },
            "evaluate.niah.lengths_tokens: 16384 is more than any of the models can read; at most 8192",
        ),
    ],
)
def test_wrong_settings_end_in_a_line_before_anything_is_made(tmp_path, changes, fault):
    config = config_of(tmp_path, **({"url": "http://127.0.0.1:1/v1"} | changes))
    with pytest.raises(UserError, match=fault) as raised:
        check_evaluation(config)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_what_no_model_is_named_for_is_said():
    with pytest.raises(UserError, match="evaluate: is missing; give --url"):
        check_evaluation(RunConfig(run_dir="r"))


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (("org/model", "org--model"), "'org--model' and 'org/model' would share the folder org--model for"),
        (("base", ".."), r"'\.\.' is no name of a folder"),
        (("",), "'' is no name of a folder"),
    ],
)
def test_names_that_share_a_folder_of_records_or_leave_the_run_are_refused(tmp_path, names, fault):
    models = {name: EvaluatedModelConfig(tokenizer=MODEL) for name in names}
    with pytest.raises(UserError, match=rf"^evaluate\.models: {fault}"):
        evaluated_models(config_of(tmp_path, models=models))


def test_an_endpoint_is_asked_for_a_stage_that_has_no_export_here(tmp_path):
    config = config_of(tmp_path, url="http://127.0.0.1:1/v1", models={}).model_copy(
        update={
            "serve": ServeConfig(models={"256k": ServedModelConfig(model="stage:256k")}),
            "train": train_config(model=MODEL),
        }
    )
    check_evaluation(config)
    [model] = evaluated_models(config)
    assert (model.name, model.tokenizer, model.max_tokens) == ("256k", TOKENIZER, 1024)


def one(script, **fields):
    endpoint = CompletionsDouble(script, models=("base",))
    endpoint.model_fields |= fields
    return endpoint


def one_config(tmp_path, **changes):
    models = {"base": EvaluatedModelConfig(tokenizer=MODEL)}
    return config_of(tmp_path, **({"models": models, "suites": ["niah"]} | changes))


def test_the_endpoint_says_how_long_its_model_is(tmp_path):
    with one(knows, max_model_len=600) as endpoint:
        with pytest.raises(UserError, match=r"niah.lengths_tokens: 1024 is more than any .* at most 600"):
            evaluate(one_config(tmp_path, url=endpoint.url), endpoint)
        models = {"base": EvaluatedModelConfig(tokenizer=MODEL, max_tokens=700)}
        with pytest.raises(UserError, match=r"niah.lengths_tokens: 1024 is more than any .* at most 700"):
            evaluate(one_config(tmp_path, url=endpoint.url, models=models), endpoint)
    assert endpoint.asked == []


def test_models_of_another_shape_are_told_in_a_line(tmp_path):
    endpoint = one(knows)
    endpoint.models_body = b"<html>\nhello</html>"
    with (
        endpoint,
        pytest.raises(UserError, match=r"/models lists no models .*; give the URL .* with /v1") as raised,
    ):
        evaluate(one_config(tmp_path), endpoint)
    assert "\n" not in str(raised.value)


def test_replies_without_an_answer_are_named_and_end_in_an_error(tmp_path, capsys):
    niah = NiahConfig(lengths_tokens=[512], depths_percent=[0.0, 50.0])
    with (
        one(lambda body: Answer(None)) as endpoint,
        pytest.raises(UserError, match=r"min_answered_share: niah base: 0 of 2 requests were answered"),
    ):
        evaluate(one_config(tmp_path, niah=niah), endpoint)
    report = tmp_path / "run" / "eval" / "report"
    said = "2 of 2 replies were empty; they count as wrong"
    assert said in " ".join(capsys.readouterr().out.split())
    assert said in (report / "report.md").read_text()
    # A bootstrap asks again.
    assert not (report / "asked.json").exists()


def test_a_budget_for_thought_asks_cut_replies_again_and_no_others(tmp_path):
    niah = NiahConfig(lengths_tokens=[512], depths_percent=[0.0, 50.0])

    def thinks(body):
        if body["max_tokens"] == 64 and len(endpoint.asked) == 1:
            return Answer("<think>well", finish_reason="length")
        return replace(knows(body), finish_reason="stop")

    with one(thinks) as endpoint:
        first = evaluate(one_config(tmp_path, niah=niah), endpoint)
        assert first.of("niah")[0].counts.num_only_thought == 1
        budget = EvaluateSamplingConfig(thinking_tokens=500)
        again = evaluate(one_config(tmp_path, niah=niah, sampling=budget), endpoint)
    assert [body["max_tokens"] for body in endpoint.asked] == [64, 64, 564]
    assert again.of("niah")[0].counts.num_only_thought == 0
    assert again.of("niah")[0].mean(512) == 100.0


def test_an_endpoint_of_vllm_gets_the_start_of_the_reply(tmp_path):
    niah = NiahConfig(lengths_tokens=[512], depths_percent=[0.0])
    with one(lambda body: Answer("x"), owned_by="vllm") as endpoint:
        contents = evaluate(one_config(tmp_path, api="chat", niah=niah), endpoint)
    [body] = endpoint.asked
    assert body["continue_final_message"]
    assert body["messages"][1]["content"].startswith("The special magic number for")
    assert any("begun reply" in remark for remark in contents.remarks)
