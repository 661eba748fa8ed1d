"""SPEC section 4 over a package that reader.py found right, in float64, without a cache."""

import math

import numpy as np

from index import blocks_of, layers

# Section 6: the values of F8_E4M3, of the codes from 0 to 127 and of those with the sign bit
EXPONENT, FRACTION = np.divmod(np.arange(128), 8)
E4M3 = np.where(EXPONENT, 8 + FRACTION, FRACTION) * 2.0 ** (np.maximum(EXPONENT, 1) - 10)
E4M3[127] = math.nan
E4M3 = np.float32([E4M3, -E4M3]).ravel()
E2M1 = np.float32([0, 0.5, 1, 1.5, 2, 3, 4, 6])
E2M1 = np.float32([E2M1, -E2M1]).ravel()


def elements(data, dtype, shape):
    """Stored elements, floating ones as float32, which holds all of these dtypes exactly."""
    if dtype == "BF16":
        array = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif dtype == "F8_E4M3":
        array = E4M3[np.frombuffer(data, np.uint8)]
    elif dtype in ("U8", "F8_E8M0"):  # of scales, which are the only weights of them
        exponent = np.frombuffer(data, np.uint8)
        array = np.where(exponent == 255, math.nan, np.exp2(exponent - 127.0)).astype(np.float32)
    else:
        array = np.frombuffer(data, {"F32": "<f4", "F16": "<f2", "I32": "<i4", "I64": "<i8"}[dtype])
    return array.reshape(shape)


def weights(package):
    """A function that gives tensors, and slices of stacks, by their names, in float64."""
    rows = {(row["name"].removesuffix(".weight"), row["expert"], row["projection"]): row
            for row in package.leaves}

    def weight(name, expert=None, projection=None):
        row = rows[name, expert, projection]
        encoding, data = blocks_of(row["encoding"]), package.bytes_of(row)
        if row["encoding"] == "mxfp4":
            codes = np.frombuffer(data, np.uint8)
            values = E2M1[np.stack([codes & 15, codes >> 4], axis=-1)]
            values = values.reshape(row["shape"][0], -1)
        else:
            values = elements(data, row["dtype"], row["shape"])
        if encoding:
            scales = weight(name + ".scale", expert, projection)
            scales = np.repeat(np.repeat(scales, encoding[2], axis=0), encoding[3], axis=1)
            values = np.float32(values * scales[: len(values), : values.shape[1]])  # rounded once
        return np.float64(values)

    return weight


def rms_norm(x, weight, epsilon):
    return weight * x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon)


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def network(x, w, name, *expert):
    """A dense network, or one expert."""
    if expert:
        gate, up = (w(f"{name}.gate_up", *expert, projection) for projection in ("gate", "up"))
        down = w(f"{name}.down", *expert, "down")
    else:
        gate, up, down = (w(f"{name}.{projection}") for projection in ("gate", "up", "down"))
    g = x @ gate.T
    return (g * sigmoid(g) * (x @ up.T)) @ down.T


