"""tensors.arrow: the file and its rows, by SPEC sections 3, 5 and 6. Claims as in reader.py."""

import math
import re
import struct

import pyarrow as pa


class Broken(ValueError):
    """(rule, what): a rule is broken so that nothing else can be asked."""


def must(holds, *rule_and_what):
    if not holds:
        raise Broken(*rule_and_what)


# Section 3: the file

TEXT = pa.string()
NUMBERS = pa.list_(pa.field("item", pa.int64(), nullable=False))
COLUMNS = [  # name, type, nullable
    ("kind", TEXT, False), ("name", TEXT, False), ("role", TEXT, False),
    ("layer", pa.int32(), True), ("expert", pa.int32(), True), ("projection", TEXT, True),
    ("dtype", TEXT, False), ("encoding", TEXT, False),
    ("shape", NUMBERS, False),
    ("shard", TEXT, False), ("offset", pa.int64(), False), ("bytes", pa.int64(), False),
    ("crc32c", pa.uint32(), True), ("sha256", pa.binary(32), True),
    ("source_file", TEXT, True), ("source_tensor", TEXT, True), ("view", NUMBERS, True),
    ("transform", TEXT, True),
]


def read(form, data, at):
    return struct.unpack_from(form, data, at)[0]


def flat_table(data, at):
    """Where each field of a table in a flatbuffer is, as Arrow's definitions number them; or 0."""
    start = at + read("<I", data, at)
    vtable = start - read("<i", data, start)
    slots = struct.unpack_from(f"<{read('<H', data, vtable) // 2 - 2}H", data, vtable + 4)
    return [start + slot if slot else 0 for slot in slots] + [0] * 8


def flat_structs(data, at, form):
    """The vector of structs that a field points to."""
    begin, size = at + read("<I", data, at) if at else 0, struct.calcsize(form)
    count = read("<I", data, begin) if at else 0
    return [struct.unpack_from(form, data, begin + 4 + i * size) for i in range(count)]


def rows_of(data, later):
    """The rows as dicts, without columns that a later minor version added."""
    try:
        with pa.ipc.open_file(pa.BufferReader(data)) as file:
            schema, table = file.schema, file.read_all()
        for rule, what, holds in file_claims(data, schema, later):
            must(holds, rule, f"tensors.arrow: {what}")
        table.validate(full=True)
    except (pa.ArrowException, OSError, struct.error, TypeError, StopIteration) as e:
        raise Broken("I2", f"tensors.arrow: {e}") from None
    return table.select(range(len(COLUMNS))).to_pylist()


def file_claims(data, schema, later):
    """I2 and I3, where pyarrow is lenient; each holds before the next is asked."""

    def number(form, at):
        return read(form, data, at) if at else 0

    yield "I2", "ARROW1 at both ends", data[:6] == data[-6:] == b"ARROW1"
    end = len(data) - 10 - read("<I", data, len(data) - 10)
    footer = flat_table(data, end)
    batches = flat_structs(data, footer[3], "<qi4xq")
    yield "I2", "one batch", len(batches) == 1
    yield "I2", "no dictionaries", not flat_structs(data, footer[2], "<qi4xq")
    at, length, body = batches[0]
    marks = [struct.unpack_from("<II", data, place) for place in (8, at)]
    yield "I2", "messages", all(mark == 0xFFFFFFFF and size % 8 == 0 for mark, size in marks)
    first, message = flat_table(data, 16), flat_table(data, at + 8)
    yield "I2", "blocks on multiples of 8", at % 8 == length % 8 == body % 8 == 0
    yield "I2", "lengths", (length, body) == (marks[1][1] + 8, number("<q", message[3]))
    yield "I2", "the batch's place", 16 + marks[0][1] <= at and at + length + body <= end
    yield "I2", "version 5", all(number("<h", part[0]) == 4 for part in (footer, first, message))
    kinds = [number("<B", part[1]) for part in (first, message)]
    yield "I2", "a schema, then a record batch", kinds == [1, 3]
    says, order = pa.ipc.read_schema(pa.py_buffer(data[8:])), (footer[1], first[2])
    yield "I2", "footer and schema message", says.equals(schema, check_metadata=True)
    yield "I2", "little-endian", not any(number("<h", flat_table(data, part)[0]) for part in order)
    batch = flat_table(data, message[2])
    nodes, buffers = (flat_structs(data, field, "<qq") for field in batch[1:3])
    yield "I2", "no compression", not batch[3]
    yield "I2", "buffers", all(min(b, n) >= 0 and b + n <= body for b, n in buffers)
    columns = [(field.name, field.type, field.nullable) for field in schema]
    yield "I3", "columns", columns[: len(COLUMNS)] == COLUMNS
    yield "I3", "no more columns", later or len(columns) == len(COLUMNS)
    nodes, buffers = iter(nodes), iter(buffers)
    for name, kind, nullable in COLUMNS:
        for may in (nullable, False) if kind == NUMBERS else (nullable,):  # a list, then its items
            (count, nulls), (start, size) = next(nodes), next(buffers)
            bits = int.from_bytes(data[at + length + start :][:size], "little") & (1 << count) - 1
            counted = count - bits.bit_count() if size else 0
            yield "I3", f"nulls of {name}", nulls == counted and (may or not counted)
            for _ in range(2 if kind == TEXT else 1):
                next(buffers)


