package dev.moxie.converter.checkpoint;

import dev.moxie.format.safetensors.Shape;
import java.util.List;
import java.util.regex.Pattern;

/**
 * Tensors that whoever loads a checkpoint computes anew, whatever is stored: tables of rotary
 * embeddings, causal masks, positions. Old checkpoints carry them; they are kept for export.
 */
public final class Recomputed {
  private static final Pattern TABLE =
      Pattern.compile(
          "(.+\\.)?(rotary_emb|rotary_pos_emb|rotary|rope)\\."
              + "((\\w+_)?inv_freq|(cos|sin|cos_sin)(_cached?)?|freqs(_c[io]s(_sin)?)?"
              + "|attention_scaling)"
              + "|(.+\\.)?(inv_freq|freqs_cis|position_ids|masked_bias|(causal_|attn_)?mask|tril)"
              + "|rope_freqs(\\.weight)?");

  /** A mask that is called a bias; a bias that is one has a number for each row. */
  private static final Pattern MASK = Pattern.compile(".+\\.(attn|attention|self_attn)\\.bias");

  private Recomputed() {}

  /** Whether loading a checkpoint computes this tensor anew. */
  public static boolean is(SourceTensor tensor) {
    return is(tensor.name(), tensor.shape());
  }

  /** Whether loading a checkpoint computes a tensor of this name and shape anew. */
  public static boolean is(String name, Shape shape) {
    return is(name) || (MASK.matcher(name).matches() && isSquare(shape.dims()));
  }

  /** Likewise, where the name alone tells. */
  static boolean is(String name) {
    return TABLE.matcher(name).matches();
  }

  private static boolean isSquare(List<Long> dims) {
    int rank = dims.size();
    return rank >= 2 && dims.get(rank - 1).equals(dims.get(rank - 2));
  }
}
