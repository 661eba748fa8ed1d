package dev.moxie.converter.family;

import java.util.List;
import java.util.Set;

/**
 * A model that has a family's as the part for text, which an object of its config.json describes;
 * tensors of its other parts are kept for export.
 *
 * @param modelType the {@code model_type} of the whole
 * @param modelClasses the classes of which config.json names one, where it names any
 * @param tied whether the head is the embedding where neither config.json nor the object says so
 * @param others keys of config.json itself that change nothing of what is made of text
 * @param towers what the names of the other parts' tensors begin with
 */
public record Composite(
    String modelType,
    Set<String> modelClasses,
    boolean tied,
    Keys.Neutral others,
    Set<String> towers) {
  /** Where the text's own keys stand. */
  public static final String TEXT = "text_config";

  /** One that sees and hears, as Gemma 4 does. */
  static final Composite GEMMA =
      new Composite(
          "gemma4",
          Set.of("Gemma4ForConditionalGeneration"),
          true,
          beside(
              "vision_config",
              "audio_config",
              "boi_token_id",
              "eoi_token_id",
              "image_token_id",
              "video_token_id",
              "boa_token_id",
              "eoa_token_id",
              "eoa_token_index",
              "audio_token_id",
              "vision_soft_tokens_per_image"),
          Set.of(
              "model.vision_tower.",
              "model.embed_vision.",
              "model.audio_tower.",
              "model.embed_audio."));

  /** One that sees, as Llama 4 does. */
  static final Composite LLAMA =
      new Composite(
          "llama4",
          Set.of("Llama4ForConditionalGeneration"),
          false,
          beside("vision_config", "boi_token_index", "eoi_token_index", "image_token_index"),
          Set.of("vision_model.", "multi_modal_projector."));

  /** One that sees, as MiniMax-M3 does. */
  static final Composite MINIMAX =
      new Composite(
          "minimax_m3_vl",
          Set.of("MiniMaxM3SparseForConditionalGeneration"),
          false,
          beside(
              "vision_config",
              "image_token_index",
              "video_token_index",
              "projector_hidden_size",
              "merged_hidden_size"),
          Set.of("vision_tower.", "multi_modal_projector.", "patch_merge_mlp."));

  /** How three positions, which are one for text, are dealt to the pairs of a head. */
  static final String[] POSITIONS = {
    "rope_parameters.mrope_section",
    "rope_parameters.mrope_interleaved",
    "rope_scaling.mrope_section",
    "rope_scaling.mrope_interleaved"
  };

  /** One whose head is its own, and that sees as Qwen's models do. */
  static Composite of(String modelType, String modelClass, String... towers) {
    return new Composite(
        modelType,
        Set.of(modelClass),
        false,
        beside(
            "vision_config",
            "image_token_id",
            "video_token_id",
            "vision_start_token_id",
            "vision_end_token_id",
            "language_model_only"),
        Set.of(towers));
  }

  /** Keys of config.json itself. */
  static Keys.Neutral beside(String... names) {
    return new Keys.Neutral(List.of(names), "about what is beside the text model");
  }
}
