package dev.moxie.verifier.baseline;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Execution;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What a baseline file says: one JSON object whose members are the components of this record, in
 * this order. Numbers that were computed are strings in the form of {@link Double#toHexString}; ids
 * and counts are plain numbers. No member may be unknown, missing or twice there. T tokens, hidden
 * size H, E experts, V words; everything counts from 0.
 *
 * @param format always "moxie-baseline"
 * @param version of this layout: a reader refuses any but its own
 * @param producer the program that recorded it
 * @param build which build of the runtime and of what it computes with; null where that is not
 *     known
 * @param subject the package that was run
 * @param execution how it was run, on the CPU in float32
 * @param sequences one per recorded sequence, at least one
 */
public record Baseline(
    String format,
    int version,
    Manifest.Producer producer,
    @Nullable String build,
    Subject subject,
    Execution execution,
    List<Sequence> sequences) {

  /** The value of {@link #format}. */
  public static final String FORMAT = "moxie-baseline";

  /** The version that this build reads and writes. */
  public static final int VERSION = 1;

  public Baseline {
    Objects.requireNonNull(format, "format is missing");
    Objects.requireNonNull(producer, "producer is missing");
    Objects.requireNonNull(subject, "subject is missing");
    Objects.requireNonNull(execution, "execution is missing");
    sequences = copy("sequences", sequences);
  }

  /**
   * A package, as far as another one must be like it to be held to its numbers.
   *
   * @param manifestSha256 digest of its manifest; another layout or producer has another one
   * @param vocabSize V
   * @param hiddenSize H
   * @param experts E of each layer; 0 for a layer without experts
   */
  public record Subject(
      String manifestSha256, int vocabSize, int hiddenSize, List<Integer> experts) {
    public Subject {
      Objects.requireNonNull(manifestSha256, "subject.manifestSha256 is missing");
      experts = copy("subject.experts", experts);
    }

    /** What there is to say of a package. */
    public static Subject of(MoxiePackage pack) {
      Architecture architecture = pack.architecture();
      List<Integer> experts = new ArrayList<>();
      for (Architecture.Blocks block : architecture.layers()) {
        experts.add(
            switch (block.feedForward()) {
              case FeedForward.Dense _, FeedForward.None _ -> 0;
              case FeedForward.MixtureOfExperts moe -> moe.experts();
            });
      }
      return new Subject(
          pack.manifestSha256(), architecture.vocabSize(), architecture.streamWidth(), experts);
    }
  }

  /**
   * One sequence.
   *
   * @param ids the tokens, [T]
   * @param layers one per layer; empty where the execution does not show them
   * @param greedy the continuation by tokens of largest logit, end-of-text never chosen
   */
  public record Sequence(
      List<Integer> ids, List<Layer> layers, Logits logits, List<Integer> greedy) {
    public Sequence {
      ids = copy("ids", ids);
      layers = copy("layers", layers);
      Objects.requireNonNull(logits, "logits is missing");
      greedy = copy("greedy", greedy);
    }

    /** The tokens as a model takes them. */
    long[] tokens() {
      return ids.stream().mapToLong(Integer::longValue).toArray();
    }
  }

  /**
   * One layer of one sequence.
   *
   * @param routing null for a layer without experts
   * @param output residual stream after the layer, [T, H]
   */
  public record Layer(@Nullable Routing routing, Summary output) {
    public Layer {
      Objects.requireNonNull(output, "output is missing");
    }
  }

  /**
   * How tokens were routed.
   *
   * @param experts of each token, ascending
   * @param smallestMargin null where all experts are chosen
   * @param choice what experts are chosen by: scores, and bias where there is one, before any mask,
   *     [T, E]
   */
  public record Routing(
      List<List<Integer>> experts, @Nullable Margin smallestMargin, Summary choice) {
    public Routing {
      experts = copy("experts", experts).stream().map(chosen -> copy("experts", chosen)).toList();
      Objects.requireNonNull(choice, "choice is missing");
    }
  }

  /**
   * The decision that was closest.
   *
   * @param token whose it was
   * @param value gap between the last chosen and the first rejected expert or group
   */
  public record Margin(int token, HexDouble value) {
    public Margin {
      Objects.requireNonNull(value, "value is missing");
    }
  }

  /**
   * The logits.
   *
   * @param summary of all, [T, V]
   * @param largest of each token, the five largest, largest first; all where V is smaller
   */
  public record Logits(Summary summary, List<List<Logit>> largest) {
    /** Logits of each token that are recorded one by one. */
    static final int LARGEST = 5;

    public Logits {
      Objects.requireNonNull(summary, "summary is missing");
      largest = copy("largest", largest).stream().map(logits -> copy("largest", logits)).toList();
    }
  }

  /**
   * One logit.
   *
   * @param id which word's
   */
  public record Logit(int id, HexDouble value) {
    public Logit {
      Objects.requireNonNull(value, "value is missing");
    }
  }

  /**
   * A float32 matrix of one row per token, in few numbers, each computed in double precision.
   *
   * @param sha256 of its elements, row-major, little-endian
   * @param mean of all elements
   * @param rms root of the mean of their squares
   * @param peak an element of largest magnitude
   * @param projections of each row, sums of its elements with the signs of {@link Signs}
   */
  public record Summary(
      String sha256, HexDouble mean, HexDouble rms, Peak peak, List<List<HexDouble>> projections) {
    public Summary {
      Objects.requireNonNull(sha256, "sha256 is missing");
      Objects.requireNonNull(mean, "mean is missing");
      Objects.requireNonNull(rms, "rms is missing");
      Objects.requireNonNull(peak, "peak is missing");
      projections =
          copy("projections", projections).stream().map(row -> copy("projections", row)).toList();
    }
  }

  /** An element with its place. */
  public record Peak(int token, int index, HexDouble value) {
    public Peak {
      Objects.requireNonNull(value, "value is missing");
    }
  }

  private static <T> List<T> copy(String name, List<T> list) {
    Objects.requireNonNull(list, name + " is missing");
    if (list.stream().anyMatch(Objects::isNull)) {
      throw new IllegalArgumentException(name + " holds null");
    }
    return List.copyOf(list);
  }
}
