// Kernels that decode one token or a few of a Mixture-of-Experts model, weights as a package stores them.
// Names: what it does, the encoding, and m: 16-row tiles a warp takes together; t: 8-column tiles of activations.
// PART says which of them are compiled, for a file of PTX: 1 to 6 those of an encoding, 7 the others; 0, all and what is tuned or for the benchmark alone.
#include "general.h"
#include "latent.h"
#include "matrices.h"
#include "routing.h"

#ifndef PART
#define PART 0
#endif

#define ARGS(type) const __grid_constant__ type args

// Most threads of a block: 512 leave 128 registers to each.
#define THREADS(enc, m, n, depth) (n > 1 || (depth > 0 && enc >= INT4 && m == 2) ? 256 : 512)
#define PROJECT(name, enc, m, l, n, depth)                                                                     \
  extern "C" __global__ void __launch_bounds__(THREADS(enc, m, n, depth), 1) project_##name(ARGS(ProjectArgs)) {       \
    SHARED_BYTES(shared);                                                                                      \
    project<enc, m, l, n, depth>(args, shared);                                                                \
  }
#define GATE_UP(name, enc, l, n, depth)                                                                        \
  extern "C" __global__ void __launch_bounds__(THREADS(enc, 2, n, depth), 1) gate_up_##name(ARGS(ExpertsArgs)) {       \
    SHARED_BYTES(shared);                                                                                      \
    gate_up<enc, l, n, depth>(args, shared);                                                                   \
  }
#define DOWN(name, enc, m, l, n, depth, staged)                                                                \
  extern "C" __global__ void __launch_bounds__(THREADS(enc, m, n, depth), 1) down_##name(ARGS(ExpertsArgs)) {          \
    SHARED_BYTES(shared);                                                                                      \
    down<enc, m, l, n, depth, staged>(args, shared);                                                           \
  }
