package dev.moxie.runtime.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How a forward pass is read into launches, on a card as an H100 is. */
class PlanTest {
  private static final int PROCESSORS = 132;
  private static final int SHARED = 227 << 10;

  @TempDir Path folder;

  @Test
  void aLayerOfGroupedAttentionAndExpertsIsSixLaunches() {
    assertEquals(
        List.of(
            "project_bf16_m1_slots: layers.1.attention.query.weight,"
                + " layers.1.attention.key.weight, layers.1.attention.value.weight",
            "attend_64",
            "project_bf16_m1_slots: layers.1.attention.output.weight",
            "route_experts: layers.1.router.weight",
            "gate_up_bf16_slots: layers.1.experts.gate_up.weight",
            "down_bf16_m1_slots: layers.1.experts.down.weight"),
        layer(
            "qwen3-30b-a3b",
            "head_dim=64 hidden_size=64 num_hidden_layers=3 vocab_size=96 num_attention_heads=12"
                + " num_key_value_heads=1 moe_intermediate_size=32 num_experts=8"
                + " num_experts_per_tok=2"));
  }

  @Test
  void aLayerOfLatentAttentionExpertsAndAnotherOfAllTokensIsNine() {
    assertEquals(
        List.of(
            "project_fp8_m1_slots: layers.1.attention.query_down.weight,"
                + " layers.1.attention.latent_down.weight",
            "project_fp8_m1_slots: layers.1.attention.query_up.weight",
            "absorb_fp8",
            "attend_latent_512",
            "latent_output_fp8: layers.1.attention.latent_up.weight",
            "project_fp8_m1_slots: layers.1.attention.output.weight",
            "route_experts: layers.1.router.weight",
            "gate_up_fp8_slots: layers.1.experts.gate_up.weight, layers.1.shared.gate.weight,"
                + " layers.1.shared.up.weight",
            "down_fp8_m1_slots: layers.1.experts.down.weight, layers.1.shared.down.weight"),
        layer(
            "deepseek-v3",
            "hidden_size=256 intermediate_size=128 num_hidden_layers=3 first_k_dense_replace=1"
                + " num_nextn_predict_layers=0 vocab_size=96 num_attention_heads=32"
                + " num_key_value_heads=32 q_lora_rank=64 qk_nope_head_dim=32 v_head_dim=32"
                + " moe_intermediate_size=64 n_routed_experts=16 num_experts_per_tok=4"));
  }

  /** The launches of layer 1 of three, and the weights that they read. */
  private List<String> layer(String config, String values) {
    Path checkpoint = Small.checkpoint(folder, config, values);
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"))) {
      List<String> all =
          Decoder.plan(pack, PROCESSORS, SHARED, 1).stream()
              .map(launch -> launch.toString().replaceFirst(" \\[.*bytes", ""))
              .toList();
      int first = index(all, "layers.1.");
      return all.subList(first, index(all, "layers.2."));
    }
  }

  private static int index(List<String> all, String what) {
    for (int i = 0; i < all.size(); i++) {
      if (all.get(i).contains(what)) {
        return i;
      }
    }
    throw new AssertionError("nothing reads " + what + " in " + all);
  }

  @Test
  void widthsThatNoKernelIsForTakeMoreSteps() {
    Path checkpoint = Fixtures.root().resolve("variants/f32-three-experts");
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"))) {
      assertEquals(
          List.of("norm_any", "project_any", "rotate_any", "project_any"),
          Decoder.plan(pack, PROCESSORS, SHARED, 1).stream()
              .map(Launch::kernel)
              .skip(1)
              .limit(4)
              .toList());
    }
  }

  /** Of four bits, whose tiles take the most room, on cards that have the least. */
  @Test
  void everyEncodingFitsEveryCard() {
    Path checkpoint = Fixtures.root().resolve("random/gpt_oss_mxfp4");
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"))) {
      Decoder.requireKernels(pack);
    }
  }
}
