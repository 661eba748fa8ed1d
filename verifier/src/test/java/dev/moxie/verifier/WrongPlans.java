package dev.moxie.verifier;

import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.converter.plan.Place;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.pack.ShardLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;

/** Plans that were tampered with: what they make is well-formed, digests and all, and wrong. */
final class WrongPlans {
  private WrongPlans() {}

  /** The layers for multi-token prediction change with the others. */
  static UnaryOperator<ConversionPlan> blocks(UnaryOperator<Architecture.Blocks> change) {
    return rebuilt(
        a -> {
          Architecture changed = a.withBlocks(change);
          Architecture.Prediction p = a.prediction();
          if (p == null) {
            return changed;
          }
          Architecture.Blocks b =
              change.apply(new Architecture.Blocks(p.count(), p.attention(), p.feedForward()));
          return Parts.with(
              changed,
              "prediction",
              new Architecture.Prediction(b.count(), b.attention(), b.feedForward()));
        });
  }

  static UnaryOperator<ConversionPlan> experts(UnaryOperator<FeedForward.MixtureOfExperts> change) {
    return blocks(
        b ->
            b.feedForward() instanceof FeedForward.MixtureOfExperts m
                ? b.withFeedForward(change.apply(m))
                : b);
  }

  static UnaryOperator<ConversionPlan> routing(UnaryOperator<Routing> change) {
    return experts(m -> m.withRouting(change.apply(m.routing())));
  }

  static UnaryOperator<ConversionPlan> rotary(UnaryOperator<Rotary> change) {
    return blocks(
        b -> b.withAttention(b.attention().withRotary(change.apply(b.attention().rotary()))));
  }

  /** Leaves tensors out, and lays the others out anew. */
  static ConversionPlan without(ConversionPlan plan, Predicate<String> gone) {
    List<ConversionPlan.Shard> shards = new ArrayList<>();
    for (ConversionPlan.Shard shard : plan.shards()) {
      Map<String, List<ConversionPlan.Piece>> pieces = new HashMap<>();
      shard
          .moves()
          .forEach(
              move ->
                  pieces
                      .computeIfAbsent(move.tensor().spec().name(), name -> new ArrayList<>())
                      .add(move.piece()));
      List<ShardLayout.Item> items =
          shard.layout().tensors().stream()
              .filter(placed -> placed.spec().role() != Role.PADDING)
              .filter(placed -> !gone.test(placed.spec().name()))
              .map(placed -> new ShardLayout.Item(placed.spec(), placed.dtype(), placed.encoding()))
              .toList();
      ShardLayout layout = ShardLayout.of(shard.layout().file(), null, items);
      shards.add(
          new ConversionPlan.Shard(
              layout,
              layout.tensors().stream()
                  .flatMap(placed -> pieces.getOrDefault(placed.spec().name(), List.of()).stream())
                  .toList()));
    }
    return new ConversionPlan(
        plan.checkpoint(),
        plan.family(),
        plan.architecture(),
        plan.conversion(),
        plan.prediction(),
        shards);
  }

  /** Each tensor takes the bytes of another one of its shape. */
  static UnaryOperator<ConversionPlan> renamed(UnaryOperator<String> rename) {
    return plan -> {
      List<ConversionPlan.Shard> shards =
          plan.shards().stream()
              .map(
                  shard ->
                      new ConversionPlan.Shard(
                          shard.layout(),
                          shard.pieces().stream()
                              .map(piece -> other(plan, piece, rename))
                              .toList()))
              .toList();
      return new ConversionPlan(
          plan.checkpoint(),
          plan.family(),
          plan.architecture(),
          plan.conversion(),
          plan.prediction(),
          shards);
    };
  }

  private static ConversionPlan.Piece other(
      ConversionPlan plan, ConversionPlan.Piece piece, UnaryOperator<String> rename) {
    String name = rename.apply(piece.source().name());
    return ConversionPlan.Piece.of(
        new Place(plan.checkpoint().tensors().get(name), piece.place().view()), piece.transform());
  }

  static String swap(String name, String a, String b) {
    return name.contains(a) ? name.replace(a, b) : name.replace(b, a);
  }

  static UnaryOperator<ConversionPlan> rebuilt(UnaryOperator<Architecture> change) {
    return plan ->
        new ConversionPlan(
            plan.checkpoint(),
            plan.family(),
            change.apply(plan.architecture()),
            plan.conversion(),
            plan.prediction(),
            plan.shards());
  }

  static Rotary theta(Rotary r, double factor) {
    return new Rotary(r.theta() * factor, r.dimensions(), r.pairing(), r.scaling());
  }

  static Routing oneFewer(Routing r) {
    return new Routing(
        r.expertsPerToken() - 1,
        r.score(),
        r.bias(),
        r.groups(),
        r.normalisation(),
        r.scale(),
        r.weightsApplyTo(),
        r.capacity(),
        r.ties(),
        r.computeDtype());
  }
}
