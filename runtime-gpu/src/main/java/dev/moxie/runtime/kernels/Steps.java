package dev.moxie.runtime.kernels;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Ops;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Launches, one after the other, of a number of tokens: what each kernel is given. */
final class Steps {
  private static final String COMMON = "common";
  private static final int THREADS = 256;
  private static final int WARP = 32;
  private static final int WARPS = THREADS / WARP;

  /** Of attention with any width. */
  private static final int ATTEND_THREADS = 128;

  /** What the latent kernels are made for. */
  static final int LATENT = 512;

  static final int TURNED = 64;

  /** As latent.h says, in the order in which it does. */
  private static final long LATENT_SHARED =
      128L * (LATENT + TURNED) * Short.BYTES
          + 64 * 40 * Short.BYTES
          + (16 << 10)
          + 4 * 64 * Float.BYTES;

  /** As general.h numbers what is done to each column. */
  enum Each {
    COPY(0),
    SHIFT(1),
    SCALE(2),
    CLIP(3),
    TEMPER(4),
    ADD(5),
    GATE(6),
    SWITCH(7);

    private final int code;

    Each(int code) {
      this.code = code;
    }
  }

  private final Shapes shapes;
  private final Room room;
  private final List<Launch> launches = new ArrayList<>();
  private int tokens;

  Steps(Shapes shapes, Room room, int tokens) {
    this.shapes = shapes;
    this.room = room;
    this.tokens = tokens;
  }

  List<Launch> launches() {
    return List.copyOf(launches);
  }

  int tokens() {
    return tokens;
  }

  /** Goes on with so many of them. */
  void goOnWith(int fewer) {
    tokens = fewer;
  }

  private long positions() {
    return room.positions();
  }

  private void add(
      String part,
      String kernel,
      int x,
      int y,
      int z,
      int threads,
      long shared,
      List<Arguments> arguments,
      Launch.Weights... reads) {
    if (shared > shapes.shared()) {
      throw tooLarge(shared);
    }
    launches.add(
        new Launch(
            part, kernel, x, y, z, threads, Math.toIntExact(shared), arguments, List.of(reads)));
  }

  private void any(
      String kernel,
      int x,
      int y,
      int threads,
      long shared,
      Arguments arguments,
      Launch.Weights... reads) {
    add(COMMON, kernel, x, y, 1, threads, shared, List.of(arguments), reads);
  }

  void embed(Stored table, Place y) {
    Arguments a = new Arguments().stored(table).pointers(room.ids(), y.address());
    any("embed_any", tokens, 1, THREADS, 0, a.integers(y.stride()), row(table));
  }

  private Launch.Weights row(Stored table) {
    return new Launch.Weights(table.name(), table.read(tokens).bytes() / table.rows());
  }

  void anyProject(Stored matrix, Place x, Place y) {
    Arguments a =
        new Arguments()
            .stored(matrix)
            .pointer(x.address())
            .integers(x.stride())
            .pointer(y.address())
            .integers(y.stride(), tokens);
    any("project_any", Math.ceilDiv(matrix.rows(), WARPS), 1, THREADS, 0, a, matrix.read(1));
  }

  private Optional<Shapes.Shares> shares(List<Stored> matrices) {
    return shares(tokens, matrices);
  }

  /** How a product is launched for so many tokens; nothing if it is not. */
  Optional<Shapes.Shares> shares(int of, List<Stored> matrices) {
    Stored first = matrices.getFirst();
    return shapes.project(
        first.encoding(), of, first.columns(), matrices.stream().map(Stored::rows).toList());
  }

  private Shapes.Shares required(Optional<Shapes.Shares> shares) {
    return shares.orElseThrow(() -> tooLarge(shapes.shared() + 1L));
  }

  private UnsupportedException tooLarge(long least) {
    return new UnsupportedException(
        "--execution kernels",
        "a model whose kernels fit the "
            + shapes.shared()
            + " bytes that a block of the card shares",
        "one that takes " + least + " or more",
        "use --execution fused");
  }

