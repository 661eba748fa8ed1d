// Every kernel against double precision on random numbers, outputs poisoned first: on the card, or emulated on the host.
#include "harness.h"

static u64 state = 88172645463325252ull;
static double uniform() {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (double)(state >> 11) / 9007199254740992.0 * 2 - 1;
}
static int below(int n) { return (int)((uniform() + 1) / 2 * n) % n; }
static std::vector<float> numbers(size_t n, double scale = 1, double offset = 0) {
  std::vector<float> v(n);
  for (auto& x : v) x = (float)(uniform() * scale + offset);
  return v;
}
static u16 half_of(float x) {
  u32 u; memcpy(&u, &x, 4);  // normal numbers only, cut off
  int e = (int)(u >> 23 & 255) - 112;
  return e <= 0 ? 0 : (u16)((u >> 16 & 0x8000) | e << 10 | (u >> 13 & 1023));
}
static double value_of_half(u16 h) {
  int e = h >> 10 & 31, m = h & 1023;
  double v = e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
  return h >> 15 ? -v : v;
}

struct Host {  // a stored matrix and what it means
  int enc, rows, columns, block;
  std::vector<u8> bytes, scales;
  std::vector<double> values;
  double at(int r, int c) const { return values[(size_t)r * columns + c]; }
};
static Host stored(int enc, int rows, int columns, int block = 32) {
  Host h = {enc, rows, columns, block, {}, {}, {}};
  h.bytes.resize(weight_bytes(enc, (size_t)rows * columns));
  h.scales.resize(stored_scale_bytes(enc, rows, columns, block));
  h.values.resize((size_t)rows * columns);
  double size = 1.7 / sqrt((double)columns);
  float* s = (float*)h.scales.data();
  size_t n = h.scales.size() / 4;
  if (enc == MXFP4) for (auto& b : h.scales) b = (u8)(120 + below(5));
  else for (size_t i = 0; i < n; i++) s[i] = (float)(size * (0.6 + 0.4 * uniform()) / (enc == FP8 ? 4 : enc == INT8 ? 100 : 6));
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++) {
      size_t i = (size_t)r * columns + c;
      double v;
      if (enc <= F16) {
        float x = (float)(uniform() * size);
        u16 b;
        if (enc == F16) b = half_of(x), v = value_of_half(b);
        else { u32 u; memcpy(&u, &x, 4); b = (u16)(u >> 16); u &= 0xffff0000u; memcpy(&x, &u, 4); v = x; }
        memcpy(&h.bytes[2 * i], &b, 2);
      } else if (enc == FP8) {
        u8 b = (u8)below(256);
        if ((b & 127) > 0x60) b &= 0x9f;  // magnitudes up to 32
        h.bytes[i] = b;
        int e = b >> 3 & 15, m = b & 7;
        v = e ? ldexp(8 + m, e - 10) : ldexp(m, -9);
        v = (b >> 7 ? -v : v) * s[(size_t)(r / 128) * ((columns + 127) / 128) + c / 128];
      } else if (enc == INT8) {
        signed char b = (signed char)(below(256) - 128);
        h.bytes[i] = (u8)b;
        v = (double)b * s[r];
      } else {
        int q = below(16);
        h.bytes[i / 2] |= (u8)(i & 1 ? q << 4 : q);
        static const double E2M1[8] = {0, .5, 1, 1.5, 2, 3, 4, 6};
        if (enc == INT4) v = (double)(q - 8) * s[(size_t)r * (columns / block) + c / block];
        else v = (q & 8 ? -E2M1[q & 7] : E2M1[q & 7]) * ldexp(1, h.scales[(size_t)r * (columns / 32) + c / 32] - 127);
      }
      h.values[i] = v;
    }
  return h;
}
static Matrix on_device(const Host& h) {
  return {uploaded(h.bytes), h.scales.empty() ? nullptr : uploaded(h.scales), h.rows, h.columns, h.block};
}
static int failures = 0;
static void report(const std::string& what, const std::vector<double>& want, const std::vector<float>& got, double bound = 1e-5) {
  double d = 0, w = 0;
  for (size_t i = 0; i < want.size(); i++) d += (got[i] - want[i]) * (got[i] - want[i]), w += want[i] * want[i];
  double error = sqrt(d / w);
  bool right = error <= bound;
  if (!right) failures++;
  printf("%-76s %.1e%s\n", what.c_str(), error, right ? "" : "  WRONG");
  fflush(stdout);
}
static std::vector<double> normed(const float* x, const std::vector<float>& w, int n, double epsilon) {
  double s = 0;
  for (int i = 0; i < n; i++) s += (double)x[i] * x[i];
  s = 1 / sqrt(s / n + epsilon);
  std::vector<double> y(n);
  for (int i = 0; i < n; i++) y[i] = w.empty() ? x[i] : x[i] * s * w[i];
  return y;
}

