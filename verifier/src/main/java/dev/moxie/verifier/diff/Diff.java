package dev.moxie.verifier.diff;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What differs between two models, A and B; its members are those of {@code moxie diff --json}.
 * Every list is sorted, what matters most first.
 *
 * @param names by which tensors were matched
 * @param trustedDigests leaves that count as equal because the indexes of both packages state the
 *     same digest; their bytes were not read
 * @param notCompared in sentences
 * @param architecture members in which the forward passes differ; part of the model
 * @param settings keys of config.json and its kind that differ; part of the model
 * @param spelling keys that say the same in other words; no part of the model
 * @param files other files that differ, or that one side lacks; part of the model unless they only
 *     tell of it (a README, a licence, a trace)
 * @param layout how the weights are stored; no part of the model
 * @param provenance what two packages say of their origin; no part of the model
 */
public record Diff(
    Sense sense,
    Model a,
    Model b,
    Names names,
    int trustedDigests,
    List<String> notCompared,
    List<Change> architecture,
    List<Change> settings,
    List<Change> spelling,
    List<Change> files,
    List<Change> layout,
    List<Change> provenance,
    Tensors tensors,
    List<Likeness> likenesses) {

  /** In what sense two models are the same, if they are. */
  public enum Sense {
    /**
     * Architecture, settings and files are equal, and so is every byte of every tensor; of {@link
     * #trustedDigests} leaves the digests were compared, and the bytes not read.
     */
    @JsonProperty("same_bytes")
    SAME_BYTES,
    /** Likewise, but some tensors have equal values in another dtype or other bytes. */
    @JsonProperty("same_values")
    SAME_VALUES,
    @JsonProperty("different")
    DIFFERENT;

    /** Whether A and B are the same model. */
    public boolean same() {
      return this != DIFFERENT;
    }
  }

  /** The names by which tensors are matched. */
  public enum Names {
    /** Those that every package gives them. */
    @JsonProperty("canonical")
    CANONICAL,
    /** Those of the checkpoints, since one of them is not understood. */
    @JsonProperty("own")
    OWN
  }

  /**
   * One of the two.
   *
   * @param kind "package" or "checkpoint"
   * @param family null if this build does not know it
   * @param files that hold weights
   * @param tensors in these files
   * @param bytes of these files
   */
  public record Model(
      String path, String kind, @Nullable String family, int files, int tensors, long bytes) {}

  /**
   * Something that has another value on either side.
   *
   * @param a null where A has none
   * @param b null where B has none
   */
  public record Change(String what, @Nullable String a, @Nullable String b) {}

  /**
   * The tensors, leaf by leaf: a leaf is a tensor, or one matrix of one expert. Block scales belong
   * to their weights.
   *
   * @param sameBytes leaves whose bytes are equal, or whose digests are
   * @param sameValues leaves whose values are equal, but not their bytes
   * @param different leaves of which some value differs
   * @param incomparable leaves whose shapes differ, or whose dtypes have no common values
   * @param dtypes leaves stored otherwise; their values were compared
   * @param differences by tensor
   */
  public record Tensors(
      int sameBytes,
      int sameValues,
      int different,
      List<OneSided> onlyInA,
      List<OneSided> onlyInB,
      List<Form> incomparable,
      List<Form> dtypes,
      List<TensorDifference> differences) {}

  /**
   * A tensor, or some leaves of one, that the other side lacks.
   *
   * @param bytes of all its leaves
   */
  public record OneSided(String name, int leaves, String form, long bytes) {}

  /**
   * Leaves of a tensor that are stored differently.
   *
   * @param a dtype of a leaf in A; where leaves cannot be compared, its shape too
   */
  public record Form(String name, int leaves, String a, String b) {}

  /**
   * A tensor of which some leaves differ.
   *
   * @param leaves that differ
   * @param experts where the tensor is an expert stack
   */
  public record TensorDifference(
      String name, int leaves, Numbers numbers, List<ExpertDifference> experts) {}

  /** One expert's part of an expert stack. */
  public record ExpertDifference(int expert, Numbers numbers) {}

  /**
   * By how much the leaves that differ do.
   *
   * @param unit "elements", or "bytes" where a dtype has no values that this build reads
   * @param compared how many there are in these leaves
   * @param differing how many differ; zeros of either sign do, two NaNs do not
   * @param notFinite how many of those are NaN or infinite on a side; what follows is of the others
   * @param maxAbs the largest difference
   * @param maxRel that difference over the largest absolute value in A; null if A is all zeros
   * @param rms root mean square of the differences over that of A; null if A is all zeros
   * @param worst where the first difference that is not finite, or else the largest is
   */
  public record Numbers(
      String unit,
      long compared,
      long differing,
      long notFinite,
      double maxAbs,
      @Nullable Double maxRel,
      @Nullable Double rms,
      Place worst) {}

  /**
   * An element.
   *
   * @param index from 0, one number per axis of the leaf
   */
  public record Place(String leaf, List<Long> index, double a, double b) {}

  /** Something of A that differs from its counterpart in B, and is something else of B. */
  public record Likeness(Kind kind, String a, String b) {
    /** In what way it is. */
    public enum Kind {
      /** All matrices of an expert. */
      @JsonProperty("expert")
      EXPERT,
      /** A leaf, value by value. */
      @JsonProperty("leaf")
      LEAF,
      /** A square matrix, rows for columns. */
      @JsonProperty("transposed")
      TRANSPOSED,
      /** A leaf, its values in another order; by a 64-bit digest of them. */
      @JsonProperty("reordered")
      REORDERED
    }
  }
}
