"""SPEC section 4 over a package that reader.py found right, in float64, without a cache."""

import math

import numpy as np

from index import blocks_of, encoder_layers, layers, tasks_of, weighted

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
        kinds = {"F32": "<f4", "F16": "<f2", "I8": "<i1", "I32": "<i4", "I64": "<i8"}
        array = np.frombuffer(data, kinds[dtype])
    return array.reshape(shape)


def weights(package):
    """A function that gives tensors, and slices of stacks, by their names, in float64."""
    rows = {(row["name"].removesuffix(".weight"), row["expert"], row["projection"]): row
            for row in package.leaves}

    def weight(name, expert=None, projection=None):
        row = rows[name, expert, projection]
        encoding, data = blocks_of(row["encoding"]), package.bytes_of(row)
        if encoding and encoding[1] > 1:
            codes = np.frombuffer(data, np.uint8)
            codes = np.stack([codes & 15, codes >> 4], axis=-1)
            values = E2M1[codes] if row["encoding"] == "mxfp4" else np.float32(codes) - 8
            values = values.reshape(row["shape"][0], -1)
        else:
            values = elements(data, row["dtype"], row["shape"])
        if encoding:
            scales = weight(name + ".scale", expert, projection)
            across = min(encoding[3], values.shape[1])
            scales = np.repeat(np.repeat(scales, encoding[2], axis=0), across, axis=1)
            values = np.float32(values * scales[: len(values), : values.shape[1]])  # rounded once
        return np.float64(values)

    return weight


def rms_norm(x, weight, epsilon):
    return weight * x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon)


def norm(x, w, name, architecture):
    """Of the residual stream."""
    if "centredNorms" in architecture:
        x = x - np.mean(x, axis=-1, keepdims=True)
    bias = w(f"{name}.bias") if "normBiases" in architecture else 0
    epsilon = architecture["normEpsilon"]
    if name == "final_norm":
        epsilon = architecture.get("finalNormEpsilon", epsilon)
    return rms_norm(x, offset(architecture) + w(name), epsilon) + bias


def offset(architecture):
    """What stored weights of norms are added to."""
    return 1 if "offsetNorms" in architecture else 0


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def network(x, w, name, ff, clamp=None, biases=False):
    """A dense network."""

    def product(x, projection):
        bias = w(f"{name}.{projection}.bias") if biases else 0
        return x @ w(f"{name}.{projection}").T + bias

    return product(inside(x, ff, product, clamp), "down")


def inside(x, ff, product, clamp):
    """What the last matrix of a network reads."""
    u = product(x, "up")
    if "ungated" in ff:
        return gated(u, 1, ff["activation"], None)
    return gated(product(x, "gate"), u, ff["activation"], clamp)


def gated(g, u, activation, clamp):
    if activation == "relu":
        return np.maximum(0, g) * u
    if activation == "relu_squared":
        return np.maximum(0, g) ** 2 * u
    if activation == "gelu_tanh":
        return g / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (g + 0.044715 * g**3))) * u
    sharpness = 1
    if clamp:
        limit, sharpness = clamp["limit"], clamp["sharpness"]
        g, u = np.minimum(g, limit), np.clip(u, -limit, limit) + clamp["offset"]
    return g * sigmoid(sharpness * g) * u


def expert_network(x, w, name, ff, expert):
    first = "up" if "ungated" in ff else "gate_up"

    def product(x, projection):
        stack = f"{name}.{'down' if projection == 'down' else first}"
        bias = w(f"{stack}.bias", expert, projection) if "biases" in ff else 0
        return x @ w(stack, expert, projection).T + bias

    return product(inside(x, ff, product, ff.get("clamp")), "down")


