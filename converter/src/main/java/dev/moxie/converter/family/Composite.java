package dev.moxie.converter.family;

/**
 * A model that has a family's as the part for text, described by an object of its config.json;
 * tensors of its other parts are kept for export.
 *
 * @param modelType the {@code model_type} of the whole
 * @param modelClass the class that config.json names
 * @param keys of the whole config.json
 */
public record Composite(String modelType, String modelClass, Keys keys) {
  /** Where the text's own keys stand. */
  static final String TEXT = "text_config";

  /** How three positions, which are one for text, are dealt to the pairs of a head. */
  static final String[] POSITIONS = {
    "rope_parameters.mrope_section",
    "rope_parameters.mrope_interleaved",
    "rope_scaling.mrope_section",
    "rope_scaling.mrope_interleaved"
  };

  /**
   * One whose other parts have keys that do not change what is made of text.
   *
   * @param text the family's own keys
   */
  static Composite of(String modelType, String modelClass, Keys text) {
    return new Composite(
        modelType,
        modelClass,
        text.within(TEXT)
            .and(Llama.TIED.spelled("tie_word_embeddings"))
            .neutral("about what is not text", "vision_config", "image_token_id")
            .neutral("about what is not text", "video_token_id", "vision_start_token_id")
            .neutral("about what is not text", "vision_end_token_id", "language_model_only"));
  }
}
