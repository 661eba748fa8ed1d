// Projections, experts and head: the jobs of product.h.
#pragma once
#include "product.h"

// A token's activations as operands, by threads that take eight at a time; the sum of squares of a thread's.
template <int ENC>
DEVICE float put_row(u16* to, int stride, const float* x, const float* norm, int columns, int thread, int threads) {
  typedef Encoding<ENC> E;
  int padded = (columns + E::piece - 1) / E::piece * E::piece;
  float square = 0;
#pragma unroll 4
  for (int k = thread * 8; k < padded; k += threads * 8) {
    float v[8];
#pragma unroll
    for (int h = 0; h < 2; h++) {
      bool there = k + 4 * h < columns;
      float4 a = there ? __ldcg((const float4*)(x + k) + h) : make_float4(0, 0, 0, 0);
      square += a.x * a.x + a.y * a.y + a.z * a.z + a.w * a.w;
      if (norm && there) {
        float4 n = __ldg((const float4*)(norm + k) + h);
        a.x *= n.x, a.y *= n.y, a.z *= n.z, a.w *= n.w;
      }
      v[4 * h] = a.x, v[4 * h + 1] = a.y, v[4 * h + 2] = a.z, v[4 * h + 3] = a.w;
    }
    E::put(to, stride, k, v);
  }
  return square;
}
// Norm and products together: the sum of squares is taken while the activations are written, and divides the results.
// One token is the block's, of several each a warp's.
template <int ENC>
DEVICE void put_activations(u16* xs, int stride, const float* x, int xStride, const float* norm, float epsilon, int columns,
                            int tokens, float* part, float* factors) {
  int warps = blockDim.x >> 5, lane = threadIdx.x & 31;
  if (tokens == 1) {
    float square = put_row<ENC>(xs, stride, x, norm, columns, threadIdx.x, blockDim.x);
    if (norm) square = block_sum(square, part);
    if (threadIdx.x == 0) factors[0] = norm ? 1.f / sqrtf(square / columns + epsilon) : 1;
  } else {
    for (int token = threadIdx.x >> 5; token < tokens; token += warps) {
      float square = put_row<ENC>(xs + (u64)token * Encoding<ENC>::parts * stride, stride, x + (u64)token * xStride, norm, columns, lane, 32);
      square = warp_sum(square);
      if (lane == 0) factors[token] = norm ? 1.f / sqrtf(square / columns + epsilon) : 1;
    }
  }
  __syncthreads();
}

// y = matrices · (norm of) x, or y += that.
struct ProjectArgs {
  Matrix matrix[4];
  int matrices, tokens, split, prefetches;
  const float* x;
  int xStride;
  const float* norm;  // null: x as it is
  float epsilon;
  float* y;
  int yStride, add;
};

template <int ENC, int M, int L>
struct Project {
  typedef Encoding<ENC> E;
  static constexpr bool ahead = true, streamed = false;
  const ProjectArgs& args;
  int tokens, split, prefetches, stride, count;
  u16* xs;
  float *part, *factors;

  DEVICE int active(int, int) const { return E::all_tiles(tokens); }
  DEVICE int tilesOf(int i) const { return (args.matrix[i].rows + 16 * M - 1) / (16 * M); }
  DEVICE int tiles() const { return count; }
  DEVICE int chunks() const { return (args.matrix[0].columns + L * E::piece - 1) / (L * E::piece); }
  DEVICE int column(int c) const { return c * L * E::piece; }
  DEVICE int columns(int) const { return args.matrix[0].columns; }
  DEVICE int x(int, int token, int p) const { return (token * E::parts + p) * stride; }
  DEVICE uint4 read(int i) const { return *(const uint4*)(xs + i); }
  DEVICE const u16* activations() const { return xs; }
  DEVICE void rows(int tile, int, Rows (&rows)[M]) const {
    int i = 0;
    for (; i + 1 < args.matrices && tile >= tilesOf(i); i++) tile -= tilesOf(i);
    const Matrix& a = args.matrix[i];
#pragma unroll
    for (int m = 0; m < M; m++) rows[m] = {a.weights, a.scales, (tile * M + m) * 16, a.rows, a.columns, a.block};
  }
  DEVICE void prepare() {
    await_previous();
    put_activations<ENC>(xs, stride, args.x, args.xStride, args.norm, args.epsilon, args.matrix[0].columns, tokens, part, factors);
  }
  DEVICE void finish(int tile, int row, int token, const float (&v)[M]) const {
    int i = 0, before = 0;
    for (; i + 1 < args.matrices && tile >= tilesOf(i); i++) tile -= tilesOf(i), before += args.matrix[i].rows;
#pragma unroll
    for (int m = 0; m < M; m++) {
      int at = (tile * M + m) * 16 + row;
      if (at >= args.matrix[i].rows) continue;
      float* y = args.y + (u64)token * args.yStride + before + at;
      float value = v[m] * factors[token];
      *y = args.add ? __ldcg(y) + value : value;
    }
  }
};

