// What a decode step and each of its kernels take, against the bytes that must be read and the card's copy bandwidth.
#include <algorithm>
#include <chrono>
#include <functional>
#include <map>

#include "choice.h"
#include "harness.h"

static double bandwidth;  // bytes per microsecond, read and written
static int SMS;
static auto started = std::chrono::steady_clock::now();
static double elapsed() { return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count(); }
static double budget = 230;

// ---- random weights, made on the card ----
__device__ inline u64 mixed(u64 z) {
  z *= 0xBF58476D1CE4E5B9ull, z ^= z >> 29, z *= 0x94D049BB133111EBull;
  return z ^ z >> 32;
}
__global__ void fill_halves(u16* p, u64 n, u64 seed, float scale, int bf) {
  for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < n; i += (u64)gridDim.x * blockDim.x) {
    float x = ((float)(mixed(i + seed * 0x9E3779B97F4A7C15ull) & 0xffff) / 32768.f - 1) * scale;
    p[i] = bf ? to_bf16(x) : to_f16(x);
  }
}
__global__ void fill_words(u32* p, u64 n, u64 seed, u32 mask) {
  for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < n; i += (u64)gridDim.x * blockDim.x)
    p[i] = (u32)mixed(i + seed * 0x9E3779B97F4A7C15ull) & mask;
}
__global__ void fill_floats(float* p, u64 n, u64 seed, float scale, float offset) {
  for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < n; i += (u64)gridDim.x * blockDim.x)
    p[i] = ((float)(mixed(i + seed * 0x9E3779B97F4A7C15ull) & 0xffff) / 32768.f - 1) * scale + offset;
}
__global__ void fill_e8m0(u8* p, u64 n, u64 seed, int least) {
  for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < n; i += (u64)gridDim.x * blockDim.x)
    p[i] = (u8)(least + (mixed(i + seed) & 1));
}
static std::vector<void*> held;
template <class T> static T* hold(size_t n) {
  T* p;
  cudaError_t e = cudaMalloc(&p, n * sizeof(T) + 4096);
  if (e != cudaSuccess) { cudaGetLastError(); throw std::string("no memory for ") + std::to_string(n * sizeof(T) >> 20) + " MiB"; }
  held.push_back(p);
  return p;
}
static void let_go() {
  OK(cudaDeviceSynchronize());
  for (void* p : held) OK(cudaFree(p));
  held.clear();
}
static u64 seed = 1;
static float* floats(size_t n, float scale, float offset) {
  float* p = hold<float>(n);
  fill_floats<<<1024, 256>>>(p, n, seed++, scale, offset);
  return p;
}
// `count` projections of rows x columns one after the other
static Matrix random_matrix(int enc, int rows, int columns, size_t count = 1) {
  size_t n = count * (size_t)rows * columns, s = count * stored_scale_bytes(enc, rows, columns, 32);
  Matrix m = {nullptr, nullptr, rows, columns, 32};
  u8* w = hold<u8>(weight_bytes(enc, n));
  float a = 1.7f / sqrtf((float)columns);
  if (enc <= F16) fill_halves<<<4096, 256>>>((u16*)w, n, seed++, a, enc == BF16);
  else fill_words<<<4096, 256>>>((u32*)w, weight_bytes(enc, n) / 4, seed++, enc == FP8 ? 0xB7B7B7B7u : ~0u);
  if (s) {
    u8* p = hold<u8>(s);
    if (enc == MXFP4) fill_e8m0<<<1024, 256>>>(p, s, seed++, 127 + (int)floorf(log2f(a / 3)));
    else fill_floats<<<1024, 256>>>((float*)p, s / 4, seed++, a * .3f / (enc == FP8 ? 1 : enc == INT8 ? 74 : 4.6f), a / (enc == FP8 ? 1 : enc == INT8 ? 74 : 4.6f));
    m.scales = p;
  }
  m.weights = w;
  return m;
}
static double bytes_of(const Kernels& k, double rows, int columns) {
  return rows * columns * (k.encoding <= F16 ? 2 : k.encoding >= INT4 ? .5 : 1) + (double)stored_scale_bytes(k.encoding, (size_t)rows, columns, 32);
}

// ---- timing ----
struct Graph {
  cudaGraphExec_t exec = nullptr;
  template <class F> explicit Graph(const F& body) {
    cudaGraph_t g;
    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    body();
    OK(cudaStreamEndCapture(stream, &g));
    OK(cudaGraphInstantiate(&exec, g, 0));
    OK(cudaGraphDestroy(g));
  }
  ~Graph() { cudaGraphExecDestroy(exec); }
  Graph(const Graph&) = delete;
};
static cudaEvent_t before, after;
static double once(const Graph& g) {
  OK(cudaEventRecord(before, stream));
  OK(cudaGraphLaunch(g.exec, stream));
  OK(cudaEventRecord(after, stream));
  OK(cudaEventSynchronize(after));
  float ms;
  OK(cudaEventElapsedTime(&ms, before, after));
  return ms * 1e3;
}
static double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}
static double timed(const Graph& g, int times) {
  once(g), once(g);
  std::vector<double> t;
  for (int i = 0; i < times; i++) t.push_back(once(g));
  return median(t);
}

