#!/usr/bin/env python3
"""Writes the hostile inputs of this folder and attacks.json, the table of them.

Each is a small file that tells one lie; AttacksTest in the module cli puts it among files that are
right and runs the command that reads it. Run again after a change: python3 make.py
"""
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent
PACKAGE = HERE.parent / "conformance/packages/valid/minimal"
TABLE = {}


def attack(name, lie, says, data, status=3):
    """One file. says: a part of the message that names the lie."""
    path = HERE / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    TABLE[name] = {"lie": lie, "status": status, "says": says}


# Headers of safetensors files: what the format's own validator refuses, and what advisories name.
def file(header, data=b"", length=None):
    raw = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def tensor(begin=0, end=4, shape=(2,), dtype="F16", more=""):
    return '{"dtype":"%s","shape":%s,"data_offsets":[%s,%s]%s}' % (dtype, json.dumps(shape), begin, end, more)


def one(name, lie, says, header, data=b"\0" * 4, **options):
    attack("safetensors/%s.safetensors" % name, lie, says, file(header, data, **options))


attack("safetensors/empty-file.safetensors", "a file without a byte", "header length of 8 bytes", b"")
attack("safetensors/seven-bytes.safetensors", "a length that is cut short", "header length of 8 bytes", b"\x02\0\0\0\0\0\0")
one("length-beyond-the-file", "the header is longer than the file", "ends inside the file", '{"a":%s}' % tensor(), length=1 << 20)
one("length-of-2-to-the-63", "a length that is negative to a signed reader", "9223372036854775808", "{}", length=1 << 63)
one("length-of-2-to-the-64-less-8", "a length that is 0 when 8 is added to it", "18446744073709551608", "{}", length=(1 << 64) - 8)
one("length-of-100-megabytes", "the longest header that the format allows, in a file of 14 bytes", "ends inside the file", "{}", length=100_000_000)
one("length-0", "a header of nothing", "starts with '{'", "", length=0)
one("no-object", "a header that is a list", "starts with '{'", "[]")
one("git-lfs-pointer", "a pointer to weights for weights", "Git LFS", "", length=int.from_bytes(b"version ", "little"))
one("space-before-the-object", "a form feed is not JSON's white space", "valid JSON", '\f{"a":%s}' % tensor())
one("byte-order-mark", "UTF-8 with a mark before it", "offset 8", b"\xef\xbb\xbf" + ('{"a":%s}' % tensor()).encode())
one("utf-16", "a header in UTF-16", "offset", ('{"a":%s}' % tensor()).encode("utf-16-le"))
one("not-utf-8", "a name that is no UTF-8", "JSON in UTF-8", b'{"\xff\xfe":' + tensor().encode() + b"}")
one("overlong-utf-8", "a slash in two bytes", "JSON in UTF-8", b'{"a\xc0\xaf":' + tensor().encode() + b"}")
one("surrogate-in-utf-8", "half a character, encoded", "JSON in UTF-8", b'{"a\xed\xa0\x80":' + tensor().encode() + b"}")
one("object-cut-short", "an object without its end", "valid JSON", '{"a":%s' % tensor())
one("more-after-the-object", "a second object", "nothing but white space", '{"a":%s}{}' % tensor())
one("name-twice", "two tensors of one name", "uplicate", '{"a":%s,"a":%s}' % (tensor(), tensor(4, 8)), b"\0" * 8)
one("name-twice-once-escaped", "one name in two spellings", "uplicate", '{"a":%s,"\\u0061":%s}' % (tensor(), tensor(4, 8)), b"\0" * 8)
one("member-twice", "a tensor with two shapes", "uplicate", '{"a":%s}' % tensor(more=',"shape":[1]'))
one("nested-10000-deep", "objects in objects until the stack ends", "nesting", '{"a":' * 10000 + "1" + "}" * 10000)
one("metadata-nested-10000-deep", "lists in lists where text belongs", "a string", '{"__metadata__":{"a":%s},"a":%s}' % ("[" * 10000 + "]" * 10000, tensor()))
one("metadata-a-number", "metadata that are no text", "a string", '{"__metadata__":{"a":1},"a":%s}' % tensor())
one("overlap", "two tensors in the same bytes", "data that start at 4", '{"a":%s,"b":%s}' % (tensor(), tensor(2, 6)), b"\0" * 6)
one("same-bytes", "two names for the same bytes", "data that start at 4", '{"a":%s,"b":%s}' % (tensor(), tensor()))
one("hole", "bytes that belong to no tensor", "data that start at 4", '{"a":%s,"b":%s}' % (tensor(), tensor(8, 12)), b"\0" * 12)
one("hole-at-the-start", "bytes before the first tensor", "data that start at 0", '{"a":%s}' % tensor(4, 8), b"\0" * 8)
one("bytes-after-the-last", "something hidden behind the weights", "appended", '{"a":%s}' % tensor(), b"\0" * 5)
one("data-cut-short", "fewer bytes than the header says", "cut short", '{"a":%s}' % tensor(), b"\0" * 3)
one("end-before-begin", "a tensor of negative size", "4 bytes for F16", '{"a":%s}' % tensor(4, 0))
one("begin-negative", "an offset before the file", "from 0 to", '{"a":%s}' % tensor(-4, 0))
one("begin-minus-zero", "a zero with a sign", "from 0 to", '{"a":%s}' % tensor("-0", 4))
one("end-of-2-to-the-63", "an offset beyond a signed number", "from 0 to", '{"a":%s}' % tensor(0, 1 << 63))
one("end-of-2-to-the-64-and-4", "an offset that is 4 when it wraps", "from 0 to", '{"a":%s}' % tensor(0, (1 << 64) + 4))
one("offset-a-fraction", "an offset between two bytes", "whole numbers", '{"a":%s}' % tensor("0.0", 4))
one("offset-as-text", "a number in quotes", "whole numbers", '{"a":%s}' % tensor('"0"', 4))
one("offsets-three", "a tensor with three ends", "two data_offsets", '{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4,8]}}')
one("shape-that-wraps-to-4-bytes", "2^32 by 2^32 elements, and two more", "below 2^63", '{"a":%s}' % tensor(shape=(1 << 32, 1 << 32, 2)))
one("shape-whose-bytes-wrap", "2^62 elements of 2 bytes", "below 2^63", '{"a":%s}' % tensor(shape=(1 << 62, 1 << 1)))
one("shape-0-by-huge", "nothing, of a size that no number holds", "below 2^63", '{"a":%s}' % tensor(0, 0, (1 << 62, 1 << 62, 0)), b"")
one("shape-negative", "minus two elements", "from 0 to", '{"a":%s}' % tensor(shape=(-2,)))
one("shape-of-another-size", "three elements in the bytes of two", "6 bytes for F16", '{"a":%s}' % tensor(shape=(3,)))
one("dtype-unknown", "a type of elements that nobody knows", "a dtype of the safetensors format", '{"a":%s}' % tensor(dtype="F17"))
one("dtype-in-lower-case", "a type by another name", "a dtype of the safetensors format", '{"a":%s}' % tensor(dtype="f16"))
one("half-a-byte", "three elements of four bits", "whole bytes", '{"a":%s}' % tensor(0, 2, (3,), "F4"), b"\0" * 2)
one("tensor-a-list", "a tensor that is no object", "an object", '{"a":[]}')
one("tensor-without-offsets", "a tensor that lies nowhere", "two data_offsets", '{"a":{"dtype":"F16","shape":[2]}}')
one("number-of-5000-digits", "a number that takes long to read", "umber", '{"a":%s}' % tensor(0, "9" * 5000))
one("not-a-number", "NaN for an offset", "valid JSON", '{"a":%s}' % tensor(0, "NaN"))
one("many-dimensions", "a thousand dimensions of 1", "2 bytes for F16", '{"a":%s}' % tensor(0, 4, (1,) * 1000), b"\0" * 4)


