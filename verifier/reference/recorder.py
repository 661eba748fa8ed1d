"""Records forward passes of a Hugging Face mixture of experts; format-spec/TRACE.md describes them.

Nothing here knows a family. Decoder layers, routers and experts are found by structure:

- the decoder layers are the first list of as many modules as the configuration has layers, by
  `num_layers` where it counts the attentions of a layer as layers (longcat_flash);
- a block with experts has a child `gate` or `router` that holds a matrix [experts, hidden];
- router logits are the first value [tokens, experts] made while the router runs;
- chosen experts and weights are what the experts are called with, as a module (transformers 5) or as
  the block's method `moe` (4.57). Where the block itself loops over its experts (4.57), they are the
  last whole numbers [tokens, k] and the last fractions of that shape made before the first expert
  runs, and the experts' output is what the block adds their outputs up in;
- where that block is the decoder layer itself, router and experts read the residual stream, and what
  they and the network beside them make is the first sum after the experts;
- where every expert runs on every token, its inputs scaled (llama4), the chosen are those whose scores,
  the first value [tokens, experts] that the router returns, are not zero;
- shared experts that stand beside the block (granitemoeshared) are the layer's other modules that are
  called with what the block was called with: the block's output holds theirs.

What cannot be had so is left out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from transformers import PretrainedConfig, PreTrainedModel

from permutation import permuted
from problem import Problem

Tensors = dict[str, torch.Tensor]

LAYER_STEPS = ("input", "output")
MOE_STEPS = ("moe.input", "moe.output", "router.logits", "router.experts", "router.weights", "experts.output")
STEPS = ("logits", *LAYER_STEPS, *MOE_STEPS)


@dataclass(frozen=True)
class Selection:
    """What a trace shall hold beside its ids; None is everything.

    permuted: also the logits of the model with its experts in another order
    """

    steps: frozenset[str] | None = None
    layers: frozenset[int] | None = None
    permuted: bool = False

    def has(self, step: str, layer: int | None = None) -> bool:
        return ((self.steps is None or step in self.steps)
                and (self.layers is None or layer is None or layer in self.layers))


EVERYTHING = Selection()


@dataclass
class Block:
    """A block with experts, and what was seen of the pass through it."""

    layer: int
    module: nn.Module
    router: nn.Module
    experts: int
    is_layer: bool = False
    joining: bool = False
    tokens: int = 0
    input: torch.Tensor | None = None
    inside_router: bool = False
    choosing: bool = True
    last_experts: torch.Tensor | None = None
    last_weights: dict[torch.Size, torch.Tensor] = field(default_factory=dict)
    last_sum: torch.Tensor | None = None
    scores: torch.Tensor | None = None

    def loop(self) -> Iterator[nn.Module]:
        """What runs once the experts are chosen, if the block itself loops over them."""
        experts = getattr(self.module, "experts", None)
        if isinstance(experts, nn.ModuleList):
            yield from experts
        elif experts is None:
            yield from (child for child in self.module.children() if child is not self.router)

    def loops(self) -> bool:
        return not hasattr(self.module, "moe") and any(True for _ in self.loop())


def text_config(model: PreTrainedModel) -> PretrainedConfig:
    return model.config.get_text_config()


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    config = text_config(model)
    count = getattr(config, "num_layers", config.num_hidden_layers)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise Problem(f"{type(model).__name__}: expected a list of {count} decoder layers, found none.")


def find_blocks(model: PreTrainedModel) -> list[Block]:
    hidden = text_config(model).hidden_size
    blocks = []
    for layer, root in enumerate(decoder_layers(model)):
        for module in root.modules():
            router = getattr(module, "gate", None) or getattr(module, "router", None)
            if not isinstance(router, nn.Module):
                continue
            rows = [p.shape[0] for p in router.parameters() if p.ndim == 2 and p.shape[1] == hidden]
            if rows:
                blocks.append(Block(layer, module, router, rows[0], module is root))
                break
    return blocks


def sizes(model: PreTrainedModel, tokens: int, new_tokens: int, selection: Selection) -> dict[str, int]:
    """Bytes of each tensor of a trace, by name; at most so many where k cannot be told."""
    config = text_config(model)
    hidden, vocabulary = config.hidden_size, config.vocab_size
    values = {"input_ids": 2 * tokens}
    if new_tokens:
        values["generated_ids"] = 2 * new_tokens
    if selection.has("logits"):
        values["logits"] = tokens * vocabulary
    if selection.permuted:
        values["permuted.logits"] = tokens * vocabulary
    blocks = {block.layer: block for block in find_blocks(model)}
    for layer in range(len(decoder_layers(model))):
        steps = dict.fromkeys(LAYER_STEPS, hidden)
        if layer in blocks:
            experts = blocks[layer].experts
            chosen = getattr(config, "num_experts_per_tok", experts)
            steps |= {"moe.input": hidden, "moe.output": hidden, "router.logits": experts,
                      "router.experts": chosen, "router.weights": chosen, "experts.output": hidden}
        values |= {f"layers.{layer}.{step}": tokens * columns
                   for step, columns in steps.items() if selection.has(step, layer)}
    return {name: 4 * count for name, count in values.items()}


class Recorder(TorchFunctionMode):
    """Keeps what a pass computes, as float32 on the CPU; whole numbers as TRACE.md says."""

    def __init__(self, model: PreTrainedModel, selection: Selection) -> None:
        super().__init__()
        self.trace: Tensors = {}
        self._selection = selection
        self._hidden = text_config(model).hidden_size
        self._block: Block | None = None
        self._undo: list[Callable[[], None]] = []
        layers = decoder_layers(model)
        for layer, module in enumerate(layers):
            self._on_call(module, self._layer(layer))
        for block in find_blocks(model):
            self._watch(block)
            for child in layers[block.layer].children():
                if block.module not in child.modules():
                    self._on_call(child, self._beside(block))

    def close(self) -> None:
        for undo in self._undo:
            undo()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._block is not None:
            made = result if isinstance(result, tuple) else (result,)
            for value in made:
                if isinstance(value, torch.Tensor):
                    self._see(self._block, getattr(func, "__name__", ""), value)
        return result

    def _see(self, block: Block, operation: str, value: torch.Tensor) -> None:
        step = f"layers.{block.layer}.router.logits"
        if (block.inside_router and step not in self.trace and value.is_floating_point()
                and value.shape[-1:] == (block.experts,) and value.numel() == block.tokens * block.experts):
            self._keep(block.layer, "router.logits", value)
        if block.choosing and value.ndim == 2 and len(value) == block.tokens:
            # Which experts are hit, or token by expert, is not who was chosen.
            if not value.is_floating_point() and operation != "nonzero" and value.shape[1] != block.experts:
                block.last_experts = value
            if value.is_floating_point():
                block.last_weights[value.shape] = value
        if operation in ("index_add_", "index_add"):
            block.last_sum = value
        if block.joining and operation == "add" and value.numel() == block.tokens * self._hidden:
            self._keep(block.layer, "moe.output", value)
            block.joining = False

    def _keep(self, layer: int, step: str, value: torch.Tensor) -> None:
        if self._selection.has(step, layer):
            dtype = torch.int32 if step == "router.experts" else torch.float32
            rows = value.detach().reshape(-1, value.shape[-1])
            self.trace[f"layers.{layer}.{step}"] = rows.to("cpu", dtype, copy=True).contiguous()

    def _on_call(self, module: nn.Module, record: Callable[[tuple, Any], None],
                 before: Callable[[tuple], None] = lambda inputs: None) -> None:
        def inputs(args: tuple, kwargs: dict) -> tuple:
            return (*args, *kwargs.values())

        handles = (
            module.register_forward_pre_hook(
                lambda _, args, kwargs: before(inputs(args, kwargs)), with_kwargs=True),
            module.register_forward_hook(
                lambda _, args, kwargs, output: record(inputs(args, kwargs), output), with_kwargs=True),
        )
        self._undo += [handle.remove for handle in handles]

    def _layer(self, layer: int) -> Callable[[tuple, Any], None]:
        def record(inputs: tuple, output: Any) -> None:
            self._keep(layer, "input", inputs[0])
            self._keep(layer, "output", first(output))
        return record

    def _beside(self, block: Block) -> Callable[[tuple, Any], None]:
        def record(inputs: tuple, output: Any) -> None:
            step = f"layers.{block.layer}.moe.output"
            if inputs and inputs[0] is block.input and step in self.trace:
                self.trace[step] += first(output).detach().reshape(-1, self._hidden).to("cpu", torch.float32)
        return record

    def _watch(self, block: Block) -> None:
        def enter(inputs: tuple) -> None:
            block.input = inputs[0]
            block.tokens = inputs[0].numel() // self._hidden
            self._block = block
            if not block.is_layer:
                self._keep(block.layer, "moe.input", inputs[0])

        def leave(inputs: tuple, output: Any) -> None:
            self._block = None
            if not block.is_layer:
                self._keep(block.layer, "moe.output", first(output))
            if block.loops() and block.last_experts is not None:
                self._chosen(block, (block.last_experts, *block.last_weights.values()), block.last_sum)

        def enter_router(inputs: tuple) -> None:
            block.inside_router = True
            if block.is_layer:
                self._keep(block.layer, "moe.input", inputs[0])

        def leave_router(inputs: tuple, output: Any) -> None:
            block.inside_router = False
            block.scores = first(output)

        def no_more_choosing(inputs: tuple) -> None:
            block.choosing = False

        def experts(inputs: tuple, output: Any) -> None:
            block.joining = block.is_layer
            if len(inputs) == 1:
                self._scaled(block, first(output))
            else:
                self._chosen(block, inputs[1:], first(output))

        self._on_call(block.module, leave, enter)
        self._on_call(block.router, leave_router, enter_router)
        method = getattr(block.module, "moe", None)
        if method is not None:
            def moe(*inputs: torch.Tensor) -> torch.Tensor:
                output = method(*inputs)
                experts(inputs, output)
                return output

            block.module.moe = moe
            self._undo.append(lambda: delattr(block.module, "moe"))
        elif block.loops():
            for module in block.loop():
                self._on_call(module, lambda inputs, output: None, no_more_choosing)
        else:
            self._on_call(block.module.experts, experts)

    def _chosen(self, block: Block, values: tuple, output: torch.Tensor | None) -> None:
        """Keeps the experts among the values, the weights that go with them, and their sum."""
        values = tuple(value for value in values if isinstance(value, torch.Tensor))
        ids = next((value for value in values if not value.is_floating_point()), None)
        if ids is None or output is None:
            return
        weights = next((value for value in values if value.is_floating_point() and value.shape == ids.shape), None)
        if weights is None:
            every = (value for value in values if value.shape == (block.tokens, block.experts))
            weights = next(every).gather(1, ids)
        self._keep(block.layer, "router.experts", ids)
        self._keep(block.layer, "router.weights", weights)
        self._keep(block.layer, "experts.output", output)

    def _scaled(self, block: Block, output: torch.Tensor) -> None:
        """Keeps the same where the output has a row for each expert and token."""
        scores = block.scores
        if scores is None or scores.shape != (block.tokens, block.experts):
            return
        chosen = (scores != 0).sum(1)
        if len(output) == scores.numel() and bool((chosen == chosen[0]).all()):
            weights, ids = scores.topk(int(chosen[0]))
            outputs = output.reshape(block.experts, block.tokens, -1)
            self._chosen(block, (ids, weights), outputs.sum(0))


def first(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output


def record(model: PreTrainedModel, ids: torch.Tensor, new_tokens: int, end_tokens: list[int],
           selection: Selection = EVERYTHING) -> Tensors:
    """One forward pass over the ids [T] and a greedy continuation, dense layers included."""
    recorder = Recorder(model, selection)
    try:
        with recorder:
            logits = forward(model, ids)
    finally:
        recorder.close()
    trace = {"input_ids": ids.clone(), **recorder.trace}
    if selection.has("logits"):
        trace["logits"] = logits
    if selection.permuted:
        with permuted(model, find_blocks(model)):
            trace["permuted.logits"] = forward(model, ids)
    if new_tokens:
        trace["generated_ids"] = continuation(model, ids, new_tokens, end_tokens)
    return trace


def forward(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Logits, as float32 on the CPU."""
    with torch.no_grad():
        logits = model(ids[None].to(model.device), use_cache=False).logits[0]
    return logits.to("cpu", torch.float32, copy=True).contiguous()


def continuation(model: PreTrainedModel, ids: torch.Tensor, new_tokens: int,
                 end_tokens: list[int]) -> torch.Tensor:
    """The tokens of largest logit, one after the other, those that end a text never chosen."""
    sequence = ids.tolist()
    with torch.no_grad():
        for _ in range(new_tokens):
            logits = model(torch.tensor([sequence], device=model.device), use_cache=False).logits[0, -1]
            logits[end_tokens] = -torch.inf
            sequence.append(int(logits.argmax()))
    return torch.tensor(sequence[len(ids):])
