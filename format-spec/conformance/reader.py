"""A second reader of Moxie packages, written from SPEC.md and moxie.schema.json alone.

    python reader.py PACKAGE        prints ok, or the answer of SPEC section 7 and the rules broken

Checks are functions of a package that yield claims: (rule of SPEC, what it is about, whether it
holds). STEPS, at the end, has them in the order in which section 7 wants them asked. index.py has
those of tensors.arrow; forward.py computes with a package that is right.
"""

import json
import math
import re
import sys
from hashlib import sha256
from itertools import pairwise
from pathlib import Path, PurePosixPath

import index
import pickles
from index import Broken, must

SCHEMA = json.loads((Path(__file__).parent.parent / "moxie.schema.json").read_text("utf-8"))
STAGES = ("open", "read", "digest")  # section 9
ANSWERS = {"D1": "unfinished", "V1": "too_new", "V2": "too_old", "V4": "too_new",
           "V5": "too_new"}  # of all other rules: corrupt


class Package:
    """What is found step by step; breaches are (answer, rule, stage of section 9, what)."""

    def __init__(self, folder):
        self.folder, self.breaches = Path(folder), []
        for at, *checks in STEPS:
            for check in checks:
                try:
                    wrong = [(rule, what) for rule, what, holds in check(self) if not holds]
                except Broken as e:
                    wrong = [e.args]
                self.breaches += [(ANSWERS.get(r, "corrupt"), r, at, what) for r, what in wrong]
            if self.breaches:
                return

    def file(self, path, rule):
        """The place of a regular file (D3). One that is missing breaks `rule`."""
        place = self.folder
        for segment in path.split("/"):
            place /= segment
            must(not place.is_symlink(), "D3", f"{path}: {segment} is a link")
        must(place.exists(), rule, f"{path} is missing")
        must(place.is_file(), "D3", f"{path} is no regular file")
        return place

    def listed(self, entry, rule):
        """The bytes of one of `files`, as many as it says and with its digest: I1 and W6."""
        data = self.file(entry["path"], rule).read_bytes()
        right = len(data) == entry["bytes"] and sha256(data).hexdigest() == entry["sha256"]
        must(right, rule, f"{entry['path']} has another size or digest")
        return data

    def bytes_of(self, row):
        with open(self.folder / row["shard"], "rb") as file:
            file.seek(row["offset"])
            return file.read(row["bytes"])


# Section 2: JSON


def parse_json(data):
    """JSON in UTF-8 (M2) without a key twice (M3), and M4 of keys and digits."""

    def members(pairs):
        must(len(dict(pairs)) == len(pairs), "M3", "a key stands twice")
        must(all(is_text(key) for key, _ in pairs), "M4", "a key is no text")
        return dict(pairs)

    def number(text):
        digits = re.sub(r"^-?0(?=\.)|[^0-9]", "", text)
        must(len(digits) <= 64, "M4", "a number has more than 64 digits")
        return int(text) if re.fullmatch("-?[0-9]+", text) else float(text)

    def constant(name):
        must(False, "M2", f"{name} is not JSON")

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=members, parse_int=number,
                          parse_float=number, parse_constant=constant)
    except RecursionError:
        raise Broken("M4", "nested far too deep") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as e:
        raise Broken("M2", str(e)) from None


def nested(value, levels):
    """Whether objects and arrays are nested at most so deep."""
    if not isinstance(value, (dict, list)):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(nested(v, levels - 1) for v in inner)


def is_text(value):
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value):
    """Its nearest double is finite."""
    try:
        return (is_integer(value) or isinstance(value, float)) and math.isfinite(value)
    except OverflowError:
        return False


def manifest_file(p):
    """D1, D3, M1 to M3, and what M4 says of depth, digits and keys."""
    path = p.file("moxie.json", "D1")
    must(path.stat().st_size <= 16 << 20, "M2", "moxie.json has more than 16 MiB")
    data = path.read_bytes()
    must(data.startswith(b"{"), "M2", "moxie.json does not begin with {")
    tail = b'  "sha256" : "%s"\n}\n' % sha256(data[:-82]).hexdigest().encode()
    must(data.endswith(tail), "M1", "moxie.json does not end with its digest")
    p.manifest = parse_json(data)
    yield "M4", "moxie.json is nested more than 64 deep", nested(p.manifest, 64)


