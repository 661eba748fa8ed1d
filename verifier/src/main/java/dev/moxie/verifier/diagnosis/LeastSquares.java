package dev.moxie.verifier.diagnosis;

/**
 * Normal equations of a linear least-squares problem, with a ridge so small that it only decides
 * where the data do not.
 */
final class LeastSquares {
  private static final double RIDGE = 1e-12;

  private final double[][] gram;
  private final double[] right;

  LeastSquares(int unknowns) {
    this.gram = new double[unknowns][unknowns];
    this.right = new double[unknowns];
  }

  /** Adds products of two columns. */
  void add(int i, int j, double product) {
    gram[i][j] += product;
  }

  /** Adds a product of a column with the target. */
  void addTarget(int i, double product) {
    right[i] += product;
  }

  /** The solution. */
  double[] solve() {
    return solve(RIDGE);
  }

  /**
   * The solution, by Cholesky factorisation.
   *
   * @param ridge added to the diagonal, in parts of its mean
   */
  double[] solve(double ridge) {
    int n = right.length;
    double trace = 0;
    for (int i = 0; i < n; i++) {
      trace += gram[i][i];
    }
    double[][] l = new double[n][n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j <= i; j++) {
        double sum = gram[i][j] + (i == j ? ridge * trace / n : 0);
        for (int k = 0; k < j; k++) {
          sum -= l[i][k] * l[j][k];
        }
        l[i][j] = i == j ? Math.sqrt(Math.max(sum, Double.MIN_NORMAL)) : sum / l[j][j];
      }
    }
    double[] x = right.clone();
    for (int i = 0; i < n; i++) {
      for (int k = 0; k < i; k++) {
        x[i] -= l[i][k] * x[k];
      }
      x[i] /= l[i][i];
    }
    for (int i = n - 1; i >= 0; i--) {
      for (int k = i + 1; k < n; k++) {
        x[i] -= l[k][i] * x[k];
      }
      x[i] /= l[i][i];
    }
    return x;
  }

  static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }
}
