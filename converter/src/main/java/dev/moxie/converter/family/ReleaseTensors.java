package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.TensorDeclaration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/**
 * What a release with a given config.json holds: every tensor under its name, in its dtype and
 * shape, layer by layer and expert by expert, block scales after their values.
 */
public final class ReleaseTensors {
  /** Matrices that a release with block scales keeps as they are. */
  private static final Set<Role> NEVER_BLOCK_SCALED =
      EnumSet.of(
          Role.EMBEDDING,
          Role.HEAD,
          Role.ROUTER,
          Role.PREDICTION_EMBEDDING,
          Role.PREDICTION_COMBINE,
          Role.PREDICTION_HEAD);

  private final Family family;
  private final Family.Description description;
  private final List<TensorDeclaration> tensors = new ArrayList<>();

  private ReleaseTensors(Family family, Family.Description description) {
    this.family = family;
    this.description = description;
  }

  /**
   * The tensors of a release, layers for multi-token prediction included where config.json declares
   * any.
   *
   * @throws dev.moxie.format.error.InvalidInputException if no family has such a config
   */
  public static List<TensorDeclaration> of(Config config) {
    Family family = Families.of(config);
    var release = new ReleaseTensors(family, family.describe(config));
    List<TensorSpec> stacks = new ArrayList<>();
    for (TensorSpec spec : Tensors.of(release.description.architecture())) {
      if (spec.stack() != null) {
        stacks.add(spec);
      } else {
        release.addExperts(stacks);
        stacks.clear();
        release.add(spec.leaves().getFirst(), spec.role());
      }
    }
    release.addExperts(stacks);
    return release.tensors;
  }

  /** Adds the stacks of a layer: a release has the experts one after the other. */
  private void addExperts(List<TensorSpec> stacks) {
    stacks.stream()
        .flatMap(stack -> stack.leaves().stream())
        .sorted(Comparator.comparing(leaf -> Objects.requireNonNull(leaf.expert())))
        .forEach(leaf -> add(leaf, stacks.getFirst().role()));
  }

  private void add(TensorSpec.Leaf leaf, Role role) {
    String name = family.translate(leaf.source());
    boolean blockScaled =
        description.blockScaled() && leaf.shape().rank() == 2 && !NEVER_BLOCK_SCALED.contains(role);
    if (blockScaled) {
      tensors.add(new TensorDeclaration(name, Fp8Blocks.VALUES, leaf.shape()));
      tensors.add(
          new TensorDeclaration(
              family.translate(Fp8Blocks.scaleName(leaf.source())),
              Fp8Blocks.SCALES,
              Fp8Blocks.grid(leaf.shape())));
    } else {
      Dtype dtype = role == Role.ROUTER_BIAS ? Dtype.F32 : description.dtype();
      tensors.add(new TensorDeclaration(name, dtype, leaf.shape()));
    }
  }
}
