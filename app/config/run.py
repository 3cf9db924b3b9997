"""Settings of a whole run: the model that `--config` is parsed into."""

import os
import re
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from app.config.bootstrap import BootstrapConfig
from app.config.corpus import CorpusConfig
from app.config.evaluation import EvaluateConfig
from app.config.generation import GeneratorConfig, OpenAiConfig
from app.config.planning import PlanConfig
from app.config.probing import ProbeConfig
from app.config.retrieval import RetrievalConfig
from app.config.section import OPERATIONAL, NonNegativeCount, Section, texts_in
from app.config.serving import ServeConfig
from app.config.synthesis import PROMPT_TOKENS, AgentConfig, DatasetConfig, PipelineConfig
from app.config.training import TrainConfig
from app.config.viewing import PreviewConfig, ViewConfig
from app.faults import UserError


class ProgressConfig(Section):
    """How a job reports its progress."""

    log_interval_sec: PositiveFloat = 60.0
    """Time between two progress lines in a log. On a terminal the view is live."""
    num_shown_examples: NonNegativeCount = 3
    """How many finished examples to print."""


_LOGIN = re.compile(r"[A-Za-z][\w+.-]*://[^/?#]*@")
"""The beginning of a URL that says who asks."""
MAX_TEMP_DIR_BYTES = 40
"""Longest `ray.temp_dir`. A socket path has at most 107 bytes, and Ray appends
`/session_TIME_PID/sockets/plasma_store`."""


class RayConfig(Section):
    """How a job reaches Ray. Submitted jobs and running clusters are found through RAY_ADDRESS."""

    num_cpus: PositiveInt | None = None
    """Logical CPUs of the local Ray that a job starts. If omitted, all of the machine's."""
    object_store_mb: PositiveInt | None = None
    """Object store size of the local Ray that a job starts. If omitted, Ray's own default."""
    temp_dir: str | None = None
    """Absolute path for sockets and logs of the local Ray that a job starts."""

    @field_validator("temp_dir")
    @classmethod
    def _leaves_room_for_sockets(cls, temp_dir: str | None) -> str | None:
        if temp_dir is not None and not temp_dir.startswith(("/", "~")):
            raise ValueError("is relative; give an absolute path")
        if temp_dir is not None and len(os.path.expanduser(temp_dir).encode()) > MAX_TEMP_DIR_BYTES:  # noqa: PTH111
            raise ValueError(f"is too long for sockets; at most {MAX_TEMP_DIR_BYTES} bytes")
        return temp_dir


class RunConfig(Section):
    """The sections that every recipe can have. Without the sections of `Config`, it trains on a dataset that exists."""

    run_dir: Annotated[str, Field(json_schema_extra=OPERATIONAL)]
    """Folder of the run: local, s3:// or gs://. On a cluster, every node must see it."""
    seed: int = 0
    train: TrainConfig | None = None
    probe: ProbeConfig = ProbeConfig()
    serve: Annotated[ServeConfig | None, Field(json_schema_extra=OPERATIONAL)] = None
    evaluate: EvaluateConfig | None = None
    bootstrap: Annotated[BootstrapConfig, Field(json_schema_extra=OPERATIONAL)] = BootstrapConfig()
    plan: Annotated[PlanConfig, Field(json_schema_extra=OPERATIONAL)] = PlanConfig()
    view: Annotated[ViewConfig, Field(json_schema_extra=OPERATIONAL)] = ViewConfig()
    preview: Annotated[PreviewConfig, Field(json_schema_extra=OPERATIONAL)] = PreviewConfig()
    progress: Annotated[ProgressConfig, Field(json_schema_extra=OPERATIONAL)] = ProgressConfig()
    ray: Annotated[RayConfig, Field(json_schema_extra=OPERATIONAL)] = RayConfig()

    @model_validator(mode="after")
    def _holds_no_login(self) -> "RunConfig":
        for field, text in texts_in(self):
            if _LOGIN.match(text):
                raise ValueError(
                    f"{field}: {text.partition('://')[0]}://… holds a login, and recipes are recorded; "
                    f"give credentials in the environment"
                )
        return self

    @property
    def trained_model(self) -> tuple[str, str | None]:
        """The model that `train` extends, and its revision.

        Raises:
            UserError: The settings name no model.
        """
        if self.train is None or self.train.model is None:
            raise UserError(
                "train.model: is missing, and there is no generator to default to; name the model to train"
            )
        return self.train.model, self.train.revision


