package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.encoding.Fp8Block;
import dev.moxie.format.encoding.Mxfp4;
import dev.moxie.format.model.Architecture;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;

/**
 * What the {@code quantization_config} of a checkpoint says of how numbers are stored.
 *
 * @param encodings of the matrices of a model
 * @param modules those whose matrices may be so
 */
record Quantisation(Function<Architecture, Encodings> encodings, Modules modules) {
  private static final String OF_EXPERTS = "expert_dtype";

  private static final List<String> E4M3 = List.of("e4m3", "float8_e4m3fn");

  /**
   * What config.json declares; an encoding that is not known is refused.
   *
   * @param text that of the text model
   */
  static Quantisation of(Config config, Config text) {
    if (!config.has("quantization_config")) {
      return all(Encoding.PLAIN, Modules.ALL);
    }
    Config quantisation = config.object("quantization_config");
    String method = quantisation.text("quant_method");
    return switch (method.toLowerCase(Locale.ROOT)) {
      case "fp8" -> fp8(quantisation, text);
      case "mxfp4" -> stored(quantisation, Encodings.of(new Mxfp4()));
      case "compressed-tensors" -> CompressedTensors.of(quantisation);
      case "quantizedweight8bit" -> ShardScales.of(quantisation);
      default ->
          throw quantisation.unsupported(
              "quant_method",
              "\"fp8\", \"mxfp4\", \"compressed-tensors\" or \"QuantizedWeight8bit\"",
              "\"" + method + "\"");
    };
  }

  /** One encoding for all. */
  static Quantisation all(Encoding encoding, Modules modules) {
    return new Quantisation(model -> Encodings.of(encoding), modules);
  }

  /** Experts may be stored not as all else is. */
  private static Quantisation fp8(Config quantisation, Config text) {
    BlockScaled encoding = fp8(quantisation);
    boolean other =
        text.has(OF_EXPERTS) && text.word(OF_EXPERTS, List.of("fp4", "fp8")).equals("fp4");
    return stored(
        quantisation, other ? Encodings.of(encoding, new Mxfp4()) : Encodings.of(encoding));
  }

  private static Quantisation stored(Config quantisation, Encodings encodings) {
    // How a trainer rounded the scales does not matter to who multiplies by them; which modules
    // were left as they were shows in the weights' dtypes.
    quantisation.understand(List.of("scale_fmt", "modules_to_not_convert", "ignored_layers"));
    return new Quantisation(model -> encodings, Modules.ALL);
  }

  private static BlockScaled fp8(Config quantisation) {
    if (quantisation.has("fmt")) {
      String format = quantisation.text("fmt");
      if (!E4M3.contains(format.toLowerCase(Locale.ROOT))) {
        throw quantisation.unsupported("fmt", "one of " + E4M3, "\"" + format + "\"");
      }
    }
    // Scales of activations that are found at run time leave the weights' values alone.
    if (quantisation.has("activation_scheme")) {
      quantisation.requireWord("activation_scheme", "dynamic");
    }
    List<Integer> block = quantisation.numbers("weight_block_size");
    try {
      if (block.size() == 2) {
        return new Fp8Block(block.get(0), block.get(1));
      }
    } catch (IllegalArgumentException e) {
      // What is said of it below.
    }
    throw quantisation.unsupported(
        "weight_block_size", "two numbers from 1 to 9999, as [128, 128]", block.toString());
  }
}
