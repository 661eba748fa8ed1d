// Multi-head latent attention with latent_up absorbed: the cache holds rmsnorm(c) and rotate(r) in float16, queries become
// vectors of the latent's width, and outputs are brought back to each head's own.
#pragma once
#include "attention.h"
#include "matrices.h"

constexpr int LATENT = 512, TURNED = 64, KEY = LATENT + TURNED;

struct LatentArgs {
  Matrix up;                       // latent_up [heads * (plain + value), LATENT]
  int heads, plain, value, tokens;
  const float* q;                  // [tokens, heads * (plain + TURNED)]
  int qStride;
  const float* down;               // [tokens, LATENT + TURNED] of latent_down
  int downStride;
  const float* norm;               // latent_norm
  float normEpsilon;
  const float *cosines, *sines;    // [positions, TURNED / 2]
  int interleaved;
  float scale;
  u16* cache;                      // [tokens' sequences][capacity][KEY]
  u64 sequenceStride;
  const int* positions;
  int splits;                      // parts of the sequence that attend_latent is launched with
  float* absorbed;                 // [tokens, heads, KEY]
  float *partial, *extremes;       // [tokens, heads, splits, LATENT] and [.., 2]
  float* out;                      // [tokens, heads * value]
  int outStride;
};

// Sixteen weights of a row, as stored, times x, added.
template <int ENC>
struct Sixteen {
  static constexpr int words = ENC <= F16 ? 8 : Encoding<ENC>::nibbles ? 2 : 4;
  u32 w[words];
  float scale;

  DEVICE void load(const Matrix& a, int row, int column) {
    const u8* p = a.weights + Encoding<ENC>::bytes((u64)row * a.columns + column);
    if (words == 2) {
      uint2 v = __ldg((const uint2*)p);
      w[0] = v.x, w[1] = v.y;
    } else {
#pragma unroll
      for (int i = 0; i < words / 4; i++) {
        uint4 v = __ldg((const uint4*)p + i);
        w[4 * i] = v.x, w[4 * i + 1] = v.y, w[4 * i + 2] = v.z, w[4 * i + 3] = v.w;
      }
    }
    scale = 1;
    if (ENC == FP8) scale = 256 * __ldg((const float*)a.scales + (row >> 7) * ((a.columns + 127) >> 7) + (column >> 7));
    if (ENC == INT8) scale = __ldg((const float*)a.scales + row);
    if (ENC == INT4) scale = __ldg((const float*)a.scales + (u64)row * (a.columns / a.block) + column / a.block);
    if (ENC == MXFP4) scale = 16384 * e8m0(__ldg(a.scales + (u64)row * (a.columns >> 5) + (column >> 5)));
  }
  DEVICE void add(float x, float (&sum)[16]) const {
    x *= scale;
#pragma unroll
    for (int i = 0; i < words; i++) {
      if (ENC <= F16) {
        u16 low = (u16)w[i], high = (u16)(w[i] >> 16);
        sum[2 * i] = fmaf(ENC == BF16 ? from_bf16(low) : from_f16(low), x, sum[2 * i]);
        sum[2 * i + 1] = fmaf(ENC == BF16 ? from_bf16(high) : from_f16(high), x, sum[2 * i + 1]);
      } else if (!Encoding<ENC>::nibbles) {
        u32 v[2];
        if (ENC == FP8) unpack_fp8(w[i], v[0], v[1]);
        else unpack_int8(w[i], v[0], v[1]);
#pragma unroll
        for (int j = 0; j < 4; j++) sum[4 * i + j] = fmaf(from_f16((u16)(v[j & 1] >> (j & 2) * 8)), x, sum[4 * i + j]);
      } else {
        u32 v[4];
        if (ENC == INT4) unpack_int4(w[i], v);
        else unpack_mxfp4(w[i], v);
#pragma unroll
        for (int j = 0; j < 8; j++)
          sum[8 * i + j] = fmaf(from_f16((u16)(v[j & 3] >> (j & 4) * 4)), ENC == INT4 && (j & 1) ? x * (1.f / 16) : x, sum[8 * i + j]);
      }
    }
  }
};

// A turned pair; `n` counts pairs.
DEVICE void turn(const LatentArgs& a, const float* x, int n, int position, float& first, float& second, int& d0, int& d1) {
  d0 = a.interleaved ? 2 * n : n, d1 = a.interleaved ? 2 * n + 1 : n + TURNED / 2;
  float u = __ldcg(x + d0), v = __ldcg(x + d1);
  float c = a.cosines[(u64)position * (TURNED / 2) + n], s = a.sines[(u64)position * (TURNED / 2) + n];
  first = u * c - v * s, second = v * c + u * s;
}

