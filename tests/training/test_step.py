import math
from types import SimpleNamespace

import pytest
import torch

from app.config import OptimizerConfig
from app.training.parallel.attention import SequenceParallel
from app.training.step import NonFiniteError, build_optimizer, train_step
from tests.training.parallel.parity_cases import MemorySequences

SEQUENCES = MemorySequences(((9, 7), (16,), (4, 12), (16,)), unlearned=(3,))


class Bigrams(torch.nn.Module):
    """Predicts a token from the one before it: the loss of `LanguageModel.forward`, without a transformer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.scores = torch.nn.Parameter(torch.randn(96, 96) * 0.1)
        self.bias = torch.nn.Parameter(torch.randn(96) * 0.1)

        self.experts = SimpleNamespace(counts=lambda: None)

    def forward(self, input_ids, position_ids, labels, packed, loss_scale=1.0, router_scale=0.0):
        scores = self.scores[input_ids] + self.bias
        return torch.nn.functional.cross_entropy(scores, labels, reduction="sum") * loss_scale


class Workers(SimpleNamespace):
    """One of `size` that all see the same of a batch: what they add up is `size` times what one has."""

    def sum(self, values):
        return values * self.size


def workers(size=1):
    return Workers(
        size=size, device=torch.device("cpu"), data_rank=0, data_size=1, parallel=SequenceParallel()
    )


def step_once(model, **changes):
    settings = {"learning_rate": 1.0, "max_grad_norm": math.inf, "step": 0, "size": 1} | changes
    step, size = settings.pop("step"), settings.pop("size")
    return train_step(
        model, torch.optim.SGD(model.parameters(), lr=7.0), SEQUENCES, step, 2, workers(size), **settings
    )


def mean_loss(model, indices):
    """Of all learned tokens, all at once."""
    losses = []
    for index in indices:
        tokens = torch.from_numpy(SEQUENCES.tokens[index]).long()
        scores = model.scores[tokens[:-1]] + model.bias
        each = torch.nn.functional.cross_entropy(scores, tokens[1:], reduction="none")
        losses.append(each[torch.from_numpy(SEQUENCES.is_target[index, 1:])])
    return torch.cat(losses).mean()


@pytest.mark.parametrize("step", [0, 1])
def test_a_step_follows_the_gradient_of_the_batchs_mean_loss(step):
    model, expected = Bigrams(), Bigrams()
    loss = mean_loss(expected, (2 * step, 2 * step + 1))
    loss.backward()
    result = step_once(model, step=step)
    assert result.loss == pytest.approx(loss.item(), rel=1e-6)
    norm = torch.stack([parameter.grad.norm() for parameter in expected.parameters()]).norm()
    assert result.grad_norm == pytest.approx(float(norm), rel=1e-5)
    for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.allclose(ours, theirs - theirs.grad, atol=1e-6)
        assert ours.grad is None


def test_the_gradient_outweighs_the_mean_that_fsdp_takes_over_the_ranks():
    model, alone = Bigrams(), Bigrams()
    before = alone.scores.detach().clone()
    losses = [step_once(each, size=size).loss for each, size in ((model, 4), (alone, 1))]
    assert losses[0] / 4 == pytest.approx(losses[1], rel=1e-6)
    assert torch.allclose(model.scores - before, 4 * (alone.scores - before), atol=1e-6)


def test_gradients_are_scaled_down_to_the_largest_norm():
    model, whole = Bigrams(), Bigrams()
    before = whole.scores.detach().clone()
    norm = step_once(whole).grad_norm
    assert step_once(model, max_grad_norm=norm / 2).grad_norm == pytest.approx(norm)
    assert torch.allclose(model.scores - before, (whole.scores - before) / 2, atol=1e-5)


def test_a_batch_without_targets_changes_nothing():
    model = Bigrams()
    before = model.scores.detach().clone()
    settings = {"learning_rate": 1.0, "max_grad_norm": 1.0}
    result = train_step(model, torch.optim.SGD(model.parameters()), SEQUENCES, 3, 1, workers(), **settings)
    assert (result.loss, result.grad_norm) == (0.0, 0.0)
    assert torch.equal(model.scores, before)


@pytest.mark.parametrize("what", ["loss", "gradient norm"])
def test_numbers_that_are_not_finite_change_nothing(what):
    model = Bigrams()
    if what == "loss":
        model.bias.data[3] = math.nan
    else:
        model.scores.register_hook(lambda gradient: gradient * math.inf)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    with pytest.raises(NonFiniteError, match=rf"^the {what} is (nan|inf)$"):
        step_once(model)
    assert all(
        torch.equal(parameter.nan_to_num(), before[name].nan_to_num())
        for name, parameter in model.named_parameters()
    )


def test_only_matrices_decay():
    optimizer = build_optimizer(Bigrams(), OptimizerConfig(weight_decay=0.3, beta1=0.5, epsilon=1e-5))
    assert [(group["weight_decay"], len(group["params"])) for group in optimizer.param_groups] == [
        (0.3, 1),
        (0.0, 1),
    ]
    assert {(group["betas"][0], group["eps"]) for group in optimizer.param_groups} == {(0.5, 1e-5)}


def test_the_optimizer_is_one_kernel_for_many_parameters():
    assert build_optimizer(Bigrams(), OptimizerConfig()).defaults["fused"] is True
