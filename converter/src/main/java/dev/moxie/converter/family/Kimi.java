package dev.moxie.converter.family;

import java.util.List;
import java.util.Set;

/**
 * Kimi-K2.5 and 2.6 (transformers {@code models/kimi_k25/modeling_kimi_k25.py}): DeepSeek-V3's text
 * model beside a tower of pictures, which is kept for export.
 */
final class Kimi {
  private static final String CLASS = "KimiK25ForConditionalGeneration";

  static final Family K25 =
      new Family(
              "kimi_k25",
              CLASS,
              DeepSeekV3.KEYS,
              DeepSeekV3::model,
              List.of(DeepSeekV3.RELEASED.under("", "language_model.", "released")))
          .within(
              new Composite(
                  "kimi_k25",
                  Set.of(CLASS, "Kimi_K25ForConditionalGeneration"),
                  false,
                  Composite.beside(
                      "vision_config",
                      "ignore_index",
                      "image_token_id",
                      "media_placeholder_token_id",
                      "projection_hidden_size",
                      "projection_layer_norm_eps",
                      "use_unified_vision_chunk",
                      "video_placeholder",
                      "video_token_id",
                      "vision_end_token_id",
                      "vision_start_token_id")))
          .notLoading("vision_tower.", "mm_projector.");

  private Kimi() {}
}
