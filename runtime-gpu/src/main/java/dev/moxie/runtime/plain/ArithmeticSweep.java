package dev.moxie.runtime.plain;

import jdk.incubator.vector.FloatVector;

/** Multiplies and adds with the threads that compute, in registers alone: no product is faster. */
public final class ArithmeticSweep {
  /** Times that a turn goes over its sums: about a tenth of a millisecond. */
  private static final int ROUNDS = 1 << 16;

  /** Sums that wait for nothing but themselves, more than processors work on at once. */
  private static final int CHAINS = 16;

  private static final int TURNS_OF_A_THREAD = 16;

  private final float[] sums = new float[turns() * Lanes.WIDTH];

  private static int turns() {
    return Team.shared().threads() * TURNS_OF_A_THREAD;
  }

  /** Operations of a run, of which a multiply-add is two. */
  public static double operations() {
    return 2.0 * turns() * ROUNDS * CHAINS * Lanes.WIDTH;
  }

  /**
   * Computes.
   *
   * @return what proves it: the sum of all that was computed
   */
  public float run() {
    Team.shared()
        .each(
            turns(),
            (long) ROUNDS * CHAINS * Lanes.WIDTH,
            (turn, scratch) -> turn(turn * Lanes.WIDTH));
    float all = 0;
    for (float sum : sums) {
      all += sum;
    }
    return all;
  }

  private void turn(int at) {
    FloatVector factor = FloatVector.broadcast(Lanes.FLOATS, 0.5f);
    FloatVector one = FloatVector.broadcast(Lanes.FLOATS, 1);
    FloatVector a = one;
    FloatVector b = one;
    FloatVector c = one;
    FloatVector d = one;
    FloatVector e = one;
    FloatVector f = one;
    FloatVector g = one;
    FloatVector h = one;
    FloatVector i = one;
    FloatVector j = one;
    FloatVector k = one;
    FloatVector l = one;
    FloatVector m = one;
    FloatVector n = one;
    FloatVector o = one;
    FloatVector p = one;
    for (int round = 0; round < ROUNDS; round++) {
      a = a.fma(factor, one);
      b = b.fma(factor, one);
      c = c.fma(factor, one);
      d = d.fma(factor, one);
      e = e.fma(factor, one);
      f = f.fma(factor, one);
      g = g.fma(factor, one);
      h = h.fma(factor, one);
      i = i.fma(factor, one);
      j = j.fma(factor, one);
      k = k.fma(factor, one);
      l = l.fma(factor, one);
      m = m.fma(factor, one);
      n = n.fma(factor, one);
      o = o.fma(factor, one);
      p = p.fma(factor, one);
    }
    FloatVector first = a.add(b).add(c).add(d).add(e).add(f).add(g).add(h);
    FloatVector second = i.add(j).add(k).add(l).add(m).add(n).add(o).add(p);
    first.add(second).intoArray(sums, at);
  }
}
