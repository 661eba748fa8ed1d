package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Routing;
import java.util.List;

/**
 * NLLB-MoE (NLLB Team, "No Language Left Behind", 2022; transformers {@code
 * models/nllb_moe/modeling_nllb_moe.py}): sinusoids, and two experts whose weights lose a share.
 */
final class NllbMoe {
  static final Family FAMILY =
      new Family(
          "nllb-moe",
          "NllbMoeForConditionalGeneration",
          TranslationKeys.ALL,
          NllbMoe::model,
          List.of(Names.NLLB));

  private NllbMoe() {}

  private static Architecture model(Settings c) {
    // What transformers divides by at least, where all of a token's choices are dropped.
    var norm = new Routing.Normalisation(0, (double) Math.ulp(1f));
    double share = 1 - c.get(TranslationKeys.DROPOUT);
    var routing =
        EncoderDecoder.routing(c, 2, null)
            .withNormalisation(norm)
            .withScale(share)
            .withDrops(TranslationKeys.drops(c));
    var seen = TranslationKeys.cross(c, Llama.HEADS);
    var own = TranslationKeys.cross(c, TranslationKeys.OWN_HEADS);
    var read =
        EncoderDecoder.layers(
            c,
            c.get(EncoderDecoder.LAYERS),
            EncoderDecoder.attention(seen),
            null,
            c.get(Experts.WIDTH),
            routing,
            TranslationKeys.turn(c, TranslationKeys.STEP));
    var written =
        EncoderDecoder.layers(
            c,
            c.get(EncoderDecoder.DECODER_LAYERS),
            EncoderDecoder.attention(own),
            own,
            c.get(TranslationKeys.OWN_WIDTH),
            routing,
            TranslationKeys.turn(c, TranslationKeys.OWN_STEP));
    return TranslationKeys.embedded(c, EncoderDecoder.model(c, read, written));
  }
}
