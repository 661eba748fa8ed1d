package dev.moxie.runtime.plain;

import java.util.Arrays;

/**
 * A short convolution. What it needs of tokens that have passed, as many as it has taps less one,
 * is a state of their sequence, oldest first.
 *
 * @param taps [count, channels]; the last one is of the token itself
 */
@SuppressWarnings("ArrayRecordComponent") // Never compared.
record Convolution(Pass pass, int state, float[][] taps, Value x, Value y)
    implements Instruction, Team.Task {
  /** Channels of a turn. */
  private static final int CHANNELS = 512;

  static Convolution of(Pass pass, StoredMatrix weight, Value x, Value y) {
    float[][] taps = new float[weight.columns()][weight.rows()];
    float[] row = new float[weight.columns()];
    for (int c = 0; c < weight.rows(); c++) {
      weight.read(c, row, 0);
      for (int j = 0; j < row.length; j++) {
        taps[j][c] = row[j];
      }
    }
    return new Convolution(pass, pass.newState(), taps, x, y);
  }

  private Past.State state(int token) {
    return pass.past(token).state(state, (taps.length - 1) * x.columns());
  }

  @Override
  public void run() {
    // States come into being here, where there is one thread.
    for (int t = 0; t < pass.tokens(); t = pass.endOfRun(t)) {
      var _ = state(t);
    }
    int turns = Math.ceilDiv(x.columns(), CHANNELS);
    pass.team().each(turns, (long) CHANNELS * taps.length * pass.tokens(), this);
    for (int t = 0; t < pass.tokens(); t = pass.endOfRun(t)) {
      int end = pass.endOfRun(t);
      Past.State state = state(t);
      if (state.isGuessed()) {
        keep(t, end - 1, state.now(), state.beforeGuess());
      }
      keep(t, end, state.now(), state.next());
      state.advance();
    }
  }

  @Override
  public void turn(int turn, Scratch scratch) {
    int first = turn * CHANNELS;
    int count = Math.min(CHANNELS, x.columns() - first);
    float[] in = pass.array(x);
    float[] out = pass.array(y);
    for (int start = 0, end; start < pass.tokens(); start = end) {
      end = pass.endOfRun(start);
      float[] before = state(start).now();
      for (int t = start; t < end; t++) {
        int to = t * y.apart() + first;
        Arrays.fill(out, to, to + count, 0);
        for (int j = 0; j < taps.length; j++) {
          int of = t - start - (taps.length - 1 - j);
          float[] row = of < 0 ? before : in;
          int at = of < 0 ? (taps.length - 1 + of) * x.columns() : (start + of) * x.apart();
          for (int c = 0; c < count; c++) {
            out[to + c] = Math.fma(taps[j][first + c], row[at + first + c], out[to + c]);
          }
        }
      }
    }
  }

  private void keep(int start, int end, float[] before, float[] after) {
    int columns = x.columns();
    for (int j = 0; j < taps.length - 1; j++) {
      int of = end - start - (taps.length - 1 - j);
      float[] row = of < 0 ? before : pass.array(x);
      int at = of < 0 ? (taps.length - 1 + of) * columns : (start + of) * x.apart();
      System.arraycopy(row, at, after, j * columns, columns);
    }
  }
}
