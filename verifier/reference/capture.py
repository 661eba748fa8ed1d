"""Records traces of a Hugging Face mixture of experts, in the format of format-spec/TRACE.md.

    python capture.py CHECKPOINT --prompt "Once upon a time" --new-tokens 16 --output trace.safetensors
    python capture.py CHECKPOINT --random-ids 16-32 --seed 0-19 --dtype float32,bfloat16 --output FOLDER

One trace for each sequence. A file is written under a temporary name and renamed; none is replaced.
Ends with 0, with 1 if it cannot record what is asked for, with 2 if an argument means nothing, and with
128 and the number of the signal if it is stopped.
"""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import (
    AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast)

import encoder_decoder
from checkpoint import Checkpoint, first_line
from encoder_decoder import start_token
from prediction import prediction_bytes, prediction_layers, predictions, require_predictions
from problem import Problem
from recorder import STEPS, Selection, Tensors, decoder_layers, record, sizes, text_config
from streaming import streamed

# Of version 2 of control groups, and of version 1.
CGROUP_LIMITS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")
DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}


@dataclass(frozen=True)
class Input:
    """A sequence to record: a name for its file, its ids, where they are from, and what a decoder reads."""

    name: str
    ids: list[int]
    metadata: dict[str, str]
    decoded: list[int] | None = None


def ranges(text: str) -> list[range]:
    """Whole numbers and ranges, as in 0,2-5."""
    found = []
    for part in text.split(","):
        low, dash, high = part.partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()) or (dash and int(high) < int(low)):
            raise argparse.ArgumentTypeError(f"expected numbers as in 0,2-5, found {text!r}")
        found.append(range(int(low), int(high if dash else low) + 1))
    return found


def one_range(text: str) -> range:
    """A positive number, or a range of them as in 16-32."""
    found = ranges(text)
    if len(found) != 1 or found[0][0] < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number or a range as in 16-32, found {text!r}")
    return found[0]


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, found {text!r}")
    return int(text)


def token_ids(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"expected ids as in 1,2,3, found {text!r}")
    return [int(part) for part in parts]


def seeds(text: str) -> list[range]:
    found = ranges(text)
    if any(part[-1] >= 1 << 64 for part in found):
        raise argparse.ArgumentTypeError(f"expected seeds of at most 64 bits, found {text!r}")
    return found


def steps(text: str) -> frozenset[str]:
    """Names of steps, or beginnings of them up to a dot: router is router.logits and the others."""
    found: set[str] = set()
    for part in text.split(","):
        named = {step for step in STEPS if step == part or step.startswith(part + ".")}
        if not named:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(STEPS)}, found {part!r}")
        found |= named
    return frozenset(found)


def dtypes(text: str) -> list[str]:
    parts = list(dict.fromkeys(text.split(",")))
    for part in parts:
        if part not in DTYPES:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(DTYPES)}, found {part!r}")
    return parts


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Records traces of a Hugging Face mixture of experts; see format-spec/TRACE.md.")
    add = parser.add_argument
    add("checkpoint", type=Path, help="folder with config.json and safetensors")
    add("--output", type=Path, required=True,
        help="a file that ends with .safetensors for one trace, else a folder; nothing is replaced")
    add("--device", default="cpu", help="where to compute, as in cpu or cuda:0; default: cpu")
    add("--dtype", type=dtypes, default=["float32"],
        help="what to compute in: float32 (default), bfloat16 or float16; several, with commas between, "
             "make a folder each")
    add("--prompt", action="append", default=[], help="text; repeatable")
    add("--ids", type=token_ids, action="append", default=[], help="token ids as in 1,2,3; repeatable")
    add("--text-file", type=Path, help="text to cut into sequences of --max-tokens")
    add("--max-tokens", type=positive, default=64, help="tokens of a piece of --text-file; default: 64")
    add("--random-ids", type=one_range,
        help="so many ids, each as likely as any other; the seed draws from a range as in 16-32")
    add("--seed", type=seeds, default=[range(1)],
        help="seeds for --random-ids as in 0,2-5, a trace each; default: 0")
    add("--new-tokens", type=positive, default=0, help="length of the greedy continuation; default: none")
    add("--decoder-ids", type=token_ids,
        help="what the decoder of a model with an encoder reads; default: the token that it begins with, and after "
             "it, where ids are random, as many as the encoder reads")
    add("--routed-experts", action="store_true",
        help="of an NLLB, run the experts that were chosen: transformers 5.18 runs the first ones for every token")
    add("--layers", type=ranges, help="layers to record as in 0,2-5; default: all")
    add("--tensors", type=steps,
        help=f"what to record beside ids: {', '.join(STEPS)}, or router, experts, moe; default: all. "
             "The verifier wants all that TRACE.md requires.")
    add("--permute-experts", action="store_true",
        help="also record the logits of the model whose experts, rows of routers and biases are permuted "
             "alike: the verifier holds the model to itself")
    add("--predictions", action="store_true",
        help="also record the logits of the layers for multi-token prediction, if the checkpoint has any")
    add("--stream", action="store_true",
        help="load layers one by one, and of experts those that are chosen; so does a model that does not fit "
             "in the memory that is free")
    add("--max-bytes", type=positive, default=1 << 30,
        help="refuse, before anything is computed, to record more; default: 1 GiB")
    return parser.parse_args(words)