  /**
   * y = matrices · x, or y += that.
   *
   * @param matrices up to four of one encoding and as many columns, whose rows follow each other
   */
  void project(List<Stored> matrices, Input x, Place y, boolean add) {
    Stored first = matrices.getFirst();
    Stored.Encoding encoding = first.encoding();
    Shapes.Shares shares = required(shares(matrices));
    var a = new Arguments();
    matrices.forEach(a::matrix);
    for (int i = matrices.size(); i < 4; i++) {
      a.noMatrix();
    }
    a.integers(matrices.size(), tokens, shares.split(), 1)
        .pointer(x.place().address())
        .integers(x.place().stride())
        .pointer(x.norm())
        .floats(x.epsilon())
        .pointer(y.address())
        .integers(y.stride())
        .flag(add);
    add(
        encoding.id(),
        "project_" + encoding.id() + shares.variant(),
        shares.blocks(),
        1,
        1,
        shares.warps() * WARP,
        shares.bytes(),
        List.of(a),
        matrices.stream().map(m -> m.read(1)).toArray(Launch.Weights[]::new));
  }

  /**
   * What a product is of.
   *
   * @param norm address of the weights of a norm that comes before; 0 without
   */
  record Input(Place place, long norm, double epsilon) {}

  void norm(Place x, Place y, int columns, int size, boolean centred, double epsilon, long weight) {
    Arguments a =
        new Arguments()
            .pointer(x.address())
            .integers(x.stride())
            .pointer(y.address())
            .integers(y.stride(), size)
            .flag(centred)
            .floats(epsilon)
            .pointer(weight);
    any("norm_any", columns / size, tokens, THREADS, 0, a);
  }

  void each(Each step, Place x, @Nullable Place b, Place y, int columns, double... numbers) {
    Arguments a =
        new Arguments()
            .integers(step.code)
            .pointer(x.address())
            .integers(x.stride())
            .pointer(b == null ? 0 : b.address())
            .integers(b == null ? 0 : b.stride())
            .pointer(y.address())
            .integers(y.stride(), columns)
            .floats(
                numbers.length > 0 ? numbers[0] : 0,
                numbers.length > 1 ? numbers[1] : 0,
                numbers.length > 2 ? numbers[2] : 0)
            .pointer(positions());
    any("columns_any", Math.ceilDiv(columns, THREADS), tokens, THREADS, 0, a);
  }

  void rotate(Place x, Place y, int columns, Rotary rotary, int headSize, int first) {
    Arguments a =
        new Arguments()
            .pointer(x.address())
            .integers(x.stride())
            .pointer(y.address())
            .integers(y.stride(), columns, headSize, first, rotary.dimensions())
            .flag(rotary.pairing() == Rotary.Pairing.INTERLEAVED)
            .pointers(room.turns(rotary, false), room.turns(rotary, true), positions());
    any("rotate_any", Math.ceilDiv(columns, THREADS), tokens, THREADS, 0, a);
  }

  /** Keys or values, each head's from an address on. */
  void append(Place x, int heads, int size, long cache, long headStride, int positionStride) {
    Arguments a =
        new Arguments()
            .pointer(x.address())
            .integers(x.stride(), heads, size)
            .pointer(cache)
            .distance(headStride)
            .integers(positionStride)
            .pointer(positions());
    any("append_any", heads, tokens, 64, 0, a);
  }

  /** A layer's keys or values, [heads, capacity, size]. */
  private long cache(String what, int layer, int heads, int size) {
    return room.of(what + " " + layer, (long) heads * room.capacity() * size * Short.BYTES)
        .address();
  }