# Section 5: the tensors of each part that an architecture may have, with shapes in letters that
# `canonical` explains. What ends with ? may be absent. Names are without `.weight`.

MODEL = {
    "final_norm": "final_norm H",
    "embedding": "embedding V H",
    "image": "image.patch H PA; image.patch.bias H; image.class H; image.position PO H",
    "representation": "representation RE H; representation.bias RE",
    "towers": "towers TW HT; towers.bias TW",
    "head": "head V RE",
    "normBiases": "final_norm.bias H",
    "headBias": "head.bias V",
    "streams": "final_streams F G; final_streams.factors 1; final_streams.shift F",
    "encoder": "encoder_norm H",
    "encoder_biases": "encoder_norm.bias H",
}
LAYER = {
    "attention_norm": "attention_norm H",
    "feed_forward_norm": "feed_forward_norm H",
    "normBiases": "attention_norm.bias H; feed_forward_norm.bias H",
    "streams": "attention_streams P G; attention_streams.factors 3; attention_streams.shift P;"
               "feed_forward_streams P G; feed_forward_streams.factors 3;"
               "feed_forward_streams.shift P",
    "layerFactors": "layer.factor 1",
    "cross": "cross_norm H; cross.query CW H; cross.key CW H; cross.value CW H; cross.output H CW",
    "cross_norm_bias": "cross_norm.bias H",
    "cross_biases": "cross.query.bias CW; cross.key.bias CW; cross.value.bias CW; cross.output.bias H",
    "distances": "attention.distances BU A",
    "output_norms": "attention_output_norm H; feed_forward_output_norm H",
    "grouped_query": "attention.output HO O; attention.query QG H; attention.key K H",
    "value": "attention.value KV H",
    "gate": "attention.output_gate GV H",
    "gated_delta": "delta.decay_shift S; delta.decay_rate A; delta.norm D; delta.output H O",
    "delta_mixed": "delta.mixed M H; delta.convolution W N",
    "apart": "delta.query K H; delta.key K H; delta.value O H; delta.query_convolution K N;"
             "delta.key_convolution K N; delta.value_convolution O N",
    "delta_gate": "delta.gate O H",
    "gateRank": "delta.gate_down GR H; delta.gate_up O GR",
    "delta_write": "delta.write A H",
    "delta_decay": "delta.decay A H",
    "decayRank": "delta.decay_down DR H; delta.decay_up S DR",
    "by_key_head": "delta.write_decay 2A H",
    "short_convolution": "convolution.input 3W H; convolution.taps W N; convolution.output H W",
    "convolution_biases": "convolution.input.bias 3W; convolution.taps.bias W;"
                          "convolution.output.bias H",
    "mamba": "mamba.input M H; mamba.convolution W N; mamba.parameters J W; mamba.step W R;"
             "mamba.step_norm R; mamba.key_norm T; mamba.query_norm T; mamba.step_shift W;"
             "mamba.decay_rate W T; mamba.skip W; mamba.output H W",
    "mamba2": "mamba.input M H; mamba.convolution W N; mamba.step_shift A; mamba.decay_rate A;"
              "mamba.skip A; mamba.norm O; mamba.output H O",
    "lightning": "lightning.input 3W H; lightning.gate W H; lightning.norm W; lightning.output H W",
    "convolutionBias": "mamba.convolution.bias W",
    "mamba_biases": "mamba.input.bias M; mamba.output.bias H",
    "multi_head_latent": "attention.output H O; attention.latent_down C+D H; attention.latent_norm C;"
                         "attention.latent_up U C",
    "compressed": "attention.query_down R H; attention.query_norm R; attention.query_up Q R;"
                  "attention.key_value D H; attention.key_value_norm D; attention.sinks A;"
                  "attention.output_down L B; attention.output H L",
    "compression": "attention.entry J H; attention.entry_gate J H; attention.entry_place T J;"
                   "attention.entry_norm D",
    "entries_indexer": "attention.index_query X R; attention.index_key N H;"
                       "attention.index_gate N H; attention.index_place T N;"
                       "attention.index_key_norm Y; attention.index_weights Z H",
    "query": "attention.query Q H",
    "query_rank": "attention.query_down R H; attention.query_norm R; attention.query_up Q R",
    "biases": "attention.query.bias QG; attention.key.bias K",
    "value_bias": "attention.value.bias KV",
    "outputBias": "attention.output.bias H",
    "head_norms": "attention.query_norm D; attention.key_norm D",
    "all_heads_norms": "attention.query_norm Q; attention.key_norm K",
    "sinks": "attention.sinks A",
    "headExperts": "attention.router HE H",
    "blockIndexer": "attention.index_query X H; attention.index_query_norm Y;"
                    "attention.index_key Y H; attention.index_key_norm Y",
    "indexer": "attention.index_query X R; attention.index_key Y H;"
               "attention.index_key_norm Y; attention.index_key_norm.bias Y;"
               "attention.index_weights Z H",
    "dense": "dense.up I H; dense.down H I",
    "dense_gate": "dense.gate I H",
    "dense_biases": "dense.up.bias I; dense.down.bias H",
    "dense_gate_bias": "dense.gate.bias I",
    "mixture_of_experts": "experts.down EW HM I",
    "router": "router E RW",
    "sum_bias": "experts.sum.bias H",
    "cosine": "router.projection RW H; router.projection.bias RW; router.temperature 1",
    "hierarchy": "router.primary RG H",
    "mixed": "shared.mix 2 H; shared.mix.bias 2",
    "gated_experts": "experts.gate_up EW 2I H",
    "ungated_experts": "experts.up EW I H",
    "bias": "router.bias E",
    "assigned": "router.table V k",
    "factors": "router.factors E",
    "beside": "feed_forward_norm H; router_norm H; experts_norm H; experts_output_norm H;"
              "dense_output_norm H; dense.up S H; dense.down H S",
    "beside_gate": "dense.gate S H",
    "shortcut": "dense.up S H; dense.down H S",
    "shortcut_gate": "dense.gate S H",
    "gated_experts_biases": "experts.gate_up.bias EW 2I; experts.down.bias EW HM",
    "ungated_experts_biases": "experts.up.bias EW I; experts.down.bias EW HM",
    "shared": "shared.up S H; shared.down H S",
    "shared_gate": "shared.gate S H",
    "switched": "shared.switch 1 H",
    "prediction": "prediction.embedding? V H; prediction.embedding_norm H;"
                  "prediction.hidden_norm H; prediction.combine H 2H;"
                  "prediction.final_norm H; prediction.head? V H",
}