class Config(RunConfig):
    """A run that generates its dataset from documents."""

    corpus: CorpusConfig
    retrieval: RetrievalConfig
    generator: GeneratorConfig
    agent: AgentConfig = AgentConfig()
    dataset: DatasetConfig
    pipeline: Annotated[PipelineConfig, Field(json_schema_extra=OPERATIONAL)] = PipelineConfig()

    @model_validator(mode="after")
    def _calls_fit_the_generator(self) -> "Config":
        agent, limit = self.agent, self.generator.call_tokens
        thinking = self.generator.thinking_tokens
        besides = f" that generator.thinking_tokens {thinking} leave" if thinking else ""
        needed = agent.chunk_tokens + agent.instruction_tokens + agent.summary_tokens + PROMPT_TOKENS
        if needed > limit:
            raise ValueError(
                f"agent.chunk_tokens {agent.chunk_tokens} does not fit generator.max_model_tokens {limit}{besides}; "
                f"at most {limit - needed + agent.chunk_tokens}"
            )
        needed = agent.answer_tokens + agent.instruction_tokens + 2 * agent.summary_tokens + PROMPT_TOKENS
        if needed > limit:
            raise ValueError(
                f"agent.answer_tokens {agent.answer_tokens} does not fit generator.max_model_tokens {limit}{besides}; "
                f"at most {limit - needed + agent.answer_tokens}"
            )
        if self.corpus.passage_tokens > min(agent.chunk_tokens, agent.document_tokens):
            raise ValueError(
                f"corpus.passage_tokens {self.corpus.passage_tokens} is above agent.chunk_tokens "
                f"{agent.chunk_tokens} or agent.document_tokens {agent.document_tokens}; "
                f"at most {min(agent.chunk_tokens, agent.document_tokens)}"
            )
        shortest = min(length.min_tokens for length in self.dataset.target_lengths)
        least = agent.answer_tokens + agent.instruction_tokens + PROMPT_TOKENS
        if shortest <= least:
            raise ValueError(
                f"dataset.target_lengths starts at {shortest} tokens, which leaves no room for documents "
                f"beside agent.answer_tokens and agent.instruction_tokens; at least {least + 1}"
            )
        return self

    @model_validator(mode="after")
    def _some_task_is_drawn(self) -> "Config":
        if self.dataset.num_long_input_seeds and not any(self.agent.task_weights.values()):
            raise ValueError("agent.task_weights: no task has a weight above 0; give at least one")
        return self

    @property
    def trained_model(self) -> tuple[str, str | None]:
        """The model that `train` extends, and its revision: the generator, unless `train.model` names another.

        Raises:
            UserError: The generator is an endpoint, which has no weights to train.
        """
        if self.train is not None and self.train.model is not None:
            return self.train.model, self.train.revision
        if isinstance(self.generator, OpenAiConfig):
            raise UserError(
                f"train.model: is missing, and generator.model {self.generator.model} is behind an endpoint; "
                f"name the model to train"
            )
        return self.generator.model, self.generator.revision

    @property
    def tokenizer_model(self) -> str:
        """Model whose tokenizer measures the examples."""
        return self.dataset.tokenizer or self.generator_tokenizer

    @property
    def tokenizer_revision(self) -> str | None:
        """Revision of `tokenizer_model`: the generator's, unless it is another model."""
        return None if self.dataset.tokenizer else self.generator.revision

    @property
    def generator_tokenizer(self) -> str:
        """Model whose tokenizer measures passages, chunks and calls."""
        return self.generator.tokenizer if isinstance(self.generator, OpenAiConfig) else self.generator.model
