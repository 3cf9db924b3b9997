"""A suite: its samples, how they are asked, how a reply scores, and what a report shows of it, in one object."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from app.config import EvaluateConfig
from app.storage import Folder
from app.tokens import Tokenizer
from eval.models import EvaluatedModel
from eval.records import Record
from eval.report.contents import SuiteResult
from eval.report.parts import Part
from eval.samples import SampleMaker

ResultType = TypeVar("ResultType", bound=SuiteResult)


@dataclass(frozen=True)
class Endpoint:
    """Where the models are."""

    url: str
    key: str | None = field(repr=False)


@dataclass(frozen=True)
class Scoring:
    """One model's answers to a suite, to be scored."""

    model: str
    """Name of the model."""
    settings: EvaluateConfig
    """Without the lengths that are beyond the model."""
    records: Sequence[Record]
    """Those of all its samples."""
    seed: int
    """Seed of the confidence intervals."""
    folder: Folder
    """Where the records are."""
    report: Callable[[str], None]
    """Gets progress."""
    num_left_out: int = 0
    """Samples that the model was not asked, as they are longer than it reads."""


@dataclass(frozen=True)
class Prompts:
    """How many prompts of a length a suite asks, for plans."""

    length_tokens: int
    num_prompts: int
    output_tokens: float
    """Most tokens of a reply, thought not included; the mean of the tasks where they differ."""


class Suite(Generic[ResultType]):
    """What all suites have. `name` is the one in `evaluate.suites`, and that of its section of the settings."""

    name: str
    title: str
    """Its heading in a report."""

    def check(self, settings: EvaluateConfig) -> None:
        """Refuse settings that it cannot be asked with, before anything is served or asked.

        Raises:
            UserError: Names the setting.
        """

    def part(self, models: Sequence[str], results: list[ResultType]) -> Part:
        """What a report shows.

        Args:
            models: Names of all evaluated models; the first is what the others are compared with.
            results: At least one.
        """
        raise NotImplementedError

    def prompts(self, settings: EvaluateConfig) -> list[Prompts]:
        """What one model is asked; empty where it is not known beforehand."""
        raise NotImplementedError


class SampledSuite(Suite[ResultType]):
    """A suite whose samples are made here, and asked one request each."""

    has_length_grid = True
    """Whether its section has `lengths_tokens`; otherwise each sample is as long as it is."""

    def make(self, settings: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> SampleMaker:
        """Makes its samples.

        Raises:
            UserError: What they are made of is missing.
        """
        raise NotImplementedError

    def score(self, record: Record) -> float:
        """Score of one record, in [0, 1]; 0 without a reply."""
        raise NotImplementedError

    def result(self, scoring: Scoring) -> ResultType:
        """Scores of one model."""
        raise NotImplementedError

    def judged(self, scoring: Scoring) -> list[Record]:
        """The records with what their scores need besides the reply, which most suites don't."""
        return list(scoring.records)

    def read_back(self, record: Record, settings: EvaluateConfig, folder: Folder) -> Record:
        """The same of one record, as far as it is known already; nothing is asked."""
        return record

    def lengths_tokens(self, settings: EvaluateConfig) -> list[int]:
        """The lengths that it is asked at; empty without a grid of lengths."""
        lengths: list[int] = getattr(settings, self.name).lengths_tokens if self.has_length_grid else []
        return lengths

    def within(self, settings: EvaluateConfig, model: EvaluatedModel) -> EvaluateConfig:
        """The settings without the lengths that are beyond a model."""
        if not self.has_length_grid:
            return settings
        lengths = [length for length in self.lengths_tokens(settings) if model.reads(length)]
        section = getattr(settings, self.name).model_copy(update={"lengths_tokens": lengths})
        return settings.model_copy(update={self.name: section})


class LibrarySuite(Suite[ResultType]):
    """A suite that another library asks."""

    def run(
        self,
        settings: EvaluateConfig,
        model: EvaluatedModel,
        endpoint: Endpoint,
        folder: Folder,
        report: Callable[[str], None],
    ) -> ResultType:
        """Ask one model what it has no scores for yet.

        Args:
            settings: Settings of the evaluation.
            model: The model.
            endpoint: Serves it.
            folder: Folder of this model and suite.
            report: Gets progress.

        Raises:
            UserError: A task or its data is not to be had, or the endpoint refuses it.
        """
        raise NotImplementedError
