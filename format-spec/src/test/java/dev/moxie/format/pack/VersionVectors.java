package dev.moxie.format.pack;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/** Packages of other versions: SPEC.md, section 7. */
final class VersionVectors {
  private VersionVectors() {}

  static void write(ConformanceVectors v) throws IOException {
    v.broken("later-major", "V1", "version 2.0", "version 2.0")
        .answer("too_new")
        .byWords("\"major\" : 1", "\"major\" : 2");
    v.broken("earlier-major", "V2", "version 0.0", "version 0.0")
        .answer("too_old")
        .byWords("\"major\" : 1", "\"major\" : 0");
    v.valid(
        "later-minor",
        "V3",
        "version 1.1, with a member and a column that version 1.0 does not have",
        p -> {
          TinyPackage.write(p);
          later(
              p,
              text -> Tampering.replaced(text, "\"encodings\"", "\"colour\" : {}, \"encodings\""));
          List<ArrowColumn<IndexRow>> columns = new ArrayList<>(ArrowIndex.COLUMNS);
          columns.add(
              new ArrowColumn<>("colour", ArrowType.FLOAT32_LIST, false, r -> new float[1]));
          Tampering.columns(p, columns);
        });
    v.broken("later-minor-with-another-value", "V4", "version 1.1, score sparsemax", "sparsemax")
        .answer("too_new")
        .by(p -> later(p, text -> Tampering.replaced(text, "\"softmax\"", "\"sparsemax\"")));
    v.broken("later-minor-with-another-dtype", "V4", "version 1.1, cast to F16", "F16")
        .answer("too_new")
        .by(
            p ->
                later(
                    p,
                    text ->
                        Tampering.replaced(
                            text,
                            "\"cast\" : null",
                            "\"cast\" : {\"dtype\" : \"F16\", \"rounding\" : \"nearest_even\"}")));
    v.broken("later-minor-with-another-transform", "V4", "version 1.1, transform zipped", "zipped")
        .answer("too_new")
        .by(
            p -> {
              later(p, text -> text);
              IndexVectors.rewrite(p, IndexVectors.TRANSFORM, "copy", "zipped");
            });
    v.broken(
            "later-minor-with-another-member-of-the-architecture",
            "V5",
            "version 1.1, the routing has a member that version 1.0 does not have",
            "jitter")
        .answer("too_new")
        .by(
            p ->
                later(
                    p,
                    text ->
                        Tampering.replaced(
                            text, "\"expertsPerToken\"", "\"jitter\" : 4, \"expertsPerToken\"")));
    v.broken("later-minor-with-false", "A9", "version 1.1, biases are false", "biases")
        .by(p -> later(p, PartsVectors::withoutBiases));
    v.broken("later-minor-with-null", "M4", "version 1.1, clip is null", "clip")
        .by(
            p ->
                later(
                    p,
                    text ->
                        Tampering.replaced(
                            text, "\"headSize\" : 2,", "\"headSize\" : 2, \"clip\" : null,")));
    v.broken("minor-below-zero", "V6", "version 1.-1", "-1")
        .byWords("\"minor\" : 0", "\"minor\" : -1");
  }

  private static void later(Path folder, UnaryOperator<String> edit) throws IOException {
    Tampering.manifest(
        folder, text -> edit.apply(Tampering.replaced(text, "\"minor\" : 0", "\"minor\" : 1")));
  }
}
