"""The inputs of a stage's sequences: the tokens of its sources, its losses, its plan."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from app.config import RunConfig, StageConfig
from app.faults import UserError
from app.records.training import StageDataRecord, TokensRecord
from app.run import DATA_DIR, Artefact, Run
from app.tokens import Tokenizer
from app.training.data.packing import PackingPlan, plan_stage
from app.training.data.stage_shards import ShardInputs
from app.training.data.supplies import SourceLengths
from app.training.data.token_shards import SourceIndex, TokenShards
from app.training.data.tokenization import TARGET_BITS, Loss
from app.training.identities import identity_of_stage_data, losses_of


def tokens_of(run: Run, source: str) -> Artefact[TokensRecord]:
    """A source's tokens: RUN/train/_tokens/SOURCE."""
    # No stage's name begins with an underscore.
    return Artefact(run.stage("_tokens").folder / source, TokensRecord)


def fingerprints_of_tokens(run: Run, sources: Iterable[str]) -> dict[str, str]:
    """Source → fingerprint of its tokens, which are complete."""
    return {name: tokens_of(run, name).record().fingerprint for name in sources}


def data_of(run: Run, stage: StageConfig) -> Artefact[StageDataRecord]:
    """A stage's sequences: RUN/train/STAGE/data."""
    return Artefact(run.stage(stage.name).folder / DATA_DIR, StageDataRecord)


@dataclass(frozen=True)
class StageInputs:
    """One stage of a run, whose sources' tokens are complete."""

    config: RunConfig
    run: Run
    stage: StageConfig

    @property
    def index(self) -> int:
        """Of the stage."""
        assert self.config.train is not None
        return self.config.train.stages.index(self.stage)

    @property
    def section(self) -> str:
        """The stage's place in the settings."""
        return f"train.stages.{self.index}"

    @property
    def losses(self) -> dict[str, Loss]:
        """Which tokens of each source count in the loss."""
        assert self.config.train is not None
        return losses_of(self.config.train, self.index)

    @property
    def identity(self) -> dict[str, Any]:
        """All settings that decide the sequences."""
        return identity_of_stage_data(
            self.config, self.index, fingerprints_of_tokens(self.run, self.stage.mix)
        )

    @cached_property
    def shards(self) -> dict[str, TokenShards]:
        """Each source's tokens."""
        return {name: TokenShards(tokens_of(self.run, name).folder) for name in self.losses}

    @cached_property
    def indexes(self) -> dict[str, SourceIndex]:
        """Each source's lengths, as its loss counts."""
        return {name: self.shards[name].read_index(loss) for name, loss in self.losses.items()}

    @cached_property
    def separator_id(self) -> int | None:
        """Token to stand between documents; None where they are kept apart.

        Raises:
            UserError: The tokenizer has none.
        """
        if self.stage.documents == "mask":
            return None
        model, revision = self.config.trained_model
        separator_id = Tokenizer(model, revision).separator_id
        if separator_id is None:
            raise UserError(
                f"{self.section}.documents: stage {self.stage.name} needs a separator, but the tokenizer of "
                f"{model!r} has no token that begins or ends a text;  set documents to mask"
            )
        return separator_id

    def plan(self) -> PackingPlan:
        """Which examples go into which sequence.

        Raises:
            UserError: A source has too few tokens for its share.
        """
        lengths = {
            name: SourceLengths(
                num_tokens=index.num_tokens,
                num_targets=index.num_targets,
                is_text=index.is_text,
                begins_with_separator=index.first_token
                == (-1 if self.separator_id is None else self.separator_id),
            )
            for name, index in self.indexes.items()
        }
        return plan_stage(self.stage, lengths, self.config.seed, f"{self.section}.mix")

    def shard_inputs(self, plan: PackingPlan) -> ShardInputs:
        """Inputs of the tasks that write the shards."""
        return ShardInputs(
            tokens=tuple(self.shards[name] for name in plan.sources),
            target_bits=tuple(TARGET_BITS[self.losses[name]] for name in plan.sources),
            seq_tokens=self.stage.max_seq_tokens,
            separator_id=self.separator_id,
        )
