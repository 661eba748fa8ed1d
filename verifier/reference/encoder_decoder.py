"""Records models whose encoder reads a text first: what the layers of both stacks do with whole sequences.

transformers 5.18 runs the first experts of an NLLB for every token, whatever was routed. With `routed`
those run that its router chose, on the router's own weights; without, it is recorded as it is.
"""

import math
from collections.abc import Iterator

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from problem import Problem
from recorder import LAYER_STEPS, MOE_STEPS, Selection, Tensors, first

SWITCH, NLLB = "switch_transformers", "nllb-moe"
DROPPED = "router.dropped"


def start_token(config: PretrainedConfig) -> int | None:
    """What the decoder begins with; None of a model without an encoder."""
    if not config.is_encoder_decoder:
        return None
    if config.model_type not in (SWITCH, NLLB):
        raise Problem(f"config.json: expected of models with an encoder {SWITCH} or {NLLB}, found "
                      f"{config.model_type}; nothing is known of its layers.")
    if config.decoder_start_token_id is None:
        raise Problem("config.json: expected a decoder_start_token_id, found none.")
    return config.decoder_start_token_id


def layers(model: PreTrainedModel) -> Iterator[tuple[str, nn.Module, nn.Module | None]]:
    """The name of each layer, the layer, and its block with experts if it has one."""
    switch = model.config.model_type == SWITCH
    body = model if switch else model.model
    for stack, base in (("encoder", body.encoder), ("decoder", body.decoder)):
        for number, layer in enumerate(base.block if switch else base.layers):
            block = layer.layer[-1].mlp if switch else layer.ffn
            yield f"{stack}.layers.{number}", layer, block if hasattr(block, "router") else None


def has(selection: Selection, step: str) -> bool:
    return selection.has("router.experts" if step == DROPPED else step)


def sizes(model: PreTrainedModel, tokens: int, decoded: int, new_tokens: int,
          selection: Selection) -> dict[str, int]:
    """Bytes of each tensor of a trace, by name."""
    config = model.config
    values = {"input_ids": 2 * tokens, "decoder_input_ids": 2 * decoded}
    if new_tokens:
        values["generated_ids"] = 2 * new_tokens
    if selection.has("logits"):
        values["logits"] = decoded * config.vocab_size
    chosen = 1 if config.model_type == SWITCH else 2
    columns = {"router.logits": config.num_experts, "router.experts": chosen, "router.weights": chosen,
               DROPPED: chosen}
    for name, _, block in layers(model):
        rows = tokens if name.startswith("encoder") else decoded
        for step in (*LAYER_STEPS, *((*MOE_STEPS, DROPPED) if block is not None else ())):
            if has(selection, step):
                values[f"{name}.{step}"] = rows * columns.get(step, config.d_model)
    return {name: 4 * count for name, count in values.items()}


def dropped_of(chosen: torch.Tensor, experts: int, taken: int) -> torch.Tensor:
    """Which choices [T, k] find their expert with all that it takes."""
    waiting = torch.zeros(experts, dtype=torch.int64)
    dropped = torch.zeros(chosen.shape, dtype=torch.int32)
    for place in range(chosen.shape[1]):
        for token in range(chosen.shape[0]):
            expert = chosen[token, place]
            dropped[token, place] = int(waiting[expert] >= taken)
            waiting[expert] += 1
    return dropped


