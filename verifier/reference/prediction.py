"""What a checkpoint's layers for multi-token prediction say, as the MtpLayer of transformers computes it."""

import torch
import transformers
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.masking_utils import create_causal_mask

from checkpoint import Checkpoint
from problem import Problem
from recorder import Selection, Tensors

try:
    from transformers.modeling_layers import MtpLayer
except ImportError:
    MtpLayer = None

# What such a layer has beside a decoder layer.
OWN = ("enorm.weight", "hnorm.weight", "eh_proj.weight", "shared_head.norm.weight")
EMBEDDING, HEAD = "embed_tokens.weight", "shared_head.head.weight"


def require_predictions(checkpoint: Checkpoint, selection: Selection) -> None:
    """Raises a Problem unless predictions() will have all that it needs."""
    if MtpLayer is None:
        raise Problem("--predictions: expected a transformers that has MtpLayer (5.18), found "
                      f"{transformers.__version__}; record without it.")
    count = prediction_layers(checkpoint)
    if count == 0:
        raise Problem(f"{checkpoint.folder}: expected num_nextn_predict_layers for --predictions, found none; "
                      "record without it.")
    layers, names = checkpoint.config.num_hidden_layers, set(checkpoint.names())
    for number in range(layers, layers + count):
        for wanted in (*([f"model.layers.{number}.{name}"] for name in OWN),
                       tables(checkpoint, number, EMBEDDING), tables(checkpoint, number, HEAD)):
            if names.isdisjoint(wanted):
                raise Problem(f"{checkpoint.folder}: expected {' or '.join(wanted)} for --predictions, as "
                              "DeepSeek-V3's tensors are called, found none; record without it.")
    if not selection.has("output", layers - 1):
        raise Problem(f"--predictions: expected that output of layer {layers - 1} is recorded too, found that "
                      "--layers or --tensors leaves it out; add it.")


def prediction_layers(checkpoint: Checkpoint) -> int:
    return getattr(checkpoint.config, "num_nextn_predict_layers", None) or 0


def prediction_bytes(checkpoint: Checkpoint, tokens: int) -> int:
    """Bytes of what predictions() makes of so many tokens, more than there are layers."""
    return sum(4 * (tokens - 1 - i) * checkpoint.config.vocab_size for i in range(prediction_layers(checkpoint)))


def predictions(checkpoint: Checkpoint, trace: Tensors, dtype: torch.dtype) -> Tensors:
    """Logits [T - 1 - i, V] of each layer i, from what a trace has of the last decoder layer."""
    layers = checkpoint.config.num_hidden_layers
    ids, found = trace["input_ids"], {}
    with torch.no_grad():
        hidden = decoder(checkpoint, ["model.norm"], ["model.norm.weight"], layers, dtype).model.norm(
            trace[f"layers.{layers - 1}.output"][None].to(dtype))
        for i in range(prediction_layers(checkpoint)):
            after = ids[None, i + 1:]
            hidden = layer(checkpoint, layers + i, after, hidden[:, :after.shape[1]], dtype)
            head = table(checkpoint, layers + i, HEAD, dtype)
            found[f"prediction.{i}.logits"] = nn.functional.linear(hidden, head)[0].float().contiguous()
    return found


def layer(checkpoint: Checkpoint, number: int, ids: torch.Tensor, hidden: torch.Tensor,
          dtype: torch.dtype) -> torch.Tensor:
    prefix = f"model.layers.{number}."
    of_block = [name for name in checkpoint.names() if name.startswith(prefix)
                and name.removeprefix(prefix) not in (*OWN, EMBEDDING, HEAD)]
    model = decoder(checkpoint, [prefix.rstrip("."), "model.rotary_emb"], of_block, number + 1, dtype)
    block = model.model.layers[number]
    found = MtpLayer(model.config, lambda *_: block, type(block.input_layernorm), 0)
    own = checkpoint.tensors({prefix + name: name for name in OWN})
    for module, name in zip((found.enorm, found.hnorm, found.eh_proj, found.post_norm), OWN, strict=True):
        module.weight = nn.Parameter(own[name].to(dtype), requires_grad=False)
    embedded = nn.functional.embedding(ids, table(checkpoint, number, EMBEDDING, dtype))
    # The token after each position stands one further; what is computed depends on distances alone.
    positions = torch.arange(1, ids.shape[1] + 1)[None]
    mask = create_causal_mask(config=model.config, inputs_embeds=embedded, attention_mask=None,
                              past_key_values=None, position_ids=positions)
    return found(embedded, hidden, model.model.rotary_emb(embedded, position_ids=positions), mask, positions, None)


def tables(checkpoint: Checkpoint, layer: int, own: str) -> list[str]:
    """Names of the layer's own table and of the model's, which may have one for both ends."""
    tied = checkpoint.config.tie_word_embeddings
    shared = ["lm_head.weight"] if own == HEAD else []
    shared += ["model.embed_tokens.weight"] if own == EMBEDDING or tied else []
    return [f"model.layers.{layer}.{own}", *shared]


def table(checkpoint: Checkpoint, layer: int, own: str, dtype: torch.dtype) -> torch.Tensor:
    """The first of these tables that is stored."""
    stored = set(checkpoint.names())
    name = next(name for name in tables(checkpoint, layer, own) if name in stored)
    return checkpoint.tensors({name: name})[name].to(dtype)


def decoder(checkpoint: Checkpoint, paths: list[str], tensors: list[str], layers: int,
            dtype: torch.dtype) -> PreTrainedModel:
    """The modules at some paths, of a model of so many layers."""
    config = checkpoint.plain_config()
    config.num_hidden_layers = layers
    for kinds in ("mlp_layer_types", "layer_types"):
        stated = getattr(config, kinds, None)
        if stated:
            # A list has none for layers after the last one, which are of the last one's kind.
            setattr(config, kinds, [*stated, *[stated[-1]] * (layers - len(stated))])
    with torch.device("meta"):
        modules = [name for name, _ in AutoModelForCausalLM.from_config(config).named_modules()]
    inside = [name for name in modules if any(name == path or name.startswith(path + ".") for path in paths)]
    return checkpoint.part(inside, tensors, dtype, config)