struct Config {
  int m = 1, warps = 8, split = 8, perSm = 2, prefetches = 1, far = 0, slots = 0;
  double us = 0;  // measured
  std::string text() const {
    char s[80];
    snprintf(s, sizeof s, "m%d w%d/%d x%d p%d%s%s", m, warps, split, perSm, prefetches, far ? " far" : "", slots ? " slots" : "");
    return s;
  }
};
static int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Tries configurations of one kernel, launched over and over with other weights; the quickest wins.
// run(config, i) launches the i-th of `launches`, and says false where the configuration does not fit.
template <class F> static Config tuned(const char* what, double bytes, int launches, const std::vector<Config>& all, const Config& ruled, const F& run, std::string& table) {
  Config best;
  double byRule = 0;
  double least = 1e30, worst = 0;
  int tried = 0;
  auto attempt = [&](const Config& c) {
    if (elapsed() > budget && tried) return;
    bool fits = true;
    Graph g([&] { for (int i = 0; i < launches && fits; i++) fits = run(c, i); });
    if (!fits) return;
    double t = timed(g, 5) / launches;
    tried++;
    worst = std::max(worst, t);
    if (t < least) least = t, best = c, best.us = t;
  };
  if (ruled.slots) {
    attempt(ruled);
    byRule = best.us;
  }
  for (const Config& c : all) attempt(c);
  if (!tried) throw std::string("no configuration fits of ") + what;
  for (int prefetches : {0, 3}) {
    if (best.slots) break;  // which have no use for it
    Config c = best;
    c.prefetches = prefetches;
    attempt(c);
  }
  char line[300];
  snprintf(line, sizeof line, "    %-10s %8.2f MB  limit %7.2f  best %7.2f us (%3.0f %%)  %-20s worst of %d: %.2f; by choose %.2f %s\n", what, bytes / 1e6, bytes / bandwidth, least, 100 * bytes / bandwidth / least, best.text().c_str(), tried, worst, byRule, ruled.slots ? ruled.text().c_str() : "-");
  table += line;
  return best;
}
static const int MOST_SHARED = 227 * 1024;
// `tiles` a warp takes together: 1 or 2 by choice, or always 2; what is not the warps' shared memory is `fixed`
static Config rule(const Kernels& k, int tokens, int tiles16, int columns, int most, size_t fixed, bool pairs = false, bool streamed = false) {
  if (column_tiles(k, tokens) > 1) return {};
  long each[2];
  for (int m = 1; m <= 2; m++) each[m - 1] = sums_bytes(1, m, 1) + k.slotBytes[m - 1] + (streamed ? k.depth[m - 1] * tokens * near_bytes(k) : 0);
  Choice c = choose(tiles16, ceil_div(columns, k.slotColumns), most, SMS, (long)fixed, pairs ? each + 1 : each, MOST_SHARED - 1024);
  return c.m ? Config{c.m, c.warps, c.split, 1, 1, 0, 1, 0} : Config();
}
static std::vector<Config> candidates(bool two, bool far) {
  std::vector<Config> all;
  for (int slots = 1; slots >= 0; slots--)
  for (int f = 0; f <= (far ? 1 : 0); f++)
    for (int m = 1; m <= (two ? 2 : 1); m++)
      for (auto ws : {std::pair<int, int>{8, 8}, {8, 4}, {8, 2}, {8, 1}, {4, 4}, {4, 2}, {2, 2}, {6, 6}, {6, 2}, {6, 1}, {16, 16}, {16, 8}, {16, 4}, {12, 12}})
        for (int perSm : {1, 2, 4})
          if (perSm * ws.first <= 16 && perSm * ws.first >= 4) all.push_back({m, ws.first, ws.second, perSm, 1, f, slots, 0});
  return all;
}

