"""The lookup of embeddings against PyTorch's, and its gradient against itself."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from proxy.lm.embedding import embed

VOCABULARY, WIDTH = 50, 32


def drawn(*members: int, tokens: tuple[int, ...] = (4, 300)) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(*members, VOCABULARY, WIDTH, generator=draw, requires_grad=True)
    return torch.randint(0, VOCABULARY, (*members, *tokens), generator=draw), weight


def weighted(found: Tensor) -> Tensor:
    """A sum whose gradient differs from number to number."""
    return (found * torch.linspace(-1, 1, found.numel()).view_as(found)).sum()


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_rows_and_gradient_are_those_of_pytorch_to_the_bit() -> None:
    tokens, weight = drawn()
    assert torch.equal(embed(tokens, weight), F.embedding(tokens, weight))
    (found,) = torch.autograd.grad(weighted(embed(tokens, weight)), weight)
    (wanted,) = torch.autograd.grad(weighted(F.embedding(tokens, weight)), weight)
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("is_shared", [False, True], ids=["own-tokens", "shared-tokens"])
def test_members_have_the_rows_and_gradients_that_they_have_alone(is_shared: bool) -> None:
    tokens, weight = drawn(3)
    tokens = tokens[0] if is_shared else tokens
    looked_up = torch.func.vmap(embed, in_dims=(None if is_shared else 0, 0))
    found = looked_up(tokens, weight)
    (gradient,) = torch.autograd.grad(sum(weighted(one) for one in found), weight)
    for index in range(3):
        its = tokens if is_shared else tokens[index]
        alone = F.embedding(its, weight[index])
        assert torch.equal(found[index], alone)
        (wanted,) = torch.autograd.grad(weighted(alone), weight)
        assert torch.equal(gradient[index], wanted[index])


@pytest.mark.filterwarnings("ignore")  # what the compiler deprecates in itself is not ours to mend
def test_compiled_for_two_threads_the_gradient_is_the_same_each_time() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        tokens, weight = drawn(tokens=(4, 3000))
        compiled = torch.compile(lambda t, w: weighted(embed(t, w)), fullgraph=True, dynamic=False)
        gradients = [torch.autograd.grad(compiled(tokens, weight), weight)[0] for _ in range(30)]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(gradients[0], one) for one in gradients)
