// What the other kernels do not take: any width, any stored encoding, any order of steps. Each does one step of the forward
// pass on float32 activations, plainly; the cache is in float16 as theirs.
#pragma once
#include "encodings.h"
#include "routing.h"

constexpr int F32 = MXFP4 + 1;

// A matrix, or several one after the other, as stored; scales are float32 but those of mxfp4.
struct Stored {
  const u8 *weights, *scales;
  int encoding, rows, columns, blockRows, blockColumns;
};

DEVICE float element(const Stored& a, int matrix, int row, int column) {
  u64 i = ((u64)matrix * a.rows + row) * a.columns + column;
  if (a.encoding == F32) return ((const float*)a.weights)[i];
  if (a.encoding == BF16) return from_bf16(((const u16*)a.weights)[i]);
  if (a.encoding == F16) return from_f16(((const u16*)a.weights)[i]);
  int across = (a.columns + a.blockColumns - 1) / a.blockColumns;
  u64 block = ((u64)matrix * ((a.rows + a.blockRows - 1) / a.blockRows) + row / a.blockRows) * across + column / a.blockColumns;
  if (a.encoding == MXFP4) {
    int code = a.weights[i >> 1] >> (i & 1) * 4, magnitude = code & 7;
    // exponent and fraction of e2m1: below 1, halves; above, 2^e (1 + m / 2)
    float x = magnitude < 2 ? magnitude * .5f : (1 + (magnitude & 1) * .5f) * (1 << ((magnitude >> 1) - 1));
    return (code & 8 ? -x : x) * e8m0(a.scales[block]);
  }
  float x;
  if (a.encoding == FP8) {
    u32 u = a.weights[i];
    x = (u & 0x7f) == 0x7f ? NAN : from_f16((u16)((u & 0x80) << 8 | (u & 0x7f) << 7)) * 256;
  } else if (a.encoding == INT8) {
    x = (float)(signed char)a.weights[i];
  } else {
    x = (float)((int)(a.weights[i >> 1] >> (i & 1) * 4 & 15) - 8);
  }
  return x * ((const float*)a.scales)[block];
}

// A row times x, by one warp.
DEVICE float dot(const Stored& a, int matrix, int row, const float* x) {
  float sum = 0;
  for (int k = threadIdx.x & 31; k < a.columns; k += 32) sum = fmaf(element(a, matrix, row, k), __ldcg(x + k), sum);
  return warp_sum(sum);
}

struct AnyEmbedArgs {
  Stored table;
  const int* ids;
  float* y;
  int yStride;
};

// Grid: tokens.
DEVICE void embed(const AnyEmbedArgs& a) {
  await_previous();
  int token = blockIdx.x, id = __ldcg(a.ids + token);
  for (int i = threadIdx.x; i < a.table.columns; i += blockDim.x) a.y[(u64)token * a.yStride + i] = element(a.table, 0, id, i);
}

struct AnyProjectArgs {
  Stored matrix;
  const float* x;
  int xStride;
  float* y;
  int yStride, tokens;
};

// Grid: ceil(rows / warps).
DEVICE void project(const AnyProjectArgs& a) {
  await_previous();
  int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
  if (row >= a.matrix.rows) return;
  for (int token = 0; token < a.tokens; token++) {
    float sum = dot(a.matrix, 0, row, a.x + (u64)token * a.xStride);
    if ((threadIdx.x & 31) == 0) a.y[(u64)token * a.yStride + row] = sum;
  }
}

struct AnyNormArgs {
  const float* x;
  int xStride;
  float* y;
  int yStride, size, centred;
  float epsilon;
  const float* weight;  // [size], or null
};

// Every `size` columns on their own. Grid: (columns / size, tokens).
DEVICE void norm(const AnyNormArgs& a) {
  __shared__ float part[32];
  await_previous();
  const float* x = a.x + (u64)blockIdx.y * a.xStride + blockIdx.x * a.size;
  float* y = a.y + (u64)blockIdx.y * a.yStride + blockIdx.x * a.size;
  float mean = 0, square = 0;
  if (a.centred) {
    for (int i = threadIdx.x; i < a.size; i += blockDim.x) mean += __ldcg(x + i);
    mean = block_sum(mean, part) / a.size;
  }
  for (int i = threadIdx.x; i < a.size; i += blockDim.x) {
    float v = __ldcg(x + i) - mean;
    square += v * v;
  }
  float r = 1.f / sqrtf(block_sum(square, part) / a.size + a.epsilon);
  for (int i = threadIdx.x; i < a.size; i += blockDim.x)
    y[i] = (__ldcg(x + i) - mean) * r * (a.weight ? a.weight[i] : 1.f);
}