// Shared memory of all jobs: sums, a number for each warp, a factor for each token, activations.
template <int M, int NT>
DEVICE u8* after_sums(u8* shared) {
  return shared + 2 * (blockDim.x >> 5) * M * 128 * NT * 4;
}

// Behind them all the slots.
template <int ENC, int M, int L, int NT, int DEPTH>
DEVICE void project(const ProjectArgs& args, u8* shared) {
  float* part = (float*)after_sums<M, NT>(shared);
  typedef Project<ENC, M, L> Job;
  typedef Encoding<ENC> E;
  int columns = args.matrix[0].columns;
  Job job = {args, args.tokens, args.split, args.prefetches, (columns + E::piece - 1) / E::piece * E::piece + 32, 0,
             (u16*)(part + 64), part, part + 32};
  for (int i = 0; i < args.matrices; i++) job.count += job.tilesOf(i);
  Product<ENC, M, L, NT, DEPTH, Job> product;
  product.run(job, (float*)shared, (u8*)(job.xs + args.tokens * E::parts * job.stride));
}

// What routing decided, in device memory: the distinct experts of all tokens and who chose them.
//   plan[0] = how many; plan[1 + u] = expert u of them; plan[1 + tokens * k + u * tokens + t] = the slot of token t, or -1.
// Slot t * k + j is token t's choice j; slots tokens * k + t are the shared network's.
struct ExpertsArgs {
  const u8 *gateUp, *gateUpScales, *down, *downScales;      // stacks [E, 2I, H] and [E, H, I]
  const float *gateUpBias, *downBias;                       // [E, 2I] and [E, H], or null
  Matrix sharedGate, sharedUp, sharedDown;                  // rows 0: none
  int hidden, intermediate, block, chosen, tokens, split, prefetches, staged;
  const int* plan;
  const float* weights;                                     // of slots
  int inputWeighted;
  float limit, sharpness, offset;                           // silu: infinity, 1, 0
  const float* x;
  int xStride;
  const float* norm;
  float epsilon;
  u16* activated;                                           // parts of the activated products, slot by slot
  float* y;                                                 // += the sum
  int yStride;
};

// The plan is asked for at every step: it is kept in shared memory.
DEVICE int plan_size(int tokens, int chosen) { return chosen ? (1 + tokens * chosen * (1 + tokens) + 3) & ~3 : 0; }
// With an expert is noted, for several tokens, which tiles of activations those that chose it are in.
template <int ENC>
DEVICE void copy_plan(const ExpertsArgs& args, int* plan) {
  typedef Encoding<ENC> E;
  for (int i = threadIdx.x; i < plan_size(args.tokens, args.chosen); i += blockDim.x) plan[i] = __ldcg(args.plan + i);
  __syncthreads();
  if (args.tokens == 1 || !args.chosen) return;
  for (int u = threadIdx.x; u < plan[0]; u += blockDim.x) {
    int tiles = 0;
    for (int t = 0; t < args.tokens; t++)
      if (plan[1 + args.tokens * args.chosen + u * args.tokens + t] >= 0) tiles |= E::tiles_of(t);
    plan[1 + u] |= tiles << 16;
  }
  __syncthreads();
}
DEVICE int expert_at(const int* plan, int u) { return plan[1 + u] & 0xffff; }

template <int ENC>
struct Slots {
  typedef Encoding<ENC> E;
  static DEVICE int stride(int width) { return (width + 127) / 128 * 128 + 32; }
  static DEVICE int routed(const ExpertsArgs& a, int slot) { return slot * E::parts * stride(a.intermediate); }
  static DEVICE int shared(const ExpertsArgs& a, int token) {
    return routed(a, a.tokens * a.chosen) + token * E::parts * stride(a.sharedDown.columns);
  }
};

template <int ENC, int L>
struct GateUp {
  typedef Encoding<ENC> E;
  static constexpr bool ahead = false, streamed = false;
  const ExpertsArgs& args;
  int tokens, split, prefetches, stride;
  int* plan;
  u16* xs;
  float *part, *factors;
  int distinct;

