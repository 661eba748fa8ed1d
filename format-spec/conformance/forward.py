"""The forward pass of SPEC section 4 over a package that reader.py found whole, in float64.

One position after the other would give the same: what is here is the equations, without a cache.
"""

import math

import numpy as np

from tensors import layers


def float8_e4m3():
    """Section 6: the 256 values of F8_E4M3."""
    values = np.empty(256, np.float32)
    for byte in range(256):
        sign, exponent, fraction = -1 if byte >> 7 else 1, byte >> 3 & 15, byte & 7
        magnitude = (8 + fraction) * 2.0 ** (exponent - 10) if exponent else fraction * 2.0**-9
        values[byte] = math.nan if byte & 127 == 127 else sign * magnitude
    return values


E4M3 = float8_e4m3()


def elements(data, dtype, shape):
    """Stored elements, floating ones as float32, which holds all of these dtypes exactly."""
    if dtype == "BF16":
        array = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif dtype == "F8_E4M3":
        array = E4M3[np.frombuffer(data, np.uint8)]
    elif dtype == "F16":
        array = np.frombuffer(data, "<f2").astype(np.float32)
    else:
        array = np.frombuffer(data, {"F32": "<f4", "I32": "<i4", "I64": "<i8"}[dtype])
    return array.reshape(shape)


class Weights:
    """Tensors and expert slices by name, in float64."""

    def __init__(self, package):
        self.package = package
        self.rows = {(r["name"], r["expert"], r["projection"]): r for r in package.leaves}

    def __call__(self, name, expert=None, projection=None):
        row = self.rows[name + ".weight", expert, projection]
        values = elements(self.package.bytes_of(row), row["dtype"], row["shape"])
        if row["encoding"] == "fp8_block":
            at = self.rows[name + ".scale", expert, projection]
            scales = elements(self.package.bytes_of(at), "F32", at["shape"])
            spread = np.repeat(np.repeat(scales, 128, 0), 128, 1)
            values = values * spread[: values.shape[0], : values.shape[1]]  # in float32
        return values.astype(np.float64)

    def bias(self, layer):
        row = self.rows[f"layers.{layer}.router.bias", None, None]
        return elements(self.package.bytes_of(row), row["dtype"], row["shape"]).astype(np.float64)


def rms_norm(x, weight, epsilon):
    return weight * x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon)


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def network(x, gate, up, down):
    g = x @ gate.T
    return (g * sigmoid(g) * (x @ up.T)) @ down.T


