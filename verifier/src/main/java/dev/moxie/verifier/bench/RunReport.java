package dev.moxie.verifier.bench;

import dev.moxie.runtime.execution.Resident;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.text.Lines;
import dev.moxie.runtime.plain.ExpertMemory;
import java.util.Collections;
import java.util.List;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.PropertyNamingStrategies.SnakeCaseStrategy;
import tools.jackson.databind.annotation.JsonNaming;

/**
 * What {@link RunBenchmark} measured. As JSON it has every member that runtime-gpu/bench/llama.mjs
 * prints, so that it can be a peer itself.
 *
 * @param model folder of the package
 * @param device where it was run
 * @param prompt tokens of a prompt
 * @param decode tokens after each, one by one
 * @param batch texts at a time
 * @param reps repetitions that count
 * @param openMs until a token can be fed
 * @param checkMs of that, what it took to hold the model to the oracle; null where a pass was
 *     remembered
 * @param untried what of that was not tried, in words
 * @param firstTokenMs until the logits of a first token, opening included
 * @param residentMb null where the system does not say
 * @param weightBytesPerToken bytes of the matrices that a decoded token is multiplied with, on
 *     average; null of the fused execution
 * @param bandwidth null where the memory of weights has a limit, and of the fused execution
 * @param arithmetic what the same threads compute where they wait for nothing; null unless
 *     execution is plain
 * @param storageBytesPerToken that a decoded token had read from storage, on average; null where
 *     the system does not say
 * @param experts null where the system keeps what it can
 * @param together several texts at a time, besides one alone; null unless execution is plain
 * @param against null without a peer
 */