  void anyAttend(
      int layer, Attention.GroupedQuery g, Place q, Place k, Place v, long sinks, Place y) {
    int size = g.headSize();
    long keys = cache("keys", layer, g.keyValueHeads(), size);
    long values = cache("values", layer, g.keyValueHeads(), size);
    long apart = (long) room.capacity() * size;
    append(k, g.keyValueHeads(), size, keys, apart, size);
    append(v, g.keyValueHeads(), size, values, apart, size);
    Arguments a =
        new Arguments()
            .pointer(q.address())
            .integers(q.stride())
            .pointers(keys, values)
            .integers(
                room.capacity(),
                g.heads(),
                g.keyValueHeads(),
                size,
                g.window() == null ? 0 : g.window(),
                g.chunk() == null ? 0 : g.chunk())
            .floats(g.softmaxScale())
            .pointers(sinks, positions(), y.address())
            .integers(y.stride());
    int warps = ATTEND_THREADS / WARP;
    long shared = (size + warps * (size + 2L)) * Float.BYTES;
    any("attend_any", g.heads(), tokens, ATTEND_THREADS, shared, a);
  }

  /**
   * How a head of queries or keys becomes what it meets the others as.
   *
   * @param norm address of the weights of its norm; 0 without
   * @param bias likewise
   */
  record HeadPlan(long norm, double epsilon, long bias, @Nullable Rotary rotary) {}

  /**
   * Attention of queries, keys and values side by side, as they were projected.
   *
   * @param bias of the values
   */
  void attend(
      int layer,
      Attention.GroupedQuery g,
      Place qkv,
      HeadPlan q,
      HeadPlan k,
      long bias,
      long sinks,
      Place y) {
    int size = g.headSize();
    int groups = g.keyValueHeads() * Math.ceilDiv(g.heads() / g.keyValueHeads(), 8);
    int splits = splits(groups, 128);
    long rows = (long) room.most() * g.heads() * splits;
    Rotary rotary = q.rotary();
    Arguments a =
        new Arguments()
            .pointer(qkv.address())
            .integers(qkv.stride())
            .pointers(q.norm(), k.norm())
            .floats(q.epsilon())
            .pointers(
                rotary == null ? 0 : room.turns(rotary, false),
                rotary == null ? 0 : room.turns(rotary, true))
            .integers(rotary == null ? 0 : rotary.dimensions())
            .flag(rotary != null && rotary.pairing() == Rotary.Pairing.INTERLEAVED)
            .pointers(q.bias(), k.bias(), bias, sinks)
            .pointers(
                cache("keys", layer, g.keyValueHeads(), size),
                cache("values", layer, g.keyValueHeads(), size))
            .distance(0)
            .integers(
                room.capacity(), g.heads(), g.keyValueHeads(), g.window() == null ? 0 : g.window())
            .pointer(positions())
            .floats(g.softmaxScale())
            .pointers(
                room.of("partial " + rows * size, rows * size * Float.BYTES).address(),
                room.of("extremes " + rows, rows * 2 * Float.BYTES).address(),
                room.of("arrived " + groups, (long) room.most() * groups * Integer.BYTES).address(),
                y.address())
            .integers(y.stride());
    if (tokens > 1) {
      any("append_" + size, g.keyValueHeads(), tokens, 64, 0, a);
    }
    long shared = 16L * (size + 32) * Short.BYTES + WARPS * 8L * (size + 2) * Float.BYTES;
    add(COMMON, "attend_" + size, splits, groups, tokens, THREADS, shared, List.of(a));
  }

  /** Parts of a sequence, of so many positions at least, so that all processors have some. */
  private int splits(int groups, int least) {
    int most = Math.ceilDiv(room.capacity(), least);
    return Math.clamp(shapes.processors() / groups / Math.min(tokens, 2), 1, most);
  }

  void anyLatent(
      int layer, Attention.MultiHeadLatent l, Place q, Place c, Place r, Stored up, Place y) {
    int shared = l.shared();
    int width = l.latentSize() + shared;
    long cache = cache("latents", layer, 1, width);
    append(c, 1, l.latentSize(), cache, 0, width);
    append(r, 1, shared, cache + (long) l.latentSize() * Short.BYTES, 0, width);
    Arguments a =
        new Arguments()
            .stored(up)
            .pointer(q.address())
            .integers(q.stride())
            .pointer(cache)
            .integers(l.plainSize(), shared, l.valueSize())
            .floats(l.softmaxScale())
            .pointers(positions(), y.address())
            .integers(y.stride());
    int warps = ATTEND_THREADS / WARP;
    long memory = (width + warps * (l.latentSize() + 2L)) * Float.BYTES;
    any("latent_any", l.heads(), tokens, ATTEND_THREADS, memory, a, up.read(1));
  }