def inputs(options: argparse.Namespace, vocabulary: int, start: int | None = None) -> Iterator[Input]:
    """The sequences; start is what a decoder begins with, if the model has an encoder."""
    decoded = None if start is None else options.decoder_ids or [start]
    if options.prompt or options.text_file:
        yield from (replace(each, decoded=decoded) for each in texts(options))
    for i, ids in enumerate(options.ids):
        yield Input(f"ids-{i}", ids, {}, decoded)
    if options.random_ids:
        for seed in (seed for part in options.seed for seed in part):
            generator = torch.Generator().manual_seed(seed)
            least, most = options.random_ids[0], options.random_ids[-1]
            length = int(torch.randint(least, most + 1, (1,), generator=generator))
            ids = torch.randint(vocabulary, (length,), generator=generator).tolist()
            if decoded is not None and not options.decoder_ids:
                drawn = torch.randint(vocabulary, (length - 1,), generator=generator).tolist()
                decoded = [decoded[0], *drawn]
            yield Input(f"seed-{seed}", ids, {"seed": str(seed)}, decoded)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        try:
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except ValueError:
            # Transformers 5 writes the name of a class that 4.57 calls so.
            return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise Problem(f"{folder}: expected a tokenizer for the text, found: {first_line(error)}; "
                      "give --ids.") from error


def texts(options: argparse.Namespace) -> Iterator[Input]:
    tokenizer = load_tokenizer(options.checkpoint)
    for i, prompt in enumerate(options.prompt):
        yield Input(f"prompt-{i}", tokenizer(prompt).input_ids, {"prompt": prompt})
    if options.text_file:
        try:
            text = options.text_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Problem(f"{options.text_file}: expected text in UTF-8, found: {error}.") from error
        whole = tokenizer(text).input_ids
        for i, start in enumerate(range(0, len(whole), options.max_tokens)):
            ids = whole[start:start + options.max_tokens]
            yield Input(f"text-{i}", ids, {"prompt": tokenizer.decode(ids, skip_special_tokens=True)})


def selection(options: argparse.Namespace, model: PreTrainedModel) -> Selection:
    if options.layers is None:
        return Selection(options.tensors, permuted=options.permute_experts)
    count = len(decoder_layers(model))
    last = max(part[-1] for part in options.layers)
    if last >= count:
        raise Problem(f"--layers: expected layers from 0 to {count - 1}, found {last}.")
    layers = frozenset(layer for part in options.layers for layer in part)
    return Selection(options.tensors, layers, options.permute_experts)


