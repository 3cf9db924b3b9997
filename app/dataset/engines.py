"""What the settings name: the generator, and what measures its answers."""

from app.agent.llm import Engine
from app.agent.verification import Verifier
from app.agent.words import UNWEIGHTED, WordWeights
from app.config import Config, GeneratorConfig, OpenAiConfig
from app.tokens import Tokenizer


def make_generator(config: GeneratorConfig) -> Engine:
    """The generator that the settings name."""
    if isinstance(config, OpenAiConfig):
        from app.agent.openai_generator import OpenAiGenerator

        return OpenAiGenerator(config)
    from app.agent.vllm_generator import VllmGenerator

    return VllmGenerator(config)


def make_verifier(config: Config, weights: WordWeights = UNWEIGHTED) -> Verifier:
    """What measures the run's answers."""
    return Verifier(
        config.agent.verification,
        Tokenizer(config.generator_tokenizer, config.generator.revision),
        config.generator.max_attempts,
        config.generator.call_tokens,
        weights,
    )