# model.safetensors.index.json: which file holds a tensor is a path that a stranger chose.
def index(name, lie, says, text):
    attack("index/%s.json" % name, lie, says, text)


def mapped(path, head=""):
    return '{%s"weight_map":{"model.norm.weight":%s}}' % (head, path if path.startswith(("[", "{", "1", "n")) else json.dumps(path))


for name, lie, path in (
    ("path-that-leaves", "a file beside the checkpoint", "../c/model-00001-of-00003.safetensors"),
    ("path-that-leaves-and-returns", "out and in again", "a/../../c/model.safetensors"),
    ("path-from-the-root", "a file of the system", "/etc/passwd"),
    ("path-of-a-device", "weights without an end", "/dev/zero"),
    ("path-of-windows", "a drive and a backslash", "C:\\weights"),
    ("path-with-a-nul", "a name that ends early in C", "model.safetensors\0.txt"),
    ("path-with-a-newline", "a name of two lines", "model\n::error::.safetensors"),
    ("path-with-an-escape", "a name that colours the terminal", "\x1b[31mmodel.safetensors"),
    ("path-empty", "a file without a name", ""),
    ("path-a-dot", "the folder itself", "."),
    ("path-half-a-character", "a lone surrogate", "model\ud800.safetensors"),
    ("path-of-2000-characters", "a name that no file system takes", "m" * 2000),
):
    index(name, lie, "stays inside", mapped(path))