@JsonNaming(SnakeCaseStrategy.class)
public record RunReport(
    String model,
    String device,
    int threads,
    int prompt,
    int decode,
    int batch,
    int reps,
    double openMs,
    @Nullable Double checkMs,
    List<String> untried,
    double firstTokenMs,
    Prefill prefillPerS,
    Decode decodePerS,
    @Nullable Memory residentMb,
    @Nullable Long weightBytesPerToken,
    @Nullable Together together,
    @Nullable Bandwidth bandwidth,
    @Nullable Arithmetic arithmetic,
    @Nullable Long storageBytesPerToken,
    @Nullable Experts experts,
    @Nullable Against against) {

  /** Tokens of a prompt per second. */
  public record Prefill(double median, double best) {
    static Prefill of(int tokens, List<Double> millis) {
      return new Prefill(
          rate(tokens, Quantile.median(millis)), rate(tokens, Quantile.of(millis, 0)));
    }
  }

  /** Tokens per second, one by one. */
  @JsonNaming(SnakeCaseStrategy.class)
  public record Decode(double median, double bestDecile) {
    static Decode of(List<Double> millis) {
      return new Decode(rate(1, Quantile.median(millis)), rate(1, Quantile.of(millis, 0.1)));
    }
  }

  /** Memory before opening, after the first token, and at the end. */
  @JsonNaming(SnakeCaseStrategy.class)
  public record Memory(Resident before, Resident firstToken, Resident after) {
    static @Nullable Memory of(
        @Nullable Resident before, @Nullable Resident firstToken, @Nullable Resident after) {
      return before == null || firstToken == null || after == null
          ? null
          : new Memory(before, firstToken, after);
    }
  }

  /**
   * Decoding several texts, a token of each at a time.
   *
   * @param tokensPerS of all of them, median
   * @param weightBytesPerStep bytes of the matrices that their tokens are multiplied with, on
   *     average, each matrix once
   * @param ratio of the tokens per second to those of one text
   * @param ratioOfBytes what that would be if bytes of weights alone took time
   */
  @JsonNaming(SnakeCaseStrategy.class)
  public record Together(
      int texts, double tokensPerS, long weightBytesPerStep, double ratio, double ratioOfBytes) {
    static Together of(
        int texts, List<Double> millis, long weightBytes, Decode alone, long weightBytesAlone) {
      double tokensPerS = rate(texts, Quantile.median(millis));
      return new Together(
          texts,
          tokensPerS,
          weightBytes,
          tokensPerS / alone.median(),
          (double) texts * weightBytesAlone / weightBytes);
    }
  }

  /**
   * Experts in the memory that they have.
   *
   * @param budget bytes of all weights that may be in memory
   * @param hits of the bytes of experts that decoded tokens chose, the part that was in memory
   * @param layers how often each expert was chosen, prompts included
   */
  public record Experts(long budget, double hits, List<Load> layers) {
    static Experts of(long budget, ExpertMemory.Hits hits, ExpertMemory memory) {
      return new Experts(budget, hits.share(), memory.uses().stream().map(Load::of).toList());
    }
  }

  /**
   * How often the experts of a layer were chosen.
   *
   * @param most the expert that was most often
   * @param least the one that was least often
   * @param tokens by expert
   */
  public record Load(int layer, int most, int least, List<Long> tokens) {
    static Load of(ExpertMemory.Use use) {
      List<Long> tokens = use.tokens();
      return new Load(
          use.layer(),
          tokens.indexOf(Collections.max(tokens)),
          tokens.indexOf(Collections.min(tokens)),
          tokens);
    }
  }

  /**
   * What memory gives the same threads, weights being read and nothing computed, or a card that
   * copies.
   *
   * @param bytes that a test reads, or reads and writes
   * @param gbPerS median
   * @param reached by decoding, as a part of that
   * @param copied whether they were copied on a card
   */
  @JsonNaming(SnakeCaseStrategy.class)
  public record Bandwidth(long bytes, double gbPerS, double reached, boolean copied) {}

  /**
   * What the same threads compute where no memory is waited for.
   *
   * @param gflopPerS operations on float32 in registers, a multiply-add being two; median
   * @param reached by the prompt's products with weights, as a part of that
   * @param weightsGbPerS bytes of an expert's weights that are multiplied with one token, out of
   *     the nearest caches; median
   */
  @JsonNaming(SnakeCaseStrategy.class)
  public record Arithmetic(double gflopPerS, double reached, double weightsGbPerS) {}

  /**
   * A peer, in medians of its runs.
   *
   * @param prefillRatio ours to the peer's; above 1 ours is faster
   * @param decodeRatio likewise
   */
  @JsonNaming(SnakeCaseStrategy.class)
  public record Against(
      String command,
      double firstTokenMs,
      double prefillPerS,
      double decodePerS,
      double prefillRatio,
      double decodeRatio) {
    static Against of(String command, List<Peer> runs, Prefill prefill, Decode decode) {
      double prefillPerS = median(runs, Peer::prefillPerS);
      double decodePerS = median(runs, Peer::decodePerS);
      return new Against(
          command,
          median(runs, Peer::firstTokenMs),
          prefillPerS,
          decodePerS,
          prefill.median() / prefillPerS,
          decode.median() / decodePerS);
    }

    private static double median(List<Peer> runs, ToDoubleFunction<Peer> what) {
      return Quantile.median(runs.stream().mapToDouble(what).boxed().toList());
    }
  }

  private static double rate(int tokens, double millis) {
    return tokens * 1e3 / millis;
  }

  /** The report as one JSON object. */
  public String json() {
    return StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsString(this);
  }

  /** The report as lines for a person. */
  public String text() {
    var lines = new Lines();
    lines.add(
        "%s  on %s, %d threads; prompt %d, then %d tokens; median of %d, after one that does not"
            + " count",
        model, device, threads, prompt, decode, reps);
    lines.add("open       %.0f ms, first token after %.0f ms", openMs, firstTokenMs);
    if (checkMs != null) {
      lines.add(
          "           %.0f ms of it to hold the model to the oracle, once: a second run starts"
              + " cold",
          checkMs);
    }
    untried.forEach(what -> lines.add("           %s", what));
    lines.add("prefill    %.1f tokens/s, best %.1f", prefillPerS.median(), prefillPerS.best());
    lines.add(
        "decode     %.1f tokens/s, best decile %.1f", decodePerS.median(), decodePerS.bestDecile());
    if (together != null) {
      lines.add(
          "together   %d texts: %.1f tokens/s, %.2f times one text's",
          together.texts(), together.tokensPerS(), together.ratio());
      lines.add(
          "  weights  %.3f MB read per step, so that at most %.2f times were to be had: %.0f %% of"
              + " it",
          together.weightBytesPerStep() / 1e6,
          together.ratioOfBytes(),
          100 * together.ratio() / together.ratioOfBytes());
    }
    if (residentMb == null) {
      lines.add("resident   this system does not say (no RssAnon in /proc/self/status)");
    } else {
      add(lines, "before opening", residentMb.before());
      add(lines, "first token", residentMb.firstToken());
      add(lines, "at the end", residentMb.after());
    }
    if (weightBytesPerToken == null) {
      lines.add(
          "weights    not measured, nor several texts together, which takes the plain execution");
    } else {
      lines.add("weights    %.3f MB read per decoded token", weightBytesPerToken / 1e6);
    }
    if (bandwidth == null && weightBytesPerToken != null) {
      lines.add("bandwidth  not measured, since weights may not all be in memory");
    } else if (bandwidth != null) {
      lines.add(
          "bandwidth  %.2f GB/s, %s; decoding reaches %.0f %%",
          bandwidth.gbPerS(),
          bandwidth.copied()
              ? "reading and writing the card's memory"
              : "reading %.0f MB of the weights".formatted(bandwidth.bytes() / 1e6),
          100 * bandwidth.reached());
    }
    if (arithmetic != null) {
      lines.add(
          "arithmetic %.0f GFLOP/s in float32, of which the prompt reaches %.0f %%; weights out of"
              + " the cache, one token: %.2f GB/s",
          arithmetic.gflopPerS(), 100 * arithmetic.reached(), arithmetic.weightsGbPerS());
    }
    if (storageBytesPerToken != null) {
      lines.add("storage    %.3f MB read per decoded token", storageBytesPerToken / 1e6);
    }
    if (experts != null) {
      lines.add(
          "experts    %.0f %% of what tokens chose was in memory, of which weights may take %.0f"
              + " MB",
          100 * experts.hits(), experts.budget() / 1e6);
    }
    if (against != null) {
      lines.add("against    %s", against.command());
      lines.add("  first token after %.0f ms", against.firstTokenMs());
      lines.add(
          "  prefill  %.1f tokens/s, ratio %.2f", against.prefillPerS(), against.prefillRatio());
      lines.add(
          "  decode   %.1f tokens/s, ratio %.2f", against.decodePerS(), against.decodeRatio());
    }
    return lines.toString();
  }

  private static void add(Lines lines, String when, Resident memory) {
    lines.add(
        "resident   %-14s  anonymous %.0f MB, of files %.0f MB",
        when, memory.anonymous(), memory.file());
  }
}
