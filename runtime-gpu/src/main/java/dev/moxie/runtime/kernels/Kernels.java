package dev.moxie.runtime.kernels;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Ops;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.Step;
import dev.moxie.format.model.TensorSpec.Leaf;
import dev.moxie.runtime.kernels.Steps.Each;
import dev.moxie.runtime.kernels.Steps.Input;
import dev.moxie.runtime.lowering.WithoutStates;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/**
 * Reads a forward pass as a short list of launches: what is done to an activation before or after a
 * product becomes a part of that product's launch, where a kernel has such a part, and a launch of
 * its own where none has.
 */
final class Kernels extends WithoutStates<Value> {
  /** The kernels' room for what a token chose. */
  private static final int MOST_CHOSEN = 32;

  private static final Place GONE = new Place(-1, 0);

  private final DeviceWeights weights;
  private final Shapes shapes;
  private final Room room;
  private final Steps steps;
  private final String where;
  private final Map<Integer, Place> places = new HashMap<>();
  private int made;
  private int most = Shapes.MOST_TOKENS;
  private long taken;
  private long largest;

  /** The one place that lasts from layer to layer: the hidden states. */
  private @Nullable Place residual;

  /**
   * Nothing read yet.
   *
   * @param where the package, for messages
   * @param tokens how many are computed at once
   */
  Kernels(String where, DeviceWeights weights, Shapes shapes, Room room, int tokens) {
    this.where = where;
    this.weights = weights;
    this.shapes = shapes;
    this.room = room;
    steps = new Steps(shapes, room, tokens);
  }

  /** What was read and is needed. */
  List<Launch> launches() {
    return steps.launches();
  }

  /** Tokens that all of its kernels take at once. */
  int mostTokens() {
    return most;
  }

  /** Bytes of room for activations. */
  long roomForActivations() {
    return largest;
  }

  /** Goes on with the last tokens of a value alone. */
  void goOnWith(Value x, int last) {
    Place all = place(x);
    places.put(x.id(), all.from(steps.tokens() - last));
    steps.goOnWith(last);
  }

  /** Computes a value, and says where. */
  Place place(Value x) {
    Place place = places.get(x.id());
    if (place == null) {
      place = made(x);
      places.put(x.id(), place);
    }
    if (place.equals(GONE)) {
      throw new IllegalStateException("a sum lies where this was: " + x.of().getClass());
    }
    return place;
  }

  private Place made(Value x) {
    return switch (x.of()) {
      case Value.Embed embed -> {
        Place y = residual(x.columns());
        steps.embed(weights.matrix(embed.table()), y);
        yield y;
      }
      case Value.Linear linear -> {
        Place y = make(x.columns());
        product(linear, y);
        yield y;
      }
      case Value.Shift s -> {
        Place y = make(x.columns());
        steps.each(
            Each.SHIFT, place(s.x()), new Place(weights.vector(s.vector()), 0), y, x.columns());
        yield y;
      }
      case Value.Scale s -> each(Each.SCALE, x, s.x(), null, s.factor());
      case Value.Clip c -> each(Each.CLIP, x, c.x(), null, c.limit());
      case Value.Temper t ->
          each(Each.TEMPER, x, t.x(), null, t.temperature().scale(), t.temperature().floor());
      case Value.Gate g -> each(Each.GATE, x, g.gate(), g.up(), Steps.clamp(g.clamp()));
      case Value.Switched s -> each(Each.SWITCH, x, s.x(), s.by());
      case Value.Norm n -> {
        Place y = make(x.columns());
        long weight = n.weight() == null ? 0 : weights.vector(n.weight());
        steps.norm(place(n.x()), y, x.columns(), n.size(), n.centred(), n.epsilon(), weight);
        yield y;
      }
      case Value.Columns c -> place(c.x()).columns(c.first());
      case Value.Join j -> {
        Place y = make(x.columns());
        steps.each(Each.COPY, place(j.a()), null, y, j.a().columns());
        steps.each(Each.COPY, place(j.b()), null, y.columns(j.a().columns()), j.b().columns());
        yield y;
      }
      case Value.Rotate r -> {
        Place y = make(x.columns());
        steps.rotate(place(r.x()), y, x.columns(), r.rotary(), r.headSize(), r.first());
        yield y;
      }
      case Value.Add add -> sum(add);
      case Value.Attend a -> attended(a, make(x.columns()));
      case Value.Latent l -> attended(l, make(x.columns()));
      case Value.Mix mix -> {
        Place y = make(x.columns());
        mixed(mix, y);
        yield y;
      }
      case Value.Score s -> throw apart(x);
      case Value.Favour f -> throw apart(x);
      case Value.Limit l -> throw apart(x);
      case Value.Top t -> throw apart(x);
      case Value.Weigh w -> throw apart(x);
    };
  }

