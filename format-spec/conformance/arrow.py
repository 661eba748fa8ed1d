"""tensors.arrow (SPEC section 3): I2 and I3, by pyarrow, and by hand where pyarrow is lenient."""

import struct

import pyarrow as pa

TEXT, COUNT = pa.string(), pa.int64()
COLUMNS = [  # name, type, nullable
    ("kind", TEXT, False), ("name", TEXT, False), ("role", TEXT, False),
    ("layer", pa.int32(), True), ("expert", pa.int32(), True), ("projection", TEXT, True),
    ("dtype", TEXT, False), ("encoding", TEXT, False),
    ("shape", pa.list_(pa.field("item", COUNT, nullable=False)), False),
    ("shard", TEXT, False), ("offset", COUNT, False), ("bytes", COUNT, False),
    ("crc32c", pa.uint32(), True), ("sha256", pa.binary(32), True),
    ("source_file", TEXT, True), ("source_tensor", TEXT, True), ("transform", TEXT, True),
]  # fmt: skip
VERSION_5, SCHEMA, RECORD_BATCH = 4, 1, 3


class Columns(ValueError):
    """I3; any other error of `rows_of` is I2."""


class Flat:
    """A table in a flatbuffer: fields by their number in the Arrow format's definitions."""

    def __init__(self, data, at):
        self.data, self.at = data, at + struct.unpack_from("<I", data, at)[0]
        self.vtable = self.at - self.get("<i", self.at)

    def get(self, form, at):
        return struct.unpack_from(form, self.data, at)[0]

    def place(self, field):
        slot = 4 + 2 * field
        offset = self.get("<H", self.vtable + slot) if slot < self.get("<H", self.vtable) else 0
        return self.at + offset if offset else None

    def number(self, field, form):
        place = self.place(field)
        return 0 if place is None else self.get(form, place)

    def table(self, field):
        return Flat(self.data, self.place(field))

    def structs(self, field, form):
        place = self.place(field)
        if place is None:
            return []
        place += self.get("<I", place)
        size, count = struct.calcsize(form), self.get("<I", place)
        return [struct.unpack_from(form, self.data, place + 4 + i * size) for i in range(count)]


def rows_of(data, later):
    """The rows as dicts; of a later minor version without the columns that it added."""
    try:
        with pa.ipc.open_file(pa.BufferReader(data)) as file:
            schema, table = file.schema, file.read_all()
        batch, body = check_messages(data, schema)
        check_columns(schema, later)
        check_nulls(data, batch, body)
        table.validate(full=True)
    except (pa.ArrowException, OSError, struct.error, TypeError, StopIteration) as e:
        raise ValueError(e) from e
    return table.select(range(len(COLUMNS))).to_pylist()


def check_messages(data, schema):
    """The record batch, and where its body begins."""

    def must(right, what):
        if not right:
            raise ValueError(what)

    def message(at):
        mark, size = struct.unpack_from("<II", data, at)
        must(mark == 0xFFFFFFFF and size % 8 == 0, "no message where one should be")
        return Flat(data, at + 8), size + 8

    must(data[:6] == data[-6:] == b"ARROW1", "no ARROW1 at both ends")
    end = len(data) - 10 - struct.unpack_from("<I", data, len(data) - 10)[0]
    footer, (first, first_length) = Flat(data, end), message(8)
    blocks = footer.structs(3, "<qi4xq")
    must(len(blocks) == 1 and not footer.structs(2, "<qi4xq"), "not one batch, or dictionaries")
    at, length, body_length = blocks[0]
    batch, batch_length = message(at)
    must(at % 8 == length % 8 == body_length % 8 == 0, "a block is not on a multiple of 8")
    must(length == batch_length and body_length == batch.number(3, "<q"), "block and message differ")
    must(8 + first_length <= at and at + length + body_length <= end, "the batch lies elsewhere")
    for part, header in ((footer, None), (first, SCHEMA), (batch, RECORD_BATCH)):
        must(part.number(0, "<h") == VERSION_5, "not metadata version 5")
        must(header in (None, part.number(1, "<B")), "another message than should be there")
    must(footer.table(1).number(0, "<h") == first.table(2).number(0, "<h") == 0, "big-endian")
    must(batch.table(2).place(3) is None, "compressed")
    for start, size in batch.table(2).structs(2, "<qq"):
        must(min(start, size) >= 0 and start + size <= body_length, "a buffer outside the body")
    first_schema = pa.ipc.read_schema(pa.py_buffer(data[8:]))
    must(first_schema.equals(schema, check_metadata=True), "footer and schema message differ")
    return batch.table(2), at + length


def check_columns(schema, later):
    for i, column in enumerate(COLUMNS):
        field = schema.field(i) if i < len(schema) else None
        if field is None or (field.name, field.type, field.nullable) != column:
            raise Columns(f"column {i} is not {column}")
    if len(schema) > len(COLUMNS) and not later:
        raise Columns("more columns than this version has")


def check_nulls(data, batch, body):
    """pyarrow believes a null count of 0, and takes null among the items of a list."""
    nodes, buffers = iter(batch.structs(1, "<qq")), iter(batch.structs(2, "<qq"))
    for name, kind, nullable in COLUMNS:
        levels = [(nullable, 1), (False, 1)] if name == "shape" else [(nullable, 1 + (kind == TEXT))]
        for may, more in levels:
            (length, nulls), (at, size) = next(nodes), next(buffers)
            bits = int.from_bytes(data[body + at : body + at + size], "little")
            counted = length - (bits & (1 << length) - 1).bit_count() if size else 0
            if nulls != counted or counted and not may:
                raise Columns(f"{name} has {counted} nulls and says {nulls}")
            for _ in range(more):
                next(buffers)
