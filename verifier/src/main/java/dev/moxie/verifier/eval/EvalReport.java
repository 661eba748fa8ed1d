package dev.moxie.verifier.eval;

import dev.moxie.format.json.StrictJson;
import dev.moxie.verifier.report.Divergence;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.Corpus;
import dev.moxie.verifier.routing.LayerFlips;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How well a package foresees a text, and how far it is from another package.
 *
 * @param verdict whether all limits hold; null without any
 * @param device where it was run
 * @param sources what was read, and into how many windows it was cut
 * @param context tokens of a window
 * @param stride tokens by which windows advance
 * @param leastContext tokens that stand before every scored one, but in the first window of a text
 * @param scored tokens whose probability counts, each once
 */
public record EvalReport(
    @Nullable Verdict verdict,
    String packageFolder,
    String device,
    List<Corpus.Source> sources,
    int context,
    int stride,
    int leastContext,
    long scored,
    Likelihood likelihood,
    @Nullable Against against,
    List<Limit> limits,
    List<String> notCompared) {

  /**
   * The other package.
   *
   * @param perplexityRatio the package's perplexity to the other's
   * @param ratioError standard error of the ratio's logarithm, from the differences token by token,
   *     as if they were independent; null of one token
   * @param divergence P being the other's prediction
   * @param worst the token that the largest divergence is at
   * @param routing one entry per layer with experts; empty if decisions were not compared
   */
  public record Against(
      String packageFolder,
      Likelihood likelihood,
      double perplexityRatio,
      @Nullable Double ratioError,
      Divergence divergence,
      Place worst,
      List<LayerFlips> routing) {}

  /**
   * A token of what was read.
   *
   * @param token counted from 0, as the tokenizer cuts the source
   */
  public record Place(String source, long token) {}

  /** What a number was held to. */
  public record Limit(String name, double found, double limit, Verdict verdict) {}

  /** The report as one JSON object. */
  public String json() {
    return StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsString(this);
  }

  /** The report as lines for a person. */
  public String text() {
    return EvalText.of(this);
  }
}
