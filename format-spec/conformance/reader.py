"""A second reader of Moxie packages, written from SPEC.md and moxie.schema.json alone.

    python reader.py PACKAGE        prints ok, or the answer of SPEC section 7 and the rules broken

It is for reading beside SPEC. Rules that need each other wait for each other, in the order that
section 7 states (a manifest that is not whole is not looked into); of the others every broken one is
named. Each check names the rule that it is about. forward.py computes with a package that is ok.
"""

import hashlib
import math
import re
import struct
import sys
from pathlib import Path
from typing import NamedTuple

import arrow
from shape import NotJson, depth, is_integer, mismatches, parse_json
from tensors import BITS, FLOATS, Index, block_grid, blocks

IMPLEMENTED = {"plain", "fp8_block"}
STAGES = ("open", "read", "digest")  # section 9
ANSWERS = {"D1": "unfinished", "V1": "too_new", "V2": "too_old", "V4": "too_new", "V5": "too_new",
           "E1": "unsupported"}  # fmt: skip


class Breach(NamedTuple):
    answer: str
    rule: str
    at: str
    what: str


class Refused(Exception):
    """`breaches` of rules, of which the first decides the answer."""

    def __init__(self, breaches):
        super().__init__(str(breaches[0]))
        self.breaches = breaches


def judge(folder):
    """The breaches of a package, none of one that is as it should be."""
    try:
        Package(folder)
        return []
    except Refused as refused:
        return refused.breaches


