"""The gate after a stage: needles at its new length, short tasks against the base. It is measured once and recorded.

RUN/gates/STAGE.json holds the request and the scores. Thresholds may change later without a new measurement.
"""

from dataclasses import dataclass
from typing import Any

from app.config import RunConfig, StageConfig, identity
from app.faults import UserError
from app.records.gate import GateRecord, NiahScore, ShortScores
from app.run import Run
from app.serving.sources import stage_of
from eval.evaluation import Evaluation
from eval.models import model_names


@dataclass(frozen=True)
class Gate:
    """What the gate of one stage measures, and on which models."""

    stage: StageConfig
    base: str
    """Name of the model that the short tasks are compared with."""
    model: str
    """Name of the stage's export."""
    niah_tokens: int | None
    """Length of the needle test; None if it is not run."""
    has_short: bool

    @property
    def models(self) -> list[str]:
        """Names of the models that must be served."""
        return [self.base, self.model] if self.has_short else [self.model]

    def asked(self, config: RunConfig) -> dict[str, Any]:
        """Everything that the scores depend on, as JSON values."""
        settings = config.evaluate
        assert settings is not None
        niah = identity(settings.niah) | {"lengths_tokens": [self.niah_tokens]}
        return {
            "model": self.model,
            "niah": niah if self.niah_tokens else None,
            "short": identity(settings.short) | {"base": self.base} if self.has_short else None,
            "template": settings.template,
            "api": settings.api,
            "answer_prefix": settings.answer_prefix,
            "sampling": identity(settings.sampling),
            "seed": config.seed,
        }


def gate_of(config: RunConfig, index: int) -> Gate | None:
    """The gate after a stage; None if the recipe has no threshold.

    Args:
        config: With `train`, `serve` and `evaluate`.
        index: Index of the stage.

    Raises:
        UserError: The stage is not among the served models, or no needle test has a length of its own for it.
    """
    thresholds = config.bootstrap.gate
    if not thresholds.is_set:
        return None
    assert config.train is not None
    assert config.serve is not None
    stage = config.train.stages[index]
    name = next((name for name in config.serve.models if stage_of(config, name) == stage), None)
    if name is None:
        raise UserError(
            f"serve.models: has no entry for stage {stage.name}, which bootstrap.gate evaluates; add "
            f"{stage.name}: {{model: 'stage:{stage.name}'}}"
        )
    base = model_names(config)[0]
    has_short = thresholds.max_short_points_lost is not None
    if has_short and base == name:
        raise UserError(
            f"serve.models: begins with {base}, but bootstrap.gate.max_short_points_lost compares with the model "
            f"before the stages; put that one first"
        )
    niah_tokens = None if thresholds.min_niah_percent is None else _niah_tokens(config, index)
    return Gate(stage, base, name, niah_tokens, has_short)


def _niah_tokens(config: RunConfig, index: int) -> int:
    """The longest length of the needle test that a stage reads, beyond what the stage before it does."""
    assert config.train is not None
    assert config.evaluate is not None
    stage = config.train.stages[index]
    before = config.train.stages[index - 1].max_seq_tokens if index else 0
    lengths = config.evaluate.niah.lengths_tokens
    readable = [length for length in lengths if length <= stage.max_seq_tokens]
    if not readable or max(readable) <= before < stage.max_seq_tokens:
        raise UserError(
            f"evaluate.niah.lengths_tokens: {lengths} has none between {before} and the {stage.max_seq_tokens} of "
            f"stage {stage.name}, but bootstrap.gate.min_niah_percent needs one; add {stage.max_seq_tokens}"
        )
    return max(readable)


def read_gate(config: RunConfig, run: Run, gate: Gate) -> GateRecord | None:
    """The gate's record, if exactly this was measured before."""
    record = run.gate(gate.stage.name)
    return record if record is not None and record.asked == gate.asked(config) else None


def measure_gate(config: RunConfig, run: Run, gate: Gate, evaluation: Evaluation) -> GateRecord:
    """Evaluate the models and record their scores.

    Args:
        config: The run's settings.
        run: Takes the record.
        gate: What to ask.
        evaluation: An evaluation of served models that include the gate's.

    Raises:
        UserError: A request finally failed.
    """
    niah, short = None, None
    if gate.niah_tokens:
        percent = evaluation.niah_percent(gate.model, gate.niah_tokens)
        niah = NiahScore(model=gate.model, length_tokens=gate.niah_tokens, percent=percent)
    if gate.has_short:
        short = ShortScores(
            base=gate.base,
            model=gate.model,
            base_percent=evaluation.short_percent(gate.base),
            percent=evaluation.short_percent(gate.model),
        )
    record = GateRecord(asked=gate.asked(config), niah=niah, short=short)
    record.write(run.gates, f"{gate.stage.name}.json")
    return record


def describe_gate(stage: str, record: GateRecord) -> str:
    """The scores in a line."""
    parts = []
    if niah := record.niah:
        parts.append(f"needles at {niah.length_tokens:,} tokens {niah.percent:.1f} %")
    if short := record.short:
        parts.append(f"short tasks {short.percent:.1f} %, {record.points_lost:+.1f} points lost")
    return f"gate {stage}: {'; '.join(parts)}"


def refusal_of(config: RunConfig, stage: str, record: GateRecord) -> str | None:
    """Why the chain must stop after this stage; None if it may continue."""
    gate, niah, short = config.bootstrap.gate, record.niah, record.short
    kept = record.verdicts(gate)
    remedy = "change the threshold and rerun the same command, or change the stage in another run_dir"
    if niah and kept.get("min_niah_percent") is False:
        return (
            f"bootstrap.gate.min_niah_percent: stage {stage} finds {niah.percent:.1f} % of the needles at "
            f"{niah.length_tokens:,} tokens, less than {gate.min_niah_percent:g}; {remedy}"
        )
    if short and kept.get("max_short_points_lost") is False:
        return (
            f"bootstrap.gate.max_short_points_lost: stage {stage} loses {record.points_lost:.1f} points of short "
            f"tasks against {short.base}, more than {gate.max_short_points_lost:g}; {remedy}"
        )
    return None
