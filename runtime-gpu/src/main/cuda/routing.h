// Which experts a token takes, and how much of each: format-spec/SPEC.md, section 4, "routing".
#pragma once
#include "device.h"

enum { NO_BIAS, BIAS_SELECTS, BIAS_SELECTS_AND_WEIGHS, BIAS_OF_LOGITS };

struct RouteArgs {
  const u8* weights;  // [E, H], bfloat16 or float32
  int weightsAreFloat;
  const float* bias;
  int biasMode, experts, hidden, chosen, tokens;
  int sigmoid, groups, kept, topTwo, maskZero;  // groups 0: none
  int normalised;
  float epsilon, least, scale;  // least 0: none
  const float* x;
  int xStride;
  const float* norm;
  float normEpsilon;
  float* logits;   // [tokens, experts]
  int* plan;       // see ExpertsArgs
  float* slotWeights;
  int* arrived;    // 0 between launches
};

// Numbers as integers of the same order; NaNs, which do not count, as 0.
DEVICE u32 order_of(float x) {
  u32 u = __float_as_uint(x + 0.f);  // no negative zero
  return x != x ? 0 : u >> 31 ? ~u : u | 0x80000000u;
}

// A warp takes the largest of n numbers again and again, the first of equal ones; 0 where there is nothing left. What is
// taken becomes 0.
struct Taker {
  u32* keys;
  int n, at;
  u32 best;  // of the lane's own

  DEVICE Taker(u32* keys, int n) : keys(keys), n(n) { look(); }
  DEVICE void look() {
    best = 0, at = 0x7fffffff;
    for (int i = threadIdx.x & 31; i < n; i += 32)
      if (keys[i] > best) best = keys[i], at = i;
  }
  DEVICE int take() {
    u32 top = __reduce_max_sync(~0u, best);
    int place = (int)__reduce_min_sync(~0u, best == top ? (u32)at : 0x7fffffffu);
    if (top == 0) return 0;
    if (place == at) {
      keys[place] = 0;
      look();
    }
    return place;
  }
};

// One warp decides for one token. `s` holds logits and becomes scores; `c` and `group` are room for as many.
DEVICE void decide(const RouteArgs& a, float* s, float* c, float* group, int* choice, float* weight) {
  int lane = threadIdx.x & 31, n = a.experts;
  const float minus = -INFINITY;
  if (a.biasMode == BIAS_OF_LOGITS)
    for (int i = lane; i < n; i += 32) s[i] += a.bias[i];
  if (a.sigmoid) {
    for (int i = lane; i < n; i += 32) s[i] = 1 / (1 + expf(-s[i]));
  } else {
    float most = minus, sum = 0;
    for (int i = lane; i < n; i += 32) most = fmaxf(most, s[i]);
#pragma unroll
    for (int o = 16; o; o >>= 1) most = fmaxf(most, __shfl_xor_sync(~0u, most, o));
    for (int i = lane; i < n; i += 32) sum += s[i] = expf(s[i] - most);
    sum = warp_sum(sum);
    for (int i = lane; i < n; i += 32) s[i] /= sum;
  }
  bool biased = a.biasMode == BIAS_SELECTS || a.biasMode == BIAS_SELECTS_AND_WEIGHS;
  for (int i = lane; i < n; i += 32) {
    c[i] = biased ? s[i] + a.bias[i] : s[i];
    if (a.biasMode == BIAS_SELECTS_AND_WEIGHS) s[i] = c[i];
  }
  __syncwarp();
  u32 *keys = (u32*)c, *groupKeys = (u32*)group;
  int size = n;
  if (a.groups) {
    size = n / a.groups;
    // lanes of a group, where there are lanes for several
    int each = 1;
    while (2 * each * a.groups <= 32) each *= 2;
    for (int q0 = 0; q0 < a.groups; q0 += 32 / each) {
      int q = q0 + lane / each;
      float first = minus, second = minus;
      if (q < a.groups)
#pragma unroll 4
        for (int i = q * size + lane % each; i < (q + 1) * size; i += each) {
          second = fmaxf(second, fminf(first, c[i]));
          first = fmaxf(first, c[i]);
        }
      for (int o = 1; o < each; o *= 2) {
        float f = __shfl_xor_sync(~0u, first, o), g = __shfl_xor_sync(~0u, second, o);
        second = fmaxf(fminf(first, f), fmaxf(second, g));
        first = fmaxf(first, f);
      }
      if (q < a.groups && lane % each == 0) groupKeys[q] = order_of(a.topTwo ? first + second : first);
    }
    __syncwarp();
    Taker kept(groupKeys, a.groups);
    for (int i = 0; i < a.kept; i++) kept.take();
    __syncwarp();
  }
  // kept groups have become 0
  for (int i = lane; i < n; i += 32)
    keys[i] = order_of(a.groups && groupKeys[i / size] ? (a.maskZero ? 0 : minus) : c[i]);
  Taker experts(keys, n);
  float sum = 0;
  for (int j = 0; j < a.chosen; j++) {
    int e = experts.take();
    sum += s[e];
    if (lane == 0) choice[j] = e;
  }
  __syncwarp();
  for (int j = lane; j < a.chosen; j += 32)
    weight[j] = (a.normalised ? s[choice[j]] / (fmaxf(sum, a.least) + a.epsilon) : s[choice[j]]) * a.scale;
}

