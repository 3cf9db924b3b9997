"""Settings of the suites whose questions come from files that the user names, one section each."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from app.config.checks import Distinct, SomeDistinct, check_placeholders, checked_url, placeholders
from app.config.section import OPERATIONAL, Section, Share

HelmetLength = Literal[8192, 16384, 32768, 65536, 131072]
HelmetTask = Literal[
    "ruler_niah_mk_2", "ruler_niah_mk_3", "ruler_niah_mv", "json_kv", "kilt_nq", "kilt_triviaqa", "kilt_hotpotqa",
    "kilt_popqa", "msmarco_rerank_psg",
]  # fmt: skip
LongbenchLength = Literal["short", "medium", "long"]
Ruler2Task = Literal[
    "mk_niah_basic", "mk_niah_easy", "mk_niah_medium", "mk_niah_hard", "mv_niah_basic", "mv_niah_easy",
    "mv_niah_medium", "mv_niah_hard", "qa_basic", "qa_easy", "qa_medium", "qa_hard",
]  # fmt: skip
OwnMetric = Literal["exact", "contains", "number", "f1", "multiple_choice", "regex", "judge"]


class LongbenchConfig(Section):
    """LongBench v2 (arXiv 2412.15204): four choices about one long text, from its own file."""

    path: str | None = None
    """The published data.json."""
    lengths: SomeDistinct[LongbenchLength] = ["short", "medium", "long"]
    """Texts to ask about, by their published length: below 32,000 words, below 128,000, and longer ones."""
    max_prompt_tokens: Annotated[int, Field(ge=1024)] = 120_000
    """Longer prompts lose their middle, as published for models that read 128k. Set it a little below what the model
    reads; prompts that are still too long are not asked, and counted."""
    max_output_tokens: PositiveInt = 128
    limit: PositiveInt | None = None
    """Ask only the first so many questions. If omitted, all."""


class JudgeConfig(Section):
    """A model that judges replies."""

    url: Annotated[str | None, Field(json_schema_extra=OPERATIONAL)] = None
    """URL of the judge's OpenAI-compatible endpoint, with /v1. Required where a judge scores."""
    model: str = ""
    """Name of the judge at the endpoint."""
    api_key_env: Annotated[str, Field(json_schema_extra=OPERATIONAL)] = "LONGSTRAP_JUDGE_API_KEY"
    """Name of the environment variable that holds the judge's key. If that variable is unset, no key is sent."""
    prompt: str = (
        "You judge an answer to a question.\n\nQuestion: {question}\nRight answer: {answer}\nAnswer to judge: {reply}"
        "\n\nSay whether the answer to judge means the same as the right answer. End with one word on a line of its "
        "own: right, partly or wrong."
    )
    """What the judge reads. It must end its reply with one of `verdicts`."""
    verdicts: dict[Annotated[str, Field(pattern=r"^\w+$")], Share] = {
        "right": 1.0,
        "partly": 0.5,
        "wrong": 0.0,
    }
    """Words that the judge ends with, in whatever case, and the score of each. The last one that it says counts."""
    max_output_tokens: PositiveInt = 1024
    """Most tokens of a verdict, the judge's thought included."""

    @field_validator("url")
    @classmethod
    def _is_url_without_secrets(cls, url: str | None) -> str | None:
        return None if url is None else checked_url(url)

    @field_validator("verdicts")
    @classmethod
    def _verdicts_differ(cls, verdicts: dict[str, float]) -> dict[str, float]:
        if len({word.casefold() for word in verdicts}) < 2:
            raise ValueError("has less than two words; give one for right and one for wrong")
        return verdicts

    @field_validator("prompt")
    @classmethod
    def _prompt_shows_the_reply(cls, prompt: str) -> str:
        check_placeholders("prompt", prompt, {"question", "answer", "reply"})
        if "reply" not in placeholders(prompt):
            raise ValueError("does not show the judge what to judge; add {reply}")
        return prompt


