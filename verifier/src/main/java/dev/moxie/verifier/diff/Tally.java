package dev.moxie.verifier.diff;

import java.lang.foreign.Arena;

/**
 * The differences between the values of two leaves, summed up in one pass, and digests by which
 * either is found again elsewhere.
 */
final class Tally {
  /** Of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators"). */
  private static final long GAMMA = 0x9E3779B97F4A7C15L;

  private final Digest digestOfA = new Digest();
  private final Digest digestOfB = new Digest();
  // What was summed up so far, for whoever adds up several.
  long compared;
  long differing;
  long notFinite;
  double maxAbs;
  double sumOfSquares;
  double sumOfSquaresOfA;
  double largestOfA;
  long worstAt;
  double worstOfA;
  double worstOfB;

  /**
   * What leaves of equal values have in common.
   *
   * @param ordered of the values in their order
   * @param unordered of the values in any order
   * @param constant whether all values are one, so that likeness says nothing
   */
  record Fingerprint(long ordered, long unordered, boolean constant) {}

  /** Sums over the values of one leaf. */
  static final class Digest {
    private long at;
    private long ordered;
    private long unordered;
    private long first;
    private boolean varied;

    /** Takes in the next values. */
    void add(double[] values, int count) {
      if (at == 0 && count > 0) {
        first = Double.doubleToRawLongBits(values[0]);
      }
      long sum = 0;
      long place = 0;
      long other = 0;
      for (int i = 0; i < count; i++) {
        long bits = Double.doubleToRawLongBits(values[i]);
        long mixed = mix(bits);
        sum += mixed;
        place += mixed * ((at + i) * GAMMA | 1);
        other |= bits ^ first;
      }
      at += count;
      unordered += sum;
      ordered += place;
      varied |= other != 0;
    }

    Fingerprint fingerprint() {
      return new Fingerprint(ordered, unordered, !varied);
    }

    private static long mix(long bits) {
      long z = (bits ^ bits >>> 30) * 0xBF58476D1CE4E5B9L;
      z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
      return z ^ z >>> 31;
    }
  }

  /** Compares two leaves that have values in common. */
  static Tally of(Leaf a, Leaf b) {
    var tally = new Tally();
    double[] chunkOfA = new double[Values.CHUNK];
    double[] chunkOfB = new double[Values.CHUNK];
    try (Arena arena = Arena.ofConfined()) {
      var valuesOfA = new Values(a, arena);
      var valuesOfB = new Values(b, arena);
      long count = valuesOfA.count();
      for (long start = 0; start < count; start += Values.CHUNK) {
        int size = (int) Math.min(Values.CHUNK, count - start);
        valuesOfA.read(start, size, chunkOfA);
        valuesOfB.read(start, size, chunkOfB);
        tally.add(chunkOfA, chunkOfB, size);
      }
    }
    return tally;
  }

  /** The fingerprint of a leaf that has no counterpart. */
  static Fingerprint fingerprint(Leaf leaf) {
    var digest = new Digest();
    double[] chunk = new double[Values.CHUNK];
    try (Arena arena = Arena.ofConfined()) {
      var values = new Values(leaf, arena);
      for (long start = 0; start < values.count(); start += Values.CHUNK) {
        int size = (int) Math.min(Values.CHUNK, values.count() - start);
        values.read(start, size, chunk);
        digest.add(chunk, size);
      }
    }
    return digest.fingerprint();
  }

  private void add(double[] a, double[] b, int count) {
    double squares = 0;
    double largest = largestOfA;
    for (int i = 0; i < count; i++) {
      double ofA = a[i];
      double magnitude = Math.abs(ofA);
      if (magnitude < Double.POSITIVE_INFINITY) {
        squares += ofA * ofA;
        largest = Math.max(largest, magnitude);
      }
      if (Double.doubleToRawLongBits(ofA) != Double.doubleToRawLongBits(b[i])
          && !(Double.isNaN(ofA) && Double.isNaN(b[i]))) {
        differ(compared + i, ofA, b[i]);
      }
    }
    compared += count;
    sumOfSquaresOfA += squares;
    largestOfA = largest;
    digestOfA.add(a, count);
    digestOfB.add(b, count);
  }

  private void differ(long at, double a, double b) {
    double difference = Math.abs(a - b);
    boolean finite = difference < Double.POSITIVE_INFINITY;
    if (differing == 0 || (finite ? notFinite == 0 && difference > maxAbs : notFinite == 0)) {
      worstAt = at;
      worstOfA = a;
      worstOfB = b;
    }
    differing++;
    if (finite) {
      maxAbs = Math.max(maxAbs, difference);
      sumOfSquares += difference * difference;
    } else {
      notFinite++;
    }
  }

  Fingerprint fingerprintOfA() {
    return digestOfA.fingerprint();
  }

  Fingerprint fingerprintOfB() {
    return digestOfB.fingerprint();
  }
}
