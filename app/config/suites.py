"""Settings of the suites whose samples are made here or by lm-eval, one section each."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from app.config.checks import Distinct, SomeDistinct, check_placeholders, placeholders
from app.config.section import Section

RulerProtocol = Literal["own", 2024, 2025, "nemo_skills"]


class NiahConfig(Section):
    """Needle in a haystack: a fact is placed at some depth of a text, and the model is asked for it."""

    lengths_tokens: SomeDistinct[PositiveInt] = [4096, 8192, 16384, 32768, 65536, 131072]
    depths_percent: SomeDistinct[Annotated[float, Field(ge=0.0, le=100.0)]] = [
        0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0,
    ]  # fmt: skip
    """Positions of the needle. With several needles, the position of the first; the others are spread evenly over the
    rest."""
    num_trials: PositiveInt = 1
    """Prompts per length and depth, each with different needles."""
    introduction: str = "Read the following text. I will ask you about it afterwards."
    """Text before the haystack, the same in all prompts."""
    needles: SomeDistinct[str] = ["One of the special magic numbers for {key} is: {value}."]
    """Needle sentences. {key} and {value}, if present, are drawn anew for each trial."""
    num_needles: Annotated[int, Field(ge=1, le=64)] | None = None
    """Needles per prompt. If omitted, one of each sentence; if larger, sentences repeat with other keys and values."""
    question: str = "What is the special magic number for {keys} mentioned in the provided text?"
    """Question after the haystack. {keys} lists the keys of all needles; {key} asks for the first needle only."""
    answer_prefix: str = "The special magic number for {keys} mentioned in the provided text is"
    """Start of the reply, given to the model to continue. May be empty."""
    references: SomeDistinct[str] = ["{value}"]
    """Texts that a correct reply contains. One with {key} or {value} is expected once for each needle asked for."""
    haystack: str | None = None
    """Text file, folder or glob for the haystack. If omitted, the bundled public-domain sample."""
    max_output_tokens: PositiveInt = 64

    @property
    def asks_for_first_alone(self) -> bool:
        """Whether the question asks only for the first of several needles."""
        wanted = placeholders(self.question)
        return bool(wanted) and "keys" not in wanted

    @model_validator(mode="after")
    def _placeholders_are_filled(self) -> "NiahConfig":
        check_placeholders("introduction", self.introduction, set())
        for needle in self.needles:
            check_placeholders("needles", needle, {"key", "value"})
        asked = self.needles[:1] if self.asks_for_first_alone else self.needles
        drawn = {name for needle in asked for name in placeholders(needle)}
        known = drawn | {"keys"} if "key" in drawn else drawn
        for field, text in (("question", self.question), ("answer_prefix", self.answer_prefix)):
            check_placeholders(field, text, {"key", "value", "keys"})
            if not placeholders(text) <= known:
                raise ValueError(
                    f"{field} {text!r} asks for something that no needle contains; make it match the needles"
                )
        for reference in self.references:
            check_placeholders("references", reference, {"key", "value"})
            if not placeholders(reference) <= drawn:
                raise ValueError(f"references {reference!r} is not in any needle; give the correct answers")
        return self

    @model_validator(mode="after")
    def _needles_differ(self) -> "NiahConfig":
        num_sentences, num_needles = len(self.needles), self.num_needles or len(self.needles)
        if num_needles < num_sentences:
            raise ValueError(
                f"num_needles {num_needles} is below the {num_sentences} of needles; leave it out"
            )
        if num_needles > num_sentences and not all(map(placeholders, self.needles)):
            raise ValueError(
                f"num_needles {num_needles} would repeat a needle without {{key}} or {{value}}; leave it out"
            )
        return self


class RulerConfig(Section):
    """RULER's 13 tasks (arXiv 2404.06654, as in NVIDIA/RULER)."""

    lengths_tokens: SomeDistinct[PositiveInt] = [4096, 8192, 16384, 32768, 65536, 131072]
    tasks: Distinct[str] = []
    """Names of the tasks to run. Empty: all 13."""
    num_samples: PositiveInt = 500
    """Samples per task and length."""
    protocol: RulerProtocol = "own"
    """Whose prompts. `2024`: RULER's script as most published rows were made with it. `2025`: the script since May
    2025. `nemo_skills`: NeMo-Skills' pipeline with text completions. These three shuffle documents alike in all
    samples, so that the evidence of `qa_1` stands at one depth, and need `evaluate.api: completions`. `own`: today's
    texts, with evidence at all depths."""
    data: str | None = None
    """Folder with squad.json, hotpotqa.json, PaulGrahamEssays.json or word lists. Files that it lacks, or all if
    omitted, come from the cache, where `python -m app.models.bundled ruler` puts them."""
    haystack: str | None = None
    """Your own text (file, folder or glob) instead of the essays. Scores are then not comparable with published
    ones."""


