"""JSON as SPEC section 2 allows it, and the shape that moxie.schema.json states."""

import json
import math
import re
from pathlib import Path

SCHEMA = json.loads((Path(__file__).parent.parent / "moxie.schema.json").read_text("utf-8"))


class NotJson(ValueError):
    """Breaks `rule`."""

    def __init__(self, rule, what):
        super().__init__(what)
        self.rule = rule


def parse_json(data):
    """Strict JSON in UTF-8, where no object has a key twice: M2, M3, and M4 of keys and digits."""

    def members(pairs):
        if len({key for key, _ in pairs}) < len(pairs):
            raise NotJson("M3", "a key stands twice")
        if not all(is_text(key) for key, _ in pairs):
            raise NotJson("M4", "a key is no text")
        return dict(pairs)

    def number(kind):
        def convert(text):
            if sum(map(str.isdigit, text)) - text.lstrip("-").startswith("0.") > 64:
                raise NotJson("M4", f"{text} has more than 64 digits")
            return kind(text)

        return convert

    def constant(name):
        raise NotJson("M2", f"{name} is not JSON")

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=members, parse_int=number(int),
                          parse_float=number(float), parse_constant=constant)  # fmt: skip
    except RecursionError:
        raise NotJson("M4", "nested far too deep") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as e:
        raise NotJson("M2", str(e)) from e


def depth(value):
    """How deep objects and arrays are nested."""
    deepest, level = 0, [value]
    while level := [v for v in level if isinstance(v, (dict, list))]:
        deepest += 1
        level = [c for v in level for c in (v.values() if isinstance(v, dict) else v)]
    return deepest


def is_text(value):
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value):
    """Its nearest double is finite."""
    try:
        return (is_integer(value) or isinstance(value, float)) and math.isfinite(float(value))
    except OverflowError:
        return False


TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": is_text,
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "integer": is_integer,
    "number": is_number,
}


def definition(reference):
    return SCHEMA["$defs"][reference["$ref"].rpartition("/")[2]]


def mismatches(value, schema=SCHEMA, path=()):
    """Yields (keyword of the schema, path) wherever a value is not what the schema says."""
    if "$ref" in schema:
        schema = definition(schema)
    if "oneOf" in schema:  # objects that `type` tells apart
        options = {o["properties"]["type"]["const"]: o for o in map(definition, schema["oneOf"])}
        tag = value.get("type") if isinstance(value, dict) else None
        if tag is None:
            yield "type", path
        elif not isinstance(tag, str) or tag not in options:
            yield "enum" if isinstance(tag, str) else "enum type", path + ("type",)
        else:
            yield from mismatches(value, options[tag], path)
        return
    for part in schema.get("allOf", ()):
        yield from mismatches(value, part, path)
    types = schema.get("type", TYPES)
    if not any(TYPES[t](value) for t in ([types] if isinstance(types, str) else types)):
        yield "type", path
        return
    values = schema.get("enum", [schema["const"]] if "const" in schema else [value])
    if value not in values:
        yield "enum" if isinstance(value, str) else "type" if value is None else "enum type", path
    if isinstance(value, str):
        # ECMA's $ is the end; Python's also stands before a last line feed
        long = not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf)
        if long or not re.search(schema.get("pattern", "").replace("$", r"\Z"), value):
            yield "pattern", path
    elif is_number(value):
        above = "exclusiveMinimum" not in schema or float(value) > schema["exclusiveMinimum"]
        if "multipleOf" in schema and value % schema["multipleOf"]:
            yield "multipleOf", path
        elif not above or not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            yield "minimum", path
    elif isinstance(value, list) and "items" in schema:
        if len(value) < schema.get("minItems", 0):
            yield "minimum", path
        for i, item in enumerate(value):
            yield from mismatches(item, schema["items"], path + (i,))
    elif isinstance(value, dict) and "properties" in schema:
        for key in schema["required"]:
            if key not in value:
                yield "required", path + (key,)
        for key, member in value.items():
            if key in schema["properties"]:
                yield from mismatches(member, schema["properties"][key], path + (key,))
            else:
                yield "additionalProperties", path + (key,)