static void check_project(const Kernels& k, int columns, std::vector<int> rows, int tokens, int m, int warps, int split, bool norm, bool add, int grid, int block = 32, bool slots = false) {
  ProjectArgs a = {};
  std::vector<Host> hosts;
  int all = 0;
  for (int r : rows) hosts.push_back(stored(k.encoding, r, columns, block)), a.matrix[a.matrices++] = on_device(hosts.back()), all += r;
  auto x = numbers((size_t)tokens * columns, 2), w = norm ? numbers(columns, .5, 1) : std::vector<float>(), y0 = numbers((size_t)tokens * all);
  a.tokens = tokens, a.split = split, a.prefetches = 1;
  a.x = uploaded(x), a.xStride = columns, a.norm = norm ? uploaded(w) : nullptr, a.epsilon = 1e-5f;
  a.y = uploaded(y0), a.yStride = all, a.add = add;
  if (!add) poison(a.y, y0.size() * 4);
  int nt = column_tiles(k, tokens);
  launch(nt > 1 ? (slots ? k.projectT4Slots : k.projectT4) : slots ? k.projectSlots[m - 1] : k.project[m - 1], dim3(grid), warps * 32, project_shared(k, warps, m, nt, tokens, columns) + slots * slots_bytes(k, warps, m, nt), a);
  auto got = download(a.y, y0.size());
  std::vector<double> want;
  for (int t = 0; t < tokens; t++) {
    auto v = normed(&x[(size_t)t * columns], w, columns, 1e-5);
    for (auto& h : hosts)
      for (int r = 0; r < h.rows; r++) {
        double s = add ? y0[want.size()] : 0;
        for (int c = 0; c < columns; c++) s += h.at(r, c) * v[c];
        want.push_back(s);
      }
  }
  char text[200];
  snprintf(text, sizeof text, "project %s %dx%d%s tokens %d m %d warps %d split %d%s%s%s", k.name, all, columns, rows.size() > 1 ? " packed" : "", tokens, m, warps, split, norm ? " norm" : "", add ? " add" : "", slots ? " slots" : "");
  report(text, want, got);
}