  /** Whether the latent kernels are made for it. */
  boolean isUsual(Attention.MultiHeadLatent l, Stored up) {
    return l.latentSize() == LATENT
        && l.rotary() != null
        && l.rotary().dimensions() == TURNED
        && l.plainSize() <= 256
        && l.plainSize() % 8 == 0
        && l.valueSize() <= 128
        && LATENT_SHARED <= shapes.shared()
        && up.fits()
        && hasTilesOfOneBlock(l, up);
  }

  /** Of fp8 a tile of sixteen rows has one scale for each block of columns. */
  private static boolean hasTilesOfOneBlock(Attention.MultiHeadLatent l, Stored up) {
    return up.encoding() != Stored.Encoding.FP8
        || (l.plainSize() % 16 == 0 && l.valueSize() % 16 == 0);
  }

  /**
   * Attention over latents, in three launches.
   *
   * @param q queries that nothing turned
   * @param down latents and keys that nothing normed or turned, side by side
   */
  void latent(
      int layer,
      Attention.MultiHeadLatent l,
      Place q,
      Place down,
      long norm,
      double epsilon,
      Stored up,
      Place y) {
    int width = LATENT + TURNED;
    int groups = Math.ceilDiv(l.heads(), 64);
    int splits = splits(groups, 32);
    long rows = (long) room.most() * l.heads() * splits;
    Rotary rotary = Objects.requireNonNull(l.rotary());
    Arguments a =
        new Arguments()
            .matrix(up)
            .integers(l.heads(), l.plainSize(), l.valueSize(), tokens)
            .pointer(q.address())
            .integers(q.stride())
            .pointer(down.address())
            .integers(down.stride())
            .pointer(norm)
            .floats(epsilon)
            .pointers(room.turns(rotary, false), room.turns(rotary, true))
            .flag(rotary.pairing() == Rotary.Pairing.INTERLEAVED)
            .floats(l.softmaxScale())
            .pointer(cache("latents", layer, 1, width))
            .distance(0)
            .pointer(positions())
            .integers(splits)
            .pointers(
                room.of(
                        "absorbed " + l.heads(),
                        (long) room.most() * l.heads() * width * Float.BYTES)
                    .address(),
                room.of("partial " + rows * LATENT, rows * LATENT * Float.BYTES).address(),
                room.of("extremes " + rows, rows * 2 * Float.BYTES).address(),
                y.address())
            .integers(y.stride());
    String part = up.encoding().id();
    List<Arguments> all = List.of(a);
    add(part, "absorb_" + part, l.heads(), tokens, 1, THREADS, 0, all);
    add(COMMON, "attend_latent_512", splits, groups, tokens, THREADS, LATENT_SHARED, all);
    long factors = Math.ceilDiv(splits, 4) * 16L;
    long output = 2L * WARPS * 128 * Float.BYTES + factors + 3L * (LATENT + 32) * Short.BYTES;
    add(part, "latent_output_" + part, l.heads(), tokens, 1, THREADS, output, all, up.read(1));
  }

  /**
   * What routing computes with.
   *
   * @param biasMode as routing.h counts them
   * @param bias address; 0 without
   */
  record Router(
      Routing.Score score,
      int biasMode,
      long bias,
      Routing.@Nullable Groups groups,
      Routing.@Nullable Normalisation normalisation,
      double scale,
      int experts,
      int chosen) {}

  /** Where routing leaves what it decided. */
  record Decided(long plan, long weights) {}

  Decided decided(int chosen) {
    return new Decided(
        room.of("plan " + chosen, Shapes.planNumbers(room.most(), chosen) * Integer.BYTES)
            .address(),
        room.of("weights of slots " + chosen, (long) room.most() * chosen * Float.BYTES).address());
  }

