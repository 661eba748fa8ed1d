// The device on the host: blocks run one after another, threads of a block are fibres that change at barriers and at what
// a warp does together. Finds wrong indices and missing barriers, not races that need real concurrency.
#pragma once
#include <math.h>
#include <setjmp.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <functional>
#include <vector>

#define DEVICE inline
#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)
#define __grid_constant__
#define SHARED_BYTES(name) u8* name = emulated::shared

struct uint2 { u32 x, y; };
struct alignas(16) uint4 { u32 x, y, z, w; };
struct float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct dim3 { unsigned x = 1, y = 1, z = 1; dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {} };
inline uint2 make_uint2(u32 x, u32 y) { return {x, y}; }
inline uint4 make_uint4(u32 x, u32 y, u32 z, u32 w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
using std::max;
using std::min;

namespace emulated {
inline u8* shared;
// A fibre starts by a context, and goes on by a jump: swapcontext would ask the system for the mask of signals each time.
struct Fibre { ucontext_t context; jmp_buf at; std::vector<u8> stack; bool started, done; };
inline std::vector<Fibre> fibres;
inline jmp_buf scheduler;
inline int current, alive;
inline bool backwards;  // the last thread first: another order finds other missing barriers
inline u32 threadX;
// what lanes hand to each other
inline u64 given[1024][6];
inline float results[1024][4];
inline int waiting[33], generation[33];  // of each warp, and of the block
inline int size[33];
inline std::function<void()> body;

inline void yield() { if (!_setjmp(fibres[current].at)) _longjmp(scheduler, 1); }
inline void resume(Fibre& f) {
  if (_setjmp(scheduler)) return;
  if (f.started) _longjmp(f.at, 1);
  f.started = true;
  setcontext(&f.context);
}
inline void barrier(int which) {
  int mine = generation[which];
  if (++waiting[which] == size[which]) waiting[which] = 0, generation[which]++;
  while (generation[which] == mine) yield();
}
inline void leave() {
  // a thread that has ended counts as arrived, as on the device
  for (int which : {current / 32, 32})
    if (--size[which] && waiting[which] == size[which]) waiting[which] = 0, generation[which]++;
}
inline void entry() {
  body();
  leave();
  fibres[current].done = true;
  alive--;
  yield();
}
}  // namespace emulated

struct ThreadIndex { struct { operator int() const { return emulated::current; } } x; };
inline ThreadIndex threadIdx;
inline dim3 blockDim, gridDim, blockIdx;

namespace emulated {
inline void run(dim3 grid, dim3 block, size_t bytes, std::function<void()> kernel) {
  std::vector<u8> room(bytes + 256);
  shared = (u8*)(((uintptr_t)room.data() + 127) & ~(uintptr_t)127);
  gridDim = grid, blockDim = block, body = kernel;
  if (fibres.size() < block.x) fibres.resize(block.x);
  for (unsigned z = 0; z < grid.z; z++)
    for (unsigned y = 0; y < grid.y; y++)
      for (unsigned x = 0; x < grid.x; x++) {
        blockIdx = dim3(x, y, z);
        memset(shared, 0xff, bytes);  // poison: not a number
        alive = block.x;
        for (int w = 0; w < 33; w++) waiting[w] = 0, size[w] = w < 32 ? 32 : block.x;
        for (unsigned i = 0; i < block.x; i++) {
          Fibre& f = fibres[i];
          f.started = f.done = false;
          f.stack.resize(256 << 10);
          getcontext(&f.context);
          f.context.uc_stack.ss_sp = f.stack.data();
          f.context.uc_stack.ss_size = f.stack.size();
          f.context.uc_link = nullptr;
          makecontext(&f.context, entry, 0);
        }
        while (alive)
          for (unsigned i = 0; i < block.x; i++)
            if (int at = backwards ? block.x - 1 - i : i; !fibres[at].done) current = at, resume(fibres[at]);
      }
}
}  // namespace emulated

inline void __syncthreads() { emulated::barrier(32); }
inline void __syncwarp() { emulated::barrier(emulated::current / 32); }
inline void __threadfence() {}
template <class T>
inline T __shfl_sync(u32, T x, int from) {
  int base = emulated::current & ~31;
  memcpy(emulated::given[emulated::current], &x, sizeof x);
  __syncwarp();
  T y;
  memcpy(&y, emulated::given[base + (from & 31)], sizeof y);
  __syncwarp();
  return y;
}
template <class T>
inline T __shfl_xor_sync(u32 m, T x, int with) { return __shfl_sync(m, x, (emulated::current & 31) ^ with); }
template <class T> inline T __ldcg(const T* p) { return *p; }
template <class T> inline T __ldg(const T* p) { return *p; }
inline int arrive(int* p) { return (*p)++; }
inline u32 __reduce_max_sync(u32 m, u32 x) { for (int o = 16; o; o >>= 1) x = std::max(x, __shfl_xor_sync(m, x, o)); return x; }
inline u32 __reduce_min_sync(u32 m, u32 x) { for (int o = 16; o; o >>= 1) x = std::min(x, __shfl_xor_sync(m, x, o)); return x; }
inline u32 __umulhi(u32 a, u32 b) { return (u32)((u64)a * b >> 32); }
inline int atomicAdd(int* p, int x) { int old = *p; *p += x; return old; }
inline u64 atomicMax(u64* p, u64 x) { u64 old = *p; *p = std::max(old, x); return old; }
inline u64 atomicExch(u64* p, u64 x) { u64 old = *p; *p = x; return old; }
inline u32 __float_as_uint(float x) { u32 u; memcpy(&u, &x, 4); return u; }
inline float __uint_as_float(u32 u) { float x; memcpy(&x, &u, 4); return x; }
inline uint4 load_weights(const void* p, bool there) { return there ? *(const uint4*)p : make_uint4(0, 0, 0, 0); }
inline void copy_weights(void* to, const void* p, bool there) { if (there) memcpy(to, p, 16); else memset(to, 0, 16); }
inline void copy_word(void* to, const void* p, bool there) { if (there) memcpy(to, p, 4); else memset(to, 0, 4); }
inline void end_copies() {}
template <int N> inline void await_copies() {}
inline void prefetch(const void* p) { volatile u8 touched = *(const u8*)p; (void)touched; }
inline void await_previous() {}

inline float from_f16(u16 h) { _Float16 x; memcpy(&x, &h, 2); return (float)x; }
inline u16 to_f16(float x) { _Float16 y = (_Float16)x; u16 h; memcpy(&h, &y, 2); return h; }
inline u32 sub_f16x2(u32 a, u32 b) {
  return to_f16(from_f16((u16)a) - from_f16((u16)b)) | (u32)to_f16(from_f16((u16)(a >> 16)) - from_f16((u16)(b >> 16))) << 16;
}
// As the PTX manual lays the operands out: a (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8); b (2t, g), (2t + 8, g);
// d (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
template <bool BF>
inline void emulated_mma(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
  using namespace emulated;
  int lane = current & 31, base = current & ~31;
  u32 mine[6] = {a0, a1, a2, a3, b0, b1};
  for (int i = 0; i < 6; i++) given[current][i] = mine[i];
  __syncwarp();
  auto value = [](u32 u, int high) { u16 h = (u16)(high ? u >> 16 : u); return BF ? __uint_as_float((u32)h << 16) : from_f16(h); };
  for (int i = 0; i < 4; i++) {
    int row = (lane >> 2) + (i >= 2 ? 8 : 0), column = (lane & 3) * 2 + (i & 1);
    float sum = d[i];
    for (int k = 0; k < 16; k++) {
      int t = (k & 7) >> 1;
      u32 a = (u32)given[base + (row & 7) * 4 + t][(row >> 3) + (k >> 3) * 2], b = (u32)given[base + column * 4 + t][4 + (k >> 3)];
      sum += value(a, k & 1) * value(b, k & 1);
    }
    d[i] = sum;
  }
  __syncwarp();
}
inline void mma_f16(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) { emulated_mma<false>(d, a0, a1, a2, a3, b0, b1); }
inline void mma_bf16(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) { emulated_mma<true>(d, a0, a1, a2, a3, b0, b1); }
