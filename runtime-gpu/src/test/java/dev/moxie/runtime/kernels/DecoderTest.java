package dev.moxie.runtime.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.cuda.Card;
import dev.moxie.runtime.execution.PlainModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The executor with its kernels emulated on the host, held to the plain execution. */
@Exhaustive // Its kernels take long to compile.
class DecoderTest {
  /** Of the length of a token's logits: a cache in float16 rounds by 2⁻¹². */
  private static final double FAR = 4e-3;

  /** What a choice of experts is decided by, at least, for rounding not to decide it. */
  private static final float CLEAR = 2e-3f;

  private static final int TOKENS = 4;

  /** What has parts that no kernel computes. */
  private static final Set<String> REFUSED =
      Set.of(
          "afmoe",
          "deepseek_v32",
          "deepseek_v4",
          "deepseek_v4_fp4",
          "gemma4",
          "glm_moe_dsa",
          "granitemoehybrid",
          "granitemoehybrid_fused",
          "grok-1",
          "minimax",
          "minimax_m3_vl",
          "minimax_m3_vl_text",
          "jamba",
          "jamba_sparse",
          "jetmoe",
          "kimi_linear",
          "longcat_flash",
          "laguna",
          "lfm2_moe",
          "lfm2_moe_fused",
          "mimo_v2_flash",
          "mistral4",
          "nemotron_h",
          "phimoe",
          "qwen3_5_moe",
          "qwen3_5_moe_fused",
          "qwen3_5_moe_mtp",
          "qwen3_next",
          "qwen3_next_mtp");

  @TempDir static Path library;
  @TempDir Path temporary;

  @Test
  void kernelsGiveThePlainLogits() throws IOException, InterruptedException {
    Path checkpoint = Fixtures.root().resolve("random/mixtral");
    try (MoxiePackage pack = Packages.convert(checkpoint, temporary.resolve("p"))) {
      requirePlain(pack);
    }
  }

