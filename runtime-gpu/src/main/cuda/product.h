// Rows of stored weights times a few vectors: what every projection, expert and head does.
//
// A warp takes 16 rows at a time (M such tiles together), a chunk of columns per step, and loads the next chunk while it
// multiplies this one. `split` warps share a tile's chunks and add up through shared memory. A job says which rows and
// activations a chunk has and what becomes of the sums.
#pragma once
#include "encodings.h"

// A matrix as stored; of nibbles `block` columns share a scale, of fp8 128 x 128.
struct Matrix {
  const u8* weights;
  const u8* scales;
  int rows, columns, block;
};

// A place in a matrix: 16 rows from `first`, of a projection that has `rows`.
struct Rows {
  const u8* weights;
  const u8* scales;
  int first, rows, columns, block;
};

// Bytes of the scales of a projection.
template <int ENC>
DEVICE u64 scale_bytes(int rows, int columns, int block) {
  if (ENC == FP8) return (u64)((rows + 127) >> 7) * ((columns + 127) >> 7) * 4;
  if (ENC == INT8) return (u64)rows * 4;
  if (ENC == INT4) return (u64)rows * (columns / block) * 4;
  if (ENC == MXFP4) return (u64)rows * (columns >> 5);
  return 0;
}

template <int ENC, int M, int L>
struct Stage {
  uint4 v[M][L][2];
  float s[M][L][2];

  DEVICE void load(const Rows (&rows)[M], int k0, bool only_prefetch = false) {
    typedef Encoding<ENC> E;
    int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
#pragma unroll
    for (int m = 0; m < M; m++) {
      const Rows& r = rows[m];
      int last = r.rows - 1;
#pragma unroll
      for (int h = 0; h < 2; h++) {
        int row = min(r.first + g + 8 * h, last);
        const u8* w = r.weights + E::bytes((u64)row * r.columns);
#pragma unroll
        for (int l = 0; l < L; l++) {
          int k = k0 + l * E::piece + t * E::held;
          bool there = k < r.columns;
          if (only_prefetch) {
            if (there) prefetch(w + E::bytes(k));
            continue;
          }
          v[m][l][h] = load_weights(w + E::bytes(k), there);
          if (ENC == FP8) {
            if (h == 0) s[m][l][0] = there ? __ldg((const float*)r.scales + (row >> 7) * ((r.columns + 127) >> 7) + (k >> 7)) : 0;
          } else if (ENC == INT8) {
            s[m][l][h] = __ldg((const float*)r.scales + row);
          } else if (ENC == INT4) {
            s[m][l][h] = there ? __ldg((const float*)r.scales + (u64)row * (r.columns / r.block) + k / r.block) : 0;
          } else if (ENC == MXFP4) {
            s[m][l][h] = there ? e8m0(__ldg(r.scales + (u64)row * (r.columns >> 5) + (k >> 5))) : 0;
          }
        }
      }
    }
  }
};

// Steps in shared memory on their way, each lane's for itself, so that nothing need be synchronised: many in flight
// without registers.
template <int ENC, int M, int L>
struct Slot {
  typedef Encoding<ENC> E;
  static constexpr int scales = ENC <= F16 ? 0 : ENC == FP8 ? 1 : 2;
  static constexpr int bytes = M * L * (2 * 512 + scales * 128);

  static DEVICE void copy(u8* slot, const Rows (&rows)[M], int k0) {
    int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    u8 *to = slot + lane * 16, *word = slot + M * L * 1024 + lane * 4;
#pragma unroll
    for (int m = 0; m < M; m++) {
      const Rows& r = rows[m];
#pragma unroll
      for (int h = 0; h < 2; h++) {
        int row = min(r.first + g + 8 * h, r.rows - 1);
        const u8* w = r.weights + E::bytes((u64)row * r.columns);
#pragma unroll
        for (int l = 0; l < L; l++) {
          int k = k0 + l * E::piece + t * E::held, i = (m * L + l) * 2 + h;
          bool there = k < r.columns;
          copy_weights(to + i * 512, there ? w + E::bytes(k) : w, there);
          const u8* s = r.scales;
          if (ENC == FP8) s += 4 * ((row >> 7) * ((r.columns + 127) >> 7) + (k >> 7));
          if (ENC == INT8) s += 4 * row;
          if (ENC == INT4) s += 4 * ((u64)row * (r.columns / r.block) + k / r.block);
          if (ENC == MXFP4) s += ((u64)row * (r.columns >> 5) + (k >> 5)) & ~3ull;
          if (scales == 2 || (scales == 1 && h == 0)) copy_word(word + (scales == 1 ? m * L + l : i) * 128, there ? s : r.scales, there);
        }
      }
    }
  }
  static DEVICE void read(const u8* slot, const Rows (&rows)[M], int k0, Stage<ENC, M, L>& stage) {
    int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    const u8 *from = slot + lane * 16, *word = slot + M * L * 1024 + lane * 4;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int l = 0; l < L; l++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
          int i = (m * L + l) * 2 + h;
          stage.v[m][l][h] = *(const uint4*)(from + i * 512);
          if (ENC == MXFP4) {
            int row = min(rows[m].first + g + 8 * h, rows[m].rows - 1), k = k0 + l * E::piece + t * E::held;
            u32 byte = ((u64)row * (rows[m].columns >> 5) + (k >> 5)) & 3;
            stage.s[m][l][h] = e8m0((u8)(*(const u32*)(word + i * 128) >> 8 * byte));
          } else if (scales) {
            stage.s[m][l][h] = *(const float*)(word + (scales == 1 ? m * L + l : i) * 128);
          }
        }
  }
};

