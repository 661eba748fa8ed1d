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

// A head of queries or keys with its norm and turned, by one warp; `to` may be in shared memory.
template <int D, class Store>
DEVICE void prepare_head(const AttendArgs& a, const float* x, const float* norm, const float* bias, int position, const Store& store) {
  int lane = threadIdx.x & 31;
  float v[D / 32];
  float square = 0;
#pragma unroll
  for (int i = 0; i < D / 32; i++) {
    v[i] = __ldcg(x + lane + 32 * i);
    if (bias) v[i] += bias[lane + 32 * i];
    square += v[i] * v[i];
  }
  float r = 1;
  if (norm) r = 1.f / sqrtf(warp_sum(square) / D + a.normEpsilon);
#pragma unroll
  for (int i = 0; i < D / 32; i++) {
    int d = lane + 32 * i;
    if (norm) v[i] = v[i] * r * norm[d];
  }
  const float *cs = a.cosines + (u64)position * (a.rotated >> 1), *sn = a.sines + (u64)position * (a.rotated >> 1);
  int half = a.rotated >> 1;
#pragma unroll
  for (int i = 0; i < D / 32; i++) {
    int d = lane + 32 * i;
    float other;
    bool second;
    int pair;
    if (a.interleaved) {
      other = __shfl_xor_sync(~0u, v[i], 1);
      second = d & 1;
      pair = d >> 1;
    } else {
      second = d >= half;
      pair = second ? d - half : d;
      // the partner of d is half away: in another lane, register or both
      other = 0;
      int want = second ? d - half : d + half;
#pragma unroll
      for (int j = 0; j < D / 32; j++) {
        float y = __shfl_sync(~0u, v[j], want & 31);
        if (want >> 5 == j) other = y;
      }
    }
    float turned = v[i];
    if (d < a.rotated) turned = second ? v[i] * cs[pair] + other * sn[pair] : v[i] * cs[pair] - other * sn[pair];
    store(d, turned);
  }
}

DEVICE u32 zip_low(u32 a, u32 b) { return (a & 0xffffu) | (b << 16); }
DEVICE u32 zip_high(u32 a, u32 b) { return (a >> 16) | (b & 0xffff0000u); }

