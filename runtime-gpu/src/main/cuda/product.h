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
            // that of the piece, whichever of its columns are this thread's: the product sums them all
            int first = k0 + l * E::piece;
            if (h == 0) s[m][l][0] = first < r.columns ? __ldg((const float*)r.scales + (row >> 7) * ((r.columns + 127) >> 7) + (first >> 7)) : 0;
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

// Steps on their way into shared memory: many in flight without registers, and eight lanes fetch 128 bytes of a row, since
// the memory system answers so many requests in a time, of a line each, however little of it is asked for.
template <int ENC, int M, int L>
struct Slot {
  typedef Encoding<ENC> E;
  static constexpr int pitch = L * 64;  // bytes of a row
  static constexpr int words = ENC == FP8 ? L / 2 : ENC == INT8 ? 16 : ENC == INT4 ? 64 * L : ENC == MXFP4 ? 16 * (L + 1) : 0;
  static constexpr int scales = (words * 4 + 15) / 16 * 16;
  static constexpr int bytes = M * (16 * pitch + scales);

  // chunks of 16 bytes lie so that rows g and g + 1 are read from different banks
  static DEVICE int place(int row, int chunk) { return row * pitch + ((chunk ^ ((row & 1) << 2)) << 4); }

  static DEVICE void copy(u8* slot, const Rows (&rows)[M], int k0) {
    int lane = threadIdx.x & 31;
#pragma unroll
    for (int m = 0; m < M; m++) {
      const Rows& r = rows[m];
      u8* to = slot + m * 16 * pitch;
#pragma unroll
      for (int q = 0; q < 4; q++) {
        int row = q * 4 + (lane >> 3);
        const u8* w = r.weights + E::bytes((u64)min(r.first + row, r.rows - 1) * r.columns);
#pragma unroll
        for (int j = 0; j < L / 2; j++) {
          int chunk = j * 8 + (lane & 7), k = k0 + chunk * E::held;
          copy_weights(to + place(row, chunk), k < r.columns ? w + E::bytes(k) : w, k < r.columns);
        }
      }
      u8* s = slot + M * 16 * pitch + m * scales;
      if (ENC == FP8) {
        int k = k0 + lane * 128;
        if (lane < words) copy_word(s + 4 * lane, r.scales + (k < r.columns ? 4 * ((min(r.first, r.rows - 1) >> 7) * ((r.columns + 127) >> 7) + (k >> 7)) : 0), k < r.columns);
      } else if (ENC == INT8) {
        if (lane < 16) copy_word(s + 4 * lane, r.scales + 4 * min(r.first + lane, r.rows - 1), true);
      } else if (ENC == INT4) {
        if (r.block == 32 && (r.columns & 127) == 0) {
#pragma unroll
          for (int i = lane; i < 16 * L; i += 32) {
            int row = min(r.first + i / L, r.rows - 1), k = k0 + i % L * 128;
            copy_weights(s + 16 * i, r.scales + (k < r.columns ? 4 * ((u64)row * (r.columns >> 5) + (k >> 5)) : 0), k < r.columns);
          }
        } else {
          for (int i = lane; i < words; i += 32) {
            int row = min(r.first + i / (4 * L), r.rows - 1), k = k0 + i % (4 * L) * 32;
            copy_word(s + 4 * i, r.scales + (k < r.columns ? 4 * ((u64)row * (r.columns / r.block) + k / r.block) : 0), k < r.columns);
          }
        }
      } else if (ENC == MXFP4) {
#pragma unroll
        for (int i = lane; i < words; i += 32) {
          int row = min(r.first + i / (L + 1), r.rows - 1);
          u64 at = (((u64)row * (r.columns >> 5) + (k0 >> 5)) & ~3ull) + 4 * (i % (L + 1));
          bool there = at < (u64)r.rows * (r.columns >> 5);
          copy_word(s + 4 * i, r.scales + (there ? at : 0), there);
        }
      }
    }
  }
  static DEVICE void read(const u8* slot, const Rows (&rows)[M], int k0, Stage<ENC, M, L>& stage) {
    int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
#pragma unroll
    for (int m = 0; m < M; m++) {
      const u8* s = slot + M * 16 * pitch + m * scales;
#pragma unroll
      for (int l = 0; l < L; l++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
          int row = g + 8 * h;
          stage.v[m][l][h] = *(const uint4*)(slot + m * 16 * pitch + place(row, l * 4 + t));
          if (ENC == FP8) stage.s[m][l][h] = ((const float*)s)[l >> 1];
          if (ENC == INT8) stage.s[m][l][h] = ((const float*)s)[row];
          if (ENC == INT4) stage.s[m][l][h] = ((const float*)s)[row * 4 * L + l * 4 + t];
          if (ENC == MXFP4) {
            u64 at = (u64)min(rows[m].first + row, rows[m].rows - 1) * (rows[m].columns >> 5) + (k0 >> 5);
            bool there = k0 + l * E::piece + t * E::held < rows[m].columns;
            stage.s[m][l][h] = there ? e8m0(s[row * 4 * (L + 1) + (int)(at & 3) + l * 4 + t]) : 0;
          }
        }
    }
  }
};

