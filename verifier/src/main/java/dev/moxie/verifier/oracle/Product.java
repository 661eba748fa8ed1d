package dev.moxie.verifier.oracle;

import java.util.Objects;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.IntStream;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * A product y = x Wᵀ with its errors, the rule of {@link Arithmetic} for many rows at once. Each of
 * its sums has {@value #LANES} partial sums, of which number l takes the terms at l, l + {@value
 * #LANES} and so on, and which are added up in one order: results have the same bits however wide
 * vectors are and however many threads there are.
 */
final class Product {
  private static final int LANES = 8;

  private static final VectorSpecies<Double> DOUBLES =
      DoubleVector.SPECIES_PREFERRED.length() > LANES
          ? DoubleVector.SPECIES_512
          : DoubleVector.SPECIES_PREFERRED;

  private static final int WIDTH = DOUBLES.length();

  /** Rows of W that are widened together: they stay in a processor's cache while x passes by. */
  private static final int ROWS = 16;

  /** Terms below which sharing them takes longer than they do. */
  private static final long WORTH_SHARING = 1 << 17;

  /** Sums of a pair of rows with a pair of tokens: of products, of their squares, of errors. */
  private static final int SUMS = 12;

  private final Arithmetic arithmetic;
  private final WeightMatrix matrix;
  private final int columns;

  /** Columns with as many zeros as fill up the last lanes. */
  private final int stride;

  private final double[] x;
  private final double[] squares;
  private final double[] errors;
  private final Estimate y;

  /** As many as there are threads: rows are many, and a panel is megabytes. */
  private final Queue<Panel> panels = new ConcurrentLinkedQueue<>();

  private Product(Arithmetic arithmetic, Estimate of, WeightMatrix matrix) {
    this.arithmetic = arithmetic;
    this.matrix = matrix;
    this.columns = matrix.columns();
    this.stride = columns + LANES - 1 & -LANES;
    // Tokens go in pairs; beside the last there may be zeros.
    int size = Math.multiplyExact(of.rows() + 1 & -2, stride);
    this.x = new double[size];
    this.squares = new double[size];
    this.errors = new double[size];
    for (int t = 0; t < of.rows(); t++) {
      for (int i = 0; i < columns; i++) {
        double value = of.value(t, i);
        double error = of.error(t, i);
        x[t * stride + i] = value;
        squares[t * stride + i] = value * value;
        errors[t * stride + i] = error * error;
      }
    }
    this.y = new Estimate(of.rows(), matrix.rows());
  }

  static Estimate of(Arithmetic arithmetic, Estimate x, WeightMatrix matrix) {
    return new Product(arithmetic, x, matrix).compute();
  }

  private Estimate compute() {
    IntStream chunks = IntStream.range(0, Math.ceilDiv(matrix.rows(), ROWS));
    boolean shared = (long) matrix.rows() * columns * y.rows() >= WORTH_SHARING;
    (shared ? chunks.parallel() : chunks).forEach(chunk -> rows(chunk * ROWS));
    return y;
  }

  /** What one thread needs for some rows: theirs, and sums. */
  private final class Panel {
    final double[] w;
    final double[] rounded;
    final double[] row = new double[columns];
    final double[] rounding;
    final double[] sums = new double[SUMS * LANES];

    Panel() {
      w = new double[ROWS * stride];
      rounding = new double[matrix.isExact() ? 0 : columns];
      rounded = new double[matrix.isExact() ? 0 : w.length];
    }

    /** Widens rows of W, and squares what was rounded off them. */
    void read(int first, int count) {
      for (int r = 0; r < count; r++) {
        matrix.read(first + r, row);
        System.arraycopy(row, 0, w, r * stride, columns);
        if (rounding.length > 0) {
          matrix.roundings(first + r, row, rounding);
          for (int i = 0; i < columns; i++) {
            rounded[r * stride + i] = rounding[i] * rounding[i];
          }
        }
      }
    }
  }

  /** Computes some columns of y. */
  private void rows(int first) {
    int count = Math.min(ROWS, matrix.rows() - first);
    Panel panel = Objects.requireNonNullElseGet(panels.poll(), Panel::new);
    panel.read(first, count);
    double[] sums = panel.sums;
    for (int t = 0; t < y.rows(); t += 2) {
      // Rows go in pairs, too; beside the last may be one that was read before.
      for (int r = 0; r < count; r += 2) {
        terms(panel.w, r * stride, t * stride, sums);
        if (panel.rounded.length > 0) {
          roundings(panel.rounded, r * stride, t * stride, sums);
        }
        for (int i = 0; i < 4; i++) {
          if (t + (i >> 1) < y.rows() && r + (i & 1) < count) {
            settle(t + (i >> 1), first + r + (i & 1), sums, 3 * i * LANES);
          }
        }
      }
    }
    panels.add(panel);
  }

  private void settle(int token, int row, double[] sums, int at) {
    double sum = fold(sums, at);
    double error =
        arithmetic.errorOfSum(columns, sum, fold(sums, at + LANES), fold(sums, at + 2 * LANES));
    y.set(token, row, sum, error);
  }

  /**
   * Partial sums of two rows of W with two tokens: w x, (w x)² and (w e)² for the first row and
   * token, the second row, then both with the second token.
   */
  private void terms(double[] w, int from, int at, double[] sums) {
    for (int p = 0; p < LANES; p += WIDTH) {
      DoubleVector zero = DoubleVector.zero(DOUBLES);
      DoubleVector a = zero;
      DoubleVector aa = zero;
      DoubleVector ae = zero;
      DoubleVector b = zero;
      DoubleVector bb = zero;
      DoubleVector be = zero;
      DoubleVector c = zero;
      DoubleVector cc = zero;
      DoubleVector ce = zero;
      DoubleVector d = zero;
      DoubleVector dd = zero;
      DoubleVector de = zero;
      for (int i = p; i < stride; i += LANES) {
        DoubleVector u = DoubleVector.fromArray(DOUBLES, w, from + i);
        DoubleVector v = DoubleVector.fromArray(DOUBLES, w, from + stride + i);
        DoubleVector factor = DoubleVector.fromArray(DOUBLES, x, at + i);
        a = u.fma(factor, a);
        b = v.fma(factor, b);
        factor = DoubleVector.fromArray(DOUBLES, x, at + stride + i);
        c = u.fma(factor, c);
        d = v.fma(factor, d);
        u = u.mul(u);
        v = v.mul(v);
        factor = DoubleVector.fromArray(DOUBLES, squares, at + i);
        aa = u.fma(factor, aa);
        bb = v.fma(factor, bb);
        factor = DoubleVector.fromArray(DOUBLES, squares, at + stride + i);
        cc = u.fma(factor, cc);
        dd = v.fma(factor, dd);
        factor = DoubleVector.fromArray(DOUBLES, errors, at + i);
        ae = u.fma(factor, ae);
        be = v.fma(factor, be);
        factor = DoubleVector.fromArray(DOUBLES, errors, at + stride + i);
        ce = u.fma(factor, ce);
        de = v.fma(factor, de);
      }
      store(a, aa, ae, sums, p);
      store(b, bb, be, sums, 3 * LANES + p);
      store(c, cc, ce, sums, 6 * LANES + p);
      store(d, dd, de, sums, 9 * LANES + p);
    }
  }

  private static void store(
      DoubleVector terms, DoubleVector squares, DoubleVector errors, double[] sums, int at) {
    terms.intoArray(sums, at);
    squares.intoArray(sums, at + LANES);
    errors.intoArray(sums, at + 2 * LANES);
  }

  /** Adds (x r)² to the errors of the same, r being what was rounded off w. */
  private void roundings(double[] rounded, int from, int at, double[] sums) {
    for (int p = 0; p < LANES; p += WIDTH) {
      DoubleVector a = DoubleVector.zero(DOUBLES);
      DoubleVector b = a;
      DoubleVector c = a;
      DoubleVector d = a;
      for (int i = p; i < stride; i += LANES) {
        DoubleVector u = DoubleVector.fromArray(DOUBLES, rounded, from + i);
        DoubleVector v = DoubleVector.fromArray(DOUBLES, rounded, from + stride + i);
        DoubleVector factor = DoubleVector.fromArray(DOUBLES, squares, at + i);
        a = u.fma(factor, a);
        b = v.fma(factor, b);
        factor = DoubleVector.fromArray(DOUBLES, squares, at + stride + i);
        c = u.fma(factor, c);
        d = v.fma(factor, d);
      }
      add(a, sums, 2 * LANES + p);
      add(b, sums, 5 * LANES + p);
      add(c, sums, 8 * LANES + p);
      add(d, sums, 11 * LANES + p);
    }
  }

  private static void add(DoubleVector terms, double[] sums, int at) {
    DoubleVector.fromArray(DOUBLES, sums, at).add(terms).intoArray(sums, at);
  }

  /** The sum of partial sums; the upper half goes onto the lower, and so on. */
  private static double fold(double[] s, int at) {
    double even = s[at] + s[at + 4] + (s[at + 2] + s[at + 6]);
    double odd = s[at + 1] + s[at + 5] + (s[at + 3] + s[at + 7]);
    return even + odd;
  }
}
