package dev.moxie.format.pack;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Makes the packages under {@code conformance/packages}. Run {@code main} with that folder after a
 * change of the format; the test compares what is committed with what this makes.
 */
final class ConformanceVectors {
  /**
   * An invalid package, and what a reader must make of it; SPEC.md, section 9, explains the first
   * four.
   *
   * @param says what our own reader's sentence must speak of, so that it is known to refuse the
   *     package for this rule and no other
   */
  record Invalid(String rule, String answer, String at, String breaks, String says) {}

  /** A valid package. */
  record Valid(@Nullable String rule, String shows) {}

  /** Makes a package, or changes one that is there. */
  interface Step {
    void apply(Path folder) throws IOException;
  }

  final Map<String, Valid> valid = new LinkedHashMap<>();
  final Map<String, Invalid> invalid = new LinkedHashMap<>();
  private final Path root;

  private ConformanceVectors(Path root) {
    this.root = root;
  }

  /** Writes all vectors, and what they are. */
  static ConformanceVectors write(Path root) throws IOException {
    var vectors = new ConformanceVectors(root);
    vectors.writeValid();
    ManifestVectors.write(vectors);
    VersionVectors.write(vectors);
    ArchitectureVectors.write(vectors);
    PartsVectors.write(vectors);
    IndexVectors.write(vectors);
    TensorVectors.write(vectors);
    PickledVectors.write(vectors);
    ShardVectors.write(vectors);
    Files.writeString(root.resolve("cases.json"), vectors.describe());
    return vectors;
  }

  private void writeValid() throws IOException {
    valid("minimal", "grouped-query attention and routed experts, bfloat16", TinyPackage::write);
    valid(
        "filler-before-a-stack",
        "a filler",
        p -> TinyPackage.write(p, TinyPackage.architecture(3, 5, 7), false));
    valid(
        "latent-attention-and-fp8-blocks",
        "latent attention, YaRN, groups, a bias, shared experts, a dense layer, block scales,"
            + " a layer for multi-token prediction",
        TinyPackage::writeLatent);
    valid(
        "experts-over-ranks-and-files",
        "experts of two ranks, split over files",
        p ->
            TinyPackage.write(
                p, TinyPackage.architecture(5, 4, 2), new Manifest.Layout(2, 100L), false));
    valid(
        "tied-head-and-window",
        "a head that is the embedding, a window, YaRN with halves",
        p -> TinyPackage.write(p, tied(), false));
    valid(
        "queries-without-a-latent",
        "queryRank null, groups by maximum masked with zero, weights that are not normalised",
        p -> TinyPackage.write(p, withoutQueryLatent(), false));
    valid(
        "cast-to-bf16",
        "weights that were float32, routers that still are",
        p -> stored(p, TinyPackage.ARCHITECTURE, TinyPackage.Stored.CAST));
    valid(
        "fused-and-transposed",
        "views: of stacks whose columns alternate, of experts one below the other, of joined rows",
        p -> stored(p, TinyPackage.ARCHITECTURE, TinyPackage.Stored.FUSED));
    valid(
        "mxfp4",
        "experts in mxfp4, rows of gate and up alternating in the source",
        p -> stored(p, TinyPackage.architecture(2, 32, 32), TinyPackage.Stored.MXFP4));
    valid(
        "mxfp4-dequantised",
        "experts that were in mxfp4",
        p -> stored(p, TinyPackage.architecture(2, 32, 32), TinyPackage.Stored.MXFP4_DEQUANTISED));
    valid(
        "int8-quantised",
        "experts in int8 that were bfloat16",
        p -> stored(p, TinyPackage.architecture(2, 4, 3), TinyPackage.Stored.INT8));
    valid(
        "int4-quantised",
        "experts in int4 that were in fp8 blocks",
        p -> stored(p, TinyPackage.architecture(2, 32, 16), TinyPackage.Stored.INT4));
    valid(
        "merged",
        "weights that an adapter was merged into, a tower left out",
        p -> stored(p, TinyPackage.ARCHITECTURE, TinyPackage.Stored.MERGED));
    valid(
        "merged-and-cast",
        "the same of weights that were float32, routers that still are",
        p -> stored(p, TinyPackage.ARCHITECTURE, TinyPackage.Stored.MERGED_CAST));
    valid(
        "merged-and-quantised",
        "experts in int4 that were in fp8 blocks, an adapter merged in between",
        p -> stored(p, TinyPackage.architecture(2, 32, 16), TinyPackage.Stored.MERGED_INT4));
    valid(
        "fp8-rows",
        "a scale for each row of fp8, in bfloat16",
        p -> stored(p, TinyPackage.LATENT, TinyPackage.Stored.ROWS));
    valid(
        "fp8-rows-dequantised",
        "weights that were in fp8 with a scale for each row, in float16",
        p -> stored(p, TinyPackage.LATENT, TinyPackage.Stored.ROWS_DEQUANTISED));
    valid(
        "int4-groups",
        "experts in int4, eight to a value, the last group of a row smaller",
        p -> stored(p, TinyPackage.architecture(2, 32, 16), TinyPackage.Stored.GROUPS));
    valid(
        "int4-groups-dequantised",
        "experts that were in int4 groups",
        p -> stored(p, TinyPackage.architecture(2, 32, 16), TinyPackage.Stored.GROUPS_DEQUANTISED));
    valid(
        "fp8-blocks-of-another-size",
        "blocks of 2 × 3, scales in bfloat16",
        p -> stored(p, TinyPackage.LATENT, TinyPackage.Stored.SMALL_BLOCKS));
    valid(
        "dequantised",
        "weights that were in fp8 blocks",
        p -> stored(p, TinyPackage.LATENT, TinyPackage.Stored.DEQUANTISED));
  }