  private static IllegalStateException apart(Value x) {
    return new IllegalStateException("routing is one step: " + x.of().getClass().getSimpleName());
  }

  private Place each(Each step, Value x, Value a, @Nullable Value b, double... numbers) {
    Place y = make(x.columns());
    steps.each(step, place(a), b == null ? null : place(b), y, x.columns(), numbers);
    return y;
  }

  private Place make(int columns) {
    return new Place(take((long) columns * Float.BYTES * steps.tokens()), columns);
  }

  private long take(long bytes) {
    long at = taken;
    taken = Math.ceilDiv(taken + bytes, 256) * 256;
    largest = Math.max(largest, taken);
    return room.activations() + at;
  }

  private Place residual(int columns) {
    Place place = residual;
    if (place == null) {
      long bytes = (long) room.most() * columns * Float.BYTES;
      place = new Place(room.of("residual", bytes).address(), columns);
      residual = place;
    }
    return place;
  }

  /** Between layers: all other places are free again. */
  private void rest(Value h) {
    Place place = place(h);
    Place y = residual(h.columns());
    if (!place.equals(y)) {
      steps.each(Each.COPY, place, null, y, h.columns());
    }
    places.clear();
    places.put(h.id(), y);
    taken = 0;
  }

  // Products.

  /** Whether a kernel of the encoding multiplies a matrix, and for how many tokens. */
  private boolean isFast(Stored matrix) {
    return matrix.fits()
        && isFor(
            mostTokens(
                matrix.encoding(), tokens -> steps.shares(tokens, List.of(matrix)).isPresent()));
  }

  /** The most tokens that one launch takes; 0 if not even one. */
  private static int mostTokens(Stored.Encoding encoding, IntPredicate fits) {
    int tokens = Shapes.mostTokens(encoding);
    while (tokens > 0 && !fits.test(tokens)) {
      tokens--;
    }
    return tokens;
  }

  /** Holds all tokens to what one launch takes. */
  private boolean isFor(int tokens) {
    if (tokens == 0) {
      return false;
    }
    most = Math.min(most, tokens);
    return true;
  }

  /** What a product is of: x, or what x is the norm of. */
  private Optional<Input> input(Value x) {
    if (!places.containsKey(x.id())
        && x.of() instanceof Value.Norm n
        && n.weight() != null
        && !n.centred()
        && n.size() == x.columns()) {
      Place inner = place(n.x());
      if (inner.isWhole()) {
        return Optional.of(new Input(inner, weights.vector(n.weight()), n.epsilon()));
      }
    }
    Place place = place(x);
    return place.isWhole() ? Optional.of(new Input(place, 0, 0)) : Optional.empty();
  }

  private void product(Value.Linear linear, Place y) {
    Stored matrix = weights.matrix(linear.matrix());
    Optional<Input> x = isFast(matrix) ? input(linear.x()) : Optional.empty();
    if (x.isPresent()) {
      steps.project(List.of(matrix), x.get(), y, false);
    } else {
      steps.anyProject(matrix, place(linear.x()), y);
    }
  }

  /**
   * Products of the same x in one launch, side by side.
   *
   * @return nothing if they are not such
   */
  private Optional<Place> together(List<Value.Linear> linears) {
    Value x = linears.getFirst().x();
    List<Stored> matrices = linears.stream().map(l -> weights.matrix(l.matrix())).toList();
    Stored.Encoding encoding = matrices.getFirst().encoding();
    if (linears.stream().anyMatch(l -> !l.x().is(x))
        || matrices.stream().anyMatch(m -> m.encoding() != encoding || !isFast(m))) {
      return Optional.empty();
    }
    return input(x)
        .map(
            in -> {
              Place y = make(matrices.stream().mapToInt(Stored::rows).sum());
              steps.project(matrices, in, y, false);
              return y;
            });
  }

  /** The sum lies where the first of the two did, which nothing speaks of afterwards. */
  private Place sum(Value.Add add) {
    Place y = place(add.a());
    if (!addedTo(y, add.b())) {
      Place b = place(add.b());
      steps.each(Each.ADD, y, b, y, add.b().columns());
    }
    places.put(add.a().id(), GONE);
    return y;
  }