static void check_experts(const Kernels& k, int experts, int chosen, int tokens, int hidden, int width, int sharedWidth, int m, int warps, int split, bool far, bool odd, int grid, bool slots = false) {
  auto gateUp = stored(k.encoding, 1, 32);  // replaced below: stacks are projections one after the other
  std::vector<u8> gw, gs, dw, ds;
  std::vector<Host> gates, ups, downs;
  auto append = [](std::vector<u8>& to, const std::vector<u8>& v) { to.insert(to.end(), v.begin(), v.end()); };
  for (int e = 0; e < experts; e++) {
    gates.push_back(stored(k.encoding, width, hidden)), ups.push_back(stored(k.encoding, width, hidden)), downs.push_back(stored(k.encoding, hidden, width));
    append(gw, gates[e].bytes), append(gw, ups[e].bytes), append(dw, downs[e].bytes);
    append(gs, gates[e].scales), append(gs, ups[e].scales), append(ds, downs[e].scales);
  }
  ExpertsArgs a = {};
  a.gateUp = uploaded(gw), a.gateUpScales = uploaded(gs), a.down = uploaded(dw), a.downScales = uploaded(ds);
  Host sg, su, sd;
  if (sharedWidth) {
    sg = stored(k.encoding, sharedWidth, hidden), su = stored(k.encoding, sharedWidth, hidden), sd = stored(k.encoding, hidden, sharedWidth);
    a.sharedGate = on_device(sg), a.sharedUp = on_device(su), a.sharedDown = on_device(sd);
  }
  a.hidden = hidden, a.intermediate = width, a.block = 32, a.chosen = chosen, a.tokens = tokens, a.split = split, a.prefetches = 1;
  a.limit = odd ? 0.8f : INFINITY, a.sharpness = odd ? 1.7f : 1, a.offset = odd ? 1.f : 0;
  auto gb = numbers((size_t)experts * 2 * width, .3), db = numbers((size_t)experts * hidden, .3);
  if (odd) a.gateUpBias = uploaded(gb), a.downBias = uploaded(db);
  // the plan: tokens choose experts, some the same
  std::vector<int> choice(tokens * chosen), plan(1 + tokens * chosen + tokens * chosen * tokens, -1);
  std::vector<float> weights = numbers(tokens * chosen, .4, .6);
  for (int t = 0; t < tokens; t++)
    for (int j = 0; j < chosen; j++) {
      again:
      choice[t * chosen + j] = below(experts);
      for (int q = 0; q < j; q++) if (choice[t * chosen + q] == choice[t * chosen + j]) goto again;
    }
  int distinct = 0;
  for (int s = 0; s < tokens * chosen; s++) {
    int u = 0;
    while (u < distinct && plan[1 + u] != choice[s]) u++;
    if (u == distinct) plan[1 + distinct++] = choice[s];
    plan[1 + tokens * chosen + u * tokens + s / chosen] = s;
  }
  plan[0] = distinct;
  a.plan = uploaded(plan), a.weights = uploaded(weights);
  auto x = numbers((size_t)tokens * hidden, 2), w = numbers(hidden, .5, 1), y0 = numbers((size_t)tokens * hidden);
  a.x = uploaded(x), a.xStride = hidden, a.norm = uploaded(w), a.epsilon = 1e-6f, a.yStride = hidden, a.y = uploaded(y0);
  a.activated = room<u16>(activated_halves(k, tokens, chosen, width, sharedWidth));
  int nt = column_tiles(k, tokens);
  launch(nt > 1 ? (slots ? k.gateUpT4Slots : k.gateUpT4) : slots ? k.gateUpSlots : k.gateUp, dim3(grid), warps * 32, gate_up_shared(k, warps, nt, tokens, chosen, hidden) + slots * slots_bytes(k, warps, 2, nt), a);
  int dm = nt > 1 ? 1 : m;
  launch(nt > 1 ? (slots ? k.downT4Slots : far ? k.downT4Far : k.downT4) : slots ? k.downSlots[m - 1] : (far ? k.downFar : k.down)[m - 1], dim3(grid), warps * 32, slots ? down_slots_shared(k, warps, dm, nt, tokens, chosen) : down_shared(k, warps, dm, nt, tokens, chosen, width, sharedWidth, far), a);
  auto got = download(a.y, y0.size());
  std::vector<double> want(y0.begin(), y0.end());
  for (int t = 0; t < tokens; t++) {
    auto v = normed(&x[(size_t)t * hidden], w, hidden, 1e-6);
    for (int j = 0; j <= chosen; j++) {
      bool shared = j == chosen;
      if (shared && !sharedWidth) break;
      int e = shared ? 0 : choice[t * chosen + j], n = shared ? sharedWidth : width;
      const Host &G = shared ? sg : gates[e], &U = shared ? su : ups[e], &D = shared ? sd : downs[e];
      std::vector<double> act(n);
      for (int i = 0; i < n; i++) {
        double g = 0, u = 0;
        for (int c = 0; c < hidden; c++) g += G.at(i, c) * v[c], u += U.at(i, c) * v[c];
        if (odd && !shared) {
          g += gb[(size_t)e * 2 * width + i], u += gb[(size_t)e * 2 * width + width + i];
          g = std::min(g, (double)a.limit), u = std::max(std::min(u, (double)a.limit), -(double)a.limit) + a.offset;
          act[i] = g / (1 + exp(-a.sharpness * g)) * u;
        } else act[i] = g / (1 + exp(-g)) * u;
      }
      for (int r = 0; r < hidden; r++) {
        double s = odd && !shared ? db[(size_t)e * hidden + r] : 0;
        for (int i = 0; i < n; i++) s += D.at(r, i) * act[i];
        want[(size_t)t * hidden + r] += s * (shared ? 1 : weights[t * chosen + j]);
      }
    }
  }
  char text[200];
  snprintf(text, sizeof text, "experts %s %d of %d, %dx%d shared %d tokens %d m %d warps %d split %d%s%s%s", k.name, chosen, experts, hidden, width, sharedWidth, tokens, dm, warps, split, far ? " far" : "", odd ? " biases" : "", slots ? " slots" : "");
  report(text, want, got, 2e-5);
}

