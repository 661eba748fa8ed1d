"""Tests of capture.py: python -m unittest discover -s verifier/reference"""

import contextlib
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

import alarms
import capture
import checkpoint
import encoder_decoder
import permutation
import prediction
import streaming
from checkpoint import BEFORE_5, Checkpoint
from problem import Problem
from recorder import Selection, Tensors, decoder_layers, find_blocks, record, sizes, text_config

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
MIXTRAL = FIXTURES / "tiny-mixtral"
DEEPSEEK = FIXTURES / "tiny-deepseek-v3-fp8"
# Spelled as both 4.57 and 5 read it.
SMALL = FIXTURES / "random" / "mixtral"
SWITCH = FIXTURES / "encoders" / "switch_transformers"
NLLB = FIXTURES / "encoders" / "nllb-moe"

# Products are small, and on a busy machine threads that wait for each other take minutes.
torch.set_num_threads(1)

# Rounded sums on the way through a layer: four or six of attention, scores and values, router, gate
# and up, down, experts, shared ones, and two residual additions.
SUMS_OF_A_LAYER = 14


def relative_bound(layers: int, terms: int, values: int) -> float:
    """How far apart two right float32 passes may be, relative to the largest value of a row.

    They differ in the order of their sums only. A sum of n terms has an error of at most sqrt(n) u of
    its largest part (verifier/README.md); errors of steps add in quadrature, and no step is taken to
    make a relative error larger. All of N values stay within the bound but once in a thousand million.
    """
    deviation = 2 ** -24 * math.sqrt(layers * SUMS_OF_A_LAYER * terms)
    return math.sqrt(2 * math.log(2 * values / 1e-9)) * math.sqrt(2) * deviation


def by_expert(trace: Tensors) -> Tensors:
    """The order of chosen experts means nothing."""
    trace = dict(trace)
    for name in [name for name in trace if name.endswith(".router.experts")]:
        weights = name.replace("experts", "weights")
        trace[name], order = trace[name].sort(-1)
        trace[weights] = trace[weights].gather(1, order)
    return trace


def depth(name: str, trace: Tensors) -> int:
    """Layers that a step of one ends, those of an encoder before a decoder's; 0 of what is no layer's."""
    stack, dot, step = name.rpartition("layers.")
    if not dot:
        return 0
    encoder = {other.split(".")[2] for other in trace if other.startswith("encoder.")}
    return int(step.split(".")[0]) + 1 + (len(encoder) if stack == "decoder." else 0)


def differences(ours: Tensors, theirs: Tensors, terms: int) -> list[str]:
    """Names of tensors that differ by more than two right passes do."""
    ours, theirs = by_expert(ours), by_expert(theirs)
    if ours.keys() != theirs.keys():
        return sorted(ours.keys() ^ theirs.keys())
    depths = {name: depth(name, theirs) for name in theirs}
    layers = max(depths.values())
    found = []
    for name, expected in theirs.items():
        actual = ours[name]
        if actual.dtype != expected.dtype or actual.shape != expected.shape:
            found.append(name)
        elif not expected.is_floating_point():
            found += [] if torch.equal(actual, expected) else [name]
        else:
            through = depths[name] or layers + 1
            bound = relative_bound(through, terms, expected.numel()) * expected.abs().amax(-1, keepdim=True)
            if name.endswith(".router.weights"):
                # dw = w dx at most, x the logits.
                bound = bound * theirs[name.replace("weights", "logits")].abs().max().clamp(min=1)
            if bool(((actual - expected).abs() > bound).any()):
                found.append(name)
    return sorted(found)


def run(*words: object) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        capture.capture(capture.arguments([str(word) for word in words]))


class CaptureTest(unittest.TestCase):

    def setUp(self) -> None:
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def refused(self, expected: str, *words: object) -> None:
        with self.assertRaises(Problem) as raised:
            run(*words)
        self.assertIn(expected, str(raised.exception))

    def small(self, *words: object) -> Tensors:
        run(SMALL, "--ids", "5,6,7", "--output", self.folder / "t.safetensors", *words)
        return load_file(self.folder / "t.safetensors")


class ShippedTracesTest(CaptureTest):

    def captures_again(self, folder: Path) -> None:
        source = Checkpoint(folder)
        model, _ = source.load(torch.float32, "cpu")
        terms = max(p.shape[-1] for p in model.parameters() if p.ndim > 1)
        for file in sorted(folder.glob("trace*.safetensors")):
            with self.subTest(file.name):
                shipped = load_file(file)
                ours = record(model, shipped["input_ids"], len(shipped["generated_ids"]),
                              source.end_tokens())
                self.assertEqual([], differences(ours, shipped, terms))
                self.planted_defects_are_seen(ours, shipped, terms)

    def planted_defects_are_seen(self, ours: Tensors, shipped: Tensors, terms: int) -> None:
        for name in ("logits", "layers.1.output", "layers.1.router.logits", "layers.1.router.weights"):
            off = dict(ours)
            off[name] = off[name] * (1 + 2 ** -8)
            self.assertEqual([name], differences(off, shipped, terms))
        for name in ("input_ids", "generated_ids"):
            self.assertEqual([name], differences(ours | {name: ours[name].flip(0)}, shipped, terms))

    @unittest.skipIf(BEFORE_5, "its config.json is spelled as transformers 5 does")
    def test_tiny_mixtral_is_captured_as_shipped(self) -> None:
        self.captures_again(MIXTRAL)

    def test_fp8_blocks_are_captured_as_shipped(self) -> None:
        self.captures_again(DEEPSEEK)

    def test_random_checkpoints_are_captured_as_shipped(self) -> None:
        for folder in sorted((FIXTURES / "random").iterdir()):
            self.captures_again(folder)

    def test_a_prompt_becomes_the_ids_of_the_shipped_trace(self) -> None:
        for file in sorted(DEEPSEEK.glob("trace*.safetensors")):
            with safe_open(file, "pt") as shipped:
                prompt, ids = shipped.metadata()["prompt"], shipped.get_tensor("input_ids")
            options = capture.arguments([str(DEEPSEEK), "--prompt", prompt, "--output", "x"])
            self.assertEqual([ids.tolist()], [each.ids for each in capture.inputs(options, 512)])