class Package:
    """A package that is right as far as `until` goes: its `manifest` and its index's `rows`."""

    def __init__(self, folder, until="digest"):
        self.folder, self.breaches = Path(folder), []
        stages = (self.check_open, self.check_read, self.check_digest)
        for self.at, check in zip(STAGES[: STAGES.index(until) + 1], stages):
            check()
            self.settle()

    def broken(self, rule, what):
        """The answer to a broken rule is that of section 7."""
        self.breaches.append(Breach(ANSWERS.get(rule, "corrupt"), rule, self.at, what))

    def settle(self):
        if self.breaches:
            raise Refused(self.breaches)

    def regular_file(self, path, rule):
        """D3. A file that is missing has not what `rule` asks of it."""
        place = self.folder
        for segment in path.split("/"):
            place /= segment
            if place.is_symlink():
                self.broken("D3", f"{path}: {segment} is a link")
                return None
        if not place.exists():
            self.broken(rule, f"{path} is missing")
        elif not place.is_file():
            self.broken("D3", f"{path} is no regular file")
        else:
            return place

    @property
    def leaves(self):
        return [row for row in self.rows if row["kind"] != "stack"]

    def bytes_of(self, row):
        with open(self.folder / row["shard"], "rb") as file:
            file.seek(row["offset"])
            return file.read(row["bytes"])

    # What moxie.json and tensors.arrow say

    def check_open(self):
        self.manifest = self.read_manifest()
        self.later = self.check_version()
        self.check_shape()
        self.settle()
        self.check_manifest()
        self.check_architecture()
        self.settle()
        for encoding in self.manifest["encodings"]:
            if encoding not in IMPLEMENTED:
                self.broken("E1", f"encoding {encoding} is not implemented")
        self.settle()
        self.rows = self.read_index()
        Index(self.rows, self.manifest, self.broken, self.later).check()
        if self.manifest["encodings"] != sorted({row["encoding"] for row in self.rows}):
            self.broken("M7", "encodings are not those of the index")

    def read_manifest(self):
        """D1, D3, M1 to M3, and M4 of depth and digits."""
        path = self.regular_file("moxie.json", "D1")
        self.settle()
        data = path.read_bytes() if path.stat().st_size <= 16 << 20 else b""
        if not data.startswith(b"{"):
            self.broken("M2", "moxie.json does not begin with {, or has more than 16 MiB")
        tail = re.fullmatch(rb'  "sha256" : "([0-9a-f]{64})"\n}\n', data[-82:])
        if not tail or hashlib.sha256(data[:-82]).hexdigest() != tail[1].decode():
            self.broken("M1", "moxie.json does not end with its digest")
        self.settle()
        try:
            manifest = parse_json(data)
            if depth(manifest) > 64:
                raise NotJson("M4", "nested more than 64 deep")
            return manifest
        except NotJson as e:
            self.broken(e.rule, f"moxie.json: {e}")
            self.settle()

    def check_version(self):
        """V1, V2, V6: before everything else. True of a later minor version."""
        if self.manifest.get("format") != "moxie":
            self.broken("M5", "format is not moxie")
        version = self.manifest.get("version")
        major, minor = (
            version.get(k) if isinstance(version, dict) else None for k in ("major", "minor")
        )
        if not all(is_integer(v) and 0 <= v < 2**31 for v in (major, minor)):
            self.broken("V6", "version is not two integers from 0 to 2^31 - 1")
        elif major > 1:
            self.broken("V1", "a later major version")
        elif major < 1:
            self.broken("V2", "an earlier major version")
        self.settle()
        return minor > 0

    def check_shape(self):
        """M4, M5, D2, V3 to V5, and what the schema says for other rules."""
        for keyword, path in mismatches(self.manifest):
            name, inside = ".".join(map(str, path)), path[0] == "architecture"
            if self.later and path == ("version", "minor"):
                continue
            if keyword == "additionalProperties" and self.later:
                if inside:
                    self.broken("V5", name)
            elif keyword.startswith("enum") and self.later:
                self.broken("V4", name)
            else:
                self.broken(rule_of_schema(keyword, path), f"{name}: {keyword}")

    def check_manifest(self):
        """M6 to M11 and L1, of a manifest of the right shape."""
        manifest, provenance = self.manifest, self.manifest["provenance"]
        shards = [s["file"] for s in manifest["shards"]]
        files = {f["path"]: f["bytes"] for f in manifest["files"]}
        weights = {s["file"]: s["bytes"] for s in provenance["shards"]}
        for names in (manifest["encodings"], shards, [f["path"] for f in manifest["files"]],
                      [s["file"] for s in provenance["shards"]],
                      provenance["ignoredFiles"], provenance["ignoredConfigKeys"]):  # fmt: skip
            if any(a >= b for a, b in zip(names, names[1:])):  # strings compare by code point
                self.broken("M6", f"{names} is not sorted, or holds something twice")
        if "tensors.arrow" not in files:
            self.broken("M8", "files does not hold tensors.arrow")
        for path in files:
            if path != "tensors.arrow" and not path.startswith("source/"):
                self.broken("M8", f"files holds {path}")
        everything = {*shards, *files, "moxie.json"}
        if len(everything) < len(shards) + len(files) + 1:
            self.broken("M8", "a path is a shard and another file as well")
        for path in everything:
            if everything & {path[:i] for i, c in enumerate(path) if c == "/"}:
                self.broken("M8", f"{path} lies in what is a file")
        for shard in manifest["shards"]:
            if shard["headerBytes"] > shard["bytes"]:
                self.broken("M9", f"{shard['file']} has a header larger than itself")
        for name, size in weights.items():
            if not 10 <= files.get(f"source/{name}.header", 0) <= size:
                self.broken("M10", f"files has no header of {name}, or one of a wrong size")
        if (provenance["prediction"] == "kept") != (manifest["architecture"]["prediction"] is not None):
            self.broken("M11", "provenance.prediction is not what the architecture says")
        networks = [block["feedForward"] for block in blocks(manifest["architecture"])]
        experts = [ff["experts"] for ff in networks if ff["type"] == "mixture_of_experts"]
        if manifest["layout"]["expertParallel"] > min(experts, default=1):
            self.broken("L1", "more ranks than experts")

    def check_architecture(self):
        """A1 to A8, as far as the schema does not say them."""
        architecture = self.manifest["architecture"]
        if sum(block["count"] for block in architecture["blocks"]) > 16384:
            self.broken("A1", "more than 16384 layers")
        for block in blocks(architecture):
            self.check_attention(block["attention"])
            if block["feedForward"]["type"] == "mixture_of_experts":
                self.check_routing(block["feedForward"])

    def check_attention(self, attention):
        rotary = attention["rotary"]
        if attention["type"] == "grouped_query":
            if attention["heads"] % attention["keyValueHeads"]:
                self.broken("A2", "keyValueHeads does not divide heads")
            if rotary["dimensions"] > attention["headSize"]:
                self.broken("A3", "more rotary dimensions than a head has")
        if rotary["yarn"] is not None and rotary["theta"] == 1:
            self.broken("A3", "theta is 1 beside yarn")

    def check_routing(self, ff):
        experts, k, groups = ff["experts"], ff["routing"]["expertsPerToken"], ff["routing"]["groups"]
        if k > experts:
            self.broken("A4", "more experts per token than experts")
        if groups is None:
            return
        count, kept = groups["count"], groups["kept"]
        if experts % count or kept > count:
            self.broken("A5", "groups do not divide the experts, or more are kept than there are")
        elif kept * (experts // count) < k <= experts:
            self.broken("A6", "the kept groups hold too few experts")
        elif groups["aggregate"] == "sum_of_top_two" and experts < 2 * count:
            self.broken("A7", "groups of one expert have no two")
        if groups["maskValue"] == "zero" and ff["routing"]["bias"] is not None:
            self.broken("A8", "maskValue is zero beside a bias")

    def read_index(self):
        """I1 to I3."""
        entry = next(f for f in self.manifest["files"] if f["path"] == "tensors.arrow")
        self.check_file(entry, "I1", 1 << 30)
        self.settle()
        data = (self.folder / "tensors.arrow").read_bytes()
        try:
            return arrow.rows_of(data, self.later)
        except ValueError as e:
            self.broken("I3" if isinstance(e, arrow.Columns) else "I2", f"tensors.arrow: {e}")
            self.settle()

    # What the other files hold

    def check_read(self):
        """W1 to W3, W5, W6, I18 and M12."""
        for shard in self.manifest["shards"]:
            self.check_shard(shard)
        for entry in self.manifest["files"]:
            self.check_file(entry, "W6")
        self.settle()
        for row in self.leaves:
            if row["role"] == "padding" and any(self.bytes_of(row)):
                self.broken("W5", f"{row['name']} in {row['shard']} is not zero")
        self.check_sources()
        self.check_config()

    def check_file(self, entry, rule, limit=math.inf):
        path = self.regular_file(entry["path"], rule)
        if path is None:
            return
        size = path.stat().st_size
        if size != entry["bytes"] or size > limit:
            self.broken(rule, f"{entry['path']} has another size")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            self.broken(rule, f"{entry['path']} has another digest")

    def check_shard(self, shard):
        name, begin = shard["file"], shard["headerBytes"]
        path = self.regular_file(name, "W1")
        if path is None:
            return
        size = path.stat().st_size
        if size != shard["bytes"]:
            self.broken("W1", f"{name} has another size")
            return
        with open(path, "rb") as file:
            header = file.read(begin)
        if hashlib.sha256(header).hexdigest() != shard["headerSha256"]:
            self.broken("W2", f"the header of {name} has another digest")
            return
        says = {
            r["name"]: (r["dtype"], r["shape"], [r["offset"] - begin, r["offset"] - begin + r["bytes"]])
            for r in self.rows
            if r["shard"] == name and r["kind"] != "slice"
        }
        try:
            if safetensors_header(header, size) != says:
                self.broken("W3", f"the header of {name} does not say what the index says")
        except ValueError as e:
            self.broken("W3", f"the header of {name}: {e}")

    def check_sources(self):
        """I18."""
        headers = {}
        for shard in self.manifest["provenance"]["shards"]:
            data = (self.folder / f"source/{shard['file']}.header").read_bytes()
            try:
                headers[shard["file"]] = safetensors_header(data, shard["bytes"])
            except ValueError as e:
                self.broken("I18", f"source/{shard['file']}.header: {e}")
                return
        anywhere = {name: tensor[:2] for header in headers.values() for name, tensor in header.items()}
        for row in (r for r in self.leaves if r["role"] != "padding"):
            tensor = row["source_tensor"]
            dtype, shape, _ = headers[row["source_file"]].get(tensor, (None, None, None))
            if row["transform"] == "copy":
                right = dtype == row["dtype"]
            elif row["transform"] == "cast":
                right = dtype in FLOATS - {row["dtype"]}
            else:
                grid = list(block_grid(row["shape"]))
                right = dtype == "F8_E4M3" and anywhere.get(tensor + "_scale_inv") == ("F32", grid)
            if not right or shape != row["shape"]:
                self.broken("I18", f"{row['name']} cannot be made of {tensor} in {row['source_file']}")

    def check_config(self):
        """M12."""
        keys = self.manifest["provenance"]["ignoredConfigKeys"]
        if keys:
            try:
                config = parse_json((self.folder / "source/config.json").read_bytes())
            except (OSError, NotJson):
                config = None
            for key in keys:
                if not holds(config, key):
                    self.broken("M12", f"source/config.json has no {key}")

    def check_digest(self):
        """W4."""
        for row in self.leaves:
            data = self.bytes_of(row)
            if (hashlib.sha256(data).digest(), crc32c(data)) != (row["sha256"], row["crc32c"]):
                self.broken(
                    "W4", f"{row['name']} {row['expert']} {row['projection']} has another digest"
                )


def rule_of_schema(keyword, path):
    """The rule for which the schema has a keyword where it has it."""
    if keyword == "enum":
        return "M5"
    if keyword == "multipleOf":
        return "A3"
    if keyword == "pattern":
        return "M4" if "sha256" in str(path[-1]).lower() else "D2"
    if keyword == "minimum" and path[0] == "architecture":
        return "A1"
    if keyword == "minimum" and path[0] == "shards" and path[-1] != "rank":
        return "M9"
    return "M4"


def holds(config, key):
    """Whether a key stands in an object, or after a dot in an object in it."""
    return isinstance(config, dict) and (key in config or any(
        key.startswith(k + ".") and holds(v, key[len(k) + 1 :]) for k, v in config.items()))  # fmt: skip


def safetensors_header(data, file_bytes):
    """W3, I18: {name: (dtype, shape, [begin, end])} by the first 8 + N bytes of a file."""

    def must(right, what):
        if not right:
            raise ValueError(what)

    must(len(data) >= 10 and struct.unpack_from("<Q", data)[0] == len(data) - 8, "another length")
    header = parse_json(data[8:])
    must(isinstance(header, dict), "no JSON object")
    metadata = header.pop("__metadata__", {})
    must(isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values()), "metadata")
    tensors, end = {}, 0
    for name, entry in header.items():
        must(isinstance(entry, dict) and entry.keys() >= {"dtype", "shape", "data_offsets"}, name)
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        for numbers in (shape, offsets):
            must(isinstance(numbers, list) and all(is_integer(n) and n >= 0 for n in numbers), name)
        must(len(offsets) == 2 and isinstance(dtype, str) and dtype in BITS, name)
        must((offsets[1] - offsets[0]) * 8 == math.prod(shape) * BITS[dtype], name)
        tensors[name] = (dtype, shape, offsets)
    for begin, stop in sorted(offsets for _, _, offsets in tensors.values()):
        must(begin == end, "data with a gap or an overlap")
        end = stop
    must(end == file_bytes - len(data), "data of another size than the file's")
    return tensors


def crc_table():
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        yield value


CRC_TABLE = tuple(crc_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


if __name__ == "__main__":
    breaches = judge(sys.argv[1])
    print(breaches[0].answer if breaches else "ok")
    for breach in breaches:
        print(f"  {breach.rule}, seen at {breach.at}: {breach.what}")
    sys.exit(3 if breaches else 0)
