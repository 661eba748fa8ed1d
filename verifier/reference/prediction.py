"""What a checkpoint's layers for multi-token prediction say, as the MtpLayer of transformers computes it."""

from dataclasses import dataclass

import torch
import transformers
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.masking_utils import create_causal_mask

from checkpoint import AHEAD, Checkpoint
from problem import Problem
from recorder import Selection, Tensors

try:
    from transformers.modeling_layers import MtpLayer
except ImportError:
    MtpLayer = None

# What such a layer has beside a decoder layer: norms of embedding and hidden state, the projection of both, and
# the norm before its head; numbered after the decoder's layers, as DeepSeek has them, or apart, as Qwen has.
OWN = ("enorm.weight", "hnorm.weight", "eh_proj.weight", "shared_head.norm.weight")
OWN_APART = ("pre_fc_norm_embedding.weight", "pre_fc_norm_hidden.weight", "fc.weight", "norm.weight")
EMBEDDING, HEAD = "embed_tokens.weight", "shared_head.head.weight"


@dataclass(frozen=True)
class Names:
    """What the tensors of one such layer are called."""

    block: str
    own: tuple[str, ...]
    embedding: list[str]
    head: list[str]

    @staticmethod
    def of(checkpoint: Checkpoint, index: int) -> "Names":
        embedding = ["model.embed_tokens.weight"]
        head = ["lm_head.weight", *(embedding if checkpoint.config.tie_word_embeddings else [])]
        if apart(checkpoint):
            return Names(f"{AHEAD}layers.{index}.", tuple(AHEAD + name for name in OWN_APART), embedding, head)
        block = f"model.layers.{checkpoint.config.num_hidden_layers + index}."
        return Names(block, tuple(block + name for name in OWN), [block + EMBEDDING, *embedding], [block + HEAD, *head])


def require_predictions(checkpoint: Checkpoint, selection: Selection) -> None:
    """Raises a Problem unless predictions() will have all that it needs."""
    if MtpLayer is None:
        raise Problem("--predictions: expected a transformers that has MtpLayer (5.18), found "
                      f"{transformers.__version__}; record without it.")
    count = prediction_layers(checkpoint)
    if count == 0:
        raise Problem(f"{checkpoint.folder}: expected num_nextn_predict_layers for --predictions, or tensors "
                      f"{AHEAD}*, found none; record without it.")
    layers, stored = checkpoint.config.num_hidden_layers, set(checkpoint.names())
    for names in (Names.of(checkpoint, i) for i in range(count)):
        for wanted in (*([name] for name in names.own), names.embedding, names.head):
            if stored.isdisjoint(wanted):
                raise Problem(f"{checkpoint.folder}: expected {' or '.join(wanted)} for --predictions, as "
                              "DeepSeek-V3's or Qwen3.5's tensors are called, found none; record without it.")
    if not selection.has("output", layers - 1):
        raise Problem(f"--predictions: expected that output of layer {layers - 1} is recorded too, found that "
                      "--layers or --tensors leaves it out; add it.")


def apart(checkpoint: Checkpoint) -> set[str]:
    """The numbers of layers that are not numbered after the decoder's."""
    layers = AHEAD + "layers."
    return {name.removeprefix(layers).split(".")[0] for name in checkpoint.names() if name.startswith(layers)}


def prediction_layers(checkpoint: Checkpoint) -> int:
    return len(apart(checkpoint)) or getattr(checkpoint.config, "num_nextn_predict_layers", None) or 0


def prediction_bytes(checkpoint: Checkpoint, tokens: int) -> int:
    """Bytes of what predictions() makes of so many tokens, more than there are layers."""
    return sum(4 * (tokens - 1 - i) * checkpoint.config.vocab_size for i in range(prediction_layers(checkpoint)))


