package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Fp8Blocks;
import java.util.List;
import java.util.Set;

/**
 * The {@code quantization_config} of a checkpoint: none, or e4m3 values with one scale for every
 * 128 × 128 block, as DeepSeek-V3 is released.
 */
final class Quantisation {
  private Quantisation() {}

  /** Whether config.json declares block scales; any other quantisation is refused. */
  static boolean isBlockScaled(Config config) {
    if (!config.has("quantization_config")) {
      return false;
    }
    Config quantisation = config.object("quantization_config");
    quantisation.requireWord("quant_method", "fp8");
    quantisation.requireWordIfAny("fmt", "e4m3");
    // Scales of activations that are found at run time leave the weights' values alone.
    quantisation.requireWordIfAny("activation_scheme", "dynamic");
    List<Integer> block = quantisation.numbers("weight_block_size");
    if (!block.equals(List.of(Fp8Blocks.SIZE, Fp8Blocks.SIZE))) {
      throw quantisation.unsupported("weight_block_size", "[128, 128]", block.toString());
    }
    // How a trainer rounded the scales does not matter to who multiplies by them; which modules
    // were left as they were shows in the weights' dtypes.
    quantisation.requireAllUnderstood(
        Set.of("scale_fmt", "modules_to_not_convert", "ignored_layers"));
    return true;
  }
}
