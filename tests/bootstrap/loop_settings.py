"""Settings of a loop with three stages, out of the laptop's recipe."""

from pathlib import Path

import yaml

from app.config import Config
from app.recipe import load_config

STAGES = {"10k": 10240, "20k": 20480, "40k": 40960}


def loop_config(folder: Path, *overrides: str) -> Config:
    """Three stages with a gate behind each; NIAH has a length for each."""
    stage = {"mix": {"long_input": 1.0}, "num_steps": 1, "learning_rate": 1e-5}
    stages = [stage | {"name": name, "max_seq_tokens": n, "batch_tokens": n} for name, n in STAGES.items()]
    base = "bundled:smollm2-135m-instruct"
    models = {"base": {"model": base}} | {name: {"model": f"stage:{name}"} for name in STAGES}
    gate = {"min_niah_percent": 50, "max_short_points_lost": 5}
    config = load_config(
        "laptop.yaml",
        [
            *("--run_dir", str(folder / "run")),
            *("--train.stages", yaml.safe_dump(stages)),
            *("--serve.models", yaml.safe_dump(models, sort_keys=False)),
            *("--evaluate.niah.lengths_tokens", "[4096, 10240, 20480, 40960]"),
            *("--evaluate.ruler.lengths_tokens", "[4096]"),
            *("--bootstrap.gate", yaml.safe_dump(gate)),
            *overrides,
        ],
    )
    assert isinstance(config, Config)
    return config
