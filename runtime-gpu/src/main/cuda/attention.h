// One new token's attention over the cache, grouped queries, the cache in float16.
//
// Eight query heads of one key head are the rows of a tensor-core product twice: g their float16 values, g + 8 what is
// missing to float32 (times 2^11), so that only the cache is rounded. Keys are loaded as operands; of values, pairs of
// positions are zipped in registers. Warps take 16 positions each in turn, blocks a part of the sequence each; the block
// that ends last adds the parts up.
#pragma once
#include "encodings.h"

struct AttendArgs {
  const float* qkv;                   // [tokens, (heads + 2 keyHeads) * D]
  int qkvStride;
  const float *qNorm, *kNorm;         // [D], or null
  float normEpsilon;
  const float *cosines, *sines;       // [positions, rotated / 2], or null
  int rotated, interleaved;
  const float *qBias, *kBias, *vBias; // or null
  const float* sinks;                 // [heads], or null
  u16 *keys, *values;                 // [tokens' sequences][keyHeads][capacity][D]
  u64 sequenceStride;                 // elements from one token's cache to the next's
  int capacity, heads, keyHeads, window;
  const int* positions;               // of each token, counted from 0
  float scale;
  float *partial, *extremes;          // [tokens, heads, splits, D] and [tokens, heads, splits, 2]
  int* arrived;                       // [tokens, key heads * groups of 8], 0 between launches
  float* out;                         // [tokens, heads * D]
  int outStride;
};

// What turns a lane's numbers, d = lane + 32 i, of a head at a position.
template <int D>
struct Turn {
  float c[D / 32], s[D / 32];
  DEVICE Turn(const AttendArgs& a, int position) {
    int half = a.rotated >> 1;
#pragma unroll
    for (int i = 0; i < D / 32; i++) {
      int d = (threadIdx.x & 31) + 32 * i, pair = a.interleaved ? d >> 1 : d < half ? d : d - half;
      bool turned = d < a.rotated;
      u64 at = (u64)position * half + pair;
      c[i] = turned ? __ldg(a.cosines + at) : 1, s[i] = turned ? __ldg(a.sines + at) : 0;
    }
  }
};

// A head of queries or keys with its bias and norm, turned, by one warp.
template <int D>
DEVICE void prepare_head(const AttendArgs& a, float (&v)[D / 32], const float* norm, const float* bias, const Turn<D>& turn) {
  int lane = threadIdx.x & 31, half = a.rotated >> 1;
  float square = 0;
#pragma unroll
  for (int i = 0; i < D / 32; i++) {
    if (bias) v[i] += bias[lane + 32 * i];
    square += v[i] * v[i];
  }
  if (norm) {
    float r = 1.f / sqrtf(warp_sum(square) / D + a.normEpsilon);
#pragma unroll
    for (int i = 0; i < D / 32; i++) v[i] *= r * __ldg(norm + lane + 32 * i);
  }
  float turned[D / 32];
#pragma unroll
  for (int i = 0; i < D / 32; i++) {
    int d = lane + 32 * i;
    bool second = a.interleaved ? d & 1 : d >= half;
    float other = 0;
    if (a.interleaved) {
      other = __shfl_xor_sync(~0u, v[i], 1);
    } else {
      // the partner of d is half away: in another lane, register or both
      int want = second ? d - half : d + half;
#pragma unroll
      for (int j = 0; j < D / 32; j++) {
        float y = __shfl_sync(~0u, v[j], want & 31);
        if (want >> 5 == j) other = y;
      }
    }
    turned[i] = second ? v[i] * turn.c[i] + other * turn.s[i] : v[i] * turn.c[i] - other * turn.s[i];
  }
#pragma unroll
  for (int i = 0; i < D / 32; i++) v[i] = turned[i];
}

// A new key (`which` 0) or value (1), by one warp: as it was projected, then as the cache keeps it.
template <int D>
DEVICE void load_new(const AttendArgs& a, int token, int which, int keyHead, float (&v)[D / 32]) {
  const float* x = a.qkv + (u64)token * a.qkvStride + (a.heads + which * a.keyHeads + keyHead) * D;
#pragma unroll
  for (int i = 0; i < D / 32; i++) v[i] = __ldcg(x + (threadIdx.x & 31) + 32 * i);
}
template <int D>
DEVICE void append(const AttendArgs& a, int token, int which, int keyHead, int position, float (&v)[D / 32], const Turn<D>& turn, u16* copy) {
  int lane = threadIdx.x & 31;
  const float* bias = which ? a.vBias : a.kBias;
  if (bias) bias += keyHead * D;
  if (which == 0) {
    prepare_head<D>(a, v, a.kNorm, bias, turn);
  } else if (bias) {
#pragma unroll
    for (int i = 0; i < D / 32; i++) v[i] += bias[lane + 32 * i];
  }
  u16* to = (which ? a.values : a.keys) + token * a.sequenceStride + ((u64)keyHead * a.capacity + position) * D;
#pragma unroll
  for (int i = 0; i < D / 32; i++) {
    u16 h = to_f16(v[i]);
    to[lane + 32 * i] = h;
    if (copy) copy[lane + 32 * i] = h;
  }
}