@unittest.skipIf(BEFORE_5, "their config.json is spelled as transformers 5 does")
class EncoderDecoderTest(CaptureTest):

    def captured(self, folder: Path, file: str, routed: bool) -> list[str]:
        """What differs from a shipped trace."""
        source = Checkpoint(folder)
        model, _ = source.load(torch.float32, "cpu")
        terms = max(p.shape[-1] for p in model.parameters() if p.ndim > 1)
        shipped = load_file(folder / file)
        ours = encoder_decoder.record(model, shipped["input_ids"], shipped["decoder_input_ids"],
                                      len(shipped["generated_ids"]), source.end_tokens(), routed=routed)
        self.assertEqual([], [module for module in model.modules() if "forward" in vars(module)])
        return differences(ours, shipped, terms)

    def test_both_stacks_are_captured_as_shipped(self) -> None:
        self.assertEqual([], self.captured(SWITCH, "trace.safetensors", False))
        self.assertEqual([], self.captured(NLLB, "trace.safetensors", True))

    @unittest.skipUnless(transformers.__version__.startswith("5.18."), "others may run the right experts")
    def test_experts_that_transformers_runs_for_every_token_are_recorded_unless_told(self) -> None:
        self.assertEqual([], self.captured(NLLB, "wrong-loop.safetensors", False))
        self.assertNotEqual([], self.captured(NLLB, "wrong-loop.safetensors", True))

    def recorded(self, folder: Path, *words: object) -> Tensors:
        file = Path(tempfile.mkdtemp(dir=self.folder)) / "t.safetensors"
        run(folder, "--output", file, *words)
        return load_file(file)

    def test_a_decoder_reads_what_it_is_told_or_what_it_begins_with(self) -> None:
        drawn = self.recorded(SWITCH, "--random-ids", 9, "--tensors", "logits")
        self.assertEqual((9, 9), (len(drawn["input_ids"]), len(drawn["decoder_input_ids"])))
        self.assertEqual(0, int(drawn["decoder_input_ids"][0]))
        self.assertEqual({"input_ids", "decoder_input_ids", "logits"}, drawn.keys())
        first = self.recorded(SWITCH, "--ids", "5,6,7", "--tensors", "logits")
        self.assertEqual([0], first["decoder_input_ids"].tolist())
        told = self.recorded(SWITCH, "--ids", "5,6,7", "--decoder-ids", "0,8", "--tensors", "router")
        self.assertEqual([0, 8], told["decoder_input_ids"].tolist())
        steps = {name.split(".", 3)[3] for name in told if "layers." in name}
        self.assertEqual({"router.logits", "router.experts", "router.weights", "router.dropped"}, steps)

    def test_its_bytes_are_known_before_anything_is_computed(self) -> None:
        words = ("--ids", "5,6,7", "--decoder-ids", "0,8", "--new-tokens", 2)
        size = sum(value.nbytes for value in self.recorded(NLLB, *words).values())
        with mock.patch.object(Checkpoint, "load", side_effect=AssertionError("weights were read")):
            self.refused("expected traces of at most", NLLB, *words, "--output", self.folder / "t.safetensors",
                         "--max-bytes", size - 1)
        self.recorded(NLLB, *words, "--max-bytes", size)

    def test_shares_that_are_alike_once_rounded_give_the_experts_that_the_router_took(self) -> None:
        words = ("--dtype", "bfloat16", "--random-ids", "16-32", "--seed", "10-19", "--tensors", "router")
        for folder, routed in ((NLLB, ("--routed-experts",)), (SWITCH, ())):
            run(folder, *words, *routed, "--output", self.folder / folder.name)
            self.assertEqual(10, len(list((self.folder / folder.name).iterdir())))

    def test_what_it_cannot_record_is_refused(self) -> None:
        words = ("--ids", "5,6", "--output", self.folder / "t.safetensors")
        for option in (("--layers", 0), ("--permute-experts",), ("--predictions",), ("--stream",)):
            self.refused(f"{option[0]}: expected a model without an encoder", NLLB, *words, *option)
        self.refused("--decoder-ids: expected a model with an encoder", SMALL, *words, "--decoder-ids", 1)
        self.refused("--routed-experts: expected an nllb-moe", SWITCH, *words, "--routed-experts")
        self.refused("expected ids below 96, found 96", SWITCH, *words, "--decoder-ids", 96)


