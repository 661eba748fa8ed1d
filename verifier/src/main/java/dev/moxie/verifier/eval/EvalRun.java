package dev.moxie.verifier.eval;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.generation.TextTokenizer;
import dev.moxie.verifier.Continuing;
import dev.moxie.verifier.LoweringCheck;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.Choices;
import dev.moxie.verifier.routing.Corpus;
import dev.moxie.verifier.routing.Flips;
import dev.moxie.verifier.routing.SameTokens;
import dev.moxie.verifier.routing.SequenceSink;
import dev.moxie.verifier.routing.Windows;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.LongFunction;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Runs a package, and another one beside it, over a text and scores every token that has one before
 * it: window after window, in each the tokens that the window before did not have.
 */
public final class EvalRun {
  /** Tokens of a window unless told otherwise. */
  public static final int DEFAULT_CONTEXT = 512;

  /** Logits that are kept at a time, of either model. */
  private static final int LOGITS = 1 << 21;

  /** Tokens that pass through the layers together at most. */
  private static final int TOGETHER = 128;

  private final Side side;
  private final @Nullable Side other;
  private final Progress progress;
  private final int words;
  private final int rows;
  private final boolean routing;
  private final Mean surprise = new Mean();
  private final Mean surpriseOfOther = new Mean();
  private final Mean difference = new Mean();
  private final DivergenceTally divergences = new DivergenceTally();
  private final Flips flips = new Flips();
  private final List<EvalReport.Place> starts = new ArrayList<>();
  private final List<Long> scoredBefore = new ArrayList<>();
  private long scored;

  /** Is told how many more tokens have been scored. */
  @FunctionalInterface
  public interface Progress {
    void advance(long tokens);
  }

  /**
   * How to read and what to hold to.
   *
   * @param context tokens of a window; null for {@value #DEFAULT_CONTEXT}, or the model's positions
   *     if fewer
   * @param stride tokens by which windows advance; null for half of the context
   * @param tokens of the corpus at most; null for all
   * @param maxKl what the mean divergence may be; null without limit
   * @param minAgreement what the agreement must be; null without limit
   */
  public record Options(
      @Nullable Integer context,
      @Nullable Integer stride,
      @Nullable Long tokens,
      @Nullable Double maxKl,
      @Nullable Double minAgreement) {}

  /** A package that runs. */
  private record Side(MoxiePackage pack, Model model) {}

  private EvalRun(Side side, @Nullable Side other, boolean routing, Progress progress) {
    this.side = side;
    this.other = other;
    this.routing = routing;
    this.progress = progress;
    this.words = side.pack().architecture().vocabSize();
    this.rows = Math.clamp(LOGITS / words, 1, TOGETHER);
  }

  /**
   * Evaluates.
   *
   * @param against another package of the same tokens; null for none
   * @param device where both are run
   * @param wanted how; null for what is best there
   * @param begun is given the number of tokens to score before the first, and takes the progress
   * @throws UsageException if options do not fit the model, packages cannot be compared, or there
   *     is no token to score
   * @throws CorruptException if a file is no text, or weights compute no finite numbers
   */
  public static EvalReport run(
      Path folder,
      @Nullable Path against,
      Device device,
      @Nullable Execution wanted,
      Corpus corpus,
      Options options,
      LongFunction<Progress> begun) {
    try (MoxiePackage pack = MoxiePackage.open(folder);
        @Nullable MoxiePackage second = against == null ? null : MoxiePackage.open(against);
        @Nullable TextTokenizer tokenizer = corpus.hasText() ? TextTokenizer.of(pack) : null) {
      Continuing.require(pack);
      Execution execution = wanted == null ? Execution.best(pack, device) : wanted;
      execution.require(device);
      List<String> notCompared = new ArrayList<>();
      if (second != null) {
        SameTokens.require(pack, second, corpus.hasText());
        Flips.incomparable(pack.architecture(), second.architecture())
            .ifPresent(why -> notCompared.add("routing decisions: " + why));
        if (execution != Execution.PLAIN) {
          notCompared.add("routing decisions, which the plain execution alone shows");
        }
      }
      int beginning = tokenizer == null ? 0 : tokenizer.beginning().length;
      Windows windows = windows(pack, second, options, beginning);
      long all = count(pack, tokenizer, corpus, windows);
      try (Model model = execution.open(pack, device, new LoweringCheck());
          @Nullable Model others =
              second == null ? null : execution.open(second, device, new LoweringCheck())) {
        var run =
            new EvalRun(
                new Side(pack, model),
                second == null || others == null ? null : new Side(second, others),
                notCompared.isEmpty(),
                begun.apply(all));
        List<Corpus.Source> sources =
            corpus.cut(tokenizer, pack.architecture().vocabSize(), windows, run::window);
        return run.report(device, windows, beginning, sources, options, notCompared);
      }
    }
  }