  private static Architecture tied() {
    Architecture base =
        TinyPackage.ARCHITECTURE.withBlocks(
            run -> {
              var attention = (Attention.GroupedQuery) run.attention();
              var yarn = new Rotary.Yarn(4, 8, 32, 1, 1.1386294361119891, 1);
              return run.withAttention(
                  attention.withWindow(3).withRotary(attention.rotary().withScaling(yarn)));
            });
    return new Architecture(
        base.vocabSize(),
        base.hiddenSize(),
        base.maxPositions(),
        base.normEpsilon(),
        true,
        base.blocks(),
        null);
  }

  private static Architecture withoutQueryLatent() {
    return TinyPackage.architecture(4, 4, 2)
        .withBlocks(
            run -> {
              var experts = (FeedForward.MixtureOfExperts) run.feedForward();
              var groups =
                  new Routing.Groups(
                      2, 1, Routing.Groups.Aggregate.MAXIMUM, Routing.Groups.MaskValue.ZERO);
              Rotary rotary = new Rotary(1e4, 2, Rotary.Pairing.INTERLEAVED, null);
              return run.withAttention(
                      new Attention.MultiHeadLatent(2, null, 4, 2, 3, 0.5, 1e-6, rotary))
                  .withFeedForward(
                      experts.withRouting(
                          experts.routing().withGroups(groups).withNormalisation(null)));
            });
  }

  static void stored(Path folder, Architecture architecture, TinyPackage.Stored stored) {
    TinyPackage.write(
        folder,
        architecture,
        Manifest.Layout.PLAIN,
        PackageLayout.of(TinyPackage.items(architecture, stored), Manifest.Layout.PLAIN),
        stored,
        false);
  }

  void valid(String name, String shows, Step make) throws IOException {
    valid(name, null, shows, make);
  }

  void valid(String name, @Nullable String rule, String shows, Step make) throws IOException {
    make.apply(root.resolve("valid").resolve(name));
    valid.put(name, new Valid(rule, shows));
  }

  /** A package to break, of which nothing else is said than that it is corrupt when opened. */
  Broken broken(String name, String rule, String breaks, String says) {
    return new Broken(name, new Invalid(rule, "corrupt", "open", breaks, says), TinyPackage::write);
  }

  /** A package on its way to being broken. */
  final class Broken {
    private final String name;
    private final Invalid meaning;
    private final Step base;

    private Broken(String name, Invalid meaning, Step base) {
      this.name = name;
      this.meaning = meaning;
      this.base = base;
    }

    Broken answer(String answer) {
      var other =
          new Invalid(meaning.rule(), answer, meaning.at(), meaning.breaks(), meaning.says());
      return new Broken(name, other, base);
    }

    Broken at(String at) {
      var other =
          new Invalid(meaning.rule(), meaning.answer(), at, meaning.breaks(), meaning.says());
      return new Broken(name, other, base);
    }

    /** Breaks another package than the minimal one. */
    Broken in(Step other) {
      return new Broken(name, meaning, other);
    }

    void by(Step damage) throws IOException {
      Path folder = root.resolve("invalid").resolve(name);
      base.apply(folder);
      damage.apply(folder);
      if (invalid.put(name, meaning) != null) {
        throw new IllegalArgumentException("twice: " + name);
      }
    }

    /** By making it broken from the beginning. */
    void made(Step make) throws IOException {
      in(folder -> {}).by(make);
    }

    void byManifest(UnaryOperator<String> edit) throws IOException {
      by(folder -> Tampering.manifest(folder, edit));
    }

    /** By other words in the manifest, in place of some that occur once. */
    void byWords(String from, String to) throws IOException {
      byManifest(text -> Tampering.replaced(text, from, to));
    }

    void byIndex(UnaryOperator<List<IndexRow>> edit) throws IOException {
      by(folder -> Tampering.index(folder, edit));
    }
  }

  private String describe() {
    List<String> rightLines = new ArrayList<>();
    valid.forEach(
        (name, v) ->
            rightLines.add(
                "    \"%s\": {%s\"shows\": \"%s\"}"
                    .formatted(
                        name,
                        v.rule() == null ? "" : "\"rule\": \"" + v.rule() + "\", ",
                        v.shows())));
    List<String> wrongLines = new ArrayList<>();
    invalid.forEach(
        (name, i) ->
            wrongLines.add(
                "    \"%s\": {\"rule\": \"%s\", \"answer\": \"%s\", \"at\": \"%s\", \"breaks\": \"%s\"}"
                    .formatted(name, i.rule(), i.answer(), i.at(), i.breaks())));
    return "{\n  \"valid\": {\n"
        + String.join(",\n", rightLines)
        + "\n  },\n  \"invalid\": {\n"
        + String.join(",\n", wrongLines)
        + "\n  }\n}\n";
  }

  public static void main(String[] arguments) throws IOException {
    write(Files.createDirectories(Path.of(arguments[0])));
  }
}