  DEVICE int tilesOf(int width) const { return (width + 15) / 16; }
  DEVICE int active(int tile, int) const {
    int alone = tilesOf(args.sharedGate.rows);
    return tile < alone ? E::all_tiles(tokens) : plan[1 + (tile - alone) / tilesOf(args.intermediate)] >> 16;
  }
  DEVICE int tiles() const { return distinct * tilesOf(args.intermediate) + tilesOf(args.sharedGate.rows); }
  DEVICE int chunks() const { return (args.hidden + L * E::piece - 1) / (L * E::piece); }
  DEVICE int column(int c) const { return c * L * E::piece; }
  DEVICE int columns(int) const { return args.hidden; }
  DEVICE int x(int, int token, int p) const { return (token * E::parts + p) * stride; }
  DEVICE uint4 read(int i) const { return *(const uint4*)(xs + i); }
  DEVICE const u16* activations() const { return xs; }
  // the shared network comes first: a tile below zero afterwards
  DEVICE void rows(int tile, int, Rows (&rows)[2]) const {
    int alone = tilesOf(args.sharedGate.rows);
    if (tile < alone) {
      const Matrix &g = args.sharedGate, &u = args.sharedUp;
      rows[0] = {g.weights, g.scales, tile * 16, g.rows, g.columns, g.block};
      rows[1] = {u.weights, u.scales, tile * 16, u.rows, u.columns, u.block};
      return;
    }
    int width = args.intermediate, of = tilesOf(width), u = (tile - alone) / of, first = (tile - alone - u * of) * 16;
    u64 expert = expert_at(plan, u), each = E::bytes((u64)width * args.hidden);
    u64 scales = scale_bytes<ENC>(width, args.hidden, args.block);
    const u8 *w = args.gateUp + expert * 2 * each, *s = args.gateUpScales + expert * 2 * scales;
    rows[0] = {w, s, first, width, args.hidden, args.block};
    rows[1] = {w + each, s + scales, first, width, args.hidden, args.block};
  }
  DEVICE void prepare() {
    // with routing between, x is complete before the wait
    if (!args.chosen) await_previous();
    put_activations<ENC>(xs, stride, args.x, args.xStride, args.norm, args.epsilon, args.hidden, tokens, part, factors);
    if (args.chosen) await_previous();
    copy_plan<ENC>(args, plan);
    distinct = args.chosen ? plan[0] : 0;
  }
  DEVICE void finish(int tile, int row, int token, const float (&v)[2]) const {
    int alone = tilesOf(args.sharedGate.rows);
    float gate = v[0] * factors[token], up = v[1] * factors[token];
    if (tile < alone) {
      int i = tile * 16 + row;
      if (i < args.sharedGate.rows)
        E::put(args.activated + Slots<ENC>::shared(args, token), Slots<ENC>::stride(args.sharedDown.columns), i,
               gate / (1 + expf(-gate)) * up);
      return;
    }
    int width = args.intermediate, of = tilesOf(width), u = (tile - alone) / of, i = (tile - alone - u * of) * 16 + row;
    int slot = plan[1 + tokens * args.chosen + u * tokens + token];
    if (i >= width || slot < 0) return;
    float weight = __ldcg(args.weights + slot);
    if (args.inputWeighted) gate *= weight, up *= weight, weight = 1;
    if (args.gateUpBias) {
      const float* bias = args.gateUpBias + (u64)expert_at(plan, u) * 2 * width;
      gate += bias[i], up += bias[width + i];
    }
    gate = fminf(gate, args.limit);
    up = fminf(fmaxf(up, -args.limit), args.limit) + args.offset;
    E::put(args.activated + Slots<ENC>::routed(args, slot), Slots<ENC>::stride(width), i,
           gate / (1 + expf(-args.sharpness * gate)) * up * weight);
  }
};

template <int ENC, int L, int NT, int DEPTH>
DEVICE void gate_up(const ExpertsArgs& args, u8* shared) {
  typedef Encoding<ENC> E;
  float* part = (float*)after_sums<2, NT>(shared);
  typedef GateUp<ENC, L> Job;
  int* plan = (int*)(part + 64);
  Job job = {args, args.tokens, args.split, args.prefetches, (args.hidden + E::piece - 1) / E::piece * E::piece + 32,
             plan, (u16*)(plan + plan_size(args.tokens, args.chosen)), part, part + 32, 0};
  Product<ENC, 2, L, NT, DEPTH, Job> product;
  product.run(job, (float*)shared, (u8*)(job.xs + args.tokens * E::parts * job.stride));
}

// The chosen experts' second matrices side by side are one product; what routing gave each is in the activations.
// Activations come in three ways: all of them into shared memory first (STAGED), each step's with its weights (STREAMED), or
// from device memory where they are needed.
template <int ENC, int M, int L, bool STAGED, bool STREAMED>
struct Down {
  typedef Encoding<ENC> E;
  static constexpr bool ahead = true, streamed = STREAMED;
  const ExpertsArgs& args;
  int tokens, split, prefetches;
  const int* plan;
  u16* xs;
  int distinct, each, alone;
  u32 inverse;  // 2^32 / each, rounded up: quotients of numbers of 16 bits