  private static Windows windows(
      MoxiePackage pack, @Nullable MoxiePackage other, Options options, int beginning) {
    long positions = pack.architecture().maxPositions();
    if (other != null) {
      positions = Math.min(positions, other.architecture().maxPositions());
    }
    long context =
        options.context() == null ? Math.min(DEFAULT_CONTEXT, positions) : options.context();
    if (context < 2 || context > positions) {
      throw new UsageException(
          "--context",
          "a number from 2 to the model's " + positions + " positions",
          String.valueOf(context),
          "pass another");
    }
    long room = context - beginning;
    long stride = options.stride() == null ? Math.max(1, context / 2) : options.stride();
    if (stride < 1 || (options.stride() != null && stride > room)) {
      throw new UsageException(
          "--stride",
          "a number from 1 to the %d tokens that a window has room for".formatted(room),
          String.valueOf(stride),
          "pass another");
    }
    long limit = options.tokens() == null ? Long.MAX_VALUE : options.tokens();
    if (limit < 1) {
      throw new UsageException(
          "--tokens", "a number from 1", String.valueOf(limit), "pass another");
    }
    return new Windows("--context", (int) context, (int) stride, limit);
  }

  /** Reads everything once, so that what is no text, or has nothing to score, costs no run. */
  private static long count(
      MoxiePackage pack, @Nullable TextTokenizer tokenizer, Corpus corpus, Windows windows) {
    long[] all = new long[1];
    SequenceSink counting = (source, ids, known, first) -> all[0] += ids.length - first(known);
    List<Corpus.Source> sources =
        corpus.cut(tokenizer, pack.architecture().vocabSize(), windows, counting);
    if (all[0] == 0) {
      throw new UsageException(
          sources.getFirst().name(),
          "a token after another one, to score",
          "one token",
          "pass a longer text");
    }
    return all[0];
  }

  /** The first place of a window whose token counts: it is not known, and has one before it. */
  private static int first(int known) {
    return Math.max(1, known);
  }

  private void window(String source, long[] ids, int known, long place) {
    int first = first(known);
    if (first >= ids.length) {
      return;
    }
    starts.add(new EvalReport.Place(source, place + first - known));
    scoredBefore.add(scored);
    begin(side, ids, first);
    if (other != null) {
      begin(other, ids, first);
    }
    for (int from = first; from < ids.length; from += rows) {
      int to = Math.min(ids.length, from + rows);
      // The token at a place is foreseen by what was computed of the one before.
      score(Arrays.copyOfRange(ids, from - 1, to - 1), Arrays.copyOfRange(ids, from, to));
    }
  }

  /** Computes what stands before the token that foresees the first one that counts. */
  private static void begin(Side side, long[] ids, int first) {
    side.model().begin(ids.length - 1);
    if (first > 1) {
      side.model().next(Arrays.copyOf(ids, first - 1));
    }
  }