// The same alone, before tokens of one sequence attend to each other. Grid: (key heads, tokens), 64 threads.
template <int D>
DEVICE void append_heads(const AttendArgs& a) {
  int token = blockIdx.y, which = threadIdx.x >> 5, position = __ldcg(a.positions + token);
  Turn<D> turn(a, position);
  await_previous();
  float v[D / 32];
  load_new<D>(a, token, which, blockIdx.x, v);
  append<D>(a, token, which, blockIdx.x, position, v, turn, nullptr);
}

DEVICE u32 zip_low(u32 a, u32 b) { return (a & 0xffffu) | (b << 16); }
DEVICE u32 zip_high(u32 a, u32 b) { return (a >> 16) | (b & 0xffff0000u); }

// The part of the sequence that a block attends to: a multiple of `unit` positions, at least `least`.
struct Span {
  int from, to, used;
};
DEVICE Span span_of(int position, int window, int splits, int split, int unit, int least) {
  int first = window ? max(0, position - window + 1) : 0, length = position + 1 - first;
  int each = max(least, (length + splits * unit - 1) / (splits * unit) * unit);
  int from = first + split * each;
  return {from, min(from + each, position + 1), (length + each - 1) / each};
}

// One warp: what each part of a sequence counts in the whole, from the parts' largest scores and sums.
DEVICE void part_factors(const float* extremes, u64 first, int used, const float* sink, float* factors) {
  int lane = threadIdx.x & 31;
  const float2* e = (const float2*)extremes + first;
  float top = -INFINITY, total = 0;
  for (int w = lane; w < used; w += 32) top = fmaxf(top, __ldcg(e + w).x);
#pragma unroll
  for (int o = 16; o; o >>= 1) top = fmaxf(top, __shfl_xor_sync(~0u, top, o));
  for (int w = lane; w < used; w += 32) total += __ldcg(e + w).y * expf(__ldcg(e + w).x - top);
  total = warp_sum(total);
  if (sink) total += expf(*sink - top);
  for (int w = lane; w < used; w += 32) factors[w] = expf(__ldcg(e + w).x - top) / total;
}
DEVICE float4 add_parts(const float* from, int stride, int used, const float* factors) {
  float4 y = make_float4(0, 0, 0, 0);
#pragma unroll 8
  for (int w = 0; w < used; w++) {
    float4 x = __ldcg((const float4*)(from + (u64)w * stride));
    float f = factors[w];
    y.x = fmaf(x.x, f, y.x), y.y = fmaf(x.y, f, y.y), y.z = fmaf(x.z, f, y.z), y.w = fmaf(x.w, f, y.w);
  }
  return y;
}