  /** Adds a value where it is made, if a kernel can. */
  private boolean addedTo(Place y, Value b) {
    return switch (b.of()) {
      case Value.Linear linear ->
          network(linear).map(n -> alone(n, y)).orElse(false) || addedProduct(y, linear);
      case Value.Mix mix -> experts(mix, null, y);
      case Value.Add both
          when both.a().of() instanceof Value.Mix mix
              && both.b().of() instanceof Value.Linear linear ->
          network(linear).map(n -> experts(mix, n, y)).orElse(false);
      default -> false;
    };
  }

  private boolean addedProduct(Place y, Value.Linear linear) {
    Stored matrix = weights.matrix(linear.matrix());
    Optional<Input> x = isFast(matrix) ? input(linear.x()) : Optional.empty();
    x.ifPresent(input -> steps.project(List.of(matrix), input, y, true));
    return x.isPresent();
  }

  // Networks.

  /** A gated network that every token passes. */
  private record Network(Value x, Steps.Alone alone) {}

  private Optional<Network> network(Value.Linear down) {
    if (down.x().of() instanceof Value.Gate gate
        && gate.clamp() == null
        && gate.gate().of() instanceof Value.Linear g
        && gate.up().of() instanceof Value.Linear u
        && g.x().is(u.x())) {
      var alone =
          new Steps.Alone(
              weights.matrix(g.matrix()),
              weights.matrix(u.matrix()),
              weights.matrix(down.matrix()));
      Stored.Encoding encoding = alone.gate().encoding();
      boolean same = alone.up().encoding() == encoding && alone.down().encoding() == encoding;
      return same && alone.gate().fits() && alone.up().fits() && alone.down().fits()
          ? Optional.of(new Network(g.x(), alone))
          : Optional.empty();
    }
    return Optional.empty();
  }

  /** Adds what experts make, if there are kernels for them; a network of the same x as well. */
  private boolean experts(Value.Mix mix, @Nullable Network network, Place y) {
    Steps.Mixture m = mixture(mix);
    Stored.Encoding encoding = m.gateUp().encoding();
    Value x = mix.x();
    if (!m.gateUp().fits()
        || !m.down().fits()
        || m.down().encoding() != encoding
        || (encoding == Stored.Encoding.INT4
            && m.down().blockColumns() != m.gateUp().blockColumns())
        || !isFor(mostTokens(encoding, m.chosen(), x.columns()))
        || (network != null && !(network.x().is(x) && isFor(network, m.chosen())))) {
      return false;
    }
    Optional<Input> input = input(x);
    if (input.isEmpty()) {
      return false;
    }
    route(mix);
    if (network == null || network.alone().gate().encoding() == encoding) {
      Steps.Alone alone = network == null ? null : network.alone();
      steps.gateUp(m, alone, x.columns(), input.get(), y, "activated").down();
    } else {
      // Both read x before the first adds to what x may be made of.
      Steps.Networks some = steps.gateUp(m, null, x.columns(), input.get(), y, "activated");
      Steps.Networks all =
          steps.gateUp(null, network.alone(), x.columns(), input.get(), y, "activated by all");
      some.down();
      all.down();
    }
    return true;
  }

  /** Adds what a network makes, if there are kernels for it. */
  private boolean alone(Network network, Place y) {
    Optional<Input> input = isFor(network, 0) ? input(network.x()) : Optional.empty();
    input.ifPresent(
        in ->
            steps
                .gateUp(null, network.alone(), network.x().columns(), in, y, "activated by all")
                .down());
    return input.isPresent();
  }

  private boolean isFor(Network network, int chosen) {
    return isFor(mostTokens(network.alone().gate().encoding(), chosen, network.x().columns()));
  }

  private int mostTokens(Stored.Encoding encoding, int chosen, int hidden) {
    return mostTokens(
        encoding,
        tokens ->
            shapes.gateUp(encoding, tokens, chosen, hidden, 1, 1).isPresent()
                && shapes.down(encoding, tokens, chosen, hidden, 1, 1).isPresent());
  }

  private Steps.Mixture mixture(Value.Mix mix) {
    Ops.Experts e = mix.experts();
    return new Steps.Mixture(
        e,
        weights.matrix(e.gateUp()),
        weights.matrix(e.down()),
        e.biases() == null ? 0 : weights.vector(e.biases().gateUp()),
        e.biases() == null ? 0 : weights.vector(e.biases().down()),
        mix.chosen().columns());
  }

