package dev.moxie.verifier.baseline;

import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.Manifest;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.report.Verdict;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What became of a package's numbers since they were recorded.
 *
 * @param file the baseline
 * @param strict whether every bit had to be the same
 * @param execution how the package was run now
 * @param samePackage whether the manifest is the recorded one, to the byte
 * @param recordedBy the program that recorded the baseline
 * @param recordedBuild of the runtime; null if not known
 * @param build of the runtime now; null if not known
 * @param sequences compared
 * @param tokens of those together, without continuations
 * @param matrices compared: outputs of routers and layers, and logits
 * @param identical of those, to the bit
 * @param nearest largest difference of a number that held, as a part of its bound
 * @param decisions routing decisions compared
 * @param ties of those, ones that differ where rounding may decide
 * @param drifts first drifting layer first
 * @param notCompared what was left open, in words
 * @param tolerance how bounds were derived, in words
 * @param diagnosis what the first drift means, in words; null if there is none
 */
public record BaselineReport(
    Verdict verdict,
    String packageFolder,
    String file,
    boolean strict,
    Execution execution,
    boolean samePackage,
    Manifest.Producer recordedBy,
    @Nullable String recordedBuild,
    @Nullable String build,
    int sequences,
    int tokens,
    int matrices,
    int identical,
    double nearest,
    int decisions,
    int ties,
    List<Drift> drifts,
    List<String> notCompared,
    String tolerance,
    @Nullable String diagnosis) {

  /**
   * Something that is not what was recorded.
   *
   * @param sequence which
   * @param layer null for logits and continuation
   * @param step of the layer: router (what experts are chosen by), routing or output; else logits
   *     or greedy
   * @param tokens those that drifted; empty if only numbers of the whole matrix did
   * @param numbers how many did
   * @param compared of how many
   * @param what the number that is furthest beyond its bound
   * @param recorded its value then
   * @param computed its value now
   * @param bound largest difference that would be no drift; null where it is no number
   * @param oracleAgrees whether the oracle computes from this package what was computed now; null
   *     where it was not asked
   */
  public record Drift(
      int sequence,
      @Nullable Integer layer,
      String step,
      List<Integer> tokens,
      int numbers,
      int compared,
      String what,
      String recorded,
      String computed,
      @Nullable Double bound,
      @Nullable Boolean oracleAgrees) {

    /** Where it is, in words. */
    public String place() {
      return layer == null ? step : "layer " + layer + " " + step;
    }
  }

  /** As one JSON object, whose members are the components of this record. */
  public String json() {
    return StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsString(this);
  }
}
