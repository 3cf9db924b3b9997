"""All settings of Longstrap, with their defaults.

A recipe is a YAML file of these fields; `--section.field VALUE` on the command line overrides one of them (see
`app.recipe`). All sections are strict: an unknown key or a wrong type is an error that names the field. Fields
marked `OPERATIONAL` may change when a run is resumed; all others are part of the run's identity (`identity`).
"""

from app.config.bootstrap import BootstrapConfig, GateConfig
from app.config.checks import placeholders
from app.config.corpus import CorpusConfig, DecontaminationConfig, DedupConfig, FieldNames, SourceConfig
from app.config.environment import cache_dir, ray_address, read_secret
from app.config.evaluation import EvaluateConfig, EvaluatedModelConfig, EvaluateSamplingConfig
from app.config.generation import GeneratorConfig, GeneratorSection, OpenAiConfig, SamplingConfig, VllmConfig
from app.config.planning import NodeConfig, NodesConfig, PlanConfig
from app.config.probing import ProbeConfig
from app.config.question_files import (
    AalcrConfig,
    AalcrJudgeConfig,
    HelmetConfig,
    HelmetLength,
    HelmetTask,
    JudgeConfig,
    LongbenchConfig,
    LongbenchLength,
    MineConfig,
    OwnMetric,
    Ruler2Config,
    Ruler2Task,
)
from app.config.retrieval import RetrievalConfig
from app.config.run import Config, ProgressConfig, RayConfig, RunConfig
from app.config.section import OPERATIONAL, NodeLabels, identity
from app.config.serving import ServeConfig, ServedModelConfig
from app.config.suites import (
    BabilongConfig,
    GraphWalksConfig,
    MrcrConfig,
    NiahConfig,
    NolimaConfig,
    RecallConfig,
    RulerConfig,
    RulerProtocol,
    ShortConfig,
)
from app.config.synthesis import (
    PROMPT_TOKENS,
    AgentConfig,
    DatasetConfig,
    FilterConfig,
    LengthRange,
    PipelineConfig,
    PublishConfig,
)
from app.config.training import (
    OptimizerConfig,
    StageConfig,
    TrainConfig,
    TrainMemoryConfig,
    TrainSourceConfig,
)
from app.config.verification import ThresholdConfig, VerificationConfig
from app.config.viewing import PreviewConfig, ViewConfig

__all__ = [
    "OPERATIONAL",
    "PROMPT_TOKENS",
    "AalcrConfig",
    "AalcrJudgeConfig",
    "AgentConfig",
    "BabilongConfig",
    "BootstrapConfig",
    "Config",
    "CorpusConfig",
    "DatasetConfig",
    "DecontaminationConfig",
    "DedupConfig",
    "EvaluateConfig",
    "EvaluateSamplingConfig",
    "EvaluatedModelConfig",
    "FieldNames",
    "FilterConfig",
    "GateConfig",
    "GeneratorConfig",
    "GeneratorSection",
    "GraphWalksConfig",
    "HelmetConfig",
    "HelmetLength",
    "HelmetTask",
    "JudgeConfig",
    "LengthRange",
    "LongbenchConfig",
    "LongbenchLength",
    "MineConfig",
    "MrcrConfig",
    "NiahConfig",
    "NodeConfig",
    "NodeLabels",
    "NodesConfig",
    "NolimaConfig",
    "OpenAiConfig",
    "OptimizerConfig",
    "OwnMetric",
    "PipelineConfig",
    "PlanConfig",
    "PreviewConfig",
    "ProbeConfig",
    "ProgressConfig",
    "PublishConfig",
    "RayConfig",
    "RecallConfig",
    "RetrievalConfig",
    "Ruler2Config",
    "Ruler2Task",
    "RulerConfig",
    "RulerProtocol",
    "RunConfig",
    "SamplingConfig",
    "ServeConfig",
    "ServedModelConfig",
    "ShortConfig",
    "SourceConfig",
    "StageConfig",
    "ThresholdConfig",
    "TrainConfig",
    "TrainMemoryConfig",
    "TrainSourceConfig",
    "VerificationConfig",
    "ViewConfig",
    "VllmConfig",
    "cache_dir",
    "identity",
    "placeholders",
    "ray_address",
    "read_secret",
]
