package dev.moxie.verifier.routing;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Layers;
import dev.moxie.runtime.execution.Margin;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.generation.TextTokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Runs a package on a corpus, layer after layer and without logits, and watches its routers. */
public final class RoutingRun {
  /** Tokens of a sequence unless told otherwise. */
  public static final int DEFAULT_TOKENS = 512;

  /**
   * Tokens that go through the model at once; those of a longer sequence follow in the cache, where
   * the model has no encoder, which reads the same sequence, and nothing depends on later tokens.
   */
  private static final int CHUNK = 512;

  private final MoxiePackage pack;
  private final PlainModel model;
  private final DecisionSink sink;
  private final @Nullable PlainModel other;
  private final RoutedLayers routed;
  private final Flips flips = new Flips();
  private final Map<Integer, LayerTally> tallies = new TreeMap<>();
  private final Map<Integer, TextTally> texts = new TreeMap<>();
  private int sequences;

  private RoutingRun(
      MoxiePackage pack, PlainModel model, @Nullable PlainModel other, DecisionSink sink) {
    this.other = other;
    this.pack = pack;
    this.model = model;
    this.sink = sink;
    this.routed = RoutedLayers.of(pack);
    routed
        .byNumber()
        .forEach(
            (layer, moe) -> {
              tallies.put(layer, new LayerTally(layer, moe));
              texts.put(layer, new TextTally(layer, moe.experts()));
            });
  }

  /**
   * Opens a package whose decisions can be compared with another's.
   *
   * @throws UsageException if they cannot be
   */
  public static MoxiePackage openLike(MoxiePackage pack, Path folder, Corpus corpus) {
    MoxiePackage other = MoxiePackage.open(folder);
    try {
      SameTokens.require(pack, other, corpus.hasText());
      Flips.incomparable(pack.architecture(), other.architecture())
          .ifPresent(
              why -> {
                throw new UsageException(
                    "--against " + folder,
                    "as many experts in each layer as " + pack.folder() + " has",
                    why,
                    "compare packages of one model");
              });
      return other;
    } catch (RuntimeException e) {
      other.close();
      throw e;
    }
  }

  /**
   * Runs everything and finishes the sink.
   *
   * @param other a model that has the same experts, whose decisions are compared; null for none
   * @param maxTokens tokens of a sequence at most, from 1 to the positions of both
   */
  public static RoutingReport run(
      MoxiePackage pack,
      PlainModel model,
      @Nullable PlainModel other,
      Corpus corpus,
      int maxTokens,
      DecisionSink sink) {
    long positions = positions(pack, other);
    if (maxTokens < 1 || maxTokens > positions) {
      throw new UsageException(
          "--max-tokens",
          "a number from 1 to "
              + (other == null ? "the model's " : "both models' ")
              + positions
              + " positions",
          String.valueOf(maxTokens),
          "pass another");
    }
    var run = new RoutingRun(pack, model, other, sink);
    List<Corpus.Source> sources;
    if (corpus.hasText()) {
      try (TextTokenizer tokenizer = TextTokenizer.of(pack)) {
        sources = run.cut(corpus, tokenizer, maxTokens);
      }
    } else {
      sources = run.cut(corpus, null, maxTokens);
    }
    sink.finish();
    List<LayerStatistics> layers =
        run.tallies.values().stream().map(LayerTally::statistics).toList();
    return new RoutingReport(
        pack.folder().toString(),
        maxTokens,
        sources,
        run.sequences,
        sources.stream().mapToLong(Corpus.Source::tokens).sum(),
        layers,
        run.texts.values().stream()
            .map(TextTally::texts)
            .filter(layer -> layer.texts().size() > 1)
            .toList(),
        Unchosen.of(pack, layers),
        run.flips.byLayer(),
        Equations.ALL);
  }

  /** Tokens that a sequence can have. */
  public static long positions(MoxiePackage pack, @Nullable PlainModel other) {
    long positions = pack.architecture().maxPositions();
    return other == null ? positions : Math.min(positions, other.architecture().maxPositions());
  }

  private List<Corpus.Source> cut(Corpus corpus, @Nullable TextTokenizer tokenizer, int maxTokens) {
    return corpus.cut(
        tokenizer,
        pack.architecture().vocabSize(),
        Windows.apart("--max-tokens", maxTokens),
        (source, ids, known, first) -> sequence(source, ids));
  }

  private void sequence(String source, long[] ids) {
    texts.values().forEach(tally -> tally.begin(source));
    model.begin(ids.length);
    if (other != null) {
      other.begin(ids.length);
    }
    Architecture architecture = pack.architecture();
    boolean whole = architecture.encoder() != null || architecture.looksAhead();
    int most = whole ? ids.length : CHUNK;
    for (int from = 0; from < ids.length; from += most) {
      chunk(ids, from, Math.min(ids.length, from + most));
    }
    sequences++;
  }

  private void chunk(long[] ids, int from, int to) {
    List<List<Decision>> byToken = new ArrayList<>();
    for (int t = from; t < to; t++) {
      byToken.add(new ArrayList<>());
    }
    long[] chunk = Arrays.copyOfRange(ids, from, to);
    @Nullable Choices choices = other == null ? null : new Choices(pack.architecture());
    model.observe(
        chunk,
        (layer, result) -> {
          if (choices != null) {
            choices.accept(layer, result);
          }
          FeedForward.MixtureOfExperts moe = routed.byNumber().get(layer);
          if (moe != null) {
            layer(layer, moe, Objects.requireNonNull(result.mixture()), from, byToken);
          }
        });
    if (other != null && choices != null) {
      var others = new Choices(other.architecture());
      other.observe(chunk, others);
      flips.add(choices, others);
    }
    sink.accept(sequences, ids, byToken.stream().flatMap(List::stream).toList());
  }

  private void layer(
      int layer,
      FeedForward.MixtureOfExperts moe,
      Layers.Mixture mixture,
      int from,
      List<List<Decision>> byToken) {
    LayerTally tally = Objects.requireNonNull(tallies.get(layer));
    TextTally text = Objects.requireNonNull(texts.get(layer));
    for (int t = 0; t < byToken.size(); t++) {
      requireFinite(layer, from + t, row(mixture.routerLogits(), t, moe.logits()));
      Layers.Decision decision = mixture.decisions().get(t);
      @Nullable Margin margin = Margin.of(moe, mixture, t);
      tally.add(row(mixture.scores(), t, moe.experts()), decision, margin);
      text.add(decision.experts());
      byToken
          .get(t)
          .add(
              new Decision(
                  from + t,
                  layer,
                  decision.experts(),
                  decision.weights(),
                  margin == null ? null : margin.gap(),
                  null,
                  null));
    }
  }

  private static float[] row(float[] matrix, int row, int columns) {
    return Arrays.copyOfRange(matrix, row * columns, (row + 1) * columns);
  }

  private void requireFinite(int layer, int token, float[] logits) {
    for (float logit : logits) {
      if (!Float.isFinite(logit)) {
        throw new CorruptException(
            "%s, layer %d, sequence %d, token %d".formatted(pack.folder(), layer, sequences, token),
            "finite router logits",
            String.valueOf(logit),
            "the weights are broken or overflow, verify the package");
      }
    }
  }
}