// The part of the sequence that a block attends to: of a multiple of 64 positions, at least 128, so that a short sequence
// is one part.
struct Span {
  int from, to, used;
};
DEVICE Span span_of(int position, int window, int splits, int split) {
  int first = window ? max(0, position - window + 1) : 0, length = position + 1 - first;
  int each = max(128, (length + splits * 64 - 1) / (splits * 64) * 64);
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

// Grid: (splits, key heads * groups of eight query heads, tokens). Shared: 16 * (D + 32) halves, then floats:
// warps * 8 * (D + 2), which must be at least 8 * splits.
template <int D>
DEVICE void attend(const AttendArgs& a, u8* shared) {
  __shared__ int last;
  constexpr int STRIDE = D + 32;
  int warps = blockDim.x >> 5, warp = threadIdx.x >> 5, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  int perKey = a.heads / a.keyHeads, groups = (perKey + 7) / 8;
  int keyHead = blockIdx.y / groups, head0 = keyHead * perKey + (blockIdx.y - keyHead * groups) * 8;
  int heads = min(8, (keyHead + 1) * perKey - head0), token = blockIdx.z;
  u16* q = (u16*)shared;
  float* room = (float*)(shared + 16 * STRIDE * 2);
  await_previous();
  int position = __ldcg(a.positions + token), splits = gridDim.x, split = blockIdx.x;
  Span span = span_of(position, a.window, splits, split);
  int from = span.from, to = span.to, used = span.used;
  if (split >= used) return;
  u16* keys = a.keys + token * a.sequenceStride + (u64)keyHead * a.capacity * D;
  u16* values = a.values + token * a.sequenceStride + (u64)keyHead * a.capacity * D;
  const float* x = a.qkv + (u64)token * a.qkvStride;
  for (int h = warp; h < 8; h += warps) {
    if (h < heads) {
      prepare_head<D>(a, x + (head0 + h) * D, a.qNorm, a.qBias ? a.qBias + (head0 + h) * D : nullptr, position,
                      [&](int d, float v) {
                        v *= a.scale;
                        u16 p = to_f16(v);
                        q[h * STRIDE + d] = p;
                        q[(h + 8) * STRIDE + d] = to_f16((v - from_f16(p)) * 2048.f);
                      });
    } else {
      for (int d = lane; d < D; d += 32) q[h * STRIDE + d] = q[(h + 8) * STRIDE + d] = 0;
    }
  }
  // the part that ends with the new token has its key and value; of several groups each writes the same
  if (to == position + 1) {
    const float *k = x + (a.heads + keyHead) * D, *v = x + (a.heads + a.keyHeads + keyHead) * D;
    if (warp == 0)
      prepare_head<D>(a, k, a.kNorm, a.kBias ? a.kBias + keyHead * D : nullptr, position,
                      [&](int d, float y) { keys[(u64)position * D + d] = to_f16(y); });
    if (warp == 1 % warps)
      for (int d = lane; d < D; d += 32)
        values[(u64)position * D + d] = to_f16(__ldcg(v + d) + (a.vBias ? a.vBias[keyHead * D + d] : 0));
  }
  __syncthreads();

  float o[D / 8][4];
#pragma unroll
  for (int j = 0; j < D / 8; j++)
#pragma unroll
    for (int i = 0; i < 4; i++) o[j][i] = 0;
  float most = -INFINITY, sum = 0;
  for (int p0 = from + warp * 16; p0 < to; p0 += warps * 16) {
    // a value row past the end is read as the last one's and weighs nothing
    float s[2][4];
#pragma unroll
    for (int n = 0; n < 2; n++) {
      const uint4* key = (const uint4*)(keys + (u64)min(p0 + n * 8 + g, to - 1) * D) + t;
      uint4 b[D / 32];
#pragma unroll
      for (int u = 0; u < D / 32; u++) b[u] = __ldcg(key + 4 * u);
#pragma unroll
      for (int i = 0; i < 4; i++) s[n][i] = 0;
#pragma unroll
      for (int u = 0; u < D / 32; u++) {
        uint4 hi = *(const uint4*)(q + g * STRIDE + u * 32 + t * 8), lo = *(const uint4*)(q + (g + 8) * STRIDE + u * 32 + t * 8);
        mma_f16(s[n], hi.x, lo.x, hi.y, lo.y, b[u].x, b[u].y);
        mma_f16(s[n], hi.z, lo.z, hi.w, lo.w, b[u].z, b[u].w);
      }
    }
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
    // column g of tile j is dimension 64 (j / 8) + 8 g + j % 8: eight lanes fetch 128 bytes of a row
    const u16* v = values + g * 8;
#pragma unroll
    for (int u = 0; u < D / 64; u++) {
      uint4 r[4];
#pragma unroll
      for (int i = 0; i < 4; i++)
        r[i] = __ldcg((const uint4*)(v + (u64)min(p0 + (i >> 1) * 8 + 2 * t + (i & 1), to - 1) * D) + 8 * u);
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
  }
  sum += __shfl_xor_sync(~0u, sum, 1);
  sum += __shfl_xor_sync(~0u, sum, 2);

  // warps, then parts of the sequence: the same sum of parts, each with its largest score and its sum
  float* mine = room + (warp * 8 + g) * (D + 2);
#pragma unroll
  for (int j = 0; j < D / 8; j++)
#pragma unroll
    for (int i = 0; i < 2; i++) mine[(j >> 3) * 64 + (2 * t + i) * 8 + (j & 7)] = fmaf(o[j][2 + i], 1.f / 2048, o[j][i]);
  if (t == 0) mine[D] = most, mine[D + 1] = sum;
  __syncthreads();
  for (int i = threadIdx.x; i < heads * D; i += blockDim.x) {
    int h = i / D, d = i - h * D;
    float top = -INFINITY, total = 0, value = 0;
    for (int w = 0; w < warps; w++) top = fmaxf(top, room[(w * 8 + h) * (D + 2) + D]);
    for (int w = 0; w < warps; w++) {
      const float* r = room + (w * 8 + h) * (D + 2);
      float f = expf(r[D] - top);
      total = fmaf(r[D + 1], f, total);
      value = fmaf(r[d], f, value);
    }
    if (used == 1) {
      if (a.sinks) total += expf(a.sinks[head0 + h] - top);
      a.out[(u64)token * a.outStride + (head0 + h) * D + d] = value / total;
    } else {
      u64 at = ((u64)token * a.heads + head0 + h) * splits + split;
      a.partial[at * D + d] = value;
      if (d == 0) a.extremes[at * 2] = top, a.extremes[at * 2 + 1] = total;
    }
  }
  if (used == 1) return;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(a.arrived + token * gridDim.y + blockIdx.y, 1) == used - 1;
  __syncthreads();
  if (!last) return;
  __threadfence();
  float* factors = room;  // [heads][used]: what each part counts
  for (int h = warp; h < heads; h += warps)
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
