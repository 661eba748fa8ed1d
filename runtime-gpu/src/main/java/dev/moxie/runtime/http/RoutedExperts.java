package dev.moxie.runtime.http;

import dev.moxie.runtime.serve.Job;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import tools.jackson.databind.node.ObjectNode;

/**
 * The experts of every token that passed, as int32 in both layouts that rollouts are replayed from:
 * vLLM's {@code routed_experts}, a NumPy file (format 1.0) of [tokens − 1, layers, experts]
 * (vllm-project/vllm#28284, #51906), and SGLang's {@code meta_info.routed_experts}, the same
 * numbers alone (sgl-project/sglang#12162).
 */
final class RoutedExperts {
  private static final int ALIGNMENT = 64;
  private static final int PREFIX = 10;

  private RoutedExperts() {}

  static void add(ObjectNode choice, List<Job.Chosen> tokens, int layers, int expertsPerLayer) {
    int count = tokens.stream().mapToInt(token -> token.routes().experts().length).sum();
    ByteBuffer numbers = ByteBuffer.allocate(count * Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (Job.Chosen token : tokens) {
      for (int expert : token.routes().experts()) {
        numbers.putInt(expert);
      }
    }
    byte[] raw = numbers.array();
    byte[] header = header(count / (layers * expertsPerLayer), layers, expertsPerLayer);
    byte[] file = ByteBuffer.allocate(header.length + raw.length).put(header).put(raw).array();
    Base64.Encoder encoder = Base64.getEncoder();
    choice.put("routed_experts", encoder.encodeToString(file));
    choice.putObject("meta_info").put("routed_experts", encoder.encodeToString(raw));
  }

  private static byte[] header(int tokens, int layers, int experts) {
    String shape =
        "{'descr': '<i4', 'fortran_order': False, 'shape': (%d, %d, %d), }"
            .formatted(tokens, layers, experts);
    int size = Math.ceilDiv(PREFIX + shape.length() + 1, ALIGNMENT) * ALIGNMENT;
    String padded = shape + " ".repeat(size - PREFIX - shape.length() - 1) + "\n";
    return ByteBuffer.allocate(size)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put((byte) 0x93)
        .put("NUMPY".getBytes(StandardCharsets.US_ASCII))
        .put((byte) 1)
        .put((byte) 0)
        .putShort((short) padded.length())
        .put(padded.getBytes(StandardCharsets.US_ASCII))
        .array();
  }
}