index("path-into-a-folder", "weights in a folder", "beside the index", mapped("a/model.safetensors"))
index("path-of-the-config", "weights that are JSON", "config.json", mapped("config.json"))
index("path-a-list", "two files for one tensor", "the name of a weight file", mapped("[]"))
index("path-null", "no file", "the name of a weight file", mapped("null"))
index("name-twice", "one tensor in two files", "uplicate", '{"weight_map":{"a":"model-00001-of-00003.safetensors","a":"model-00002-of-00003.safetensors"}}')
index("map-twice", "two maps", "uplicate", '{"weight_map":{},"weight_map":{"a":"model.safetensors"}}')
index("map-missing", "an index of nothing", "weight_map", "{}")
index("map-a-list", "a map that is a list", "an object", '{"weight_map":[]}')
index("map-empty", "no tensor at all", "weight_map", '{"weight_map":{}}')
index("empty-file", "a file without a byte", "JSON object", "")
index("more-after-it", "a second object", "one JSON object", '{"weight_map":{"a":"model-00001-of-00003.safetensors"}}{}')
index("nested-10000-deep", "lists in lists until the stack ends", "nesting", '{"metadata":%s,"weight_map":{}}' % ("[" * 10000 + "]" * 10000))
index("utf-16", "an index in UTF-16", "UTF-8", mapped("model.safetensors").encode("utf-16-le"))


# config.json: sizes that are multiplied before anything is read.
CONFIG = {
    "architectures": ["MixtralForCausalLM"], "head_dim": 8, "hidden_act": "silu", "hidden_size": 8, "intermediate_size": 4,
    "max_position_embeddings": 512, "model_type": "mixtral", "num_attention_heads": 1, "num_experts_per_tok": 1,
    "num_hidden_layers": 1, "num_key_value_heads": 1, "num_local_experts": 2, "rms_norm_eps": 1e-05, "rope_theta": 1e6,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16", "vocab_size": 16,
}


def config(name, lie, says, text=None, **members):
    attack("config/%s.json" % name, lie, says, json.dumps({**CONFIG, **members}) if text is None else text)


