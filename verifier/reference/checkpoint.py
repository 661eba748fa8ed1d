"""Loads a Hugging Face checkpoint to compute in a given dtype, what is quantised dequantised."""

import copy
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
import transformers
from torch import nn
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from problem import Problem

Tensors = dict[str, torch.Tensor]

SCALE = "_scale_inv"
COMPRESSED, COMPRESSED_SCALE = "compressed-tensors", "_scale"
# What compressed-tensors calls eight numbers of four bits in one, and the shape of the matrix.
PACKED, STATED = ".weight_packed", "_shape"
# Model types that transformers does not have by that name, and whose it runs.
BODIES = {"kimi_k2": "deepseek_v3"}
# Models within others: the object of config.json, what names of tensors begin with, and with what by themselves.
WITHIN = {"kimi_k25": ("text_config", "language_model.", ""),
          "qwen3_5_moe": ("text_config", "model.language_model.", "model."),
          "gemma4": ("text_config", "model.language_model.", "model."),
          "llama4": ("text_config", "language_model.", "")}
# What the scales of DeepSeek-V4 are called where their matrix is called .weight: of fp8, and of fp4 tagged int8.
BESIDE = ".scale"
HEAD = "lm_head.weight"
# What names of layers for multi-token prediction begin with where these are not numbered after the decoder's.
AHEAD = "mtp."
MXFP4 = "mxfp4"
# What the two halves of a matrix in mxfp4 are called after its name.
NUMBERS, EXPONENTS = "_blocks", "_scales"
# The values of its sixteen numbers.
E2M1 = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6])
DTYPE_NAMES = {
    "BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64", "F8_E4M3": "float8_e4m3fn",
    "U8": MXFP4, "I8": MXFP4,
}
# Before 5 every implementation of experts was a loop, and none could be asked for.
BEFORE_5 = int(transformers.__version__.split(".")[0]) < 5


