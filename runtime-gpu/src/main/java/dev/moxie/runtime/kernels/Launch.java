package dev.moxie.runtime.kernels;

import java.util.List;

/**
 * A kernel and what it is given.
 *
 * @param part which file of kernels has it
 * @param x blocks along the first axis
 * @param threads of a block
 * @param shared bytes of shared memory of a block
 * @param reads names of the weights, for people
 */
public record Launch(
    String part,
    String kernel,
    int x,
    int y,
    int z,
    int threads,
    int shared,
    List<Arguments> arguments,
    List<String> reads) {

  /** For people: the kernel, its blocks, what it reads. */
  @Override
  public String toString() {
    return "%s [%d %d %d] x %d, %d bytes%s"
        .formatted(
            kernel,
            x,
            y,
            z,
            threads,
            shared,
            reads.isEmpty() ? "" : ": " + String.join(", ", reads));
  }
}