config("empty-file", "a file without a byte", "JSON object", "")
config("a-list", "a list of settings", "JSON object", "[]")
config("null", "nothing", "JSON object", "null")
config("nested-10000-deep", "lists in lists until the stack ends", "nesting", '{"a":' + "[" * 10000 + "]" * 10000 + "}")
config("member-twice", "two hidden sizes", "uplicate", json.dumps(CONFIG)[:-1] + ',"hidden_size":16}')
config("more-after-it", "a second object", "config.json", json.dumps(CONFIG) + "{}")
config("comment", "JSON with a comment", "valid JSON", "// a model\n" + json.dumps(CONFIG))
config("single-quotes", "a dictionary of Python", "valid JSON", str(CONFIG))
config("utf-16", "a config in UTF-16", "UTF-8", json.dumps(CONFIG).encode("utf-16-le"))
config("not-a-number", "NaN for an epsilon", "valid JSON", json.dumps(CONFIG).replace("1e-05", "NaN"))
config("exponent-of-ten-digits", "a number of four billion digits", "rope_theta", json.dumps(CONFIG).replace("1000000.0", "1e4000000000"))
config("number-of-5000-digits", "a number that takes long to read", "umber", json.dumps(CONFIG).replace('"hidden_size": 8', '"hidden_size": ' + "8" * 5000))
config("layers-of-2-to-the-31-less-1", "a list of two billion layers", "num_hidden_layers", num_hidden_layers=(1 << 31) - 1)
config("experts-of-2-to-the-31-less-1", "two billion experts", "num_local_experts", num_local_experts=(1 << 31) - 1)
config("hidden-size-of-2-to-the-63", "a size beyond a signed number", "hidden_size", hidden_size=1 << 63)
config("hidden-size-of-2-to-the-32-and-8", "a size that is 8 when it wraps", "hidden_size", hidden_size=(1 << 32) + 8)
config("hidden-size-negative", "a size below nothing", "hidden_size", hidden_size=-8)
config("hidden-size-as-text", "a number in quotes", "hidden_size", hidden_size="8")
config("hidden-size-a-fraction", "half a column", "hidden_size", hidden_size=8.5)
config("vocabulary-of-nothing", "no token", "vocab_size", vocab_size=0)
config("more-experts-chosen-than-there-are", "three of two experts", "num_experts_per_tok", num_experts_per_tok=3)
config("architectures-as-text", "text for a list", "architectures", architectures="MixtralForCausalLM")
config("model-type-a-path", "a family that is a path", "model_type", model_type="../../mixtral")
config("model-type-with-an-escape", "a family that colours the terminal", "model_type", model_type="\x1b[31mmixtral")


# The manifest of a package; the driver puts the digest under each.
MANIFEST = (PACKAGE / "moxie.json").read_text()
BODY = MANIFEST[: MANIFEST.rindex('  "sha256"')]


def manifest(name, lie, says, old, new):
    assert BODY.count(old) >= 1, name
    attack("manifest/%s.json" % name, lie, says, BODY.replace(old, new, 1) + MANIFEST[len(BODY) :])


SHARD = '"file" : "experts-L000.safetensors"'
for name, lie, path in (
    ("shard-that-leaves", "weights beside the package", "../experts-L000.safetensors"),
    ("shard-from-the-root", "a file of the system", "/etc/passwd"),
    ("shard-with-an-escape", "a name that colours the terminal", "\\u001b[31mexperts"),
):
    manifest(name, lie, "stays inside", SHARD, '"file" : "%s"' % path)
manifest("file-that-leaves", "a file beside the package", "stays inside", '"path" : "source/config.json"', '"path" : "source/../../config.json"')
manifest("source-that-leaves", "an export that writes elsewhere", "stays inside", '"file" : "model.safetensors"', '"file" : "../model.safetensors"')
manifest("shard-of-2-to-the-63-less-1", "a file of eight exabytes", "9223372036854775807", '"bytes" : 8240', '"bytes" : 9223372036854775807')
manifest("header-of-2-to-the-63-less-1", "a header longer than its file", "headerBytes", '"headerBytes" : 4096', '"headerBytes" : 9223372036854775807')
manifest("header-longer-than-its-file", "a header that ends behind the file", "headerBytes", '"headerBytes" : 4096', '"headerBytes" : 4321')
manifest("layers-of-2-to-the-31-less-1", "a list of two billion layers", "moxie.json", '"count" : 1', '"count" : 2147483647')
manifest("experts-of-2-to-the-31-less-1", "two billion experts", "moxie.json", '"experts" : 3', '"experts" : 2147483647')
manifest("vocabulary-of-2-to-the-31-less-1", "an embedding of two billion rows", "vocabSize", '"vocabSize" : 5', '"vocabSize" : 2147483647')
manifest("hidden-size-of-2-to-the-63", "a size beyond a signed number", "9223372036854775808", '"hiddenSize" : 4', '"hiddenSize" : 9223372036854775808')
manifest("heads-negative", "minus two heads", "heads", '"heads" : 2', '"heads" : -2')
manifest("epsilon-infinite", "a number that no float holds", "normEpsilon", '"normEpsilon" : 1.0E-5', '"normEpsilon" : 1e999')
manifest("nested-10000-deep", "lists in lists until the stack ends", "nesting", '"producer" : {', '"more" : ' + "[" * 10000 + "]" * 10000 + ', "producer" : {')
manifest("member-twice", "two hidden sizes", "uplicate", '"hiddenSize" : 4,', '"hiddenSize" : 4, "hiddenSize" : 8,')
manifest("major-of-99", "a version of another time", "update Moxie", '"major" : 1', '"major" : 99')
manifest("major-of-0", "a version before the first", "version 1", '"major" : 1', '"major" : 0')
manifest("major-a-fraction", "half a version", "version", '"major" : 1', '"major" : 1.5')
manifest("member-unknown", "a rule that this reader does not know", "mirrors", '"hiddenSize" : 4,', '"hiddenSize" : 4, "mirrors" : 2,')


