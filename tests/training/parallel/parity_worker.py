"""One training step on several processes against plain transformers on one, case by case."""

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM

from app.training.memory.activations import save_activation_memory
from app.training.model import LanguageModel, build_decoder, shard_model
from app.training.parallel.layout import layout_of
from app.training.parallel.process_groups import join_workers
from app.training.step import StepResult, train_step
from tests.models.families import family
from tests.training.parallel.parity_cases import CASES, HEAD_DIM, VOCABULARY, Case, MemorySequences


def config_of(case: Case) -> Any:
    if case.family is not None:
        return family(case.family)
    num_heads, num_kv_heads = case.heads
    return AutoConfig.for_model(
        case.model_type,
        hidden_size=num_heads * HEAD_DIM,
        head_dim=HEAD_DIM,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=num_heads,
        num_key_value_heads=num_kv_heads,
        vocab_size=VOCABULARY,
        max_position_embeddings=128,
        sliding_window=case.sliding_window,
        tie_word_embeddings=case.tie_weights,
        pad_token_id=None,
    )


def reference(case: Case, sequences: MemorySequences) -> tuple[float, dict[str, torch.Tensor], Any]:
    """Loss and gradients by transformers' own eager attention, document by document."""
    torch.manual_seed(3)
    config = config_of(case)
    config._attn_implementation = "eager"
    decoder = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    # Norms and biases start as ones and zeros, with which errors could hide.
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    num_targets = sum(sequences.num_targets(index) for index in range(sequences.num_sequences))
    total = 0.0
    for index in range(sequences.num_sequences):
        ends = [*sequences.starts(index)[1:], sequences.seq_tokens]
        routed = []
        for start, end in zip(sequences.starts(index), ends, strict=True):
            tokens = torch.from_numpy(sequences.tokens[index, start:end]).long()
            is_target = torch.from_numpy(sequences.is_target[index, start:end])
            wanted = {"output_router_logits": True} if case.router_loss_weight else {}
            outputs = decoder(input_ids=tokens[None], use_cache=False, **wanted)
            losses = functional.cross_entropy(outputs.logits[0, :-1], tokens[1:], reduction="none")
            loss = losses[is_target[1:]].sum() / num_targets
            loss.backward(retain_graph=bool(wanted))
            total += loss.item()
            routed.append(outputs.router_logits if wanted else ())
        if case.router_loss_weight:
            router_loss = _router_loss(decoder, [torch.cat(layer) for layer in zip(*routed, strict=True)])
            (case.router_loss_weight / sequences.num_sequences * router_loss).backward()
    return (
        total,
        {name: p.grad for name, p in decoder.named_parameters() if p.grad is not None},
        decoder.state_dict(),
    )


def _router_loss(decoder: Any, router_logits: list[torch.Tensor]) -> torch.Tensor:
    """Transformers' own, of a whole sequence."""
    balance = sys.modules[type(decoder).__module__].load_balancing_loss_func
    loss: torch.Tensor = balance(
        tuple(router_logits), decoder.num_experts, decoder.config.num_experts_per_tok
    )
    return loss


class GradientKeeper(torch.optim.Optimizer):
    """Instead of a step, takes whole copies of the gradients that a step would be made with."""

    def __init__(self, named_parameters: Iterable[tuple[str, torch.nn.Parameter]]) -> None:
        self.named = {name: weight for name, weight in named_parameters if weight.requires_grad}
        self.kept: dict[str, torch.Tensor] = {}
        super().__init__(self.named.values(), {})

    def step(self) -> None:
        for name, parameter in self.named.items():
            assert isinstance(parameter.grad, DTensor), name
            self.kept[name.removeprefix("decoder.")] = parameter.grad.full_tensor().clone()


def step(
    case: Case, sequences: MemorySequences, weights: Any
) -> tuple[StepResult, dict[str, torch.Tensor]] | None:
    """The same by this project's code; nothing on a process that is one too many."""
    config = config_of(case)
    layout = layout_of(case.sequence_parallel_size, case.mode, case.heads[0], case.ulysses_size)
    workers = join_workers(layout, torch.device("cpu"))
    if workers is None:
        return None
    decoder = build_decoder(config)
    decoder.load_state_dict(weights)
    model = LanguageModel(decoder, case.loss_chunk_tokens)
    save_activation_memory(
        model.layers,
        checkpoint_layers=case.checkpoint,
        offload=case.offload,
        mlp_tile_tokens=case.mlp_tile_tokens,
        keep_attention=case.keep_attention,
    )
    shard_model(model, workers.mesh, torch.float32, offload=case.offload)
    optimizer = GradientKeeper(model.named_parameters())
    result = train_step(
        model,
        optimizer,
        sequences,
        0,
        sequences.num_sequences,
        workers,
        learning_rate=1.0,
        max_grad_norm=math.inf,
        router_loss_weight=case.router_loss_weight,
    )
    return result, optimizer.kept


def errors(case: Case) -> dict[str, Any] | None:
    sequences = MemorySequences(case.lengths, case.unlearned)
    expected_loss, expected, weights = reference(case, sequences)
    found = step(case, sequences, weights)
    if found is None:
        return None
    result, gradients = found
    assert gradients.keys() == expected.keys(), gradients.keys() ^ expected.keys()
    relative = {
        name: float((gradients[name] - expected[name]).norm() / expected[name].norm()) for name in expected
    }
    worst = max(relative, key=lambda name: relative[name] if relative[name] == relative[name] else torch.inf)
    norm = float(torch.stack([gradient.norm() for gradient in expected.values()]).norm())
    return {
        "loss": abs(result.loss / expected_loss - 1),
        "norm": abs(result.grad_norm / norm - 1),
        "gradient": relative[worst],
        "worst": worst,
    }


def main(path: str, kind: str) -> None:
    """Write the relative errors of loss, gradients and their norm, by the name of each case of a kind.

    Every process of a run calls this; the cases are those for as many processes.
    """
    found = {}
    for case in CASES:
        if case.num_processes == dist.get_world_size() and case.kind == kind:
            found[case.name] = errors(case)
    if dist.get_rank() == 0:
        Path(path).write_text(json.dumps(found))
