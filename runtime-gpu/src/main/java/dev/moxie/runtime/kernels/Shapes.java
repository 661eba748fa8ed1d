package dev.moxie.runtime.kernels;

import java.util.List;
import java.util.Optional;

/**
 * How launches of products are shared: README.md beside the kernels, "Which launch". Sizes of
 * shared memory are those that the kernels cut theirs by.
 *
 * @param processors multiprocessors of the machine
 * @param shared bytes of shared memory that a block may have
 */
record Shapes(int processors, int shared) {
  /** Tokens that kernels take at once. */
  static final int MOST_TOKENS = 16;

  /** Columns of the products of kernels for several tokens; eight are a tile. */
  private static final int MANY_COLUMNS = 32;

  private static final int TILE = 8;

  /** Warps of a block of those kernels, all of them on one tile of rows. */
  private static final int WARPS = 8;

  /** Rows of a tile. */
  private static final int ROWS = 16;

  /** Warps of a block for one token, and warps that share a tile. */
  private static final List<int[]> SHARED_BY =
      List.of(
          new int[] {8, 8},
          new int[] {8, 4},
          new int[] {8, 2},
          new int[] {8, 1},
          new int[] {6, 6},
          new int[] {6, 2},
          new int[] {6, 1},
          new int[] {4, 4});

  /** Steps that the beginning and the end of a round of tiles take. */
  private static final int ENDS = 8;

  /**
   * One launch.
   *
   * @param variant what the kernel's name ends with
   * @param split warps that share a tile
   * @param bytes of shared memory
   */
  record Shares(String variant, int warps, int split, int blocks, long bytes) {}

  /** Shared memory of so many warps that take so many tiles of rows each. */
  @FunctionalInterface
  private interface Bytes {
    long of(int warps, int tiles);
  }

  /** The launch of products of one x, or nothing if there is none for so many tokens. */
  Optional<Shares> project(Stored.Encoding encoding, int tokens, int columns, List<Integer> rows) {
    Bytes bytes =
        (warps, tiles) ->
            sums(tokens, warps, tiles)
                + inputs(encoding, tokens, columns)
                + (tokens == 1 ? (long) warps * encoding.slotBytes(tiles) : 0);
    if (tokens == 1) {
      return slots(rows, Math.ceilDiv(columns, encoding.step()), 2, bytes, true);
    }
    return several("_m1_t4", bytes.of(WARPS, 1), tiles(rows, 1));
  }

  /** The launch of gate and up, tiles of both together. */
  Optional<Shares> gateUp(
      Stored.Encoding encoding, int tokens, int chosen, int hidden, int width, int sharedWidth) {
    Bytes bytes =
        (warps, tiles) ->
            sums(tokens, warps, 2)
                + inputs(encoding, tokens, hidden)
                + plan(tokens, chosen)
                + (tokens == 1 ? (long) warps * encoding.slotBytes(2) : 0);
    int tiles = tokens * chosen * Math.ceilDiv(width, ROWS) + Math.ceilDiv(sharedWidth, ROWS);
    if (tokens == 1) {
      List<Integer> rows = List.of(tiles * ROWS);
      return slots(rows, Math.ceilDiv(hidden, encoding.step()), 1, bytes, false);
    }
    return several("_t4", bytes.of(WARPS, 2), tiles);
  }

  /** The launch of the second matrices of what was activated. */
  Optional<Shares> down(
      Stored.Encoding encoding, int tokens, int chosen, int hidden, int width, int sharedWidth) {
    if (tokens == 1) {
      long activations =
          encoding.parts() * (encoding.step() + (encoding.isWide() ? 32L : 8L)) * Short.BYTES;
      Bytes bytes =
          (warps, tiles) ->
              sums(1, warps, tiles)
                  + plan(1, chosen)
                  + warps * (encoding.slotBytes(tiles) + encoding.slots(tiles) * activations);
      int steps =
          chosen * Math.ceilDiv(width, encoding.step())
              + Math.ceilDiv(sharedWidth, encoding.step());
      return slots(List.of(hidden), steps, 2, bytes, true);
    }
    long bytes = sums(tokens, WARPS, 1) + plan(tokens, chosen);
    long near = bytes + activated(encoding, tokens, chosen, width, sharedWidth);
    int tiles = Math.ceilDiv(hidden, ROWS);
    return near <= shared ? several("_m1_t4", near, tiles) : several("_m1_t4_far", bytes, tiles);
  }

  private Optional<Shares> several(String variant, long bytes, int tiles) {
    return bytes <= shared
        ? Optional.of(new Shares(variant, WARPS, WARPS, Math.min(tiles, processors), bytes))
        : Optional.empty();
  }

  /**
   * As choice.h chooses, among what fits into shared memory.
   *
   * @param most tiles that a warp takes together
   * @param named whether the kernel's name says how many it takes
   */
  private Optional<Shares> slots(
      List<Integer> rows, int steps, int most, Bytes bytes, boolean named) {
    Shares best = null;
    long least = Long.MAX_VALUE;
    for (int m = 1; m <= most; m++) {
      for (int[] by : SHARED_BY) {
        int groups = by[0] / by[1];
        long tiles = Math.ceilDiv(tiles(rows, 1), m);
        long rounds = Math.ceilDiv(tiles, (long) processors * groups);
        long cost = rounds * ((long) Math.ceilDiv(steps, by[1]) * by[0] * m + ENDS);
        if (bytes.of(by[0], m) <= shared && cost < least) {
          least = cost;
          int blocks = Math.min(Math.ceilDiv(tiles(rows, m), groups), processors);
          String variant = (named ? "_m" + m : "") + "_slots";
          best = new Shares(variant, by[0], by[1], blocks, bytes.of(by[0], m));
        }
      }
    }
    return Optional.ofNullable(best);
  }

  private static int tiles(List<Integer> rows, int together) {
    return rows.stream().mapToInt(r -> Math.ceilDiv(r, ROWS * together)).sum();
  }

  /** Tokens at once that kernels of an encoding have columns for. */
  static int mostTokens(Stored.Encoding encoding) {
    return Math.min(MOST_TOKENS, MANY_COLUMNS / encoding.productColumns());
  }

  private static long sums(int tokens, int warps, int tiles) {
    int columnTiles = tokens == 1 ? 1 : MANY_COLUMNS / TILE;
    return 2L * warps * tiles * ROWS * TILE * columnTiles * Float.BYTES;
  }

  private static long inputs(Stored.Encoding encoding, int tokens, int columns) {
    int piece = encoding.piece();
    long stride = Math.ceilDiv(columns, piece) * (long) piece + 32;
    return 64L * Float.BYTES + (long) tokens * encoding.parts() * stride * Short.BYTES;
  }

  /** Numbers of a plan of routing. */
  static long planNumbers(int tokens, int chosen) {
    return 1 + (long) tokens * chosen * (1 + tokens);
  }

  private static long plan(int tokens, int chosen) {
    return chosen == 0 ? 0 : Math.ceilDiv(planNumbers(tokens, chosen), 4) * 4L * Integer.BYTES;
  }

  /** Bytes of what gate and up of all slots come to. */
  static long activated(
      Stored.Encoding encoding, int tokens, int chosen, int width, int sharedWidth) {
    long alone = sharedWidth == 0 ? 0 : slot(sharedWidth);
    return (long) tokens * encoding.parts() * (chosen * slot(width) + alone) * Short.BYTES;
  }

  private static long slot(int width) {
    return Math.ceilDiv(width, 128) * 128L + 32;
  }
}