enum { COPY, SHIFT, SCALE, CLIP, TEMPER, ADD, GATE, SWITCH };

struct AnyColumnsArgs {
  int step;
  const float* a;
  int aStride;
  const float* b;  // a second operand, or the same vector for all tokens
  int bStride;
  float* y;        // may be a
  int yStride, columns;
  float first, second, third;
  const int* positions;
};

// What is done to each number by itself. Grid: (ceil(columns / threads), tokens).
DEVICE void each_column(const AnyColumnsArgs& a) {
  await_previous();
  int i = blockIdx.x * blockDim.x + threadIdx.x, token = blockIdx.y;
  if (i >= a.columns) return;
  float x = __ldcg(a.a + (u64)token * a.aStride + i), y = x;
  const float* b = a.b + (u64)token * a.bStride;
  if (a.step == SHIFT || a.step == ADD) y = x + __ldcg(b + i);
  if (a.step == SCALE) y = x * a.first;
  if (a.step == CLIP) y = fminf(fmaxf(x, -a.first), a.first);
  if (a.step == TEMPER) y = x * (1 + a.first * log1pf(floorf((__ldcg(a.positions + token) + 1) / a.second)));
  if (a.step == SWITCH) y = x / (1 + expf(-__ldcg(b)));
  if (a.step == GATE) {
    float gate = fminf(x, a.first), up = fminf(fmaxf(__ldcg(b + i), -a.first), a.first) + a.third;
    y = gate / (1 + expf(-a.second * gate)) * up;
  }
  a.y[(u64)token * a.yStride + i] = y;
}

struct AnyRotateArgs {
  const float* x;
  int xStride;
  float* y;  // another place
  int yStride, columns, size, first, rotated, interleaved;
  const float *cosines, *sines;  // [positions, rotated / 2]
  const int* positions;
};

// Grid: (ceil(columns / threads), tokens).
DEVICE void rotate(const AnyRotateArgs& a) {
  await_previous();
  int i = blockIdx.x * blockDim.x + threadIdx.x, token = blockIdx.y, half = a.rotated >> 1;
  if (i >= a.columns) return;
  const float* x = a.x + (u64)token * a.xStride;
  int d = i % a.size - a.first;
  float y = __ldcg(x + i);
  if (d >= 0 && d < a.rotated) {
    bool second = a.interleaved ? d & 1 : d >= half;
    int pair = a.interleaved ? d >> 1 : second ? d - half : d, away = a.interleaved ? 1 : half;
    u64 at = (u64)__ldcg(a.positions + token) * half + pair;
    float other = __ldcg(x + (second ? i - away : i + away));
    y = second ? y * a.cosines[at] + other * a.sines[at] : y * a.cosines[at] - other * a.sines[at];
  }
  a.y[(u64)token * a.yStride + i] = y;
}

struct AnyAppendArgs {
  const float* x;
  int xStride, heads, size;
  u16* cache;      // the first number of position 0 of head 0
  u64 headStride;  // elements from one head's cache to the next's
  int positionStride;
  const int* positions;
};

// Grid: (heads, tokens).
DEVICE void append(const AnyAppendArgs& a) {
  await_previous();
  const float* x = a.x + (u64)blockIdx.y * a.xStride + blockIdx.x * a.size;
  u16* to = a.cache + blockIdx.x * a.headStride + (u64)__ldcg(a.positions + blockIdx.y) * a.positionStride;
  for (int i = threadIdx.x; i < a.size; i += blockDim.x) to[i] = to_f16(__ldcg(x + i));
}

// The softmax of scores that come one by one, of one warp: weights' sum, and the weighted sum of rows in `total`.
struct Softmax {
  float most, sum;
  float* total;
  int size;