  /** Experts of any width, in any encoding. */
  private void mixed(Value.Mix mix, Place y) {
    Steps.Mixture m = mixture(mix);
    Place x = place(mix.x());
    route(mix);
    long bytes = (long) steps.tokens() * m.chosen() * m.gateUp().rows() * Float.BYTES;
    steps.anyExperts(m, x, y, new Place(take(bytes), m.gateUp().rows()));
  }

  // Routing.

  private void route(Value.Mix mix) {
    if (!(mix.chosen().of() instanceof Value.Top top
        && mix.weights().of() instanceof Value.Weigh weigh)) {
      throw apart(mix.chosen());
    }
    Value choice = top.choice();
    Routing.Groups groups = null;
    if (choice.of() instanceof Value.Limit limit) {
      groups = limit.groups();
      choice = limit.choice();
    }
    int biasMode = 0;
    long bias = 0;
    Value scores = choice;
    if (choice.of() instanceof Value.Favour favour) {
      biasMode = weigh.values().is(choice) ? 2 : 1;
      bias = weights.vector(favour.bias());
      scores = favour.scores();
    }
    if (!(scores.of() instanceof Value.Score score)) {
      throw apart(scores);
    }
    Value logits = score.logits();
    if (logits.of() instanceof Value.Shift shift) {
      biasMode = 3;
      bias = weights.vector(shift.vector());
      logits = shift.x();
    }
    var router =
        new Steps.Router(
            score.score(),
            biasMode,
            bias,
            groups,
            weigh.normalisation(),
            weigh.scale(),
            logits.columns(),
            mix.chosen().columns());
    requireRoom(router);
    if (logits.of() instanceof Value.Linear linear) {
      Stored matrix = weights.matrix(linear.matrix());
      Optional<Input> x = input(linear.x());
      boolean readable =
          matrix.encoding() == Stored.Encoding.BF16 || matrix.encoding() == Stored.Encoding.F32;
      if (readable && matrix.columns() % 8 == 0 && x.isPresent() && x.get().norm() != 0) {
        steps.route(router, matrix, matrix.columns(), x.get());
        return;
      }
    }
    steps.anyRoute(router, place(logits).address());
  }

  private void requireRoom(Steps.Router router) {
    if (router.chosen() > MOST_CHOSEN || Steps.routeShared(router) > shapes.shared()) {
      throw new UnsupportedException(
          where,
          "at most "
              + MOST_CHOSEN
              + " experts of a token, of as many as the card's shared memory holds scores of",
          router.chosen() + " of " + router.experts(),
          "use --execution fused");
    }
  }

  // Attention.

  /** What is projected, and what is done to it before it meets the others. */
  private record Head(Value.Linear linear, Steps.HeadPlan plan) {}

  private Optional<Head> head(Value x, int size) {
    Value v = x;
    Rotary rotary = null;
    if (v.of() instanceof Value.Rotate r && r.headSize() == size && r.first() == 0) {
      rotary = r.rotary();
      v = r.x();
    }
    long norm = 0;
    double epsilon = 0;
    if (v.of() instanceof Value.Norm n && n.weight() != null && n.size() == size && !n.centred()) {
      norm = weights.vector(n.weight());
      epsilon = n.epsilon();
      v = n.x();
    }
    long bias = 0;
    if (v.of() instanceof Value.Shift s) {
      bias = weights.vector(s.vector());
      v = s.x();
    }
    return v.of() instanceof Value.Linear linear
        ? Optional.of(new Head(linear, new Steps.HeadPlan(norm, epsilon, bias, rotary)))
        : Optional.empty();
  }

  private Place attended(Value.Attend a, Place y) {
    Attention.GroupedQuery g = a.attention();
    int size = g.headSize();
    long sinks = a.sinks() == null ? 0 : weights.vector(a.sinks());
    Optional<Head> q = head(a.q(), size);
    Optional<Head> k = head(a.k(), size);
    Optional<Head> v = head(a.v(), size);
    if ((size == 64 || size == 128)
        && g.chunk() == null
        && q.isPresent()
        && k.isPresent()
        && v.isPresent()
        && v.get().plan().norm() == 0
        && v.get().plan().rotary() == null
        && Objects.equals(q.get().plan().rotary(), k.get().plan().rotary())
        && q.get().plan().epsilon() == k.get().plan().epsilon()) {
      Optional<Place> qkv = together(List.of(q.get().linear(), k.get().linear(), v.get().linear()));
      if (qkv.isPresent()) {
        steps.attend(
            a.layer(),
            g,
            qkv.get(),
            q.get().plan(),
            k.get().plan(),
            v.get().plan().bias(),
            sinks,
            y);
        return y;
      }
    }
    projectTogether(List.of(a.q(), a.k(), a.v()));
    steps.anyAttend(a.layer(), g, place(a.q()), place(a.k()), place(a.v()), sinks, y);
    return y;
  }

