package dev.moxie.converter.adapter;

import dev.moxie.converter.family.Arrangement;
import dev.moxie.converter.family.Family;
import dev.moxie.converter.family.Layout;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.safetensors.Shape;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;

/**
 * The matrices of a model that an adapter may name, by the names that they have in checkpoints of
 * its family, whatever the layout of the one at hand: an adapter for experts one by one fits a
 * checkpoint in which they are fused, and the other way round.
 */
final class LinearMaps {
  /** A matrix, and which outputs of the map under a name it is. */
  record Part(TensorSpec.Leaf leaf, Arrangement.Outputs outputs) {
    long columns() {
      return leaf.shape().dim(1);
    }
  }

  private final List<Layout> layouts;
  private final Map<String, Map<String, Part>> byName = new LinkedHashMap<>();

  private LinearMaps(List<Layout> layouts) {
    this.layouts = layouts;
  }

  static LinearMaps of(Family family, Architecture architecture) {
    List<TensorSpec> tensors = Tensors.of(architecture);
    Map<String, Shape> shapes = new HashMap<>();
    tensors.forEach(spec -> shapes.put(spec.name(), spec.shape()));
    List<Layout> layouts = new ArrayList<>(family.layouts());
    family.layouts().forEach(layout -> layout.fused().ifPresent(layouts::add));
    var maps = new LinearMaps(List.copyOf(layouts));
    for (Layout layout : layouts) {
      for (TensorSpec spec : tensors) {
        // Nobody trains what transformers does not load.
        if (spec.each().rank() == 2 && !isOfPrediction(architecture, spec)) {
          spec.leaves()
              .forEach(
                  leaf -> maps.add(layout, leaf, name -> Objects.requireNonNull(shapes.get(name))));
        }
      }
    }
    return maps;
  }

  private static boolean isOfPrediction(Architecture architecture, TensorSpec spec) {
    Integer layer = spec.layer();
    return layer != null && layer >= architecture.layers().size();
  }

  private void add(Layout layout, TensorSpec.Leaf leaf, Function<String, Shape> shapes) {
    Layout.Place place = layout.place(leaf);
    place
        .arrangement()
        .outputs(leaf, shapes)
        .ifPresent(
            outputs ->
                byName
                    .computeIfAbsent(place.tensor(), name -> new LinkedHashMap<>())
                    .putIfAbsent(leaf.source(), new Part(leaf, outputs)));
  }

  /** The matrices under a tensor's name; none if the family has no such. */
  List<Part> under(String tensor) {
    return List.copyOf(byName.getOrDefault(tensor, Map.of()).values());
  }

  /** Whether a model of the family whose head is not its embedding has it under that name. */
  boolean isHead(String tensor) {
    return layouts.stream().anyMatch(layout -> layout.nameOf("head.weight").equals(tensor));
  }

  /** All names, those of gates and ups before those of downs. */
  List<String> names() {
    return List.copyOf(byName.keySet());
  }

  /** Names that one more segment makes of a module's, in the same order. */
  List<String> parametersOf(String module) {
    String prefix = module + ".";
    return byName.keySet().stream()
        .filter(name -> name.startsWith(prefix) && name.indexOf('.', prefix.length()) < 0)
        .toList();
  }
}