def predictions(checkpoint: Checkpoint, trace: Tensors, dtype: torch.dtype) -> Tensors:
    """Logits [T - 1 - i, V] of each layer i, from what a trace has of the last decoder layer."""
    layers = checkpoint.config.num_hidden_layers
    ids, found = trace["input_ids"], {}
    with torch.no_grad():
        norm = decoder(checkpoint, ["model.norm"], {"model.norm.weight": "model.norm.weight"}, layers, dtype).model.norm
        hidden = norm(trace[f"layers.{layers - 1}.output"][None].to(dtype))
        for i in range(prediction_layers(checkpoint)):
            names = Names.of(checkpoint, i)
            after = ids[None, i + 1:]
            hidden = layer(checkpoint, names, layers + i, after, hidden[:, :after.shape[1]], dtype)
            head = table(checkpoint, names.head, dtype)
            found[f"prediction.{i}.logits"] = nn.functional.linear(hidden, head)[0].float().contiguous()
    return found


def layer(checkpoint: Checkpoint, names: Names, number: int, ids: torch.Tensor, hidden: torch.Tensor,
          dtype: torch.dtype) -> torch.Tensor:
    beside = {*names.own, names.block + EMBEDDING, names.block + HEAD}
    module = f"model.layers.{number}"
    of_block = {name: f"{module}.{name.removeprefix(names.block)}" for name in checkpoint.names()
                if name.startswith(names.block) and name not in beside}
    model = decoder(checkpoint, [module, "model.rotary_emb"], of_block, number + 1, dtype)
    block = model.model.layers[number]
    found = MtpLayer(model.config, lambda *_: block, type(block.input_layernorm), 0)
    own = checkpoint.tensors({name: name for name in names.own})
    for part, name in zip((found.enorm, found.hnorm, found.eh_proj, found.post_norm), names.own, strict=True):
        part.weight = nn.Parameter(own[name].to(dtype), requires_grad=False)
    embedded = nn.functional.embedding(ids, table(checkpoint, names.embedding, dtype))
    # The token after each position stands one further; what is computed depends on distances alone.
    positions = torch.arange(1, ids.shape[1] + 1)[None]
    mask = create_causal_mask(config=model.config, inputs_embeds=embedded, attention_mask=None,
                              past_key_values=None, position_ids=positions)
    rotary = model.model.rotary_emb
    # A token of text has three equal positions where pictures have three.
    turned = positions.expand(3, 1, -1) if hasattr(rotary, "mrope_section") else positions
    return found(embedded, hidden, rotary(embedded, position_ids=turned), mask, positions, None)


def table(checkpoint: Checkpoint, names: list[str], dtype: torch.dtype) -> torch.Tensor:
    """The first of these tables that is stored: the layer's own, or one of the model's."""
    stored = set(checkpoint.names())
    name = next(name for name in names if name in stored)
    return checkpoint.tensors({name: name})[name].to(dtype)


def decoder(checkpoint: Checkpoint, paths: list[str], tensors: dict[str, str], layers: int,
            dtype: torch.dtype) -> PreTrainedModel:
    """The modules at some paths, of a model of so many layers."""
    config = checkpoint.plain_config()
    more = layers - config.num_hidden_layers
    config.num_hidden_layers = layers
    # A list has none for layers after the last one, which are of the last one's kind, but keep no state.
    for kinds in ("mlp_layer_types", "layer_types"):
        stated = getattr(config, kinds, None)
        if stated:
            last = "full_attention" if stated[-1] == "linear_attention" else stated[-1]
            setattr(config, kinds, [*stated, *[last] * more])
    if hasattr(config, "decoder_sparse_step"):
        # They have experts, whatever layers of the decoder do.
        config.decoder_sparse_step, config.mlp_only_layers = 1, []
    with torch.device("meta"):
        modules = [name for name, _ in AutoModelForCausalLM.from_config(config).named_modules()]
    inside = [name for name in modules if any(name == path or name.startswith(path + ".") for path in paths)]
    return checkpoint.part(inside, tensors, dtype, config)