  /** Routing from logits, [tokens, experts]. */
  void anyRoute(Router router, long logits) {
    any(
        "route_any",
        1,
        1,
        THREADS,
        routeShared(router),
        route(router, null, 0, new Input(new Place(0, 0), 0, 0), logits));
  }

  static long routeShared(Router router) {
    return (long) WARPS * 3 * router.experts() * Float.BYTES;
  }

  /** Routing from what a norm is of; its matrix is of bfloat16 or float32. */
  void route(Router router, Stored matrix, int hidden, Input x) {
    int rows = router.experts() > 2 * shapes.processors() ? 2 : 1;
    long logits =
        room.of(
                "router logits " + router.experts(),
                (long) room.most() * router.experts() * Float.BYTES)
            .address();
    add(
        COMMON,
        "route_experts",
        Math.ceilDiv(router.experts(), rows),
        1,
        1,
        THREADS,
        routeShared(router),
        List.of(route(router, matrix, hidden, x, logits), new Arguments().integers(rows)),
        matrix.read(1));
  }

  private Arguments route(
      Router router, @Nullable Stored matrix, int hidden, Input x, long logits) {
    Routing.Groups groups = router.groups();
    Routing.Normalisation normalisation = router.normalisation();
    Double least = normalisation == null ? null : normalisation.least();
    Decided to = decided(router.chosen());
    return new Arguments()
        .pointer(matrix == null ? 0 : matrix.weights())
        .flag(matrix != null && matrix.encoding() == Stored.Encoding.F32)
        .pointer(router.bias())
        .integers(router.biasMode(), router.experts(), hidden, router.chosen(), tokens)
        .flag(router.score() == Routing.Score.SIGMOID)
        .integers(groups == null ? 0 : groups.count(), groups == null ? 0 : groups.kept())
        .flag(groups != null && groups.aggregate() == Routing.Groups.Aggregate.SUM_OF_TOP_TWO)
        .flag(groups != null && groups.maskValue() == Routing.Groups.MaskValue.ZERO)
        .flag(normalisation != null)
        .floats(
            normalisation == null ? 0 : normalisation.epsilon(),
            least == null ? Double.NEGATIVE_INFINITY : least,
            router.scale())
        .pointer(x.place().address())
        .integers(x.place().stride())
        .pointer(x.norm())
        .floats(x.epsilon())
        .pointers(logits, to.plan(), to.weights(), room.of("arrived", Integer.BYTES).address());
  }

  /**
   * What a gated network is made of, its pieces in one encoding.
   *
   * @param gateUpBias address; 0 without
   */
  record Mixture(
      Ops.Experts of, Stored gateUp, Stored down, long gateUpBias, long downBias, int chosen) {
    boolean inputWeighted() {
      return of.weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_INPUT;
    }

    double[] clamp() {
      return Steps.clamp(of.clamp());
    }
  }

  /** A network that every token passes. */
  record Alone(Stored gate, Stored up, Stored down) {}

  /** Limit, sharpness and offset. */
  static double[] clamp(FeedForward.@Nullable Clamp clamp) {
    return clamp == null
        ? new double[] {Double.POSITIVE_INFINITY, 1, 0}
        : new double[] {clamp.limit(), clamp.sharpness(), clamp.offset()};
  }

  void anyExperts(Mixture m, Place x, Place y, Place activated) {
    Decided decided = decided(m.chosen());
    Arguments a =
        new Arguments()
            .stored(m.gateUp())
            .stored(m.down())
            .pointers(m.gateUpBias(), m.downBias())
            .integers(m.chosen(), tokens)
            .flag(m.inputWeighted())
            .pointers(decided.plan(), decided.weights())
            .floats(m.clamp())
            .pointer(x.address())
            .integers(x.stride())
            .pointers(activated.address(), y.address())
            .integers(y.stride());
    any(
        "gate_up_any",
        Math.ceilDiv(m.gateUp().rows(), WARPS),
        tokens,
        THREADS,
        0,
        a,
        m.gateUp().read(2 * tokens * m.chosen()));
    any(
        "down_any",
        Math.ceilDiv(m.down().rows(), WARPS),
        tokens,
        THREADS,
        0,
        a,
        m.down().read(tokens * m.chosen()));
  }

