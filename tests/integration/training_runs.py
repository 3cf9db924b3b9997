"""Small training runs for tests: a random model, chats to train it on, a recipe."""

import json
import random
from pathlib import Path

import torch
import yaml
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from tests.training.tiny_tokenizers import save_chatml

TOPICS = ("whales", "treaties", "rivers", "tables", "harvests", "storms", "maps", "letters")


def write_model(folder: Path, **settings: object) -> None:
    """A random Llama of two layers with a tokenizer of some three hundred words."""
    save_chatml(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(5)
    config = AutoConfig.for_model(
        "llama",
        **{
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 256,
            "rope_theta": 10000.0,
            "tie_word_embeddings": True,
            **settings,
        },
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)


def write_chats(path: Path, number: int = 400) -> None:
    """Chats of some hundred to five hundred tokens."""
    words = random.Random(4)
    rows = []
    for index in range(number):
        topic = words.choice(TOPICS)
        facts = " ".join(f"{topic} {words.randint(0, 999)}" for _ in range(words.randint(5, 30)))
        rows.append(
            {
                "example_id": f"chat-{index}",
                "messages": [
                    {"role": "user", "content": f"{facts}. Which number came first?"},
                    {"role": "assistant", "content": facts.split()[1]},
                ],
            }
        )
    path.write_text("\n".join(json.dumps(row) for row in rows))


def stage(name: str, max_seq_tokens: int, num_steps: int, **settings: object) -> dict[str, object]:
    return {
        "name": name,
        "max_seq_tokens": max_seq_tokens,
        "mix": {"chats": 1.0},
        "num_steps": num_steps,
        "batch_tokens": 4 * max_seq_tokens,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "max_epochs": 100.0,
        **settings,
    }


def write_training_recipe(
    path: Path, run_dir: Path, model: Path, chats: Path, stages: list[dict[str, object]], **settings: object
) -> None:
    """A recipe that only trains, in float32 so that losses can be compared."""
    recipe = {
        "run_dir": str(run_dir),
        "seed": 3,
        "train": {
            "model": str(model),
            "sources": {"chats": {"path": str(chats)}},
            "stages": stages,
            "dtype": "float32",
            "export_dtype": "float32",
            "steps_per_checkpoint": 4,
            **settings,
        },
        "progress": {"log_interval_sec": 1.0},
        "ray": {"num_cpus": 8, "object_store_mb": 200},
    }
    path.write_text(yaml.safe_dump(recipe))


def losses(run_dir: Path, stage_name: str) -> list[float]:
    """Of all steps, in order; each step must be there once."""
    lines = (run_dir / "train" / stage_name / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["step"] for record in records] == list(range(1, len(records) + 1))
    return [record["loss"] for record in records]