# The index of a package: flatbuffers whose offsets lie. The driver seals the manifest over each.
ARROW = (PACKAGE / "tensors.arrow").read_bytes()


def u16(at):
    return struct.unpack_from("<H", ARROW, at)[0]


def i32(at):
    return struct.unpack_from("<i", ARROW, at)[0]


def field(table, number):
    """Where a table's field lies."""
    return table + u16(table - i32(table) + 4 + 2 * number)


def target(at):
    return at + i32(at)


FOOTER_LENGTH = len(ARROW) - 10
FOOTER = FOOTER_LENGTH - i32(FOOTER_LENGTH)
FOOTER_TABLE = target(FOOTER)
SCHEMA = field(FOOTER_TABLE, 1)
BLOCKS = target(field(FOOTER_TABLE, 3))
MESSAGE = i32(BLOCKS + 4) + 8
MESSAGE_TABLE = target(MESSAGE)
BATCH = target(field(MESSAGE_TABLE, 2))
NODES = target(field(BATCH, 1))
BUFFERS = target(field(BATCH, 2))
FIELDS = target(field(target(SCHEMA), 1))


def arrow(name, lie, says, at, kind, value):
    data = bytearray(ARROW)
    struct.pack_into("<" + kind, data, at, value)
    assert data != ARROW, name
    attack("tensors-arrow/%s.arrow" % name, lie, says, bytes(data))


