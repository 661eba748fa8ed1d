package dev.moxie.runtime.plain;

import jdk.incubator.vector.FloatVector;

/** Sums of products of rows, as {@link Lanes} says. */
final class Sums {
  /** Rows whose sums a kernel computes side by side, so that it loads a vector of x once. */
  static final int ROWS = 4;

  /** Tokens likewise. */
  static final int TOKENS = 4;

  private Sums() {}

  /**
   * Partial sums of four rows with one token.
   *
   * @param from where the rows begin, {@code stride} apart
   * @param k a multiple of {@link Lanes#COUNT}
   * @param lanes [4, COUNT]
   */
  static void rows(float[] w, int from, int stride, int k, float[] x, int at, float[] lanes) {
    for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
      FloatVector a = FloatVector.zero(Lanes.FLOATS);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      for (int i = p; i < k; i += Lanes.COUNT) {
        FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, at + i);
        a = FloatVector.fromArray(Lanes.FLOATS, w, from + i).fma(v, a);
        b = FloatVector.fromArray(Lanes.FLOATS, w, from + stride + i).fma(v, b);
        c = FloatVector.fromArray(Lanes.FLOATS, w, from + 2 * stride + i).fma(v, c);
        d = FloatVector.fromArray(Lanes.FLOATS, w, from + 3 * stride + i).fma(v, d);
      }
      store(a, b, c, d, lanes, p);
    }
  }

  /**
   * Partial sums of four rows with four tokens.
   *
   * @param apart numbers from one token's x to the next one's
   * @param lanes [4 tokens, 4 rows, COUNT]
   */
  static void tile(
      float[] w, int from, int stride, int k, float[] x, int at, int apart, float[] lanes) {
    for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
      FloatVector a0 = FloatVector.zero(Lanes.FLOATS);
      FloatVector a1 = a0;
      FloatVector a2 = a0;
      FloatVector a3 = a0;
      FloatVector b0 = a0;
      FloatVector b1 = a0;
      FloatVector b2 = a0;
      FloatVector b3 = a0;
      FloatVector c0 = a0;
      FloatVector c1 = a0;
      FloatVector c2 = a0;
      FloatVector c3 = a0;
      FloatVector d0 = a0;
      FloatVector d1 = a0;
      FloatVector d2 = a0;
      FloatVector d3 = a0;
      for (int i = p; i < k; i += Lanes.COUNT) {
        FloatVector w0 = FloatVector.fromArray(Lanes.FLOATS, w, from + i);
        FloatVector w1 = FloatVector.fromArray(Lanes.FLOATS, w, from + stride + i);
        FloatVector w2 = FloatVector.fromArray(Lanes.FLOATS, w, from + 2 * stride + i);
        FloatVector w3 = FloatVector.fromArray(Lanes.FLOATS, w, from + 3 * stride + i);
        FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, at + i);
        a0 = w0.fma(v, a0);
        a1 = w1.fma(v, a1);
        a2 = w2.fma(v, a2);
        a3 = w3.fma(v, a3);
        v = FloatVector.fromArray(Lanes.FLOATS, x, at + apart + i);
        b0 = w0.fma(v, b0);
        b1 = w1.fma(v, b1);
        b2 = w2.fma(v, b2);
        b3 = w3.fma(v, b3);
        v = FloatVector.fromArray(Lanes.FLOATS, x, at + 2 * apart + i);
        c0 = w0.fma(v, c0);
        c1 = w1.fma(v, c1);
        c2 = w2.fma(v, c2);
        c3 = w3.fma(v, c3);
        v = FloatVector.fromArray(Lanes.FLOATS, x, at + 3 * apart + i);
        d0 = w0.fma(v, d0);
        d1 = w1.fma(v, d1);
        d2 = w2.fma(v, d2);
        d3 = w3.fma(v, d3);
      }
      store(a0, a1, a2, a3, lanes, p);
      store(b0, b1, b2, b3, lanes, 4 * Lanes.COUNT + p);
      store(c0, c1, c2, c3, lanes, 8 * Lanes.COUNT + p);
      store(d0, d1, d2, d3, lanes, 12 * Lanes.COUNT + p);
    }
  }

  static void store(
      FloatVector a, FloatVector b, FloatVector c, FloatVector d, float[] lanes, int at) {
    a.intoArray(lanes, at);
    b.intoArray(lanes, at + Lanes.COUNT);
    c.intoArray(lanes, at + 2 * Lanes.COUNT);
    d.intoArray(lanes, at + 3 * Lanes.COUNT);
  }

  /**
   * The sum of the partial sums that begin there; the upper half goes onto the lower, and so on.
   */
  static float fold(float[] s, int at) {
    FloatVector lower = four(s, at).add(four(s, at + 8));
    lower.add(four(s, at + 4).add(four(s, at + 12))).intoArray(s, at);
    return (s[at] + s[at + 2]) + (s[at + 1] + s[at + 3]);
  }

  private static FloatVector four(float[] s, int at) {
    return FloatVector.fromArray(FloatVector.SPECIES_128, s, at);
  }

  /**
   * Σ a_i b_i of any count; what is left beyond the last whole {@link Lanes#COUNT} is added one by
   * one.
   */
  static float dot(float[] a, int from, float[] b, int start, int count) {
    float sum = 0;
    for (int i = 0; i < count; i++) {
      sum = Math.fma(a[from + i], b[start + i], sum);
    }
    return sum;
  }

  /** The same, in lanes. */
  static float dot(float[] a, int from, float[] b, int start, int count, float[] lanes) {
    int whole = count & -Lanes.COUNT;
    float sum = 0;
    if (whole > 0) {
      for (int p = 0; p < Lanes.COUNT; p += Lanes.WIDTH) {
        FloatVector s = FloatVector.zero(Lanes.FLOATS);
        for (int i = p; i < whole; i += Lanes.COUNT) {
          FloatVector v = FloatVector.fromArray(Lanes.FLOATS, b, start + i);
          s = FloatVector.fromArray(Lanes.FLOATS, a, from + i).fma(v, s);
        }
        s.intoArray(lanes, p);
      }
      sum = fold(lanes, 0);
    }
    for (int i = whole; i < count; i++) {
      sum = Math.fma(a[from + i], b[start + i], sum);
    }
    return sum;
  }

  /** y_i = factor · x_i + other · z_i of a row of x and the same row of y; z begins at 0. */
  static void fade(float factor, float[] x, float other, float[] z, float[] y, int at, int count) {
    int whole = count & -Lanes.WIDTH;
    FloatVector f = FloatVector.broadcast(Lanes.FLOATS, factor);
    FloatVector o = FloatVector.broadcast(Lanes.FLOATS, other);
    for (int i = 0; i < whole; i += Lanes.WIDTH) {
      FloatVector faded = FloatVector.fromArray(Lanes.FLOATS, x, at + i).mul(f);
      FloatVector.fromArray(Lanes.FLOATS, z, i).fma(o, faded).intoArray(y, at + i);
    }
    for (int i = whole; i < count; i++) {
      y[at + i] = Math.fma(other, z[i], factor * x[at + i]);
    }
  }

  /** Adds factor · x_i to every sum. */
  static void add(float factor, float[] x, int from, float[] sums, int at, int count) {
    int whole = count & -Lanes.WIDTH;
    FloatVector f = FloatVector.broadcast(Lanes.FLOATS, factor);
    for (int i = 0; i < whole; i += Lanes.WIDTH) {
      FloatVector s = FloatVector.fromArray(Lanes.FLOATS, sums, at + i);
      FloatVector.fromArray(Lanes.FLOATS, x, from + i).fma(f, s).intoArray(sums, at + i);
    }
    for (int i = whole; i < count; i++) {
      sums[at + i] = Math.fma(factor, x[from + i], sums[at + i]);
    }
  }
}
