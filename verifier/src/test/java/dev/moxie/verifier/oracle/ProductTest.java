package dev.moxie.verifier.oracle;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import java.util.concurrent.ForkJoinPool;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

/** Products of many rows at once against one loop for the formula of README.md. */
class ProductTest {
  private static final Arithmetic BF16 = Arithmetic.of(Precision.BF16);

  /** Weights at random, of which some were rounded. */
  private record Matrix(int rows, int columns, boolean isExact, long seed) implements WeightMatrix {
    @Override
    public void read(int row, double[] into) {
      var random = new Random(seed + row);
      for (int c = 0; c < into.length; c++) {
        into[c] = (float) random.nextGaussian();
      }
    }

    @Override
    public double roundingOf(int row, int column, double value) {
      return isExact || column % 3 == 0 ? 0 : 0x1p-9 * Math.abs(value);
    }
  }

  private static Estimate random(int rows, int columns, long seed) {
    var random = new Random(seed);
    var x = new Estimate(rows, columns);
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        x.set(r, c, random.nextGaussian(), 1e-3 * Math.abs(random.nextGaussian()));
      }
    }
    return x;
  }

  @Property(tries = 200)
  void areSumsOfProductsWithTheErrorsOfTheFormula(
      @ForAll @IntRange(min = 1, max = 5) int tokens,
      @ForAll @IntRange(min = 1, max = 40) int columns,
      @ForAll @IntRange(min = 1, max = 37) int rows,
      @ForAll boolean exact,
      @ForAll long seed) {
    Estimate x = random(tokens, columns, seed);
    var matrix = new Matrix(rows, columns, exact, seed);
    Estimate y = Product.of(BF16, x, matrix);
    double u = BF16.u();
    double a = BF16.a();
    double[] w = new double[columns];
    for (int o = 0; o < rows; o++) {
      matrix.read(o, w);
      for (int t = 0; t < tokens; t++) {
        double sum = 0;
        double size = 0;
        double squares = 0;
        double carried = 0;
        for (int i = 0; i < columns; i++) {
          double term = w[i] * x.value(t, i);
          double off = matrix.roundingOf(o, i, w[i]) * x.value(t, i);
          sum += term;
          size += Math.abs(term);
          squares += term * term;
          carried += w[i] * x.error(t, i) * w[i] * x.error(t, i) + off * off;
        }
        double own = a * a * columns * (squares + sum * sum) + (u * u - a * a) * sum * sum;
        assertEquals(sum, y.value(t, o), 1e-14 * size);
        double error = Math.sqrt(carried + own);
        assertEquals(error, y.error(t, o), 1e-12 * error + 1e-14 * u * size);
      }
    }
  }

  @Property(tries = 20)
  void haveTheSameBitsWhoeverComputesThem(@ForAll boolean exact, @ForAll long seed)
      throws Exception {
    Estimate x = random(7, 203, seed);
    var matrix = new Matrix(301, 203, exact, seed);
    Estimate shared = Product.of(BF16, x, matrix);
    try (var one = new ForkJoinPool(1)) {
      Estimate alone = one.submit(() -> Product.of(BF16, x, matrix)).get();
      for (int t = 0; t < x.rows(); t++) {
        // A product with a token alone shares nothing: it is too small.
        Estimate token = Product.of(BF16, row(x, t), matrix);
        assertArrayEquals(numbers(shared, t), numbers(alone, t));
        assertArrayEquals(numbers(shared, t), numbers(token, 0));
      }
    }
  }

  private static Estimate row(Estimate x, int token) {
    var row = new Estimate(1, x.columns());
    row.copyRow(x, token, 0);
    return row;
  }

  private static double[] numbers(Estimate y, int token) {
    double[] numbers = new double[2 * y.columns()];
    for (int c = 0; c < y.columns(); c++) {
      numbers[2 * c] = y.value(token, c);
      numbers[2 * c + 1] = y.error(token, c);
    }
    return numbers;
  }
}