def checked_inputs(options: argparse.Namespace, checkpoint: Checkpoint, model: PreTrainedModel,
                   chosen: Selection) -> list[Input]:
    """The sequences, once they are known to fit the model and the bound."""
    config = text_config(model)
    positions = getattr(config, "max_position_embeddings", None)
    most = options.random_ids[-1] if options.random_ids else 0
    if positions is not None and most + options.new_tokens > positions:
        raise Problem(f"--random-ids: expected at most {positions} positions with the continuation, "
                      f"found {most + options.new_tokens}.")
    found, total = [], 0
    for each in inputs(options, config.vocab_size, start_token(config)):
        length = len(each.ids)
        if length == 0:
            raise Problem(f"{each.name}: expected at least one token, found none.")
        # Of a decoder, what goes on does so from its first token.
        longest = length + options.new_tokens if each.decoded is None else max(
            length, len(each.decoded), options.new_tokens + 1)
        if positions is not None and longest > positions:
            raise Problem(f"{each.name}: expected at most {positions} positions with the continuation, "
                          f"found {longest}; shorten it.")
        most_id = max([*each.ids, *(each.decoded or [])])
        if most_id >= config.vocab_size:
            raise Problem(f"{each.name}: expected ids below {config.vocab_size}, found {most_id}.")
        size = sum(planned_sizes(options, model, each, chosen).values())
        if options.predictions:
            if length <= prediction_layers(checkpoint):
                raise Problem(f"{each.name}: expected at least {prediction_layers(checkpoint) + 1} tokens for "
                              f"--predictions, found {length}; lengthen it.")
            size += prediction_bytes(checkpoint, length)
        total += size * len(options.dtype)
        if total > options.max_bytes:
            raise Problem(f"{each.name}: expected traces of at most {options.max_bytes} bytes in all, found "
                          f"{total} up to this one; record fewer --layers or --tensors, or raise --max-bytes.")
        found.append(each)
    if not found:
        raise Problem("expected something to record, found none of --prompt, --ids, --text-file and "
                      "--random-ids; give one.")
    return found


def planned_sizes(options: argparse.Namespace, model: PreTrainedModel, each: Input,
                  chosen: Selection) -> dict[str, int]:
    if each.decoded is None:
        return sizes(model, len(each.ids), options.new_tokens, chosen)
    return encoder_decoder.sizes(model, len(each.ids), len(each.decoded), options.new_tokens, chosen)


def require_whole(options: argparse.Namespace, skeleton: PreTrainedModel) -> None:
    """Of models with an encoder some things are not recorded, and of others there is no decoder's text."""
    encoding = start_token(skeleton.config) is not None
    for option in ("layers", "permute_experts", "predictions", "stream") if encoding else ("decoder_ids", "routed_experts"):
        if getattr(options, option):
            raise Problem(f"--{option.replace('_', '-')}: expected a model {'without' if encoding else 'with'} "
                          f"an encoder, found {type(skeleton).__name__}; leave it out.")
    if options.routed_experts and skeleton.config.model_type != encoder_decoder.NLLB:
        raise Problem(f"--routed-experts: expected an {encoder_decoder.NLLB}, found {skeleton.config.model_type}; "
                      "leave it out.")


def targets(options: argparse.Namespace, found: list[Input]) -> dict[tuple[str, str], Path]:
    """Where the trace of each dtype and input goes."""
    if options.output.suffix == ".safetensors":
        if len(found) * len(options.dtype) > 1:
            raise Problem(f"{options.output}: expected a folder for {len(found) * len(options.dtype)} traces, "
                          "found the name of a file.")
        paths = {(options.dtype[0], found[0].name): options.output}
    else:
        paths = {(dtype, each.name): options.output / (dtype if len(options.dtype) > 1 else "")
                 / f"trace-{each.name}.safetensors" for dtype in options.dtype for each in found}
    if len(paths) < len(found) * len(options.dtype):
        raise Problem("--seed: expected every seed once, found one twice.")
    for path in paths.values():
        if os.path.lexists(path):
            raise Problem(f"{path}: expected no such file, found one; remove it or choose another --output.")
        nearest = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise Problem(f"{nearest}: expected a folder to write to, found "
                          f"{'one that is read-only' if nearest.is_dir() else 'no folder'}; "
                          "choose another --output.")
    return paths


def check_device(name: str) -> None:
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        # What torch is compiled without, it tells by an assertion.
        raise Problem(f"--device: expected one that torch can compute on, found {name}: "
                      f"{first_line(error)}") from error


def producer(options: argparse.Namespace, model: PreTrainedModel, dtype: str) -> str:
    experts = getattr(model.config, "_experts_implementation", None) or "looped"
    if options.routed_experts:
        experts = "routed"
    return (f"transformers {transformers.__version__}, torch {torch.__version__}, "
            f"{'CPU' if options.device == 'cpu' else options.device}, "
            f"{model.config._attn_implementation} attention, {experts} experts, {dtype} activations")