  /** Every family, and sizes that none of the kernels that are made for some is for. */
  static Stream<Path> all() throws IOException {
    try (Stream<Path> random = Files.list(Fixtures.root().resolve("random"))) {
      return Stream.concat(
          random.sorted().toList().stream(),
          Stream.of("f32-three-experts", "v2-grouped", "v3-eight-groups-fp8")
              .map(Fixtures.root().resolve("variants")::resolve));
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void everyFamilyRunsOrIsRefused(Path checkpoint) throws IOException, InterruptedException {
    try (MoxiePackage pack = Packages.convert(checkpoint, temporary.resolve("p"))) {
      if (REFUSED.contains(String.valueOf(checkpoint.getFileName()))) {
        assertThrows(UnsupportedException.class, () -> requirePlain(pack));
      } else {
        requirePlain(pack);
      }
    }
  }

  /** Sizes as releases have them, for which there are kernels, in models as small as can be. */
  static Stream<Arguments> released() {
    return Stream.of("64", "128")
        .map(
            size ->
                Arguments.of(
                    "attend_" + size,
                    "qwen3-30b-a3b",
                    "head_dim=%s hidden_size=64 num_hidden_layers=2 vocab_size=96".formatted(size)
                        + " num_attention_heads=12 num_key_value_heads=1 moe_intermediate_size=32"
                        + " num_experts=8 num_experts_per_tok=2"));
  }

  @ParameterizedTest
  @MethodSource("released")
  void attentionOfReleasedSizesIsAKernelOfItsOwn(String kernel, String config, String values)
      throws IOException, InterruptedException {
    requireKernel(kernel, config, values);
  }

  @Test
  void latentsOfReleasedSizesAreKernelsOfTheirOwn() throws IOException, InterruptedException {
    requireKernel(
        "attend_latent_512",
        "deepseek-v3",
        "hidden_size=256 intermediate_size=128 num_hidden_layers=2 first_k_dense_replace=1"
            + " num_nextn_predict_layers=0 vocab_size=96 num_attention_heads=16"
            + " num_key_value_heads=16 q_lora_rank=64 qk_nope_head_dim=32 v_head_dim=32"
            + " moe_intermediate_size=64 n_routed_experts=16 num_experts_per_tok=4");
  }

  private void requireKernel(String kernel, String config, String values)
      throws IOException, InterruptedException {
    Path checkpoint = Small.checkpoint(temporary, config, values);
    try (MoxiePackage pack = Packages.convert(checkpoint, temporary.resolve("p"))) {
      assertTrue(
          Decoder.plan(pack, 132, 227 << 10, 1).stream()
              .anyMatch(launch -> launch.kernel().equals(kernel)));
      requirePlain(pack);
    }
  }

  @Test
  void expertsOfFourBitsAreMultipliedAsTheyAreStored() throws IOException, InterruptedException {
    Path checkpoint = Fixtures.root().resolve("random/mixtral");
    try (MoxiePackage pack = Packages.quantise(checkpoint, temporary.resolve("p"))) {
      assertTrue(
          Decoder.plan(pack, 132, 227 << 10, 1).stream()
              .anyMatch(launch -> launch.kernel().equals("gate_up_int4_slots")));
      requirePlain(pack);
    }
  }

  private static void requirePlain(MoxiePackage pack) throws IOException, InterruptedException {
    try (var decoder = new Decoder(pack, EmulatedMachine.compiled(library), false);
        var permuted = new Decoder(pack, EmulatedMachine.compiled(library), true);
        PlainModel plain = PlainModel.open(pack, new Unproven())) {
      long[] ids = clear(plain, pack.architecture().vocabSize());
      int words = pack.architecture().vocabSize();
      plain.begin(TOKENS);
      float[] expected = plain.append(ids);
      decoder.begin(TOKENS);
      float[] together = append(decoder, ids, TOKENS, words);
      decoder.begin(TOKENS);
      float[] apart = new float[together.length];
      for (int token = 0; token < TOKENS; token++) {
        float[] logits = append(decoder, new long[] {ids[token]}, 1, words);
        System.arraycopy(logits, 0, apart, token * words, words);
      }
      permuted.begin(TOKENS);
      float[] otherwise = append(permuted, ids, TOKENS, words);
      for (float[] found : List.of(together, apart, otherwise)) {
        for (int token = 0; token < TOKENS; token++) {
          double far = distance(expected, found, token * words, words);
          assertTrue(far < FAR, "token " + token + ": " + far);
        }
      }
      decoder.begin(TOKENS);
      float[] last = Arrays.copyOfRange(together, (TOKENS - 1) * words, TOKENS * words);
      assertTrue(distance(last, append(decoder, ids, 1, words), 0, words) < 1e-5);
      assertEquals(TOKENS, decoder.length());
    }
  }

  private static float[] append(Decoder decoder, long[] ids, int wanted, int words) {
    float[] logits = new float[wanted * words];
    decoder.append(ids, logits);
    return logits;
  }

  /** The first tokens of which no choice of experts is rounding's. */
  private static long[] clear(PlainModel plain, int words) {
    for (int seed = 0; seed < 1000; seed++) {
      long[] ids = new Random(seed).longs(TOKENS, 0, words).toArray();
      plain.begin(TOKENS);
      float[] least = {Float.MAX_VALUE};
      plain.observe(
          ids,
          (layer, result) -> {
            if (result.mixture() != null) {
              int chosen = result.mixture().decisions().getFirst().experts().length;
              least[0] = Math.min(least[0], margin(result.mixture().choice(), chosen));
              if (result.mixture().groups() != null) {
                least[0] = Math.min(least[0], nearest(result.mixture().groups()));
              }
            }
          });
      if (least[0] > CLEAR) {
        return ids;
      }
    }
    throw new AssertionError("rounding decides every choice");
  }

  private static float margin(float[] choices, int chosen) {
    int experts = choices.length / TOKENS;
    float least = Float.MAX_VALUE;
    for (int from = 0; from < choices.length && chosen < experts; from += experts) {
      float[] sorted = Arrays.copyOfRange(choices, from, from + experts);
      Arrays.sort(sorted);
      least = Math.min(least, sorted[experts - chosen] - sorted[experts - chosen - 1]);
    }
    return least;
  }

  private static float nearest(float[] groups) {
    int count = groups.length / TOKENS;
    float least = Float.MAX_VALUE;
    for (int from = 0; from < groups.length; from += count) {
      float[] sorted = Arrays.copyOfRange(groups, from, from + count);
      Arrays.sort(sorted);
      for (int i = 1; i < count; i++) {
        least = Math.min(least, sorted[i] - sorted[i - 1]);
      }
    }
    return least;
  }

  private static double distance(float[] expected, float[] found, int from, int count) {
    double difference = 0;
    double length = 0;
    for (int i = from; i < from + count; i++) {
      difference += Math.pow((double) found[i] - expected[i], 2);
      length += Math.pow(expected[i], 2);
    }
    return Math.sqrt(difference / length);
  }

  @Test
  void aCardThatCannotOverlapLaunchesIsRefused() {
    String message =
        assertThrows(
                EnvironmentException.class,
                () -> CudaMachine.requireCapable(new Card("NVIDIA A100", 8, 0, 80L << 30)))
            .getMessage();
    assertEquals(
        "--device cuda: expected a card of compute capability 9.0 or later, for which the kernels"
            + " are written, found NVIDIA A100 (compute capability 8.0, 86 GB); use --execution"
            + " fused, or --device cpu.",
        message);
  }
}
