#!/usr/bin/env python3
"""Converts a Mixtral or Qwen3-MoE checkpoint to GGUF, one tensor at a time, for llama.cpp.

Norms and routers become f32 and all else the chosen type, as with llama-quantize --pure. The
vocabulary only fills its place: prompts are token ids.
"""

import argparse
import json
import math
import re
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import quantize
from gguf.utility import SafetensorsLocal

EXPERT = re.compile(r"(.+\.experts)\.(\d+)\.(\w+)")
ARCHITECTURES = {"mixtral": gguf.MODEL_ARCH.LLAMA, "qwen3_moe": gguf.MODEL_ARCH.QWEN3MOE}

# What a config may say beyond sizes: anything else would need more than what is written here.
UNDERSTOOD = {
    "hidden_act": ("silu",),
    "sliding_window": (None,),
    "rope_scaling": (None,),
    "attention_bias": (False,),
    "norm_topk_prob": (True,),
    "decoder_sparse_step": (1,),
    "mlp_only_layers": ([], None),
}


def refuse_what_is_not_understood(config):
    if config["model_type"] not in ARCHITECTURES:
        sys.exit(f"config.json: model_type must be one of {list(ARCHITECTURES)}")
    for key, values in UNDERSTOOD.items():
        if config.get(key, values[0]) not in values:
            sys.exit(f"config.json: {key} must be {values[0]}, found {config[key]}")
    if config["model_type"] == "qwen3_moe" and not config.get("norm_topk_prob"):
        sys.exit("config.json: norm_topk_prob must be True, and is False unless it is there")


def sources(folder, names):
    """The tensors of the checkpoint that make up each tensor of the GGUF file, experts in order."""
    found = {}
    for file in sorted(folder.glob("model*.safetensors")):
        for key, tensor in SafetensorsLocal(file).tensors.items():
            stem = key.removesuffix(".weight")
            expert = EXPERT.fullmatch(stem)
            name = names.get_name(f"{expert[1]}.{expert[3]}" if expert else stem)
            if name is None:
                sys.exit(f"{file}: no tensor of llama.cpp's is like {key}")
            found.setdefault(f"{name}.weight", {})[int(expert[2]) if expert else 0] = tensor
    return {name: [parts[i] for i in range(len(parts))] for name, parts in sorted(found.items())}


def shape(name, parts):
    return (len(parts), *parts[0].shape) if is_expert(name) else parts[0].shape


def is_expert(name):
    return "_exps" in name


def kind(name, parts, experts, dense):
    if len(parts[0].shape) == 1 or "ffn_gate_inp" in name:
        return gguf.GGMLQuantizationType.F32
    return experts if is_expert(name) else dense


def floats(tensor):
    data = tensor.mmap_bytes()
    if tensor.dtype == "BF16":
        data = (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    elif tensor.dtype == "F32":
        data = data.view(np.float32)
    else:
        sys.exit(f"{tensor.data_range.filename}: expected BF16 or F32, found {tensor.dtype}")
    return data.reshape(tensor.shape)


def pairs_side_by_side(rows, heads):
    """Rotary pairs as llama.cpp's llama has them: next to each other, not half a head apart."""
    halves = rows.reshape(heads, 2, -1, rows.shape[1])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def values(name, parts, config, kind):
    rows = [floats(part) for part in parts]
    if config["model_type"] == "mixtral" and "attn_q" in name:
        rows = [pairs_side_by_side(rows[0], config["num_attention_heads"])]
    if config["model_type"] == "mixtral" and "attn_k" in name:
        rows = [pairs_side_by_side(rows[0], config["num_key_value_heads"])]
    written = [quantize(row, kind) for row in rows]
    return np.stack(written) if is_expert(name) else written[0]


def rope_theta(config):
    rope = config.get("rope_parameters") or {"rope_type": "default", "rope_theta": config["rope_theta"]}
    if rope["rope_type"] != "default":
        sys.exit(f"config.json: rope_type must be default, found {rope['rope_type']}")
    return rope["rope_theta"]


def add_config(writer, config):
    heads = config["num_attention_heads"]
    head = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    if "moe_intermediate_size" in config:
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    writer.add_expert_count(config.get("num_local_experts") or config["num_experts"])
    writer.add_expert_used_count(config["num_experts_per_tok"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(rope_theta(config))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def add_vocabulary(writer, size):
    token = gguf.TokenType
    pieces = [("<unk>", token.UNKNOWN), ("<s>", token.CONTROL), ("</s>", token.CONTROL)]
    pieces += [(f"<0x{byte:02X}>", token.BYTE) for byte in range(256)]
    pieces += [(f"<{id}>", token.NORMAL) for id in range(len(pieces), size)]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _ in pieces[:size]])
    writer.add_token_types([kind for _, kind in pieces[:size]])
    writer.add_token_scores([0.0] * size)


def main():
    types = {name: gguf.GGMLQuantizationType[name.upper()] for name in ("bf16", "f32", "q8_0", "q4_0")}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--type", choices=types, required=True)
    parser.add_argument("--dense", choices=types, help="of what is no expert; default: the same")
    arguments = parser.parse_args()
    experts = types[arguments.type]
    dense = types[arguments.dense or arguments.type]

    config = json.loads((arguments.checkpoint / "config.json").read_text())
    refuse_what_is_not_understood(config)
    architecture = ARCHITECTURES[config["model_type"]]
    names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    tensors = sources(arguments.checkpoint, names)
    kinds = {name: kind(name, parts, experts, dense) for name, parts in tensors.items()}

    writer = gguf.GGUFWriter(arguments.out, gguf.MODEL_ARCH_NAMES[architecture])
    add_config(writer, config)
    add_vocabulary(writer, config["vocab_size"])
    mostly = "ALL" if arguments.type == "f32" else "MOSTLY"
    writer.add_file_type(gguf.LlamaFileType[f"{mostly}_{arguments.type.upper()}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for name, parts in tensors.items():
        block, size = gguf.GGML_QUANT_SIZES[kinds[name]]
        of = shape(name, parts)
        writer.add_tensor_info(name, of, np.dtype(np.float32), math.prod(of) // block * size, kinds[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, parts in tensors.items():
        writer.write_tensor_data(values(name, parts, config, kinds[name]))
    writer.close()


if __name__ == "__main__":
    main()
