"""Settings of the agent workflow, the dataset, and the actors that generate it."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from app.config.checks import check_range, checked_weights
from app.config.section import OPERATIONAL, NodeLabels, NonNegativeCount, Section, Share
from app.config.verification import VerificationConfig


class AgentConfig(Section):
    """The agent workflow that generates one example."""

    task_weights: dict[str, Annotated[float, Field(ge=0.0)]] = {
        "compare": 1.0,
        "trace": 1.0,
        "aggregate": 1.0,
        "multi_hop": 1.0,
        "aspects": 1.0,
        "timeline": 1.0,
        "contradiction": 1.0,
        "explain": 1.0,
    }
    """How often each kind of long-input instruction (`app.agent.prompts.TASKS`) is drawn, as a relative weight."""
    document_tokens: PositiveInt = 32_768
    """Most tokens taken from one document, around the passages that the retriever found."""
    chunk_tokens: PositiveInt = 4096
    """Most tokens of a chunk to be summarised (4K in the paper)."""
    instruction_tokens: PositiveInt = 160
    """Most tokens of an instruction."""
    summary_tokens: PositiveInt = 256
    """Most tokens of a summary."""
    answer_tokens: PositiveInt = 1024
    """Most tokens of an answer."""
    max_summary_rounds: PositiveInt = 4
    """Most rounds of summarising the summaries."""
    verification: VerificationConfig = VerificationConfig()

    @field_validator("task_weights")
    @classmethod
    def _tasks_are_known(cls, weights: dict[str, float]) -> dict[str, float]:
        return checked_weights(weights, cls.model_fields["task_weights"].default)


class LengthRange(Section):
    """A range of target lengths. Lengths within it are drawn uniformly; `weight` says how often the range is drawn."""

    min_tokens: PositiveInt
    max_tokens: PositiveInt
    weight: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> "LengthRange":
        if self.max_tokens < self.min_tokens:
            raise ValueError(f"max_tokens {self.max_tokens} is below min_tokens {self.min_tokens}; swap them")
        return self


class FilterConfig(Section):
    """Filters that reject a finished example."""

    min_answer_words: NonNegativeCount = 8
    """Fewest words of an answer. Here and below, a script without spaces has a word for each character, or for each
    letter with its signs (Thai, Lao, Burmese, Khmer)."""
    max_repetition: Share = 0.5
    """Largest share of an answer's word 4-grams that repeat earlier ones."""
    max_instruction_overlap: Share = 0.6
    """Largest share of an answer's word 4-grams that also occur in the instruction."""
    instruction_similarity: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8
    """Jaccard similarity above which two instructions are near-duplicates. The later one is rejected."""


class PublishConfig(Section):
    """`synthesize --dataset.publish.repo NAME` pushes the finished dataset to the Hugging Face Hub."""

    repo: str | None = None
    private: bool = True
    token_env: str = "HF_TOKEN"  # noqa: S105 (the variable's name)


class DatasetConfig(Section):
    """Seeds → examples → Parquet."""

    tokenizer: str | None = None
    """Model whose tokenizer and chat template measure the lengths: the one to be trained. If omitted, the generator."""
    num_long_input_seeds: NonNegativeCount
    num_long_output_seeds: NonNegativeCount
    num_structure_seeds: NonNegativeCount = 0
    """Tasks about the context's own structure, which a program makes and can check: facts strewn into documents and
    asked for, passages to be put in order, words to be counted. They take no LLM call."""
    structure_task_weights: dict[str, Annotated[float, Field(ge=0.0)]] = {
        "recall": 4.0,
        "order": 1.0,
        "missing": 1.0,
        "repeats": 1.0,
        "count": 1.0,
        "mentions": 1.0,
    }
    """How often each structure task is drawn, as a relative weight. `recall` comes most often: it has ten questions a
    context."""
    target_lengths: list[LengthRange]
    """Distribution of the lengths of long-input and structure examples, chat template and answers included."""
    long_output_tokens: LengthRange = LengthRange(min_tokens=2_000, max_tokens=32_000)
    """Length of the documents that may become a long output."""
    filters: FilterConfig = FilterConfig()
    max_reject_share: Annotated[Share, Field(json_schema_extra=OPERATIONAL)] = 0.5
    """Share of the rows that may be rejected for one reason. Above it the job stops; the same command makes these rows
    again."""
    min_judged_rows: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 50
    """Number of rows, the latest of an agent actor or all of a dataset, from which `max_reject_share` holds."""
    row_group_bytes: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 150_000_000
    """Size of a Parquet row group. The Hub's viewer reads whole row groups and wants them between 100 and 300 MB."""
    rows_per_shard: PositiveInt = 2_000
    keep_calls: Annotated[bool, Field(json_schema_extra=OPERATIONAL)] = False
    """Whether to keep the journal of LLM calls, prompts included, once the dataset is complete."""
    exports: Annotated[list[Literal["rl"]], Field(json_schema_extra=OPERATIONAL)] = []
    """Further files of the finished dataset. `rl`: the examples that a program can check, in the columns of TRL's and
    verl's GRPO."""
    publish: Annotated[PublishConfig, Field(json_schema_extra=OPERATIONAL)] = PublishConfig()

    @property
    def num_context_seeds(self) -> int:
        """Seeds whose example is a context of a drawn length."""
        return self.num_long_input_seeds + self.num_structure_seeds

    @property
    def num_generator_seeds(self) -> int:
        """Seeds that the generator is asked for."""
        return self.num_long_input_seeds + self.num_long_output_seeds

    @property
    def num_seeds(self) -> int:
        """Seeds of all kinds."""
        return self.num_generator_seeds + self.num_structure_seeds

    @field_validator("structure_task_weights")
    @classmethod
    def _structure_tasks_are_known(cls, weights: dict[str, float]) -> dict[str, float]:
        return checked_weights(weights, cls.model_fields["structure_task_weights"].default)

    @model_validator(mode="after")
    def _some_structure_task_is_drawn(self) -> "DatasetConfig":
        if self.num_structure_seeds and not any(self.structure_task_weights.values()):
            raise ValueError("structure_task_weights: no task has a weight above 0; give at least one")
        return self

    @field_validator("target_lengths")
    @classmethod
    def _not_empty(cls, lengths: list[LengthRange]) -> list[LengthRange]:
        if not lengths:
            raise ValueError("is empty; name at least one range `{min_tokens: …, max_tokens: …}`")
        return lengths


class PipelineConfig(Section):
    """The agent actors."""

    min_actors: PositiveInt = 1
    max_actors: PositiveInt = 1
    cpus_per_actor: Annotated[float, Field(ge=0)] = 1.0
    gpus_per_actor: Annotated[float, Field(ge=0)] = 0.0
    node_labels: NodeLabels = {}
    """Labels of the nodes that the agent actors run on, e.g. {pool: generate}."""
    rows_per_batch: PositiveInt = 8
    """Seeds given to an actor at a time. This is also the most that the row-level checkpoint can lose."""
    batches_per_actor: PositiveInt = 4
    """Batches that one actor processes at once; their rows share the engine."""

    @model_validator(mode="after")
    def _range_is_ordered(self) -> "PipelineConfig":
        check_range("actors", self.min_actors, self.max_actors)
        return self


PROMPT_TOKENS = 512
"""Tokens reserved for the fixed text of a prompt and its chat template."""