// One block decides for all tokens, and notes who chose which expert. Shared: experts floats three times for each warp.
DEVICE void plan_experts(const RouteArgs& a, u8* shared) {
  __shared__ int choice[16 * 32];
  __shared__ float weight[16 * 32];
  __shared__ int leader[16 * 32];
  int warps = blockDim.x >> 5, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  float* room = (float*)shared + 3 * a.experts * warp;
  for (int token = warp; token < a.tokens; token += warps) {
#pragma unroll 4
    for (int i = lane; i < a.experts; i += 32) room[i] = __ldcg(a.logits + token * a.experts + i);
    __syncwarp();
    decide(a, room, room + a.experts, room + 2 * a.experts, choice + token * a.chosen, weight + token * a.chosen);
    __syncwarp();
  }
  __syncthreads();
  int slots = a.tokens * a.chosen;
  for (int i = threadIdx.x; i < slots; i += blockDim.x) a.slotWeights[i] = weight[i];
  if (a.tokens == 1) {
    for (int i = threadIdx.x; i < slots; i += blockDim.x) a.plan[1 + i] = choice[i], a.plan[1 + slots + i] = i;
    if (threadIdx.x == 0) a.plan[0] = slots;
    return;
  }
  // an expert's place among the distinct ones is the number of first choosers before its own first chooser
  for (int i = threadIdx.x; i < slots; i += blockDim.x) {
    int first = 0;
    while (choice[first] != choice[i]) first++;
    leader[i] = first;
  }
  for (int i = threadIdx.x; i < slots * a.tokens; i += blockDim.x) a.plan[1 + slots + i] = -1;
  __syncthreads();
  for (int i = threadIdx.x; i < slots; i += blockDim.x) {
    int u = 0;
    for (int j = 0; j < leader[i]; j++) u += leader[j] == j;
    a.plan[1 + slots + u * a.tokens + i / a.chosen] = i;
    if (leader[i] == i) a.plan[1 + u] = choice[i];
  }
  if (warp == warps - 1) {
    int distinct = 0;
    for (int j = lane; j < slots; j += 32) distinct += leader[j] == j;
    distinct = (int)warp_sum((float)distinct);
    if (lane == 0) a.plan[0] = distinct;
  }
}

// Eight weights of a router's row and of the norm.
struct RouterPiece {
  uint4 w[2];
  float4 norm[2];
  DEVICE void load(const RouteArgs& a, int expert, int k) {
    u64 at = (u64)expert * a.hidden + k;
    w[0] = __ldg((const uint4*)(a.weights + at * (a.weightsAreFloat ? 4 : 2)));
    if (a.weightsAreFloat) w[1] = __ldg((const uint4*)(a.weights + at * 4) + 1);
    norm[0] = __ldg((const float4*)(a.norm + k)), norm[1] = __ldg((const float4*)(a.norm + k) + 1);
  }
  DEVICE void add(const RouteArgs& a, const float* x, float& dot, float& square) const {
    float4 v[2] = {__ldcg((const float4*)x), __ldcg((const float4*)x + 1)};
#pragma unroll
    for (int i = 0; i < 8; i++) {
      float y = ((const float*)v)[i];
      u32 u = ((const u32*)w)[a.weightsAreFloat ? i : i >> 1];
      float z = a.weightsAreFloat ? __uint_as_float(u) : from_bf16((u16)(i & 1 ? u >> 16 : u));
      square = fmaf(y, y, square);
      dot = fmaf(y * ((const float*)norm)[i], z, dot);
    }
  }
};

// Experts' logits, a few rows a block, the norm with them; the block that ends last decides for all tokens.
// Grid: ceil(experts / rows), 256 threads; shared: as plan_experts.
DEVICE void route(const RouteArgs& a, int rows, u8* shared) {
  constexpr int WARPS = 8, STEP = WARPS * 32 * 8, HELD = 4;
  __shared__ float2 part[16][WARPS];
  __shared__ int last;
  int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, k0 = threadIdx.x * 8;
  int first = blockIdx.x * rows, end = min(first + rows, a.experts);
  RouterPiece held[HELD];
  auto hold = [&](int e) {
#pragma unroll
    for (int i = 0; i < HELD; i++)
      if (k0 + i * STEP < a.hidden) held[i].load(a, e, k0 + i * STEP);
  };
  hold(first);
  await_previous();
  for (int e = first; e < end; e++) {
    if (e > first) {
      hold(e);
      __syncthreads();
    }
#pragma unroll 2
    for (int token = 0; token < a.tokens; token++) {
      const float* x = a.x + (u64)token * a.xStride;
      float dot = 0, square = 0;
#pragma unroll
      for (int i = 0; i < HELD; i++)
        if (k0 + i * STEP < a.hidden) held[i].add(a, x + k0 + i * STEP, dot, square);
      for (int k = k0 + HELD * STEP; k < a.hidden; k += STEP) {
        RouterPiece piece;
        piece.load(a, e, k);
        piece.add(a, x + k, dot, square);
      }
      dot = warp_sum(dot);
      square = warp_sum(square);
      if (lane == 0) part[token][warp] = make_float2(dot, square);
    }
    __syncthreads();
    if ((int)threadIdx.x < a.tokens) {
      float dot = 0, square = 0;
#pragma unroll
      for (int w = 0; w < WARPS; w++) dot += part[threadIdx.x][w].x, square += part[threadIdx.x][w].y;
      a.logits[threadIdx.x * a.experts + e] = dot / sqrtf(square / a.hidden + a.normEpsilon);
    }
  }
  __syncwarp();
  if (threadIdx.x == 0) last = arrive(a.arrived) == (int)gridDim.x - 1;
  __syncthreads();
  if (!last) return;
  plan_experts(a, shared);
  if (threadIdx.x == 0) *a.arrived = 0;
}