  /** Saves launches where all that is projected is of the same x. */
  private void projectTogether(List<Value> values) {
    List<Value> roots = new ArrayList<>();
    for (Value value : values) {
      Value v = value;
      while (!(v.of() instanceof Value.Linear)) {
        v =
            switch (v.of()) {
              case Value.Rotate r -> r.x();
              case Value.Norm n -> n.x();
              case Value.Shift s -> s.x();
              case Value.Clip c -> c.x();
              case Value.Temper t -> t.x();
              default -> throw new IllegalStateException(v.of().getClass().getSimpleName());
            };
      }
      roots.add(v);
    }
    List<Value.Linear> linears =
        roots.stream().map(Value::of).map(Value.Linear.class::cast).toList();
    together(linears)
        .ifPresent(
            y -> {
              int first = 0;
              for (Value root : roots) {
                places.put(root.id(), y.columns(first));
                first += root.columns();
              }
            });
  }

  private Place attended(Value.Latent l, Place y) {
    Attention.MultiHeadLatent a = l.attention();
    Stored up = weights.matrix(l.up());
    if (steps.isUsual(a, up)
        && l.q().of() instanceof Value.Rotate q
        && l.c().of() instanceof Value.Norm c
        && c.weight() != null
        && c.x().of() instanceof Value.Columns latent
        && latent.first() == 0
        && latent.x().of() instanceof Value.Linear down) {
      Place both = place(latent.x(), down, q.x());
      Place queries = place(q.x());
      steps.latent(l.layer(), a, queries, both, weights.vector(c.weight()), c.epsilon(), up, y);
      return y;
    }
    steps.anyLatent(l.layer(), a, place(l.q()), place(l.c()), place(l.r()), up, y);
    return y;
  }

  /** The latent's projection, together with that of the queries where both are of the same x. */
  private Place place(Value latent, Value.Linear down, Value query) {
    Value first = query;
    if (query.of() instanceof Value.Linear up && up.x().of() instanceof Value.Norm n) {
      // The query's own latent, unless queries come straight from what the layer normed.
      first = n.x().of() instanceof Value.Linear ? n.x() : query;
    }
    if (first.of() instanceof Value.Linear linear && linear.x().is(down.x())) {
      Value left = first;
      together(List.of(linear, down))
          .ifPresent(
              y -> {
                places.put(left.id(), y);
                places.put(latent.id(), y.columns(left.columns()));
              });
    }
    return place(latent);
  }

  // The vocabulary of the forward pass.

  private Value value(int columns, Value.Operation of) {
    return new Value(made++, columns, of);
  }

  private static int rows(Leaf matrix) {
    return Math.toIntExact(matrix.shape().dim(0));
  }

  @Override
  public Value embed(Leaf table) {
    return value(Math.toIntExact(table.shape().dim(1)), new Value.Embed(table));
  }

  @Override
  public Value linear(Value x, Leaf matrix) {
    return value(rows(matrix), new Value.Linear(x, matrix));
  }

  @Override
  public Value shift(Value x, Leaf vector) {
    return value(x.columns(), new Value.Shift(x, vector));
  }

  @Override
  public Value scale(Value x, double factor) {
    return value(x.columns(), new Value.Scale(x, factor));
  }

  @Override
  public Value norm(Value x, Leaf weight, double epsilon) {
    return value(x.columns(), new Value.Norm(x, weight, epsilon, x.columns(), false));
  }

  @Override
  public Value centredNorm(Value x, Leaf weight, double epsilon) {
    return value(x.columns(), new Value.Norm(x, weight, epsilon, x.columns(), true));
  }

  @Override
  public Value norms(Value x, @Nullable Leaf weight, double epsilon, int size) {
    return value(x.columns(), new Value.Norm(x, weight, epsilon, size, false));
  }

  @Override
  public Value offsetNorms(Value x, Leaf weight, double epsilon, int size) {
    throw lacks("norms with 1 + their weights");
  }

  @Override
  protected UnsupportedException lacks(String what) {
    return new UnsupportedException(
        where, "what kernels compute", what, "use --device cpu, or --execution fused if it can");
  }

