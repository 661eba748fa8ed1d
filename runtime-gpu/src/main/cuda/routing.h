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

// The place of the largest of n numbers, the lowest of equal ones; NaNs do not count, and 0 where there is nothing else.
DEVICE int warp_largest(const float* x, int n) {
  int lane = threadIdx.x & 31, at = 0x7fffffff;
  float best = 0;
  for (int i = lane; i < n; i += 32)
    if (x[i] == x[i] && (at == 0x7fffffff || x[i] > best)) best = x[i], at = i;
#pragma unroll
  for (int o = 16; o; o >>= 1) {
    float y = __shfl_xor_sync(~0u, best, o);
    int i = __shfl_xor_sync(~0u, at, o);
    bool mine = at != 0x7fffffff, other = i != 0x7fffffff;
    if (other && (!mine || y > best || (y == best && i < at))) best = y, at = i;
  }
  return at == 0x7fffffff ? 0 : at;
}

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
  if (a.groups) {
    int size = n / a.groups;
    for (int q = lane; q < a.groups; q += 32) {
      float first = minus, second = minus;
      for (int i = q * size; i < (q + 1) * size; i++) {
        if (c[i] > first) second = first, first = c[i];
        else second = fmaxf(second, c[i]);
      }
      group[q] = a.topTwo ? first + second : first;
    }
    __syncwarp();
    // kept groups are marked by turning what they hold into NaN, which is never the largest
    for (int i = 0; i < a.kept; i++) {
      int q = warp_largest(group, a.groups);
      __syncwarp();
      if (lane == 0) group[q] = NAN;
      __syncwarp();
    }
    for (int i = lane; i < n; i += 32)
      if (group[i / size] == group[i / size]) c[i] = a.maskZero ? 0 : minus;
    __syncwarp();
  }
  float sum = 0;
  for (int j = 0; j < a.chosen; j++) {
    int e = warp_largest(c, n);
    __syncwarp();
    if (lane == 0) {
      choice[j] = e;
      weight[j] = s[e];
      c[e] = NAN;
    }
    __syncwarp();
    sum += s[e];
  }
  if (lane == 0)
    for (int j = 0; j < a.chosen; j++)
      weight[j] = (a.normalised ? weight[j] / (fmaxf(sum, a.least) + a.epsilon) : weight[j]) * a.scale;
}

// One block decides for all tokens, and notes who chose which expert. Shared: experts floats three times for each warp.
DEVICE void plan_experts(const RouteArgs& a, u8* shared) {
  __shared__ int choice[16 * 32];
  __shared__ float weight[16 * 32];
  int warps = blockDim.x >> 5, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  float* room = (float*)shared + 3 * a.experts * warp;
  for (int token = warp; token < a.tokens; token += warps) {
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
  } else {
    // an expert's place among the distinct ones is the number of first choosers before its own first chooser
    for (int i = threadIdx.x; i < slots; i += blockDim.x) {
      int leader = 0;
      while (choice[leader] != choice[i]) leader++;
      int u = 0;
      for (int j = 0; j < leader; j++) {
        int f = 0;
        while (choice[f] != choice[j]) f++;
        u += f == j;
      }
      if (leader == i) {
        a.plan[1 + u] = choice[i];
        for (int t = 0; t < a.tokens; t++) {
          int slot = -1;
          for (int j = 0; j < a.chosen; j++)
            if (choice[t * a.chosen + j] == choice[i]) slot = t * a.chosen + j;
          a.plan[1 + slots + u * a.tokens + t] = slot;
        }
      }
      if (i == slots - 1) {
        int distinct = 0;
        for (int j = 0; j < slots; j++) {
          int f = 0;
          while (choice[f] != choice[j]) f++;
          distinct += f == j;
        }
        a.plan[0] = distinct;
      }
    }
  }
}

// Experts' logits, a few rows a block, the norm with them; the block that ends last decides for all tokens.
// Grid: ceil(experts / rows); shared: as plan_experts.
DEVICE void route(const RouteArgs& a, int rows, u8* shared) {
  __shared__ float part[64];
  __shared__ int last;
  int warps = blockDim.x >> 5, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  int first = blockIdx.x * rows, end = min(first + rows, a.experts);
  for (int i = first * a.hidden + threadIdx.x * 64; i < end * a.hidden; i += blockDim.x * 64)
    prefetch(a.weights + (u64)i * (a.weightsAreFloat ? 4 : 2));
  await_previous();
  for (int token = 0; token < a.tokens; token++) {
    const float* x = a.x + (u64)token * a.xStride;
    for (int e = first; e < end; e++) {
      float dot = 0, square = 0;
#pragma unroll 4
      for (int k = threadIdx.x * 4; k < a.hidden; k += blockDim.x * 4) {
        float4 v = __ldcg((const float4*)(x + k)), n = __ldg((const float4*)(a.norm + k));
        float4 w;
        if (a.weightsAreFloat) {
          w = __ldg((const float4*)((const float*)a.weights + (u64)e * a.hidden + k));
        } else {
          uint2 u = __ldg((const uint2*)((const u16*)a.weights + (u64)e * a.hidden + k));
          w = make_float4(from_bf16((u16)u.x), from_bf16((u16)(u.x >> 16)), from_bf16((u16)u.y), from_bf16((u16)(u.y >> 16)));
        }
        square += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
        dot += v.x * n.x * w.x + v.y * n.y * w.y + v.z * n.z * w.z + v.w * n.w * w.w;
      }
      dot = warp_sum(dot);
      square = warp_sum(square);
      if (lane == 0) part[warp] = dot, part[32 + warp] = square;
      __syncthreads();
      if (threadIdx.x == 0) {
        dot = square = 0;
        for (int w = 0; w < warps; w++) dot += part[w], square += part[32 + w];
        a.logits[token * a.experts + e] = dot / sqrtf(square / a.hidden + a.normEpsilon);
      }
      __syncthreads();
    }
  }
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicAdd(a.arrived, 1) == (int)gridDim.x - 1;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  plan_experts(a, shared);
  if (threadIdx.x == 0) *a.arrived = 0;
}