  DEVICE void begin() {
    most = -INFINITY, sum = 0;
    for (int i = threadIdx.x & 31; i < size; i += 32) total[i] = 0;
  }
  DEVICE void take(float score, const u16* row) {
    float now = fmaxf(most, score), shrink = expf(most - now), weight = expf(score - now);
    most = now, sum = fmaf(sum, shrink, weight);
    for (int i = threadIdx.x & 31; i < size; i += 32) total[i] = fmaf(total[i], shrink, weight * from_f16(__ldcg(row + i)));
  }
};

// Those of all warps together; `ends` has room for two numbers of each warp. Leaves the quotient in warp 0's total.
DEVICE void join_warps(Softmax& s, float* totals, float* ends, const float* sink) {
  int warps = blockDim.x >> 5, warp = threadIdx.x >> 5;
  if ((threadIdx.x & 31) == 0) ends[2 * warp] = s.most, ends[2 * warp + 1] = s.sum;
  __syncthreads();
  float top = -INFINITY, sum = 0;
  for (int w = 0; w < warps; w++) top = fmaxf(top, ends[2 * w]);
  for (int w = 0; w < warps; w++) sum = fmaf(ends[2 * w + 1], expf(ends[2 * w] - top), sum);
  if (sink) sum += expf(*sink - top);
  for (int i = threadIdx.x; i < s.size; i += blockDim.x) {
    float y = 0;
    for (int w = 0; w < warps; w++) y = fmaf(totals[w * s.size + i], expf(ends[2 * w] - top), y);
    totals[i] = y / sum;
  }
  __syncthreads();
}

struct AnyAttendArgs {
  const float* q;
  int qStride;
  const u16 *keys, *values;  // [keyHeads][capacity][size]
  int capacity, heads, keyHeads, size, window, chunk;  // window, chunk 0: none
  float scale;
  const float* sinks;        // [heads], or null
  const int* positions;
  float* out;
  int outStride;
};

// Keys and values of all tokens are in the cache. Grid: (heads, tokens). Shared: floats, size + warps * (size + 2).
DEVICE void attend(const AnyAttendArgs& a, u8* shared) {
  float *q = (float*)shared, *totals = q + a.size;
  int head = blockIdx.x, token = blockIdx.y, warps = blockDim.x >> 5, warp = threadIdx.x >> 5;
  await_previous();
  int position = __ldcg(a.positions + token), first = a.window ? max(0, position - a.window + 1) : 0;
  if (a.chunk) first = max(first, position - position % a.chunk);
  u64 cache = (u64)(head / (a.heads / a.keyHeads)) * a.capacity * a.size;
  for (int i = threadIdx.x; i < a.size; i += blockDim.x) q[i] = __ldcg(a.q + (u64)token * a.qStride + head * a.size + i) * a.scale;
  __syncthreads();
  Softmax s = {0, 0, totals + warp * a.size, a.size};
  s.begin();
  for (int p = first + warp; p <= position; p += warps) {
    const u16* key = a.keys + cache + (u64)p * a.size;
    float score = 0;
    for (int i = threadIdx.x & 31; i < a.size; i += 32) score = fmaf(q[i], from_f16(__ldcg(key + i)), score);
    s.take(warp_sum(score), a.values + cache + (u64)p * a.size);
  }
  join_warps(s, totals, totals + warps * a.size, a.sinks ? a.sinks + head : nullptr);
  for (int i = threadIdx.x; i < a.size; i += blockDim.x) a.out[(u64)token * a.outStride + head * a.size + i] = totals[i];
}

struct AnyLatentArgs {
  Stored up;  // [heads * (plain + value), latent]
  const float* q;
  int qStride;
  const u16* cache;  // [capacity][latent + turned]
  int plain, turned, value;
  float scale;
  const int* positions;
  float* out;
  int outStride;
};

