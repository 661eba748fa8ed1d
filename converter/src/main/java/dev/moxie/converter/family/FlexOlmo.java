package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture.NormPlacement;
import dev.moxie.format.model.Parts;
import java.util.List;

/**
 * FlexOlmo 7x7B-1T (Shi et al., "FlexOlmo: Open Language Models for Flexible Data Use", 2025;
 * transformers {@code models/flex_olmo/modeling_flex_olmo.py}): an OLMoE that norms what halves of
 * a layer make instead of what they read.
 */
final class FlexOlmo {
  static final Family FAMILY =
      new Family(
          "flex_olmo",
          "FlexOlmoForCausalLM",
          Olmoe.KEYS,
          c -> Parts.with(Olmoe.model(c), "normPlacement", NormPlacement.OUTPUT),
          List.of(Names.released(Names.LLAMA, Names.OUTPUT_NORMS, Names.EXPERTS)));

  private FlexOlmo() {}
}