static void check_route(int experts, int chosen, int tokens, int hidden, int biasMode, bool sigmoid, int groups, int kept, bool topTwo, bool maskZero, bool normalised, bool equal, int rows) {
  RouteArgs a = {};
  auto w = numbers((size_t)experts * hidden), x = numbers((size_t)tokens * hidden), norm = numbers(hidden, .5, 1), bias = numbers(experts, .3);
  if (equal) for (int e = 0; e < experts; e++) for (int i = 0; i < hidden; i++) w[(size_t)e * hidden + i] = w[(size_t)(e % 3) * hidden + i];
  a.weights = (const u8*)uploaded(w), a.weightsAreFloat = 1, a.bias = uploaded(bias), a.biasMode = biasMode;
  a.experts = experts, a.hidden = hidden, a.chosen = chosen, a.tokens = tokens, a.sigmoid = sigmoid, a.groups = groups, a.kept = kept, a.topTwo = topTwo, a.maskZero = maskZero;
  a.normalised = normalised, a.epsilon = 1e-20f, a.scale = 2.5f, a.x = uploaded(x), a.xStride = hidden, a.norm = uploaded(norm), a.normEpsilon = 1e-6f;
  a.logits = room<float>(tokens * experts), a.plan = room<int>(1 + tokens * chosen * (1 + tokens)), a.slotWeights = room<float>(tokens * chosen), a.arrived = room<int>(1);
  poison(a.plan, 4 * (1 + tokens * chosen * (1 + tokens))), poison(a.slotWeights, 4 * tokens * chosen);
  for (int twice = 0; twice < 2; twice++) launch(route_experts, dim3((experts + rows - 1) / rows), 256, 8 * 3 * experts * 4, a, rows);
  auto plan = download(a.plan, 1 + tokens * chosen * (1 + tokens));
  auto got = download(a.slotWeights, tokens * chosen);
  std::vector<double> want;
  std::vector<float> mine;
  int wrong = 0;
  for (int t = 0; t < tokens; t++) {
    auto v = normed(&x[(size_t)t * hidden], norm, hidden, 1e-6);
    std::vector<double> s(experts), c;
    double most = -1e300, sum = 0;
    for (int e = 0; e < experts; e++) {
      for (int i = 0; i < hidden; i++) s[e] += (double)w[(size_t)e * hidden + i] * v[i];
      if (biasMode == BIAS_OF_LOGITS) s[e] += bias[e];
      most = std::max(most, s[e]);
    }
    for (auto& y : s) y = sigmoid ? 1 / (1 + exp(-y)) : exp(y - most), sum += y;
    if (!sigmoid) for (auto& y : s) y /= sum;
    c = s;
    if (biasMode == BIAS_SELECTS || biasMode == BIAS_SELECTS_AND_WEIGHS) for (int e = 0; e < experts; e++) c[e] += bias[e];
    if (biasMode == BIAS_SELECTS_AND_WEIGHS) s = c;
    if (groups) {
      std::vector<double> of(groups);
      int size = experts / groups;
      for (int q = 0; q < groups; q++) {
        std::vector<double> z(c.begin() + q * size, c.begin() + (q + 1) * size);
        std::sort(z.rbegin(), z.rend());
        of[q] = topTwo ? z[0] + z[1] : z[0];
      }
      std::vector<bool> keep(groups);
      for (int i = 0; i < kept; i++) {
        int best = -1;
        for (int q = 0; q < groups; q++) if (!keep[q] && (best < 0 || of[q] > of[best])) best = q;
        keep[best] = true;
      }
      for (int e = 0; e < experts; e++) if (!keep[e / size]) c[e] = maskZero ? 0 : -INFINITY;
    }
    std::vector<int> chose;
    double total = 0;
    for (int j = 0; j < chosen; j++) {
      int best = -1;
      for (int e = 0; e < experts; e++)
        if (std::find(chose.begin(), chose.end(), e) == chose.end() && (best < 0 || c[e] > c[best])) best = e;
      chose.push_back(best), total += s[best];
    }
    for (int j = 0; j < chosen; j++) {
      want.push_back(s[chose[j]] / (normalised ? total + 1e-20 : 1) * 2.5);
      bool found = false;
      for (int u = 0; u < plan[0]; u++)
        if (plan[1 + tokens * chosen + u * tokens + t] == t * chosen + j) found = plan[1 + u] == chose[j];
      wrong += !found;
    }
  }
  char text[200];
  snprintf(text, sizeof text, "route %d of %d tokens %d bias %d %s groups %d/%d%s%s%s: %d choices wrong", chosen, experts, tokens, biasMode, sigmoid ? "sigmoid" : "softmax", kept, groups, topTwo ? " top two" : "", maskZero ? " zero" : "", equal ? " equal" : "", wrong);
  if (wrong) failures++;
  report(text, want, got);
}

