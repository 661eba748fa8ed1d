package dev.moxie.verifier.baseline;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Execution;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How large a baseline becomes at most, known before anything is computed: as large as one that
 * holds the longest numbers. Such ones of one or two sequences and tokens are encoded; a further
 * token or sequence takes as many bytes as the second does.
 */
final class BaselineSize {
  private static final HexDouble LONGEST_DOUBLE =
      new HexDouble(-Math.nextDown(2.0) * Double.MIN_NORMAL);
  private static final HexDouble LONGEST_FLOAT =
      new HexDouble(-Math.nextDown(2f) * Float.MIN_NORMAL);
  private static final String LONGEST_DIGEST = "f".repeat(64);
  private static final int LARGEST_TOKEN = BaselineRules.MAX_TOKENS - 1;

  private final MoxiePackage pack;
  private final Execution execution;
  private final Manifest.Producer producer;

  private BaselineSize(MoxiePackage pack, Execution execution, Manifest.Producer producer) {
    this.pack = pack;
    this.execution = execution;
    this.producer = producer;
  }

  /**
   * Refuses what may not fit in a file.
   *
   * @throws UsageException if the baseline may become too large
   */
  static void requireSmall(
      MoxiePackage pack,
      Execution execution,
      List<long[]> sequences,
      int greedyTokens,
      Manifest.Producer producer) {
    long bytes = atMost(pack, execution, sequences, greedyTokens, producer);
    if (bytes > BaselineFile.MAX_BYTES) {
      throw new UsageException(
          "the sequences",
          "a baseline of at most " + BaselineFile.MAX_BYTES + " bytes",
          "up to %d bytes for %d tokens in %d layers"
              .formatted(bytes, tokens(sequences), pack.architecture().layers().size()),
          "record fewer or shorter sequences");
    }
  }

  /** Bytes. */
  static long atMost(
      MoxiePackage pack,
      Execution execution,
      List<long[]> sequences,
      int greedyTokens,
      Manifest.Producer producer) {
    var size = new BaselineSize(pack, execution, producer);
    long one = size.of(1, 1, 1);
    long sequence = size.of(2, 1, 1) - one;
    long token = size.of(1, 2, 1) - one;
    long greedy = size.of(1, 1, 2) - one;
    long bytes = one - sequence;
    for (long[] ids : sequences) {
      int continued = BaselineRecorder.continued(pack.architecture(), ids, greedyTokens);
      bytes += sequence + (ids.length - 1) * token + Math.max(0, continued - 1) * greedy;
    }
    return bytes;
  }

  private static long tokens(List<long[]> sequences) {
    return sequences.stream().mapToLong(ids -> ids.length).sum();
  }

  private long of(int sequences, int tokens, int greedy) {
    Architecture architecture = pack.architecture();
    int word = architecture.vocabSize() - 1;
    List<Baseline.Layer> layers =
        execution == Execution.PLAIN
            ? architecture.layers().stream().map(blocks -> layer(blocks, tokens)).toList()
            : List.of();
    int shown = Math.min(Baseline.Logits.LARGEST, architecture.vocabSize());
    List<Baseline.Logit> row = Collections.nCopies(shown, new Baseline.Logit(word, LONGEST_FLOAT));
    var sequence =
        new Baseline.Sequence(
            Collections.nCopies(tokens, word),
            layers,
            new Baseline.Logits(
                summary(tokens, architecture.vocabSize()), Collections.nCopies(tokens, row)),
            Collections.nCopies(greedy, word));
    return BaselineFile.encode(
            BaselineRecorder.of(
                pack, execution, Collections.nCopies(sequences, sequence), producer))
        .length;
  }

  private Baseline.Layer layer(Architecture.Blocks blocks, int tokens) {
    Baseline.@Nullable Routing routing =
        switch (blocks.feedForward()) {
          case FeedForward.Dense _, FeedForward.None _ -> null;
          case FeedForward.MixtureOfExperts moe ->
              new Baseline.Routing(
                  Collections.nCopies(
                      tokens,
                      Collections.nCopies(moe.routing().expertsPerToken(), moe.experts() - 1)),
                  new Baseline.Margin(LARGEST_TOKEN, LONGEST_DOUBLE),
                  summary(tokens, moe.experts()));
        };
    return new Baseline.Layer(routing, summary(tokens, pack.architecture().streamWidth()));
  }

  private static Baseline.Summary summary(int tokens, int columns) {
    return new Baseline.Summary(
        LONGEST_DIGEST,
        LONGEST_DOUBLE,
        LONGEST_DOUBLE,
        new Baseline.Peak(LARGEST_TOKEN, columns - 1, LONGEST_FLOAT),
        Collections.nCopies(tokens, Collections.nCopies(Signs.PROJECTIONS, LONGEST_DOUBLE)));
  }
}
