package dev.moxie.runtime.kernels;

/**
 * How much shared memory kernels want, and how many blocks and warps share their work.
 *
 * @param processors multiprocessors of the machine
 * @param shared bytes of shared memory that a block may have
 */
record Shapes(int processors, int shared) {
  /** Tokens that kernels take at once. */
  static final int MOST_TOKENS = 16;

  /** Columns of the products of kernels for one token, and of those for several. */
  private static final int FEW_COLUMNS = 8;

  private static final int MANY_COLUMNS = 32;

  /** Bytes of every block's that the device keeps for itself. */
  private static final int RESERVED = 1024;

  /**
   * How the tiles of a product are shared.
   *
   * @param warps of a block
   * @param split warps that share a tile
   * @param blocks of the launch
   */
  record Shares(int warps, int split, int blocks) {}

  /** Whether the kernels for several tokens are needed. */
  static boolean isWide(Stored.Encoding encoding, int tokens) {
    return tokens * encoding.productColumns() > FEW_COLUMNS;
  }

  /** Warps of a block, as many as the sums of its tiles leave room for. */
  static int warps(Stored.Encoding encoding, int tokens) {
    return isWide(encoding, tokens) ? 4 : 8;
  }

  /** Shared memory as a number of tokens wants it. */
  @FunctionalInterface
  interface Wanted {
    long of(int tokens);
  }

  /** The most tokens that kernels of an encoding take at once; 0 if not even one fits. */
  int mostTokens(Stored.Encoding encoding, Wanted wanted) {
    int tokens = Math.min(MOST_TOKENS, MANY_COLUMNS / encoding.productColumns());
    while (tokens > 0 && wanted.of(tokens) > shared) {
      tokens--;
    }
    return tokens;
  }

  private static long sums(Stored.Encoding encoding, int tokens, int matrices) {
    int tiles = isWide(encoding, tokens) ? MANY_COLUMNS / FEW_COLUMNS : 1;
    return 2L * warps(encoding, tokens) * matrices * 128 * tiles * Float.BYTES;
  }

  private static long inputs(Stored.Encoding encoding, int tokens, int columns) {
    int piece = encoding.piece();
    long stride = Math.ceilDiv(columns, piece) * (long) piece + 32;
    return 64L * Float.BYTES + (long) tokens * encoding.parts() * stride * Short.BYTES;
  }

  static long project(Stored.Encoding encoding, int tokens, int columns) {
    return sums(encoding, tokens, 1) + inputs(encoding, tokens, columns);
  }

  /** Numbers of a plan of routing. */
  static long planNumbers(int tokens, int chosen) {
    return 1 + (long) tokens * chosen * (1 + tokens);
  }

  private static long plan(int tokens, int chosen) {
    return chosen == 0 ? 0 : Math.ceilDiv(planNumbers(tokens, chosen), 4) * 4L * Integer.BYTES;
  }

  static long gateUp(Stored.Encoding encoding, int tokens, int chosen, int columns) {
    return sums(encoding, tokens, 2) + inputs(encoding, tokens, columns) + plan(tokens, chosen);
  }

  /** Bytes of what gate and up of all slots come to. */
  static long activated(
      Stored.Encoding encoding, int tokens, int chosen, int width, int sharedWidth) {
    long shared = sharedWidth == 0 ? 0 : slot(sharedWidth);
    return (long) tokens * encoding.parts() * (chosen * slot(width) + shared) * Short.BYTES;
  }

  private static long slot(int width) {
    return Math.ceilDiv(width, 128) * 128L + 32;
  }

  /** Without what was activated. */
  static long down(Stored.Encoding encoding, int tokens, int chosen) {
    return sums(encoding, tokens, 1) + plan(tokens, chosen);
  }

  /** Whether so much leaves room for a second block. */
  boolean leavesRoom(long bytes) {
    return 2 * (bytes + RESERVED) <= shared + RESERVED;
  }

  /**
   * Shares tiles so that the busiest warp does least.
   *
   * @param chunks steps of a tile
   * @param bytes of shared memory of a block
   */
  Shares shares(Stored.Encoding encoding, int tokens, int tiles, int chunks, long bytes) {
    int warps = warps(encoding, tokens);
    int most = processors * (leavesRoom(bytes) ? 2 : 1);
    int best = 1;
    for (int split = 2; split <= warps; split *= 2) {
      if (steps(warps, split, tiles, chunks, most) < steps(warps, best, tiles, chunks, most)) {
        best = split;
      }
    }
    return new Shares(warps, best, blocks(warps, best, tiles, most));
  }

  private static int blocks(int warps, int split, int tiles, int most) {
    return Math.min(Math.ceilDiv(tiles, warps / split), most);
  }

  /** Of the busiest warp. */
  private static long steps(int warps, int split, int tiles, int chunks, int most) {
    int together = blocks(warps, split, tiles, most) * (warps / split);
    return (long) Math.ceilDiv(tiles, together) * Math.ceilDiv(chunks, split);
  }
}