static void check_attend(int d, int heads, int keyHeads, int position, int splits, int rotated, bool interleaved, bool norms, int window, bool sinks, int tokens) {
  AttendArgs a = {};
  int width = (heads + 2 * keyHeads) * d, capacity = position + 3;
  auto qkv = numbers((size_t)tokens * width, 1.5), qn = numbers(d, .5, 1), kn = numbers(d, .5, 1), sink = numbers(heads);
  std::vector<float> cs, sn;
  for (int p = 0; p < capacity; p++)
    for (int n = 0; n < rotated / 2; n++) {
      double angle = p * pow(10000., -2. * n / rotated);
      cs.push_back((float)cos(angle)), sn.push_back((float)sin(angle));
    }
  size_t each = (size_t)keyHeads * capacity * d;
  std::vector<u16> keys(each * tokens), values(each * tokens);
  for (auto& v : keys) v = half_of((float)uniform());
  for (auto& v : values) v = half_of((float)uniform());
  std::vector<int> positions(tokens, position);
  for (int t = 1; t < tokens; t++) positions[t] = position / (t + 1);
  a.qkv = uploaded(qkv), a.qkvStride = width, a.normEpsilon = 1e-6f;
  if (norms) a.qNorm = uploaded(qn), a.kNorm = uploaded(kn);
  a.cosines = uploaded(cs), a.sines = uploaded(sn), a.rotated = rotated, a.interleaved = interleaved;
  if (sinks) a.sinks = uploaded(sink);
  a.keys = uploaded(keys), a.values = uploaded(values), a.sequenceStride = each, a.capacity = capacity, a.heads = heads, a.keyHeads = keyHeads, a.window = window;
  a.positions = uploaded(positions), a.scale = 1 / sqrtf((float)d);
  a.partial = room<float>((size_t)tokens * heads * splits * d), a.extremes = room<float>(tokens * heads * splits * 2), a.arrived = room<int>(tokens * heads);
  a.out = room<float>(tokens * heads * d), a.outStride = heads * d;
  poison(a.out, tokens * heads * d * 4), poison(a.partial, (size_t)tokens * heads * splits * d * 4);
  int groups = keyHeads * ((heads / keyHeads + 7) / 8);
  for (int twice = 0; twice < 2; twice++) launch(d == 64 ? attend_64 : attend_128, dim3(splits, groups, tokens), 256, attend_shared(d, 8), a);
  auto got = download(a.out, tokens * heads * d);
  // appended alone, the new keys and values are the same
  auto attended = a;
  a.keys = uploaded(keys), a.values = uploaded(values);
  launch(d == 64 ? append_64 : append_128, dim3(keyHeads, tokens), 64, 0, a);
  int apart = 0;
  for (auto pair : {std::pair<u16*, u16*>{a.keys, attended.keys}, {a.values, attended.values}}) {
    auto one = download(pair.first, keys.size()), two = download(pair.second, keys.size());
    for (size_t i = 0; i < keys.size(); i++) apart += one[i] != two[i];
  }
  if (apart) failures++, printf("append: %d halves differ  WRONG\n", apart);
  std::vector<double> want;
  for (int t = 0; t < tokens; t++) {
    int p = positions[t];
    auto turned = [&](const float* x, const std::vector<float>& w) {
      auto y = normed(x, norms ? w : std::vector<float>(), d, 1e-6);
      auto z = y;
      for (int n = 0; n < rotated / 2; n++) {
        int i = interleaved ? 2 * n : n, j = interleaved ? 2 * n + 1 : n + rotated / 2;
        double c = cs[(size_t)p * (rotated / 2) + n], s = sn[(size_t)p * (rotated / 2) + n];
        z[i] = y[i] * c - y[j] * s, z[j] = y[j] * c + y[i] * s;
      }
      return z;
    };
    for (int h = 0; h < heads; h++) {
      int kh = h / (heads / keyHeads);
      auto q = turned(&qkv[(size_t)t * width + h * d], qn), k = turned(&qkv[(size_t)t * width + (heads + kh) * d], kn);
      const float* v = &qkv[(size_t)t * width + (heads + keyHeads + kh) * d];
      std::vector<double> o(d);
      double sum = sinks ? exp((double)sink[h]) : 0;
      for (int j = window ? std::max(0, p - window + 1) : 0; j <= p; j++) {
        size_t row = each * t + ((size_t)kh * capacity + j) * d;
        double s = 0;
        for (int i = 0; i < d; i++) s += q[i] * (j == p ? k[i] : value_of_half(keys[row + i]));
        s = exp(s * a.scale), sum += s;
        for (int i = 0; i < d; i++) o[i] += s * (j == p ? v[i] : value_of_half(values[row + i]));
      }
      for (int i = 0; i < d; i++) want.push_back(o[i] / sum);
    }
  }
  char text[200];
  snprintf(text, sizeof text, "attend %d/%dx%d position %d splits %d rotated %d%s%s window %d%s tokens %d", heads, keyHeads, d, position, splits, rotated, interleaved ? " interleaved" : "", norms ? " norms" : "", window, sinks ? " sinks" : "", tokens);
  report(text, want, got, position < 8 ? 5e-4 : 3e-4);  // the new key and value are rounded to float16
}