// L, pieces of 64 bytes of a row in a step: as many as fit into 128 registers; of slots, a quarter to half of that
#if PART
#define MORE_KERNELS(name, enc, one, two, tight)
#else
#define MORE_KERNELS(name, enc, one, two, tight)             \
  PROJECT(name##_m1, enc, 1, one, 1, 0)                      \
  PROJECT(name##_m2, enc, 2, two, 1, 0)                      \
  GATE_UP(name, enc, enc == MXFP4 ? tight : two, 1, 0)       \
  DOWN(name##_m1, enc, 1, one, 1, 0, true)                   \
  DOWN(name##_m2, enc, 2, two, 1, 0, true)                   \
  DOWN(name##_m1_far, enc, 1, one, 1, 0, false)              \
  DOWN(name##_m2_far, enc, 2, tight, 1, 0, false)
#endif
#define KERNELS(name, enc, one, two, tight)                  \
  MORE_KERNELS(name, enc, one, two, tight)                   \
  PROJECT(name##_m1_t4, enc, 1, two, 4, 0)                   \
  GATE_UP(name##_t4, enc, 1, 4, 0)                           \
  DOWN(name##_m1_t4, enc, 1, two, 4, 0, true)                \
  DOWN(name##_m1_t4_far, enc, 1, two, 4, 0, false)           \
  PROJECT(name##_m1_slots, enc, 1, SLOT_L(enc), 1, DEPTH(enc, 1))                 \
  PROJECT(name##_m2_slots, enc, 2, SLOT_L(enc), 1, DEPTH(enc, 2))                 \
  GATE_UP(name##_slots, enc, SLOT_L(enc), 1, DEPTH(enc, 2))                       \
  DOWN(name##_m1_slots, enc, 1, SLOT_L(enc), 1, DEPTH(enc, 1), false)              \
  DOWN(name##_m2_slots, enc, 2, SLOT_L(enc), 1, DEPTH(enc, 2), false)             \
  PROJECT(name##_m1_t4_slots, enc, 1, SLOT_L(enc), 4, 4)                          \
  GATE_UP(name##_t4_slots, enc, SLOT_L(enc), 4, DEPTH(enc, 2))                    \
  DOWN(name##_m1_t4_slots, enc, 1, SLOT_L(enc), 4, 4, false)
// Numbers of four bits: longer steps, so that a request for scales serves more of them. Slots of a warp: 16 KiB or so.
#define SLOT_L(enc) (enc >= INT4 ? 4 : 2)
#define DEPTH(enc, m) (enc >= INT4 ? 5 - m : 8 / m)

#define LATENT_KERNELS(name, enc, l)                                                              \
  extern "C" __global__ void __launch_bounds__(256, 1) absorb_##name(ARGS(LatentArgs)) { absorb<enc>(args); } \
  extern "C" __global__ void __launch_bounds__(256, 1) latent_output_##name(ARGS(LatentArgs)) {        \
    SHARED_BYTES(shared);                                                                         \
    latent_output<enc, l>(args, shared);                                                          \
  }
#if !PART || PART == 1
KERNELS(bf16, BF16, 4, 2, 2)
LATENT_KERNELS(bf16, BF16, 4)
#endif
#if !PART || PART == 2
KERNELS(f16, F16, 4, 2, 2)
LATENT_KERNELS(f16, F16, 4)
#endif
#if !PART || PART == 3
KERNELS(fp8, FP8, 4, 2, 1)
LATENT_KERNELS(fp8, FP8, 4)
#endif
#if !PART || PART == 4
KERNELS(int8, INT8, 4, 2, 2)
LATENT_KERNELS(int8, INT8, 4)
#endif
#if !PART || PART == 5
KERNELS(int4, INT4, 2, 2, 2)
LATENT_KERNELS(int4, INT4, 2)
#endif
#if !PART || PART == 6
KERNELS(mxfp4, MXFP4, 2, 2, 1)
LATENT_KERNELS(mxfp4, MXFP4, 2)
#endif

#if !PART || PART == 7
extern "C" __global__ void __launch_bounds__(256, 1) attend_latent_512(ARGS(LatentArgs)) {
  SHARED_BYTES(shared);
  attend_latent(args, shared);
}

#define ATTEND(d)                                                                      \
  extern "C" __global__ void __launch_bounds__(256, 1) attend_##d(ARGS(AttendArgs)) {      \
    SHARED_BYTES(shared);                                                              \
    attend<d>(args, shared);                                                           \
  }
ATTEND(64)
ATTEND(128)

#define APPEND(d) \
  extern "C" __global__ void __launch_bounds__(64) append_##d(ARGS(AttendArgs)) { append_heads<d>(args); }
APPEND(64)
APPEND(128)

extern "C" __global__ void __launch_bounds__(256) route_experts(ARGS(RouteArgs), int rows) {
  SHARED_BYTES(shared);
  route(args, rows, shared);
}

#if !PART
// Rows of a bfloat16 embedding. Grid: tokens.
extern "C" __global__ void embed_bf16(const u16* embedding, const int* ids, float* h, int hidden, int stride) {
  await_previous();
  const u16* row = embedding + (u64)ids[blockIdx.x] * hidden;
  for (int i = threadIdx.x; i < hidden; i += blockDim.x) h[(u64)blockIdx.x * stride + i] = from_bf16(row[i]);
}

// The id of the largest logit of each token, the lowest of equal ones. `best` is 0 between launches, and so is `arrived`.
// Grid: (parts, tokens).
extern "C" __global__ void largest_logit(const float* logits, int vocabulary, u64* best, int* arrived, int* ids) {
  await_previous();
  const float* x = logits + (u64)blockIdx.y * vocabulary;
  u64 most = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < vocabulary; i += gridDim.x * blockDim.x) {
    u32 u = __float_as_uint(__ldcg(x + i));
    u = u >> 31 ? ~u : u | 0x80000000u;
    u64 key = (u64)u << 32 | (u32)~i;
    most = key > most ? key : most;
  }
#pragma unroll
  for (int o = 16; o; o >>= 1) {
    u64 y = __shfl_xor_sync(~0u, most, o);
    most = y > most ? y : most;
  }
  if ((threadIdx.x & 31) == 0) atomicMax(best + blockIdx.y, most);
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0 && atomicAdd(arrived + blockIdx.y, 1) == (int)gridDim.x - 1) {
    __threadfence();
    ids[blockIdx.y] = (int)~(u32)atomicExch(best + blockIdx.y, 0ull);
    arrived[blockIdx.y] = 0;
  }
}
#endif

#define STEP(name, type, call)                                                         \
  extern "C" __global__ void __launch_bounds__(256) name(ARGS(type)) { call; }
#define SHARED_STEP(name, type, call)                                                  \
  extern "C" __global__ void __launch_bounds__(256) name(ARGS(type)) {                  \
    SHARED_BYTES(shared);                                                              \
    call;                                                                              \
  }
STEP(embed_any, AnyEmbedArgs, embed(args))
STEP(project_any, AnyProjectArgs, project(args))
STEP(norm_any, AnyNormArgs, norm(args))
STEP(columns_any, AnyColumnsArgs, each_column(args))
STEP(rotate_any, AnyRotateArgs, rotate(args))
STEP(append_any, AnyAppendArgs, append(args))
SHARED_STEP(attend_any, AnyAttendArgs, attend(args, shared))
SHARED_STEP(latent_any, AnyLatentArgs, attend_absorbed(args, shared))
SHARED_STEP(route_any, RouteArgs, await_previous(); plan_experts(args, shared))
STEP(gate_up_any, AnyExpertsArgs, gate_up(args))
STEP(down_any, AnyExpertsArgs, down(args))
#endif