BIG = (1 << 31) - 1
arrow("magic-missing", "a file of another kind", "ARROW1", 0, "i", 0)
arrow("footer-of-2-gigabytes", "a footer longer than the file", "tensors.arrow", FOOTER_LENGTH, "i", BIG)
arrow("footer-negative", "a footer that begins behind its end", "tensors.arrow", FOOTER_LENGTH, "i", -100)
arrow("footer-of-nothing", "no footer", "tensors.arrow", FOOTER_LENGTH, "i", 0)
arrow("root-outside", "a table behind the footer", "tensors.arrow", FOOTER, "i", BIG)
arrow("root-negative", "a table before the footer", "tensors.arrow", FOOTER, "i", -8)
arrow("vtable-outside", "a table whose description lies elsewhere", "tensors.arrow", FOOTER_TABLE, "i", -BIG)
arrow("vtable-itself", "a table that describes itself", "tensors.arrow", FOOTER_TABLE, "i", 0)
arrow("schema-itself", "a schema that is the footer", "tensors.arrow", SCHEMA, "i", FOOTER_TABLE - SCHEMA)
arrow("fields-negative", "minus one column", "tensors.arrow", FIELDS, "i", -1)
arrow("fields-of-2-billion", "more columns than bytes", "tensors.arrow", FIELDS, "i", BIG)
arrow("field-a-cycle", "a column that is the list of columns", "tensors.arrow", FIELDS + 4, "i", -4)
arrow("batches-negative", "minus one batch", "tensors.arrow", BLOCKS, "i", -1)
arrow("batches-of-2-billion", "more batches than bytes", "offsets that lead out of it", BLOCKS, "i", BIG)
arrow("batch-behind-the-file", "a batch at the end of the world", "tensors.arrow", BLOCKS + 4, "q", (1 << 63) - 1)
arrow("batch-before-the-file", "a batch before the first byte", "tensors.arrow", BLOCKS + 4, "q", -1 << 63)
arrow("metadata-negative", "a message of negative length", "tensors.arrow", BLOCKS + 12, "i", -1)
arrow("body-of-8-exabytes", "a body larger than the disk", "tensors.arrow", BLOCKS + 20, "q", (1 << 63) - 1)
arrow("rows-of-2-to-the-62", "more rows than bytes", "row count", field(BATCH, 0), "q", 1 << 62)
arrow("rows-negative", "minus one row", "row count", field(BATCH, 0), "q", -1)
arrow("rows-one-more", "a row that no column has", "values in column", field(BATCH, 0), "q", struct.unpack_from("<q", ARROW, field(BATCH, 0))[0] + 1)
arrow("nodes-of-2-billion", "more columns than bytes", "tensors.arrow", NODES, "i", BIG)
arrow("node-of-2-to-the-62", "a column longer than the batch", "values in column", NODES + 4, "q", 1 << 62)
arrow("nulls-negative", "minus one null", "tensors.arrow", NODES + 12, "q", -1)
arrow("buffers-of-none", "columns without bytes", "buffers", BUFFERS, "i", 0)
arrow("buffer-before-the-body", "values before the batch", "tensors.arrow", BUFFERS + 4 + 16, "q", -8)
arrow("buffer-behind-the-body", "values behind the batch", "tensors.arrow", BUFFERS + 4 + 16, "q", 1 << 40)
arrow("buffer-of-8-exabytes", "a column larger than the disk", "tensors.arrow", BUFFERS + 4 + 16 + 8, "q", (1 << 63) - 1)
attack("tensors-arrow/cut-in-half.arrow", "the first half", "ARROW1", ARROW[: len(ARROW) // 2])
attack("tensors-arrow/empty-file.arrow", "a file without a byte", "ARROW1", b"")


# Traces: what a verdict would rest on.
def trace(name, lie, says, tensors, metadata=None):
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for key, dtype, shape, raw in tensors:
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    attack("trace/%s.safetensors" % name, lie, says, file(json.dumps(header), data))


def ids(*values):
    return ("input_ids", "I64", [len(values)], struct.pack("<%dq" % len(values), *values))


trace("no-tokens", "a pass over nothing", "at least one token", [ids()])
trace("tokens-missing", "a pass over nobody knows what", "input_ids", [])
trace("tokens-as-floats", "tokens between tokens", "I64", [("input_ids", "F32", [1], b"\0" * 4)])
trace("tokens-in-a-matrix", "two sequences in one", "input_ids", [("input_ids", "I64", [1, 1], b"\0" * 8)])
trace("token-negative", "a token before the first", "tokens from 0 to", [ids(1, -1)])
trace("token-of-2-to-the-32", "a token that is 0 when it wraps", "tokens from 0 to", [ids(1 << 32)])
trace("generated-outside", "an answer in another vocabulary", '"generated_ids": expected tokens from 0 to', [ids(1), ("generated_ids", "I64", [1], struct.pack("<q", 1 << 62))])
trace("layers-missing", "a pass through no layer", "layers.0.input", [ids(1)])
trace("precision-unknown", "computed in nobody knows what", "compute_dtype", [ids(1)], {"compute_dtype": "F17"})


# Baselines.
def baseline(name, lie, says, text):
    attack("baseline/%s.json" % name, lie, says, text)


baseline("empty-file", "a file without a byte", "JSON object", "")
baseline("another-format", "some other JSON", "no baseline", "{}")
baseline("version-of-2-to-the-31-less-1", "a version of another time", "update Moxie", '{"format":"moxie-baseline","version":2147483647}')
baseline("version-of-2-to-the-32-and-1", "a version that is 1 when it wraps", "a whole number from 0", '{"format":"moxie-baseline","version":4294967297}')
baseline("nothing-in-it", "a baseline of nothing", "alid JSON", '{"format":"moxie-baseline","version":1}')
baseline("nested-10000-deep", "lists in lists until the stack ends", "nesting", '{"format":"moxie-baseline","version":1,"subject":' + "[" * 10000 + "]" * 10000 + "}")

table = json.dumps(dict(sorted(TABLE.items())), indent=1, ensure_ascii=True) + "\n"
(HERE / "attacks.json").write_text(table)
known = {HERE / name for name in TABLE} | {HERE / "attacks.json", HERE / "make.py", HERE / "README.md"}
for path in HERE.rglob("*"):
    if path.is_file() and path not in known:
        raise SystemExit("%s: no attack of this name, remove it" % path)
