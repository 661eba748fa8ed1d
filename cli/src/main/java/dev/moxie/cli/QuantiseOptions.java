package dev.moxie.cli;

import dev.moxie.format.encoding.Int4Block;
import dev.moxie.format.encoding.Int8Channel;
import dev.moxie.format.encoding.Mxfp4;
import dev.moxie.format.encoding.Quantised;
import dev.moxie.format.encoding.Quantiser;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.Manifest;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Whether a conversion quantises, what, and how. */
final class QuantiseOptions {
  private static final Set<Integer> BLOCKS = Set.of(32, 64, 128);

  @Option(
      names = "--quantize",
      paramLabel = "int8|int4|mxfp4",
      description =
          "Store matrices as small numbers with scales: int8 with a scale for each row, int4 with"
              + " one for each block of a row, mxfp4 with a power of two for every 32. What comes"
              + " in fp8 is decoded first; numbers of four bits stay as they come. Routers, norms"
              + " and biases are never quantised, nor matrices whose rows are no multiple of the"
              + " block.")
  private @Nullable Form form;

  @Option(
      names = "--quantize-what",
      paramLabel = "experts|all",
      description =
          "Which matrices: those of routed experts, or those of attention, dense and shared parts,"
              + " embedding and head as well. Default: experts.")
  private Manifest.@Nullable Matrices what;

  @Option(
      names = "--quantize-block",
      paramLabel = "32|64|128",
      description = "How many numbers of int4 have a scale together. Default: 32.")
  private @Nullable Integer block;

  @Option(
      names = "--quantize-method",
      paramLabel = "nearest|search",
      description =
          "How scales are chosen: so that the largest element of a block just fits, or of several"
              + " near that the one with the least squared error, which takes longer. Default:"
              + " nearest.")
  private Quantiser.@Nullable Method method;

  /** Encodings as the option names them. */
  enum Form {
    INT8,
    INT4,
    MXFP4
  }

  /**
   * What is asked for; null if nothing is to be quantised.
   *
   * @throws UsageException if an option has nothing to say
   */
  Manifest.@Nullable Quantisation quantisation() {
    if (form == null) {
      requireUnused("--quantize-what", what, "--quantize");
      requireUnused("--quantize-method", method, "--quantize");
    }
    if (form != Form.INT4) {
      requireUnused("--quantize-block", block, "--quantize int4");
    }
    return form == null
        ? null
        : new Manifest.Quantisation(
            encoding(form).id(),
            Objects.requireNonNullElse(what, Manifest.Matrices.EXPERTS),
            Objects.requireNonNullElse(method, Quantiser.Method.NEAREST));
  }

  private Quantised encoding(Form form) {
    return switch (form) {
      case INT8 -> new Int8Channel();
      case MXFP4 -> new Mxfp4();
      case INT4 -> {
        int size = Objects.requireNonNullElse(block, 32);
        if (!BLOCKS.contains(size)) {
          throw new UsageException(
              "--quantize-block", "32, 64 or 128", String.valueOf(size), "pass one of those");
        }
        yield new Int4Block(size);
      }
    };
  }

  private static void requireUnused(String option, @Nullable Object value, String without) {
    if (value != null) {
      throw new UsageException(
          option, without + " with it", "none", "pass that as well, or leave this out");
    }
  }
}
