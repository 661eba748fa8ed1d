package dev.moxie.format.pack;

import java.io.IOException;

/** Packages whose architecture cannot be computed: SPEC.md, section 4. */
final class ArchitectureVectors {
  private ArchitectureVectors() {}

  static void write(ConformanceVectors v) throws IOException {
    v.broken("width-of-zero", "A1", "hiddenSize is 0", "hiddenSize")
        .byWords("\"hiddenSize\" : 4", "\"hiddenSize\" : 0");
    v.broken("too-many-layers", "A1", "a run of 16385 layers", "16384")
        .byWords("\"count\" : 1,", "\"count\" : 16385,");
    v.broken(
            "number-without-a-double",
            "A1",
            "normEpsilon is 1e-999, which is no double above 0",
            "normEpsilon")
        .byWords("\"normEpsilon\" : 1.0E-5", "\"normEpsilon\" : 1e-999");
    v.broken(
            "heads-that-do-not-share", "A2", "two key/value heads for three heads", "keyValueHeads")
        .byManifest(
            text ->
                Tampering.replaced(
                    Tampering.replaced(text, "\"heads\" : 2", "\"heads\" : 3"),
                    "\"keyValueHeads\" : 1",
                    "\"keyValueHeads\" : 2"));
    v.broken("rotary-larger-than-a-head", "A3", "four of two dimensions are turned", "dimensions")
        .byWords("\"dimensions\" : 2", "\"dimensions\" : 4");
    v.broken("rotary-odd", "A3", "one dimension is turned", "dimensions")
        .byWords("\"dimensions\" : 2", "\"dimensions\" : 1");
    v.broken(
            "more-experts-than-there-are",
            "A4",
            "four of three experts per token",
            "expertsPerToken")
        .byWords("\"expertsPerToken\" : 2", "\"expertsPerToken\" : 4");
    latent(v, "groups-that-do-not-divide", "A5", "three groups of four experts", "divisor")
        .byManifest(text -> text.replace("\"count\" : 2,", "\"count\" : 3,"));
    latent(v, "more-groups-kept-than-there-are", "A5", "three of two groups are kept", "kept")
        .byManifest(text -> text.replace("\"kept\" : 1,", "\"kept\" : 3,"));
    latent(v, "groups-too-small", "A6", "one group of two experts for three per token", "kept")
        .byManifest(text -> text.replace("\"expertsPerToken\" : 2", "\"expertsPerToken\" : 3"));
    latent(
            v,
            "groups-of-one",
            "A7",
            "the sum of the top two of one, in two of four groups",
            "two experts")
        .byManifest(
            text ->
                text.replace("\"count\" : 2,", "\"count\" : 4,")
                    .replace("\"kept\" : 1,", "\"kept\" : 2,"));
    latent(v, "zero-mask-with-a-bias", "A8", "maskValue is zero beside a bias", "maskValue")
        .byManifest(text -> text.replace("\"negative_infinity\"", "\"zero\""));
  }

  /** The same change in decoder and prediction layers. */
  private static ConformanceVectors.Broken latent(
      ConformanceVectors v, String name, String rule, String breaks, String says) {
    return v.broken(name, rule, breaks, says).in(TinyPackage::writeLatent);
  }
}