// DEPTH 0: steps go through registers; else through as many slots of shared memory.
template <int ENC, int M, int L, int NT, int DEPTH, class Job>
struct Product {
  typedef Encoding<ENC> E;
  static constexpr int chunk = L * E::piece;
  static constexpr int near_stride = chunk + (ENC <= F16 ? 32 : 8);  // halves: parts lie in different banks
  float total[M][NT][4];

  static DEVICE uint4 operand(const Job& job, const u16* near, int x, int i) {
    if (x < 0) return make_uint4(0, 0, 0, 0);
    return Job::streamed ? *(const uint4*)(near + x + 8 * i) : job.read(x + 8 * i);
  }

  // `near`: the step's own activations, of a job whose activations are streamed
  DEVICE void multiply(const Job& job, const Stage<ENC, M, L>& stage, int tile, int c, const u16* near = nullptr) {
    int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    int k0 = job.column(c), columns = job.columns(c), active = NT > 1 ? job.active(tile, c) : 1;
#pragma unroll
    for (int l = 0; l < L; l++) {
      int k = k0 + l * E::piece;
      if (k >= columns) break;
#pragma unroll
      for (int n = 0; n < NT; n++) {
        if (!(active >> n & 1)) continue;
        int column = E::nibbles ? g & 1 : n * 8 + g;
        int token = E::nibbles ? n : column / E::parts, part = E::nibbles ? column : column % E::parts;
        // where this lane's activations lie, or less than nothing
        int x = -1;
        if (token < job.tokens && (!E::nibbles || (g >> 1) == t)) x = job.x(c, token, part);
        if (x >= 0) x = Job::streamed ? (token * E::parts + part) * near_stride + l * E::piece + t * E::held : x + k + t * E::held;
        float sum[M][4];
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
          for (int i = 0; i < 4; i++) sum[m][i] = E::scaled ? 0.f : total[m][n][i];
        if (ENC <= F16) {
          uint4 b = operand(job, near, x, 0);
#pragma unroll
          for (int m = 0; m < M; m++) {
            const uint4 &p = stage.v[m][l][0], &q = stage.v[m][l][1];
            E::mma(sum[m], p.x, q.x, p.y, q.y, b.x, b.y);
            E::mma(sum[m], p.z, q.z, p.w, q.w, b.z, b.w);
          }
        } else if (!E::nibbles) {
          uint4 b[2] = {operand(job, near, x, 0), operand(job, near, x, 1)};
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
            uint4 b = operand(job, near, x, i);
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
          multiply(job, a, tile, c);
          if (c + 2 * split < chunks) {
            job.rows(tile, c + 2 * split, rows);
            a.load(rows, job.column(c + 2 * split));
          }
          if (c + split < chunks) multiply(job, b, tile, c + split);
        }
      }
      if (tile + step < tiles && part < chunks) {
        job.rows(tile + step, part, rows);
        a.load(rows, job.column(part));
      }
      add_up(job, sums, parity, tile, tiles);
    }
  }

