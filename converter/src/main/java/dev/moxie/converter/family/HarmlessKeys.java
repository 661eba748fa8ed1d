package dev.moxie.converter.family;

import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * Keys that config.json carries for training, saving, tokenizing or generating, and that leave the
 * forward pass alone (transformers 5, {@code configuration_utils.py} and the generation
 * configuration).
 */
public final class HarmlessKeys {
  /** What was known when the model was trained, saved or loaded; no trace of it is in an answer. */
  private static final Set<String> WITHOUT_EFFECT =
      Set.of(
          "_attn_implementation",
          "_attn_implementation_autoset",
          "_commit_hash",
          "_flash_attn_2_enabled",
          "_name_or_path",
          "attention_dropout",
          "attn_implementation",
          "attn_pdrop",
          "auto_map",
          "aux_loss_alpha",
          "chunk_size_feed_forward",
          "custom_pipelines",
          "embd_pdrop",
          "ep_size",
          "finetuning_task",
          "hidden_dropout",
          "hidden_dropout_prob",
          "id2label",
          "initializer_range",
          "is_decoder",
          "label2id",
          "output_attentions",
          "output_hidden_states",
          "output_router_logits",
          "pretraining_tp",
          "pruned_heads",
          "resid_pdrop",
          "return_dict",
          "router_aux_loss_coef",
          "router_jitter_noise",
          "router_z_loss_coef",
          "seq_aux",
          "tf_legacy_loss",
          "torchscript",
          "transformers_version",
          "unsloth_fixed",
          "unsloth_version",
          "use_bfloat16",
          "use_cache",
          "use_flash_attn");

  /** How the model is to be used, with the value that is meant where there is none. */
  private static final Map<String, String> USE =
      Map.ofEntries(
          Map.entry("bad_words_ids", "null"),
          Map.entry("begin_suppress_tokens", "null"),
          Map.entry("bos_token_id", "null"),
          Map.entry("decoder_start_token_id", "null"),
          Map.entry("diversity_penalty", "0.0"),
          Map.entry("do_sample", "false"),
          Map.entry("early_stopping", "false"),
          Map.entry("encoder_no_repeat_ngram_size", "0"),
          Map.entry("eos_token_id", "null"),
          Map.entry("exponential_decay_length_penalty", "null"),
          Map.entry("forced_bos_token_id", "null"),
          Map.entry("forced_eos_token_id", "null"),
          Map.entry("length_penalty", "1.0"),
          Map.entry("max_length", "20"),
          Map.entry("min_length", "0"),
          Map.entry("no_repeat_ngram_size", "0"),
          Map.entry("num_beam_groups", "1"),
          Map.entry("num_beams", "1"),
          Map.entry("num_return_sequences", "1"),
          Map.entry("output_scores", "false"),
          Map.entry("pad_token_id", "null"),
          Map.entry("prefix", "null"),
          Map.entry("problem_type", "null"),
          Map.entry("remove_invalid_values", "false"),
          Map.entry("repetition_penalty", "1.0"),
          Map.entry("return_dict_in_generate", "false"),
          Map.entry("sep_token_id", "null"),
          Map.entry("suppress_tokens", "null"),
          Map.entry("task_specific_params", "null"),
          Map.entry("temperature", "1.0"),
          Map.entry("tokenizer_class", "null"),
          Map.entry("top_k", "50"),
          Map.entry("top_p", "1.0"),
          Map.entry("typical_p", "1.0"));

  static final Set<String> ALL = union(WITHOUT_EFFECT, USE.keySet());

  /** Those of an object that transformers saves as a configuration of its own. */
  static final Set<String> WITHIN =
      union(
          ALL,
          Set.of("architectures", "dtype", "model_type", "tie_word_embeddings", "torch_dtype"));

  private HarmlessKeys() {}

  private static Set<String> union(Set<String> some, Set<String> others) {
    Set<String> all = new HashSet<>(some);
    all.addAll(others);
    return Set.copyOf(all);
  }

  /**
   * By key, the settings for generating text that config.json may hold, and the values, as JSON,
   * that are meant where it does not.
   */
  public static Map<String, String> use() {
    return USE;
  }
}