def version(p):
    """V1, V2, V6, before everything else."""
    yield "M5", "format", p.manifest.get("format") == "moxie"
    version = p.manifest.get("version")
    numbers = [version.get(k) for k in ("major", "minor")] if isinstance(version, dict) else [None]
    right = all(is_integer(n) and 0 <= n < 2**31 for n in numbers)
    yield "V6", "version", right
    yield "V1", "a later major version", not right or numbers[0] <= 1
    yield "V2", "an earlier major version", not right or numbers[0] >= 1
    p.later = right and numbers[1] > 0


# The shape that moxie.schema.json states: the part of JSON Schema that it uses, as strict as M4 is

TYPES = {"object": lambda v: isinstance(v, dict), "array": lambda v: isinstance(v, list),
         "string": is_text, "boolean": lambda v: isinstance(v, bool), "null": lambda v: v is None,
         "integer": is_integer, "number": is_number}
KEYWORDS = {  # the type that a keyword is about, when it holds, and the rule that it stands for
    "const": (object, lambda v, it: v == it, "M5"),
    "enum": (object, lambda v, it: v in it, "M5"),
    "minLength": (str, lambda v, it: len(v) >= it, "D2"),
    "maxLength": (str, lambda v, it: len(v) <= it, "D2"),
    "pattern": (str, lambda v, it: re.search(it.replace("$", r"\Z"), v), "D2"),
    "multipleOf": ((int, float), lambda v, it: v % it == 0, "A3"),
    "minimum": ((int, float), lambda v, it: v >= it, "A1"),
    "maximum": ((int, float), lambda v, it: v <= it, "A1"),
    "exclusiveMinimum": ((int, float), lambda v, it: v > it, "A1"),
    "minItems": (list, lambda v, it: len(v) >= it, "A1"),
}


def resolve(schema):
    return SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")] if "$ref" in schema else schema


def mismatches(value, schema=SCHEMA, path=()):
    """(keyword, path) of what is not as the schema says, its `uniqueItems` aside, which are M6."""
    schema = resolve(schema)
    if "oneOf" in schema:  # objects whose `type` says which
        types = {s["properties"]["type"]["const"]: s for s in map(resolve, schema["oneOf"])}
        tag = value.get("type") if isinstance(value, dict) else None
        schema = types.get(tag if isinstance(tag, str) else None) or {
            "type": "object", "required": ["type"], "properties": {"type": {"enum": list(types)}}}
    listed = [t for t in TYPES if t != "null" or None in schema.get("enum", ())]
    allowed = schema.get("type", listed)  # null is no word unless it is listed (V4)
    if not any(TYPES[t](value) for t in ([allowed] if isinstance(allowed, str) else allowed)):
        yield "type", path
        return
    wrong = (keyword for keyword, (about, holds, _) in KEYWORDS.items() if keyword in schema
             and isinstance(value, about) and not holds(value, schema[keyword]))
    yield from ((keyword, path) for keyword in [*wrong][:1])
    for part in schema.get("allOf", ()):
        yield from mismatches(value, part, path)
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            yield from mismatches(item, schema["items"], (*path, i))
    if isinstance(value, dict) and "properties" in schema:
        properties = schema["properties"]
        yield from (("required", (*path, key)) for key in schema["required"] if key not in value)
        for key in value:
            if key in properties:
                yield from mismatches(value[key], properties[key], (*path, key))
            elif "additionalProperties" in schema:
                yield "additionalProperties", (*path, key)


