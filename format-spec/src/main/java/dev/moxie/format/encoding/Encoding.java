package dev.moxie.format.encoding;

import java.util.Optional;
import java.util.regex.Pattern;

/** How the elements of a tensor are stored. The tensor index states it; no dtype implies it. */
public sealed interface Encoding permits Plain, BlockScaled {
  /** Each element by itself, as its dtype says. */
  Encoding PLAIN = new Plain();

  /** The name in the tensor index. */
  String id();

  /** Those that SPEC.md defines and that nobody writes yet. */
  Pattern DEFINED = Pattern.compile("int8_channel|int4_block_(16|32|64|128|256)");

  /** The encoding of a name, if this build reads it. */
  static Optional<Encoding> of(String id) {
    return switch (id) {
      case "plain" -> Optional.of(PLAIN);
      case "mxfp4" -> Optional.of(new Mxfp4());
      default -> Fp8Block.of(id).map(Encoding.class::cast);
    };
  }

  /** Whether the format defines an encoding of that name, be it read by this build or not. */
  static boolean isDefined(String id) {
    return of(id).isPresent() || DEFINED.matcher(id).matches();
  }
}