// Grid: (splits, key heads * groups of eight query heads, tokens), 256 threads. Shared: 16 * (D + 32) halves, then floats:
// 8 * 8 * (D + 2), which must be at least 8 * splits. Splits: as many as give each multiprocessor one block.
template <int D>
DEVICE void attend(const AttendArgs& a, u8* shared) {
  __shared__ int last;
  __shared__ uint4 fresh[2][D / 8];  // the new token's key and value
  constexpr int STRIDE = D + 32, WARPS = 8;
  int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  int perKey = a.heads / a.keyHeads, groups = (perKey + 7) / 8;
  int keyHead = blockIdx.y / groups, head0 = keyHead * perKey + (blockIdx.y - keyHead * groups) * 8;
  int heads = min(8, (keyHead + 1) * perKey - head0), token = blockIdx.z;
  u16* q = (u16*)shared;
  float* room = (float*)(shared + 16 * STRIDE * 2);  // [warp][8][D]
  float2* ends = (float2*)(room + WARPS * 8 * D);     // [warp][8]: largest score, sum
  int position = __ldcg(a.positions + token), splits = gridDim.x, split = blockIdx.x;
  Span span = span_of(position, a.window, splits, split, 64, WARPS * 16);
  int from = span.from, to = span.to, used = span.used;
  if (split >= used) return;
  const u16* keys = a.keys + token * a.sequenceStride + (u64)keyHead * a.capacity * D;
  const u16* values = a.values + token * a.sequenceStride + (u64)keyHead * a.capacity * D;

  // Key and value rows of 16 positions; past the end the last one's, whose weights are nothing. The new token's come from
  // `fresh`, since the cache has them only now.
  uint4 key[2][D / 32], value[D / 64][4];
  auto key_row = [&](int p0, int n) { return min(p0 + n * 8 + g, to - 1); };
  auto value_row = [&](int p0, int i) { return min(p0 + (i >> 1) * 8 + 2 * t + (i & 1), to - 1); };
  auto load_keys = [&](int p0) {
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
      for (int u = 0; u < D / 32; u++) key[n][u] = __ldcg((const uint4*)(keys + (u64)key_row(p0, n) * D) + t + 4 * u);
  };
  // column g of tile j is dimension 64 (j / 8) + 8 g + j % 8: eight lanes fetch 128 bytes of a row
  auto load_values = [&](int p0) {
#pragma unroll
    for (int u = 0; u < D / 64; u++)
#pragma unroll
      for (int i = 0; i < 4; i++) value[u][i] = __ldcg((const uint4*)(values + (u64)value_row(p0, i) * D) + g + 8 * u);
  };
  int p0 = from + warp * 16;
  // a token alone has its predecessors in the cache since earlier steps; of several, the kernel before may have put them there
  bool alone = gridDim.z == 1;
  if (alone && p0 < to) load_keys(p0), load_values(p0);
  Turn<D> turn(a, position);
  await_previous();
  if (!alone && p0 < to) load_keys(p0), load_values(p0);

  // of several groups each writes the same key and value
  bool newest = to == position + 1;
  const float* x = a.qkv + (u64)token * a.qkvStride;
  float mine[D / 32], added[D / 32];
#pragma unroll
  for (int i = 0; i < D / 32; i++) mine[i] = warp < heads ? __ldcg(x + (head0 + warp) * D + lane + 32 * i) : 0;
  if (newest && warp < 2) load_new<D>(a, token, warp, keyHead, added);
  if (warp < heads) prepare_head<D>(a, mine, a.qNorm, a.qBias ? a.qBias + (head0 + warp) * D : nullptr, turn);
#pragma unroll
  for (int i = 0; i < D / 32; i++) {
    float v = mine[i] * a.scale;
    u16 high = to_f16(v);
    q[warp * STRIDE + lane + 32 * i] = high;
    q[(warp + 8) * STRIDE + lane + 32 * i] = to_f16((v - from_f16(high)) * 2048.f);
  }
  if (newest && warp < 2) append<D>(a, token, warp, keyHead, position, added, turn, (u16*)fresh[warp]);
  __syncthreads();

  float o[D / 8][4];
#pragma unroll
  for (int j = 0; j < D / 8; j++)
#pragma unroll
    for (int i = 0; i < 4; i++) o[j][i] = 0;
  float most = -INFINITY, sum = 0;
  for (; p0 < to; p0 += WARPS * 16) {
    int next = p0 + WARPS * 16;
    float s[2][4];
#pragma unroll
    for (int n = 0; n < 2; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) s[n][i] = 0;
      bool renewed = key_row(p0, n) == position;
#pragma unroll
      for (int u = 0; u < D / 32; u++) {
        if (renewed) key[n][u] = fresh[0][t + 4 * u];
        uint4 hi = *(const uint4*)(q + g * STRIDE + u * 32 + t * 8), lo = *(const uint4*)(q + (g + 8) * STRIDE + u * 32 + t * 8);
        mma_f16(s[n], hi.x, lo.x, hi.y, lo.y, key[n][u].x, key[n][u].y);
        mma_f16(s[n], hi.z, lo.z, hi.w, lo.w, key[n][u].z, key[n][u].w);
      }
    }
    if (next < to) load_keys(next);
    float y[2][2], now = most;
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        y[n][i] = p0 + n * 8 + 2 * t + i < to ? fmaf(s[n][2 + i], 1.f / 2048, s[n][i]) : -INFINITY;
        now = fmaxf(now, y[n][i]);
      }
    now = fmaxf(now, __shfl_xor_sync(~0u, now, 1));
    now = fmaxf(now, __shfl_xor_sync(~0u, now, 2));
    float shrink = expf(most - now);
    most = now;
    sum *= shrink;
    u32 hi[2], lo[2];