class MineConfig(Section):
    """Your own questions, from a JSONL file. docs/own_questions.md describes its rows."""

    path: str | None = None
    """The file: a question a line."""
    metric: OwnMetric = "contains"
    """How replies are scored whose row names no metric."""
    task: str = "questions"
    """Name in the tables of rows that name no task."""
    context: str | None = None
    """Text file, folder or glob that all questions are about whose rows have no context of their own."""
    prompt: str = "{context}\n\n{question}"
    """What the user says: the context first, so that the questions on it share its prefix. A question without a context
    is asked as it is."""
    max_output_tokens: PositiveInt = 128
    limit: PositiveInt | None = None
    """Ask only the first so many questions. If omitted, all."""
    judge: JudgeConfig = JudgeConfig()

    @field_validator("prompt")
    @classmethod
    def _prompt_has_both(cls, prompt: str) -> str:
        check_placeholders("prompt", prompt, {"context", "question"})
        if placeholders(prompt) != {"context", "question"}:
            raise ValueError("does not show both; give {context} and {question}")
        return prompt


class AalcrJudgeConfig(JudgeConfig):
    """The judge of AA-LCR, with the prompt that its data card published first."""

    prompt: str = (
        "Assess whether the following CANDIDATE ANSWER is CORRECT or INCORRECT. For the CANDIDATE ANSWER to be "
        "correct, it must be consistent with the OFFICIAL ANSWER.\n\nThe question, for reference only: {question}\n"
        "The OFFICIAL ANSWER: {answer}\nCANDIDATE ANSWER TO ASSESS: {reply}\n\n"
        "Reply only with CORRECT or INCORRECT."
    )
    """What the judge reads. It must end its reply with one of `verdicts`."""
    verdicts: dict[Annotated[str, Field(pattern=r"^\w+$")], Share] = {"CORRECT": 1.0, "INCORRECT": 0.0}
    """Words that the judge ends with, in whatever case, and the score of each. The last one that it says counts."""


class AalcrConfig(Section):
    """AA-LCR (ArtificialAnalysis/AA-LCR): 100 questions, each about a set of real documents, scored by a judge."""

    path: str | None = None
    """The published folder: AA-LCR_Dataset.csv, and the folder `lcr` that its zip of extracted texts holds, unpacked
    there or in `extracted_text`."""
    max_output_tokens: PositiveInt = 4096
    """Prompts have about 100,000 tokens. Those that are too long for a model together with these are not asked, and
    counted."""
    limit: PositiveInt | None = None
    """Ask only the first so many questions. If omitted, all."""
    judge: AalcrJudgeConfig = AalcrJudgeConfig()


class Ruler2Config(Section):
    """NVIDIA's RULERv2, from the files that `ns prepare_data ruler2` (NeMo-Skills) writes for a model and a length."""

    path: str | None = None
    """The folder of a setup, with TASK/test.jsonl, or one with several of them, for several lengths."""
    tasks: Distinct[Ruler2Task] = []
    """Names of the tasks to ask. Empty: all 12."""
    max_output_tokens: PositiveInt = 2048
    """The published recipe has 16,384, thought included; give a reasoning model `evaluate.sampling.thinking_tokens`."""
    limit: PositiveInt | None = None
    """Ask only the first so many questions of each task and setup. If omitted, all."""


class HelmetConfig(Section):
    """HELMET (arXiv 2410.02694): its categories Recall, RAG and Re-rank, from its own files."""

    path: str | None = None
    """The folder `data` that HELMET's scripts/download_data.sh unpacks."""
    lengths_tokens: SomeDistinct[HelmetLength] = [8192, 16384, 32768, 65536, 131072]
    """Those that HELMET has files for. Prompts that are longer lose the end of their context, as published."""
    tasks: Distinct[HelmetTask] = []
    """Names of the tasks to ask. Empty: all nine."""
    num_samples: PositiveInt = 100
    """Questions per task and length, drawn as HELMET draws them. In the files of documents each question stands 3 or 6
    times, with its evidence at other places, and is asked as often."""