class Checkpoint:
    """A folder with config.json and safetensors. Weights are read by load() only."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "config.json").is_file():
            raise Problem(f"{folder}: expected a checkpoint with config.json, found none.")
        self.folder = folder
        stated = read_object(folder / "config.json")
        within, self._prefix, self._own = WITHIN.get(str(stated.get("model_type")), ("", "", ""))
        # What is said of the whole holds of the part.
        whole = {key: stated[key] for key in ("quantization_config", "tie_word_embeddings") if within and key in stated}
        stated = whole | stated.get(within, stated)
        if BEFORE_5 and "rope_parameters" in read_object(folder / "config.json"):
            raise Problem(f"{folder}: expected config.json as transformers {transformers.__version__} reads it, "
                          "found rope_parameters, which it would ignore; use transformers 5.")
        try:
            self.config: PretrainedConfig = own_config(folder, stated)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Problem(f"{folder}: transformers {transformers.__version__} cannot read config.json: "
                          f"{first_line(error)}") from error
        self._block = block_size(folder, self.config)
        self._files = weight_files(folder)
        options = getattr(self.config, "quantization_config", None) or {}
        self._scale = COMPRESSED_SCALE if options.get("quant_method") == COMPRESSED else SCALE
        self._found: dict[str, Path] = {}
        # What it calls a tensor of a model within another.
        self._stored: dict[str, str] = {}
        # Tensors that no part of the model has.
        self.left_out: set[str] = set()

    def skeleton(self, dtype: torch.dtype | None = None) -> PreTrainedModel:
        """The model without its weights."""
        options = {} if dtype is None else self._options(dtype)
        with torch.device("meta"):
            return causal_model(self.plain_config(), **options).eval()

    def end_tokens(self) -> list[int]:
        """The tokens that end a text: generation_config.json, else config.json, as the verifier reads them.

        One outside the vocabulary can never be chosen, and so ends nothing.
        """
        vocabulary = self.config.get_text_config().vocab_size
        stated = []
        for name in ("generation_config.json", "config.json"):
            file = self.folder / name
            value = read_object(file).get("eos_token_id") if file.is_file() else None
            if value is None:
                continue
            ids = value if isinstance(value, list) else [value]
            for id in ids:
                # To Python, true is a whole number.
                if type(id) is not int or not -1 << 63 <= id < 1 << 63:
                    raise Problem(f"{file}: expected as eos_token_id the number of a token, or a list of such "
                                  f"numbers, found {json.dumps(id)}; correct the file.")
            stated.append(ids)
        return [id for id in stated[0] if 0 <= id < vocabulary] if stated else []

    def weights_dtype(self) -> str:
        """The stored type of most of the weights."""
        sizes: Counter[str] = Counter()
        for file in self._files:
            with open_weights(file) as weights:
                for name in weights.keys():
                    part = weights.get_slice(name)
                    sizes[part.get_dtype()] += math.prod(part.get_shape())
        most = sizes.most_common(1)[0][0]
        return DTYPE_NAMES.get(most, most)

    def load(self, dtype: torch.dtype, device: str) -> tuple[PreTrainedModel, list[str]]:
        """The model, and the tensors of the checkpoint that it does not have.

        It is made in that dtype from the start: a cast afterwards would round rotary frequencies.
        Experts are eager because torch's grouped product refuses rows not a multiple of 16 bytes.
        """
        kind = type(self.skeleton())
        if self._block or self._prefix or getattr(self.config, "zero_expert_num", 0):
            model, found = self._loaded(
                kind, None, dtype, self.plain_config(), {name: name for name in self.names()})
        else:
            model, found = self._loaded(kind, self.folder, dtype, self.plain_config())
        left_out = [name for name in found["unexpected_keys"] if not name.endswith(self._scale)]
        return model.to(device), sorted(left_out)

    def part(self, modules: Iterable[str], tensors: Iterable[str] | Mapping[str, str], dtype: torch.dtype,
             config: PretrainedConfig | None = None) -> PreTrainedModel:
        """The model with these modules, and those on the way to them, and nothing else.

        tensors: those of the checkpoint that belong to it, or by name what to take each for
        config: where it is another than the checkpoint's
        """
        empty = self.skeleton()
        whole = type(empty)
        kept = set(modules)
        config = config or self.plain_config()
        if not any(module is empty.get_output_embeddings() and name in kept
                   for name, module in empty.named_modules()):
            # There is nothing to tie the embedding to.
            config.get_text_config().tie_word_embeddings = False

        class Part(whole):  # type: ignore[misc, valid-type]
            def __init__(self, config: PretrainedConfig) -> None:
                super().__init__(config)
                take_out(self, "", kept)

        # Transformers goes by names here and there.
        Part.__name__, Part.__qualname__, Part.__module__ = whole.__name__, whole.__qualname__, whole.__module__
        names = dict(tensors) if isinstance(tensors, Mapping) else {name: name for name in tensors}
        model, found = self._loaded(Part, None, dtype, config, names, kept)
        self.left_out |= {name for name in found["unexpected_keys"] if not name.endswith(self._scale)}
        return model

    def names(self) -> list[str]:
        """Of every tensor."""
        return list(self._places())

    def bytes_to_load(self, dtype: torch.dtype) -> int:
        """What load() takes of memory."""
        each = torch.empty(0, dtype=dtype).element_size() + (4 if self._block else 0)
        return each * sum(value.numel() for value in self.skeleton().parameters())

    def _options(self, dtype: torch.dtype) -> dict[str, object]:
        options: dict[str, object] = {"dtype": dtype, "attn_implementation": "eager"}
        if not BEFORE_5:
            options["experts_implementation"] = "eager"
        return options

    def _loaded(self, kind: type[PreTrainedModel], folder: Path | None, dtype: torch.dtype,
                config: PretrainedConfig, names: Mapping[str, str] | None = None,
                modules: set[str] | None = None) -> tuple[PreTrainedModel, dict[str, list[str]]]:
        """A model from a folder, or from tensors of the checkpoint by the names to take them for.

        modules: those whose weights must be there; None for all
        """
        options = self._options(dtype) | {
            "config": config, "output_loading_info": True, "local_files_only": True}
        if names is not None:
            options["state_dict"] = with_identities(self.tensors(names), config)
        try:
            model, found = kind.from_pretrained(folder, **options)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise Problem(f"{self.folder}: transformers {transformers.__version__} cannot load it: "
                          f"{first_line(error)}") from error
        for what in ("missing_keys", "mismatched_keys"):
            names_of = [key if isinstance(key, str) else key[0] for key in found[what]]
            wanted = sorted(name for name in names_of if modules is None or name.rpartition(".")[0] in modules)
            if wanted:
                raise Problem(f"{self.folder}: expected every weight of the model, found "
                              f"{what.replace('_', ' ')}, such as {wanted[0]}.")
        return model.eval(), found

    def plain_config(self) -> PretrainedConfig:
        """The configuration of the model as it computes: without what its weights are stored as."""
        config = copy.deepcopy(self.config)
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        return config

    def _places(self) -> dict[str, Path]:
        """The file of every tensor of the model; of one within another its own name."""
        if not self._found:
            for file in self._files:
                with open_weights(file) as weights:
                    for stored in weights.keys():
                        beside = stored == HEAD or stored.startswith(AHEAD)
                        if beside or stored.startswith(self._prefix):
                            name = stored if beside else self._own + stored[len(self._prefix):]
                            self._found[name], self._stored[name] = file, stored
        return self._found

    def tensors(self, names: Mapping[str, str]) -> Tensors:
        """Tensors by the names to take them for; quantised ones as float32 products of value and block scale."""
        stored: Tensors = {}
        for file in sorted({self._places()[name] for name in names}):
            with open_weights(file) as weights:
                stored |= {names[name]: weights.get_tensor(self._stored[name]) for name in names
                           if self._places()[name] == file}
        for name in [name for name in stored if name.endswith(NUMBERS)]:
            matrix = name.removesuffix(NUMBERS)
            if matrix + EXPONENTS not in stored:
                raise Problem(f"{self.folder}: expected {matrix}{EXPONENTS} beside {name}, found none.")
            stored[matrix] = decoded(stored.pop(name), stored.pop(matrix + EXPONENTS))
        for name in [name for name in stored if name.endswith(PACKED)]:
            matrix = name.removesuffix(PACKED) + ".weight"
            if matrix + self._scale not in stored or matrix + STATED not in stored or not self._block:
                raise Problem(f"{self.folder}: expected scale and shape beside {name}, found not both.")
            shape = torch.Size(stored.pop(matrix + STATED).tolist())
            scale = stored.pop(matrix + self._scale).float()
            stored[matrix] = unpacked(stored.pop(name))[:, :shape[1]] * spread(scale, shape, self._block)
        # Without blocks, something else may have that name (gemma4's router).
        for name in [name for name in stored if self._block and name.endswith(BESIDE)]:
            matrix = name.removesuffix(BESIDE) + ".weight"
            if matrix not in stored:
                raise Problem(f"{self.folder}: expected {matrix} beside {name}, found none.")
            value, scale = stored.pop(matrix), stored.pop(name).float()
            if value.dtype == torch.int8:
                halves = paired(value.view(torch.uint8))
                stored[matrix] = E2M1[halves] * spread(scale, halves.shape, [1, 32])
            else:
                stored[matrix] = value.float() * spread(scale, value.shape, self._block)
        scales = {name: stored.pop(name) for name in list(stored) if name.endswith(self._scale)}
        for name, value in stored.items():
            scale = scales.pop(name + self._scale, None)
            if (scale is None) == (value.dtype == torch.float8_e4m3fn):
                raise Problem(f"{self.folder}: expected {name} to be fp8 with {name}{self._scale}, or neither, "
                              f"found {value.dtype} and {'a' if scale is not None else 'no'} scale.")
            if scale is not None and self._block:
                stored[name] = value.float() * spread(scale.float(), value.shape, self._block)
        if scales:
            raise Problem(f"{self.folder}: expected a weight for every scale, "
                          f"found none for {sorted(scales)[0]}.")
        return stored


def with_identities(stored: Tensors, config: PretrainedConfig) -> Tensors:
    """With zeros for the matrices of experts that do nothing, which transformers asks for and no release has."""
    first = getattr(config, "n_routed_experts", 0)
    for name in [name for name in stored if ".experts.0." in name and "down_proj" not in name]:
        for expert in range(first, first + (getattr(config, "zero_expert_num", 0) or 0)):
            stored.setdefault(name.replace(".experts.0.", f".experts.{expert}."), torch.zeros_like(stored[name]))
    return stored


def causal_model(config: PretrainedConfig, **options: object) -> PreTrainedModel:
    """The language model of a configuration: transformers does not list the class of every family."""
    if type(config) in AutoModelForCausalLM._model_mapping:
        return AutoModelForCausalLM.from_config(config, **options)
    names = config.architectures or []
    kind = getattr(transformers, names[0], None) if len(names) == 1 else None
    if kind is None or kind.config_class is not type(config):
        raise Problem(f"config.json: expected a model_type that transformers {transformers.__version__} has a "
                      f"language model for, found {config.model_type} and architectures {json.dumps(names)}.")
    return kind._from_config(config, **options)


def take_out(module: nn.Module, path: str, kept: set[str]) -> None:
    """Puts nothing in the place of every module that is neither kept nor on the way to one that is."""
    for name, child in module.named_children():
        at = f"{path}.{name}" if path else name
        if at in kept or any(other.startswith(at + ".") for other in kept):
            take_out(child, at, kept)
        else:
            setattr(module, name, nn.Identity())


def block_size(folder: Path, config: PretrainedConfig) -> list[int] | None:
    """Rows and columns of a block; None if the checkpoint is not quantised."""
    options = getattr(config, "quantization_config", None)
    if options is None:
        return None
    if options.get("quant_method") == MXFP4:
        return [1, 32]
    if options.get("quant_method") == COMPRESSED:
        return compressed_block(folder, options)
    block = options.get("weight_block_size")
    if options.get("quant_method") != "fp8" or not block or len(block) != 2:
        raise Problem(f"{folder}: expected weights that are not quantised, fp8 with weight_block_size, mxfp4, or "
                      f"{COMPRESSED}, found {json.dumps(options, default=str)}; dequantise the checkpoint first.")
    return list(block)


def compressed_block(folder: Path, options: dict[str, object]) -> list[int]:
    """Of the formats of compressed-tensors that a scale for each row, or for some of its columns, suffices for."""
    groups = [group["weights"] for group in options["config_groups"].values()]
    sizes = {group.get("group_size") or 1 << 30 for group in groups}
    kinds = {(options["format"], group["type"], group["num_bits"], group["strategy"]) for group in groups}
    known = {("float-quantized", "float", 8, "channel"), ("pack-quantized", "int", 4, "group")}
    if len(sizes) != 1 or not kinds <= known or not all(group["symmetric"] for group in groups):
        raise Problem(f"{folder}: expected fp8 with a scale for each row, or symmetric int4 in groups, "
                      f"found {json.dumps(options, default=str)}; dequantise the checkpoint first.")
    return [1, sizes.pop()]


def own_config(folder: Path, stated: dict[str, object]) -> PretrainedConfig:
    """What config.json says of the model that computes; of one that transformers knows, it reads it itself."""
    kind = str(stated.get("model_type"))
    if kind not in BODIES and stated == read_object(folder / "config.json"):
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    own = {key: value for key, value in stated.items() if key not in ("auto_map", "model_type")}
    return AutoConfig.for_model(BODIES.get(kind, kind), **own)


def weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        places = read_object(index).get("weight_map")
        if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
            raise Problem(f"{index}: expected a weight_map that names the file of each tensor, found none; "
                          "fetch the checkpoint again.")
        names = sorted(set(places.values()))
    else:
        names = ["model.safetensors"]
    for name in names:
        if not (folder / name).is_file():
            raise Problem(f"{folder}: expected {name}, found no such file.")
    return [folder / name for name in names]


def read_object(file: Path) -> dict[str, object]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Problem(f"{file}: cannot be read as JSON: {first_line(error)}; fetch the checkpoint again.") from error
    if not isinstance(found, dict):
        raise Problem(f"{file}: expected a JSON object, found a {type(found).__name__}; "
                      "fetch the checkpoint again.")
    return found


def open_weights(file: Path) -> safe_open:
    try:
        return safe_open(file, framework="pt")
    except SafetensorError as error:
        raise Problem(f"{file}: cannot be read as safetensors: {first_line(error)}") from error


def spread(grid: torch.Tensor, shape: torch.Size, block: list[int]) -> torch.Tensor:
    """One value per block becomes one per element."""
    rows = grid.repeat_interleave(block[0], 0)[:shape[0]]
    return rows.repeat_interleave(min(block[1], shape[1]), 1)[:, :shape[1]]


def paired(numbers: torch.Tensor) -> torch.Tensor:
    """Two codes of four bits a byte, the low half first."""
    return torch.stack([numbers & 15, numbers >> 4], dim=-1).flatten(-2).long()


def decoded(numbers: torch.Tensor, exponents: torch.Tensor) -> torch.Tensor:
    """Matrices [E, R, C] in mxfp4, as the class has them, [E, C, R]: two numbers a byte, the low half first."""
    values = torch.ldexp(E2M1[paired(numbers)], exponents.int().unsqueeze(-1) - 127)
    return values.flatten(-2).transpose(1, 2).contiguous()


def unpacked(values: torch.Tensor) -> torch.Tensor:
    """Numbers of four bits, eight to a value, the first in its lowest bits, 8 added."""
    shifts = torch.arange(0, 32, 4, dtype=torch.int32)
    return ((values.unsqueeze(-1) >> shifts & 15) - 8).flatten(-2).float()


def first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