static void check_latent(const Kernels& k, int heads, int position, int splits, bool interleaved, int plain, int value, int tokens) {
  LatentArgs a = {};
  int width = plain + TURNED, capacity = position + 2;
  auto up = stored(k.encoding, heads * (plain + value), LATENT);
  auto q = numbers((size_t)tokens * heads * width, 1.5), down = numbers((size_t)tokens * KEY, 1.5), norm = numbers(LATENT, .5, 1);
  std::vector<float> cs, sn;
  for (int p = 0; p < capacity; p++)
    for (int n = 0; n < TURNED / 2; n++) cs.push_back((float)cos(p * pow(10000., -2. * n / TURNED))), sn.push_back((float)sin(p * pow(10000., -2. * n / TURNED)));
  size_t each = (size_t)capacity * KEY;
  std::vector<u16> cache(each * tokens);
  for (auto& v : cache) v = half_of((float)uniform());
  std::vector<int> positions(tokens, position);
  for (int t = 1; t < tokens; t++) positions[t] = position / 2;
  a.up = on_device(up), a.heads = heads, a.plain = plain, a.value = value, a.tokens = tokens, a.q = uploaded(q), a.qStride = heads * width, a.down = uploaded(down), a.downStride = KEY;
  a.norm = uploaded(norm), a.normEpsilon = 1e-6f, a.cosines = uploaded(cs), a.sines = uploaded(sn), a.interleaved = interleaved, a.scale = 1 / sqrtf((float)width);
  a.cache = uploaded(cache), a.sequenceStride = each, a.positions = uploaded(positions), a.splits = splits;
  a.absorbed = room<float>((size_t)tokens * heads * KEY), a.partial = room<float>((size_t)tokens * heads * splits * LATENT), a.extremes = room<float>(tokens * heads * splits * 2);
  a.out = room<float>(tokens * heads * value), a.outStride = heads * value;
  poison(a.absorbed, (size_t)tokens * heads * KEY * 4), poison(a.partial, (size_t)tokens * heads * splits * LATENT * 4), poison(a.out, tokens * heads * value * 4);
  launch(k.absorb, dim3(heads, tokens), 256, 0, a);
  launch(attend_latent_512, dim3(splits, (heads + 63) / 64, tokens), 256, latent_shared(), a);
  launch(k.latentOutput, dim3(heads, tokens), 256, latent_output_shared(splits), a);
  auto got = download(a.out, tokens * heads * value);
  std::vector<double> want;
  for (int t = 0; t < tokens; t++) {
    int p = positions[t];
    auto turned = [&](const float* x) {
      std::vector<double> z(TURNED);
      for (int n = 0; n < TURNED / 2; n++) {
        int i = interleaved ? 2 * n : n, j = interleaved ? 2 * n + 1 : n + TURNED / 2;
        double c = cs[(size_t)p * (TURNED / 2) + n], s = sn[(size_t)p * (TURNED / 2) + n];
        z[i] = x[i] * c - x[j] * s, z[j] = x[j] * c + x[i] * s;
      }
      return z;
    };
    auto c = normed(&down[(size_t)t * KEY], norm, LATENT, 1e-6), r = turned(&down[(size_t)t * KEY + LATENT]);
    for (int h = 0; h < heads; h++) {
      const float* query = &q[((size_t)t * heads + h) * width];
      auto qr = turned(query + plain);
      int row0 = h * (plain + value);
      std::vector<double> ql(LATENT), ol(LATENT);
      for (int d = 0; d < plain; d++) for (int i = 0; i < LATENT; i++) ql[i] += query[d] * up.at(row0 + d, i);
      double sum = 0;
      for (int j = 0; j <= p; j++) {
        const u16* e = &cache[each * t + (size_t)j * KEY];
        double s = 0;
        for (int i = 0; i < LATENT; i++) s += ql[i] * (j == p ? c[i] : value_of_half(e[i]));
        for (int i = 0; i < TURNED; i++) s += qr[i] * (j == p ? r[i] : value_of_half(e[LATENT + i]));
        s = exp(s * a.scale), sum += s;
        for (int i = 0; i < LATENT; i++) ol[i] += s * (j == p ? c[i] : value_of_half(e[i]));
      }
      for (int v = 0; v < value; v++) {
        double y = 0;
        for (int i = 0; i < LATENT; i++) y += up.at(row0 + plain + v, i) * ol[i];
        want.push_back(y / sum);
      }
    }
  }
  char text[200];
  snprintf(text, sizeof text, "latent %s heads %d plain %d value %d position %d splits %d%s tokens %d", k.name, heads, plain, value, position, splits, interleaved ? " interleaved" : "", tokens);
  report(text, want, got, 1e-3);
}