def shape(p):
    """What the schema says, each for its rule; V3 to V5 of a later minor version."""
    for keyword, path in mismatches(p.manifest):
        inside, rule = path[:1] == ("architecture",), KEYWORDS.get(keyword, (0, 0, "M4"))[2]
        if path[:1] == ("encodings",) and keyword == "pattern":
            rule = "M5"
        if inside and keyword == "const":  # true, of an optional member
            rule = "A9"
        if rule == "A1" and not inside:
            rule = "M9" if path[0] == "shards" and path[-1] != "rank" else "M4"
        elif keyword == "pattern" and "sha256" in str(path[-1]).lower():
            rule = "M4"
        elif p.later and (rule == "M5" or keyword == "additionalProperties" and inside):
            rule = "V4" if rule == "M5" else "V5"
        ignored = keyword == "additionalProperties" and not inside or path == ("version", "minor")
        yield rule, f"{'.'.join(map(str, path))}: {keyword}", p.later and ignored


# Section 2 and the end of 4: what a manifest of that shape must say


def architecture(p):
    """A1 to A17, as far as the schema does not say them."""
    a = p.manifest["architecture"]
    yield "A9", "multipliers", {*a.get("multipliers", {"none": 0}).values()} != {1}
    beside = any("beside" in block["feedForward"] for block in a["blocks"])
    yield "A12", "normPlacement", not beside or a.get("normPlacement") not in ("shared_input", "residual")
    yield "A10", "offsetNorms", not {"offsetNorms", "centredNorms"} <= {*a}
    alone = not ("normPlacement" in a or a["prediction"])
    yield "A1", "normBiases", "normBiases" not in a or alone and not beside
    scales = ("attentionResidual", "feedForwardResidual")
    scaled = any(s in block for s in scales for block in a["blocks"])
    yield "A1", "streams", "streams" not in a or alone and not ("multipliers" in a or scaled)
    yield "A1", "normPlacement", a.get("normPlacement") != "shared_input" or not scaled
    ahead = a["prediction"] or {"attention": {"type": "none"}}
    yield "A14", "prediction", ahead["attention"]["type"] != "lightning"
    yield "A1", "layers", sum(block["count"] for block in a["blocks"]) <= 16384
    yield "A1", "layers", index.encoder_layers(a) <= 16384
    yield "A1", "positions", "positions" not in a or a["hiddenSize"] >= 4
    encoder, stacks = a.get("encoder"), [a["blocks"]]
    if encoder:
        stacks.append(encoder["blocks"])
        yield "A1", "encoder", alone and "streams" not in a
        yield "A1", "encoder.start", encoder["start"] < a["vocabSize"]
        yield "A13", "cross", all("cross" not in b for b in encoder["blocks"])
    yield "A9", "finalNormEpsilon", a.get("finalNormEpsilon") != a["normEpsilon"]
    yield "A13", "cross", all(("cross" in b) == bool(encoder) for b in a["blocks"])
    if image := a.get("image"):
        yield "A16", "image", not {"encoder", "streams"} & {*a}
        yield "A16", "image", not (a["tiedEmbeddings"] or a["prediction"])
        towers = image.get("towers", {"tasks": 1})
        parted = a["hiddenSize"] % towers["tasks"] == 0 and a["vocabSize"] % towers["tasks"] == 0
        yield "A17", "towers", parted and not {"towers", "representationSize"} <= {*image}
        yield "A16", "maxPositions", 2 <= a["maxPositions"] <= 1 << 24
        yield "A16", "assigned", all("assigned" not in b["feedForward"].get("routing", {}) for b in a["blocks"])
    padded = "padding" in a.get("positions", {})
    yield "A13", "padding", not padded or bool(encoder)
    for stack in stacks:
        attentions = [block["attention"] for block in stack]
        both = ["bidirectional" in one for one in attentions]
        ahead = bool(image) or stack is not a["blocks"]
        yield "A16" if image else "A13", "bidirectional", all(both) if ahead else not any(both)
        yield "A13", "distances", all(one.get("distances") == attentions[0].get("distances")
                                      for one in attentions)
    for block in index.blocks(a):
        attention, ff = block["attention"], block["feedForward"]
        rotary, routing = attention.get("rotary"), ff.get("routing")
        if attention["type"] == "gated_delta":
            keys, heads = attention["keyHeads"], attention["valueHeads"]
            wide = 2 * (keys * attention["keySize"] + heads * attention["valueSize"])
            yield "A2", "keyHeads", heads % keys == 0 and wide <= 1 << 24
            by_row = "decayRank" in attention
            yield "A2", "decayRank", not by_row or heads * attention["keySize"] <= 1 << 24
            ranks = {"decayRank", "gateRank"} & {*attention}
            yield "A11", "ranks", not ranks or attention["projections"] != "by_key_head"
        kinds = {attention["type"], ff["type"]}
        whole = a.get("normPlacement") == "shared_input"
        yield "A14", "a layer", "none" not in kinds or len(kinds) == 2 and not whole
        for part, scale in zip((attention, ff), scales):
            yield "A14", scale, scale not in block or part["type"] != "none"
            yield "A9", scale, scale not in block or {*block[scale].values()} != {1}
        if attention["type"] == "lightning":
            yield "A2", "headSize", 3 * attention["heads"] * attention["headSize"] <= 1 << 24
        if attention["type"] == "mamba":
            size = attention["stateSize"]
            rows = attention["stepRank"] + 2 * size
            yield "A2", "stateSize", max(attention["width"] * size, rows) <= 1 << 24
        if attention["type"] == "mamba2":
            heads, groups = attention["heads"], attention["groups"]
            wide = 2 * (heads * attention["headSize"] + groups * attention["stateSize"]) + heads
            yield "A2", "groups", heads % groups == 0 and wide <= 1 << 24
            yield "A2", "normGroups", heads % attention["normGroups"] == 0
        if attention["type"] == "grouped_query":
            yield "A2", "keyValueHeads", attention["heads"] % attention["keyValueHeads"] == 0
            cut = attention["window"] is not None or "chunk" in attention
            yield "A13", "bidirectional", "bidirectional" not in attention or not cut
            if distances := attention.get("distances"):
                yield "A13", "buckets", distances["buckets"] % 4 == 0
                yield "A13", "farthest", distances["farthest"] >= distances["buckets"]
            turned = rotary["dimensions"] if rotary else 0
            yield "A3", "rotary.dimensions", turned <= attention["headSize"]
            yield "A9", "valueFactor", attention.get("valueFactor") != 1
            yield "A9", "valueSize", attention.get("valueSize") != attention["headSize"]
            if experts := attention.get("headExperts"):
                may = {"type", "heads", "keyValueHeads", "headSize", "scale", "rotary", "window",
                       "chunk", "scoreCap", "outputBias", "headExperts"}
                k = experts["perToken"]
                fit = k <= experts["count"] and attention["heads"] == k * attention["keyValueHeads"]
                yield "A15", "headExperts", fit and {*attention} <= may
            if n := attention.get("blockIndexer"):
                yield "A2", "blockIndexer", attention["heads"] % n["heads"] == 0
                yield "A3", "blockIndexer", turned <= n["size"]
                yield "A11", "blockIndexer.local", n["local"] <= n["kept"]
                others = {"chunk", "bidirectional", "distances"} & {*attention}
                yield "A11", "blockIndexer", attention["window"] is None and not others
            yield "A12", "gate", not {"gate", "outputGate"} <= {*attention}
            own = {"outputGate", "keysAsValues"} & {*attention}
            yield "A12", "valueSize", not ("valueSize" in attention and own)
        if attention["type"] == "compressed":
            yield "A2", "groups", attention["heads"] % attention["groups"] == 0
            inner = attention.get("compression", {}).get("indexer", {"size": attention["headSize"]})
            most = min(attention["headSize"], inner["size"])
            yield "A3", "rotary.dimensions", rotary["dimensions"] <= most
        yield "A9", "latentFactor", attention.get("latentFactor") != 1
        if attention["type"] == "multi_head_latent":
            yield "A11", "sharedSize", ("rotary" in attention) != ("sharedSize" in attention)
        if indexer := attention.get("indexer"):
            yield "A11", "rotary", rotary is not None
            yield "A3", "indexer.size", rotary["dimensions"] <= indexer["size"]
            yield "A11", "queryRank", attention["queryRank"] is not None
        if scaling := rotary and rotary.get("scaling"):
            low, high = (scaling.get(end, 0) for end in ("lowFrequency", "highFrequency"))
            yield "A3", "rotary.theta", scaling["type"] != "yarn" or rotary["theta"] != 1
            yield "A3", "highFrequency", scaling["type"] != "llama3" or low <= high
            pairs = rotary["dimensions"] // 2
            yield "A3", "pairs", scaling.get("pairs", 0) < pairs
            yield "A3", "factors", len(scaling.get("factors", [0] * pairs)) == pairs
        yield "A8", "ungated", not {"ungated", "clamp"} <= {*ff}
        yield "A8", "activation", "clamp" not in ff or ff["activation"] == "silu"
        if routing:
            k, groups = routing["expertsPerToken"], routing["groups"]
            yield "A4", "expertsPerToken", k <= ff["experts"]
            identities, shortcut = ff.get("identities", 0), "shortcut" in ff
            yield "A4", "identities", identities < ff["experts"]
            yield "A15", "identities", not identities or not (groups or {"prototypes", "hierarchy"} & set(routing))
            alone = not (ff["shared"] or "beside" in ff)
            yield "A15", "outputBias", "outputBias" not in ff or alone
            alone = alone and not ({"indexer", "blockIndexer", "headExperts"} & {*attention} or "encoder" in a)
            alone = alone and attention["type"] in ("grouped_query", "multi_head_latent")
            alone = alone and not (a["prediction"] or {"image", "streams", "normPlacement"} & set(a))
            alone = alone and not {"attentionResidual", "feedForwardResidual"} & set(block)
            yield "A15", "shortcut", not shortcut or alone
            mixed = "mixer" in routing
            yield "A8", "score", mixed == (routing["score"] == "identity")
            of_scores = routing["bias"] not in (None, "logits")
            yield "A8", "mixer", not (mixed and (of_scores or groups or routing["normalisation"]))
            sets, one = routing.get("prototypes", 1), routing["score"] == "one"
            yield "A5", "prototypes", k % sets == 0 and ff["experts"] % sets == 0
            yield "A8", "prototypes", sets == 1 or not ("assigned" in routing or groups or mixed)
            yield "A8", "one", not one or "assigned" in routing and "logitCap" not in routing
            angles = "cosine" in routing
            yield "A8", "cosine", not angles or routing["bias"] != "logits" and not one
            if nested := routing.get("hierarchy"):
                count, kept = nested["groups"], nested["kept"]
                fits = ff["experts"] % count == 0 and k % kept == 0 and kept <= count
                yield "A5", "hierarchy", fits and k // kept <= ff["experts"] // count
                others = {"assigned", "factors", "logitCap", "prototypes", "cosine", "drops"}
                others |= {name for name in ("bias", "groups", "normalisation") if routing[name]}
                yield "A8", "hierarchy", routing["score"] == "softmax" and not others & {
                    name for name, value in routing.items() if value is not None}
            dense = k == ff["experts"] and routing["weightsApplyTo"] == "expert_output"
            dense = dense and sets > 1 and a["hiddenSize"] % sets == 0
            yield "A17", "byTask", "byTask" not in ff or dense
            free = not (routing["bias"] or groups or mixed)
            yield "A8", "assigned", "assigned" not in routing or free
            drops, normalisation = routing.get("drops"), routing["normalisation"]
            yield "A8", "capacity", (routing["capacity"] == "limited") == bool(drops)
            if drops:
                outputs = routing["weightsApplyTo"] == "expert_output"
                yield "A8", "drops", outputs and not mixed
                yield "A8", "drops", ("tokens" in drops) != ("fraction" in drops)
                yield "A8", "least", "least" not in drops or "fraction" in drops
                yield "A8", "fraction", drops.get("fraction", 0.5) < 1
                after = not normalisation or "afterNormalisation" in drops
                least = not after and max(normalisation["epsilon"], normalisation.get("least", 0))
                yield "A8", "normalisation", after or least > 0
            clamped = "clamped" in (ff["shared"] or {})
            yield "A8", "clamped", not clamped or "clamp" in ff
            yield "A8", "beside", "beside" not in ff or not ff["shared"]
            mixes = "mixed" in (ff["shared"] or {})
            yield "A8", "mixed", not mixes or not ("switched" in ff["shared"] or "outputFactors" in ff)
            yield "A12", "outputFactors", "outputFactors" not in ff or ff["shared"]
            yield "A9", "outputFactors", {*ff.get("outputFactors", {"none": 0}).values()} != {1}
        if routing and groups:
            size, rest = divmod(ff["experts"], groups["count"])
            divided, one = rest == 0 and groups["kept"] <= groups["count"], size == 1
            yield "A5", "groups", divided
            yield "A6", "kept", not divided or groups["kept"] * size >= min(k, ff["experts"])
            yield "A7", "aggregate", not divided or not one or groups["aggregate"] == "maximum"
            yield "A8", "maskValue", groups["maskValue"] != "zero" or not of_scores


