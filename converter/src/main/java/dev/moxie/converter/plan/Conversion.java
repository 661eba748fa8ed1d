package dev.moxie.converter.plan;

import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.Manifest.Cast;
import dev.moxie.format.pack.Manifest.Quantisation;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What a user decides about a conversion.
 *
 * @param ignoredConfigKeys keys of config.json that the user declares to be without effect
 * @param prediction what to do with layers for multi-token prediction; null where the user has not
 *     said, which is an error if the checkpoint holds any
 * @param cast what the weights' elements become; null leaves them
 * @param quantisation which matrices are given an encoding, and which one; null leaves them
 * @param layout how the weights are spread over files
 * @param towers whether parts of the model that are not for text are taken along
 */
public record Conversion(
    Set<String> ignoredConfigKeys,
    @Nullable Prediction prediction,
    @Nullable Cast cast,
    @Nullable Quantisation quantisation,
    Manifest.Layout layout,
    boolean towers) {

  /** Layers for multi-token prediction: take them along or leave them out. */
  public enum Prediction {
    KEEP,
    DROP
  }

  /** With all parts of the model. */
  public Conversion(
      Set<String> ignoredConfigKeys,
      @Nullable Prediction prediction,
      @Nullable Cast cast,
      @Nullable Quantisation quantisation,
      Manifest.Layout layout) {
    this(ignoredConfigKeys, prediction, cast, quantisation, layout, true);
  }

  /** Without quantising. */
  public Conversion(
      Set<String> ignoredConfigKeys,
      @Nullable Prediction prediction,
      @Nullable Cast cast,
      Manifest.Layout layout) {
    this(ignoredConfigKeys, prediction, cast, null, layout);
  }

  /** Likewise, with weights spread over files as they come. */
  public Conversion(
      Set<String> ignoredConfigKeys, @Nullable Prediction prediction, @Nullable Cast cast) {
    this(ignoredConfigKeys, prediction, cast, Manifest.Layout.PLAIN);
  }

  /** Without loss, nothing ignored, nothing decided. */
  public static final Conversion LOSSLESS = new Conversion(Set.of(), null, null);

  public Conversion {
    ignoredConfigKeys = Set.copyOf(ignoredConfigKeys);
  }

  /** The conversion that a package's manifest records. */
  public static Conversion of(Manifest manifest) {
    Manifest.Provenance provenance = manifest.provenance();
    Prediction prediction =
        switch (provenance.prediction()) {
          case KEPT -> Prediction.KEEP;
          // A source that has some after all is then a difference, not a question.
          case DROPPED, NONE, ABSENT -> Prediction.DROP;
        };
    return new Conversion(
        Set.copyOf(provenance.ignoredConfigKeys()),
        prediction,
        provenance.cast(),
        provenance.quantisation(),
        manifest.layout(),
        provenance.leftOut() == null);
  }
}
