package dev.moxie.converter.family;

import java.util.Map;

/** Names of tensors of systems that published none: canonical ones, but for what papers name. */
final class PaperNames {
  private static final Map<String, String> LAYER =
      Names.join(
          Names.both("attention_norm", "attention_norm"),
          Names.weights(
              "attention.query", "attention.query",
              "attention.key", "attention.key",
              "attention.value", "attention.value",
              "attention.output", "attention.output"),
          Names.inLayer(
              "attention.distances", "attention.relative_bias.weight",
              "router.table", "moe.table",
              "router.temperature", "moe.temperature"),
          Names.both("router.projection", "moe.projection"),
          Names.both("shared.mix", "moe.coefficient"),
          Names.weights("shared.up", "moe.mlp.wi", "shared.down", "moe.mlp.wo"),
          Names.both("feed_forward_norm", "feed_forward_norm"),
          Names.weights(
              "dense.gate", "feed_forward.wg",
              "dense.up", "feed_forward.wi",
              "dense.down", "feed_forward.wo",
              "router", "moe.gate",
              "router.primary", "moe.primary_gate",
              "experts.{expert}.up", "moe.experts.{expert}.wi",
              "experts.{expert}.down", "moe.experts.{expert}.wo"));

  private static final Map<String, String> CROSS =
      Names.join(
          Names.both("cross_norm", "cross_norm"),
          Names.weights(
              "cross.query", "cross.query",
              "cross.key", "cross.key",
              "cross.value", "cross.value",
              "cross.output", "cross.output"));

  private static final Map<String, String> ENDS =
      Names.join(
          Names.ends("embedding", "final_norm", "head"),
          Map.of("final_norm.bias", "final_norm.bias"));

  /** Of a decoder alone. */
  static final Layout DECODER =
      Layout.of("described", Names.join(ENDS, Names.under("layers.{layer}.", LAYER)));

  /** Of an encoder and a decoder. */
  static final Layout TRANSLATION =
      Layout.of(
          "described",
          Names.join(
              ENDS,
              Map.of(
                  "encoder_norm.weight", "encoder_norm.weight",
                  "encoder_norm.bias", "encoder_norm.bias"),
              Names.ofEncoder(Names.under("encoder.layers.{layer}.", LAYER)),
              Names.under("decoder.layers.{layer}.", Names.join(LAYER, CROSS))));

  /** Of an encoder of images, which has biases. */
  static final Layout IMAGE =
      Layout.of(
          "exported",
          Names.join(
              Map.of(
                  "image.patch.weight", "patch.weight",
                  "image.patch.bias", "patch.bias",
                  "image.class", "class_token",
                  "image.position.weight", "positions.weight",
                  "representation.weight", "pre_logits.weight",
                  "representation.bias", "pre_logits.bias",
                  "head.weight", "head.weight",
                  "head.bias", "head.bias"),
              Map.of(
                  "towers.weight", "towers.weight",
                  "towers.bias", "towers.bias",
                  "final_norm.weight", "final_norm.weight",
                  "final_norm.bias", "final_norm.bias"),
              Names.under(
                  "layers.{layer}.",
                  Names.join(
                      LAYER,
                      Names.inLayer(
                          "attention.query.bias", "attention.query.bias",
                          "attention.key.bias", "attention.key.bias",
                          "attention.value.bias", "attention.value.bias",
                          "attention.output.bias", "attention.output.bias",
                          "dense.up.bias", "feed_forward.wi.bias",
                          "dense.down.bias", "feed_forward.wo.bias",
                          "experts.{expert}.up.bias", "moe.experts.{expert}.wi.bias",
                          "experts.{expert}.down.bias", "moe.experts.{expert}.wo.bias")))));

  private PaperNames() {}
}
