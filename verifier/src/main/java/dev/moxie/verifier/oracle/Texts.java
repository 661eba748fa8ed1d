package dev.moxie.verifier.oracle;

/**
 * The tokens that layers of a model have: those of an encoder one text, those of a decoder another.
 *
 * @param encoderLayers numbered before those of the decoder; 0 without an encoder
 * @param source of the encoder; of the decoder where there is none
 * @param ids of the decoder
 */
@SuppressWarnings("ArrayRecordComponent") // Never compared.
public record Texts(int encoderLayers, long[] source, long[] ids) {
  /** Those of a layer. */
  public long[] of(int layer) {
    return layer < encoderLayers ? source : ids;
  }

  /** Whether a layer is the first of a decoder, which begins with tokens of its own. */
  public boolean begin(int layer) {
    return encoderLayers > 0 && layer == encoderLayers;
  }
}
