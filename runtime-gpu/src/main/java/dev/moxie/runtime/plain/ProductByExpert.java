package dev.moxie.runtime.plain;

import dev.moxie.format.model.Ops;
import java.util.Arrays;

/**
 * The products of tokens' x with the matrices of the experts that each chose, which lie one below
 * the other ({@link Ops#byExpert}).
 */
final class ProductByExpert implements Instruction, Team.Task {
  private final Pass pass;
  private final StoredMatrix matrix;
  private final Value x;
  private final Value chosen;
  private final Value y;
  private final int rows;
  private final int turnRows;
  private final boolean apart;
  private float[] read = new float[0];
  private int width;

  ProductByExpert(Pass pass, StoredMatrix matrix, int experts, Value x, Value chosen, Value y) {
    this.pass = pass;
    this.matrix = matrix;
    this.x = x;
    this.chosen = chosen;
    this.y = y;
    rows = matrix.rows() / experts;
    turnRows = Product.rowsOfTurn(new SomeRows(matrix, 0, rows), 1, pass.team());
    apart = x.columns() > matrix.columns();
  }

  @Override
  public void run() {
    int k = chosen.columns();
    width = Lanes.padded(matrix.columns());
    read = pass.scratch().of(Scratch.Room.READ, Math.multiplyExact(pass.tokens() * k, width));
    for (int t = 0; t < pass.tokens(); t++) {
      for (int i = 0; i < k; i++) {
        gather(t, i, (t * k + i) * width);
      }
    }
    pass.reads(matrix.storedBytes() * rows / matrix.rows() * k);
    int turns = pass.tokens() * k * Math.ceilDiv(rows, turnRows);
    pass.team().each(turns, (long) turnRows * matrix.columns(), this);
  }

  /** What one of a token's experts reads, in the order of the matrix. */
  private void gather(int token, int choice, int to) {
    int from = token * x.apart() + (apart ? choice * matrix.columns() : 0);
    float[] values = pass.array(x);
    float[] row = pass.scratch().of(Scratch.Room.ROW, width);
    System.arraycopy(values, from, row, 0, matrix.columns());
    Arrays.fill(row, matrix.columns(), width, 0);
    if (matrix.paired()) {
      Pairs.arrange(row, 0, read, to, width);
    } else {
      System.arraycopy(row, 0, read, to, width);
    }
  }

  @Override
  public void turn(int turn, Scratch scratch) {
    int turns = Math.ceilDiv(rows, turnRows);
    int place = turn / turns;
    int row = turn % turns * turnRows;
    int token = place / chosen.columns();
    int choice = place % chosen.columns();
    int expert = (int) pass.array(chosen)[token * chosen.apart() + choice];
    Product.rows(
        matrix,
        expert * rows + row,
        Math.min(turnRows, rows - row),
        read,
        place * width,
        width,
        1,
        pass.array(y),
        token * y.apart() + choice * rows + row,
        y.apart(),
        scratch);
  }
}