  /**
   * Networks of experts and of all tokens together: gate and up, to be followed by {@link
   * Networks#down}.
   */
  Networks gateUp(
      @Nullable Mixture m, @Nullable Alone alone, int hidden, Input x, Place y, String name) {
    var networks = new Networks(m, alone, hidden, x, y, name);
    networks.gateUp();
    return networks;
  }

  /** Two launches on the same arguments. */
  final class Networks {
    private final @Nullable Mixture m;
    private final @Nullable Alone alone;
    private final int hidden;
    private final Input x;
    private final Place y;
    private final Stored.Encoding encoding;
    private final int chosen;
    private final int width;
    private final int sharedWidth;
    private final long activated;

    private Networks(
        @Nullable Mixture m, @Nullable Alone alone, int hidden, Input x, Place y, String name) {
      this.m = m;
      this.alone = alone;
      this.hidden = hidden;
      this.x = x;
      this.y = y;
      if (m != null) {
        encoding = m.gateUp().encoding();
      } else if (alone != null) {
        encoding = alone.gate().encoding();
      } else {
        throw new IllegalArgumentException("no network");
      }
      chosen = m == null ? 0 : m.chosen();
      width = m == null ? 0 : m.gateUp().rows();
      sharedWidth = alone == null ? 0 : alone.gate().rows();
      // Its own, since what lies between slots must stay finite.
      activated =
          room.of(
                  name + " " + encoding.id() + " " + chosen + " " + width + " " + sharedWidth,
                  Shapes.activated(encoding, room.most(), chosen, width, sharedWidth))
              .address();
    }

    private Arguments arguments(int split) {
      var a = new Arguments();
      if (m == null) {
        a.pointers(0, 0, 0, 0, 0, 0);
      } else {
        a.pointers(m.gateUp().weights(), m.gateUp().scales());
        a.pointers(m.down().weights(), m.down().scales());
        a.pointers(m.gateUpBias(), m.downBias());
      }
      if (alone == null) {
        a.noMatrix().noMatrix().noMatrix();
      } else {
        a.matrix(alone.gate()).matrix(alone.up()).matrix(alone.down());
      }
      int block = m == null ? encoding.held() : m.gateUp().blockColumns();
      Decided decided = decided(chosen);
      return a.integers(hidden, width, block, chosen, tokens, split, 1, 0)
          .pointers(decided.plan(), decided.weights())
          .flag(m != null && m.inputWeighted())
          .floats(m == null ? clamp(null) : m.clamp())
          .pointer(x.place().address())
          .integers(x.place().stride())
          .pointer(x.norm())
          .floats(x.epsilon())
          .pointers(activated, y.address())
          .integers(y.stride());
    }

    private void launch(String kernel, Shapes.Shares shares, List<Launch.Weights> reads) {
      add(
          encoding.id(),
          kernel + "_" + encoding.id() + shares.variant(),
          shares.blocks(),
          1,
          1,
          shares.warps() * WARP,
          shares.bytes(),
          List.of(arguments(shares.split())),
          reads.toArray(Launch.Weights[]::new));
    }

    private void gateUp() {
      List<Launch.Weights> reads = new ArrayList<>();
      if (m != null) {
        reads.add(m.gateUp().read(2 * tokens * chosen));
      }
      if (alone != null) {
        reads.add(alone.gate().read(1));
        reads.add(alone.up().read(1));
      }
      launch(
          "gate_up",
          required(shapes.gateUp(encoding, tokens, chosen, hidden, width, sharedWidth)),
          reads);
    }

    void down() {
      List<Launch.Weights> reads = new ArrayList<>();
      if (m != null) {
        reads.add(m.down().read(tokens * chosen));
      }
      if (alone != null) {
        reads.add(alone.down().read(1));
      }
      launch(
          "down",
          required(shapes.down(encoding, tokens, chosen, hidden, width, sharedWidth)),
          reads);
    }
  }
}