def rotate(x, rotary):
    """Turns the first `dimensions` of the last axis of x [T, heads, ·] by its position."""
    d, theta, yarn = rotary["dimensions"], rotary["theta"], rotary.get("scaling")
    n, magnitude = np.arange(d // 2), 1
    f = theta ** (-2 * n / d)
    if yarn:

        def r(turns):
            period = yarn["originalPositions"] / (2 * math.pi * turns)
            return d * math.log(period) / (2 * math.log(theta))

        low = max(0, math.floor(r(yarn["betaFast"])))
        high = min(d - 1, math.ceil(r(yarn["betaSlow"])))
        high += 0.001 if high == low else 0
        gamma = np.clip((n - low) / (high - low), 0, 1)
        f, magnitude = f * (1 - gamma + gamma / yarn["factor"]), yarn["magnitude"]
    phi = np.arange(len(x))[:, None, None] * f
    cos, sin = magnitude * np.cos(phi), magnitude * np.sin(phi)
    a, b = (n, n + d // 2) if rotary["pairing"] == "halves" else (2 * n, 2 * n + 1)
    y = x.copy()
    y[..., a] = x[..., a] * cos - x[..., b] * sin
    y[..., b] = x[..., a] * sin + x[..., b] * cos
    return y


def attention(x, w, name, a):
    rotary, heads, window = a["rotary"], a["heads"], a.get("window") or len(x)
    if a["type"] == "grouped_query":
        q, k, v = ((x @ w(f"{name}.{part}").T).reshape(len(x), -1, a["headSize"])
                   for part in ("query", "key", "value"))
        serves = np.arange(heads) * a["keyValueHeads"] // heads
        q, k, v = rotate(q, rotary), rotate(k, rotary)[:, serves], v[:, serves]
    else:
        latent, plain, epsilon = a["latentSize"], a["plainSize"], a["latentNormEpsilon"]
        c, r = np.split(x @ w(f"{name}.latent_down").T, [latent], axis=-1)
        c = rms_norm(c, w(f"{name}.latent_norm"), epsilon)
        k, v = np.split((c @ w(f"{name}.latent_up").T).reshape(len(x), heads, -1), [plain], axis=-1)
        k = np.concatenate([k, np.repeat(rotate(r[:, None], rotary), heads, axis=1)], axis=-1)
        if a["queryRank"] is None:
            q = x @ w(f"{name}.query").T
        else:
            down = rms_norm(x @ w(f"{name}.query_down").T, w(f"{name}.query_norm"), epsilon)
            q = down @ w(f"{name}.query_up").T
        q, turned = np.split(q.reshape(len(x), heads, -1), [plain], axis=-1)
        q = np.concatenate([q, rotate(turned, rotary)], axis=-1)
    scale = a["scale"] * (rotary["scaling"]["softmaxFactor"] if "scaling" in rotary else 1)
    i, j = np.arange(len(x))[:, None], np.arange(len(x))
    seen = (j <= i) & (j > i - window)
    scores = np.where(seen, scale * np.einsum("ihd,jhd->hij", q, k), -np.inf)
    return np.einsum("hij,jhd->ihd", softmax(scores), v).reshape(len(x), -1) @ w(f"{name}.output").T


def largest(values, count):
    """Indices of the largest, of equal ones the lower first."""
    return np.argsort(-values, axis=-1, kind="stable")[..., :count]


def route(logits, routing, bias):
    """Chosen experts [T, k] and their weights, best first."""
    s = softmax(logits) if routing["score"] == "softmax" else sigmoid(logits)
    c, tokens, allowed = s + bias, np.arange(len(s))[:, None], np.ones(s.shape, bool)
    if groups := routing["groups"]:
        grouped = c.reshape(len(c), groups["count"], -1)
        top = -np.sort(-grouped, axis=-1)[..., : 1 if groups["aggregate"] == "maximum" else 2]
        kept = np.zeros(grouped.shape, bool)
        kept[tokens, largest(top.sum(axis=-1), groups["kept"])] = True
        allowed = kept.reshape(c.shape)
    chosen = largest(np.where(allowed, c, -np.inf), routing["expertsPerToken"])
    weights = (c if routing["bias"] == "selection_and_weights" else s)[tokens, chosen]
    if norm := routing["normalisation"]:
        weights = weights / (weights.sum(axis=-1, keepdims=True) + norm["epsilon"])
    return chosen, weights * routing["scale"]


def mixture(x, w, name, ff, trace):
    logits = x @ w(f"{name}.router").T
    bias = w(f"{name}.router.bias") if ff["routing"]["bias"] else 0
    chosen, weights = route(logits, ff["routing"], bias)
    y = np.zeros_like(x)
    for expert in np.unique(chosen):
        token, place = np.nonzero(chosen == expert)
        y[token] += weights[token, place, None] * network(x[token], w, f"{name}.experts", expert)
    trace |= {f"{name}.router.logits": logits, f"{name}.router.experts": chosen,
              f"{name}.router.weights": weights, f"{name}.experts.output": y}
    return y + network(x, w, f"{name}.shared") if ff["shared"] else y


def forward(package, ids):
    """TRACE.md: {tensor name: array} of the forward pass over token ids."""
    a, w, trace = package.manifest["architecture"], weights(package), {}
    epsilon, embedding = a["normEpsilon"], w("embedding")
    h = embedding[ids]
    for layer, block, prediction in layers(a):
        if prediction:
            break
        name, ff = f"layers.{layer}", block["feedForward"]
        trace[f"{name}.input"] = h
        x = rms_norm(h, w(f"{name}.attention_norm"), epsilon)
        h = h + attention(x, w, f"{name}.attention", block["attention"])
        x = rms_norm(h, w(f"{name}.feed_forward_norm"), epsilon)
        dense = ff["type"] == "dense"
        h = h + (network(x, w, f"{name}.dense") if dense else mixture(x, w, name, ff, trace))
        trace[f"{name}.output"] = h
    head = embedding if a["tiedEmbeddings"] else w("head")
    trace["logits"] = rms_norm(h, w("final_norm"), epsilon) @ head.T
    return trace
