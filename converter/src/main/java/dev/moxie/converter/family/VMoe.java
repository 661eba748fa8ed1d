package dev.moxie.converter.family;

import java.util.List;

/**
 * Keys of V-MoE (Riquelme et al., "Scaling Vision with Sparse Mixture of Experts", 2021;
 * google-research/vmoe {@code vmoe/nn/vit_moe.py}): a Vision Transformer in some layers of which
 * patches have experts, the best of a softmax, which weighs them as it is. Its checkpoints are in
 * files of a form of their own; config.json and names of tensors are those that {@code
 * fixtures/generate/export_vmoe.py} gives them. Experts are shared out to the patches of one image:
 * where that code shares them out to several together, numbers depend on the others.
 */
final class VMoe {
  static final Family FAMILY =
      new Family(
          "v_moe",
          "VMoeForImageClassification",
          Images.KEYS.and(Key.text("classifier", "what the head reads").only("token")),
          Images::model,
          List.of(PaperNames.IMAGE));

  private VMoe() {}
}