// DEPTH 0: steps go through registers; else through as many slots of shared memory.
template <int ENC, int M, int L, int NT, int DEPTH, class Job>
struct Product {
  typedef Encoding<ENC> E;
  static constexpr int chunk = L * E::piece;
  float total[M][NT][4];


  static DEVICE uint4 operand(const Job& job, int x, int i) {
    return x >= 0 ? job.read(x + 8 * i) : make_uint4(0, 0, 0, 0);
  }

  DEVICE void multiply(const Job& job, const Stage<ENC, M, L>& stage, int c) {
    int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    int k0 = job.column(c), columns = job.columns(c);
#pragma unroll
    for (int l = 0; l < L; l++) {
      int k = k0 + l * E::piece;
      if (k >= columns) break;
#pragma unroll
      for (int n = 0; n < NT; n++) {
        int column = E::nibbles ? g & 1 : n * 8 + g;
        int token = E::nibbles ? n : column / E::parts, part = E::nibbles ? column : column % E::parts;
        // where this lane's activations lie, or less than nothing
        int x = -1;
        if (token < job.tokens && (!E::nibbles || (g >> 1) == t)) x = job.x(c, token, part);
        if (x >= 0) x += k + t * E::held;
        float sum[M][4];
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
          for (int i = 0; i < 4; i++) sum[m][i] = E::scaled ? 0.f : total[m][n][i];
        if (ENC <= F16) {
          uint4 b = operand(job, x, 0);
#pragma unroll
          for (int m = 0; m < M; m++) {
            const uint4 &p = stage.v[m][l][0], &q = stage.v[m][l][1];
            E::mma(sum[m], p.x, q.x, p.y, q.y, b.x, b.y);
            E::mma(sum[m], p.z, q.z, p.w, q.w, b.z, b.w);
          }
        } else if (!E::nibbles) {
          uint4 b[2] = {operand(job, x, 0), operand(job, x, 1)};
#pragma unroll
          for (int m = 0; m < M; m++) {
            const u32* p = (const u32*)&stage.v[m][l][0];
            const u32* q = (const u32*)&stage.v[m][l][1];
#pragma unroll
            for (int i = 0; i < 4; i++) {
              u32 a0, a1, a2, a3;
              if (ENC == FP8) unpack_fp8(p[i], a0, a2), unpack_fp8(q[i], a1, a3);
              else unpack_int8(p[i], a0, a2), unpack_int8(q[i], a1, a3);
              const u32* y = (const u32*)&b[i >> 1] + 2 * (i & 1);
              E::mma(sum[m], a0, a1, a2, a3, y[0], y[1]);
            }
          }
        } else {
#pragma unroll
          for (int i = 0; i < 4; i++) {
            uint4 b = operand(job, x, i);
#pragma unroll
            for (int m = 0; m < M; m++) {
              u32 p[4], q[4];
              u32 v = ((const u32*)&stage.v[m][l][0])[i], w = ((const u32*)&stage.v[m][l][1])[i];
              if (ENC == INT4) unpack_int4(v, p), unpack_int4(w, q);
              else unpack_mxfp4(v, p), unpack_mxfp4(w, q);
              E::mma(sum[m], p[0], q[0], p[1], q[1], b.x, b.y);
              E::mma(sum[m], p[2], q[2], p[3], q[3], b.z, b.w);
            }
          }
        }
#pragma unroll
        for (int m = 0; m < M; m++) {
          float s0 = stage.s[m][l][0], s1 = ENC == FP8 ? s0 : stage.s[m][l][1];
#pragma unroll
          for (int i = 0; i < 4; i++)
            total[m][n][i] = E::scaled ? fmaf(sum[m][i], i < 2 ? s0 : s1, total[m][n][i]) : sum[m][i];
        }
      }
    }
  }