  DEVICE int expert_of(int c) const { return each == 1 ? c : (int)__umulhi((u32)c, inverse); }
  DEVICE int active(int, int c) const {
    return c < distinct * each ? plan[1 + expert_of(c)] >> 16 : E::all_tiles(tokens);
  }
  DEVICE int tiles() const { return (args.hidden + 16 * M - 1) / (16 * M); }
  DEVICE int chunks() const { return distinct * each + alone; }
  DEVICE int column(int c) const { return (c < distinct * each ? c - expert_of(c) * each : c - distinct * each) * L * E::piece; }
  DEVICE int columns(int c) const { return c < distinct * each ? args.intermediate : args.sharedDown.columns; }
  DEVICE int x(int c, int token, int p) const {
    if (c >= distinct * each) return Slots<ENC>::shared(args, token) + p * Slots<ENC>::stride(args.sharedDown.columns);
    int slot = expert_of(c);
    if (tokens > 1) slot = plan[1 + tokens * args.chosen + slot * tokens + token];
    return slot < 0 ? -1 : Slots<ENC>::routed(args, slot) + p * Slots<ENC>::stride(args.intermediate);
  }
  DEVICE const u16* activations() const { return args.activated; }
  DEVICE uint4 read(int i) const {
    return STAGED ? *(const uint4*)(xs + i) : __ldcg((const uint4*)(args.activated + i));
  }
  DEVICE void rows(int tile, int c, Rows (&rows)[M]) const {
    if (c >= distinct * each) {
      const Matrix& a = args.sharedDown;
#pragma unroll
      for (int m = 0; m < M; m++) rows[m] = {a.weights, a.scales, (tile * M + m) * 16, a.rows, a.columns, a.block};
      return;
    }
    u64 expert = expert_at(plan, expert_of(c)), size = E::bytes((u64)args.hidden * args.intermediate);
    u64 scales = scale_bytes<ENC>(args.hidden, args.intermediate, args.block);
#pragma unroll
    for (int m = 0; m < M; m++)
      rows[m] = {args.down + expert * size, args.downScales + expert * scales, (tile * M + m) * 16,
                 args.hidden, args.intermediate, args.block};
  }
  DEVICE void prepare() {
    await_previous();
    if (!STAGED) return;
    int all = Slots<ENC>::shared(args, args.sharedDown.rows ? tokens : 0) >> 3;
#pragma unroll 4
    for (int i = threadIdx.x; i < all; i += blockDim.x) ((uint4*)xs)[i] = __ldcg((const uint4*)args.activated + i);
    __syncthreads();
  }
  DEVICE void finish(int tile, int row, int token, const float (&v)[M]) const {
#pragma unroll
    for (int m = 0; m < M; m++) {
      int at = (tile * M + m) * 16 + row;
      if (at >= args.hidden) continue;
      float* y = args.y + (u64)token * args.yStride + at;
      float sum = v[m];
      if (args.downBias)
        for (int u = 0; u < distinct; u++) {
          int slot = plan[1 + tokens * args.chosen + u * tokens + token];
          if (slot >= 0)
            sum = fmaf(args.inputWeighted ? 1.f : __ldcg(args.weights + slot),
                       args.downBias[(u64)expert_at(plan, u) * args.hidden + at], sum);
        }
      *y = __ldcg(y) + sum;
    }
  }
};

template <int ENC, int M, int L, int NT, int DEPTH, bool STAGED>
DEVICE void down(const ExpertsArgs& args, u8* shared) {
  typedef Encoding<ENC> E;
  typedef Down<ENC, M, L, STAGED, (DEPTH > 0)> Job;
  int* plan = (int*)after_sums<M, NT>(shared);
  copy_plan<ENC>(args, plan);  // complete before the wait: routing is two kernels back
  int each = max(1, (args.intermediate + L * E::piece - 1) / (L * E::piece));
  Job job = {args, args.tokens, args.split, args.prefetches, plan, (u16*)(plan + plan_size(args.tokens, args.chosen)),
             args.chosen ? plan[0] : 0, each,
             args.sharedDown.rows ? (args.sharedDown.columns + L * E::piece - 1) / (L * E::piece) : 0, ~0u / each + 1};
  Product<ENC, M, L, NT, DEPTH, Job> product;
  int halves = STAGED ? Slots<ENC>::shared(args, args.sharedDown.rows ? args.tokens : 0) : 0;
  product.run(job, (float*)shared, (u8*)(job.xs + halves));
}
