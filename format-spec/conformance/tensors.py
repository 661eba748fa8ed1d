"""The rows of tensors.arrow (SPEC sections 2, 3, 5 and 6): I4 to I17, I19, L2, T1 to T4, E2, E3."""

import math
import re
from collections import Counter, defaultdict
from typing import NamedTuple

from shape import SCHEMA

ENCODINGS = SCHEMA["properties"]["encodings"]["items"]["enum"]
BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6} | {
    dtype: bits
    for bits, dtypes in {
        8: "BOOL U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ",
        16: "I16 U16 F16 BF16", 32: "I32 U32 F32", 64: "C64 F64 I64 U64",
    }.items()
    for dtype in dtypes.split()
}  # fmt: skip
FLOATS = {"F32", "F16", "BF16"}
EXACT = {"router", "router_bias", "scale", "opaque"}  # never cast (I17)
ROLES = set("""embedding attention_norm attention_query attention_key attention_value attention_output
    attention_query_down attention_query_norm attention_query_up attention_latent_down
    attention_latent_norm attention_latent_up feed_forward_norm dense_gate dense_up
    dense_down router router_bias shared_gate shared_up shared_down expert_gate_up expert_down
    final_norm head prediction_embedding prediction_embedding_norm prediction_hidden_norm
    prediction_combine prediction_final_norm prediction_head scale opaque padding""".split())  # fmt: skip
VOCABULARIES = {
    "kind": {"tensor", "stack", "slice"}, "role": ROLES, "projection": {None, "gate", "up", "down"},
    "dtype": set(BITS), "encoding": set(ENCODINGS),
    "transform": {None, "copy", "cast", "dequantise_fp8_block"},
}  # fmt: skip
PAGE = 4096


class Tensor(NamedTuple):
    role: str
    layer: int | None
    shape: tuple
    optional: bool = False

    @property
    def kind(self):
        return "stack" if len(self.shape) == 3 else "tensor"


def blocks(architecture):
    """Those of the decoder, and that of prediction if there is one."""
    prediction = architecture["prediction"]
    return architecture["blocks"] + ([prediction] if prediction else [])


def layers(architecture):
    """(number, block, is for prediction) of each layer."""
    each = (block for block in blocks(architecture) for _ in range(block["count"]))
    return ((n, block, block is architecture["prediction"]) for n, block in enumerate(each))


def canonical(architecture):
    """Section 5: {name: Tensor} that an architecture calls for."""
    V, H = architecture["vocabSize"], architecture["hiddenSize"]
    tensors = {"embedding.weight": Tensor("embedding", None, (V, H)),
               "final_norm.weight": Tensor("final_norm", None, (H,))}  # fmt: skip
    if not architecture["tiedEmbeddings"]:
        tensors["head.weight"] = Tensor("head", None, (V, H))
    for layer, block, prediction in layers(architecture):

        def add(name, *shape, role=None, suffix=".weight", optional=False):
            role = role or name.replace(".", "_")
            tensors[f"layers.{layer}.{name}{suffix}"] = Tensor(role, layer, shape, optional)

        def network(name, width):
            add(name + ".gate", width, H)
            add(name + ".up", width, H)
            add(name + ".down", H, width)

        attention, ff = block["attention"], block["feedForward"]
        heads, dimensions = attention["heads"], attention["rotary"]["dimensions"]
        add("attention_norm", H)
        if attention["type"] == "grouped_query":
            size = value = attention["headSize"]
            add("attention.query", heads * size, H)
            add("attention.key", attention["keyValueHeads"] * size, H)
            add("attention.value", attention["keyValueHeads"] * size, H)
        else:
            rank, latent = attention["queryRank"], attention["latentSize"]
            plain, value = attention["plainSize"], attention["valueSize"]
            if rank is None:
                add("attention.query", heads * (plain + dimensions), H)
            else:
                add("attention.query_down", rank, H)
                add("attention.query_norm", rank)
                add("attention.query_up", heads * (plain + dimensions), rank)
            add("attention.latent_down", latent + dimensions, H)
            add("attention.latent_norm", latent)
            add("attention.latent_up", heads * (plain + value), latent)
        add("attention.output", H, heads * value)
        add("feed_forward_norm", H)
        width = ff["intermediateSize"]
        if ff["type"] == "dense":
            network("dense", width)
        else:
            add("router", ff["experts"], H)
            if ff["routing"]["bias"] is not None:
                add("router.bias", ff["experts"], suffix="")
            if ff["shared"] is not None:
                network("shared", ff["shared"]["intermediateSize"])
            add("experts.gate_up", ff["experts"], 2 * width, H, role="expert_gate_up")
            add("experts.down", ff["experts"], H, width, role="expert_down")
        if prediction:
            add("prediction.embedding", V, H, optional=True)
            add("prediction.embedding_norm", H)
            add("prediction.hidden_norm", H)
            add("prediction.combine", H, 2 * H)
            add("prediction.final_norm", H)
            add("prediction.head", V, H, optional=True)
    return tensors


