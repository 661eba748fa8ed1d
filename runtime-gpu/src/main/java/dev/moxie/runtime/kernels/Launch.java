package dev.moxie.runtime.kernels;

import java.util.List;
import java.util.stream.Collectors;

/**
 * A kernel and what it is given.
 *
 * @param part which file of kernels has it
 * @param x blocks along the first axis
 * @param threads of a block
 * @param shared bytes of shared memory of a block
 * @param reads the weights that it reads
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
    List<Weights> reads) {

  /**
   * Some that are read.
   *
   * @param bytes of them, scales included
   */
  public record Weights(String name, long bytes) {
    @Override
    public String toString() {
      return name;
    }
  }

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
            reads.isEmpty()
                ? ""
                : reads.stream().map(Weights::name).collect(Collectors.joining(", ", ": ", "")));
  }
}
