"""A model that does not fit in memory: the weights of a layer are there while it runs, those of an expert once
it is chosen.

Every part is loaded as the whole model is, by transformers, from a model of which all else was taken out.
"""

import re
from collections.abc import Iterator

import torch
from torch import nn
from transformers import PreTrainedModel

from checkpoint import BEFORE_5, Checkpoint
from problem import Problem
from recorder import decoder_layers, find_blocks

# How configurations call the number of experts.
EXPERTS = ("num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts")
OF_EXPERT = re.compile(r"(?<![^.])experts\.(\d+)\.")


def streamed(checkpoint: Checkpoint, dtype: torch.dtype) -> PreTrainedModel:
    """The model, which loads its layers as it runs."""
    if BEFORE_5:
        raise Problem(f"{checkpoint.folder}: expected transformers 5 for a model that is loaded layer by layer, "
                      "found an older one.")
    empty = checkpoint.skeleton(dtype)
    layers = layer_paths(empty)
    model = checkpoint.part([name for name, _ in empty.named_modules() if not inside(name, layers)],
                            [name for name in checkpoint.names() if layer_of(name, layers) is None], dtype)
    blocks = {block.layer: block for block in find_blocks(empty)}
    for i, layer in enumerate(decoder_layers(empty)):
        decoder_layers(model)[i] = layer
        Layer(checkpoint, dtype, layers[i], layer, empty, blocks[i].experts if i in blocks else 0)
    return model


def layer_paths(model: PreTrainedModel) -> list[str]:
    names = {module: name for name, module in model.named_modules()}
    return [names[layer] for layer in decoder_layers(model)]


def inside(name: str, paths: list[str]) -> bool:
    return any(name == path or name.startswith(path + ".") for path in paths)


def layer_of(tensor: str, paths: list[str]) -> int | None:
    """The layer that a tensor of a checkpoint belongs to: names differ in what stands before, as in model.layers.0."""
    for i, path in enumerate(paths):
        if re.search(rf"(?<![^.]){re.escape('.'.join(path.split('.')[-2:]))}\.", tensor):
            return i
    return None


class Layer:
    """Loads a layer before it runs, and takes its weights away again."""

    def __init__(self, checkpoint: Checkpoint, dtype: torch.dtype, path: str, layer: nn.Module,
                 empty: PreTrainedModel, experts: int) -> None:
        self._checkpoint = checkpoint
        self._dtype = dtype
        self._path = path
        self._layer = layer
        self._tensors = [name for name in checkpoint.names() if layer_of(name, [path]) is not None]
        self._modules = [name for name, _ in empty.named_modules()]
        self._stacks = next((name for name, module in layer.named_modules()
                             if name.split(".")[-1] == "experts" and are_stacks(module, experts)
                             and any(OF_EXPERT.search(tensor) for tensor in self._tensors)), None)
        self._experts = experts
        self._there: set[int] = set()
        layer.register_forward_pre_hook(lambda *_: self._load())
        layer.register_forward_hook(lambda *_: self._drop())
        if self._stacks is not None:
            layer.get_submodule(self._stacks).register_forward_pre_hook(
                lambda _, args, kwargs: self._choose((*args, *kwargs.values())), with_kwargs=True)

    def _load(self) -> None:
        modules, tensors = self._inside(self._path), self._tensors
        if self._stacks is not None:
            experts = self._inside(f"{self._path}.{self._stacks}")
            modules = [name for name in modules if name not in experts]
            tensors = [name for name in tensors if not OF_EXPERT.search(name)]
        part = self._checkpoint.part(modules, tensors, self._dtype).get_submodule(self._path)
        for name, value in weights(part):
            put(self._layer, name, value)
        if self._stacks is not None:
            for name, value in weights(self._layer.get_submodule(self._stacks)):
                # Pages of it that nothing is written to take no memory.
                put(self._layer, f"{self._stacks}.{name}", torch.empty(value.shape, dtype=self._dtype))
            self._there.clear()

    def _inside(self, path: str) -> list[str]:
        return [name for name in self._modules if inside(name, [path])]

    def _choose(self, inputs: tuple) -> None:
        """Loads the experts that an input names; all of them if none does."""
        ids = next((value for value in inputs if are_ids(value, self._experts)), torch.arange(self._experts))
        for expert in sorted(set(ids.flatten().tolist()) - self._there):
            self._load_expert(expert)
            self._there.add(expert)

    def _load_expert(self, expert: int) -> None:
        config = self._checkpoint.plain_config()
        for key in EXPERTS:
            if getattr(config, key, None) == self._experts:
                setattr(config, key, 1)
        stacks = f"{self._path}.{self._stacks}"
        renamed = {}
        for name in self._tensors:
            number = OF_EXPERT.search(name)
            if number is not None and int(number[1]) == expert:
                renamed[name] = name[:number.start(1)] + "0" + name[number.end(1):]
        part = self._checkpoint.part(self._inside(stacks), renamed, self._dtype, config).get_submodule(stacks)
        for name, value in weights(part):
            self._layer.get_submodule(self._stacks).get_parameter(name).data[expert] = value[0]

    def _drop(self) -> None:
        for name, value in weights(self._layer):
            put(self._layer, name, value.to("meta"))


def are_ids(value: object, experts: int) -> bool:
    """Whether an input can be the experts of each token, [T, k]; to torch, a mask of booleans is no float either."""
    return (isinstance(value, torch.Tensor) and value.ndim == 2 and value.dtype != torch.bool
            and not value.is_floating_point() and not value.is_complex()
            and bool(((value >= 0) & (value < experts)).all()))


def are_stacks(module: nn.Module, experts: int) -> bool:
    """Whether all that experts have lies in tensors with a row for each, and comes expert by expert."""
    values = [value for _, value in weights(module)]
    return bool(values) and all(value.ndim > 1 and len(value) == experts for value in values)


def weights(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from list(module.named_parameters())
    yield from list(module.named_buffers())


def put(module: nn.Module, name: str, value: torch.Tensor) -> None:
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    if isinstance(getattr(owner, leaf), nn.Parameter):
        value = nn.Parameter(value.detach(), requires_grad=False)
    setattr(owner, leaf, value)