def frequencies(rotary):
    """f_n, and what cosines and sines are multiplied by."""
    d, theta, yarn = rotary["dimensions"], rotary["theta"], rotary["yarn"]
    n = np.arange(d // 2)
    f = theta ** (-2 * n / d)
    if yarn is None:
        return f, 1

    def r(turns):
        return d * math.log(yarn["originalPositions"] / (2 * math.pi * turns)) / (2 * math.log(theta))

    low, high = max(0, math.floor(r(yarn["betaFast"]))), min(d - 1, math.ceil(r(yarn["betaSlow"])))
    gamma = np.clip((n - low) / (high - low + (0.001 if high == low else 0)), 0, 1)
    return f * (1 - gamma + gamma / yarn["factor"]), yarn["magnitude"]


def rotate(x, rotary):
    """Turns the first `dimensions` of the last axis of x [T, heads, ·] by its position."""
    d = rotary["dimensions"]
    f, magnitude = frequencies(rotary)
    phi = np.arange(len(x))[:, None, None] * f
    cos, sin = magnitude * np.cos(phi), magnitude * np.sin(phi)
    halves = rotary["pairing"] == "halves"
    first, second = (slice(0, d // 2), slice(d // 2, d)) if halves else (slice(0, d, 2), slice(1, d, 2))
    a, b, y = x[..., first], x[..., second], x.copy()
    y[..., first], y[..., second] = a * cos - b * sin, a * sin + b * cos
    return y


def attend(q, k, v, scale, window=None):
    """softmax(scale q kᵀ + mask) v of each head, [T, heads, ·], heads side by side."""
    i, j = np.arange(len(q))[:, None], np.arange(len(q))
    seen = (j <= i) & (j > i - (window or len(q) + 1))
    scores = np.where(seen, scale * np.einsum("ihd,jhd->hij", q, k), -np.inf)
    return np.einsum("hij,jhd->ihd", softmax(scores), v).reshape(len(q), -1)


def attention(x, w, name, a):
    heads, rotary = a["heads"], a["rotary"]
    scale = a["scale"] * (rotary["yarn"]["softmaxFactor"] if rotary["yarn"] else 1)
    if a["type"] == "grouped_query":
        q, k, v = (
            (x @ w(f"{name}.{part}").T).reshape(len(x), -1, a["headSize"])
            for part in ("query", "key", "value")
        )
        serves = np.arange(heads) * a["keyValueHeads"] // heads
        q, k = rotate(q, rotary), rotate(k, rotary)
        o = attend(q, k[:, serves], v[:, serves], scale, a["window"])
    else:
        latent, plain, epsilon = a["latentSize"], a["plainSize"], a["latentNormEpsilon"]
        down = x @ w(f"{name}.latent_down").T
        c = rms_norm(down[:, :latent], w(f"{name}.latent_norm"), epsilon)
        r = rotate(down[:, None, latent:], rotary)
        kv = (c @ w(f"{name}.latent_up").T).reshape(len(x), heads, -1)
        if a["queryRank"] is None:
            q = x @ w(f"{name}.query").T
        else:
            q = rms_norm(x @ w(f"{name}.query_down").T, w(f"{name}.query_norm"), epsilon)
            q = q @ w(f"{name}.query_up").T
        q = q.reshape(len(x), heads, -1)
        q = np.concatenate([q[..., :plain], rotate(q[..., plain:], rotary)], axis=-1)
        k = np.concatenate([kv[..., :plain], np.repeat(r, heads, axis=1)], axis=-1)
        o = attend(q, k, kv[..., plain:], scale)
    return o @ w(f"{name}.output").T


def largest(values, count):
    """Indices of the largest, of equal ones the lower first."""
    return np.argsort(-values, axis=-1, kind="stable")[..., :count]


def route(logits, routing, bias):
    """Chosen experts [T, k] and their weights, best first."""
    s = softmax(logits) if routing["score"] == "softmax" else sigmoid(logits)
    c = s if bias is None else s + bias
    tokens, allowed = np.arange(len(c))[:, None], np.ones(c.shape, bool)
    if groups := routing["groups"]:
        grouped = c.reshape(len(c), groups["count"], -1)
        top = -np.sort(-grouped, axis=-1)[..., : 1 if groups["aggregate"] == "maximum" else 2]
        kept = np.zeros(grouped.shape, bool)
        kept[tokens, largest(top.sum(axis=-1), groups["kept"])] = True
        allowed = kept.reshape(c.shape)
    chosen = largest(np.where(allowed, c, -np.inf), routing["expertsPerToken"])
    weights = (c if routing["bias"] == "selection_and_weights" else s)[tokens, chosen]
    if routing["normalisation"]:
        weights = weights / (weights.sum(axis=-1, keepdims=True) + routing["normalisation"]["epsilon"])
    return chosen, weights * routing["scale"]


def mixture(x, w, layer, ff, trace):
    name, routing = f"layers.{layer}", ff["routing"]
    logits = x @ w(f"{name}.router").T
    chosen, weights = route(logits, routing, w.bias(layer) if routing["bias"] else None)
    y = np.zeros_like(x)
    for e in np.unique(chosen):
        token, rank = np.nonzero(chosen == e)
        gate, up = (w(f"{name}.experts.gate_up", e, p) for p in ("gate", "up"))
        out = network(x[token], gate, up, w(f"{name}.experts.down", e, "down"))
        np.add.at(y, token, weights[token, rank, None] * out)
    trace |= {f"{name}.router.logits": logits, f"{name}.router.experts": chosen,
              f"{name}.router.weights": weights, f"{name}.experts.output": y}  # fmt: skip
    return (
        y + network(x, *(w(f"{name}.shared.{p}") for p in ("gate", "up", "down"))) if ff["shared"] else y
    )


def forward(package, ids):
    """TRACE.md: {tensor name: array} of the forward pass over token ids."""
    a, w, trace = package.manifest["architecture"], Weights(package), {}
    epsilon, embedding = a["normEpsilon"], w("embedding")
    h = embedding[np.asarray(ids)]
    for layer, block, prediction in layers(a):
        if prediction:
            break
        name, ff = f"layers.{layer}", block["feedForward"]
        trace[f"{name}.input"] = h
        h = h + attention(
            rms_norm(h, w(f"{name}.attention_norm"), epsilon), w, f"{name}.attention", block["attention"]
        )
        x = rms_norm(h, w(f"{name}.feed_forward_norm"), epsilon)
        if ff["type"] == "dense":
            h = h + network(x, *(w(f"{name}.dense.{p}") for p in ("gate", "up", "down")))
        else:
            h = h + mixture(x, w, layer, ff, trace)
        trace[f"{name}.output"] = h
    head = embedding if a["tiedEmbeddings"] else w("head")
    trace["logits"] = rms_norm(h, w("final_norm"), epsilon) @ head.T
    return trace