static void check_ends() {
  int vocabulary = 1000, tokens = 2, hidden = 96;
  auto x = numbers(vocabulary * tokens);
  x[700] = x[300] = 5;
  for (int i = 0; i < vocabulary; i++) x[vocabulary + i] -= 3;
  x[vocabulary + 17] = -.5f;
  int *ids = room<int>(tokens), *arrived = room<int>(tokens);
  u64* best = room<u64>(tokens);
  for (int twice = 0; twice < 2; twice++) launch(largest_logit, dim3(3, tokens), 64, 0, (const float*)uploaded(x), vocabulary, best, arrived, ids);
  auto got = download(ids, tokens);
  report("largest logit", {300, 17}, {(float)got[0], (float)got[1]}, 0);
  auto table = stored(BF16, 40, hidden);
  float* h = room<float>(tokens * hidden);
  launch(embed_bf16, dim3(tokens), 64, 0, (const u16*)uploaded(table.bytes), (const int*)uploaded(std::vector<int>{7, 39}), h, hidden, hidden);
  std::vector<double> want;
  for (int r : {7, 39}) for (int i = 0; i < hidden; i++) want.push_back(table.at(r, i));
  report("embed", want, download(h, tokens * hidden), 0);
}

// What a launch must know of the slots: the table of the kernels' README.
static void print_sizes() {
  for (auto& k : KERNEL)
    printf("| %s | %d | %d · %d | %d · %d | %zu |\n", k.name, k.slotColumns, k.depth[0], k.slotBytes[0] / k.depth[0], k.depth[1], k.slotBytes[1] / k.depth[1],
           near_bytes(k));
}

