package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import java.util.List;

/**
 * Z-Code M3 (Kim et al., "Scalable and Efficient MoE Training for Multitask Multilingual Models",
 * 2021): an encoder and a decoder of which every other layer has experts, one for each token,
 * weighed by its softmax as in Switch Transformers (Fedus et al., 2021, equations 1 and 2). Random
 * token selection and gating dropout (Liu et al., 2022) are of training.
 */
final class ZCode {
  static final Family FAMILY =
      new Family(
          "z_code_m3",
          "ZCodeM3ForConditionalGeneration",
          Papers.TRANSLATION,
          ZCode::model,
          List.of(PaperNames.TRANSLATION));

  private ZCode() {}

  private static Architecture model(Settings c) {
    return Papers.translation(c, Papers.routing(c, 1).withDrops(Papers.drops(c, 1, false)));
  }
}