def named(parts, table):
    """(name, role, letters) of the parts of a table."""
    for name, *letters in (entry.split() for part in parts for entry in table[part].split(";")):
        yield name, name.rstrip("?").replace("experts", "expert").replace(".", "_"), letters


def blocks(architecture):
    """Those of the encoder, if there is one, of the decoder, and that of prediction likewise."""
    encoder = architecture.get("encoder", {"blocks": []})["blocks"]
    return encoder + architecture["blocks"] + [b for b in [architecture["prediction"]] if b]


def encoder_layers(architecture):
    return sum(block["count"] for block in architecture.get("encoder", {"blocks": []})["blocks"])


def layers(architecture):
    """(number, block, whether it is for prediction) of each layer."""
    each = (block for block in blocks(architecture) for _ in range(block["count"]))
    return ((n, block, block is architecture["prediction"]) for n, block in enumerate(each))


def tasks_of(ff):
    """Gates of tasks over the same experts."""
    return ff["routing"].get("prototypes", 1) if "byTask" in ff else 1


def weighted(ff):
    """Experts that have weights."""
    return ff["experts"] // tasks_of(ff) - ff.get("identities", 0)


def canonical(architecture):
    """{name: (role, layer, shape, whether it may be absent)}."""
    found = {}
    size = {"1": 1, "2": 2, "3": 3, "V": architecture["vocabSize"], "H": architecture["hiddenSize"]}
    image = architecture.get("image", {})
    size |= {"PA": image.get("patchSize"), "PO": architecture["maxPositions"],
             "RE": image.get("representationSize", size["H"])}
    towers = image.get("towers")
    if towers:
        tasks, inside = towers["tasks"], towers["size"]
        size |= {"TW": tasks * inside, "HT": size["H"] // tasks, "RE": inside}
    streams = architecture.get("streams")
    if streams:
        count = streams["count"]
        size |= {"F": count, "G": count * size["H"], "P": (2 + count) * count}

    def add(parts, table, layer=None, lacks=()):
        for name, role, letters in named(parts, table):
            if name.startswith(lacks):
                continue
            full = ("" if layer is None else f"layers.{layer}.") + name.rstrip("?")
            plain = role.endswith(("_bias", "_sinks", "_table", "_factors", "_factor", "s_shift", "_class", "_distances", "_temperature"))
            full += "" if plain else ".weight"
            found[full] = (role, layer, tuple(size[x] for x in letters), name.endswith("?"))

    biases = [part for part in ("headBias", "streams") if part in architecture]
    biases += ["normBiases"] * ("normBiases" in architecture and "towers" not in image)
    biases += ["image"] if image else ["embedding"]
    biases += ["representation"] * ("representationSize" in image)
    if "encoder" in architecture:
        biases += ["encoder"] + ["encoder_biases"] * ("normBiases" in architecture)
    biases += ["towers" if towers else "final_norm"]
    add(["head"] * (not architecture["tiedEmbeddings"]) + biases, MODEL)
    first = encoder_layers(architecture)
    for layer, block, prediction in layers(architecture):
        a, ff = block["attention"], block["feedForward"]
        placement = architecture.get("normPlacement", "input")
        parts = ["attention_norm"] * (placement != "output")
        parts += ["feed_forward_norm"] * (placement.startswith("input") or placement == "residual")
        parts += ["output_norms"] * ("output" in placement)
        parts += ["layerFactors"] * ("layerFactors" in architecture)
        parts += ["normBiases"] * ("normBiases" in architecture)
        parts += ["streams"] * bool(streams)
        halves = {"attention_": a["type"], "feed_forward_": ff["type"]}
        lacks = tuple(half for half, kind in halves.items() if kind == "none")
        parts += [kind for kind in halves.values() if kind != "none"] + ["prediction"] * prediction
        if a["type"] == "grouped_query":
            head = a["headSize"]
            value, gate = a.get("valueSize", head), a.get("gate")
            heads, rows = a["heads"], a["heads"] * head * (2 if "outputGate" in a else 1)
            experts = a.get("headExperts", {"count": 1, "perToken": 1})
            rows = rows // experts["perToken"] * experts["count"]
            size |= {"HE": experts["count"], "HO": experts["count"] * size["H"]}
            size |= {"K": a["keyValueHeads"] * head, "D": head, "A": heads, "QG": rows}
            size |= {"KV": a["keyValueHeads"] * value}
            size |= {"GV": heads if gate and "perHead" in gate else heads * value}
            parts += [part for part in ("biases", "outputBias", "sinks", "gate", "headExperts") if part in a]
            if "keysAsValues" not in a:
                parts += ["value"] + ["value_bias"] * ("biases" in a)
            norm = a.get("queryKeyNorm", {"weighted": False})
            parts += [f"{norm['span']}_norms"] if norm["weighted"] else []
            if n := a.get("blockIndexer"):
                parts.append("blockIndexer")
                size |= {"X": n["heads"] * n["size"], "Y": n["size"]}
            if "distances" in a and (layer in (0, first) or "perLayer" in a["distances"]):
                parts.append("distances")
                size["BU"] = a["distances"]["buckets"]
        elif a["type"] == "gated_delta":
            heads, value, head = a["valueHeads"], a["valueSize"], a["keySize"]
            wide = 2 * a["keyHeads"] * head + heads * value
            more = heads * value if a["projections"] == "by_key_head" else 0
            size |= {"M": wide + more, "W": wide, "N": a["convolution"], "A": heads,
                     "2A": 2 * heads, "D": value, "K": a["keyHeads"] * head,
                     "S": heads * head if "decayRank" in a else heads,
                     "DR": a.get("decayRank"), "GR": a.get("gateRank")}
            parts.append("apart" if a["projections"] == "apart" else "delta_mixed")
            if a["projections"] == "by_key_head":
                parts.append("by_key_head")
            else:
                parts += ["delta_write", "gateRank" if "gateRank" in a else "delta_gate"]
                parts.append("decayRank" if "decayRank" in a else "delta_decay")
        elif a["type"] == "short_convolution":
            heads = head = value = 0
            size |= {"W": a["width"], "3W": 3 * a["width"], "N": a["convolution"]}
            parts += ["convolution_biases"] * ("biases" in a)
        elif a["type"] == "mamba":
            heads = head = value = 0
            size |= {"M": 2 * a["width"], "W": a["width"], "N": a["convolution"],
                     "J": a["stepRank"] + 2 * a["stateSize"], "R": a["stepRank"], "T": a["stateSize"]}
            parts += ["convolutionBias"] * ("convolutionBias" in a)
            parts += ["mamba_biases"] * ("biases" in a)
        elif a["type"] == "lightning":
            heads = head = value = 0
            size |= {"W": a["heads"] * a["headSize"], "3W": 3 * a["heads"] * a["headSize"]}
        elif a["type"] == "none":
            heads = head = value = 0
        elif a["type"] == "mamba2":
            heads, value, head = a["heads"], a["headSize"], 0
            wide = heads * value + 2 * a["groups"] * a["stateSize"]
            size |= {"M": heads * value + wide + heads, "W": wide, "N": a["convolution"], "A": heads}
            parts += ["convolutionBias"] * ("convolutionBias" in a)
            parts += ["mamba_biases"] * ("biases" in a)
        elif a["type"] == "compressed":
            heads, head, value, inner = a["heads"], a["headSize"], 0, a["groups"] * a["groupRank"]
            size |= {"A": heads, "D": head, "R": a["queryRank"], "L": inner,
                     "B": heads * head // a["groups"]}
            if c := a.get("compression"):
                times, n = 2 if "overlapping" in c else 1, c.get("indexer")
                parts.append("compression")
                size |= {"T": c["tokens"], "J": times * head}
                if n:
                    parts.append("entries_indexer")
                    size |= {"X": n["heads"] * n["size"], "Y": n["size"], "Z": n["heads"],
                             "N": times * n["size"]}
        else:
            heads, value = a["heads"], a["valueSize"]
            shared = a["rotary"]["dimensions"] if "rotary" in a else a["sharedSize"]
            head = a["plainSize"] + shared
            parts.append("query" if a["queryRank"] is None else "query_rank")
            size |= {"R": a["queryRank"], "C": a["latentSize"], "C+D": a["latentSize"] + shared,
                     "U": a["heads"] * (a["plainSize"] + value)}
            if n := a.get("indexer"):
                parts.append("indexer")
                size |= {"X": n["heads"] * n["size"], "Y": n["size"], "Z": n["heads"]}
        if cross := block.get("cross"):
            size["CW"] = cross["heads"] * cross["headSize"]
            parts += ["cross"] + ["cross_norm_bias"] * ("normBiases" in architecture)
            parts += ["cross_biases"] * ("biases" in cross)
        width = ff.get("intermediateSize", 0)
        heads = heads // a.get("headExperts", {"perToken": 1})["perToken"]
        size |= {"Q": heads * head, "O": heads * value, "I": width, "2I": 2 * width,
                 "2H": 2 * size["H"], "E": ff.get("experts")}
        gated = "ungated" not in ff
        if ff["type"] == "dense":
            parts += ["dense_gate"] * gated + ["dense_biases"] * ("biases" in ff)
            parts += ["dense_gate_bias"] * (gated and "biases" in ff)
        elif ff["type"] == "mixture_of_experts":
            experts = "gated_experts" if gated else "ungated_experts"
            parts += [experts] + [f"{experts}_biases"] * ("biases" in ff)
            shared = ff["shared"] or ff.get("beside") or ff.get("shortcut") or {"intermediateSize": width}
            size |= {"EW": weighted(ff), "HM": size["H"] // tasks_of(ff)}
            parts += ["router"] * (ff["routing"]["score"] != "one")
            size["RG"] = ff["routing"].get("hierarchy", {"groups": 0})["groups"]
            size["RW"] = ff["routing"].get("cosine", {"size": size["H"]})["size"]
            parts += ["bias"] * bool(ff["routing"]["bias"]) + ["shared"] * bool(ff["shared"])
            parts += [part for part in ("assigned", "factors", "cosine", "hierarchy") if part in ff["routing"]]
            for part in ("beside", "shared", "shortcut"):
                parts += [f"{part}_gate"] * (gated and bool(ff.get(part)))
            parts += [part for part in ("beside", "shortcut") if part in ff]
            parts += ["sum_bias"] * ("outputBias" in ff)
            size["k"] = ff["routing"]["expertsPerToken"]
            parts += [part for part in ("switched", "mixed") if part in shared]
            size["S"] = shared["intermediateSize"]
        if "shortcut" in ff:
            again, of_experts = dict(found), ("router", "experts")
            add(parts, LAYER, layer, lacks)
            own = f"layers.{layer}."
            found |= {own + "again." + name.removeprefix(own): spec for name, spec in found.items()
                      if name not in again and not name.removeprefix(own).startswith((*of_experts, "layer"))}
        else:
            add(parts, LAYER, layer, lacks)
    return found


# The rows

SIZES = {4: "F4", 6: "F6_E2M3 F6_E3M2", 16: "I16 U16 F16 BF16", 32: "I32 U32 F32",
         8: "BOOL U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ", 64: "C64 F64 I64 U64"}
BITS = {dtype: bits for bits, dtypes in SIZES.items() for dtype in dtypes.split()}
FLOATS = {"F32", "F16", "BF16"}
VOCABULARIES = {
    "kind": {"tensor", "stack", "slice"},
    "projection": {None, "gate", "up", "down"},
    "dtype": {*BITS},
    "role": {role for table in (MODEL, LAYER) for _, role, _ in named(table, table)}
            | {"scale", "opaque", "padding"},
}


def blocks_of(encoding):
    """Section 6: dtypes of the values, numbers in one, rows and columns of a block, scale dtypes."""
    if encoding == "mxfp4":
        return ("U8", "I8"), 2, 1, 32, {"U8", "F8_E8M0"}
    if encoding == "int8_channel":
        return ("I8",), 1, 1, math.inf, {"F32"}
    if size := re.fullmatch("int4_block_(16|32|64|128|256)", encoding or ""):
        return ("U8",), 2, 1, int(size[1]), {"F32"}
    if encoding == "fp8_channel":
        return ("F8_E4M3",), 1, 1, math.inf, {"F32", "BF16", "F16"}
    if size := re.fullmatch("int4_group_([1-9][0-9]{0,3})", encoding or ""):
        return ("I32",), 8, 1, int(size[1]), {"F32", "BF16", "F16"}
    if size := re.fullmatch("int8_group_([1-9][0-9]{0,3})", encoding or ""):
        return ("I8",), 1, 1, int(size[1]), {"F32", "BF16", "F16"}
    if size := re.fullmatch("fp8_block_([1-9][0-9]{0,3})x([1-9][0-9]{0,3})", encoding or ""):
        return ("F8_E4M3",), 1, *map(int, size.groups()), {"F32", "BF16", "F8_E8M0", "U8"}
    return None


def decoded(transform):
    """The encoding that a transform decodes, if it decodes one."""
    first = (transform or "").partition("+")[0]
    return blocks_of(first.removeprefix("dequantise_")) if first[:2] == "de" else None


def quantised(transform):
    """The name of the encoding that a transform gives, if it gives one."""
    last = (transform or "").rpartition("+")[2]
    return last.removeprefix("quantise_") if last.startswith("quantise_") else None


def merged(transform):
    """Whether an adapter was merged into the elements."""
    return "merge" in (transform or "").split("+")


def is_transform(name):
    """Section 3."""
    steps = name.split("+")
    if steps[0].startswith("dequantise_") and blocks_of(steps[0].removeprefix("dequantise_")):
        steps = steps[1:]
    if steps[:1] == ["merge"]:
        steps = steps[1:]
    if (given := quantised(name)) and not given.startswith(("fp8", "int4_group", "int8_group")):
        steps = steps[1:] if blocks_of(given) and steps[:1] == [f"quantise_{given}"] else steps
    return name in ("copy", "cast") or not steps


def scales_of(tensor, transform):
    """Section 3: the source tensor of the scales of one that is decoded."""
    endings = {"mxfp4": ("_blocks", "_scales"), "fp8_channel": (".weight", ".weight_scale"),
               "int4_group": (".weight_packed", ".weight_scale"), "int8_group": (".weight", ".scales")}
    name = transform.removeprefix("dequantise_")
    values, scales = next((e for id, e in endings.items() if name.startswith(id)), ("", "_scale_inv"))
    usual = [tensor.removesuffix(values) + scales] * tensor.endswith(values)
    beside = name.startswith(("mxfp4", "fp8_block")) and tensor.endswith(".weight")
    return usual + [tensor.removesuffix(".weight") + ".scale"] * beside


def is_made_scale(row):
    return row["role"] == "scale" and quantised(row["transform"]) is not None


def elements_of(row):
    """The shape of the elements that became a leaf of values."""
    encoding, shape = blocks_of(quantised(row["transform"])), row["shape"]
    return (*shape[:-1], shape[-1] * encoding[1]) if encoding else (*shape,)


def stored(shape, encoding):
    """The shape of the values of matrices."""
    return (*shape[:-1], shape[-1] // encoding[1]) if encoding else (*shape,)


def holds(shape, encoding):
    multiple = encoding[1] if encoding[0] == ("I32",) else 1 if encoding[1] == 1 else encoding[3]
    return len(shape) > 1 and shape[-1] % multiple == 0


def places(view):
    """The elements of the source that a view sees."""
    offset, *numbers = view
    half = len(numbers) // 2
    found = [offset]
    for extent, stride in zip(numbers[:half], numbers[half:]):
        found = [place + i * stride for place in found for i in range(extent)]
    return found


def simplest(view):
    """I20: the form of a view."""
    extents, strides = view[1 : (len(view) + 1) // 2], view[(len(view) + 1) // 2 :]
    right = len(view) % 2 and view[0] >= 0 and min(extents, default=2) > 1
    products = [n * s for n, s in zip(extents[1:], strides[1:])]
    return bool(right and min(strides, default=1) > 0
                and not any(a == b for a, b in zip(strides, products)))


def fits(row):
    """I20: whether a row has a view of that form with as many elements as the source stores."""
    view, shape = row["view"], stored(elements_of(row), decoded(row["transform"]))
    return view is not None and simplest(view) and (
        math.prod(view[1 : (len(view) + 1) // 2]) == math.prod(shape))


def nested(view):
    """I15: whether the strides of a view pass over what is inside them."""
    half, inside = len(view) // 2 + 1, 1
    for stride, extent in sorted(zip(view[half:], view[1:half])):
        if stride < inside:
            return False
        inside += (extent - 1) * stride
    return True


ROUTERS = ("router", "router_bias", "router_table")  # never cast, nor of an encoding
SAME = ("name", "role", "layer", "dtype", "encoding", "shard")  # of a stack and its slices
PLACE = ("expert", "projection", "shape", "offset")


def of(row, *columns):
    return tuple(row[column] for column in columns)


def vocabularies(p):
    """I4 (V4), and that each row has a shard: without these nothing else can be asked."""
    p.rank = {shard["file"]: shard["rank"] for shard in p.manifest["shards"]}
    for row in p.rows:
        for column, values in VOCABULARIES.items():
            yield "V4" if p.later else "I4", f"{column} {row[column]}", row[column] in values
        known = row["encoding"] == "plain" or blocks_of(row["encoding"])
        made = row["transform"] is None or is_transform(row["transform"])
        yield "V4" if p.later else "I4", f"encoding {row['encoding']}", bool(known)
        yield "V4" if p.later else "I4", f"transform {row['transform']}", bool(made)
        yield "I6", row["shard"], row["shard"] in p.rank


def each_row(p):
    """What a row says by itself; of all, M7 and I15."""
    weight_files = {None, *(shard["file"] for shard in p.manifest["provenance"]["shards"])}
    cast = p.manifest["provenance"]["cast"] or {"dtype": None}
    given = p.manifest["provenance"]["quantisation"] or {"encoding": None}
    adapter = p.manifest["provenance"].get("adapter")
    left_out = tuple(p.manifest["provenance"].get("leftOut", ()))
    yield "M7", "encodings", p.manifest["encodings"] == sorted({row["encoding"] for row in p.rows})
    for row in p.rows:
        name, role, dtype, shape = of(row, "name", "role", "dtype", "shape")
        source = file, tensor, made = of(row, "source_file", "source_tensor", "transform")
        leaf, view, encoding = row["kind"] != "stack", row["view"], blocks_of(row["encoding"])
        size = math.prod(shape) * BITS[dtype]
        yield "I5", name, min(shape, default=0) >= 0 and row["bytes"] * 8 == size
        yield "I9", name, {row[c] is not None for c in PLACE[:2]} == {row["kind"] == "slice"}
        yield "I12", name, {row[c] is not None for c in ("crc32c", "sha256")} == {leaf}
        yield "I13", name, all(source) if leaf and role != "padding" else source == (None,) * 3
        yield "I14", name, file in weight_files
        yield "I23", name, not (tensor or "").startswith(left_out)
        yield "I16", name, bool(adapter) or not merged(made)
        if given_here := quantised(made):
            yield "I16", name, given_here == given["encoding"]
            yield "I17", name, given_here == row["encoding"] or role == "scale"
            yield "I17", name, role == "scale" or not decoded(made) or holds(
                elements_of(row), decoded(made))
        elif made not in (None, "copy"):
            kept = made == "merge" and (role == "router" or cast["dtype"] is None)
            yield "I16", name, kept or dtype == cast["dtype"]
            yield "I17", name, role not in (*ROUTERS[1:], "scale", "opaque")
            yield "I17", name, role != "router" or made == "merge"
            yield "I17", name, not merged(made) or len(shape) == 2
            yield "I17", name, not decoded(made) or holds(shape, decoded(made))
        if view is not None:
            yield "I20", name, bool(file)
            yield "I20", name, fits(row) or is_made_scale(row)
        yield "T1", name, leaf or row["offset"] % 4096 == 0
        if role == "opaque":
            facts = of(row, "kind", "layer", "encoding", "view", "transform")
            yield "T4", name, facts == ("tensor", None, "plain", None, "copy")
            yield "T4", name, name == f"opaque.{file}/{tensor}" and p.rank[row["shard"]] is None
        else:
            router = role in ROUTERS
            yield "T3", name, not router if encoding else (
                dtype in FLOATS or role in ("scale", "padding")
                ) if role != "router_table" else dtype == "I64"
            yield "E2", name, not encoding or router or dtype in encoding[0] and (
                len(shape) > 1 and role not in ("scale", "padding"))
    values = [row for row in p.rows if merged(row["transform"]) and row["role"] != "scale"]
    yield "I22", "adapter", not adapter or len(values) == sum(
        update["matrices"] for update in adapter["updates"])
    sources = {}
    for row in p.rows:
        if row["source_tensor"] and not is_made_scale(row):
            sources.setdefault(of(row, "source_file", "source_tensor"), []).append(row)
    for source, rows in sources.items():
        views = [row["view"] for row in rows]
        if None in views:
            yield "I15", source, len(views) == 1
        elif all(map(fits, rows)):
            seen = sorted(place for view in views for place in places(view))
            yield "I15", source, seen == [*range(len(seen))] and all(map(nested, views))


def made_together(p):
    """I21."""
    origin = ("source_file", "source_tensor", "view", "transform")
    leaves = [row for row in p.rows if row["kind"] != "stack"]
    scales = {of(row, "name", *PLACE[:2]): row for row in leaves if row["role"] == "scale"}
    for row in leaves:
        if blocks_of(row["encoding"]):
            name = row["name"].removesuffix(".weight") + ".scale"
            own = scales.get((name, *of(row, *PLACE[:2])))
            made = own and (quantised(row["transform"]) or is_made_scale(own))
            yield "I21", name, not made or of(own, *origin) == of(row, *origin)


def block_grid(shape, encoding, gate_up=False):
    """Section 6: the shape of the scales; gate and up have grids of their own."""
    (*experts, n, k), rows, columns = shape, encoding[2], min(shape[-1], encoding[3])
    return (*experts, 2 * -(-(n // 2) // rows) if gate_up else -(-n // rows), -(-k // columns))


def tensors(p):
    """I7, I8 and E3: what the architecture calls for is there, with its scales, and no more."""
    parts, last = {}, ({"kind": None}, [])  # of each name: rows, with the slices that follow them
    for row in p.rows:
        if row["kind"] == "slice":
            yield "I10", f"{row['name']}: slices follow a stack", last[0]["kind"] == "stack"
            last[1].append(row)
        else:
            last = (row, [])
            if row["role"] not in ("padding", "opaque"):
                parts.setdefault(row["name"], []).append(last)
    for name, (role, layer, shape, optional) in canonical(p.manifest["architecture"]).items():
        there = parts.pop(name, [])
        yield "I7", f"{name} is there", bool(there) or optional
        stack = role.startswith(("expert_gate", "expert_up", "expert_down"))
        encoding = blocks_of(there[0][0]["encoding"]) if there else None
        yield from one_tensor(p, there, role, layer, stack, stored(shape, encoding), "I7")
        if encoding and len(shape) - stack > 1:  # of what is no matrix, each row says E2
            yield "E2", name, holds(shape, encoding)
            grid = block_grid(shape, encoding, role == "expert_gate_up")
            name = name.removesuffix(".weight") + ".scale"
            scales = parts.pop(name, [])
            yield from one_tensor(p, scales, "scale", layer, stack, grid, "E3")
            spread = [[(row["shard"], len(slices)) for row, slices in x] for x in (there, scales)]
            yield "E3", name, spread[0] == spread[1]
            yield "E3", name, all(r["dtype"] in encoding[4] for r, _ in scales)
            yield "E3", name, all(r["encoding"] == "plain" for r, _ in scales)
    yield "I8", f"nothing calls for {[*parts]}", not parts


def one_tensor(p, parts, role, layer, stack, shape, rule):
    """I7, I10, I11, T2, L2: one tensor row, or one stack in one part or more."""
    first, right, ranks = 0, True, p.manifest["layout"]["expertParallel"]
    yield "I7", f"{role} of layer {layer}: one row", stack or len(parts) < 2
    kinds = {of(row, "dtype", "encoding") for row, _ in parts}
    yield "T2", f"{role} of layer {layer}: one dtype and encoding", len(kinds) < 2
    for row, slices in parts:
        name, rank, own = row["name"], p.rank[row["shard"]], tuple(row["shape"])
        facts = of(row, "kind", "role", "layer") == ("stack" if stack else "tensor", role, layer)
        shaped = len(own) == len(shape) and own[stack:] == shape[stack:]
        right = right and facts and shaped
        yield "I7", f"{name}: kind, role and layer", facts
        yield rule, f"{name}: shape", shaped or not facts
        if not facts or not shaped or not stack:
            yield "L2", name, rank is None or stack
            continue
        begin, first = first, first + own[0]
        says = [of(s, *SAME, *PLACE) for s in slices]
        yield "I10", f"{name}: its slices", says == slices_of(row, begin)
        yield "I11", f"{name}: experts in each part", begin < first
        if ranks == 1 or rank is None:
            yield "L2", name, ranks == 1 and rank is None
        else:
            low, high = (r * shape[0] // ranks for r in (rank, rank + 1))
            yield "L2", name, rank < ranks and low <= begin and first <= high
    if parts and stack and right:
        yield "I11", f"{role} of layer {layer}: all experts", first == shape[0]


def slices_of(stack, first):
    """I10: what the slices of a stack row say."""
    experts, rows, *columns = stack["shape"]  # of a bias no columns
    which = next(x for x in ("gate_up", "up", "down") if f".{x}." in stack["name"])
    projections = which.split("_")
    shape = [rows // len(projections), *columns]
    size = math.prod(shape) * BITS[stack["dtype"]] // 8
    each = ((first + e, projection) for e in range(experts) for projection in projections)
    same, begin = of(stack, *SAME), stack["offset"]
    return [(*same, *of_expert, shape, begin + i * size) for i, of_expert in enumerate(each)]


def covered(p):
    """I6 and I19."""
    for shard in p.manifest["shards"]:
        name, end = shard["file"], shard["headerBytes"]
        here = [row for row in p.rows if row["shard"] == name]
        leaves = sorted(of(row, "offset", "bytes") for row in here if row["kind"] != "stack")
        for offset, size in leaves:
            yield "I6", f"{name}: leaf after leaf at {end}", offset == end
            end = offset + size
        yield "I6", f"{name}: its end", bool(leaves) and end == shard["bytes"]
        stacks = {row["offset"] for row in here if row["kind"] == "stack"}
        fillers = [row for row in here if row["role"] == "padding"]
        names = {row["name"] for row in fillers}
        yield "I19", f"{name}: names of fillers", len(names) == len(fillers)
        for row in fillers:
            facts = of(row, "kind", "dtype", "encoding", "layer") == ("tensor", "U8", "plain", None)
            numbered = bool(re.fullmatch(r"padding\.(0|[1-9][0-9]*)", row["name"]))
            sized = len(row["shape"]) == 1 and 1 <= row["shape"][0] < 4096
            ends = row["offset"] + row["bytes"] in stacks
            yield "I19", f"{name}: {row['name']}", facts and numbered and sized and ends