def manifest(p):
    """M6 to M11 and L1."""
    m, provenance = p.manifest, p.manifest["provenance"]
    adapter = provenance.get("adapter") or {"files": [], "updates": []}
    shards, files = [s["file"] for s in m["shards"]], {f["path"]: f["bytes"] for f in m["files"]}
    for names in (m["encodings"], shards, [f["path"] for f in m["files"]],
                  [s["file"] for s in provenance["shards"]], provenance["ignoredFiles"],
                  provenance["ignoredConfigKeys"],
                  provenance.get("leftOut", []), [f["path"] for f in adapter["files"]],
                  [(u["rank"], u["scale"]) for u in adapter["updates"]]):
        yield "M6", names, all(a < b for a, b in pairwise(names))  # text compares by code point
    paths = {*shards, *files, "moxie.json"}
    folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    yield "M8", "tensors.arrow is in files", "tensors.arrow" in files
    yield "M8", "other files", all(f.startswith("source/") for f in {*files} - {"tensors.arrow"})
    yield "M8", "a path is two files", len(paths) == len({*shards}) + len(files) + 1
    yield "M8", "a file lies in a file", paths.isdisjoint(folders)
    for shard in m["shards"]:
        yield "M9", shard["file"], shard["headerBytes"] <= shard["bytes"]
    for shard in provenance["shards"]:
        header = f"source/{shard['file']}.header"
        yield "M10", header, 10 <= files.get(header, 0) <= shard["bytes"]
    kept = m["architecture"]["prediction"] is not None
    yield "M11", "prediction", (provenance["prediction"] == "kept") == kept
    networks = [block["feedForward"] for block in index.blocks(m["architecture"])]
    experts = [max(1, index.weighted(ff)) for ff in networks if ff["type"] == "mixture_of_experts"]
    yield "L1", "expertParallel", m["layout"]["expertParallel"] <= min(experts, default=1)


