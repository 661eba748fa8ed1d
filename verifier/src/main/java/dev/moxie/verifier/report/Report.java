package dev.moxie.verifier.report;

import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.execution.Utilisation;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Everything that a verification found.
 *
 * @param packageFolder what was verified
 * @param device null if nothing was run
 * @param equivalence null if no source was given
 * @param references one per reference
 * @param unlike references of models of another shape, which is a difference
 * @param invariance null if it was not asked for
 * @param notChecked what was left open, in words
 */
public record Report(
    Verdict verdict,
    String packageFolder,
    @Nullable Device device,
    Integrity integrity,
    @Nullable Equivalence equivalence,
    List<Reference> references,
    List<Unlike> unlike,
    @Nullable Invariance invariance,
    List<String> notChecked) {

  /**
   * Where numbers were computed.
   *
   * @param compute dtype of what is computed there
   * @param opened whether models were held to the oracle as they are whenever they are opened,
   *     since kernels may be others in every process
   * @param refusals what that says against them
   */
  public record Device(String name, Dtype compute, boolean opened, List<String> refusals) {}

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
   * A reference of which nothing could be compared.
   *
   * @param differences by which the shapes show it
   */
  public record Unlike(
      Verdict verdict, String file, @Nullable String producer, List<String> differences) {}

  /**
   * Level 3, one reference.
   *
   * @param precision in which the reference was computed
   * @param tokens T
   * @param tolerance how bounds were derived, in words
   * @param noise what a second reference says about the size of rounding; null without one
   * @param routingByLayer the decisions of each layer with experts
   * @param ends what lies before and after the layers
   * @param layers those that were verified
   * @param logits the execution that is nearer to failing; null where nothing was run end to end,
   *     since some layers were left out
   * @param greedy the execution that agrees less; null likewise
   * @param executions each execution by itself
   * @param permuted the reference's logits with its experts in another order against those that it
   *     recorded; null where the trace has none
   */
  public record Reference(
      Verdict verdict,
      String file,
      @Nullable String producer,
      Dtype precision,
      int tokens,
      String tolerance,
      @Nullable Noise noise,
      Routing routing,
      List<LayerRouting> routingByLayer,
      Ends ends,
      List<Layer> layers,
      @Nullable Comparison logits,
      @Nullable Greedy greedy,
      Map<String, EndToEnd> executions,
      @Nullable Comparison permuted,
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
   * What lies before and after the layers, each on the reference's own input.
   *
   * @param embedding of the tokens; null where the first layer was left out
   * @param head logits of the last layer's output; null where that layer was left out
   * @param prediction logits of each prediction layer that the reference has any of, from that
   *     output, too: as the equations give them, since nothing here runs such layers
   */
  public record Ends(
      @Nullable Comparison embedding, @Nullable Comparison head, List<Comparison> prediction) {
    /** Whether all hold, as far as they were compared. */
    public boolean hold() {
      return holds(embedding) && holds(head) && prediction.stream().allMatch(Report::holds);
    }
  }

  /** Whether a comparison was not made, or holds. */
  public static boolean holds(@Nullable Comparison comparison) {
    return comparison == null || comparison.verdict().passed();
  }

  /**
   * Routing decisions of one layer.
   *
   * @param overlap experts in common, over all chosen
   * @param decisions one letter per token: {@code M} match, {@code T} tie, {@code X} mismatch
   * @param margins gap between the last chosen and the first rejected score, per token; null where
   *     all experts are chosen
   * @param utilisation of the reference's choices
   */
  public record LayerRouting(
      int layer,
      int match,
      int tie,
      int mismatch,
      double overlap,
      String decisions,
      List<@Nullable Double> margins,
      List<Integer> dropped,
      Utilisation utilisation) {
    public LayerRouting {
      dropped = List.copyOf(dropped);
    }
  }

  /**
   * How large rounding was measured to be: the root mean square of what two references' roundings
   * differ by, in units of the deviation that is derived for it.
   *
   * @param file the second reference
   * @param factors by step, all layers together, and for {@code logits}; bounds are multiplied by
   *     them
   */
  public record Noise(String file, Map<String, Double> factors) {}

  /**
   * One layer, on the reference's input and with the reference's experts, so that errors neither
   * add up nor hide behind another choice.
   *
   * @param maxAbs of the layer's output; likewise the four after it but verdict, which is of all
   *     steps
   * @param steps every recorded step of the layer in the order of computation, by the trace's name
   * @param accumulated the layer's output where this runtime computes from the tokens on, with
   *     experts of its own choice, compared before the first token at which it chose others; null
   *     where a layer was left out
   * @param oracle with whom the oracle agrees about the output
   * @param inside where the layer fails: every step on the reference's own input to that step, in
   *     the order of computation, so that the first that fails is the first that is wrong
   */
  public record Layer(
      int layer,
      double maxAbs,
      double maxRel,
      double bound,
      Verdict verdict,
      Comparison.Element worst,
      Map<String, Comparison> steps,
      @Nullable Comparison accumulated,
      String oracle,
      List<Step> inside) {

    /** The same layer with another accumulated comparison. */
    public Layer withAccumulated(Comparison other) {
      return new Layer(layer, maxAbs, maxRel, bound, verdict, worst, steps, other, oracle, inside);
    }
  }

  /**
   * One step of a layer, computed by the oracle from what the reference computed just before.
   *
   * @param name attention, norm, router, selection, weights, experts, shared or dense
   * @param verdict fail if the reference's result is not what the package's weights give
   * @param comparison null for a selection
   * @param experts those that are wrong: experts whose every token is; empty elsewhere
   */
  public record Step(
      String name, Verdict verdict, @Nullable Comparison comparison, List<Integer> experts) {}

  /**
   * What must leave logits as they are, each execution held to itself.
   *
   * @param tokens T
   * @param judged tokens before the first whose experts rounding may change; only those are held to
   *     bounds
   * @param executions by their names, and in each what was changed: logits after the change against
   *     those before
   */
  public record Invariance(
      Verdict verdict, int tokens, int judged, Map<String, Map<String, Comparison>> executions) {}

  /**
   * One execution from token ids to logits and to a greedy continuation.
   *
   * @param divergence of its predictions from the reference's, which is P
   */
  public record EndToEnd(Comparison logits, Divergence divergence, Greedy greedy) {}

  /**
   * Greedy continuation.
   *
   * @param tokens recorded by the reference; 0 if it recorded none
   * @param equal how many of them, position by position
   * @param open whether they part where rounding may decide, and so are not judged
   */
  public record Greedy(Verdict verdict, int tokens, int equal, boolean open) {}
}
