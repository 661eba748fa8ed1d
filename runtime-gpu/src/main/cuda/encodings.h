// Stored encodings as operands of the tensor cores' 16 x 8 x 16 product.
//
// A thread (g = lane / 4, t = lane % 4) of a warp holds rows g and g + 8 of 16, and of the columns what it loads in one
// piece of 16 bytes; the activations lie permuted likewise, so nothing is shuffled. Activations keep float32's precision
// as the sum of parts, each a column of the product: three bfloat16, or two float16, the second times 2^11.
// Numbers of four bits have a scale for 32 columns, which are those of one thread: columns 2t and 2t + 1 of the product
// hold the parts for t's columns alone, the others being zero, so that each thread finds its own block's sums.
#pragma once
#include "device.h"

enum { BF16, F16, FP8, INT8, INT4, MXFP4 };

template <int ENC>
struct Encoding {
  static constexpr bool nibbles = ENC == INT4 || ENC == MXFP4;
  static constexpr int parts = ENC == BF16 ? 3 : 2;
  // columns of the product that a token takes
  static constexpr int columns = nibbles ? 8 : parts;
  // weights in 16 bytes, and in the 64 bytes of a row that four threads load
  static constexpr int held = ENC <= F16 ? 8 : nibbles ? 32 : 16;
  static constexpr int piece = 4 * held;
  static constexpr bool scaled = ENC >= FP8;
  // float16 parts are of x / 16: activations up to a million are finite
  static constexpr float before = ENC == BF16 ? 1.f : 1.f / 16;
  static constexpr float after = ENC == BF16 ? 1.f : ENC == FP8 ? 16.f * 256 : ENC == MXFP4 ? 16.f * 16384 : 16.f;

  // tiles of eight columns that a token, or all of so many, has a part in, as bits
  static DEVICE int tiles_of(int token) { return 1 << token * columns / 8 | 1 << (token * columns + columns - 1) / 8; }
  static DEVICE int all_tiles(int tokens) { return (1 << (tokens * columns + 7) / 8) - 1; }

  static DEVICE u64 bytes(u64 weights) { return ENC <= F16 ? 2 * weights : nibbles ? weights / 2 : weights; }

  // where column k lies among the activations
  static DEVICE int place(int k) {
    if (ENC <= F16) return k;
    if (nibbles) return (k & ~7) | ((k & 3) << 1) | ((k >> 2) & 1);
    return (k & ~3) | ((k & 1) << 1) | ((k >> 1) & 1);
  }

  // writes eight columns, the first a multiple of eight, as their parts; `stride` lies between parts
  static DEVICE void put(u16* to, int stride, int k, const float (&x)[8]) {
    u32 packed[parts][4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      u16 half[parts][2];
#pragma unroll
      for (int j = 0; j < 2; j++) {
        int at = 0;
#pragma unroll
        for (int q = 0; q < 8; q++)
          if (place(q) == 2 * i + j) at = q;
        float v = x[at] * before;
        if (ENC == INT4 && (at & 1)) v *= 1.f / 16;  // odd nibbles are read as sixteen times themselves
        if (ENC == BF16) {
          half[0][j] = to_bf16(v);
          v -= from_bf16(half[0][j]);
          half[1][j] = to_bf16(v);
          half[parts - 1][j] = to_bf16(v - from_bf16(half[1][j]));
        } else {
          half[0][j] = to_f16(v);
          half[1][j] = to_f16((v - from_f16(half[0][j])) * 2048.f);
        }
      }
#pragma unroll
      for (int p = 0; p < parts; p++) packed[p][i] = half[p][0] | (u32)half[p][1] << 16;
    }
#pragma unroll
    for (int p = 0; p < parts; p++)
      *(uint4*)(to + (u64)p * stride + k) = make_uint4(packed[p][0], packed[p][1], packed[p][2], packed[p][3]);
  }
  static DEVICE void put(u16* to, int stride, int k, float x) {
    int p = place(k);
    x *= before;
    if (ENC == INT4 && (k & 1)) x *= 1.f / 16;
    u16 a = ENC == BF16 ? to_bf16(x) : to_f16(x);
    to[p] = a;
    if (ENC == BF16) {
      x -= from_bf16(a);
      u16 b = to_bf16(x);
      to[stride + p] = b;
      to[2 * stride + p] = to_bf16(x - from_bf16(b));
    } else {
      to[stride + p] = to_f16((x - from_f16(a)) * 2048.f);
    }
  }
  // what a column of the product counts in the sum
  static DEVICE float factor(int column) { return (ENC != BF16 && (column & 1)) ? after / 2048 : after; }

  static DEVICE void mma(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    if (ENC == BF16) mma_bf16(d, a0, a1, a2, a3, b0, b1);
    else mma_f16(d, a0, a1, a2, a3, b0, b1);
  }
};

// e4m3 as float16 of the value / 256, exactly: bytes 1 and 3 of w
DEVICE u32 fp8_odd(u32 w) { return ((w >> 1) & 0x3f803f80u) | (w & 0x80008000u); }
DEVICE void unpack_fp8(u32 w, u32& even, u32& odd) {
  even = fp8_odd(w << 8);
  odd = fp8_odd(w);
}
// 1024 + (value + 128) as float16, less 1152
DEVICE void unpack_int8(u32 w, u32& even, u32& odd) {
  w ^= 0x80808080u;
  even = sub_f16x2((w & 0x00ff00ffu) | 0x64006400u, 0x64806480u);
  odd = sub_f16x2(((w >> 8) & 0x00ff00ffu) | 0x64006400u, 0x64806480u);
}
// nibbles (0, 4), (1, 5), (2, 6), (3, 7) as value - 8, those of odd place times 16
DEVICE void unpack_int4(u32 w, u32 (&a)[4]) {
  u32 v = w >> 8;
  a[0] = sub_f16x2((w & 0x000f000fu) | 0x64006400u, 0x64086408u);
  a[1] = sub_f16x2((w & 0x00f000f0u) | 0x64006400u, 0x64806480u);
  a[2] = sub_f16x2((v & 0x000f000fu) | 0x64006400u, 0x64086408u);
  a[3] = sub_f16x2((v & 0x00f000f0u) | 0x64006400u, 0x64806480u);
}
// likewise e2m1 as float16 of the value / 16384
DEVICE void unpack_mxfp4(u32 w, u32 (&a)[4]) {
  a[0] = ((w << 9) & 0x0e000e00u) | ((w << 12) & 0x80008000u);
  a[1] = ((w << 5) & 0x0e000e00u) | ((w << 8) & 0x80008000u);
  a[2] = ((w << 1) & 0x0e000e00u) | ((w << 4) & 0x80008000u);
  a[3] = ((w >> 3) & 0x0e000e00u) | (w & 0x80008000u);
}
DEVICE float e8m0(u8 code) {
  return __uint_as_float(code == 0 ? 0x00400000u : code == 255 ? 0x7fc00000u : (u32)code << 23);
}
