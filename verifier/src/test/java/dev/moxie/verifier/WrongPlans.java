package dev.moxie.verifier;

import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.converter.plan.Place;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.ShardLayout;
import dev.moxie.format.view.View;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.DoubleUnaryOperator;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

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

  /** Experts that drop other choices. */
  static UnaryOperator<ConversionPlan> drops(UnaryOperator<Routing.Drops> change) {
    return routing(r -> r.withDrops(change.apply(r.drops())));
  }

  static UnaryOperator<ConversionPlan> rotary(UnaryOperator<Rotary> change) {
    return blocks(b -> b.withAttention(withRotary((Attention.Softmax) b.attention(), change)));
  }

  static Attention withRotary(Attention.Softmax attention, UnaryOperator<Rotary> change) {
    return attention.withRotary(change.apply(attention.rotary()));
  }

  /** Scores multiplied by another number, that to which theirs is changed. */
  static Architecture.Blocks withScale(Architecture.Blocks b, DoubleUnaryOperator change) {
    var attention = (Attention.Softmax) b.attention();
    return b.withAttention(attention.withScale(change.applyAsDouble(attention.scale())));
  }

  static UnaryOperator<ConversionPlan> grouped(UnaryOperator<Attention.GroupedQuery> change) {
    return blocks(
        b ->
            b.attention() instanceof Attention.GroupedQuery a
                ? b.withAttention(change.apply(a))
                : b);
  }

  /** Leaves out what the plan's architecture does not call for, and its scales. */
  static ConversionPlan without(ConversionPlan plan) {
    Set<String> wanted = new HashSet<>();
    for (TensorSpec tensor : Tensors.of(plan.architecture())) {
      wanted.add(tensor.name());
      wanted.add(tensor.name().replaceFirst("\\.weight$", ".scale"));
    }
    return without(plan, name -> !wanted.contains(name) && !name.startsWith("opaque."));
  }

  /** Each leaf takes the bytes of another one of its shape, by their canonical names. */
  static UnaryOperator<ConversionPlan> leaves(UnaryOperator<String> rename) {
    return plan -> {
      Map<String, ConversionPlan.Piece> pieces = pieces(plan);
      return moved(
          plan, move -> pieces.getOrDefault(rename.apply(move.leaf().source()), move.piece()));
    };
  }

  /** Rows of gate and up that alternate are taken for halves, and halves for rows that do. */
  static ConversionPlan dealt(ConversionPlan plan) {
    Map<String, ConversionPlan.Piece> pieces = pieces(plan);
    return moved(
        plan,
        move -> {
          Projection projection = move.leaf().projection();
          if (projection == null || projection == Projection.DOWN) {
            return move.piece();
          }
          String name = move.leaf().source();
          long gate = offset(pieces.get(name.replace(".up.", ".gate.")));
          long between = offset(pieces.get(name.replace(".gate.", ".up."))) - gate;
          List<Long> shape = move.leaf().shape().dims();
          List<Long> strides = new ArrayList<>(move.piece().place().view().strides());
          boolean alternate = strides.size() == shape.size() && strides.getFirst() == 2 * between;
          long apart = alternate ? between * shape.getFirst() : between / shape.getFirst();
          if (strides.size() < shape.size()) {
            strides.addFirst(0L);
          }
          strides.set(0, alternate ? between : 2 * apart);
          long from = projection == Projection.UP ? gate + apart : gate;
          return ConversionPlan.Piece.of(
              new Place(move.piece().source(), View.of(from, shape, strides)),
              move.piece().transform());
        });
  }

  private static Map<String, ConversionPlan.Piece> pieces(ConversionPlan plan) {
    Map<String, ConversionPlan.Piece> pieces = new HashMap<>();
    plan.shards().stream()
        .flatMap(shard -> shard.moves().stream())
        .forEach(move -> pieces.put(move.leaf().source(), move.piece()));
    return pieces;
  }

  private static long offset(ConversionPlan.Piece piece) {
    return piece.place().view().offset();
  }

  private static ConversionPlan moved(
      ConversionPlan plan, Function<ConversionPlan.Move, ConversionPlan.Piece> piece) {
    List<ConversionPlan.Shard> shards =
        plan.shards().stream()
            .map(
                shard ->
                    new ConversionPlan.Shard(
                        shard.layout(), shard.moves().stream().map(piece).toList()))
            .toList();
    return new ConversionPlan(
        plan.checkpoint(),
        plan.family(),
        plan.architecture(),
        plan.conversion(),
        plan.prediction(),
        plan.adapter(),
        plan.leftOut(),
        shards);
  }

  /** Leaves tensors out, and lays the others out anew. */
  static ConversionPlan without(ConversionPlan plan, Predicate<String> gone) {
    return laidOut(plan, spec -> gone.test(spec.name()) ? null : spec);
  }

  /** Calls tensors otherwise, as the plan's architecture does. */
  static ConversionPlan called(ConversionPlan plan, UnaryOperator<String> rename) {
    Map<String, TensorSpec> specs = new HashMap<>();
    Tensors.of(plan.architecture()).forEach(spec -> specs.put(spec.name(), spec));
    return laidOut(plan, spec -> specs.getOrDefault(rename.apply(spec.name()), spec));
  }

  /** Lays out anew what tensors become, without those that become nothing. */
  private static ConversionPlan laidOut(
      ConversionPlan plan, Function<TensorSpec, @Nullable TensorSpec> become) {
    List<ConversionPlan.Shard> shards = new ArrayList<>();
    for (ConversionPlan.Shard shard : plan.shards()) {
      Map<String, List<ConversionPlan.Piece>> pieces = new HashMap<>();
      for (ConversionPlan.Move move : shard.moves()) {
        TensorSpec spec = become.apply(move.tensor().spec());
        if (spec != null) {
          pieces.computeIfAbsent(spec.name(), name -> new ArrayList<>()).add(move.piece());
        }
      }
      List<ShardLayout.Item> items = new ArrayList<>();
      for (ShardLayout.Placed placed : shard.layout().tensors()) {
        TensorSpec spec = become.apply(placed.spec());
        if (spec != null && spec.role() != Role.PADDING) {
          items.add(new ShardLayout.Item(spec, placed.dtype(), placed.encoding()));
        }
      }
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
        plan.adapter(),
        plan.leftOut(),
        shards);
  }

  /** Each tensor takes the bytes of another one of its shape. */
  static UnaryOperator<ConversionPlan> renamed(UnaryOperator<String> rename) {
    return plan -> moved(plan, move -> other(plan, move.piece(), rename));
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
            plan.adapter(),
            plan.leftOut(),
            plan.shards());
  }

  static Rotary theta(Rotary r, double factor) {
    return Parts.with(r, "theta", r.theta() * factor);
  }

  static Routing oneFewer(Routing r) {
    return Parts.with(r, "expertsPerToken", r.expertsPerToken() - 1);
  }
}