def check_finite(trace: Tensors, name: str, dtype: str) -> None:
    for tensor, values in trace.items():
        broken = int((~values.isfinite()).sum())
        if broken:
            raise Problem(f"{name}: expected finite numbers, found {broken} others in {tensor}, computed in "
                          f"{dtype}; try another --dtype.")


def write(trace: Tensors, path: Path, metadata: dict[str, str]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(trace, temporary, metadata)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise Problem(f"{path}: cannot be written: {first_line(error)}") from error
    finally:
        temporary.unlink(missing_ok=True)


def say(sentence: str) -> None:
    print(f"capture: {sentence}", file=sys.stderr)


def say_missing(planned: dict[str, int], trace: Tensors) -> None:
    layers: dict[str, list[str]] = {}
    for name in planned.keys() - trace.keys():
        _, layer, step = name.split(".", 2)
        layers.setdefault(step, []).append(layer)
    for step, missing in sorted(layers.items()):
        say(f"{step} cannot be had from this model in layers {','.join(sorted(missing, key=int))}: left out")


def capture(options: argparse.Namespace) -> None:
    check_device(options.device)
    checkpoint = Checkpoint(options.checkpoint)
    skeleton = checkpoint.skeleton()
    require_whole(options, skeleton)
    chosen = selection(options, skeleton)
    if options.predictions:
        require_predictions(checkpoint, chosen)
    found = checked_inputs(options, checkpoint, skeleton, chosen)
    paths = targets(options, found)
    end_tokens = checkpoint.end_tokens()
    weights_dtype = checkpoint.weights_dtype()
    for dtype in options.dtype:
        model = load(options, checkpoint, getattr(torch, dtype))
        for each in found:
            ids = torch.tensor(each.ids)
            if each.decoded is None:
                trace = record(model, ids, options.new_tokens, end_tokens, chosen)
            else:
                trace = encoder_decoder.record(model, ids, torch.tensor(each.decoded), options.new_tokens, end_tokens,
                                               chosen, options.routed_experts)
            if options.predictions:
                trace |= predictions(checkpoint, trace, getattr(torch, dtype))
            check_finite(trace, each.name, dtype)
            if each is found[0]:
                say_missing(planned_sizes(options, skeleton, each, chosen), trace)
            path = paths[dtype, each.name]
            write(trace, path, each.metadata | {
                "producer": producer(options, model, dtype),
                "compute_dtype": DTYPES[dtype],
                "weights_dtype": weights_dtype,
            })
            print(path)
        say_left_out(sorted(checkpoint.left_out))


def load(options: argparse.Namespace, checkpoint: Checkpoint, dtype: torch.dtype) -> PreTrainedModel:
    needed, free = checkpoint.bytes_to_load(dtype), free_memory()
    if options.device == "cpu" and free is not None and needed > free:
        if options.permute_experts and not options.stream:
            raise Problem(f"--permute-experts: expected memory for the whole model, {needed} bytes, found {free} "
                          "that are free; record without it, which loads layers one by one, or where there is more.")
        say(f"the model takes {needed / 1e9:.1f} GB, of {free / 1e9:.1f} GB that are free: "
            "its layers are loaded one by one")
    elif not options.stream:
        model, left_out = checkpoint.load(dtype, options.device)
        say_left_out(left_out)
        return model
    if options.device != "cpu" or options.permute_experts:
        raise Problem("--stream: expected --device cpu and no --permute-experts, found "
                      f"{'--permute-experts' if options.permute_experts else options.device}.")
    return streamed(checkpoint, dtype)


def say_left_out(names: list[str]) -> None:
    if names:
        say(f"the model does not have {len(names)} tensors of the checkpoint, such as {names[0]}")


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes that a new program may take, where the system says so.

    A container is told by its control group's limit; /proc/meminfo is the machine's.
    """
    found = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        found.append(next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")))
    for limit in CGROUP_LIMITS:
        # Without a limit, the second version says max, and the first a number beyond any memory.
        with contextlib.suppress(OSError, ValueError):
            found.append(int((root / limit).read_text(encoding="ascii")))
    return min(found, default=None)


def stop(number: int, frame: object) -> NoReturn:
    # An exception, unlike the signal's own way, lets write() tidy up.
    sys.exit(128 + number)


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        capture(arguments())
    except Problem as problem:
        say(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
