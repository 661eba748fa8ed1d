// What the kernels need of the device, in one place: host emulation replaces this file's second half.
#pragma once
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;

#ifdef MOXIE_EMULATION
#include "emulation.h"
#else
#define SHARED_BYTES(name) extern __shared__ __align__(128) u8 name[]
#define DEVICE __device__ __forceinline__

// d += a b with a of 16 rows and 16 columns, b of 16 rows and 8 columns, sums in float32.
DEVICE void mma_f16(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
DEVICE void mma_bf16(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
// Two float16 differences.
DEVICE u32 sub_f16x2(u32 a, u32 b) {
  u32 d;
  asm("sub.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}
DEVICE u16 to_f16(float x) {
  u16 d;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(d) : "f"(x));
  return d;
}
DEVICE float from_f16(u16 x) {
  float d;
  asm("cvt.f32.f16 %0, %1;" : "=f"(d) : "h"(x));
  return d;
}
// Weights are read once: they pass by the first-level cache. Zeros where there are none, without a branch.
DEVICE uint4 load_weights(const void* p, bool there) {
  uint4 v;
  asm volatile("{ .reg .pred q;\n setp.ne.u32 q, %5, 0;\n"
               " mov.u32 %0, 0;\n mov.u32 %1, 0;\n mov.u32 %2, 0;\n mov.u32 %3, 0;\n"
               " @q ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4]; }"
               : "=&r"(v.x), "=&r"(v.y), "=&r"(v.z), "=&r"(v.w) : "l"(p), "r"((u32)there));
  return v;
}
// The same into shared memory, in the background.
DEVICE void copy_weights(void* to, const void* p, bool there) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"((u32)__cvta_generic_to_shared(to)), "l"(p), "r"(there ? 16 : 0) : "memory");
}
DEVICE void copy_word(void* to, const void* p, bool there) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"((u32)__cvta_generic_to_shared(to)), "l"(p), "r"(there ? 4 : 0) : "memory");
}
DEVICE void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// All but the last N groups of copies have arrived.
template <int N>
DEVICE void await_copies() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }
DEVICE void prefetch(const void* p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }
// Until here a kernel may read only what the kernel before the previous one, or an earlier one, wrote:
// each allows its successor to start only after its own wait.
DEVICE void await_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;\n griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
// Counts a block that has written what others will read; what those wrote that counted before is there for it to read, and
// after a barrier for all its threads. Before it, a barrier for what other threads wrote.
DEVICE int arrive(int* count) {
  int before;
  asm volatile("atom.add.acq_rel.gpu.global.s32 %0, [%1], 1;" : "=r"(before) : "l"(count) : "memory");
  return before;
}
#endif

DEVICE u16 to_bf16(float x) {
  u32 u = __float_as_uint(x);
  return (u16)((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}
DEVICE float from_bf16(u16 x) { return __uint_as_float((u32)x << 16); }

DEVICE float warp_sum(float x) {
#pragma unroll
  for (int o = 16; o; o >>= 1) x += __shfl_xor_sync(~0u, x, o);
  return x;
}
// The sum over a block; `part` holds a number for each warp and is free again afterwards.
DEVICE float block_sum(float x, float* part) {
  x = warp_sum(x);
  int warps = blockDim.x >> 5;
  if ((threadIdx.x & 31) == 0) part[threadIdx.x >> 5] = x;
  __syncthreads();
  float s = 0;
  for (int w = 0; w < warps; w++) s += part[w];
  __syncthreads();
  return s;
}
