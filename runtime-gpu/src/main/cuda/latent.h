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
  float* absorbed;                 // [tokens, heads, KEY], sixteenths in float16
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
  u16* to = (u16*)a.absorbed + ((u64)token * a.heads + head) * KEY;
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
    to[c] = to_f16(y * (1.f / 16));
  }
  if (lane < TURNED / 2) {
    float u, v;
    int d0, d1;
    turn(a, q + a.plain, lane, position, u, v, d0, d1);
    to[LATENT + d0] = to_f16(u * a.scale * (1.f / 16)), to[LATENT + d1] = to_f16(v * a.scale * (1.f / 16));
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

// Rows of KEY halves in shared memory, their chunks of 16 bytes moved so that neither eight lanes that read rows 2 i and
// 2 i + 1 nor eight that read rows 0, 2, 4 and 6 meet in a bank.
struct LatentTile {
  static constexpr int rows = 32, pitch = KEY * 2, chunks = KEY / 8;
  static DEVICE u8* at(u8* tile, int row, int chunk) {
    return tile + row * pitch + ((chunk ^ (row & 6) ^ ((row & 1) << 2)) << 4);
  }
};

// Grid: (splits, ceil(heads / 64), tokens), 256 threads. Shared: (64 + 2 * 32) rows of the tiles, 64 * 40 halves, 16 KiB,
// 4 * 64 floats. Splits: as many as give each multiprocessor one block.
// 32 positions at a time: four warps score them for 16 heads each over half of KEY, four over the other half; weights go
// through shared memory; each warp then sums 64 of the latent's dimensions for all heads. Queries and weights are float16,
// as the cache is.
DEVICE void attend_latent(const LatentArgs& a, u8* shared) {
  typedef LatentTile T;
  constexpr int HEADS = 64, P = T::rows + 8;
  int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3, of = warp & 3, half = warp >> 2;
  int head0 = blockIdx.y * HEADS, token = blockIdx.z;
  if (head0 >= a.heads) return;
  u8 *q = shared, *tiles = q + HEADS * T::pitch;
  u16* p = (u16*)(tiles + 2 * T::rows * T::pitch);  // [64][P]
  float4* exchanged = (float4*)(p + HEADS * P);        // [8 warps][4][32 lanes]
  float *shrinks = (float*)(exchanged + 8 * 4 * 32), *sums = shrinks + HEADS, *largest = sums + 2 * HEADS;
  int position = __ldcg(a.positions + token);
  Span span = span_of(position, 0, gridDim.x, blockIdx.x, T::rows, T::rows);
  if ((int)blockIdx.x >= span.used) return;
  const u16* cache = a.cache + token * a.sequenceStride;
  // rows past the end are the last one again, whose weights are nothing
  auto copy_tile = [&](int p0, int which) {
#pragma unroll
    for (int i = 0; i < T::rows * T::chunks / 256; i++) {
      int at = threadIdx.x + 256 * i, row = at / T::chunks, chunk = at - row * T::chunks;
      copy_weights(T::at(tiles + which * T::rows * T::pitch, row, chunk), cache + (u64)min(p0 + row, span.to - 1) * KEY + chunk * 8, true);
    }
  };
  // what earlier steps put into the cache is there before the wait
  bool early = gridDim.z == 1 && span.from + T::rows <= position;
  if (early) copy_tile(span.from, 0);
  await_previous();
  if (!early) copy_tile(span.from, 0);
  const u16* from = (const u16*)a.absorbed + ((u64)token * a.heads + head0) * KEY;
#pragma unroll
  for (int i = 0; i < HEADS * T::chunks / 256; i++) {
    int at = threadIdx.x + 256 * i, head = at / T::chunks, chunk = at - head * T::chunks;
    bool there = head0 + head < a.heads;
    copy_weights(T::at(q, head, chunk), from + (there ? head * KEY + chunk * 8 : 0), there);
  }
  end_copies();
  float o[4][8][4], most[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
#pragma unroll
  for (int h = 0; h < 4; h++)
#pragma unroll
    for (int j = 0; j < 8; j++)
#pragma unroll
      for (int i = 0; i < 4; i++) o[h][j][i] = 0;
  int which = 0;
  for (int p0 = span.from; p0 < span.to; p0 += T::rows, which ^= 1) {
    u8* tile = tiles + which * T::rows * T::pitch;
    await_copies<0>();
    __syncthreads();
    if (p0 + T::rows < span.to) {
      copy_tile(p0 + T::rows, which ^ 1);
      end_copies();
    }
    float s[4][4];
#pragma unroll
    for (int n = 0; n < 4; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) s[n][i] = 0;
#pragma unroll 3
    for (int u = 0; u < T::chunks / 8; u++) {
      int chunk = (half * (T::chunks / 8) + u) * 4 + t;
      uint4 x = *(const uint4*)T::at(q, of * 16 + g, chunk), y = *(const uint4*)T::at(q, of * 16 + g + 8, chunk);
#pragma unroll
      for (int n = 0; n < 4; n++) {
        uint4 k = *(const uint4*)T::at(tile, n * 8 + g, chunk);
        mma_f16(s[n], x.x, y.x, x.y, y.y, k.x, k.y);
        mma_f16(s[n], x.z, y.z, x.w, y.w, k.z, k.w);
      }
    }
#pragma unroll
    for (int n = 0; n < 4; n++) exchanged[(warp * 4 + n) * 32 + lane] = make_float4(s[n][0], s[n][1], s[n][2], s[n][3]);
    __syncthreads();
    float now[2] = {most[0], most[1]};
#pragma unroll
    for (int n = 0; n < 4; n++) {
      float4 other = exchanged[((warp ^ 4) * 4 + n) * 32 + lane];
      s[n][0] += other.x, s[n][1] += other.y, s[n][2] += other.z, s[n][3] += other.w;
#pragma unroll
      for (int i = 0; i < 4; i++) {
        s[n][i] = p0 + n * 8 + 2 * t + (i & 1) < span.to ? 16 * s[n][i] : -INFINITY;
        now[i >> 1] = fmaxf(now[i >> 1], s[n][i]);
      }
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
      now[r] = fmaxf(now[r], __shfl_xor_sync(~0u, now[r], 1));
      now[r] = fmaxf(now[r], __shfl_xor_sync(~0u, now[r], 2));
      float shrink = expf(most[r] - now[r]);
      most[r] = now[r];
      sum[r] *= shrink;
      if (half == 0 && t == 0) shrinks[of * 16 + 8 * r + g] = shrink;
#pragma unroll
      for (int n = 0; n < 4; n++) {
        if (n >> 1 != half) continue;
        u16 e0 = to_f16(expf(s[n][2 * r] - now[r])), e1 = to_f16(expf(s[n][2 * r + 1] - now[r]));
        sum[r] += from_f16(e0) + from_f16(e1);
        *(u32*)(p + (of * 16 + 8 * r + g) * P + n * 8 + 2 * t) = e0 | (u32)e1 << 16;
      }
    }
    __syncthreads();
#pragma unroll
    for (int h = 0; h < 4; h++) {
      float f0 = shrinks[h * 16 + g], f1 = shrinks[h * 16 + g + 8];
#pragma unroll
      for (int j = 0; j < 8; j++) o[h][j][0] *= f0, o[h][j][1] *= f0, o[h][j][2] *= f1, o[h][j][3] *= f1;
    }
#pragma unroll
    for (int step = 0; step < T::rows / 16; step++) {
      uint4 r[4];
#pragma unroll
      for (int i = 0; i < 4; i++) r[i] = *(const uint4*)T::at(tile, step * 16 + (i >> 1) * 8 + 2 * t + (i & 1), warp * 8 + g);
      u32 weight[4][4];
#pragma unroll
      for (int h = 0; h < 4; h++) {
        const u16* w = p + (h * 16 + g) * P + step * 16 + 2 * t;
        weight[h][0] = *(const u32*)w, weight[h][1] = *(const u32*)(w + 8 * P);
        weight[h][2] = *(const u32*)(w + 8), weight[h][3] = *(const u32*)(w + 8 * P + 8);
      }
#pragma unroll
      for (int j = 0; j < 4; j++) {
        u32 w0 = ((const u32*)&r[0])[j], w1 = ((const u32*)&r[1])[j], w2 = ((const u32*)&r[2])[j], w3 = ((const u32*)&r[3])[j];
        u32 b0 = zip_low(w0, w1), b1 = zip_low(w2, w3), c0 = zip_high(w0, w1), c1 = zip_high(w2, w3);
#pragma unroll
        for (int h = 0; h < 4; h++) {
          mma_f16(o[h][2 * j], weight[h][0], weight[h][1], weight[h][2], weight[h][3], b0, b1);
          mma_f16(o[h][2 * j + 1], weight[h][0], weight[h][1], weight[h][2], weight[h][3], c0, c1);
        }
      }
    }
  }
#pragma unroll
  for (int r = 0; r < 2; r++) {
    sum[r] += __shfl_xor_sync(~0u, sum[r], 1);
    sum[r] += __shfl_xor_sync(~0u, sum[r], 2);
    if (t == 0) sums[half * HEADS + of * 16 + 8 * r + g] = sum[r];
    if (t == 0 && half == 0) largest[of * 16 + 8 * r + g] = most[r];
  }
  // column c of a tile of products is dimension 8 c + j of the warp's 64
#pragma unroll
  for (int h = 0; h < 4; h++)
#pragma unroll
    for (int r = 0; r < 2; r++) {
      int head = head0 + h * 16 + 8 * r + g;
      if (head >= a.heads) continue;
      float* to = a.partial + (((u64)token * a.heads + head) * gridDim.x + blockIdx.x) * LATENT + warp * 64;
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 8; j += 4)
          *(float4*)(to + (2 * t + i) * 8 + j) = make_float4(o[h][j][2 * r + i], o[h][j + 1][2 * r + i], o[h][j + 2][2 * r + i], o[h][j + 3][2 * r + i]);
    }
  __syncthreads();
  int head = head0 + threadIdx.x;
  if (threadIdx.x < HEADS && head < a.heads)
    *(float2*)(a.extremes + (((u64)token * a.heads + head) * gridDim.x + blockIdx.x) * 2) = make_float2(largest[threadIdx.x], sums[threadIdx.x] + sums[HEADS + threadIdx.x]);
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

  DEVICE int active(int, int) const { return 1; }
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
    int used = span_of(__ldcg(args.positions + token), 0, args.splits, 0, LatentTile::rows, LatentTile::rows).used;
    u64 at = ((u64)token * args.heads + head) * args.splits;
    if (threadIdx.x < 32) part_factors(args.extremes, at, used, nullptr, factors);
    __syncthreads();
    // half of the threads take the first parts, half the others
    __shared__ float4 others[LATENT / 4];
    int mine = threadIdx.x % (LATENT / 4), d = mine * 4, middle = (used + 1) / 2, second = threadIdx.x / (LATENT / 4);
    const float* from = args.partial + at * LATENT + d;
    float4 y = second ? add_parts(from + (u64)middle * LATENT, LATENT, used - middle, factors + middle) : add_parts(from, LATENT, middle, factors);
    if (second) others[mine] = y;
    __syncthreads();
    if (!second) {
      float4 z = others[mine];
      E::put(xs, stride, d, y.x + z.x), E::put(xs, stride, d + 1, y.y + z.y), E::put(xs, stride, d + 2, y.z + z.z), E::put(xs, stride, d + 3, y.w + z.w);
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