class ShortConfig(Section):
    """Short tasks, run by lm-eval: they show what a stage cost in other skills."""

    tasks: Distinct[str] = []
    """Names of lm-eval tasks, e.g. ifeval, leaderboard_mmlu_pro. Empty: the bundled set, which needs no download."""
    num_samples: PositiveInt | None = None
    """Samples per task. If omitted, all."""


class RecallConfig(Section):
    """Recall: does the answer follow the context, or the model's memory?"""

    lengths_tokens: SomeDistinct[PositiveInt] = [4096]
    num_samples: PositiveInt = 50
    """Questions of each kind (facts, chains). Each is asked three times: with the true context, with a changed context,
    and without context."""
    haystack: str | None = None
    """Text file, folder or glob for the haystack. If omitted, speeches and a novel from the bundled public-domain
    sample."""
    max_output_tokens: PositiveInt = 48


class MrcrConfig(Section):
    """MRCR: a long chat asks several times for the same kind of text, and the model must repeat one of the answers."""

    lengths_tokens: SomeDistinct[PositiveInt] = [8192, 16384, 32768, 65536, 131072]
    """The chat is as long as these allow: upper ends of the published bins."""
    num_needles: SomeDistinct[Annotated[int, Field(ge=2, le=16)]] = [2, 4, 8]
    """Like requests in a chat, a task for each number."""
    num_samples: PositiveInt = 100
    """Samples per length and number of needles."""
    reply_tokens: Annotated[int, Field(ge=32)] = 200
    """Longest answer in the chat, which is what the model must repeat."""


class GraphWalksConfig(Section):
    """GraphWalks: breadth-first search and parents in a graph that fills the prompt as a list of edges."""

    lengths_tokens: SomeDistinct[PositiveInt] = [8192, 16384, 32768, 65536, 131072]
    tasks: SomeDistinct[Literal["bfs", "parents"]] = ["bfs", "parents"]
    num_samples: PositiveInt = 100
    """Samples per task and length."""
    depths: SomeDistinct[Annotated[int, Field(ge=1, le=8)]] = [1, 2, 3]
    """Depths of the searches, in turn."""
    max_output_tokens: PositiveInt = 1024


class BabilongConfig(Section):
    """BABILong's form: a story about people and things, its sentences scattered over the text of a book."""

    lengths_tokens: SomeDistinct[PositiveInt] = [4096, 8192, 16384, 32768, 65536, 131072]
    hops: SomeDistinct[Annotated[int, Field(ge=1, le=3)]] = [1, 2, 3]
    """Facts that an answer takes, a task for each: where somebody is, where a thing is, where a thing was before."""
    num_samples: PositiveInt = 100
    """Samples per length and task."""
    num_facts: Annotated[int, Field(ge=12)] = 30
    """Sentences of a story. All but those that the answer takes are distractors of the same form."""
    haystack: str | None = None
    """Text file, folder or glob for the haystack. If omitted, speeches and a novel from the bundled public-domain
    sample."""
    max_output_tokens: PositiveInt = 32


class NolimaConfig(Section):
    """NoLiMa's form: a needle without a word of content in common with its question; only knowledge leads to it."""

    lengths_tokens: SomeDistinct[PositiveInt] = [1024, 2048, 4096, 8192, 16384, 32768]
    tasks: SomeDistinct[Literal["city", "country"]] = ["city", "country"]
    """The needle names a landmark; the question, its city or its country."""
    num_samples: PositiveInt = 100
    """Samples per length and task."""
    num_distractors: Annotated[int, Field(ge=0, le=19)] = 3
    """Sentences of the needle's form about other people elsewhere."""
    haystack: str | None = None
    """Text file, folder or glob for the haystack. If omitted, speeches and a novel from the bundled public-domain
    sample."""
    max_output_tokens: PositiveInt = 32