def block_grid(shape, gate_up=False):
    """Section 6: the shape of the scales of fp8_block values; gate and up have grids of their own."""
    *experts, n, k = shape
    return (*experts, 2 * -(-(n // 2) // 128) if gate_up else -(-n // 128), -(-k // 128))


class Index:
    """Rows held to a manifest; `broken(rule, what)` is called for each breach."""

    def __init__(self, rows, manifest, broken, later):
        self.rows, self.broken = rows, broken
        self.unknown = "V4" if later else "I4"
        self.tensors = canonical(manifest["architecture"])
        self.shards = {s["file"]: s for s in manifest["shards"]}
        self.ranks = manifest["layout"]["expertParallel"]
        self.weight_files = {s["file"] for s in manifest["provenance"]["shards"]}
        self.cast = manifest["provenance"]["cast"] or {"dtype": None}

    def rank_of(self, row):
        return self.shards[row["shard"]]["rank"]

    def readable(self):
        """I4, and that each row has a shard: without these nothing else can be asked."""
        whole = True
        for row in self.rows:
            for column, values in VOCABULARIES.items():
                if row[column] not in values:
                    self.broken(self.unknown, f"{column} {row[column]}")
                    whole = False
            if row["shard"] not in self.shards:
                self.broken("I6", f"{row['shard']} is not in the manifest")
                whole = False
        return whole

    def check(self):
        if not self.readable():
            return
        pieces = self.pieces()
        for row in self.rows:
            self.check_row(row)
        self.check_tensors(pieces)
        for name in self.shards:
            self.check_shard(name, [r for r in self.rows if r["shard"] == name])
        sources = Counter((r["source_file"], r["source_tensor"]) for r in self.rows)
        for source, count in sources.items():
            if count > 1 and None not in source:
                self.broken("I15", f"{count} leaves come from {source}")

    def pieces(self):
        """{name: [(tensor or stack row, slices that follow it)]}, without fillers and opaque ones."""
        pieces, last = defaultdict(list), None
        for row in self.rows:
            if row["kind"] != "slice":
                last = (row, [])
                if row["role"] not in ("padding", "opaque"):
                    pieces[row["name"]].append(last)
            elif last is None or last[0]["kind"] != "stack":
                self.broken("I10", f"a slice of {row['name']} follows no stack")
            else:
                last[1].append(row)
        return pieces

    def check_row(self, row):
        """What one row says by itself."""
        kind, role, dtype, shape = row["kind"], row["role"], row["dtype"], row["shape"]
        leaf, filler, matrix = kind != "stack", role == "padding", len(shape) >= 2
        label = f"{row['name']} {row['expert']} {row['projection']}"
        sources = [row[c] for c in ("source_file", "source_tensor", "transform")]

        def must(rule, right):
            if not right:
                self.broken(rule, label)

        positive = all(n >= 0 for n in shape)
        must("I5", positive and row["bytes"] * 8 == math.prod(shape) * BITS[dtype])
        must("I9", all((row[c] is not None) == (kind == "slice") for c in ("expert", "projection")))
        must("I12", all((row[c] is not None) == leaf for c in ("crc32c", "sha256")))
        must("I13", all(sources) if leaf and not filler else sources == [None] * 3)
        must("I14", row["source_file"] in self.weight_files | {None})
        if row["transform"] in ("cast", "dequantise_fp8_block"):
            must("I16", dtype == self.cast["dtype"])
            must("I17", role not in EXACT)
            must("I17", row["transform"] == "cast" or matrix)
        must("T1", leaf or row["offset"] % PAGE == 0)
        if role == "opaque":
            must("T4", row["name"] == f"opaque.{row['source_file']}/{row['source_tensor']}")
            facts = [row[c] for c in ("kind", "layer", "encoding", "transform")]
            must("T4", facts == ["tensor", None, "plain", "copy"] and self.rank_of(row) is None)
            return
        must("E2", (dtype == "F8_E4M3") == (row["encoding"] == "fp8_block"))
        if role not in ("scale", "padding"):
            must("T3", dtype in FLOATS or dtype == "F8_E4M3" and matrix and role != "router")

    def check_tensors(self, pieces):
        """I7, I8, E3: what the architecture calls for is there, with its scales, and no more."""
        for name, tensor in self.tensors.items():
            there = pieces.pop(name, [])
            if not there and not tensor.optional:
                self.broken("I7", f"{name} is missing")
            self.check_pieces(there, tensor, "I7")
            quantised = any(r["encoding"] == "fp8_block" or r["dtype"] == "F8_E4M3" for r, _ in there)
            if quantised and len(tensor.shape) > 1:
                self.check_scales(name, tensor, there, pieces)
        for name in pieces:
            self.broken("I8", f"nothing calls for {name}")

    def check_scales(self, name, tensor, values, pieces):
        """E3."""
        name = name.removesuffix(".weight") + ".scale"
        grid = block_grid(tensor.shape, tensor.role == "expert_gate_up")
        scales = pieces.pop(name, [])
        self.check_pieces(scales, Tensor("scale", tensor.layer, grid), "E3")
        if [(r["shard"], len(s)) for r, s in scales] != [(r["shard"], len(s)) for r, s in values]:
            self.broken("E3", f"{name} is not there, or not spread as its values are")
        if any((r["dtype"], r["encoding"]) != ("F32", "plain") for r, _ in scales):
            self.broken("E3", f"{name} is not F32")

    def check_pieces(self, pieces, tensor, rule):
        """I7, I11, T2, L2: one tensor, or one stack in one part or more."""
        names = {row["name"] for row, _ in pieces}
        if tensor.kind == "tensor" and len(pieces) > 1:
            self.broken("I7", f"{names} is there {len(pieces)} times")
        if len({row["dtype"] for row, _ in pieces}) > 1:
            self.broken("T2", f"the parts of {names} have several dtypes")
        first = 0
        for row, slices in pieces:
            shape, stack = tuple(row["shape"]), tensor.kind == "stack"
            if (row["kind"], row["role"], row["layer"]) != (tensor.kind, tensor.role, tensor.layer):
                self.broken("I7", f"{row['name']} has another kind, role or layer")
            elif len(shape) != len(tensor.shape) or shape[stack:] != tensor.shape[stack:]:
                self.broken(rule, f"{row['name']} has another shape")
            elif stack:
                self.check_slices(row, slices, first)
                self.check_rank(row, first, first + shape[0], tensor.shape[0])
                if shape[0] == 0:
                    self.broken("I11", f"a part of {row['name']} has no experts")
                first += shape[0]
            elif self.rank_of(row) is not None:
                self.broken("L2", f"{row['name']} lies in a shard of a rank")
        if pieces and tensor.kind == "stack" and first != tensor.shape[0]:
            self.broken("I11", f"the rows of {names} have {first} experts")

    def check_slices(self, stack, slices, first):
        """I10."""
        experts, rows, columns = stack["shape"]
        projections = ("gate", "up") if ".gate_up." in stack["name"] else ("down",)
        shape = [rows // len(projections), columns]
        size = math.prod(shape) * BITS[stack["dtype"]] // 8
        same = ("name", "role", "layer", "dtype", "encoding", "shard")
        right = len(slices) == experts * len(projections)
        for i, row in enumerate(slices):
            expert, projection = divmod(i, len(projections))
            place = (first + expert, projections[projection], shape, stack["offset"] + i * size)
            right &= all(row[c] == stack[c] for c in same)
            right &= tuple(row[c] for c in ("expert", "projection", "shape", "offset")) == place
        if not right:
            self.broken("I10", f"the slices of {stack['name']} are not its experts in order")

    def check_rank(self, stack, begin, end, experts):
        """L2, of stacks."""
        rank = self.rank_of(stack)
        if self.ranks == 1 or rank is None or rank >= self.ranks:
            right = self.ranks == 1 and rank is None
        else:
            r = rank * experts // self.ranks, (rank + 1) * experts // self.ranks
            right = r[0] <= begin and end <= r[1]
        if not right:
            self.broken("L2", f"{stack['name']} lies in {stack['shard']}, of rank {rank}")

    def check_shard(self, name, rows):
        """I6 and I19."""
        end = self.shards[name]["headerBytes"]
        leaves = [r for r in rows if r["kind"] != "stack"]
        for row in sorted(leaves, key=lambda r: (r["offset"], r["bytes"])):
            if row["offset"] != end:
                self.broken("I6", f"{name}: a gap or an overlap before {row['name']}")
            end = row["offset"] + row["bytes"]
        if not leaves or end != self.shards[name]["bytes"]:
            self.broken("I6", f"{name} has bytes that no leaf covers, or no leaf")
        stacks, names = {r["offset"] for r in rows if r["kind"] == "stack"}, set()
        for row in rows:
            if row["role"] == "padding":
                fixed = [row[c] for c in ("kind", "dtype", "encoding", "layer")]
                right = fixed == ["tensor", "U8", "plain", None] and row["name"] not in names
                right &= bool(re.fullmatch(r"padding\.(0|[1-9][0-9]*)", row["name"]))
                right &= len(row["shape"]) == 1 and 1 <= row["shape"][0] < PAGE
                if not right or row["offset"] + row["bytes"] not in stacks:
                    self.broken("I19", f"{row['name']} in {name} is no filler")
                names.add(row["name"])