// ---- one launch of each kind ----
static bool run_project(const Kernels& k, ProjectArgs a, const Config& c) {
  int nt = column_tiles(k, a.tokens), m = nt > 1 ? 1 : c.m, tiles = 0;
  for (int i = 0; i < a.matrices; i++) tiles += ceil_div(a.matrix[i].rows, 16 * m);
  size_t shared = project_shared(k, c.warps, m, nt, a.tokens, a.matrix[0].columns) + c.slots * slots_bytes(k, c.warps, m, nt);
  if (shared * c.perSm > MOST_SHARED - 1024 * c.perSm || (nt > 1 && c.warps > 8)) return false;
  a.split = c.split, a.prefetches = c.prefetches;
  launch(nt > 1 ? (c.slots ? k.projectT4Slots : k.projectT4) : c.slots ? k.projectSlots[m - 1] : k.project[m - 1], dim3(std::min(ceil_div(tiles, c.warps / c.split), c.perSm * SMS)), c.warps * 32, shared, a);
  return true;
}
static bool run_gate_up(const Kernels& k, ExpertsArgs a, const Config& c) {
  int nt = column_tiles(k, a.tokens);
  int tiles = a.tokens * a.chosen * ceil_div(a.intermediate, 16) + ceil_div(a.sharedGate.rows, 16);
  size_t shared = gate_up_shared(k, c.warps, nt, a.tokens, a.chosen, a.hidden) + c.slots * slots_bytes(k, c.warps, 2, nt);
  if (shared * c.perSm > MOST_SHARED - 1024 * c.perSm || (nt > 1 && c.warps > 8)) return false;
  a.split = c.split, a.prefetches = c.prefetches;
  launch(nt > 1 ? (c.slots ? k.gateUpT4Slots : k.gateUpT4) : c.slots ? k.gateUpSlots : k.gateUp, dim3(std::min(ceil_div(tiles, c.warps / c.split), c.perSm * SMS)), c.warps * 32, shared, a);
  return true;
}
static bool run_down(const Kernels& k, ExpertsArgs a, const Config& c) {
  int nt = column_tiles(k, a.tokens), m = nt > 1 ? 1 : c.m, tiles = ceil_div(a.hidden, 16 * m);
  if (c.slots && c.far) return false;
  size_t shared = c.slots ? down_slots_shared(k, c.warps, m, nt, a.tokens, a.chosen) : down_shared(k, c.warps, m, nt, a.tokens, a.chosen, a.intermediate, a.sharedDown.columns, c.far);
  if (shared * c.perSm > MOST_SHARED - 1024 * c.perSm || (nt > 1 && c.warps > 8)) return false;
  a.split = c.split, a.prefetches = c.prefetches;
  ExpertsKernel kernel = nt > 1 ? (c.slots ? k.downT4Slots : c.far ? k.downT4Far : k.downT4) : c.slots ? k.downSlots[m - 1] : (c.far ? k.downFar : k.down)[m - 1];
  launch(kernel, dim3(std::min(ceil_div(tiles, c.warps / c.split), c.perSm * SMS)), c.warps * 32, shared, a);
  return true;
}

// ---- models ----
struct Shape {
  const char* name;
  int hidden, width, experts, chosen, shared, dense, layers, vocabulary;
  int heads, keyHeads, d;      // d 0: latent attention, DeepSeek-V3's sizes
  bool norms;
};
static const Shape MIXTRAL = {"Mixtral-8x7B", 4096, 14336, 8, 2, 0, 0, 4, 32000, 32, 8, 128, false};
static const Shape QWEN = {"Qwen3-30B-A3B", 2048, 768, 128, 8, 0, 0, 8, 151936, 32, 4, 128, true};
static const Shape DEEPSEEK = {"DeepSeek-V3", 7168, 2048, 256, 8, 2048, 1, 4, 129280, 128, 0, 0, false};

struct Layer {
  bool dense;
  float *attentionNorm, *forwardNorm, *qNorm, *kNorm, *latentNorm;
  Matrix q, k, v, o, qDown, kvDown, qUp, kvUp, router;
  float* routerBias;
  Matrix gateUp, down, gate, up, alone;  // alone: the shared or dense network's down
  u16 *keys, *values;
  int* plan;
  float* weights;
};

static std::vector<int> random_plan(int tokens, int chosen, int experts, int& distinct) {
  std::vector<int> plan(1 + tokens * chosen * (1 + tokens), -1);
  distinct = 0;
  for (int t = 0; t < tokens; t++) {
    std::vector<int> mine;
    for (int j = 0; j < chosen; j++) {
      int e;
      do e = rand() % experts; while (std::find(mine.begin(), mine.end(), e) != mine.end());
      mine.push_back(e);
      int u = 0;
      while (u < distinct && plan[1 + u] != e) u++;
      if (u == distinct) plan[1 + distinct++] = e;
      plan[1 + tokens * chosen + u * tokens + t] = t * chosen + j;
    }
  }
  plan[0] = distinct;
  return plan;
}

struct Tuning { std::map<std::string, Config> of; };