  DEVICE void clear() {
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int n = 0; n < NT; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) total[m][n][i] = 0;
  }

  // [warp][M][16][NT * 8], twice, so that one barrier a tile is enough
  DEVICE void add_up(Job& job, float* sums, int parity, int tile, int tiles) {
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    int warps = blockDim.x >> 5, split = job.split, group = warp / split, part = warp - group * split;
    float* mine = sums + ((parity * warps + warp) * M) * 128 * NT;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int n = 0; n < NT; n++) {
        float* to = mine + m * 128 * NT + g * 8 * NT + n * 8 + 2 * t;
        *(float2*)to = make_float2(total[m][n][0], total[m][n][1]);
        *(float2*)(to + 64 * NT) = make_float2(total[m][n][2], total[m][n][3]);
      }
    if (split == 1) __syncwarp();
    else __syncthreads();
    if (tile >= tiles) return;
    const float* from = sums + ((parity * warps + group * split) * M) * 128 * NT;
    for (int i = part * 32 + lane; i < 16 * job.tokens; i += split * 32) {
      int row = i & 15, token = i >> 4;
      float y[M];
#pragma unroll
      for (int m = 0; m < M; m++) {
        y[m] = 0;
        for (int w = 0; w < split; w++)
#pragma unroll
          for (int c = 0; c < E::columns; c++)
            y[m] = fmaf(from[(w * M + m) * 128 * NT + row * 8 * NT + token * E::columns + c], E::factor(c), y[m]);
      }
      job.finish(tile, row, token, y);
    }
  }

  DEVICE void run(Job& job, float* sums, u8* ring) {
    if (DEPTH) through_slots(job, sums, ring);
    else through_registers(job, sums);
  }

  DEVICE void through_registers(Job& job, float* sums) {
    int warp = threadIdx.x >> 5, warps = blockDim.x >> 5, split = job.split, groups = warps / split;
    int group = warp / split, part = warp - group * split;
    int step = gridDim.x * groups, tile = blockIdx.x * groups + group;
    Stage<ENC, M, L> a, b;
    Rows rows[M];
    if (Job::ahead && tile < job.tiles() && part < job.chunks()) {
      job.rows(tile, part, rows);
      a.load(rows, job.column(part));
      for (int c = part + split, i = 0; i < job.prefetches && c < job.chunks(); c += split, i++) {
        job.rows(tile, c, rows);
        b.load(rows, job.column(c), true);
      }
    }
    job.prepare();
    int tiles = job.tiles(), chunks = job.chunks();
    if (!Job::ahead && tile < tiles && part < chunks) {
      job.rows(tile, part, rows);
      a.load(rows, job.column(part));
    }
    int parity = 0;
    for (int first = blockIdx.x * groups; first < tiles; first += step, parity ^= 1) {
      tile = first + group;
      clear();
      if (tile < tiles) {
        for (int c = part; c < chunks; c += 2 * split) {
          if (c + split < chunks) {
            job.rows(tile, c + split, rows);
            b.load(rows, job.column(c + split));
          }
          multiply(job, a, c);
          if (c + 2 * split < chunks) {
            job.rows(tile, c + 2 * split, rows);
            a.load(rows, job.column(c + 2 * split));
          }
          if (c + split < chunks) multiply(job, b, c + split);
        }
      }
      if (tile + step < tiles && part < chunks) {
        job.rows(tile + step, part, rows);
        a.load(rows, job.column(part));
      }
      add_up(job, sums, parity, tile, tiles);
    }
  }

  DEVICE void through_slots(Job& job, float* sums, u8* ring) {
    typedef Slot<ENC, M, L> S;
    int warp = threadIdx.x >> 5, warps = blockDim.x >> 5, split = job.split, groups = warps / split;
    int group = warp / split, part = warp - group * split;
    int step = gridDim.x * groups, tiles = 0, chunks = 0;
    ring += warp * DEPTH * S::bytes;
    Rows rows[M];
    // what is copied next, DEPTH - 1 steps before it is used, over the ends of tiles
    int nextTile = blockIdx.x * groups + group, next = part, slot = 0, used = 0;
    auto copy = [&] {
      if (nextTile < tiles && next < chunks) {
        job.rows(nextTile, next, rows);
        S::copy(ring + slot * S::bytes, rows, job.column(next));
        next += split;
        if (next >= chunks) next = part, nextTile += step;
      }
      end_copies();
      slot = slot + 1 == DEPTH ? 0 : slot + 1;
    };
    if (Job::ahead) {
      tiles = job.tiles(), chunks = job.chunks();
      for (int i = 0; i < DEPTH - 1; i++) copy();
    }
    job.prepare();
    if (!Job::ahead) {
      tiles = job.tiles(), chunks = job.chunks();
      for (int i = 0; i < DEPTH - 1; i++) copy();
    }
    int parity = 0;
    for (int first = blockIdx.x * groups; first < tiles; first += step, parity ^= 1) {
      int tile = first + group;
      clear();
      if (tile < tiles)
        for (int c = part; c < chunks; c += split) {
          await_copies<(DEPTH > 2 ? DEPTH - 2 : 0)>();
          Stage<ENC, M, L> stage;
          if (ENC == MXFP4) job.rows(tile, c, rows);
          S::read(ring + used * S::bytes, rows, job.column(c), stage);
          used = used + 1 == DEPTH ? 0 : used + 1;
          copy();
          multiply(job, stage, c);
        }
      add_up(job, sums, parity, tile, tiles);
    }
  }
};
