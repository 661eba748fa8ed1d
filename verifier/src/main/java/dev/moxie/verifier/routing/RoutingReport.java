package dev.moxie.verifier.routing;

import dev.moxie.format.json.StrictJson;
import java.util.List;

/**
 * How a package routes a corpus. Without a reference there is no verdict: nothing here says that
 * the decisions are right.
 *
 * @param maxTokens tokens of a sequence at most
 * @param sequences of all sources
 * @param tokens of all sequences
 * @param layers one entry per layer with experts
 * @param texts where there were several sources, which experts each uses, one entry per layer with
 *     experts
 * @param unchosen experts that no token chose
 * @param flips where decisions were compared with another package's, one entry per layer with
 *     experts
 * @param equations what the numbers are
 */
public record RoutingReport(
    String packageFolder,
    int maxTokens,
    List<Corpus.Source> sources,
    int sequences,
    long tokens,
    List<LayerStatistics> layers,
    List<LayerTexts> texts,
    Unchosen unchosen,
    List<LayerFlips> flips,
    List<Equation> equations) {
  public RoutingReport {
    sources = List.copyOf(sources);
    layers = List.copyOf(layers);
    texts = List.copyOf(texts);
    flips = List.copyOf(flips);
    equations = List.copyOf(equations);
  }

  /** The report as one JSON object. */
  public String json() {
    return StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsString(this);
  }

  /** The report as lines for a person. */
  public String text() {
    return RoutingText.of(this);
  }
}