# Section 3: the files


def read_index(p):
    """I1 to I4."""
    entry = next(f for f in p.manifest["files"] if f["path"] == "tensors.arrow")
    must(entry["bytes"] <= 1 << 30, "I1", "tensors.arrow has more than 1 GiB")
    p.rows = index.rows_of(p.listed(entry, "I1"), p.later)
    p.leaves = [row for row in p.rows if row["kind"] != "stack"]
    return index.vocabularies(p)


def safetensors_header(data, file_bytes):
    """{name: (dtype, shape, [begin, end])} by a file's first 8 + N bytes, or None."""

    def tensor(dtype, shape, data_offsets, **_):
        begin, end = data_offsets
        right = isinstance(shape, list) and isinstance(data_offsets, list)
        right &= all(is_integer(n) and n >= 0 for n in (begin, end, *shape))
        must(right and (end - begin) * 8 == math.prod(shape) * index.BITS[dtype], "W3", "a tensor")
        return dtype, shape, data_offsets

    try:
        header = parse_json(data[8:])
        text = all(isinstance(v, str) for v in header.pop("__metadata__", {}).values())
        tensors = {name: tensor(**entry) for name, entry in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    begins, ends = zip((0, 0), *sorted(place for _, _, place in tensors.values()))
    gapless = (*begins[1:], file_bytes - len(data)) == ends
    right = text and gapless and int.from_bytes(data[:8], "little") == len(data) - 8
    return tensors if right else None


def shards(p):
    """W1 to W3 and W5."""
    for shard in p.manifest["shards"]:
        name, begin = shard["file"], shard["headerBytes"]
        data, rows = p.file(name, "W1").read_bytes(), [r for r in p.rows if r["shard"] == name]
        must(len(data) == shard["bytes"], "W1", f"{name} has another size")
        must(sha256(data[:begin]).hexdigest() == shard["headerSha256"], "W2", f"header of {name}")
        says = {row["name"]: (row["dtype"], row["shape"],
                              [row["offset"] - begin, row["offset"] - begin + row["bytes"]])
                for row in rows if row["kind"] != "slice"}
        yield "W3", f"header of {name}", safetensors_header(data[:begin], len(data)) == says
        for row in rows:
            filler = data[row["offset"] :][: row["bytes"]] if row["role"] == "padding" else b""
            yield "W5", f"{row['name']} in {name}", not any(filler)


def sources(p):
    """W6, I18 and M12."""
    files = {entry["path"]: p.listed(entry, "W6") for entry in p.manifest["files"]}
    headers, scales, seen = {}, {}, {}
    for shard in p.manifest["provenance"]["shards"]:
        name, size = shard["file"], shard["bytes"]
        header = files[f"source/{name}.header"]
        read = pickles.tensors(name, header, size) if pickles.is_pickle(header) else safetensors_header(header, size)
        headers[name] = read
        must(headers[name] is not None, "I18", f"source/{name}.header is no such header")
        scales |= {tensor: facts[:2] for tensor, facts in headers[name].items()}
    for row in p.leaves:
        if row["role"] == "padding" or index.is_made_scale(row):
            continue
        name, made, view = index.of(row, "source_tensor", "transform", "view")
        dtype, shape, _ = headers[row["source_file"]].get(name, (None, (), None))
        if made == "copy":
            right = dtype == row["dtype"]
        elif encoding := index.decoded(made):
            names = [scale for scale in index.scales_of(name, made) if scale in scales]
            grid = scales[names[0]] if names else (None, None)
            sized = view or grid[1] == [*index.block_grid(index.elements_of(row), encoding)]
            right = dtype in encoding[0] and grid[0] in encoding[4] and sized
        elif index.merged(made) and not index.quantised(made):
            kept = row["role"] == "router" or p.manifest["provenance"]["cast"] is None
            right = dtype == row["dtype"] if kept else dtype in index.FLOATS
        else:
            right = dtype in index.FLOATS - {row["dtype"]}
        whole, size = [*index.stored(index.elements_of(row), index.decoded(made))], math.prod(shape)
        if view:
            said = index.places(view)
            right = right and max(said) < size and (shape != whole or said != [*range(size)])
            key = row["source_file"], name
            seen[key] = seen.get(key, -size) + len(said)
        yield "I18", f"{row['name']} of {name}", right and (view or shape == whole)
    yield "I18", "all elements of sources in leaves", not any(seen.values())
    ignored = p.manifest["provenance"]["ignoredConfigKeys"]
    yield "M12", ignored, config_keys(files.get("source/config.json", b"")).issuperset(ignored)


def config_keys(data):
    """M12: those of an object, nested ones after that one's key and a dot."""

    def keys(value):
        for key, inner in value.items() if isinstance(value, dict) else ():
            yield key
            yield from (f"{key}.{k}" for k in keys(inner))

    try:
        return {*keys(parse_json(data))}
    except Broken:
        return set()


def leaves(p):
    """W4."""
    for row in p.leaves:
        data = p.bytes_of(row)
        found = sha256(data).digest(), crc32c(data)
        yield "W4", f"{row['name']} {row['expert']}", found == (row["sha256"], row["crc32c"])


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


STEPS = (  # (stage, checks); one in which a rule is broken is the last
    ("open", manifest_file), ("open", version), ("open", shape), ("open", architecture, manifest),
    ("open", read_index),
    ("open", index.each_row, index.made_together, index.tensors, index.covered),
    ("read", shards), ("read", sources), ("digest", leaves),
)

if __name__ == "__main__":
    breaches = Package(sys.argv[1]).breaches
    print(breaches[0][0] if breaches else "ok")
    for _, rule, at, what in breaches:
        print(f"  {rule}, seen at {at}: {what}")
    sys.exit(3 if breaches else 0)