// Grid: (heads, tokens), 256 threads. Queries to the latent's width; head 0's block appends to the cache.
template <int ENC>
DEVICE void absorb(const LatentArgs& a) {
  __shared__ float sums[8][LATENT];
  __shared__ float part[32];
  __shared__ float query[256];
  int head = blockIdx.x, token = blockIdx.y, lane = threadIdx.x, warp = lane >> 5, column = (lane & 31) * 16;
  int row0 = head * (a.plain + a.value), rows = a.plain / 8;
  Sixteen<ENC> w[16];
  // a warp has every eighth row; the first sixteen are on their way before the wait
#pragma unroll
  for (int i = 0; i < 16; i++)
    if (i < rows) w[i].load(a.up, row0 + warp + 8 * i, column);
  await_previous();
  int position = __ldcg(a.positions + token);
  const float* q = a.q + (u64)token * a.qStride + head * (a.plain + TURNED);
  float* to = a.absorbed + ((u64)token * a.heads + head) * KEY;
  for (int d = lane; d < a.plain; d += 256) query[d] = __ldcg(q + d) * a.scale;
  __syncthreads();
  float sum[16];
#pragma unroll
  for (int i = 0; i < 16; i++) sum[i] = 0;
#pragma unroll
  for (int i = 0; i < 16; i++)
    if (i < rows) w[i].add(query[warp + 8 * i], sum);
  for (int i = 16; i < rows; i++) {
    w[0].load(a.up, row0 + warp + 8 * i, column);
    w[0].add(query[warp + 8 * i], sum);
  }
#pragma unroll
  for (int i = 0; i < 16; i++) sums[warp][i * 32 + (lane & 31)] = sum[i];
  __syncthreads();
  for (int c = lane; c < LATENT; c += 256) {
    float y = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) y += sums[i][(c & 15) * 32 + (c >> 4)];
    to[c] = y;
  }
  if (lane < TURNED / 2) {
    float u, v;
    int d0, d1;
    turn(a, q + a.plain, lane, position, u, v, d0, d1);
    to[LATENT + d0] = u * a.scale, to[LATENT + d1] = v * a.scale;
  }
  if (head) return;
  const float* x = a.down + (u64)token * a.downStride;
  u16* row = a.cache + token * a.sequenceStride + (u64)position * KEY;
  float c0 = __ldcg(x + lane), c1 = __ldcg(x + lane + 256);
  float r = 1.f / sqrtf(block_sum(c0 * c0 + c1 * c1, part) / LATENT + a.normEpsilon);
  row[lane] = to_f16(c0 * r * a.norm[lane]);
  row[lane + 256] = to_f16(c1 * r * a.norm[lane + 256]);
  if (lane < TURNED / 2) {
    float u, v;
    int d0, d1;
    turn(a, x + LATENT, lane, position, u, v, d0, d1);
    row[LATENT + d0] = to_f16(u), row[LATENT + d1] = to_f16(v);
  }
}