def frequencies(rotary):
    """Angle per position of each pair, and what cosines and sines are multiplied by."""
    d, theta, scaling = rotary["dimensions"], rotary["theta"], rotary.get("scaling")
    n = np.arange(d // 2)
    f = theta ** (-2 * n / d)
    if scaling is None:
        return f, 1
    if scaling["type"] == "longrope":
        return f / scaling["factors"], scaling["magnitude"]
    if scaling["type"] == "proportional":
        return np.where(n < scaling["pairs"], f, 0), 1
    factor = scaling["factor"]
    if scaling["type"] == "linear":
        return f / factor, 1
    if scaling["type"] == "llama3":
        low, high = scaling["lowFrequency"], scaling["highFrequency"]
        turns = scaling["originalPositions"] * f / (2 * math.pi)
        gamma = np.interp(turns, [low, high], [0, 1])
        return f * (gamma + (1 - gamma) / factor), 1

    def r(turns):
        period = scaling["originalPositions"] / (2 * math.pi * turns)
        return d * math.log(period) / (2 * math.log(theta))

    low, high = r(scaling["betaFast"]), r(scaling["betaSlow"])
    if "exactBounds" not in scaling:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(0, low), min(d - 1, high)
    high += 0.001 if high == low else 0
    gamma = np.clip((n - low) / (high - low), 0, 1)
    return f * (1 - gamma + gamma / factor), scaling["magnitude"]


def rotate(x, rotary, positions=None):
    """Turns the first `dimensions` of the last axis of x [T, heads, ·] by its position."""
    if rotary is None:
        return x
    d, (f, magnitude) = rotary["dimensions"], frequencies(rotary)
    n = np.arange(d // 2)
    phi = (np.arange(len(x)) if positions is None else positions)[:, None, None] * f
    cos, sin = magnitude * np.cos(phi), magnitude * np.sin(phi)
    a, b = (n, n + d // 2) if rotary["pairing"] == "halves" else (2 * n, 2 * n + 1)
    y = x.copy()
    y[..., a] = x[..., a] * cos - x[..., b] * sin
    y[..., b] = x[..., a] * sin + x[..., b] * cos
    return y


def grouped_query(x, w, name, a, offset):
    """Queries, keys and values of each query head, [T, heads, ·], and gates of what is read."""
    heads, size, clip, rotary = a["heads"], a["headSize"], a.get("clip", math.inf), a.get("rotary")

    def normed(y, part, after):
        qk_norm = a.get("queryKeyNorm")
        if qk_norm is None or qk_norm["afterRotation"] != after:
            return y
        flat = y if qk_norm["span"] == "head" else y.reshape(len(x), 1, -1)
        weight = offset + w(f"{name}.{part}_norm") if qk_norm["weighted"] else 1
        return rms_norm(flat, weight, qk_norm["epsilon"]).reshape(y.shape)

    def raw(part):
        y = x @ w(f"{name}.{part}").T + (w(f"{name}.{part}.bias") if "biases" in a else 0)
        return y.reshape(len(x), -1, a.get("valueSize", size) if part == "value" else size)

    def ready(part, y):
        if part == "value":
            y = rms_norm(y, 1, a["valueNorm"]) if "valueNorm" in a else y
            return a.get("valueFactor", 1) * np.clip(y, -clip, clip)
        y = np.clip(normed(y, part, False), -clip, clip)
        return normed(rotate(y, rotary), part, True)

    q, k, gates = raw("query"), raw("key"), None
    v = k if "keysAsValues" in a else raw("value")
    if "outputGate" in a:
        q, gates = q[:, 0::2], sigmoid(q[:, 1::2])
    if gate := a.get("gate"):
        gates = (x @ w(f"{name}.output_gate").T).reshape(len(x), heads, -1)
        gates = OPENINGS[gate["opening"]](gates)
    q, k, v = (ready(part, y) for part, y in (("query", q), ("key", k), ("value", v)))
    q = tempered(q, a)
    serves = np.arange(heads) * a["keyValueHeads"] // heads
    return q, k[:, serves], v[:, serves], gates


def softplus(x):
    return np.logaddexp(0, x)


OPENINGS = {"sigmoid": sigmoid, "softplus": softplus}


def tempered(q, a):
    temperature = a.get("temperature")
    if temperature is None:
        return q
    counts = np.arange(len(q)) + ("fromZero" not in temperature)
    growth = np.log(1 + np.floor(counts / temperature["floor"]))
    return q * (1 + temperature["scale"] * growth)[:, None, None]


def multi_head_latent(x, w, name, a, _):
    """Likewise."""
    heads, plain = a["heads"], a["plainSize"]
    epsilon = a["latentNormEpsilon"]
    c, r = np.split(x @ w(f"{name}.latent_down").T, [a["latentSize"]], axis=-1)
    c = a.get("latentFactor", 1) * rms_norm(c, w(f"{name}.latent_norm"), epsilon)
    k, v = np.split((c @ w(f"{name}.latent_up").T).reshape(len(x), heads, -1), [plain], axis=-1)
    def turned(y):
        return rotate(y, a["rotary"]) if "rotary" in a else y

    k = np.concatenate([k, np.repeat(turned(r[:, None]), heads, axis=1)], axis=-1)
    if a["queryRank"] is None:
        q = x @ w(f"{name}.query").T
    else:
        down = rms_norm(x @ w(f"{name}.query_down").T, w(f"{name}.query_norm"), epsilon)
        q = down @ w(f"{name}.query_up").T
    q, p = np.split(q.reshape(len(x), heads, -1), [plain], axis=-1)
    return tempered(np.concatenate([q, turned(p)], axis=-1), a), k, v, None


def silu(x):
    return x * sigmoid(x)


def unit(x, epsilon):
    return x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) + epsilon)


def projections(x, w, name, a):
    """[q; k; v] convolved, the gates, what is written and what decays, of each token."""

    def latent(part):
        down = f"{name}.{part}_down"
        return x @ w(down).T @ w(f"{name}.{part}_up").T if f"{part}Rank" in a else x @ w(f"{name}.{part}").T

    if a["projections"] != "by_key_head":
        parts = ("query", "key", "value") if a["projections"] == "apart" else ("mixed",)
        taps = [f"{part}_convolution" if part != "mixed" else "convolution" for part in parts]
        mixed = [convolved(x @ w(f"{name}.{part}").T, w(f"{name}.{own}")) for part, own in zip(parts, taps)]
        return np.concatenate(mixed, axis=-1), latent("gate"), x @ w(f"{name}.write").T, latent("decay")
    heads, size = a["keyHeads"], a["keySize"]
    served = a["valueHeads"] * a["valueSize"] // heads
    each = (x @ w(f"{name}.mixed").T).reshape(len(x), heads, -1)
    *mixed, gate = np.split(each, np.cumsum([size, size, served]), axis=-1)
    both = np.split((x @ w(f"{name}.write_decay").T).reshape(len(x), heads, -1), 2, axis=-1)
    write, decay, gate, *mixed = (y.reshape(len(x), -1) for y in (*both, gate, *mixed))
    return convolved(np.concatenate(mixed, axis=-1), w(f"{name}.convolution")), gate, write, decay


def convolved(x, taps):
    """By channel, with zeros before the first token; the last factor is of the token itself."""
    behind = np.concatenate([np.zeros((taps.shape[1] - 1, len(taps))), x])
    return sum(behind[j : j + len(x)] * taps[:, j] for j in range(taps.shape[1]))


def short_convolution(x, w, name, a):
    def biased(y, part):
        return y + (w(f"{name}.{part}.bias") if "biases" in a else 0)

    b, c, v = np.split(biased(x @ w(f"{name}.input").T, "input"), 3, axis=-1)
    m = biased(convolved(b * v, w(f"{name}.taps")), "taps")
    return biased((c * m) @ w(f"{name}.output").T, "output")


def gated_delta(x, w, name, a):
    mixed, gate, write, decay = projections(x, w, name, a)
    mixed = silu(mixed)
    keys, heads, size = a["keyHeads"] * a["keySize"], a["valueHeads"], a["keySize"]
    serves = np.arange(heads) * a["keyHeads"] // heads
    q, k = (unit(y.reshape(len(x), -1, size), a["unitEpsilon"])[:, serves]
            for y in (mixed[:, :keys], mixed[:, keys : 2 * keys]))
    v = mixed[:, 2 * keys :].reshape(len(x), heads, -1)
    fading = softplus(decay + w(f"{name}.decay_shift"))
    fading = fading.reshape(len(x), heads, -1, 1)
    d = np.exp(-np.exp(w(f"{name}.decay_rate"))[:, None, None] * fading)
    state, read = np.zeros((heads, size, a["valueSize"])), np.zeros_like(v)
    for t in range(len(x)):
        state = d[t] * state
        written = sigmoid(write[t])[:, None] * (v[t] - np.einsum("hkv,hk->hv", state, k[t]))
        state = state + k[t][:, :, None] * written[:, None]
        read[t] = np.einsum("hkv,hk->hv", state, q[t] / math.sqrt(size))
    read = rms_norm(read, w(f"{name}.norm"), a["normEpsilon"]).reshape(len(x), -1)
    opened = sigmoid(gate) if "sigmoidGates" in a else silu(gate)
    return (read * opened) @ w(f"{name}.output").T


def mamba(x, w, name, a):
    def biased(y, part, member):
        return y + (w(f"{name}.{part}.bias") if member in a else 0)

    def normed(y, part):
        return rms_norm(y, w(f"{name}.{part}_norm"), a["normEpsilon"])

    v, gate = np.split(biased(x @ w(f"{name}.input").T, "input", "biases"), 2, axis=-1)
    v = silu(biased(convolved(v, w(f"{name}.convolution")), "convolution", "convolutionBias"))
    rank = a["stepRank"]
    t, k, q = np.split(v @ w(f"{name}.parameters").T, [rank, rank + a["stateSize"]], axis=-1)
    k, q, wide = normed(k, "key"), normed(q, "query"), normed(t, "step") @ w(f"{name}.step").T
    steps = np.logaddexp(0, wide + w(f"{name}.step_shift"))
    state, read = np.zeros((a["width"], a["stateSize"])), np.zeros_like(v)
    for t in range(len(x)):
        fading = np.exp(-np.exp(w(f"{name}.decay_rate")) * steps[t][:, None])
        state = fading * state + (steps[t] * v[t])[:, None] * k[t]
        read[t] = state @ q[t]
    out = (read + w(f"{name}.skip") * v) * silu(gate)
    return biased(out @ w(f"{name}.output").T, "output", "biases")


def mamba2(x, w, name, a):
    heads, keys = a["heads"], a["groups"] * a["stateSize"]
    values, serves = heads * a["headSize"], np.arange(heads) * a["groups"] // heads

    def biased(y, part, member):
        return y + (w(f"{name}.{part}.bias") if member in a else 0)

    d = biased(x @ w(f"{name}.input").T, "input", "biases")
    gate, mixed, steps = np.split(d, [values, 2 * values + 2 * keys], axis=-1)
    mixed = silu(biased(convolved(mixed, w(f"{name}.convolution")), "convolution", "convolutionBias"))
    v, k, q = np.split(mixed, [values, values + keys], axis=-1)
    v = v.reshape(len(x), heads, -1)
    k, q = (y.reshape(len(x), a["groups"], -1)[:, serves] for y in (k, q))
    steps = np.maximum(np.logaddexp(0, steps + w(f"{name}.step_shift")), a.get("leastStep", 0))
    fading = np.exp(-np.exp(w(f"{name}.decay_rate")) * steps)[:, :, None, None]
    state, read = np.zeros((heads, a["stateSize"], a["headSize"])), np.zeros_like(v)
    for t in range(len(x)):
        state = fading[t] * state + k[t][:, :, None] * (steps[t][:, None] * v[t])[:, None]
        read[t] = np.einsum("hkv,hk->hv", state, q[t])
    read = (read + w(f"{name}.skip")[:, None] * v).reshape(len(x), -1) * silu(gate)
    normed = read.reshape(len(x), a["normGroups"], -1)
    normed = rms_norm(normed, 1, a["normEpsilon"]).reshape(len(x), -1) * w(f"{name}.norm")
    return biased(normed @ w(f"{name}.output").T, "output", "biases")


def lightning(x, w, name, a, layers):
    """`layers` has the layer's number, and how many there are."""
    heads, size, (layer, of) = a["heads"], a["headSize"], layers
    q, k, v = np.split(silu(x @ w(f"{name}.input").T).reshape(len(x), heads, -1), 3, axis=-1)
    rates = 2.0 ** (-8 * np.arange(1, heads + 1) / heads) * (1 - layer / (of - 1 + 1e-5) + 1e-5)
    state, read = np.zeros((heads, size, size)), np.zeros_like(v)
    for t in range(len(x)):
        state = np.exp(-rates)[:, None, None] * state + k[t][:, :, None] * v[t][:, None]
        read[t] = np.einsum("hkv,hk->hv", state, q[t])
    normed = rms_norm(read.reshape(len(x), -1), w(f"{name}.norm"), a["normEpsilon"])
    return (normed * sigmoid(x @ w(f"{name}.gate").T)) @ w(f"{name}.output").T


def chosen(x, w, name, a):
    """Whether position i sees position j, [T, T]: the largest of those before it, as far as kept."""
    n, epsilon = a["indexer"], a["latentNormEpsilon"]
    rotary = a["rotary"] | {"pairing": n["pairing"]}
    down = rms_norm(x @ w(f"{name}.query_down").T, w(f"{name}.query_norm"), epsilon)
    q = rotate((down @ w(f"{name}.index_query").T).reshape(len(x), n["heads"], -1), rotary)
    k = x @ w(f"{name}.index_key").T
    k = rms_norm(k - k.mean(axis=-1, keepdims=True), w(f"{name}.index_key_norm"), n["normEpsilon"])
    k = rotate((k + w(f"{name}.index_key_norm.bias"))[:, None], rotary)[:, 0]
    products = np.maximum(0, np.einsum("ihd,jd->ihj", q, k))
    scores = np.einsum("ih,ihj->ij", x @ w(f"{name}.index_weights").T, products)
    seen = np.zeros(scores.shape, bool)
    for i, row in enumerate(scores):
        seen[i, largest(row[: i + 1], n["kept"])] = True
    return seen


def chosen_blocks(x, w, name, a, offset):
    """The same by head, [heads, T, T]: all of the last blocks, and of the others the largest."""
    n, tokens = a["blockIndexer"], len(x)
    q, k = (rotate(rms_norm((x @ w(f"{name}.index_{part}").T).reshape(tokens, -1, n["size"]),
                            offset + w(f"{name}.index_{part}_norm"), n["normEpsilon"]), a.get("rotary"))
            for part in ("query", "key"))
    products, block = np.einsum("igd,jd->gij", q, k[:, 0]), np.arange(tokens) // n["block"]
    seen = np.zeros(products.shape, bool)
    for group, i in np.ndindex(products.shape[:2]):
        row, others = products[group, i, : i + 1], max(0, block[i] + 1 - n["local"])
        most = np.array([row[block[: i + 1] == b].max() for b in range(others)])
        kept = largest(most, n["kept"] - n["local"])
        seen[group, i] = (block >= others) | np.isin(block, kept)
    return seen[np.arange(a["heads"]) * n["heads"] // a["heads"]]


def rotate_last(x, rotary, positions):
    """The same of the last `dimensions`."""
    plain = x.shape[-1] - rotary["dimensions"]
    return np.concatenate([x[..., :plain], rotate(x[..., plain:], rotary, positions)], axis=-1)


def entries(x, w, name, part, c, size, epsilon, rotary):
    """One for each whole window of tokens, [windows, size]."""
    n = c["tokens"]
    windows = len(x) // n
    stem, used = part.removesuffix("_key"), x[: windows * n]
    values, gates = used @ w(f"{name}.{part}").T, used @ w(f"{name}.{stem}_gate").T
    values = values.reshape(windows, n, -1)
    gates = gates.reshape(windows, n, -1) + w(f"{name}.{stem}_place")
    if "overlapping" in c:  # the first half of the columns is of the window after

        def over(y, nothing):
            before = np.concatenate([np.full((1, n, size), nothing), y[:-1, :, :size]])[:windows]
            return np.concatenate([before, y[..., size:]], axis=1)

        values, gates = over(values, 0), over(gates, -np.inf)
    e = np.sum(softmax(gates.swapaxes(1, 2)) * values.swapaxes(1, 2), axis=-1)
    e = rms_norm(e, w(f"{name}.{part}_norm"), epsilon)
    return rotate_last(e[:, None], rotary, n * np.arange(windows))[:, 0]


def compressed(x, w, name, a):
    heads, size, epsilon, rotary = a["heads"], a["headSize"], a["epsilon"], a["rotary"]
    i = np.arange(len(x))
    r = rms_norm(x @ w(f"{name}.query_down").T, w(f"{name}.query_norm"), epsilon)
    q = rms_norm((r @ w(f"{name}.query_up").T).reshape(len(x), heads, size), 1, epsilon)
    q = rotate_last(q, rotary, i)
    v = rms_norm(x @ w(f"{name}.key_value").T, w(f"{name}.key_value_norm"), epsilon)
    v = rotate_last(v[:, None], rotary, i)[:, 0]
    seen = (i <= i[:, None]) & (i > i[:, None] - a["window"])
    if c := a.get("compression"):
        e = entries(x, w, name, "entry", c, size, epsilon, rotary)
        whole = np.arange(len(e)) < (i[:, None] + 1) // c["tokens"]
        if n := c.get("indexer"):
            whole &= indexed(x, r, w, name, c, n, rotary, whole)
        v, seen = np.concatenate([v, e]), np.concatenate([seen, whole], axis=1)
    scaling = rotary.get("scaling", {})
    scores = a["scale"] * scaling.get("softmaxFactor", 1) * np.einsum("ihd,jd->hij", q, v)
    scores = np.where(seen, scores, -np.inf)
    sinks = np.broadcast_to(w(f"{name}.sinks")[:, None, None], (*scores.shape[:2], 1))
    p = softmax(np.concatenate([scores, sinks], axis=-1))[..., :-1]
    o = rotate_last(np.einsum("hij,jd->ihd", p, v), rotary, -i).reshape(len(x), a["groups"], -1)
    down = w(f"{name}.output_down").reshape(a["groups"], a["groupRank"], -1)
    return np.einsum("igd,grd->igr", o, down).reshape(len(x), -1) @ w(f"{name}.output").T


def indexed(x, r, w, name, c, n, rotary, whole):
    """Which entries a token sees."""
    rotary = rotary | {"pairing": n["pairing"]}
    q = (r @ w(f"{name}.index_query").T).reshape(len(x), n["heads"], n["size"])
    q = rotate_last(q, rotary, np.arange(len(x)))
    k = entries(x, w, name, "index_key", c, n["size"], n["normEpsilon"], rotary)
    products = np.maximum(0, np.einsum("ihd,jd->ihj", q, k))
    scores = np.einsum("ih,ihj->ij", x @ w(f"{name}.index_weights").T, products)
    seen = np.zeros(scores.shape, bool)
    for i, row in enumerate(scores):
        seen[i, largest(row[whole[i]], n["kept"])] = True
    return seen


def bucket(after, d, bidirectional):
    """The bucket of a key that stands so many positions after the token."""
    count = d["buckets"] // 2 if bidirectional else d["buckets"]
    distance = abs(after) if bidirectional else max(0, -after)
    exact, first = count // 2, count if bidirectional and after > 0 else 0
    if distance < exact:
        return first + distance
    # The most whole steps up to the distance, in whole numbers as far as they are
    steps, growth = count - exact, d["farthest"] / exact
    most = max(k for k in range(steps + 1) if growth ** (k / steps) <= distance / exact * (1 + 1e-12))
    return first + min(count - 1, exact + most)


def crossed(x, encoded, w, name, c):
    """Attention of a decoder's tokens to all of an encoder's."""

    def product(y, part):
        return y @ w(f"{name}.{part}").T + (w(f"{name}.{part}.bias") if "biases" in c else 0)

    q, k, v = (product(y, part).reshape(len(y), c["heads"], -1)
               for y, part in ((x, "query"), (encoded, "key"), (encoded, "value")))
    p = softmax(c["scale"] * np.einsum("ihd,jhd->hij", q, k))
    return product(np.einsum("hij,jhd->ihd", p, v).reshape(len(x), -1), "output")


def sinusoids(ids, width, positions):
    """What is added to embeddings."""
    counted = ids != positions["padding"] if "padding" in positions else np.ones(len(ids), bool)
    n, half = np.arange(width // 2), width // 2
    angles = (positions["first"] + np.cumsum(counted) - 1)[:, None] * 10000.0 ** (-n / (half - 1))
    added = np.concatenate([np.sin(angles), np.cos(angles), np.zeros((len(ids), width % 2))], axis=1)
    return added * counted[:, None]


def attention(x, w, name, a, offset, first, layers):
    """`first` names the layer that stores what all of an encoder or decoder share."""
    if a["type"] == "lightning":
        return lightning(x, w, name.replace("attention", "lightning"), a, layers)
    if a["type"] == "compressed":
        return compressed(x, w, name, a)
    if "headExperts" in a:
        return by_expert(x, w, name, a)
    if a["type"] == "gated_delta":
        return gated_delta(x, w, name.replace("attention", "delta"), a)
    if a["type"] == "short_convolution":
        return short_convolution(x, w, name.replace("attention", "convolution"), a)
    if a["type"] == "mamba":
        return mamba(x, w, name.replace("attention", "mamba"), a)
    if a["type"] == "mamba2":
        return mamba2(x, w, name.replace("attention", "mamba"), a)
    kind = grouped_query if a["type"] == "grouped_query" else multi_head_latent
    q, k, v, gates = kind(x, w, name, a, offset)
    scaling = (a.get("rotary") or {}).get("scaling", {})
    i, j = np.arange(len(x))[:, None], np.arange(len(x))
    seen = ((j <= i) | ("bidirectional" in a)) & (j > i - (a.get("window") or len(x)))
    if chunk := a.get("chunk"):
        seen &= j // chunk == i // chunk
    if "indexer" in a:
        seen &= chosen(x, w, name, a)
    if "blockIndexer" in a:
        seen = seen & chosen_blocks(x, w, name, a, offset)
    scores = a["scale"] * scaling.get("softmaxFactor", 1) * np.einsum("ihd,jhd->hij", q, k)
    if cap := a.get("scoreCap"):
        scores = cap * np.tanh(scores / cap)
    if d := a.get("distances"):
        stored, both = name if "perLayer" in d else f"{first}.attention", "bidirectional" in a
        table = w(f"{stored}.distances")
        scores += table[np.vectorize(lambda after: bucket(after, d, both))(j - i)].transpose(2, 0, 1)
    scores = np.where(seen, scores, -np.inf)
    if "sinks" in a:  # one more column, whose value is zero
        sinks = np.broadcast_to(w(f"{name}.sinks")[:, None, None], (*scores.shape[:2], 1))
        scores = np.concatenate([scores, sinks], axis=-1)
    p = softmax(scores)[..., : len(x)]
    read = np.einsum("hij,jhd->ihd", p, v)
    read = read if gates is None else read * gates
    out = read.reshape(len(x), -1) @ w(f"{name}.output").T
    return out + (w(f"{name}.output.bias") if "outputBias" in a else 0)


def by_expert(x, w, name, a):
    """Attention whose queries and outputs are those of the experts that each token chooses."""
    tokens, keys, size, k = len(x), a["keyValueHeads"], a["headSize"], a["headExperts"]["perToken"]
    s = softmax(x @ w(f"{name}.router").T)
    chosen = largest(s, k)
    weight = np.take_along_axis(s, chosen, axis=-1)
    weight = weight / weight.sum(axis=-1, keepdims=True)
    queries = w(f"{name}.query").reshape(-1, keys * size, x.shape[1])
    outputs = w(f"{name}.output").reshape(-1, x.shape[1], keys * size)
    key, v = ((x @ w(f"{name}.{part}").T).reshape(tokens, keys, size) for part in ("key", "value"))
    key, i, j = rotate(key, a.get("rotary")), np.arange(tokens)[:, None], np.arange(tokens)
    seen = (j <= i) & (j > i - (a.get("window") or tokens))
    seen &= j // a.get("chunk", tokens) == i // a.get("chunk", tokens)
    scale = a["scale"] * (((a.get("rotary") or {}).get("scaling") or {}).get("softmaxFactor", 1))
    y = w(f"{name}.output.bias") * np.ones_like(x) if "outputBias" in a else np.zeros_like(x)
    for place in range(k):
        q = np.einsum("toh,th->to", queries[chosen[:, place]], x).reshape(tokens, keys, size)
        scores = scale * np.einsum("ihd,jhd->hij", rotate(q, a.get("rotary")), key)
        if cap := a.get("scoreCap"):
            scores = cap * np.tanh(scores / cap)
        read = np.einsum("hij,jhd->ihd", softmax(np.where(seen, scores, -np.inf)), v)
        made = np.einsum("tho,to->th", outputs[chosen[:, place]], read.reshape(tokens, -1))
        y = y + weight[:, place, None] * made
    return y


def largest(values, count):
    """Indices of the largest, of equal ones the lower first."""
    return np.argsort(-values, axis=-1, kind="stable")[..., :count]


def mixed(s, chosen, tolerance):
    """Weights [T, k] of experts among those near them."""
    weights, left, tokens = [], s.copy(), np.arange(len(s))
    for expert in chosen.T:
        own = s[tokens, expert][:, None]
        with np.errstate(invalid="ignore"):  # zero beside zero is near
            far = (own - s) / np.maximum(abs(s), own) > tolerance
        weights.append(softmax(np.where(far, -np.inf, left))[tokens, expert])
        left[tokens, expert] = -np.inf
    return np.stack(weights, axis=-1)


def sqrt_softplus(x):
    return np.sqrt(softplus(x))


SCORES = {"softmax": softmax, "sigmoid": sigmoid, "identity": np.array,
          "sqrt_softplus": sqrt_softplus, "one": np.array}


def dropped_of(c, chosen, drops):
    """Which choices [T, k] find their expert with all that it takes, by the values c [T, E] of each."""
    tokens, waiting, order = len(chosen), np.zeros(c.shape[1], int), np.arange(len(chosen))
    part = max(drops.get("least", 0), math.ceil(drops.get("fraction", 0) * tokens))
    taken = drops.get("tokens", part)
    dropped = np.zeros(chosen.shape, bool)
    if drops["order"] == "choice_then_score":
        order = np.argsort(-c[order, chosen[:, 0]], kind="stable")
    for place in range(chosen.shape[1]):
        for token in order:
            expert = chosen[token, place]
            dropped[token, place] = waiting[expert] >= taken
            waiting[expert] += 1
    return dropped


def route(logits, routing, bias, assigned):
    """Chosen experts [T, k], best first, their weights and which are dropped."""
    if hierarchy := routing.get("hierarchy"):
        return *descend(logits, routing, hierarchy), None
    if cap := routing.get("logitCap"):
        logits = cap * np.tanh(logits / cap)
    sets = routing.get("prototypes", 1)
    s = SCORES[routing["score"]](logits.reshape(len(logits), sets, -1)).reshape(logits.shape)
    c = s if routing["bias"] in (None, "logits") else s + bias
    tokens, allowed = np.arange(len(s))[:, None], np.ones(s.shape, bool)
    if groups := routing["groups"]:
        grouped = c.reshape(len(c), groups["count"], -1)
        top = -np.sort(-grouped, axis=-1)[..., : 1 if groups["aggregate"] == "maximum" else 2]
        kept = np.zeros(grouped.shape, bool)
        kept[tokens, largest(top.sum(axis=-1), groups["kept"])] = True
        allowed = kept.reshape(c.shape)
    each = np.where(allowed, c, -np.inf).reshape(len(c), sets, -1)
    chosen = largest(each, routing["expertsPerToken"] // sets) + np.arange(sets)[:, None] * each.shape[2]
    chosen = chosen.reshape(len(c), -1)
    chosen = chosen if assigned is None else assigned
    weights = (c if routing["bias"] == "selection_and_weights" else s)[tokens, chosen]
    if mixer := routing.get("mixer"):
        weights = mixed(s, chosen, mixer["tolerance"])
    drops, dropped = routing.get("drops"), None
    if drops:
        dropped = dropped_of(c, chosen, drops)
    if drops and "afterNormalisation" not in drops:
        weights = np.where(dropped, 0, weights)
    if normalisation := routing["normalisation"]:
        total = np.maximum(weights.sum(axis=-1, keepdims=True), normalisation.get("least", 0))
        weights = weights / (total + normalisation["epsilon"])
    weights = weights if dropped is None else np.where(dropped, 0, weights)
    return chosen, weights * routing["scale"], dropped


def descend(logits, routing, hierarchy):
    """Gates of two levels: of the kept groups, best first, as many experts, and their weights."""
    count, kept = hierarchy["groups"], hierarchy["kept"]
    tokens = np.arange(len(logits))[:, None]
    p, s = softmax(logits[:, :count]), softmax(logits[:, count:].reshape(len(logits), count, -1))
    groups = largest(p, kept)
    own = s[tokens, groups]
    experts = largest(own, routing["expertsPerToken"] // kept)
    chosen = groups[..., None] * s.shape[2] + experts
    p, own = p[tokens, groups], np.take_along_axis(own, experts, axis=-1)
    weights = (p / p.sum(axis=-1, keepdims=True))[..., None] * own / own.sum(axis=-1, keepdims=True)
    return chosen.reshape(len(p), -1), weights.reshape(len(p), -1) * routing["scale"]


def length_one(x):
    length = np.sqrt(np.sum(x * x, axis=-1, keepdims=True))
    return np.divide(x, length, out=np.zeros_like(x), where=length > 0)


def mixture(x, w, name, ff, trace, ids, normed):
    """What experts and networks beside them make; `normed` norms with the weights of a name."""
    beside, given = ff.get("beside"), x
    if beside:
        given = normed(x, "experts_norm")
    routing, shared = ff["routing"], ff["shared"]
    bias = w(f"{name}.router.bias") if routing["bias"] else 0
    read = normed(x, "router_norm") / math.sqrt(x.shape[1]) if beside else x
    if routing["score"] == "one":
        logits = np.ones((len(x), ff["experts"]))
    elif angles := routing.get("cosine"):
        p = read @ w(f"{name}.router.projection").T + w(f"{name}.router.projection.bias")
        factor = np.minimum(np.exp(w(f"{name}.router.temperature")), angles["most"])
        logits = factor * (length_one(p) @ length_one(w(f"{name}.router")).T)
    else:
        logits = read @ w(f"{name}.router").T + (bias if routing["bias"] == "logits" else 0)
    if "hierarchy" in routing:
        logits = np.concatenate([read @ w(f"{name}.router.primary").T, logits], axis=1)
    assigned = w(f"{name}.router.table")[ids].astype(int) if "assigned" in routing else None
    chosen, weights, dropped = route(logits, routing, bias, assigned)
    if "factors" in routing:
        weights = weights * w(f"{name}.router.factors")[chosen]
    y, tasks = np.zeros_like(x), tasks_of(ff)
    parts = np.split(y, tasks, axis=1)  # views of y
    for expert in np.unique(chosen):
        token, place = np.nonzero(chosen == expert)
        weight, own = weights[token, place, None], given[token]
        if routing["weightsApplyTo"] == "expert_input":
            weight, own = 1, weight * own
        task, number = divmod(expert, ff["experts"] // tasks)
        made = own if number >= weighted(ff) else expert_network(own, w, f"{name}.experts", ff, number)
        parts[task][token] += weight * made
    trace |= {f"{name}.router.logits": logits, f"{name}.router.experts": chosen,
              f"{name}.router.weights": weights, f"{name}.experts.output": y}
    if "drops" in routing:
        trace[f"{name}.router.dropped"] = dropped.astype(int)
    if beside:
        dense = network(normed(x, "feed_forward_norm"), w, f"{name}.dense", ff)
        return normed(dense, "dense_output_norm") + normed(y, "experts_output_norm")
    if shared is None:
        return y + w(f"{name}.experts.sum.bias") if "outputBias" in ff else y
    switch = sigmoid(x @ w(f"{name}.shared.switch").T) if "switched" in shared else 1
    clamp = ff["clamp"] if "clamped" in shared else None
    factors = ff.get("outputFactors", {"routed": 1, "shared": 1})
    made = switch * network(x, w, f"{name}.shared", ff, clamp)
    if "mixed" in shared:
        first, second = softmax(x @ w(f"{name}.shared.mix").T + w(f"{name}.shared.mix.bias")).T
        return first[:, None] * y + second[:, None] * made
    return factors["routed"] * y + factors["shared"] * made


def connected(h, w, name, a):
    """How residual streams h [T, count, H] are read, written and mixed by half a layer."""
    s, flat = a["streams"], h.reshape(len(h), -1)
    n, epsilon = s["count"], s["epsilon"]
    m = rms_norm(flat, 1, a["normEpsilon"]) @ w(name).T
    factors = w(f"{name}.factors")
    m = m * np.repeat(factors, [n, n, n * n][: len(factors)]) + w(f"{name}.shift")
    p, q, c = sigmoid(m[:, :n]) + epsilon, 2 * sigmoid(m[:, n : 2 * n]), m[:, 2 * n :]
    if len(factors) == 1:
        return p, None, None
    c = softmax(c.reshape(-1, n, n)) + epsilon
    c = c / (c.sum(axis=1, keepdims=True) + epsilon)
    for _ in range(s["iterations"] - 1):
        c = c / (c.sum(axis=2, keepdims=True) + epsilon)
        c = c / (c.sum(axis=1, keepdims=True) + epsilon)
    return p, q, c


def shown(patches, w):
    """Tokens of an image: one of the class, and one of each patch."""
    seen = patches @ w("image.patch").T + w("image.patch.bias")
    return np.concatenate([w("image.class")[None], seen]) + w("image.position")[: len(seen) + 1]


def answers(x, tasks, w):
    """What the towers of tasks make of their parts of x."""
    towers, head = np.split(w("towers"), tasks), np.split(w("head"), tasks)
    read = np.concatenate([part @ rows.T for part, rows in zip(np.split(x, tasks, axis=1), towers)], axis=1)
    inside = np.split(np.maximum(0, read + w("towers.bias")), tasks, axis=1)
    return np.concatenate([part @ rows.T for part, rows in zip(inside, head)], axis=1)


def forward(package, ids, decoded=None, patches=None):
    """TRACE.md: {tensor name: array} of the forward pass over token ids, an encoder's and a decoder's, or an image."""
    a, w, trace = package.manifest["architecture"], weights(package), {}
    times, image = a.get("multipliers", {}), a.get("image")
    embedding = None if image else w("embedding")

    def embedded(ids):
        h = times.get("embedding", 1) * (shown(patches, w) if image else embedding[ids])
        return h + sinusoids(ids, h.shape[1], a["positions"]) if "positions" in a else h

    ids = np.zeros(len(patches) + 1, int) if image else ids
    h, residual = embedded(ids), times.get("residual", 1)
    encoder, encoded = encoder_layers(a), None
    placement = a.get("normPlacement", "input")

    streams = "streams" in a
    if streams:
        h = np.repeat(h[:, None], a["streams"]["count"], axis=1)

    def half(h, name, make, reads_residual=False, scale=None):
        """What is left of the residual stream, or streams, by half a layer."""
        x, q, c = h, None, None
        if streams:
            p, q, c = connected(h, w, f"{name}_streams", a)
            x = np.einsum("ts,tsd->td", p, h)
        plain = reads_residual or placement == "output"
        x = x if plain else norm(x, w, f"{name}_norm", a)
        y = make(x)
        if streams:
            return q[:, :, None] * y[:, None] + np.einsum("tji,tjd->tid", c, h)
        y = residual * (norm(y, w, f"{name}_output_norm", a) if "output" in placement else y)
        kept, added = (scale["kept"], scale["added"]) if scale else (1, 1)
        return kept * (x if placement == "residual" else h) + added * y

    for layer, block, prediction in layers(a):
        if prediction:
            break
        name, ff = f"layers.{layer}", block["feedForward"]
        if encoder and layer == encoder:
            encoded, ids = norm(h, w, "encoder_norm", a), decoded
            h = embedded(ids)
        first = f"layers.{0 if layer < encoder else encoder}"
        trace[f"{name}.input"] = h.reshape(-1, a["hiddenSize"])

        def attend(x, again=""):
            number = layer, encoder + sum(b["count"] for b in a["blocks"])
            part = f"{name}{again}.attention"
            return attention(x, w, part, block["attention"], offset(a), first, number)

        def feed(x):
            if ff["type"] == "dense":
                return network(x, w, f"{name}.dense", ff, ff.get("clamp"), "biases" in ff)
            return mixture(x, w, name, ff, trace, ids, normed)

        def normed(x, part):
            return norm(x, w, f"{name}.{part}", a)

        if placement == "shared_input":
            read = normed(h, "attention_norm")
            h = h + residual * attend(read) + residual * feed(read)
        else:
            if block["attention"]["type"] != "none":
                h = half(h, f"{name}.attention", attend, scale=block.get("attentionResidual"))
            if cross := block.get("cross"):
                h = half(h, f"{name}.cross", lambda x: crossed(x, encoded, w, f"{name}.cross", cross))
            if "shortcut" in ff:
                of_experts = half(h, f"{name}.feed_forward", feed) - h
                for again in "", ".again":
                    if again:
                        h = half(h, f"{name}.again.attention", lambda x: attend(x, ".again"))
                    h = half(h, f"{name}{again}.feed_forward",
                             lambda x: network(x, w, f"{name}{again}.dense", ff))
                h = h + of_experts
            elif ff["type"] != "none":
                scale = block.get("feedForwardResidual")
                h = half(h, f"{name}.feed_forward", feed, "beside" in ff, scale)
        h = h * w(f"{name}.layer.factor") if "layerFactors" in a else h
        trace[f"{name}.output"] = h.reshape(-1, a["hiddenSize"])
    if streams:
        h = np.einsum("ts,tsd->td", connected(h, w, "final_streams", a)[0], h)
    head = embedding if a["tiedEmbeddings"] else w("head")
    towers = (image or {}).get("towers")
    h = h[:1] if image else h
    x = h if towers else norm(h, w, "final_norm", a)
    if image and "representationSize" in image:
        x = np.tanh(x @ w("representation").T + w("representation.bias"))
    logits = answers(x, towers["tasks"], w) if towers else x @ head.T
    logits = logits + (w("head.bias") if "headBias" in a else 0)
    logits, cap = times.get("logits", 1) * logits, a.get("logitCap")
    trace["logits"] = cap * np.tanh(logits / cap) if cap else logits
    return trace