def likeliest(router: nn.Module, logits: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Each token's first expert [T], as both routers choose it: by shares rounded to what the model computes in."""
    return logits.softmax(-1, dtype=router.dtype).to(dtype).argmax(-1)


class Recorder:
    """Notes what layers and their experts do."""

    def __init__(self, model: PreTrainedModel, selection: Selection, routed: bool) -> None:
        self.trace: Tensors = {}
        self._model, self._selection, self._routed = model, selection, routed
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._blocks: list[nn.Module] = []
        for name, layer, block in layers(model):
            self._watch(name, layer)
            if block is not None:
                run = self._switched if model.config.model_type == SWITCH else self._translated
                block.forward = lambda x, *_, run=run, name=name, own=block, **__: run(name, own, x)
                self._blocks.append(block)

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
        for block in self._blocks:
            del block.forward

    def _watch(self, name: str, layer: nn.Module) -> None:
        def before(_: nn.Module, inputs: tuple, kwargs: dict) -> None:
            self._note(name, input=(inputs[0] if inputs else kwargs["hidden_states"])[0])

        def after(_: nn.Module, inputs: tuple, output: object) -> None:
            self._note(name, output=first(output)[0])

        self._handles += [layer.register_forward_pre_hook(before, with_kwargs=True),
                          layer.register_forward_hook(after)]

    def _note(self, name: str, **steps: torch.Tensor) -> None:
        for key, value in steps.items():
            step = key.replace("_", ".")
            if has(self._selection, step):
                dtype = torch.float32 if value.is_floating_point() else torch.int32
                self.trace[f"{name}.{step}"] = value.detach().to("cpu", dtype, copy=True).contiguous()

    def _switched(self, name: str, block: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """The class's own forward pass, and what it decided."""
        y = type(block).forward(block, x)
        mask, weights, logits = block.router(x)
        chosen = likeliest(block.router, logits[0], x.dtype)[:, None]
        dropped = (mask[0].sum(-1, keepdim=True) == 0).to(torch.int32)
        self._note(name, moe_input=x[0], router_logits=logits[0], router_experts=chosen, router_dropped=dropped,
                   router_weights=weights[0] * (1 - dropped), experts_output=y[0], moe_output=y[0])
        return y

    def _translated(self, name: str, block: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """The class's router, and experts as it says or as the class runs them."""
        flat = x[0]
        _, probabilities, logits = block.router(flat.clone())
        one = likeliest(block.router, logits, x.dtype)[:, None]
        # The second is chosen by logits, which are not rounded.
        chosen = torch.cat([one, logits.scatter(1, one, -math.inf).argmax(-1, keepdim=True)], dim=1)
        config = self._model.config
        fraction = config.moe_eval_capacity_token_fraction
        taken = math.ceil(fraction * len(flat)) if fraction > 0 else config.expert_capacity
        dropped = dropped_of(chosen, config.num_experts, taken)
        kept = probabilities.gather(1, chosen)
        # What the router kept is what was not dropped here, unless it has no weight at all.
        if not bool(((kept == 0) == (dropped == 1)).all()):
            raise Problem(f"{name}: expected the router to drop what finds its expert full, found other choices "
                          "dropped; this transformers routes otherwise.")
        weights = kept * (1 - config.moe_token_dropout)
        if self._routed:
            y = torch.zeros_like(flat)
            for token in range(len(flat)):
                for place in range(2):
                    expert = block.experts[f"expert_{chosen[token, place]}"]
                    y[token] += weights[token, place] * expert(flat[token])
        else:
            y = type(block).forward(block, x)[0]
        self._note(name, moe_input=flat, router_logits=logits, router_experts=chosen, router_dropped=dropped,
                   router_weights=weights, experts_output=y, moe_output=y)
        return y[None]


@torch.no_grad()
def record(model: PreTrainedModel, ids: torch.Tensor, decoder_ids: torch.Tensor, new_tokens: int,
           end_tokens: list[int], selection: Selection = Selection(), routed: bool = False) -> Tensors:
    """One forward pass over both sequences, and greedily what follows the token that the decoder begins with."""
    recorder = Recorder(model, selection, routed)
    ones = torch.ones(1, len(ids), dtype=torch.int64, device=model.device)

    def logits(decoded: torch.Tensor) -> torch.Tensor:
        return model(input_ids=ids[None].to(model.device), attention_mask=ones,
                     decoder_input_ids=decoded[None].to(model.device), use_cache=False).logits[0]

    try:
        generated = torch.tensor([start_token(model.config)])
        for _ in range(new_tokens):
            last = logits(generated)[-1]
            last[end_tokens] = -math.inf
            generated = torch.cat([generated, last.argmax()[None].cpu()])
        spoken = logits(decoder_ids)
    finally:
        recorder.close()
    trace = {"input_ids": ids.clone(), "decoder_input_ids": decoder_ids.clone(), **recorder.trace}
    if selection.has("logits"):
        trace["logits"] = spoken.to("cpu", torch.float32, copy=True).contiguous()
    if new_tokens:
        trace["generated_ids"] = generated[1:]
    return trace
