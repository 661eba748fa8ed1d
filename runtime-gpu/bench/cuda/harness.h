// What checks and benchmark share: memory, launches, the table of kernels, what each wants of shared memory.
#pragma once
#ifndef MOXIE_EMULATION
#include <cuda_runtime.h>
#endif
#include "decode.cu"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#ifdef MOXIE_EMULATION
#define OK(x) (x)
template <class T> T* room(size_t n) { return (T*)calloc(n * sizeof(T) + 4096, 1); }
template <class T> void release(T* p) { free((void*)p); }
template <class T> void upload(T* to, const std::vector<T>& v) { memcpy(to, v.data(), v.size() * sizeof(T)); }
template <class T> std::vector<T> download(const T* p, size_t n) { return std::vector<T>(p, p + n); }
inline void poison(void* p, size_t bytes) { memset(p, 0xff, bytes); }
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, int block, size_t shared, A... args) {
  emulated::run(grid, dim3(block), shared, [&] { kernel(args...); });
}
inline void finish() {}
#else
#define OK(x)                                                                                                   \
  do {                                                                                                          \
    cudaError_t e_ = (x);                                                                                       \
    if (e_ != cudaSuccess) printf("FAILED %s:%d %s\n", __FILE__, __LINE__, cudaGetErrorString(e_)), exit(4);    \
  } while (0)
