package dev.moxie.runtime.plain;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The products of some tokens' x with some matrices, their rows shared among threads. */
final class Product implements Instruction, Team.Task {
  /** Numbers of a panel, decoded into the second cache. */
  private static final int PANEL = 1 << 16;

  private static final int PANEL_ROWS = 16;

  /**
   * Bytes of a matrix that a thread takes at a time, about; of fewer, more time goes into waits.
   */
  private static final int TURN = 1 << 17;

  private final Pass pass;
  private final Value x;
  private final List<Output> outputs = new ArrayList<>();
  private boolean paired;
  private float[] pairs = new float[0];
  private int turns;
  private long work;
  private long bytes;

  /**
   * One matrix.
   *
   * @param first turn that computes rows of it
   * @param rows of a turn
   */
  private record Output(StoredMatrix matrix, Value y, int first, int rows) {}

  Product(Pass pass, Value x) {
    this.pass = pass;
    this.x = x;
  }

  /** Has one more matrix multiplied. */
  void add(StoredMatrix matrix, Value y) {
    int rows = rowsOfTurn(matrix, 1, pass.team());
    outputs.add(new Output(matrix, y, turns, rows));
    turns += Math.ceilDiv(matrix.rows(), rows);
    work += (long) matrix.rows() * matrix.columns();
    paired |= matrix.paired();
    bytes += matrix.storedBytes();
  }

  /**
   * Rows that a thread takes at a time, a multiple of {@link Sums#ROWS}; so that all threads have
   * as many turns.
   *
   * @param together matrices of which a turn takes the same rows
   */
  static int rowsOfTurn(StoredMatrix matrix, int together, Team team) {
    long turns = together * matrix.storedBytes() / TURN;
    long all = Math.max(1, Math.ceilDiv(turns, team.threads())) * team.threads();
    int rows = Math.toIntExact(Math.ceilDiv(matrix.rows(), all));
    return Math.max(PANEL_ROWS, (rows + Sums.ROWS - 1) & -Sums.ROWS);
  }

  @Override
  public void run() {
    pass.reads(bytes);
    if (paired) {
      int size = pass.tokens() * x.apart();
      pairs = pass.scratch().of(Scratch.Room.PAIRS, size);
      Pairs.arrange(pass.array(x), 0, pairs, 0, size);
    }
    pass.team().each(turns, work / turns * pass.tokens(), this);
  }

  @Override
  public void turn(int turn, Scratch scratch) {
    int i = outputs.size() - 1;
    while (outputs.get(i).first() > turn) {
      i--;
    }
    Output o = outputs.get(i);
    int row = (turn - o.first()) * o.rows();
    rows(
        o.matrix(),
        row,
        Math.min(o.rows(), o.matrix().rows() - row),
        o.matrix().paired() ? pairs : pass.array(x),
        0,
        x.apart(),
        pass.tokens(),
        pass.array(o.y()),
        row,
        o.y().apart(),
        scratch);
  }

  /**
   * Some rows of a matrix times some tokens.
   *
   * @param x in the order of the matrix ({@link StoredMatrix#paired})
   * @param at where the first token's x begins, the others' {@code apart}
   * @param out where the first token's first product goes, the others' {@code outApart}
   */
  static void rows(
      StoredMatrix matrix,
      int row,
      int count,
      float[] x,
      int at,
      int apart,
      int tokens,
      float[] y,
      int out,
      int outApart,
      Scratch scratch) {
    int done = 0;
    if (tokens <= matrix.few()) {
      done = count & -Sums.ROWS;
      // Each reads a stretch of its own from end to end, which processors foresee.
      int stretch = done / Sums.ROWS;
      for (int r = 0; r < stretch; r++) {
        for (int t = 0; t < tokens; t += 2) {
          int some = Math.min(2, tokens - t);
          int first = at + t * apart;
          if (some == 1) {
            matrix.dots(row + r, stretch, x, first, scratch.lanes);
          } else {
            matrix.pair(row + r, stretch, x, first, first + apart, scratch.lanes);
          }
          for (int i = 0; i < some * Sums.ROWS; i++) {
            int to = out + (t + i / Sums.ROWS) * outApart + r + i % Sums.ROWS * stretch;
            y[to] = Sums.fold(scratch.lanes, i * Lanes.COUNT);
          }
        }
      }
    }
    int k = Lanes.padded(matrix.columns());
    int rows = Math.clamp(PANEL / k, Sums.ROWS, PANEL_ROWS) & -Sums.ROWS;
    while (done < count) {
      int some = Math.min(rows, count - done);
      float[] panel = scratch.of(Scratch.Room.PANEL, rows * k);
      for (int r = 0; r < some; r++) {
        matrix.read(row + done + r, panel, r * k);
        Arrays.fill(panel, r * k + matrix.columns(), (r + 1) * k, 0);
      }
      panel(panel, some, k, x, at, apart, tokens, y, out + done, outApart, scratch.lanes);
      done += some;
    }
  }

  private static void panel(
      float[] panel,
      int rows,
      int k,
      float[] x,
      int at,
      int apart,
      int tokens,
      float[] y,
      int out,
      int outApart,
      float[] lanes) {
    int t = 0;
    for (; t + Sums.TOKENS <= tokens; t += Sums.TOKENS) {
      for (int r = 0; r < rows; r += Sums.ROWS) {
        Sums.tile(panel, r * k, k, k, x, at + t * apart, apart, lanes);
        int count = Math.min(Sums.ROWS, rows - r);
        for (int i = 0; i < Sums.TOKENS; i++) {
          fold(lanes, i * Sums.ROWS, count, y, out + (t + i) * outApart + r);
        }
      }
    }
    for (; t < tokens; t++) {
      for (int r = 0; r < rows; r += Sums.ROWS) {
        Sums.rows(panel, r * k, k, k, x, at + t * apart, lanes);
        fold(lanes, 0, Math.min(Sums.ROWS, rows - r), y, out + t * outApart + r);
      }
    }
  }

  private static void fold(float[] lanes, int first, int count, float[] y, int at) {
    for (int i = 0; i < count; i++) {
      y[at + i] = Sums.fold(lanes, (first + i) * Lanes.COUNT);
    }
  }
}