// check [part] [backwards]; check sizes
int main(int argc, char** argv) {
  const char* only = argc > 1 ? argv[1] : "";
#ifdef MOXIE_EMULATION
  emulated::backwards = argc > 2;
#endif
  if (!strcmp(only, "sizes")) return print_sizes(), 0;
  auto asked = [&](const char* what) { return !*only || !strcmp(only, what); };
#ifndef MOXIE_EMULATION
  OK(cudaStreamCreate(&stream));
#endif
  for (auto& k : KERNEL) {
    if (asked("project")) {
      check_project(k, 256, {64}, 1, 1, 2, 1, false, false, 2);
      check_project(k, 384, {48, 16, 24}, 1, 1, 4, 2, true, false, 3);
      check_project(k, 640, {40}, 1, 2, 4, 4, true, true, 2, 64);
      if (k.piece <= 64 || k.encoding >= INT4) check_project(k, k.encoding >= INT4 ? 352 : 320, {33}, 1, 2, 2, 2, false, true, 1);
      if (k.encoding <= F16 || k.encoding >= INT4) check_project(k, 288, {16}, 1, 1, 1, 1, true, false, 1);
      check_project(k, 256, {80}, k.encoding == BF16 ? 2 : k.columns == 8 ? 1 : 4, 1, 2, 2, true, false, 2);
      check_project(k, 512, {48, 32}, 4, 1, 2, 1, true, true, 2);
      if (k.encoding == FP8 || k.encoding == INT8) check_project(k, 144, {32}, 4, 1, 2, 1, true, true, 2);
      check_project(k, 640, {48, 32}, 4, 1, 4, 2, true, true, 2, 32, true);
      check_project(k, 128, {32}, 3, 1, 2, 2, false, false, 1);
      check_project(k, 1536, {32}, 1, 1, 12, 12, true, false, 2);
      check_project(k, 512, {272}, 1, 2, 16, 4, true, true, 1);
      check_project(k, 2048, {48, 16, 24}, 1, 1, 4, 2, true, false, 2, 32, true);
      check_project(k, 640, {112}, 1, 2, 4, 1, false, true, 1, 32, true);
      check_project(k, k.encoding >= INT4 ? 352 : 320, {33}, 1, 2, 2, 2, false, true, 1, 32, true);
    }
    if (asked("experts")) {
      check_experts(k, 5, 2, 1, 128, 128, 0, 1, 2, 2, false, false, 3);
      check_experts(k, 6, 3, 1, 256, 128, 128, 2, 4, 2, false, false, 2);
      check_experts(k, 4, 2, 1, 192, 320, 64, 2, 2, 1, true, true, 3);
      check_experts(k, 4, 2, 1, 256, 160, 0, 1, 4, 4, true, true, 2);
      check_experts(k, 6, 2, 4, 128, 128, 128, 1, 2, 2, false, true, 2);
      check_experts(k, 3, 2, 3, 128, 192, 0, 1, 2, 1, true, false, 2);
      check_experts(k, 6, 2, 4, 128, 128, 128, 1, 2, 2, false, true, 2, true);
      check_experts(k, 7, 2, 4, 256, 192, 0, 1, 4, 2, false, false, 2, true);
      check_experts(k, 1, 0, 1, 128, 64, 256, 1, 4, 4, false, false, 2);
      check_experts(k, 6, 3, 1, 256, 128, 128, 1, 4, 2, false, false, 2, true);
      check_experts(k, 6, 3, 1, 256, 192, 128, 2, 2, 1, false, true, 2, true);
      check_experts(k, 4, 2, 1, 192, 320, 64, 2, 2, 2, true, true, 3, true);
      check_experts(k, 4, 2, 1, 1024, 160, 0, 1, 4, 4, true, true, 2, true);
    }
    if (asked("latent")) {
      check_latent(k, 32, 5, 2, true, 128, 128, 1);
      if (k.encoding == FP8) check_latent(k, 64, 300, 3, false, 64, 128, 2), check_latent(k, 32, 127, 3, true, 128, 64, 1), check_latent(k, 32, 128, 3, true, 128, 128, 1);
    }
  }
  if (asked("route")) {
    check_route(8, 2, 1, 256, NO_BIAS, false, 0, 0, false, false, true, false, 1);
    check_route(128, 8, 1, 64, NO_BIAS, false, 0, 0, false, false, true, false, 1);
    check_route(64, 6, 4, 128, BIAS_SELECTS, true, 8, 4, true, false, true, false, 5);
    check_route(64, 6, 2, 128, BIAS_SELECTS_AND_WEIGHS, true, 4, 2, false, false, false, false, 8);
    check_route(32, 4, 3, 96, BIAS_OF_LOGITS, false, 0, 0, false, false, true, false, 4);
    check_route(40, 6, 2, 128, NO_BIAS, false, 8, 3, false, true, false, false, 8);
    check_route(24, 5, 16, 64, NO_BIAS, true, 4, 2, true, false, true, true, 4);
  }
  if (asked("attend")) {
    check_attend(128, 8, 2, 0, 3, 128, false, true, 0, false, 1);
    check_attend(128, 8, 1, 37, 3, 128, true, false, 0, false, 1);
    check_attend(128, 16, 4, 300, 2, 128, false, true, 0, false, 1);
    check_attend(64, 20, 2, 129, 4, 64, false, false, 0, true, 2);
    check_attend(64, 4, 4, 400, 2, 32, false, false, 150, true, 1);
    check_attend(64, 8, 1, 127, 2, 32, true, true, 0, false, 3);
  }
  if (asked("ends")) check_ends();
  printf(failures ? "%d WRONG\n" : "all right\n", failures);
  return failures ? 1 : 0;
}
