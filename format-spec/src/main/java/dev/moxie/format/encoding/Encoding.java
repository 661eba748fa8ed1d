package dev.moxie.format.encoding;

import java.util.Optional;

/** How the elements of a tensor are stored. The tensor index states it; no dtype implies it. */
public sealed interface Encoding permits Plain, BlockScaled {
  /** Each element by itself, as its dtype says. */
  Encoding PLAIN = new Plain();

  /** The name in the tensor index. */
  String id();

  /** The encoding of a name, if the format defines it. */
  static Optional<Encoding> of(String id) {
    return switch (id) {
      case "plain" -> Optional.of(PLAIN);
      case "mxfp4" -> Optional.of(new Mxfp4());
      case "int8_channel" -> Optional.of(new Int8Channel());
      case "fp8_channel" -> Optional.of(new Fp8Channel());
      default ->
          Int4Block.of(id)
              .<Encoding>map(block -> block)
              .or(() -> Int4Group.of(id))
              .or(() -> Int8Group.of(id))
              .or(() -> Fp8Block.of(id));
    };
  }
}