#pragma unroll
    for (int n = 0; n < 2; n++) {
      u16 h[2], l[2];
#pragma unroll
      for (int i = 0; i < 2; i++) {
        float e = expf(y[n][i] - now);
        sum += e;
        h[i] = to_f16(e);
        l[i] = to_f16((e - from_f16(h[i])) * 2048.f);
      }
      hi[n] = h[0] | (u32)h[1] << 16;
      lo[n] = l[0] | (u32)l[1] << 16;
    }
#pragma unroll
    for (int u = 0; u < D / 64; u++) {
#pragma unroll
      for (int i = 0; i < 4; i++)
        if (value_row(p0, i) == position) value[u][i] = fresh[1][g + 8 * u];
      const uint4(&r)[4] = value[u];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        u32 w0 = ((const u32*)&r[0])[j], w1 = ((const u32*)&r[1])[j], w2 = ((const u32*)&r[2])[j], w3 = ((const u32*)&r[3])[j];
        float(&c)[4] = o[u * 8 + 2 * j];
        float(&d)[4] = o[u * 8 + 2 * j + 1];
#pragma unroll
        for (int i = 0; i < 4; i++) c[i] *= shrink, d[i] *= shrink;
        mma_f16(c, hi[0], lo[0], hi[1], lo[1], zip_low(w0, w1), zip_low(w2, w3));
        mma_f16(d, hi[0], lo[0], hi[1], lo[1], zip_high(w0, w1), zip_high(w2, w3));
      }
    }
    if (next < to) load_values(next);
  }
  sum += __shfl_xor_sync(~0u, sum, 1);
  sum += __shfl_xor_sync(~0u, sum, 2);

  // warps, then parts of the sequence: the same sum of parts, each with its largest score and its sum
#pragma unroll
  for (int u = 0; u < D / 64; u++)
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
      for (int j = 0; j < 8; j += 4) {
        float v[4];
#pragma unroll
        for (int n = 0; n < 4; n++) v[n] = fmaf(o[u * 8 + j + n][2 + i], 1.f / 2048, o[u * 8 + j + n][i]);
        *(float4*)(room + (warp * 8 + g) * D + u * 64 + (2 * t + i) * 8 + j) = make_float4(v[0], v[1], v[2], v[3]);
      }
  if (t == 0) ends[warp * 8 + g] = make_float2(most, sum);
  __syncthreads();
  for (int i = threadIdx.x; i < heads * D / 4; i += blockDim.x) {
    int h = i / (D / 4), d = (i - h * (D / 4)) * 4;
    float top = -INFINITY, total = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) top = fmaxf(top, ends[w * 8 + h].x);
    float4 v = make_float4(0, 0, 0, 0);
#pragma unroll
    for (int w = 0; w < WARPS; w++) {
      float f = expf(ends[w * 8 + h].x - top);
      float4 r = *(const float4*)(room + (w * 8 + h) * D + d);
      total = fmaf(ends[w * 8 + h].y, f, total);
      v.x = fmaf(r.x, f, v.x), v.y = fmaf(r.y, f, v.y), v.z = fmaf(r.z, f, v.z), v.w = fmaf(r.w, f, v.w);
    }
    if (used == 1) {
      if (a.sinks) total += expf(a.sinks[head0 + h] - top);
      *(float4*)(a.out + (u64)token * a.outStride + (head0 + h) * D + d) = make_float4(v.x / total, v.y / total, v.z / total, v.w / total);
    } else {
      u64 at = ((u64)token * a.heads + head0 + h) * splits + split;
      *(float4*)(a.partial + at * D + d) = v;
      if (d == 0) *(float2*)(a.extremes + at * 2) = make_float2(top, total);
    }
  }
  if (used == 1) return;
  __syncthreads();
  if (threadIdx.x == 0) last = arrive(a.arrived + token * gridDim.y + blockIdx.y) == used - 1;
  __syncthreads();
  if (!last) return;
  float* factors = room;  // [heads][used]: what each part counts
  for (int h = warp; h < heads; h += WARPS)
    part_factors(a.extremes, ((u64)token * a.heads + head0 + h) * splits, used, a.sinks ? a.sinks + head0 + h : nullptr, factors + h * used);
  __syncthreads();
  for (int i = threadIdx.x; i < heads * D / 4; i += blockDim.x) {
    int h = i / (D / 4), d = (i - h * (D / 4)) * 4;
    const float* from = a.partial + ((u64)token * a.heads + head0 + h) * splits * D + d;
    float4 y = add_parts(from, D, used, factors + h * used);
    *(float4*)(a.out + (u64)token * a.outStride + (head0 + h) * D + d) = y;
  }
  if (threadIdx.x == 0) a.arrived[token * gridDim.y + blockIdx.y] = 0;
}