inline cudaStream_t stream;
inline bool overlap = true;  // successors start before predecessors end
template <class T> T* room(size_t n) {
  T* p;
  OK(cudaMalloc(&p, n * sizeof(T) + 4096));
  OK(cudaMemset((void*)p, 0, n * sizeof(T) + 4096));
  return p;
}
template <class T> void release(T* p) { OK(cudaFree((void*)p)); }
template <class T> void upload(T* to, const std::vector<T>& v) { OK(cudaMemcpy((void*)to, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice)); }
template <class T> std::vector<T> download(const T* p, size_t n) {
  std::vector<T> v(n);
  OK(cudaDeviceSynchronize());
  OK(cudaMemcpy(v.data(), (const void*)p, n * sizeof(T), cudaMemcpyDeviceToHost));
  return v;
}
inline void poison(void* p, size_t bytes) { OK(cudaMemset(p, 0xff, bytes)); }
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, int block, size_t shared, A... args) {
  // One division of the first-level cache for all, or a successor could not start on a multiprocessor in use; and never
  // less room than an earlier launch of the same kernel was recorded with.
  static std::map<const void*, size_t> most;
  size_t& known = most[(const void*)kernel];
  if (!known) OK(cudaFuncSetAttribute((const void*)kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared));
  if (shared > std::max(known, (size_t)40 * 1024)) OK(cudaFuncSetAttribute((const void*)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
  known = std::max(known, std::max(shared, (size_t)1));
  cudaLaunchConfig_t c = {};
  c.gridDim = grid, c.blockDim = dim3(block), c.dynamicSmemBytes = shared, c.stream = stream;
  cudaLaunchAttribute a[1];
  a[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  a[0].val.programmaticStreamSerializationAllowed = 1;
  c.attrs = a, c.numAttrs = overlap ? 1 : 0;
  OK(cudaLaunchKernelEx(&c, kernel, args...));
}
inline void finish() { OK(cudaDeviceSynchronize()); }
#endif
template <class T> T* uploaded(const std::vector<T>& v) {
  T* p = room<T>(v.size());
  upload(p, v);
  return p;
}

typedef void (*ProjectKernel)(const ProjectArgs);
typedef void (*ExpertsKernel)(const ExpertsArgs);
typedef void (*LatentKernel)(const LatentArgs);

struct Kernels {
  const char* name;
  int encoding, piece, parts, columns;
  ProjectKernel project[2], projectT4;
  ExpertsKernel gateUp, gateUpT4, down[2], downFar[2], downT4, downT4Far;
  ProjectKernel projectSlots[2];
  ExpertsKernel gateUpSlots, downSlots[2];
  ProjectKernel projectT4Slots;
  ExpertsKernel gateUpT4Slots, downT4Slots;
  int slotBytes[2], depth[2];  // of a warp, with one tile and with two
  int slotColumns;
  LatentKernel absorb, latentOutput;
};
#define ROW(n, e)                                                                                                    \
  {#n, e, Encoding<e>::piece, Encoding<e>::parts, Encoding<e>::columns, {project_##n##_m1, project_##n##_m2},         \
   project_##n##_m1_t4, gate_up_##n, gate_up_##n##_t4, {down_##n##_m1, down_##n##_m2},                               \
   {down_##n##_m1_far, down_##n##_m2_far}, down_##n##_m1_t4, down_##n##_m1_t4_far, {project_##n##_m1_slots, project_##n##_m2_slots},    \
   gate_up_##n##_slots, {down_##n##_m1_slots, down_##n##_m2_slots}, project_##n##_m1_t4_slots, gate_up_##n##_t4_slots, down_##n##_m1_t4_slots,\
   {DEPTH(e, 1) * Slot<e, 1, SLOT_L(e)>::bytes, DEPTH(e, 2) * Slot<e, 2, SLOT_L(e)>::bytes}, {DEPTH(e, 1), DEPTH(e, 2)}, SLOT_L(e) * Encoding<e>::piece, absorb_##n, latent_output_##n}
static const Kernels KERNEL[] = {ROW(bf16, BF16), ROW(f16, F16), ROW(fp8, FP8), ROW(int8, INT8), ROW(int4, INT4), ROW(mxfp4, MXFP4)};

inline size_t weight_bytes(int enc, size_t n) { return enc <= F16 ? 2 * n : enc >= INT4 ? n / 2 : n; }
inline size_t stored_scale_bytes(int enc, size_t rows, size_t k, size_t block) {
  if (enc == FP8) return (rows + 127) / 128 * ((k + 127) / 128) * 4;
  if (enc == INT8) return rows * 4;
  if (enc == INT4) return rows * (k / block) * 4;
  if (enc == MXFP4) return rows * (k / 32);
  return 0;
}

// tiles of eight columns, as the kernels for `tokens` were made: one, or four
inline int column_tiles(const Kernels& k, int tokens) { return tokens * k.columns <= 8 ? 1 : 4; }
inline size_t sums_bytes(int warps, int m, int nt) { return 2ull * warps * m * 128 * nt * 4; }
inline size_t activation_stride(const Kernels& k, int columns) { return (columns + k.piece - 1) / k.piece * k.piece + 32; }
inline size_t project_shared(const Kernels& k, int warps, int m, int nt, int tokens, int columns) {
  return sums_bytes(warps, m, nt) + 256 + tokens * k.parts * activation_stride(k, columns) * 2;
}
inline size_t plan_bytes(int tokens, int chosen) { return chosen ? (1 + tokens * chosen * (1 + tokens) + 3) / 4 * 16 : 0; }
inline size_t gate_up_shared(const Kernels& k, int warps, int nt, int tokens, int chosen, int columns) {
  return project_shared(k, warps, 2, nt, tokens, columns) + plan_bytes(tokens, chosen);
}
inline size_t slot_stride(int width) { return (width + 127) / 128 * 128 + 32; }
inline size_t activated_halves(const Kernels& k, int tokens, int chosen, int width, int sharedWidth) {
  return (size_t)tokens * k.parts * (chosen * slot_stride(width) + slot_stride(sharedWidth));
}
inline size_t down_shared(const Kernels& k, int warps, int m, int nt, int tokens, int chosen, int width, int sharedWidth, bool far) {
  return sums_bytes(warps, m, nt) + plan_bytes(tokens, chosen) + (far ? 0 : activated_halves(k, tokens, chosen, width, sharedWidth) * 2);
}
// slots of m tiles, behind everything else; for several tokens there are four of one tile
inline size_t slots_bytes(const Kernels& k, int warps, int m, int nt) {
  return warps * (nt > 1 && m == 1 ? (size_t)k.slotBytes[0] / k.depth[0] * 4 : k.slotBytes[m - 1]);
}
// a step's activations of one token
inline size_t near_bytes(const Kernels& k) { return k.parts * (k.slotColumns + (k.encoding <= F16 ? 32 : 8)) * 2; }
inline size_t down_slots_shared(const Kernels& k, int warps, int m, int nt, int tokens, int chosen) {
  size_t activations = tokens * near_bytes(k);
  return sums_bytes(warps, m, nt) + plan_bytes(tokens, chosen) + slots_bytes(k, warps, m, nt) + warps * (nt > 1 ? 4 : k.depth[m - 1]) * activations;
}
inline size_t attend_shared(int d, int warps) { return 16 * (d + 32) * 2 + warps * 8 * (d + 2) * 4; }
inline size_t latent_shared() { return 128 * KEY * 2 + 64 * 40 * 2 + (16 << 10) + 4 * 64 * 4; }
inline size_t latent_output_shared(int splits) { return sums_bytes(8, 1, 1) + (splits + 3) / 4 * 16 + 3 * (LATENT + 32) * 2; }