// Grid: (splits, heads / 32, tokens), 256 threads. Shared: 64 * (KEY + 32) + 64 * 136 halves, then 17 * 32 floats.
// Each warp scores 16 positions of 128 for 32 heads; weights go through shared memory; each warp then sums 64 of the
// latent's dimensions over all 128.
DEVICE void attend_latent(const LatentArgs& a, u8* shared) {
  constexpr int Q = KEY + 32, P = 136, GROUPS = 4;
  int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  int head0 = blockIdx.y * 32, token = blockIdx.z;
  u16* q = (u16*)shared;            // [group][16][Q]: eight heads, and what they lack to float32
  u16* p = q + 64 * Q;              // [group][16][P]
  float* largest = (float*)(p + 64 * P);  // [8 warps][32]
  float* sums = largest + 8 * 32;         // [8 warps][32]
  await_previous();
  int position = __ldcg(a.positions + token);
  Span span = span_of(position, 0, gridDim.x, blockIdx.x);
  if ((int)blockIdx.x >= span.used) return;
  const u16* cache = a.cache + token * a.sequenceStride;
  const float* from = a.absorbed + ((u64)token * a.heads + head0) * KEY;
#pragma unroll 6
  for (int i = threadIdx.x; i < 32 * KEY / 4; i += 256) {
    int h = i / (KEY / 4), d = (i - h * (KEY / 4)) * 4;
    float4 x = __ldcg((const float4*)(from + h * KEY + d));
    float v[4] = {x.x, x.y, x.z, x.w};
    u16 hi[4], lo[4];
#pragma unroll
    for (int j = 0; j < 4; j++) {
      v[j] *= 1.f / 16;
      hi[j] = to_f16(v[j]);
      lo[j] = to_f16((v[j] - from_f16(hi[j])) * 2048.f);
    }
    u16* to = q + ((h >> 3) * 16 + (h & 7)) * Q + d;
    *(uint2*)to = make_uint2(hi[0] | (u32)hi[1] << 16, hi[2] | (u32)hi[3] << 16);
    *(uint2*)(to + 8 * Q) = make_uint2(lo[0] | (u32)lo[1] << 16, lo[2] | (u32)lo[3] << 16);
  }
  __syncthreads();
  float o[GROUPS][8][4];
  float most[GROUPS], sum[GROUPS];
#pragma unroll
  for (int h = 0; h < GROUPS; h++) {
    most[h] = -INFINITY, sum[h] = 0;
#pragma unroll
    for (int j = 0; j < 8; j++)
#pragma unroll
      for (int i = 0; i < 4; i++) o[h][j][i] = 0;
  }
  for (int p0 = span.from; p0 < span.to; p0 += 128) {
    float s[GROUPS][2][4];
#pragma unroll
    for (int h = 0; h < GROUPS; h++)
#pragma unroll
      for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) s[h][n][i] = 0;
    int mine = p0 + warp * 16;
    if (mine < span.to) {
      const uint4* k0 = (const uint4*)(cache + (u64)min(mine + g, span.to - 1) * KEY) + t;
      const uint4* k1 = (const uint4*)(cache + (u64)min(mine + 8 + g, span.to - 1) * KEY) + t;
#pragma unroll 6
      for (int u = 0; u < KEY / 32; u++) {
        uint4 b[2] = {__ldcg(k0 + 4 * u), __ldcg(k1 + 4 * u)};
#pragma unroll
        for (int h = 0; h < GROUPS; h++) {
          uint4 hi = *(const uint4*)(q + (h * 16 + g) * Q + u * 32 + t * 8), lo = *(const uint4*)(q + (h * 16 + g + 8) * Q + u * 32 + t * 8);
#pragma unroll
          for (int n = 0; n < 2; n++) {
            mma_f16(s[h][n], hi.x, lo.x, hi.y, lo.y, b[n].x, b[n].y);
            mma_f16(s[h][n], hi.z, lo.z, hi.w, lo.w, b[n].z, b[n].w);
          }
        }
      }
    }
#pragma unroll
    for (int h = 0; h < GROUPS; h++) {
      float top = -INFINITY;
#pragma unroll
      for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
          s[h][n][i] = mine + n * 8 + 2 * t + i < span.to ? 16 * fmaf(s[h][n][2 + i], 1.f / 2048, s[h][n][i]) : -INFINITY;
          top = fmaxf(top, s[h][n][i]);
        }
      top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
      top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
      if (t == 0) largest[warp * 32 + h * 8 + g] = top;
    }
    __syncthreads();
    float shrink[GROUPS];
#pragma unroll
    for (int h = 0; h < GROUPS; h++) {
      float now = most[h];
#pragma unroll
      for (int w = 0; w < 8; w++) now = fmaxf(now, largest[w * 32 + h * 8 + g]);
      shrink[h] = expf(most[h] - now);
      most[h] = now;
      sum[h] *= shrink[h];
#pragma unroll
      for (int n = 0; n < 2; n++) {
        u16 hi[2], lo[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
          float e = expf(s[h][n][i] - now);
          sum[h] += e;
          hi[i] = to_f16(e);
          lo[i] = to_f16((e - from_f16(hi[i])) * 2048.f);
        }
        u16* to = p + (h * 16 + g) * P + warp * 16 + n * 8 + 2 * t;
        *(u32*)to = hi[0] | (u32)hi[1] << 16;
        *(u32*)(to + 8 * P) = lo[0] | (u32)lo[1] << 16;
      }
#pragma unroll
      for (int j = 0; j < 8; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) o[h][j][i] *= shrink[h];
    }
    __syncthreads();
    int steps = min(8, (span.to - p0 + 15) >> 4);
    const u16* v = cache + warp * 64 + g * 8;
#pragma unroll 2
    for (int step = 0; step < steps; step++) {
      int at = p0 + step * 16 + 2 * t;
      uint4 r[4];
#pragma unroll
      for (int i = 0; i < 4; i++) r[i] = __ldcg((const uint4*)(v + (u64)min(at + (i >> 1) * 8 + (i & 1), span.to - 1) * KEY));
      u32 weight[GROUPS][4];
#pragma unroll
      for (int h = 0; h < GROUPS; h++) {
        const u16* w = p + (h * 16 + g) * P + step * 16 + 2 * t;
        weight[h][0] = *(const u32*)w, weight[h][1] = *(const u32*)(w + 8 * P);
        weight[h][2] = *(const u32*)(w + 8), weight[h][3] = *(const u32*)(w + 8 * P + 8);
      }
#pragma unroll
      for (int j = 0; j < 4; j++) {
        u32 w0 = ((const u32*)&r[0])[j], w1 = ((const u32*)&r[1])[j], w2 = ((const u32*)&r[2])[j], w3 = ((const u32*)&r[3])[j];
        u32 b0 = zip_low(w0, w1), b1 = zip_low(w2, w3), c0 = zip_high(w0, w1), c1 = zip_high(w2, w3);
#pragma unroll
        for (int h = 0; h < GROUPS; h++) {
          mma_f16(o[h][2 * j], weight[h][0], weight[h][1], weight[h][2], weight[h][3], b0, b1);
          mma_f16(o[h][2 * j + 1], weight[h][0], weight[h][1], weight[h][2], weight[h][3], c0, c1);
        }
      }
    }
  }
