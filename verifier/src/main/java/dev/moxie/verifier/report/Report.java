package dev.moxie.verifier.report;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Everything that a verification found.
 *
 * @param packageFolder what was verified
 * @param equivalence null if no source was given
 * @param references one per reference
 * @param notChecked what was left open, in words
 */
public record Report(
    Verdict verdict,
    String packageFolder,
    Integrity integrity,
    @Nullable Equivalence equivalence,
    List<Reference> references,
    List<String> notChecked) {

  /**
   * Level 1.
   *
   * @param files files whose digests were computed
   * @param bytes their sizes together
   */
  public record Integrity(Verdict verdict, int files, long bytes, List<Finding> findings) {}

  /**
   * Level 2; each count is of source tensors, but {@code extra}.
   *
   * @param tensors tensors of the checkpoint
   * @param identical bit for bit, in their place
   * @param withinBound converted as the package declares, each element exactly to what its source
   *     rounds to
   * @param different others that are there
   * @param missing without a place in the package
   * @param leftOut dropped as the package declares
   * @param extra places in the package without a source tensor
   */
  public record Equivalence(
      Verdict verdict,
      String source,
      int tensors,
      int identical,
      int withinBound,
      int different,
      int missing,
      int leftOut,
      int extra,
      List<Finding> findings) {}

  /**
   * Level 3, one reference.
   *
   * @param tokens T
   * @param tolerance how bounds were derived, in words
   * @param logits the execution that is nearer to failing
   * @param greedy the execution that agrees less
   * @param executions each execution by itself
   */
  public record Reference(
      Verdict verdict,
      String file,
      @Nullable String producer,
      int tokens,
      String tolerance,
      Routing routing,
      List<Layer> layers,
      Comparison logits,
      Greedy greedy,
      Map<String, EndToEnd> executions,
      List<String> diagnosis) {}

  /**
   * Routing decisions, layer by layer on the reference's own input to each layer.
   *
   * @param decisions tokens × layers
   * @param match the same set of experts
   * @param tie another set, but every exchanged pair of experts has scores closer than rounding may
   *     move them
   * @param mismatch another set
   * @param overlap experts in common, over all chosen
   * @param tokensAffected tokens whose set differs in at least one layer
   * @param firstDivergentLayer null if none diverges
   * @param smallestMargin smallest gap between the last chosen and the first rejected score; null
   *     where all experts are chosen
   */
  public record Routing(
      Verdict verdict,
      int decisions,
      int match,
      int tie,
      int mismatch,
      double overlap,
      int tokensAffected,
      @Nullable Integer firstDivergentLayer,
      @Nullable Double smallestMargin) {}

  /**
   * One layer, on the reference's input and with the reference's experts, so that errors neither
   * add up nor hide behind another choice.
   *
   * @param maxAbs of the layer's output; likewise the four after it but verdict, which is of all
   *     steps
   * @param steps every recorded step of the layer in the order of computation, by the trace's name
   * @param oracle with whom the oracle agrees about the output
   */
  public record Layer(
      int layer,
      double maxAbs,
      double maxRel,
      double bound,
      Verdict verdict,
      Comparison.Element worst,
      Map<String, Comparison> steps,
      String oracle) {}

  /** One execution from token ids to logits and to a greedy continuation. */
  public record EndToEnd(Comparison logits, Greedy greedy) {}

  /**
   * Greedy continuation.
   *
   * @param tokens recorded by the reference; 0 if it recorded none
   * @param equal how many of them, position by position
   * @param open whether they part where rounding may decide, and so are not judged
   */
  public record Greedy(Verdict verdict, int tokens, int equal, boolean open) {}
}