class StructureTest(CaptureTest):

    def test_what_experts_add_up_to_is_their_weighted_sum(self) -> None:
        """Experts, weights and output are seen apart; together they must be the block's arithmetic."""
        model, _ = Checkpoint(SMALL).load(torch.float32, "cpu")
        ids = torch.arange(3, 15)
        trace = record(model, ids, 0, [])
        stored: Tensors = {}
        for file in SMALL.glob("model*.safetensors"):
            stored |= load_file(file)
        for layer in range(len(decoder_layers(model))):
            def weight(expert: int, part: str) -> torch.Tensor:
                return stored[f"model.layers.{layer}.block_sparse_moe.experts.{expert}.{part}.weight"].double()

            x = trace[f"layers.{layer}.moe.input"].double()
            expected = torch.zeros_like(x)
            for token, chosen in enumerate(trace[f"layers.{layer}.router.experts"].tolist()):
                for slot, expert in enumerate(chosen):
                    inner = torch.nn.functional.silu(weight(expert, "w1") @ x[token])
                    y = weight(expert, "w2") @ (inner * (weight(expert, "w3") @ x[token]))
                    expected[token] += trace[f"layers.{layer}.router.weights"][token, slot].double() * y
            actual = trace[f"layers.{layer}.experts.output"].double()
            bound = relative_bound(1, x.shape[1], x.numel()) * expected.abs().amax()
            self.assertLess(float((actual - expected).abs().max()), float(bound))

    def test_dense_layers_have_no_experts(self) -> None:
        skeleton = Checkpoint(DEEPSEEK).skeleton()
        self.assertEqual([1, 2, 3], [block.layer for block in find_blocks(skeleton)])
        self.assertEqual({16}, {block.experts for block in find_blocks(skeleton)})

    def test_of_experts_that_all_run_those_are_chosen_whose_inputs_are_not_zero(self) -> None:
        config = transformers.Llama4TextConfig(
            vocab_size=32, hidden_size=16, intermediate_size=8, intermediate_size_mlp=8, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, head_dim=8, num_local_experts=4, num_experts_per_tok=2,
            pad_token_id=0, max_position_embeddings=64, interleave_moe_layer_step=1, attn_implementation="eager")
        model = transformers.Llama4ForCausalLM(config).eval()
        trace = record(model, torch.arange(1, 6), 0, [])
        block = model.model.layers[1].feed_forward
        logits, x = trace["layers.1.router.logits"], trace["layers.1.moe.input"]
        self.assertTrue(torch.equal(logits.topk(2).indices.int(), trace["layers.1.router.experts"]))
        self.assertTrue(torch.equal(logits.topk(2).values.sigmoid(), trace["layers.1.router.weights"]))
        with torch.no_grad():
            routed = trace["layers.1.moe.output"] - block.shared_expert(x)
        self.assertTrue(torch.allclose(routed, trace["layers.1.experts.output"], atol=1e-6))

    def test_a_pass_leaves_the_model_as_it_was(self) -> None:
        model, _ = Checkpoint(SMALL).load(torch.float32, "cpu")
        record(model, torch.arange(4), 0, [])
        hooks = [module for module in model.modules() if module._forward_hooks or module._forward_pre_hooks]
        self.assertEqual([], hooks)


class PermutationTest(CaptureTest):

    def permuted(self, folder: Path, change: Callable[[PreTrainedModel], None] = lambda model: None) -> list[str]:
        """What differs between a model's logits and those with its experts in another order."""
        model, _ = Checkpoint(folder).load(torch.float32, "cpu")
        change(model)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        trace = record(model, torch.arange(1, 13), 0, [], Selection(permuted=True))
        self.assertTrue(all(torch.equal(value, before[name]) for name, value in model.state_dict().items()))
        layers = {name: value for name, value in trace.items() if name != "permuted.logits"}
        terms = max(p.shape[-1] for p in model.parameters() if p.ndim > 1)
        return differences(layers | {"logits": trace["permuted.logits"]}, layers, terms)

    def test_experts_that_change_places_with_their_router_rows_change_nothing(self) -> None:
        for folder in (SMALL, FIXTURES / "random/deepseek_v3"):
            with self.subTest(folder.name):
                self.assertEqual([], self.permuted(folder))

    @unittest.skipIf(BEFORE_5, "experts are called otherwise")
    def test_a_model_that_runs_other_experts_than_it_chooses_is_found(self) -> None:
        def other_experts(model: PreTrainedModel) -> None:
            for block in find_blocks(model):
                # Whoever was chosen, as transformers 5.18 does in NLLB-MoE.
                block.module.experts.register_forward_pre_hook(
                    lambda _, inputs: (inputs[0], inputs[1] * 0 + torch.arange(inputs[1].shape[1]), inputs[2]))

        self.assertEqual(["logits"], self.permuted(SMALL, other_experts))

    def test_orders_move_something_and_keep_groups_together(self) -> None:
        for layer in range(20):
            for experts, groups in ((2, 1), (3, 1), (16, 4), (8, 8)):
                places = permutation.order(layer, experts, groups)
                self.assertEqual(list(range(experts)), sorted(places.tolist()))
                self.assertNotEqual(list(range(experts)), places.tolist())
                within = places.view(groups, -1) // (experts // groups)
                self.assertTrue(bool((within == within[:, :1]).all()))

    def test_the_logits_after_it_are_written_beside_the_others(self) -> None:
        trace = self.small("--permute-experts")
        self.assertEqual(trace["logits"].shape, trace["permuted.logits"].shape)


