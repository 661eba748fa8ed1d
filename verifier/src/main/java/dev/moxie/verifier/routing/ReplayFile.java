package dev.moxie.verifier.routing;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.file.Channels;
import dev.moxie.format.file.StagedFile;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.safetensors.TensorDeclaration;
import dev.moxie.format.safetensors.TensorInfo;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
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
      files.add(StagedFile.create(target, ReplayFile::isOne));
      for (String part : List.of(EXPERTS, TOKENS)) {
        Path aside = target.resolveSibling(target.getFileName() + "." + part);
        files.add(StagedFile.create(aside, path -> true));
      }
    } catch (RuntimeException e) {
      files.forEach(StagedFile::close);
      throw e;
    }
    return new ReplayFile(layers, files);
  }

  private static boolean isOne(Path path) {
    try {
      return FORMAT.equals(SafetensorsFile.readHeader(path).metadata().get("format"));
    } catch (CorruptException e) {
      return false;
    }
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
        case EXPERTS -> append(experts.channel());
        case TOKENS -> append(tokens.channel());
        default -> write(file, ends.flip());
      }
    }
    file.finish();
  }

  private void append(FileChannel from) {
    try {
      long size = from.size();
      for (long done = 0; done < size; ) {
        done += from.transferTo(done, size - done, file.channel());
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void write(StagedFile to, ByteBuffer bytes) {
    try {
      Channels.writeFully(to.channel(), bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static ByteBuffer littleEndian(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }

  @Override
  public void close() {
    file.close();
    experts.close();
    tokens.close();
  }
}