static void bench(const Shape& s, const Kernels& ke, const Kernels& ka, int tokens, bool step, const std::vector<int>& contexts) {
  if (elapsed() > budget - 15) { printf("%s %s: left out, time is up\n", s.name, ke.name); return; }
  double begun = elapsed();
  const Kernels& kh = KERNEL[0];
  int H = s.hidden, T = tokens, capacity = step ? contexts.back() + 64 : 1;
  bool latent = s.d == 0;
  std::vector<Layer> layers(s.layers);
  int routed = 0;
  for (int l = 0; l < s.layers; l++) {
    Layer& a = layers[l];
    a.dense = l < s.dense;
    a.forwardNorm = floats(H, .1f, 1);
    if (step) {
      a.attentionNorm = floats(H, .1f, 1);
      if (latent) {
        a.qNorm = floats(1536, .1f, 1), a.latentNorm = floats(LATENT, .1f, 1);
        a.qDown = random_matrix(ka.encoding, 1536, H), a.kvDown = random_matrix(ka.encoding, KEY, H);
        a.qUp = random_matrix(ka.encoding, s.heads * 192, 1536), a.kvUp = random_matrix(ka.encoding, s.heads * 256, LATENT);
        a.o = random_matrix(ka.encoding, H, s.heads * 128);
        a.keys = hold<u16>((size_t)T * capacity * KEY);
        fill_halves<<<1024, 256>>>(a.keys, (size_t)T * capacity * KEY, seed++, 1, 0);
      } else {
        a.qNorm = s.norms ? floats(s.d, .1f, 1) : nullptr, a.kNorm = s.norms ? floats(s.d, .1f, 1) : nullptr;
        a.q = random_matrix(ka.encoding, s.heads * s.d, H), a.k = random_matrix(ka.encoding, s.keyHeads * s.d, H);
        a.v = random_matrix(ka.encoding, s.keyHeads * s.d, H), a.o = random_matrix(ka.encoding, H, s.heads * s.d);
        size_t n = (size_t)T * s.keyHeads * capacity * s.d;
        a.keys = hold<u16>(n), a.values = hold<u16>(n);
        fill_halves<<<1024, 256>>>(a.keys, n, seed++, 1, 0), fill_halves<<<1024, 256>>>(a.values, n, seed++, 1, 0);
      }
    }
    a.plan = hold<int>(1 + T * s.chosen * (1 + T)), a.weights = hold<float>(T * s.chosen);
    std::vector<float> w(T * s.chosen, 1.f / s.chosen);
    upload(a.weights, w);
    if (a.dense) {
      int I = 18432;
      a.gate = random_matrix(ke.encoding, I, H), a.up = random_matrix(ke.encoding, I, H), a.alone = random_matrix(ke.encoding, H, I);
    } else {
      routed++;
      a.router = random_matrix(BF16, s.experts, H);
      a.routerBias = floats(s.experts, .1f, 0);
      a.gateUp = random_matrix(ke.encoding, s.width, H, 2ull * s.experts), a.down = random_matrix(ke.encoding, H, s.width, s.experts);
      a.gate = a.up = a.alone = Matrix{};
      if (s.shared) a.gate = random_matrix(ke.encoding, s.shared, H), a.up = random_matrix(ke.encoding, s.shared, H), a.alone = random_matrix(ke.encoding, H, s.shared);
    }
  }
  OK(cudaGetLastError());
  float *h = floats((size_t)T * H, 1, 0), *qkv = floats((size_t)T * 32768, 1, 0), *attended = floats((size_t)T * 32768, 1, 0), *qLatent = floats((size_t)T * 32768, 1, 0);
  int most = std::max(18432, std::max(s.width, s.shared));
  size_t halves = activated_halves(ke, T, s.chosen, s.width, most);
  u16* activated = hold<u16>(halves);
  OK(cudaMemset(activated, 0, halves * 2));
  int* arrived = hold<int>(4096);
  OK(cudaMemset(arrived, 0, 4096 * 4));
  int dense = s.dense;

  auto experts = [&](const Layer& a, const int* plan) {
    ExpertsArgs e = {};
    if (!a.dense) {
      e.gateUp = a.gateUp.weights, e.gateUpScales = a.gateUp.scales, e.down = a.down.weights, e.downScales = a.down.scales;
      e.chosen = s.chosen;
    }
    e.intermediate = s.width;
    e.sharedGate = a.gate, e.sharedUp = a.up, e.sharedDown = a.alone;
    e.hidden = H, e.block = 32, e.tokens = T, e.plan = plan, e.weights = a.weights;
    e.limit = INFINITY, e.sharpness = 1, e.x = h, e.xStride = H, e.norm = a.forwardNorm, e.epsilon = 1e-6f, e.activated = activated, e.y = h, e.yStride = H;
    return e;
  };
  // ---- experts alone: other experts at each launch ----
  int launches = std::max(1, 24 / std::max(1, routed)) * routed;
  std::vector<int*> plans;
  double distinct = 0;
  for (int i = 0; i < launches; i++) {
    int n;
    auto p = random_plan(T, s.chosen, s.experts, n);
    distinct += (double)n / launches;
    int* q = hold<int>(p.size());
    upload(q, p);
    plans.push_back(q);
  }
  auto layer_of = [&](int i) -> const Layer& { return layers[dense + i % routed]; };
  double gateUpBytes = distinct * bytes_of(ke, 2 * s.width, H) + bytes_of(ke, 2 * s.shared, H);
  double downBytes = distinct * bytes_of(ke, H, s.width) + (s.shared ? bytes_of(ke, H, s.shared) : 0);
  std::string table;
  Tuning best;
  auto gu = [&](const Config& c, int i) { return run_gate_up(ke, experts(layer_of(i), plans[i]), c); };
  auto dn = [&](const Config& c, int i) { return run_down(ke, experts(layer_of(i), plans[i]), c); };
  Config gc = best.of["gate_up"] = tuned("gate_up", gateUpBytes, launches, candidates(false, false), rule(ke, T, T * s.chosen * ceil_div(s.width, 16) + ceil_div(s.shared, 16), H, 1, gate_up_shared(ke, 0, 1, T, s.chosen, H), true), gu, table);
  Config dc = best.of["down"] = tuned("down", downBytes, launches, candidates(T == 1, true), rule(ke, T, ceil_div(H, 16), T * s.chosen * ceil_div(s.width, ke.slotColumns) * ke.slotColumns + s.shared, 2, plan_bytes(T, s.chosen), false, true), dn, table);
  double both, apart;
  {
    Graph g([&] { for (int i = 0; i < launches; i++) gu(gc, i), dn(dc, i); });
    both = timed(g, 9) / launches;
    overlap = false;
    Graph n([&] { for (int i = 0; i < launches; i++) gu(gc, i), dn(dc, i); });
    apart = timed(n, 9) / launches;
    overlap = true;
  }
  printf("EXPERTS %-14s %d of %d %dx%d shared %d %-5s tokens %d: %.1f MB limit %.1f us, both kernels %.1f us (%.0f %%), without overlap of launches %.1f us\n", s.name, s.chosen, s.experts, H, s.width, s.shared, ke.name, T,
         (gateUpBytes + downBytes) / 1e6, (gateUpBytes + downBytes) / bandwidth, both, 100 * (gateUpBytes + downBytes) / bandwidth / both, apart);
  if (!step) { printf("%s", table.c_str()); let_go(); return; }

  // ---- the other kernels ----
  Matrix embedding = random_matrix(BF16, s.vocabulary, H), head = random_matrix(BF16, s.vocabulary, H);
  float *finalNorm = floats(H, .1f, 1), *logits = hold<float>((size_t)T * s.vocabulary);
  int D = latent ? TURNED : s.d;
  std::vector<float> cs((size_t)capacity * D / 2), sn(cs.size());
  for (int p = 0; p < capacity; p++)
    for (int n = 0; n < D / 2; n++) cs[(size_t)p * D / 2 + n] = cosf(p * powf(1e6f, -2.f * n / D)), sn[(size_t)p * D / 2 + n] = sinf(p * powf(1e6f, -2.f * n / D));
  float *cosines = hold<float>(cs.size()), *sines = hold<float>(cs.size());
  upload(cosines, cs), upload(sines, sn);
  int *positions = hold<int>(T), *ids = hold<int>(T), *chosenIds = hold<int>(T);
  u64* largest = hold<u64>(T);
  OK(cudaMemset(largest, 0, 8 * T));
  float* absorbed = hold<float>((size_t)T * s.heads * KEY);
  int groups = latent ? s.heads / 64 : s.keyHeads * ceil_div(s.heads / s.keyHeads, 8);
  int splits = std::max(1, SMS / groups / std::min(T, 2));
  float *partial = hold<float>((size_t)T * s.heads * splits * (latent ? LATENT : s.d)), *extremes = hold<float>((size_t)T * s.heads * splits * 2);
  std::vector<int> at(T, contexts[0]);
  upload(positions, at);

  auto project = [&](std::initializer_list<Matrix> m, const float* x, int xStride, const float* norm, float* y, int yStride, bool add) {
    ProjectArgs p = {};
    for (auto& a : m) p.matrix[p.matrices++] = a;
    p.tokens = T, p.x = x, p.xStride = xStride, p.norm = norm, p.epsilon = 1e-6f, p.y = y, p.yStride = yStride, p.add = add;
    return p;
  };
  auto in = [&](const Layer& a) {
    return latent ? project({a.qDown, a.kvDown}, h, H, a.attentionNorm, qkv, 1536 + KEY, false)
                  : project({a.q, a.k, a.v}, h, H, a.attentionNorm, qkv, (s.heads + 2 * s.keyHeads) * s.d, false);
  };
  auto qup = [&](const Layer& a) { return project({a.qUp}, qkv, 1536 + KEY, a.qNorm, qLatent, s.heads * 192, false); };
  auto out = [&](const Layer& a) { return project({a.o}, attended, a.o.columns, nullptr, h, H, true); };
  auto last = [&] { return project({head}, h, H, finalNorm, logits, s.vocabulary, false); };
  auto attend_args = [&](const Layer& a) {
    AttendArgs p = {};
    p.qkv = qkv, p.qkvStride = (s.heads + 2 * s.keyHeads) * s.d, p.qNorm = a.qNorm, p.kNorm = a.kNorm, p.normEpsilon = 1e-6f, p.cosines = cosines, p.sines = sines, p.rotated = s.d;
    p.keys = a.keys, p.values = a.values, p.sequenceStride = (u64)s.keyHeads * capacity * s.d, p.capacity = capacity, p.heads = s.heads, p.keyHeads = s.keyHeads;
    p.positions = positions, p.scale = 1 / sqrtf((float)s.d), p.partial = partial, p.extremes = extremes, p.arrived = arrived + 16, p.out = attended, p.outStride = s.heads * s.d;
    return p;
  };
  auto latent_args = [&](const Layer& a) {
    LatentArgs p = {};
    p.up = a.kvUp, p.heads = s.heads, p.plain = 128, p.value = 128, p.tokens = T, p.q = qLatent, p.qStride = s.heads * 192, p.down = qkv + 1536, p.downStride = 1536 + KEY;
    p.norm = a.latentNorm, p.normEpsilon = 1e-6f, p.cosines = cosines, p.sines = sines, p.interleaved = 1, p.scale = 1 / sqrtf(192.f), p.cache = a.keys, p.sequenceStride = (u64)capacity * KEY;
    p.positions = positions, p.splits = splits, p.absorbed = absorbed, p.partial = partial, p.extremes = extremes, p.out = attended, p.outStride = s.heads * 128;
    return p;
  };
  auto attention = [&](const Layer& a) {
    if (latent) launch(attend_latent_512, dim3(splits, groups, T), 256, latent_shared(), latent_args(a));
    else launch(s.d == 64 ? attend_64 : attend_128, dim3(splits, groups, T), 256, attend_shared(s.d, 8), attend_args(a));
  };
  int routeRows = s.experts > 2 * SMS ? 2 : 1;
  float* routerLogits = hold<float>(T * s.experts);
  auto routing = [&](const Layer& a) {
    RouteArgs r = {};
    r.weights = a.router.weights, r.bias = a.routerBias, r.experts = s.experts, r.hidden = H, r.chosen = s.chosen, r.tokens = T, r.normalised = 1, r.scale = 1;
    if (latent) r.sigmoid = 1, r.biasMode = BIAS_SELECTS, r.groups = 8, r.kept = 4, r.topTwo = 1, r.scale = 2.5f, r.epsilon = 1e-20f;
    r.x = h, r.xStride = H, r.norm = a.forwardNorm, r.normEpsilon = 1e-6f, r.logits = routerLogits, r.plan = a.plan, r.slotWeights = a.weights, r.arrived = arrived;
    launch(route_experts, dim3(ceil_div(s.experts, routeRows)), 256, 8 * 3 * s.experts * 4, r, routeRows);
  };
  double inBytes = latent ? bytes_of(ka, 1536 + KEY, H) : bytes_of(ka, (s.heads + 2 * s.keyHeads) * s.d, H);
  double outBytes = bytes_of(ka, H, latent ? s.heads * 128 : s.heads * s.d), qupBytes = latent ? bytes_of(ka, s.heads * 192, 1536) : 0;
  double upBytes = latent ? bytes_of(ka, s.heads * 256, LATENT) : 0, routerBytes = 2. * s.experts * H, headBytes = 2. * s.vocabulary * H;
  int n = s.layers * std::max(1, 16 / s.layers);
  auto any = [&](int i) -> const Layer& { return layers[i % s.layers]; };
  Config ic = tuned(latent ? "q,kv down" : "q,k,v", inBytes, n, candidates(T == 1, false), rule(ka, T, ceil_div(latent ? 1536 + KEY : (s.heads + 2 * s.keyHeads) * s.d, 16), H, 2, project_shared(ka, 0, 1, 1, T, H)), [&](const Config& c, int i) { return run_project(ka, in(any(i)), c); }, table);
  Config uc = latent ? tuned("q up", qupBytes, n, candidates(T == 1, false), rule(ka, T, s.heads * 12, 1536, 2, project_shared(ka, 0, 1, 1, T, 1536)), [&](const Config& c, int i) { return run_project(ka, qup(any(i)), c); }, table) : Config();
  Config oc = tuned("o", outBytes, n, candidates(T == 1, false), rule(ka, T, ceil_div(H, 16), layers[0].o.columns, 2, project_shared(ka, 0, 1, 1, T, layers[0].o.columns)), [&](const Config& c, int i) { return run_project(ka, out(any(i)), c); }, table);
  Config hc = tuned("head", headBytes, 2, candidates(T == 1, false), rule(kh, T, ceil_div(s.vocabulary, 16), H, 2, project_shared(kh, 0, 1, 1, T, H)), [&](const Config& c, int) { return run_project(kh, last(), c); }, table);
  Config denseGate, denseDown;
  if (dense) {
    denseGate = tuned("dense g,u", bytes_of(ke, 2 * 18432, H), 4, candidates(false, false), rule(ke, T, 18432 / 16, H, 1, gate_up_shared(ke, 0, 1, T, 0, H), true), [&](const Config& c, int) { return run_gate_up(ke, experts(layers[0], nullptr), c); }, table);
    denseDown = tuned("dense down", bytes_of(ke, H, 18432), 4, candidates(T == 1, true), rule(ke, T, ceil_div(H, 16), 18432, 2, 0, false, true), [&](const Config& c, int) { return run_down(ke, experts(layers[0], nullptr), c); }, table);
  }
  auto alone = [&](const char* what, double bytes, const std::function<void(const Layer&)>& f, bool onlyRouted) {
    Graph g([&] { for (int i = 0; i < n; i++) f(onlyRouted ? layer_of(i) : any(i)); });
    double t = timed(g, 7) / n;
    char line[200];
    snprintf(line, sizeof line, "    %-10s %8.2f MB  limit %7.2f  takes %7.2f us\n", what, bytes / 1e6, bytes / bandwidth, t);
    table += line;
    return t;
  };
  alone("route", routerBytes, routing, true);
  if (latent) {
    alone("absorb", upBytes / 2, [&](const Layer& a) { launch(ka.absorb, dim3(s.heads, T), 256, 0, latent_args(a)); }, false);
    alone("values", upBytes / 2, [&](const Layer& a) { launch(ka.latentOutput, dim3(s.heads, T), 256, latent_output_shared(splits), latent_args(a)); }, false);
  }
  for (int context : contexts) {
    at.assign(T, context - 1), upload(positions, at);
    char what[40];
    snprintf(what, sizeof what, "attend %dk", context >> 10);
    alone(what, (double)T * context * (latent ? KEY : 2 * s.keyHeads * s.d) * 2, attention, false);
  }

  int perLayer = latent ? 9 : 6, count = 0;
  auto whole = [&] {
    count = 0;
    launch(embed_bf16, dim3(T), 256, 0, (const u16*)embedding.weights, (const int*)ids, h, H, H), count++;
    for (auto& a : layers) {
      run_project(ka, in(a), ic), count++;
      if (latent) {
        run_project(ka, qup(a), uc);
        launch(ka.absorb, dim3(s.heads, T), 256, 0, latent_args(a));
        attention(a);
        launch(ka.latentOutput, dim3(s.heads, T), 256, latent_output_shared(splits), latent_args(a)), count += 4;
      } else attention(a), count++;
      run_project(ka, out(a), oc), count++;
      if (!a.dense) routing(a), count++;
      run_gate_up(ke, experts(a, a.plan), a.dense ? denseGate : gc), run_down(ke, experts(a, a.plan), a.dense ? denseDown : dc), count += 2;
    }
    run_project(kh, last(), hc);
    launch(largest_logit, dim3(32, T), 256, 0, (const float*)logits, s.vocabulary, largest, arrived + 8, chosenIds), count += 2;
  };
  Graph graph(whole);
  overlap = false;
  Graph plain(whole);
  overlap = true;
  double first = 0;
  for (size_t ci = 0; ci < contexts.size(); ci++) {
    int context = contexts[ci];
    at.assign(T, context - 1), upload(positions, at);
    std::vector<double> t, u;
    double experts = 0;
    std::vector<bool> seen(s.experts);
    int outside = 0, broken = 0;
    for (int i = 0; i < 44; i++) {
      std::vector<int> id(T);
      for (auto& x : id) x = rand() % s.vocabulary;
      upload(ids, id);
      double y = once(graph);
      if (i >= 4) t.push_back(y);
      auto p = download(layers[s.layers - 1].plan, 1 + T * s.chosen);
      if (i >= 4) experts += p[0] / 40.;
      for (int j = 0; j < p[0]; j++) if (p[1 + j] < 0 || p[1 + j] >= s.experts) outside++; else seen[p[1 + j]] = true;
      for (int x : download(chosenIds, T)) outside += x < 0 || x >= s.vocabulary;
      if (i == 43) for (float x : download(logits, s.vocabulary)) broken += !std::isfinite(x);
    }
    for (int i = 0; i < 14; i++) { double y = once(plain); if (i >= 4) u.push_back(y); }
    // one after another without waiting
    OK(cudaEventRecord(before, stream));
    for (int i = 0; i < 20; i++) OK(cudaGraphLaunch(graph.exec, stream));
    OK(cudaEventRecord(after, stream));
    OK(cudaEventSynchronize(after));
    float ms;
    OK(cudaEventElapsedTime(&ms, before, after));
    double cacheBytes = (double)s.layers * T * context * (latent ? KEY : 2 * s.keyHeads * s.d) * 2;
    double moe = experts * bytes_of(ke, 3 * s.width, H) + (s.shared ? bytes_of(ke, 3 * s.shared, H) : 0) + routerBytes;
    double weightBytes = routed * moe + dense * bytes_of(ke, 3 * 18432, H) + s.layers * (inBytes + qupBytes + upBytes + outBytes) + headBytes;
    double m = median(t), limit = weightBytes / bandwidth;
    int different = (int)std::count(seen.begin(), seen.end(), true);
    if (!ci) first = m;
    printf("STEP %-14s %d layers, experts %s attention %s, %d token(s), context %d: weights %.1f MB limit %.1f us; step %.1f us (min %.1f) = %.3f of the limit; %.0f tokens/s; back to back %.1f us; without overlap %.1f us; %d launches, %d a layer; %.1f experts a layer of %d seen; layers without head %.3f%s\n",
           s.name, s.layers, ke.name, ka.name, T, context, weightBytes / 1e6, limit, m, *std::min_element(t.begin(), t.end()), limit / m, 1e6 * T / m, ms * 50, median(u), count, perLayer, experts, different,
           (weightBytes - headBytes) / bandwidth / (m - hc.us), outside || broken ? "  WRONG: not finite or out of range" : "");
    if (ci) printf("     cache %.1f MB = %.1f us at the copy bandwidth; slower than context %d by %.1f us = %.2f of that\n", cacheBytes / 1e6, cacheBytes / bandwidth, contexts[0], m - first,
                   (m - first) / (cacheBytes * (1 - (double)contexts[0] / context) / bandwidth));
  }
  printf("%s", table.c_str());
  printf("    (%.1f s)\n", elapsed() - begun);
  let_go();
}

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  setenv("CUDA_MODULE_LOADING", "EAGER", 1);  // nothing may be loaded while a graph is recorded
  if (argc > 1) budget = atof(argv[1]);
  std::string only = argc > 2 ? argv[2] : "";
  cudaDeviceProp p;
  OK(cudaGetDeviceProperties(&p, 0));
  SMS = p.multiProcessorCount;
  OK(cudaStreamCreate(&stream));
  OK(cudaEventCreate(&before));
  OK(cudaEventCreate(&after));
  {
    size_t n = 4ull << 30;
    u8 *a, *b;
    OK(cudaMalloc(&a, n));
    OK(cudaMalloc(&b, n));
    fill_words<<<4096, 256>>>((u32*)a, n / 4, 3, ~0u);
    double best = 0;
    for (int i = 0; i < 10; i++) {
      float ms;
      OK(cudaEventRecord(before, stream));
      OK(cudaMemcpyAsync(b, a, n, cudaMemcpyDeviceToDevice, stream));
      OK(cudaEventRecord(after, stream));
      OK(cudaEventSynchronize(after));
      OK(cudaEventElapsedTime(&ms, before, after));
      best = std::max(best, 2.0 * n / ms / 1e3);
    }
    bandwidth = best;
    OK(cudaFree(a));
    OK(cudaFree(b));
  }
  printf("%s, %d multiprocessors, copy %.0f GB/s read and written\n", p.name, SMS, bandwidth / 1e3);
  const Kernels &bf16 = KERNEL[0], &fp8 = KERNEL[2], &int8 = KERNEL[3], &int4 = KERNEL[4], &mxfp4 = KERNEL[5];
  auto guarded = [&](const char* name, const std::function<void()>& f) {
    if (!only.empty() && only != name) return;
    try { f(); } catch (const std::string& e) { printf("%s: %s\n", name, e.c_str()); let_go(); }
  };
  std::vector<int> both = {1024, 32768}, one = {1024};
  guarded("mixtral", [&] { bench(MIXTRAL, bf16, bf16, 1, true, both); });
  guarded("qwen", [&] { bench(QWEN, bf16, bf16, 1, true, both); });
  guarded("qwen-fp8", [&] { bench(QWEN, fp8, fp8, 1, true, one); });
  guarded("qwen-int4", [&] { bench(QWEN, int4, bf16, 1, true, one); });
  guarded("deepseek", [&] { bench(DEEPSEEK, fp8, fp8, 1, true, both); });
  Shape mixtral = MIXTRAL, qwen = QWEN, deepseek = DEEPSEEK;
  deepseek.dense = 0, deepseek.layers = 3, deepseek.shared = 0;
  Shape oss = {"gpt-oss-20b", 2880, 2880, 32, 4, 0, 0, 6, 0, 0, 0, 0, false}, glm = {"GLM-4.5-Air", 4096, 1408, 128, 8, 0, 0, 8, 0, 0, 0, 0, false};
  guarded("experts", [&] {
    bench(mixtral, fp8, fp8, 1, false, one), bench(mixtral, int4, int4, 1, false, one);
    bench(qwen, int8, int8, 1, false, one), bench(qwen, mxfp4, mxfp4, 1, false, one);
    bench(deepseek, fp8, fp8, 1, false, one), bench(deepseek, int4, int4, 1, false, one);
    bench(oss, bf16, bf16, 1, false, one), bench(oss, mxfp4, mxfp4, 1, false, one), bench(glm, int4, int4, 1, false, one);
  });
  guarded("qwen-8", [&] { bench(QWEN, bf16, bf16, 8, true, one); });
  guarded("qwen-fp8-8", [&] { bench(QWEN, fp8, fp8, 8, true, one); });
  printf("done after %.0f s\n", elapsed());
}