#pragma unroll
  for (int h = 0; h < GROUPS; h++) {
    sum[h] += __shfl_xor_sync(~0u, sum[h], 1);
    sum[h] += __shfl_xor_sync(~0u, sum[h], 2);
    if (t == 0) sums[warp * 32 + h * 8 + g] = sum[h];
    // column c of a tile is dimension 8 c + j of the warp's 64
    u64 row = ((u64)token * a.heads + head0 + h * 8 + g) * gridDim.x + blockIdx.x;
    float* to = a.partial + row * LATENT + warp * 64;
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
      for (int j = 0; j < 8; j++) to[(2 * t + i) * 8 + j] = fmaf(o[h][j][2 + i], 1.f / 2048, o[h][j][i]);
    if (warp == 0 && t == 0) a.extremes[row * 2] = most[h];
  }
  __syncthreads();
  if (threadIdx.x < 32) {
    float total = 0;
    for (int w = 0; w < 8; w++) total += sums[w * 32 + threadIdx.x];
    a.extremes[(((u64)token * a.heads + head0 + threadIdx.x) * gridDim.x + blockIdx.x) * 2 + 1] = total;
  }
}

// Parts of the sequence added up, and a head's own rows of latent_up times that. Grid: (heads, tokens), 256 threads.
template <int ENC, int L>
struct LatentOutput {
  typedef Encoding<ENC> E;
  static constexpr bool ahead = true, streamed = false;
  static constexpr int stride = LATENT + 32;
  const LatentArgs& args;
  int tokens, split, prefetches;
  float* factors;  // of splits
  u16* xs;

  DEVICE int tiles() const { return args.heads * (blockDim.x >> 5); }
  DEVICE int chunks() const { return LATENT / (L * E::piece); }
  DEVICE int column(int c) const { return c * L * E::piece; }
  DEVICE int columns(int) const { return LATENT; }
  DEVICE int x(int, int, int p) const { return p * stride; }
  DEVICE uint4 read(int i) const { return *(const uint4*)(xs + i); }
  DEVICE const u16* activations() const { return xs; }
  DEVICE void rows(int tile, int, Rows (&rows)[1]) const {
    int first = blockIdx.x * (args.plain + args.value) + args.plain + (tile - blockIdx.x * (blockDim.x >> 5)) * 16;
    rows[0] = {args.up.weights, args.up.scales, first, args.up.rows, args.up.columns, args.up.block};
  }
  DEVICE void prepare() {
    int head = blockIdx.x, token = blockIdx.y;
    await_previous();
    int used = span_of(__ldcg(args.positions + token), 0, args.splits, 0).used;
    u64 at = ((u64)token * args.heads + head) * args.splits;
    if (threadIdx.x < 32) part_factors(args.extremes, at, used, nullptr, factors);
    __syncthreads();
    for (int d = threadIdx.x * 4; d < LATENT; d += blockDim.x * 4) {
      float4 y = add_parts(args.partial + at * LATENT + d, LATENT, used, factors);
      E::put(xs, stride, d, y.x), E::put(xs, stride, d + 1, y.y), E::put(xs, stride, d + 2, y.z), E::put(xs, stride, d + 3, y.w);
    }
    __syncthreads();
  }
  DEVICE void finish(int tile, int row, int, const float (&v)[1]) const {
    int at = (tile - blockIdx.x * (blockDim.x >> 5)) * 16 + row;
    if (at < args.value) args.out[(u64)blockIdx.y * args.outStride + blockIdx.x * args.value + at] = v[0];
  }
};

template <int ENC, int L>
DEVICE void latent_output(const LatentArgs& args, u8* shared) {
  typedef LatentOutput<ENC, L> Job;
  float* factors = (float*)after_sums<1, 1>(shared);
  Job job = {args, 1, 1, 4, factors, (u16*)(factors + ((args.splits + 3) & ~3))};
  Product<ENC, 1, L, 1, 0, Job> product;
  product.run(job, (float*)shared, nullptr);
}
