"""Experts in another order, which nobody can tell from the first if the rows of the router go with them.

What a token is given is a set of experts and a sum over it, neither of which has an order. So logits
stay as they are, but for rounding, unless the implementation runs other experts than it chooses. Only
what groups limit the choice to has a place: groups stay together, and change places as wholes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

from problem import Problem


def order(layer: int, experts: int, groups: int) -> torch.Tensor:
    """Which expert takes each place: some order but the first, and of a layer always the same."""
    generator = torch.Generator().manual_seed(layer)
    first = torch.arange(experts)
    found = first
    while experts > 1 and torch.equal(found, first):
        # By no rotation: experts that are wrong by a rotation would still be wrong alike.
        size = experts // groups
        found = torch.cat([group * size + torch.randperm(size, generator=generator)
                           for group in torch.randperm(groups, generator=generator).tolist()])
    return found


def reorder(module: nn.Module, router: nn.Module, places: torch.Tensor) -> None:
    """Puts the experts of a block in this order, with the rows of its router and the biases of either."""
    experts = getattr(module, "experts", None)
    if isinstance(experts, nn.ModuleList):
        module.experts = nn.ModuleList(experts[int(place)] for place in places)
        moved = True
    else:
        # Where the experts have no name, their stacks do.
        parts = [experts] if experts is not None else [child for child in module.children() if child is not router]
        stacks = [value for part in parts for value in tensors(part)
                  if (len(value) % len(places) == 0 if experts is not None
                      else value.ndim == 3 and len(value) == len(places))]
        for stack in stacks:
            put(stack.view(len(places), -1), 0, places)
        moved = bool(stacks)
    beside = [*tensors(router), *tensors(module, recurse=False)]
    for table in beside:
        if table.dtype in (torch.int32, torch.int64):
            # Experts by their numbers, as where a token's id decides.
            table.copy_(places.argsort().to(table.device)[table.long()])
    rows = [value for value in beside if value.is_floating_point() and len(places) in value.shape]
    if not (moved and rows):
        raise Problem(f"{type(module).__name__}: expected experts and rows of a router to permute, found "
                      f"no {'rows' if moved else 'experts'}; record without --permute-experts.")
    for value in rows:
        put(value, value.shape.index(len(places)), places)


def tensors(module: nn.Module, recurse: bool = True) -> list[torch.Tensor]:
    return [value.data for value in (*module.parameters(recurse), *module.buffers(recurse)) if value.ndim]


def put(value: torch.Tensor, axis: int, places: torch.Tensor) -> None:
    value.copy_(value.index_select(axis, places.to(value.device)))


@contextmanager
def permuted(model: PreTrainedModel, blocks: list) -> Iterator[None]:
    """The model with the experts of these blocks in another order, for a while."""
    if not blocks:
        raise Problem(f"{type(model).__name__}: expected experts to permute, found none; "
                      "record without --permute-experts.")
    groups = getattr(model.config.get_text_config(), "n_group", None) or 1
    done = []
    try:
        for block in blocks:
            places = order(block.layer, block.experts, groups)
            reorder(block.module, block.router, places)
            done.append((block, places))
        yield
    finally:
        for block, places in done:
            reorder(block.module, block.router, places.argsort())