  @Override
  public Value cap(Value x, double limit) {
    throw lacks("a cap of logits");
  }

  @Override
  public Value clip(Value x, double limit) {
    return value(x.columns(), new Value.Clip(x, limit));
  }

  @Override
  public Value temper(Value x, Attention.Temperature temperature) {
    if (temperature.fromZero()) {
      throw lacks("a temperature of positions from zero");
    }
    return value(x.columns(), new Value.Temper(x, temperature));
  }

  @Override
  public Value add(Value a, Value b) {
    return value(a.columns(), new Value.Add(a, b));
  }

  @Override
  public Value gate(
      FeedForward.Activation f, FeedForward.@Nullable Clamp clamp, Value gate, Value up) {
    return switch (f) {
      case SILU -> value(gate.columns(), new Value.Gate(clamp, gate, up));
      case GELU_TANH, RELU, RELU_SQUARED -> throw lacks(f.name());
    };
  }

  @Override
  public Value activate(FeedForward.Activation f, Value x) {
    throw lacks("a function of an activation alone");
  }

  @Override
  public Value switched(Attention.Opening opening, Value x, Value by) {
    if (by.columns() > 1) {
      throw lacks("a gate of what attention gives");
    }
    return value(x.columns(), new Value.Switched(x, by));
  }

  @Override
  public Value columns(Value x, int first, int count) {
    return value(count, new Value.Columns(x, first));
  }

  @Override
  public Value ofHeads(Value x, int headSize, int first, int count) {
    throw lacks("projections that alternate by head");
  }

  @Override
  public Value join(Value a, Value b) {
    return value(a.columns() + b.columns(), new Value.Join(a, b));
  }

  @Override
  public Value rotate(Value x, Rotary rotary, int headSize, int first) {
    return value(x.columns(), new Value.Rotate(x, rotary, headSize, first));
  }

  @Override
  public Value attend(
      int layer,
      Attention.GroupedQuery attention,
      Value q,
      Value k,
      Value v,
      @Nullable Value seen,
      @Nullable Leaf sinks,
      @Nullable Leaf distances) {
    requireOneWay(attention);
    if (attention.valueSize() != null) {
      throw lacks("values of another width than keys");
    }
    if (attention.scoreCap() != null) {
      throw lacks("a cap of scores");
    }
    return value(q.columns(), new Value.Attend(layer, attention, q, k, v, sinks));
  }

  @Override
  public Value latent(
      int layer,
      Attention.MultiHeadLatent attention,
      Value q,
      Value c,
      Value r,
      @Nullable Value seen,
      Leaf up) {
    return value(
        attention.heads() * attention.valueSize(), new Value.Latent(layer, attention, q, c, r, up));
  }

  @Override
  public Value multiply(Value a, Value b) {
    throw lacks("a product of activations");
  }

  @Override
  public Value score(Routing.Score score, Value logits, int sets) {
    requireOneSet(sets);
    return value(logits.columns(), new Value.Score(score, logits));
  }

  @Override
  public Value compete(Value values, Value chosen, Routing.Mixer mixer, double scale) {
    throw lacks("weights of experts that compete with those near them");
  }

  @Override
  public Value favour(Value scores, Leaf bias) {
    return value(scores.columns(), new Value.Favour(scores, bias));
  }

  @Override
  public Value limit(Value choice, Routing.Groups groups) {
    return value(choice.columns(), new Value.Limit(choice, groups));
  }

  @Override
  public Value top(Value choice, int count, int sets) {
    return value(count, new Value.Top(choice));
  }

  @Override
  public Value weigh(
      Value values,
      Value chosen,
      @Nullable Value dropped,
      Routing.@Nullable Normalisation normalisation,
      double scale) {
    return value(chosen.columns(), new Value.Weigh(values, chosen, normalisation, scale));
  }

  @Override
  public Value experts(Experts experts, Value x, Value chosen, Value weighed) {
    requireWeights(experts);
    if (experts.activation() != FeedForward.Activation.SILU) {
      throw lacks(experts.activation().name());
    }
    if (experts.network(0).gate() == null) {
      throw lacks("experts without a gate");
    }
    return value(x.columns(), new Value.Mix(experts, x, chosen, weighed));
  }

  @Override
  public Value note(Step step, Value x) {
    if (step == Step.INPUT || step == Step.OUTPUT) {
      rest(x);
    }
    return x;
  }
}