class PredictionTest(CaptureTest):

    def test_prediction_layers_are_those_that_the_fixture_has(self) -> None:
        known = load_file(DEEPSEEK / "trace-contes.safetensors")
        ids = ",".join(map(str, known["input_ids"].tolist()))
        run(DEEPSEEK, "--ids", ids, "--predictions", "--output", self.folder / "t.safetensors")
        name = "prediction.0.logits"
        torch.testing.assert_close(
            load_file(self.folder / "t.safetensors")[name], known[name], rtol=1e-4, atol=1e-4)

    def test_prediction_layers_that_are_not_numbered_after_the_decoders_are_those_of_their_fixtures(self) -> None:
        for name in ("qwen3_5_moe_mtp", "qwen3_next_mtp"):
            known = load_file(FIXTURES / "random" / name / "trace.safetensors")
            ids = ",".join(map(str, known["input_ids"].tolist()))
            run(FIXTURES / "random" / name, "--ids", ids, "--predictions", "--output", self.folder / f"{name}.safetensors")
            torch.testing.assert_close(
                load_file(self.folder / f"{name}.safetensors")["prediction.0.logits"], known["prediction.0.logits"],
                rtol=1e-4, atol=1e-4)

    def changed(self, change: Callable[[dict[str, object], Tensors], None]) -> Path:
        """The fixture with prediction layers, with another config or other tensors."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        config = json.loads((DEEPSEEK / "config.json").read_text())
        stored: Tensors = {}
        for file in DEEPSEEK.glob("model*.safetensors"):
            stored |= load_file(file)
        change(config, stored)
        (folder / "config.json").write_text(json.dumps(config))
        save_file(stored, folder / "model.safetensors", {"format": "pt"})
        return folder

    def test_predictions_that_cannot_be_had_are_refused_before_anything_is_computed(self) -> None:
        words = ("--ids", "1,2,3", "--predictions", "--output", self.folder / "t.safetensors")
        with mock.patch.object(Checkpoint, "load", side_effect=AssertionError("weights were read")):
            self.refused("expected num_nextn_predict_layers", SMALL, *words)
            with mock.patch.object(prediction, "MtpLayer", None):
                self.refused("expected a transformers that has MtpLayer", DEEPSEEK, *words)
            self.refused("output of layer 3 is recorded too", DEEPSEEK, *words, "--layers", "0")
            self.refused("output of layer 3 is recorded too", DEEPSEEK, *words, "--tensors", "router")
            self.refused("expected at least 2 tokens", DEEPSEEK, *words, "--ids", "1")
            for name in (*prediction.OWN, prediction.EMBEDDING):
                def without(_: dict[str, object], stored: Tensors, lost: str = name) -> None:
                    del stored[f"model.layers.4.{lost}"]
                    stored.pop("model.embed_tokens.weight")

                self.refused(f"expected model.layers.4.{name}", self.changed(without), *words)

    def test_logits_of_predictions_count_toward_the_bytes(self) -> None:
        planned = sum(sizes(Checkpoint(DEEPSEEK).skeleton(), 3, 0, Selection()).values()) + 4 * 2 * 512
        words = (DEEPSEEK, "--ids", "1,2,3", "--predictions", "--output", self.folder / "t.safetensors")
        with mock.patch.object(Checkpoint, "load", side_effect=AssertionError("weights were read")):
            self.refused("expected traces of at most", *words, "--max-bytes", planned - 1)
        run(*words, "--max-bytes", planned)
        trace = load_file(self.folder / "t.safetensors")
        self.assertEqual(planned, sum(value.nbytes for value in trace.values()))

    def test_a_prediction_layer_takes_a_tied_embedding_for_its_head(self) -> None:
        def tied(config: dict[str, object], stored: Tensors) -> None:
            config["tie_word_embeddings"] = True
            for name in ("lm_head.weight", "model.layers.4.shared_head.head.weight"):
                stored.pop(name, None)

        def spelled_out(config: dict[str, object], stored: Tensors) -> None:
            for name in ("lm_head.weight", "model.layers.4.shared_head.head.weight"):
                stored[name] = stored["model.embed_tokens.weight"].clone()

        logits = []
        for i, change in enumerate((tied, spelled_out)):
            file = self.folder / f"{i}.safetensors"
            run(self.changed(change), "--ids", "1,2,3", "--predictions", "--output", file)
            logits.append(load_file(file)["prediction.0.logits"])
        self.assertTrue(torch.equal(*logits))


class DtypeTest(CaptureTest):

    def test_bfloat16_passes_are_stored_exactly_and_say_so(self) -> None:
        trace = self.small("--dtype", "bfloat16")
        output = trace["layers.1.output"]
        self.assertEqual(torch.float32, output.dtype)
        self.assertTrue(torch.equal(output, output.bfloat16().float()))
        with safe_open(self.folder / "t.safetensors", "pt") as file:
            self.assertEqual("BF16", file.metadata()["compute_dtype"])
            self.assertEqual("bfloat16", file.metadata()["weights_dtype"])

    def test_rotary_frequencies_are_not_rounded_with_the_weights(self) -> None:
        for folder in (SMALL, DEEPSEEK):
            exact, _ = Checkpoint(folder).load(torch.float32, "cpu")
            rounded, _ = Checkpoint(folder).load(torch.bfloat16, "cpu")
            name = next(name for name, _ in exact.named_buffers() if name.endswith("inv_freq"))
            self.assertTrue(torch.equal(exact.get_buffer(name), rounded.get_buffer(name)))
            self.assertEqual(torch.bfloat16, rounded.lm_head.weight.dtype)

    def test_every_element_is_scaled_by_its_own_block(self) -> None:
        grid = torch.arange(6.0).view(2, 3)
        spread = checkpoint.spread(grid, torch.Size((5, 8)), [4, 3])
        self.assertEqual([[float(grid[i // 4, j // 3]) for j in range(8)] for i in range(5)], spread.tolist())

    def test_several_dtypes_make_a_folder_each(self) -> None:
        run(SMALL, "--dtype", "float32,bfloat16", "--random-ids", "4", "--seed", "0,2-3", "--output", self.folder)
        self.assertEqual(
            [f"{dtype}/trace-seed-{seed}.safetensors" for dtype in ("bfloat16", "float32") for seed in (0, 2, 3)],
            sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*.safetensors")))

    def test_numbers_that_are_not_finite_are_refused(self) -> None:
        trace = {"logits": torch.tensor([1.0, math.inf, math.nan])}
        with self.assertRaisesRegex(Problem, "found 2 others in logits, computed in float16"):
            capture.check_finite(trace, "ids-0", "float16")


class InputsTest(CaptureTest):

    def ids(self, *words: object) -> list[list[int]]:
        options = capture.arguments([str(DEEPSEEK), "--output", "x", *map(str, words)])
        return [each.ids for each in capture.inputs(options, 512)]

    def test_a_seed_gives_the_same_ids_whatever_the_others(self) -> None:
        several = self.ids("--random-ids", "16-32", "--seed", "0-19")
        self.assertEqual(several[7], *self.ids("--random-ids", "16-32", "--seed", "7"))
        lengths = {len(ids) for ids in several}
        self.assertTrue(lengths <= set(range(16, 33)) and len(lengths) > 1)
        self.assertTrue(all(0 <= i < 512 for ids in several for i in ids))

    def test_a_text_is_cut_without_loss(self) -> None:
        text = self.folder / "text"
        text.write_text("Once upon a time a small owl lived in the meadow. " * 5, encoding="utf-8")
        pieces = self.ids("--text-file", text, "--max-tokens", 16)
        whole, = self.ids("--prompt", text.read_text(encoding="utf-8"))
        self.assertEqual(whole, sum(pieces, []))
        self.assertEqual({16}, {len(piece) for piece in pieces[:-1]})

    def test_arguments_that_mean_nothing_are_refused(self) -> None:
        for words in (["--layers", "2-0"], ["--layers", "x"], ["--layers", "-1"], ["--tensors", "rout"],
                      ["--dtype", "float64"], ["--ids", "1,,2"], ["--ids", "-1"], ["--random-ids", "0"],
                      ["--random-ids", "1,2"], ["--seed", "1-"], ["--seed", 2 ** 64],
                      ["--new-tokens", "-1"], ["--max-bytes", "1k"]):
            with self.subTest(words), contextlib.redirect_stderr(io.StringIO()):
                with self.assertRaises(SystemExit) as ended:
                    capture.arguments([str(SMALL), "--output", "x", *map(str, words)])
                self.assertEqual(2, ended.exception.code)

    def test_sequences_that_do_not_fit_the_model_are_refused(self) -> None:
        words = (SMALL, "--output", self.folder / "t")
        vocabulary = text_config(Checkpoint(SMALL).skeleton()).vocab_size
        self.refused(f"expected ids below {vocabulary}, found {vocabulary}", *words, "--ids", vocabulary)
        self.refused(f"found {10 ** 20 - 1}", *words, "--ids", 10 ** 20 - 1)
        self.refused("positions", *words, "--random-ids", 10 ** 12)
        self.refused("positions", *words, "--ids", "1", "--new-tokens", 10 ** 12)
        self.refused("give one", *words)
        self.refused("found one twice", *words, "--random-ids", 4, "--seed", "1,1")


class EndTokensTest(CaptureTest):
    """Both files name a token that the model would say next, and another each time."""

    def checkpoint(self, source: Path, **ends: object) -> Path:
        folder = self.folder / f"copy-{len(list(self.folder.iterdir()))}"
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("trace*", "generation_config.json"))
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"eos_token_id": ends["config"]}))
        if "generation" in ends:
            (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends["generation"]}))
        return folder

    def next(self, folder: Path) -> int:
        file = folder / "next.safetensors"
        run(folder, "--ids", "5,6,7", "--new-tokens", 1, "--output", file)
        return int(load_file(file)["generated_ids"])

    def test_the_generation_config_goes_before_the_config(self) -> None:
        for source in (SMALL, DEEPSEEK):
            with self.subTest(source.name):
                likeliest = self.next(self.checkpoint(source, config=None))
                second = self.next(self.checkpoint(source, config=likeliest))
                self.assertNotEqual(likeliest, second)
                self.assertEqual(second, self.next(self.checkpoint(source, config=second, generation=likeliest)))
                self.assertEqual(likeliest, self.next(self.checkpoint(source, config=likeliest, generation=second)))
                self.assertEqual(second, self.next(self.checkpoint(source, config=likeliest, generation=None)))
                both = self.next(self.checkpoint(source, config=None, generation=[likeliest, second]))
                self.assertNotIn(both, (likeliest, second))

    def test_end_tokens_the_model_lacks_end_nothing(self) -> None:
        vocabulary = text_config(Checkpoint(SMALL).skeleton()).vocab_size
        for end, effective in ((-1, []), ([2, vocabulary], [2]), ([], [])):
            self.assertEqual(
                effective, Checkpoint(self.checkpoint(SMALL, config=3, generation=end)).end_tokens())

    def test_what_is_no_token_is_refused(self) -> None:
        for end in ("2", 1.5, True, [[2]], {}, 1 << 63, [2, None]):
            with self.assertRaisesRegex(Problem, "generation_config.json: expected as eos_token_id"):
                Checkpoint(self.checkpoint(SMALL, config=2, generation=end)).end_tokens()


class SelectionTest(CaptureTest):

    def test_only_chosen_layers_and_steps_are_kept(self) -> None:
        trace = self.small("--layers", "0,2", "--tensors", "router,logits")
        expected = {"input_ids", "logits"} | {
            f"layers.{layer}.router.{step}" for layer in (0, 2) for step in ("logits", "experts", "weights")}
        self.assertEqual(expected, trace.keys())

    def test_layers_the_model_lacks_are_refused(self) -> None:
        self.refused("expected layers from 0 to", SMALL, "--ids", "1", "--layers", "0-99", "--output", "x")

    def test_the_size_is_known_before_anything_is_computed(self) -> None:
        planned = sizes(Checkpoint(SMALL).skeleton(), 3, 2, Selection(permuted=True))
        trace = self.small("--permute-experts", "--new-tokens", 2, "--max-bytes", sum(planned.values()))
        self.assertEqual(planned, {name: value.nbytes for name, value in trace.items()})
        with mock.patch.object(Checkpoint, "load", side_effect=AssertionError("weights were read")):
            self.refused("expected traces of at most", SMALL, "--ids", "5,6,7", "--permute-experts", "--new-tokens", 2,
                         "--max-bytes", sum(planned.values()) - 1, "--output", self.folder / "u.safetensors")


@unittest.skipIf(BEFORE_5, "needs transformers 5")
class StreamingTest(CaptureTest):
    """A model that is loaded part by part computes what it computes as a whole."""

    def test_layer_by_layer_the_trace_is_the_same(self) -> None:
        # Experts that are stacked in the checkpoint or not, groups, fp8 and mxfp4 blocks, dense layers, a tied head,
        # a bias beside the router, experts that all run.
        for folder in (MIXTRAL, DEEPSEEK, *(FIXTURES / "random" / name for name in (
                "dbrx", "ernie4_5_moe", "gpt_oss", "gpt_oss_mxfp4", "llama4_text", "minimax_m2"))):
            with self.subTest(folder.name):
                run(folder, "--ids", "5,6,7", "--new-tokens", 1, "--output", self.folder / f"{folder.name}.safetensors")
                run(folder, "--ids", "5,6,7", "--new-tokens", 1, "--stream", "--output",
                    self.folder / f"{folder.name}-streamed.safetensors")
                whole, streamed = (load_file(self.folder / f"{folder.name}{kind}.safetensors")
                                   for kind in ("", "-streamed"))
                self.assertEqual(whole.keys(), streamed.keys())
                self.assertEqual([], [name for name in whole if not torch.equal(whole[name], streamed[name])])

    def test_of_experts_only_the_chosen_are_read(self) -> None:
        names: set[str] = set()
        read = Checkpoint.tensors

        def seen(checkpoint: Checkpoint, wanted: dict[str, str]) -> Tensors:
            names.update(wanted)
            return read(checkpoint, wanted)

        with mock.patch.object(Checkpoint, "tensors", seen):
            trace = self.small("--stream")
        for layer in range(1 + max(int(name.split(".")[1]) for name in trace if name.startswith("layers."))):
            found = {int(number) for number in re.findall(rf"layers\.{layer}\..*experts\.(\d+)\.", "\n".join(names))}
            self.assertEqual(set(trace[f"layers.{layer}.router.experts"].flatten().tolist()), found)

    def test_what_does_not_fit_is_streamed_and_said_to_be(self) -> None:
        with (mock.patch.object(capture, "free_memory", return_value=1000),
              mock.patch.object(Checkpoint, "load", side_effect=AssertionError("all of it was loaded")),
              mock.patch.object(capture, "say") as say):
            self.small()
        self.assertIn("its layers are loaded one by one", say.call_args_list[0].args[0])

    def test_what_does_not_fit_is_said_where_experts_are_permuted(self) -> None:
        needed = Checkpoint(SMALL).bytes_to_load(torch.float32)
        with mock.patch.object(capture, "free_memory", return_value=1000):
            self.refused(f"expected memory for the whole model, {needed} bytes, found 1000 that are free; record "
                         "without it", SMALL, "--ids", "1", "--permute-experts", "--output",
                         self.folder / "t.safetensors")

    def test_a_container_has_no_more_memory_than_its_limit(self) -> None:
        def free(**files: str) -> int | None:
            root = Path(tempfile.mkdtemp(dir=self.folder))
            for path, content in zip((capture.CGROUP_LIMITS[0], capture.CGROUP_LIMITS[1], "proc/meminfo"),
                                     (files.get(name) for name in ("second", "first", "machine")), strict=True):
                if content is not None:
                    (root / path).parent.mkdir(parents=True, exist_ok=True)
                    (root / path).write_text(content)
            return capture.free_memory(root)

        machine = "MemTotal: 9 kB\nMemAvailable: 4 kB\n"
        self.assertEqual(4096, free(machine=machine))
        self.assertEqual(4096, free(machine=machine, second="max\n"))
        self.assertEqual(1000, free(machine=machine, second="1000\n"))
        self.assertEqual(1000, free(machine=machine, first="1000\n"))
        self.assertEqual(4096, free(machine=machine, first=f"{(1 << 63) - 4096}\n"))
        self.assertIsNone(free())

    def test_only_whole_numbers_that_experts_have_are_taken_for_ids(self) -> None:
        self.assertTrue(streaming.are_ids(torch.tensor([[0, 3], [1, 2]]), 4))
        for other in (torch.tensor([[True, False]]), torch.tensor([0, 3]), torch.tensor([[0, 4]]),
                      torch.tensor([[-1, 0]]), torch.tensor([[0.0, 1.0]]), torch.zeros(1, 1, 2).int(), None):
            self.assertFalse(streaming.are_ids(other, 4), other)

    def test_experts_that_are_not_there_cannot_be_permuted(self) -> None:
        self.refused("no --permute-experts", SMALL, "--ids", "1", "--stream", "--permute-experts",
                     "--output", self.folder / "t.safetensors")


class FilesTest(CaptureTest):

    def test_an_interrupted_write_leaves_nothing(self) -> None:
        def interrupted(trace: Tensors, path: Path, metadata: dict[str, str]) -> None:
            path.write_bytes(b"half")
            raise KeyboardInterrupt

        with mock.patch.object(capture, "save_file", interrupted), self.assertRaises(KeyboardInterrupt):
            self.small()
        self.assertEqual([], list(self.folder.iterdir()))

    def test_a_failed_write_leaves_nothing(self) -> None:
        def full(trace: Tensors, path: Path, metadata: dict[str, str]) -> None:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        with mock.patch.object(capture, "save_file", full), self.assertRaisesRegex(Problem, "No space left"):
            self.small()
        self.assertEqual([], list(self.folder.iterdir()))

    def test_a_stopped_run_leaves_no_half_written_file(self) -> None:
        """The process itself is stopped, once it has written half a file."""
        script = ("import capture, os, signal, sys\n"
                  "number = int(sys.argv.pop())\n"
                  "def half(trace, path, metadata):\n"
                  "    path.write_bytes(b'half')\n"
                  "    os.kill(os.getpid(), number)\n"
                  "    signal.pause()\n"
                  "capture.save_file = half\n"
                  "sys.exit(capture.main())\n")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number.name):
                # What started the tests may ignore the signal.
                ended = subprocess.run(
                    [sys.executable, "-c", script, SMALL, "--ids", "5", "--output", self.folder / "t.safetensors",
                     str(int(number))], cwd=Path(capture.__file__).parent, capture_output=True, text=True,
                    timeout=120, check=False, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
                self.assertEqual((128 + number, ""), (ended.returncode, ended.stderr))
                self.assertEqual([], list(self.folder.iterdir()))

    def test_what_is_no_folder_is_not_written_to(self) -> None:
        (self.folder / "file").write_bytes(b"someone's")
        with mock.patch.object(Checkpoint, "load", side_effect=AssertionError("weights were read")):
            for output in ("file", "file/deeper", "file/t.safetensors"):
                self.refused("expected a folder to write to, found no folder", SMALL, "--ids", "1",
                             "--output", self.folder / output)
            os.symlink("nowhere", self.folder / "t.safetensors")
            self.refused("expected no such file", SMALL, "--ids", "1", "--output", self.folder / "t.safetensors")
        self.assertEqual(b"someone's", (self.folder / "file").read_bytes())

    def test_devices_torch_cannot_compute_on_are_refused(self) -> None:
        with mock.patch.object(Checkpoint, "load", side_effect=AssertionError("weights were read")):
            for device in ("cuda:99", "meta", "gpu", ""):
                self.refused(f"--device: expected one that torch can compute on, found {device}:", SMALL,
                             "--ids", "1", "--device", device, "--output", "x")

    def test_a_broken_index_is_refused(self) -> None:
        shutil.copy(SMALL / "config.json", self.folder)
        index = self.folder / "model.safetensors.index.json"
        for content, expected in (
                (b'{"weight_map', "cannot be read as JSON"), (b"\xff", "cannot be read as JSON"),
                (b"[" * 10 ** 6, "cannot be read as JSON"), (b"[]", "expected a JSON object"),
                (b"{}", "expected a weight_map"), (b'{"weight_map": {}}', "expected a weight_map"),
                (b'{"weight_map": []}', "expected a weight_map"),
                (b'{"weight_map": {"a": 1}}', "expected a weight_map"),
                (b'{"weight_map": {"a": "b"}}', "expected b, found no such file")):
            with self.subTest(content[:30]):
                index.write_bytes(content)
                self.refused(expected, self.folder, "--ids", "1", "--output", "x")

    def test_what_is_refused_is_said_in_one_line(self) -> None:
        words = ["capture.py", str(SMALL), "--ids", "9" * 20, "--output", str(self.folder / "x")]
        said = io.StringIO()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            with mock.patch.object(sys, "argv", words), contextlib.redirect_stderr(said):
                self.assertEqual(1, capture.main())
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        self.assertRegex(said.getvalue(), r"\Acapture: ids-0: expected ids below \d+, found 9{20}\.\n\Z")

    def test_no_file_is_replaced(self) -> None:
        (self.folder / "t.safetensors").write_bytes(b"someone's")
        with self.assertRaisesRegex(Problem, "expected no such file"):
            self.small()
        self.assertEqual(b"someone's", (self.folder / "t.safetensors").read_bytes())

    def test_one_file_does_not_take_two_traces(self) -> None:
        self.refused("found the name of a file", SMALL, "--ids", "1", "--ids", "2", "--output", "x.safetensors")

    def test_a_missing_weight_is_not_made_up(self) -> None:
        broken = self.folder / "broken"
        broken.mkdir()
        shutil.copy(SMALL / "config.json", broken)
        stored: Tensors = {}
        for file in SMALL.glob("model*.safetensors"):
            stored |= load_file(file)
        del stored["model.layers.1.input_layernorm.weight"]
        save_file(stored, broken / "model.safetensors", {"format": "pt"})
        for stream in ([], [] if BEFORE_5 else ["--stream"]):
            self.refused("found missing keys, such as model.layers.1.input_layernorm.weight",
                         broken, "--ids", "1", "--output", "x", *stream)

    def test_numbers_without_their_scales_are_refused(self) -> None:
        source = FIXTURES / "random" / "gpt_oss_mxfp4"
        stored: Tensors = {}
        for file in source.glob("model*.safetensors"):
            stored |= load_file(file)
        del stored["model.layers.1.mlp.experts.down_proj_scales"]
        save_file(stored, self.folder / "model.safetensors", {"format": "pt"})
        shutil.copy(source / "config.json", self.folder)
        self.refused("expected model.layers.1.mlp.experts.down_proj_scales beside", self.folder,
                     "--ids", "1", "--output", "x")

    def test_folders_that_are_no_checkpoint_are_refused(self) -> None:
        self.refused("expected a checkpoint with config.json", self.folder, "--ids", "1", "--output", "x")
        shutil.copy(SMALL / "config.json", self.folder)
        self.refused("expected model.safetensors", self.folder, "--ids", "1", "--output", "x")
        config = json.loads((SMALL / "config.json").read_text())
        config["quantization_config"] = {"quant_method": "awq"}
        (self.folder / "config.json").write_text(json.dumps(config))
        self.refused("dequantise the checkpoint first", self.folder, "--ids", "1", "--output", "x")

    @unittest.skipIf(not BEFORE_5, "transformers 5 reads it")
    def test_a_config_that_would_be_half_ignored_is_refused(self) -> None:
        self.refused("found rope_parameters", MIXTRAL, "--ids", "1", "--output", "x")


class AlarmsTest(CaptureTest):

    def count(self, report: object, traces: int) -> tuple[int, str]:
        (self.folder / "report.json").write_text(json.dumps(report))
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
            status = alarms.main(self.folder / "report.json", traces, self.folder / "kept")
        return status, said.getvalue()

    def report(self, *verdicts: str) -> dict:
        found = []
        for i, verdict in enumerate(verdicts):
            (self.folder / f"t{i}").write_bytes(b"trace")
            found.append({"file": str(self.folder / f"t{i}"), "verdict": verdict,
                          "routing": {"match": 2, "tie": 1, "mismatch": 0}})
        return {"integrity": {"verdict": "pass"}, "references": found}

    def test_passes_and_alarms_are_counted(self) -> None:
        self.assertEqual((0, "2 2 0 4 2 0\n"), self.count(self.report("pass", "pass"), 2))
        self.assertFalse((self.folder / "kept").exists())
        self.assertEqual((1, "2 1 1 4 2 0\n"), self.count(self.report("pass", "fail"), 2))
        self.assertEqual({"report.json", "t1"}, {file.name for file in (self.folder / "kept").iterdir()})

    def test_what_was_not_checked_does_not_pass(self) -> None:
        right = self.report("pass", "pass")
        twice = right | {"references": right["references"][:1] * 2}
        broken = right | {"integrity": {"verdict": "fail"}}
        for report, traces in ((right, 3), (right, 1), (self.report(), 0), (self.report(), 2), (twice, 2),
                               (broken, 2), ({"verdict": "error", "error": "no such file"}, 2), ([], 2)):
            with self.subTest(report=report, traces=traces):
                self.assertEqual((2, ""), self.count(report, traces))

    def script(self, references: str, integrity: str) -> subprocess.CompletedProcess[str]:
        """Runs false-alarms.sh with a moxie that reports some of the references it is given."""
        project = Path(tempfile.mkdtemp(dir=self.folder))
        (project / "verifier").mkdir()
        (project / "fixtures/random").mkdir(parents=True)
        for link in (project / "fixtures/tiny-one", project / "fixtures/random/two"):
            link.symlink_to(SMALL)
        (project / "verifier/reference").symlink_to(Path(capture.__file__).parent)
        shutil.copy(FIXTURES.parent / "verifier/false-alarms.sh", project / "verifier")
        (project / "moxie").write_text(
            f"#!{sys.executable}\n"
            "import json, sys\n"
            "if sys.argv[1] == 'verify':\n"
            f"    files = sys.argv[4::2]{references}\n"
            "    print(json.dumps({'references': [\n"
            "        {'file': file, 'verdict': 'pass', 'routing': None} for file in files],\n"
            f"        'integrity': {{'verdict': '{integrity}'}}}}))\n")
        (project / "moxie").chmod(0o755)
        (project / "tmp").mkdir()
        ended = subprocess.run(
            ["bash", project / "verifier/false-alarms.sh", "2"], capture_output=True, text=True, timeout=300,
            check=False, env=os.environ | {
                "PYTHON": sys.executable, "DTYPES": "float32", "TMPDIR": str(project / "tmp"),
                "ALARMS": str(project / "alarms")})
        self.assertEqual([], list((project / "tmp").iterdir()))
        return ended

    def test_the_script_passes_only_if_everything_was_verified(self) -> None:
        right = self.script("", "pass")
        self.assertEqual((0, ""), (right.returncode, right.stderr))
        self.assertEqual([["one", "2"], ["two", "2"]], [
            [line.split()[0].removeprefix("tiny-"), line.split()[2]] for line in right.stdout.splitlines()[1:]])
        for references, integrity, said in (("[:1]", "pass", "expected 2 traces, at least one, found 1"),
                                            ("[:0]", "pass", "expected 2 traces, at least one, found 0"),
                                            ("", "fail", "whose integrity passes")):
            with self.subTest(references=references, integrity=integrity):
                wrong = self.script(references, integrity)
                self.assertEqual(1, wrong.returncode)
                self.assertIn(said, wrong.stderr)


if __name__ == "__main__":
    unittest.main()
