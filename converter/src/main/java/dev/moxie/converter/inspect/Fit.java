package dev.moxie.converter.inspect;

import dev.moxie.format.encoding.Int4Block;
import dev.moxie.format.encoding.Int8Channel;
import dev.moxie.format.encoding.Mxfp4;
import dev.moxie.format.encoding.Quantised;
import dev.moxie.format.encoding.Quantiser;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.Manifest.Matrices;
import dev.moxie.format.pack.Manifest.Quantisation;
import dev.moxie.format.safetensors.Dtype;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * A form of a model's weights, and whether it fits into so much memory.
 *
 * @param options of {@code convert} that make it of a bfloat16 checkpoint
 * @param bytes of its weights, scales included
 * @param tokens of context whose keys and values, in float32, fit beside them; none if negative,
 *     {@link Long#MAX_VALUE} where a token adds nothing to what is kept
 */
public record Fit(String options, long bytes, long tokens) {
  /** Whether the weights fit. */
  public boolean fits() {
    return tokens >= 0;
  }

  /** Its tokens of context, in words. */
  public String context() {
    return tokens == Long.MAX_VALUE ? "any number" : String.format(Locale.ROOT, "%,d", tokens);
  }

  /**
   * The forms that convert writes, the largest first.
   *
   * @param room bytes of memory, less what is kept of a sequence however long it is
   * @param cachedPerToken bytes that a token adds to the cache
   */
  static List<Fit> of(Architecture architecture, long room, long cachedPerToken) {
    List<Fit> fits = new ArrayList<>();
    fits.add(fit("--dtype bf16", bytes(architecture, null), room, cachedPerToken));
    for (Matrices matrices : Matrices.values()) {
      String what = " --quantize-what " + matrices.name().toLowerCase(Locale.ROOT);
      for (Quantised encoding : List.of(new Int8Channel(), new Int4Block(32), new Mxfp4())) {
        String form =
            switch (encoding) {
              case Int8Channel channels -> "int8";
              case Int4Block blocks -> "int4";
              case Mxfp4 blocks -> "mxfp4";
            };
        var quantisation = new Quantisation(encoding.id(), matrices, Quantiser.Method.NEAREST);
        fits.add(
            fit(
                "--quantize " + form + what,
                bytes(architecture, quantisation),
                room,
                cachedPerToken));
      }
    }
    fits.sort((a, b) -> Long.compare(b.bytes(), a.bytes()));
    return fits;
  }

  private static Fit fit(String options, long bytes, long room, long cachedPerToken) {
    if (bytes > room) {
      return new Fit(options, bytes, -1);
    }
    long tokens = cachedPerToken == 0 ? Long.MAX_VALUE : (room - bytes) / cachedPerToken;
    return new Fit(options, bytes, tokens);
  }

  private static long bytes(Architecture architecture, @Nullable Quantisation quantisation) {
    long bytes = 0;
    for (TensorSpec spec : Tensors.ofForwardPass(architecture)) {
      if (quantisation == null || !quantisation.takes(spec)) {
        bytes = Math.addExact(bytes, spec.shape().bytes(Dtype.BF16));
      } else {
        Quantised to = quantisation.quantised();
        bytes = Math.addExact(bytes, to.stored(spec).shape().bytes(to.dtype()));
        bytes = Math.addExact(bytes, to.scales(spec).shape().bytes(to.writtenScales()));
      }
    }
    return bytes;
  }
}