  struct Cursor {
    int tile, c, slot;
  };
  DEVICE void copy_activations(const Job& job, u8* slot, int c) {
    constexpr int pieces = chunk / 8;
    int lane = threadIdx.x & 31, k0 = job.column(c), columns = (job.columns(c) + 127) & ~127;
    for (int row = 0; row < job.tokens * E::parts; row++) {
      int x = job.x(c, row / E::parts, row % E::parts);
      if (x < 0) continue;
      for (int i = lane; i < pieces; i += 32) {
        bool there = k0 + 8 * i < columns;
        copy_weights(slot + (row * near_stride + 8 * i) * 2, job.activations() + x + (there ? k0 + 8 * i : 0), there);
      }
    }
  }

  DEVICE void through_slots(Job& job, float* sums, u8* ring) {
    typedef Slot<ENC, M, L> S;
    int warp = threadIdx.x >> 5, warps = blockDim.x >> 5, split = job.split, groups = warps / split;
    int group = warp / split, part = warp - group * split;
    int step = gridDim.x * groups, tiles = 0, chunks = 0;
    int bytes = S::bytes + (Job::streamed ? job.tokens * E::parts * near_stride * 2 : 0);
    ring += warp * DEPTH * bytes;
    // what is copied next, DEPTH - 1 steps before it is used, over the ends of tiles
    const Cursor start = {(int)blockIdx.x * groups + group, part, 0};
    Cursor next = start;
    auto copy = [&](Cursor& at, bool weights, bool activations) {
      if (at.tile < tiles && at.c < chunks) {
        u8* slot = ring + at.slot * bytes;
        if (weights) {
          Rows rows[M];
          job.rows(at.tile, at.c, rows);
          S::copy(slot, rows, job.column(at.c));
        }
        if (Job::streamed && activations) copy_activations(job, slot + S::bytes, at.c);
        at.c += split;
        if (at.c >= chunks) at.c = part, at.tile += step;
      }
      at.slot = at.slot + 1 == DEPTH ? 0 : at.slot + 1;
    };
    if (Job::ahead) {
      tiles = job.tiles(), chunks = job.chunks();
      for (int i = 0; i < DEPTH - 1; i++) {
        copy(next, true, false);
        if (!Job::streamed) end_copies();
      }
    }
    job.prepare();
    if (!Job::ahead) tiles = job.tiles(), chunks = job.chunks();
    if (!Job::ahead || Job::streamed) {
      next = start;
      for (int i = 0; i < DEPTH - 1; i++) {
        copy(next, !Job::ahead, true);
        end_copies();
      }
    }
    int parity = 0, used = 0;
    for (int first = blockIdx.x * groups; first < tiles; first += step, parity ^= 1) {
      int tile = first + group;
      clear();
      if (tile < tiles)
        for (int c = part; c < chunks; c += split) {
          await_copies<(DEPTH > 2 ? DEPTH - 2 : 0)>();
          __syncwarp();
          Stage<ENC, M, L> stage;
          Rows rows[M];
          if (ENC == MXFP4) job.rows(tile, c, rows);
          const u8* slot = ring + used * bytes;
          S::read(slot, rows, job.column(c), stage);
          used = used + 1 == DEPTH ? 0 : used + 1;
          // into the slot that the step before was read from, by all lanes before the barrier above
          copy(next, true, true);
          end_copies();
          multiply(job, stage, tile, c, (const u16*)(slot + S::bytes));
        }
      add_up(job, sums, parity, tile, tiles);
    }
  }
};
