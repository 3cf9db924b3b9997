import pytest
import torch
from torch.nn import functional

from app.models.logits import LogitRule, OutputLayer
from app.training.loss import IGNORED, summed_loss

NUM_TOKENS, HIDDEN_SIZE, VOCABULARY = 20, 16, 50


@pytest.fixture
def inputs():
    """Hidden states, weight and labels, a third of which does not count."""
    torch.manual_seed(0)
    hidden = torch.randn(NUM_TOKENS, HIDDEN_SIZE, requires_grad=True)
    weight = torch.randn(VOCABULARY, HIDDEN_SIZE, requires_grad=True)
    labels = torch.randint(0, VOCABULARY, (NUM_TOKENS,))
    labels[torch.rand(NUM_TOKENS) < 0.3] = IGNORED
    assert 5 < (labels != IGNORED).sum() < NUM_TOKENS
    return hidden, weight, labels


def loss_of(hidden, weight, labels, chunk_tokens, scale=1.0):
    return summed_loss(hidden, OutputLayer(weight), labels, chunk_tokens, scale)


def gradients_of(loss, *parameters):
    return torch.autograd.grad(loss, parameters)


def reference(hidden, weight, labels):
    return functional.cross_entropy(hidden @ weight.T, labels, ignore_index=IGNORED, reduction="sum")


def relative_error(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("chunk_tokens", [1, 7, NUM_TOKENS, 1000])
def test_loss_and_gradients_are_those_of_torch(inputs, chunk_tokens):
    hidden, weight, _ = inputs
    expected = reference(*inputs)
    found = loss_of(*inputs, chunk_tokens)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    for part, whole in zip(
        gradients_of(found, hidden, weight), gradients_of(expected, hidden, weight), strict=True
    ):
        assert relative_error(part, whole) <= 1e-6


def test_a_scale_is_that_of_loss_and_gradients(inputs):
    hidden, weight, _ = inputs
    expected = reference(*inputs) * 0.01
    found = loss_of(*inputs, 7, 0.01)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    # What comes from behind the loss counts too.
    for part, whole in zip(
        gradients_of(found * 3, hidden, weight), gradients_of(expected * 3, hidden, weight), strict=True
    ):
        assert relative_error(part, whole) <= 1e-6


def test_nothing_to_learn_is_no_loss_and_no_gradient(inputs):
    hidden, weight, labels = inputs
    loss = loss_of(hidden, weight, torch.full_like(labels, IGNORED), 7, 1e30)
    assert loss.item() == 0
    for gradient in gradients_of(loss, hidden, weight):
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_no_token_at_all_is_no_loss(inputs):
    hidden, weight, labels = inputs
    assert loss_of(hidden[:0], weight, labels[:0], 7).item() == 0


def test_large_logits_do_not_overflow(inputs):
    hidden, weight, labels = inputs
    loss = loss_of(hidden * 1e4, weight, labels, 7)
    assert loss.item() == pytest.approx(reference(hidden * 1e4, weight, labels).item(), rel=1e-6)
    assert all(gradient.isfinite().all() for gradient in gradients_of(loss, hidden, weight))


def test_in_bfloat16_the_chunks_gradients_are_added_up_exactly():
    torch.manual_seed(0)
    hidden = torch.randn(1000, HIDDEN_SIZE).bfloat16().requires_grad_()
    weight = torch.randn(VOCABULARY, HIDDEN_SIZE).bfloat16().requires_grad_()
    labels = torch.randint(0, VOCABULARY, (1000,))
    exact = [part.detach().float().requires_grad_() for part in (hidden, weight)]
    expected = reference(*exact, labels)
    found = loss_of(hidden, weight, labels, 4)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), rel=1e-3)
    for part, whole in zip(gradients_of(found, hidden, weight), gradients_of(expected, *exact), strict=True):
        assert part.dtype == torch.bfloat16
        # Half a unit in the last place is 0.2%: what rounding in each of 250 chunks would give is far above.
        assert relative_error(part.float(), whole) <= 5e-3


def test_a_frozen_weight_gets_no_gradient(inputs):
    hidden, weight, labels = inputs
    loss = loss_of(hidden, weight.detach(), labels, 7)
    (found,) = gradients_of(loss, hidden)
    assert relative_error(found, gradients_of(reference(*inputs), hidden)[0]) <= 1e-6


def test_without_gradients_none_are_computed(inputs):
    with torch.no_grad():
        assert not loss_of(*inputs, 7).requires_grad


def test_logits_are_never_whole(inputs, monkeypatch):
    largest = []
    matmul = torch.Tensor.__matmul__

    def watched(left, right):
        product = matmul(left, right)
        largest.append(product.numel() if product.shape[-1] == VOCABULARY else 0)
        return product

    monkeypatch.setattr(torch.Tensor, "__matmul__", watched)
    loss_of(*inputs, 4)
    assert 0 < max(largest) <= 4 * VOCABULARY


def test_gradients_are_let_go_after_the_backward_pass(inputs):
    loss = loss_of(*inputs, 7)
    loss.backward()
    with pytest.raises(RuntimeError, match="already been freed"):
        _ = loss.grad_fn.saved_tensors


def test_going_back_twice_is_an_error_not_another_gradient(inputs):
    loss = loss_of(*inputs, 7)
    (loss * 3).backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


RULES = {
    "scaled": LogitRule(scale=0.125),
    "capped": LogitRule(cap=3.0),
    "both": LogitRule(scale=2.0, cap=5.0),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("has_bias", [False, True], ids=["plain", "bias"])
def test_scale_cap_and_bias_of_the_logits_are_in_loss_and_gradients(inputs, rule, has_bias):
    hidden, weight, labels = inputs
    bias = torch.randn(VOCABULARY, requires_grad=True) if has_bias else None
    logits = functional.linear(hidden, weight, bias) * rule.scale
    if rule.cap is not None:
        logits = torch.tanh(logits / rule.cap) * rule.cap
    expected = functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum") * 0.01
    found = summed_loss(hidden, OutputLayer(weight, bias, rule), labels, 7, 0.01)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    parameters = (hidden, weight, bias) if has_bias else (hidden, weight)
    for part, whole in zip(
        gradients_of(found, *parameters), gradients_of(expected, *parameters), strict=True
    ):
        assert relative_error(part, whole) <= 1e-5