  private void score(long[] ids, long[] targets) {
    var choices = new Choices(side.pack().architecture());
    LogSoftmax[] q = predictions(side, ids, choices);
    if (other == null) {
      for (int t = 0; t < targets.length; t++) {
        surprise.add(-q[t].of((int) targets[t]));
      }
    } else {
      var expected = new Choices(other.pack().architecture());
      LogSoftmax[] p = predictions(other, ids, expected);
      if (routing) {
        flips.add(choices, expected);
      }
      double[] apart = new double[targets.length];
      IntStream.range(0, apart.length).parallel().forEach(t -> apart[t] = p[t].divergence(q[t]));
      for (int t = 0; t < targets.length; t++) {
        double own = -q[t].of((int) targets[t]);
        double others = -p[t].of((int) targets[t]);
        surprise.add(own);
        surpriseOfOther.add(others);
        difference.add(own - others);
        divergences.add(apart[t], p[t].top() == q[t].top());
      }
    }
    scored += targets.length;
    progress.advance(targets.length);
  }

  private LogSoftmax[] predictions(Side of, long[] ids, Choices choices) {
    float[] logits = logits(of.model(), ids, choices);
    LogSoftmax[] predictions = new LogSoftmax[ids.length];
    IntStream.range(0, ids.length)
        .parallel()
        .forEach(t -> predictions[t] = new LogSoftmax(logits, t * words, words));
    for (LogSoftmax prediction : predictions) {
      if (!prediction.isFinite()) {
        throw new CorruptException(
            of.pack().folder() + ", after " + scored + " tokens that were scored",
            "finite logits",
            "some that are not",
            "the weights are broken or overflow, verify the package");
      }
    }
    return predictions;
  }

  /** Logits after each token, and what routers chose where the model shows it. */
  private static float[] logits(Model model, long[] ids, Choices choices) {
    if (model instanceof PlainModel plain) {
      plain.observe(ids, choices);
      return plain.head(choices.hidden());
    }
    return model.append(ids);
  }

  private EvalReport report(
      Device device,
      Windows windows,
      int beginning,
      List<Corpus.Source> sources,
      Options options,
      List<String> notCompared) {
    EvalReport.@Nullable Against against = other == null ? null : against(other);
    List<EvalReport.Limit> limits = new ArrayList<>();
    if (against != null) {
      double mean = against.divergence().mean();
      double agreement = against.divergence().agreement();
      Optional.ofNullable(options.maxKl())
          .ifPresent(
              most ->
                  limits.add(
                      new EvalReport.Limit("mean KL", mean, most, Verdict.of(mean <= most))));
      Optional.ofNullable(options.minAgreement())
          .ifPresent(
              least ->
                  limits.add(
                      new EvalReport.Limit(
                          "top-1 agreement", agreement, least, Verdict.of(agreement >= least))));
    }
    return new EvalReport(
        limits.isEmpty()
            ? null
            : Verdict.of(limits.stream().allMatch(limit -> limit.verdict().passed())),
        side.pack().folder().toString(),
        device.description(),
        sources,
        windows.most(),
        Math.min(windows.stride(), windows.most() - beginning),
        beginning + windows.overlap(beginning),
        scored,
        Likelihood.of(surprise),
        against,
        limits,
        notCompared);
  }

  private EvalReport.Against against(Side against) {
    var divergence = divergences.result();
    return new EvalReport.Against(
        against.pack().folder().toString(),
        Likelihood.of(surpriseOfOther),
        StrictMath.exp(difference.mean()),
        difference.standardError(),
        divergence,
        place(divergence.worstAt()),
        flips.byLayer());
  }

  /** Where the n-th token that was scored stands. */
  private EvalReport.Place place(long n) {
    int window = scoredBefore.size() - 1;
    while (scoredBefore.get(window) > n) {
      window--;
    }
    EvalReport.Place start = starts.get(window);
    return new EvalReport.Place(start.source(), start.token() + n - scoredBefore.get(window));
  }
}
