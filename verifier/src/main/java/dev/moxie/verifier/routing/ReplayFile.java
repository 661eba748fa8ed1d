package dev.moxie.verifier.routing;

import dev.moxie.format.file.Signature;
import dev.moxie.format.file.StagedFile;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.safetensors.TensorDeclaration;
import dev.moxie.format.safetensors.TensorInfo;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * The array [tokens, layers, k] of expert ids that routing replay uses, in a safetensors file. How
 * many tokens there are is known last, and the header comes first: until then experts and tokens
 * wait in files of their own.
 */
final class ReplayFile implements DecisionSink {
  private static final String EXPERTS = "routed_experts";
  private static final String TOKENS = "input_ids";
  private static final String OFFSETS = "sequence_offsets";

  /** What the metadata's {@code format} says. */
  private static final String FORMAT = "moxie.routing_replay";

  /** Fills the places of a layer with fewer experts per token than another. */
  private static final int NO_EXPERT = -1;

  private static final Signature SIGNATURE =
      Signature.at(
          SafetensorsHeader.LENGTH_BYTES, "{\"__metadata__\":{\"format\":\"" + FORMAT + "\"");

  /** What those files begin with that only wait. */
  private static final String WAITING = "moxie routing replay\n";

  private final List<Integer> layers;
  private final int expertsPerToken;
  private final StagedFile file;
  private final StagedFile experts;
  private final StagedFile tokens;
  private final List<Long> offsets = new ArrayList<>();
  private long count;

  private ReplayFile(RoutedLayers layers, List<StagedFile> files) {
    this.layers = List.copyOf(layers.byNumber().keySet());
    this.expertsPerToken = layers.mostPerToken();
    this.file = files.get(0);
    this.experts = files.get(1);
    this.tokens = files.get(2);
  }

  static ReplayFile create(Path target, RoutedLayers layers) {
    List<StagedFile> files = new ArrayList<>();
    try {
      files.add(StagedFile.create(target, SIGNATURE));
      for (String part : List.of(EXPERTS, TOKENS)) {
        Path aside = target.resolveSibling(target.getFileName() + "." + part);
        files.add(StagedFile.replace(aside, Signature.of(WAITING)));
        write(files.getLast(), ByteBuffer.wrap(WAITING.getBytes(StandardCharsets.UTF_8)));
      }
    } catch (RuntimeException e) {
      closeAll(files);
      throw e;
    }
    return new ReplayFile(layers, files);
  }

  @Override
  public void accept(int sequence, long[] ids, List<Decision> decisions) {
    if (sequence == offsets.size()) {
      offsets.add(count);
    }
    int width = Math.multiplyExact(Integer.BYTES, expertsPerToken);
    ByteBuffer chosen = littleEndian(Math.multiplyExact(width, decisions.size()));
    ByteBuffer numbers = littleEndian(Math.multiplyExact(Long.BYTES, decisions.size()));
    for (Decision decision : decisions) {
      if (decision.layer() == layers.getFirst()) {
        numbers.putLong(ids[decision.token()]);
        count++;
      }
      int[] own = decision.experts();
      for (int i = 0; i < expertsPerToken; i++) {
        chosen.putInt(i < own.length ? own[i] : NO_EXPERT);
      }
    }
    write(experts, chosen.flip());
    write(tokens, numbers.flip());
  }

  @Override
  public void finish() {
    offsets.add(count);
    ByteBuffer ends = littleEndian(Math.multiplyExact(Long.BYTES, offsets.size()));
    offsets.forEach(ends::putLong);
    Map<String, String> metadata = new TreeMap<>();
    metadata.put("format", FORMAT);
    metadata.put("layers", layers.stream().map(String::valueOf).collect(Collectors.joining(",")));
    SafetensorsHeader header =
        SafetensorsHeader.layOut(
            metadata,
            List.of(
                new TensorDeclaration(
                    EXPERTS, Dtype.I32, Shape.of(count, layers.size(), expertsPerToken)),
                new TensorDeclaration(TOKENS, Dtype.I64, Shape.of(count)),
                new TensorDeclaration(OFFSETS, Dtype.I64, Shape.of(offsets.size()))));
    write(file, ByteBuffer.wrap(header.encode()));
    for (TensorInfo tensor : header.tensors()) {
      switch (tensor.name()) {
        case EXPERTS -> append(experts);
        case TOKENS -> append(tokens);
        default -> write(file, ends.flip());
      }
    }
    file.finish();
  }

  private void append(StagedFile from) {
    try {
      from.file().copyTo(file.file(), WAITING.length());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void write(StagedFile to, ByteBuffer bytes) {
    try {
      to.file().write(bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static ByteBuffer littleEndian(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }

  @Override
  public void close() {
    closeAll(List.of(file, experts, tokens));
  }

  /** All of them, even if one fails. */
  private static void closeAll(List<StagedFile> files) {
    if (!files.isEmpty()) {
      try {
        files.getFirst().close();
      } finally {
        closeAll(files.subList(1, files.size()));
      }
    }
  }
}