// Grid: (heads, tokens). Shared: floats, latent + turned + warps * (latent + 2).
DEVICE void attend_absorbed(const AnyLatentArgs& a, u8* shared) {
  int latent = a.up.columns, width = latent + a.turned, head = blockIdx.x, token = blockIdx.y;
  int warps = blockDim.x >> 5, warp = threadIdx.x >> 5, row0 = head * (a.plain + a.value);
  float *q = (float*)shared, *totals = q + width;
  await_previous();
  int position = __ldcg(a.positions + token);
  const float* x = a.q + (u64)token * a.qStride + head * (a.plain + a.turned);
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    float sum = 0;
    if (i >= latent) sum = __ldcg(x + a.plain + i - latent);
    else
      for (int d = 0; d < a.plain; d++) sum = fmaf(element(a.up, 0, row0 + d, i), __ldcg(x + d), sum);
    q[i] = sum * a.scale;
  }
  __syncthreads();
  Softmax s = {0, 0, totals + warp * latent, latent};
  s.begin();
  for (int p = warp; p <= position; p += warps) {
    const u16* row = a.cache + (u64)p * width;
    float score = 0;
    for (int i = threadIdx.x & 31; i < width; i += 32) score = fmaf(q[i], from_f16(__ldcg(row + i)), score);
    s.take(warp_sum(score), row);
  }
  join_warps(s, totals, totals + warps * latent, nullptr);
  for (int v = warp; v < a.value; v += warps) {
    float sum = 0;
    for (int i = threadIdx.x & 31; i < latent; i += 32) sum = fmaf(element(a.up, 0, row0 + a.plain + v, i), totals[i], sum);
    sum = warp_sum(sum);
    if ((threadIdx.x & 31) == 0) a.out[(u64)token * a.outStride + head * a.value + v] = sum;
  }
}

struct AnyExpertsArgs {
  Stored gateUp, down;              // two matrices of each expert, and one
  const float *gateUpBias, *downBias;
  int chosen, tokens, inputWeighted;
  const int* plan;                  // see ExpertsArgs
  const float* weights;
  float limit, sharpness, offset;
  const float* x;
  int xStride;
  float* activated;                 // [slots, width]
  float* y;
  int yStride;
};

// Grid: (ceil(width / warps), tokens).
DEVICE void gate_up(const AnyExpertsArgs& a) {
  await_previous();
  int i = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), token = blockIdx.y, width = a.gateUp.rows;
  if (i >= width) return;
  const float* x = a.x + (u64)token * a.xStride;
  for (int u = 0, distinct = __ldcg(a.plan); u < distinct; u++) {
    int slot = __ldcg(a.plan + 1 + a.tokens * a.chosen + u * a.tokens + token), expert = __ldcg(a.plan + 1 + u);
    if (slot < 0) continue;
    float gate = dot(a.gateUp, 2 * expert, i, x), up = dot(a.gateUp, 2 * expert + 1, i, x);
    float weight = a.inputWeighted ? __ldcg(a.weights + slot) : 1;
    gate *= weight, up *= weight;
    if (a.gateUpBias) gate += a.gateUpBias[(u64)2 * expert * width + i], up += a.gateUpBias[(u64)(2 * expert + 1) * width + i];
    gate = fminf(gate, a.limit), up = fminf(fmaxf(up, -a.limit), a.limit) + a.offset;
    if ((threadIdx.x & 31) == 0) a.activated[(u64)slot * width + i] = gate / (1 + expf(-a.sharpness * gate)) * up;
  }
}

// Grid: (ceil(hidden / warps), tokens).
DEVICE void down(const AnyExpertsArgs& a) {
  await_previous();
  int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), token = blockIdx.y;
  if (row >= a.down.rows) return;
  float sum = 0;
  for (int u = 0, distinct = __ldcg(a.plan); u < distinct; u++) {
    int slot = __ldcg(a.plan + 1 + a.tokens * a.chosen + u * a.tokens + token), expert = __ldcg(a.plan + 1 + u);
    if (slot < 0) continue;
    float y = dot(a.down, expert, row, a.activated + (u64)slot * a.down.columns);
    if (a.downBias) y += a.downBias[(u64)expert * a.down.rows + row];
    sum = fmaf(a.inputWeighted ? 1.f : __ldcg(a.weights + slot), y, sum);
  }
  if ((threadIdx.x & 31) == 0) a.y[(u64)token * a.yStride + row] = sum;
}
