package dev.moxie.format.model;

import dev.moxie.format.model.TensorSpec.Leaf;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.BiFunction;
import org.jspecify.annotations.Nullable;

/**
 * Reads a forward pass as the lines of equations that a paper would print. What it makes of an
 * activation is a term, which gets a name, and a line of its own, where another one needs it.
 */
public final class Symbols implements Ops<Symbols.Term> {
  private final List<String> lines = new ArrayList<>();
  private final Set<String> names = new HashSet<>();

  private Symbols() {}

  /** Part of an equation; a name once it has one. */
  public static final class Term {
    private String text;
    private boolean named;

    private Term(String text, boolean named) {
      this.text = text;
      this.named = named;
    }
  }

  /** A whole layer: what becomes of the residual stream h, and what it sees of an encoder. */
  public static List<String> layer(Architecture model, int layer) {
    return lines(
        model,
        "h",
        (forward, h) -> {
          if (model.layers().get(layer).cross() != null) {
            forward.remember(layer, new Term("encoded", true));
          }
          return forward.layer(layer, h);
        },
        "h");
  }

  /** What experts make of x, one line per step. */
  public static List<String> mixture(Architecture model, FeedForward.MixtureOfExperts mixture) {
    return lines(model, "x", (forward, x) -> forward.mixture(0, mixture, x), "y");
  }

  /**
   * What any part of a forward pass makes of what it reads.
   *
   * @param input the name of that
   * @param output the name of what comes out, where the part does not name it
   */
  static List<String> lines(
      Architecture model, String input, BiFunction<Forward<Term>, Term, Term> part, String output) {
    var symbols = new Symbols();
    symbols.names.add(input);
    Term made = part.apply(new Forward<>(model, symbols), new Term(input, true));
    symbols.name(made, output);
    return symbols.lines;
  }

  private static Term term(String format, Object... arguments) {
    return new Term(String.format(Locale.ROOT, format, arguments), false);
  }

  /** The term's name; one is given to it, and a line written, where it has none yet. */
  private String name(Term term, String wanted) {
    if (!term.named) {
      String name = wanted;
      while (!names.add(name)) {
        name += "′";
      }
      lines.add(name + " = " + term.text);
      term.text = name;
      term.named = true;
    }
    return term.text;
  }

  private static String matrix(Leaf leaf) {
    String name = leaf.tensor().role().tensor().replaceFirst("^attention\\.", "");
    String expert = leaf.expert() == null ? "" : ",e";
    if (leaf.projection() != null) {
      name = leaf.projection().id();
    }
    String again = leaf.tensor().name().contains(".again.") ? "again_" : "";
    return "W_"
        + again
        + name.replaceFirst("\\.(weight|bias)$", "").replaceFirst("^dense\\.", "").replace('.', '_')
        + expert;
  }

  @Override
  public Term embed(Leaf table) {
    return term("embedding[token]");
  }

  @Override
  public Term patches(Architecture.Image image) {
    return term("patch_i");
  }

  @Override
  public Term situate(Term x, Leaf first, Leaf table) {
    return term("%s + position_i, or class + position_0 of the first", x.text);
  }

  @Override
  public Term first(Term x) {
    return term("h_0");
  }

  @Override
  public Term linear(Term x, Leaf matrix) {
    return term("%s %s", matrix(matrix), x.text.contains("∘") ? "(" + x.text + ")" : name(x, "x"));
  }

  @Override
  public Term norm(Term x, Leaf weight, double epsilon) {
    return term("rmsnorm(%s)", x.text);
  }

  @Override
  public Term centredNorm(Term x, Leaf weight, double epsilon) {
    return term("layernorm(%s)", x.text);
  }

  @Override
  public Term norms(Term x, @Nullable Leaf weight, double epsilon, int size) {
    return term("rmsnorm(%s, per %d%s)", x.text, size, weight == null ? ", without weights" : "");
  }

  @Override
  public Term offsetNorms(Term x, Leaf weight, double epsilon, int size) {
    String per = weight.tensor().role().isOfHeads() ? ", per " + size : "";
    return term("rmsnorm(%s%s; 1 + w)", x.text, per);
  }

  @Override
  public Term shift(Term x, Leaf vector) {
    return term("%s + %s", x.text, matrix(vector).replaceFirst("^W_", "b_"));
  }

  @Override
  public Term scale(Term x, double factor) {
    return term("%s · %s", factor, x.text.contains(" + ") ? "(" + x.text + ")" : x.text);
  }

  /** What is multiplied as a whole keeps its name. */
  @Override
  public Term times(Term x, Leaf factors) {
    if (factors.shape().dim(0) > 1) {
      return term("%s ∘ %s", matrix(factors), factor(x));
    }
    String product = name(x, "h");
    String stored = factors.tensor().role().tensor().replace('.', '_');
    lines.add(product + " = " + stored + " · " + product);
    return x;
  }

  @Override
  public Term cap(Term x, double limit) {
    return limit == 1 ? term("tanh(%s)", x.text) : term("%s tanh((%s) / %s)", limit, x.text, limit);
  }

  @Override
  public Term clip(Term x, double limit) {
    return term("clip(%s, ±%s)", x.text, limit);
  }

  @Override
  public Term temper(Term x, Attention.Temperature t) {
    String position = t.fromZero() ? "i" : "(i + 1)";
    return term("(1 + %s ln(1 + ⌊%s / %s⌋)) %s", t.scale(), position, t.floor(), name(x, "q"));
  }

  /** What is added to keeps its name. */
  @Override
  public Term add(Term a, Term b) {
    String sum = name(a, "y");
    lines.add(sum + " = " + sum + " + " + b.text);
    return a;
  }

  @Override
  public Term multiply(Term a, Term b) {
    return term("%s ∘ %s", factor(a), factor(b));
  }

  @Override
  public Term gate(
      FeedForward.Activation f, FeedForward.@Nullable Clamp clamp, Term gate, Term up) {
    if (clamp == null) {
      return term("%s(%s) ∘ %s", f.name().toLowerCase(Locale.ROOT), gate.text, factor(up));
    }
    Term g = term("min(%s, %s)", gate.text, clamp.limit());
    Term u = term("clip(%s, ±%s)", up.text, clamp.limit());
    return term(
        "%s σ(%s %s) ∘ (%s + %s)",
        name(g, "g"), clamp.sharpness(), name(g, "g"), u.text, clamp.offset());
  }

  private static String factor(Term x) {
    return x.text.contains(" + ") ? "(" + x.text + ")" : x.text;
  }

  @Override
  public Term activate(FeedForward.Activation f, Term x) {
    return term("%s(%s)", f.name().toLowerCase(Locale.ROOT), x.text);
  }

  @Override
  public Term switched(Attention.Opening f, Term x, Term by) {
    String function =
        switch (f) {
          case SIGMOID -> "σ";
          case SOFTPLUS -> "softplus";
        };
    return term("%s(%s) · %s", function, by.text, x.text);
  }

  @Override
  public Term columns(Term x, int first, int count) {
    return term("%s[%d:%d]", name(x, "d"), first, first + count);
  }

  @Override
  public Term ofHeads(Term x, int headSize, int first, int count) {
    return term("%s[%d:%d of each %d]", name(x, "d"), first, first + count, headSize);
  }

  @Override
  public Term join(Term a, Term b) {
    return term("[%s; %s]", a.text, b.text);
  }

  @Override
  public Term rotate(Term x, Rotary rotary, int headSize, int first) {
    return term("rotate(%s)", x.text);
  }

  @Override
  public Term place(Term x, Architecture.Sinusoids positions) {
    String skipped = positions.padding() == null ? "" : ", less padding";
    return term("%s + sinusoids(i + %d%s)", x.text, positions.first(), skipped);
  }

  @Override
  public void remember(int layer, Attention.Cross cross, Term k, Term v) {
    name(k, "K");
    name(v, "V");
  }

  @Override
  public Term recall(int layer, Attention.Cross cross, Term q) {
    return attended(cross.attention(), name(q, "q") + " Kᵀ", "all encoded", "V");
  }

  @Override
  public Term attend(
      int layer,
      Attention.GroupedQuery a,
      Term q,
      Term k,
      Term v,
      @Nullable Term blocks,
      @Nullable Leaf sinks,
      @Nullable Leaf distances) {
    String queries = name(q, "q");
    String keys = name(k, "k");
    String seen = a.window() == null ? "j ≤ i" : "i − %d < j ≤ i".formatted(a.window());
    seen = a.bidirectional() ? "all j" : seen;
    seen = blocks == null ? seen : "j ≤ i of " + blocks.text;
    String scores = "%.4g · %s %sᵀ".formatted(a.softmaxScale(), queries, keys);
    if (a.scoreCap() != null) {
      scores = "%s tanh(%s / %s)".formatted(a.scoreCap(), scores, a.scoreCap());
    }
    if (distances != null) {
      scores += " + b[bucket(i − j)]";
    }
    if (a.chunk() != null) {
      seen += ", ⌊j / %d⌋ = ⌊i / %d⌋".formatted(a.chunk(), a.chunk());
    }
    if (sinks != null) {
      seen += " and a sink";
    }
    return attended(scores, seen, name(v, "v"));
  }

  @Override
  public Term latent(
      int layer,
      Attention.MultiHeadLatent a,
      Term q,
      Term c,
      Term r,
      @Nullable Term seen,
      Leaf up) {
    String queries = name(q, "q");
    String latent = name(c, "c");
    String shared = name(r, "r");
    lines.add("[k_i; v_i] = %s %s, per head i".formatted(matrix(up), latent));
    String over = seen == null ? "j ≤ i" : "j ∈ " + seen.text;
    return attended(a, "%s_i [k_i; %s]ᵀ".formatted(queries, shared), over, "v_i");
  }

  @Override
  public Term choose(int layer, Attention.Indexer n, int every, Term q, Term k, Term w) {
    String score = "Σ_h %s_h max(0, %s_h %sᵀ)".formatted(name(w, "w"), name(q, "q"), name(k, "k"));
    String over = every == 1 ? "j ≤ i" : whole(every);
    Term chosen = term("top-%d(%s, over %s)", n.kept(), score, over);
    name(chosen, "S");
    return chosen;
  }

  @Override
  public Term chooseBlocks(int layer, Attention.BlockIndexer n, Term q, Term k) {
    String queries = name(q, "q");
    String score = "max over j ∈ B of %s_h %sᵀ".formatted(queries, name(k, "k"));
    String own = n.local() == 0 ? "" : "the last %d and ".formatted(n.local());
    Term chosen =
        term(
            "%stop-%d(%s, over blocks B of %d), per group h",
            own, n.kept() - n.local(), score, n.block());
    name(chosen, "S");
    return chosen;
  }

  /** Entries whose tokens are all up to i. */
  private static String whole(int tokens) {
    return "j < ⌊(i + 1) / %d⌋".formatted(tokens);
  }

  @Override
  public Term assign(Leaf table) {
    Term chosen = term("table[token]");
    name(chosen, "S");
    return chosen;
  }

  @Override
  public Term grouped(Term x, Leaf matrices, int groups) {
    Term each = term("%s_g %s_g, per group g of %d", matrix(matrices), name(x, "o"), groups);
    name(each, "u");
    return each;
  }

  @Override
  public Term best(Term scores, int count) {
    Term chosen = term("top-%d(%s)", count, scores.text);
    name(chosen, "S");
    return chosen;
  }

  @Override
  public Term byExpert(Term x, Leaf matrices, int experts, Term chosen) {
    return term("[%s_e %s, e ∈ %s]", matrix(matrices), name(x, "x"), chosen.text);
  }

  @Override
  public Term rotateBack(Term x, Rotary rotary, int headSize, int first) {
    return term("rotate⁻¹(%s)", x.text);
  }

  @Override
  public Term rotateToFirst(Term x, Rotary rotary, int headSize, int first, int tokens) {
    return term("rotate(%s, to %d · j)", x.text, tokens);
  }

  @Override
  public Term compress(Attention.Compression compression, Term c, Term z, Leaf places) {
    int n = compression.tokens();
    String gates = "%s + %s[i mod %d]".formatted(z.text, matrix(places), n);
    String of = compression.overlapping() ? "windows j − 1 and j" : "window j";
    return term("Σ softmax(%s) ∘ %s, over %s of %d", gates, name(c, "c"), of, n);
  }

  @Override
  public Term compressed(
      int layer,
      Attention.Compressed a,
      Term q,
      Term v,
      @Nullable Term entries,
      @Nullable Term seen,
      Leaf sinks) {
    String tokens = name(v, "v");
    String over = "i − %d < j ≤ i".formatted(a.window());
    Attention.Compression c = a.compression();
    if (entries == null || c == null) {
      return attended(a, name(q, "q") + " " + tokens + "ᵀ", over + " and a sink", tokens);
    }
    String both = "[%s; %s]".formatted(tokens, name(entries, "e"));
    over += ", entries " + (seen == null ? whole(c.tokens()) : "j ∈ " + seen.text);
    return attended(a, name(q, "q") + " " + both + "ᵀ", over + " and a sink", both);
  }

  @Override
  public Term connect(Architecture.Streams streams, Term m, Leaf factors, Leaf shift) {
    String f = matrix(factors).replaceFirst("^W_", "");
    String b = matrix(shift).replaceFirst("^W_", "b_");
    if (factors.shape().dim(0) == 1) {
      lines.add("p = σ(%s (%s) + %s) + %s".formatted(f, m.text, b, streams.epsilon()));
      return m;
    }
    // Each half of a layer has its own.
    lines.add("[m; n; M] = %s ∘ (%s) + %s".formatted(f, m.text, b));
    lines.add(
        "p = σ(m) + %s, q = σ(n) + σ(n), C = sinkhorn(softmax(M, per row) + %s, %d times)"
            .formatted(streams.epsilon(), streams.epsilon(), streams.iterations()));
    return m;
  }

  @Override
  public Term gather(Architecture.Streams streams, Term weights, Term h) {
    return term("Σ_s p_s %s_s", name(h, "h"));
  }

  @Override
  public Term spread(Architecture.Streams streams, Term weights, Term h, Term y) {
    String all = name(h, "h");
    lines.add("%s_s = q_s (%s) + Σ_t C_ts %s_t".formatted(all, y.text, all));
    return h;
  }

  private Term attended(Attention.Softmax a, String product, String seen, String values) {
    return attended("%.4g · %s".formatted(a.softmaxScale(), product), seen, values);
  }

  private Term attended(String scores, String seen, String values) {
    Term heads = term("softmax(%s, over %s) %s", scores, seen, values);
    name(heads, "o");
    return heads;
  }

  @Override
  public Term convolve(Term x, Leaf weight) {
    return term("%s ∗ %s", matrix(weight), name(x, "m"));
  }

  @Override
  public Term softplus(Term x, double least) {
    return least == 0 ? term("softplus(%s)", x.text) : term("max(softplus(%s), %s)", x.text, least);
  }

  @Override
  public Term decay(Term steps, Leaf rate) {
    return term("exp(−exp(rate) %s)", steps.text);
  }

  @Override
  public Term recur(States states, Term q, Term k, Term v, Term d, @Nullable Term b) {
    String fading = name(d, "f");
    fading = states.byRow() ? "diag(" + fading + ")" : fading;
    String key = name(k, "k");
    String value = name(v, "v");
    String faded = states.byRow() ? "(%s S)ᵀ".formatted(fading) : fading + " Sᵀ";
    String written =
        b == null ? value : "(σ(%s) (%s − %s %s))".formatted(name(b, "b"), value, faded, key);
    lines.add("S = %s S + %s %sᵀ, per value head".formatted(fading, key, written));
    Term read = term("Sᵀ %s", name(q, "q"));
    name(read, "o");
    return read;
  }

  @Override
  public Term mix(Term a, Term b, Term z) {
    return term("c_0 %s + c_1 %s, c = softmax(%s)", name(a, "r"), name(b, "u"), name(z, "z"));
  }

  @Override
  public Term cosine(Routing.Cosine cosine, Term x, Leaf matrix, Leaf temperature) {
    return term("min(exp(t), %s) cos(%s, %s)", cosine.most(), matrix(matrix), name(x, "p"));
  }

  @Override
  public Term constant(String words, double[] row) {
    return new Term(words, false);
  }

  @Override
  public Term score(Routing.Score score, Term logits, int sets) {
    String function =
        switch (score) {
          case SOFTMAX -> "softmax";
          case SIGMOID -> "sigmoid";
          case IDENTITY, ONE -> "";
          case SQRT_SOFTPLUS -> "sqrt_softplus";
        };
    String l = name(logits, "l");
    String over = sets == 1 ? "" : ", over each of %d sets".formatted(sets);
    Term scores = term(function.isEmpty() ? "%2$s" : "%s(%s%s)", function, l, over);
    name(scores, "s");
    return scores;
  }

  @Override
  public Term favour(Term scores, Leaf bias) {
    Term choice = term("%s + b,  b stored per expert", scores.text);
    name(choice, "c");
    return choice;
  }

  @Override
  public Term limit(Term choice, Routing.Groups groups) {
    String aggregate =
        switch (groups.aggregate()) {
          case MAXIMUM -> "max " + choice.text;
          case SUM_OF_TOP_TWO -> "sum of the two largest " + choice.text;
        };
    String mask =
        switch (groups.maskValue()) {
          case ZERO -> "0";
          case NEGATIVE_INFINITY -> "−∞";
        };
    lines.add(
        "G = top-%d of %d groups by %s of group"
            .formatted(groups.kept(), groups.count(), aggregate));
    Term limited = term("%s in G, %s outside", choice.text, mask);
    name(limited, "c");
    return limited;
  }

  @Override
  public Term top(Term choice, int count, int sets) {
    Term chosen =
        sets == 1
            ? term("top-%d(%s)", count, choice.text)
            : term("top-%d(%s) of each of %d prototypes", count / sets, choice.text, sets);
    name(chosen, "S");
    return chosen;
  }

  @Override
  public Term drop(Term values, Term chosen, Routing.Drops drops) {
    String capacity =
        drops.tokens() == null ? "⌈%s · T⌉".formatted(drops.fraction()) : "" + drops.tokens();
    capacity = drops.least() == null ? capacity : "max(%d, %s)".formatted(drops.least(), capacity);
    Term dropped =
        term(
            "those of %s behind the first %s of their expert, best choices first, then by %s",
            chosen.text,
            capacity,
            switch (drops.order()) {
              case CHOICE_THEN_POSITION -> "position";
              case CHOICE_THEN_SCORE -> values.text + " of a token's best";
            });
    name(dropped, "D");
    return dropped;
  }

  @Override
  public Term without(Term weights, Term dropped) {
    Term kept = term("%s, 0 in %s", weights.text, dropped.text);
    name(kept, "w_e");
    return kept;
  }

  @Override
  public Term weigh(
      Term values,
      Term chosen,
      @Nullable Term dropped,
      Routing.@Nullable Normalisation normalisation,
      double scale) {
    if (dropped != null) {
      Term kept = term("%s_e, 0 in %s", values.text, dropped.text);
      name(kept, "v_e");
      return weigh(new Term("v", true), chosen, null, normalisation, scale);
    }
    String weights = values.text + "_e";
    if (normalisation != null) {
      String sum = "Σ_{j∈%s} %s_j".formatted(chosen.text, values.text);
      if (normalisation.least() != null) {
        sum = "max(%s, %s)".formatted(sum, normalisation.least());
      }
      weights +=
          normalisation.epsilon() == 0
              ? " / " + sum
              : " / (" + sum + " + " + normalisation.epsilon() + ")";
    }
    Term weighed = term("%s%s", weights, scale == 1 ? "" : " · " + scale);
    name(weighed, "w_e");
    return weighed;
  }

  @Override
  public Term compete(Term values, Term chosen, Routing.Mixer mixer, double scale) {
    String s = values.text;
    Term weighed =
        term(
            "exp(%1$s_e) / Σ_j exp(%1$s_j), over j that is not chosen before e with"
                + " (%1$s_e − %1$s_j) / max(abs(%1$s_j), %1$s_e) ≤ %2$s%3$s",
            s, mixer.tolerance(), scale == 1 ? "" : " · " + scale);
    name(weighed, "w_e");
    return weighed;
  }

  @Override
  public Term descend(Routing.Hierarchy hierarchy, Term p, Term s, int count) {
    lines.add("K = top-%d(%s) of groups".formatted(hierarchy.kept(), p.text));
    Term chosen = term("top-%d(%s) of each of K", count / hierarchy.kept(), s.text);
    name(chosen, "S");
    return chosen;
  }

  @Override
  public Term share(Routing.Hierarchy hierarchy, Term p, Term s, Term chosen, double scale) {
    Term weighed =
        term(
            "%1$s_g / Σ_{j∈K} %1$s_j · %2$s_e / Σ_{j∈S∩g} %2$s_j%3$s, e in group g",
            p.text, s.text, scale == 1 ? "" : " · " + scale);
    name(weighed, "w_e");
    return weighed;
  }

  @Override
  public Term factored(Term weights, Term chosen, Leaf factors) {
    Term factored = term("f_e · %s,  f stored per expert", weights.text);
    name(factored, "w_e");
    return factored;
  }

  @Override
  public Term experts(Experts experts, Term x, Term chosen, Term weights) {
    Term expert = Forward.network(this, x, experts.network(0));
    lines.add("expert_e(%s) = %s".formatted(x.text, expert.text));
    if (experts.identities() > 0) {
      lines.add("expert_e(%s) = %s, for e ≥ %d".formatted(x.text, x.text, experts.count()));
    }
    if (experts.tasks() > 1) {
      return term(
          "Σ_{e∈%s} %s · expert_{e mod %d}(%s), for each e div %d apart, side by side",
          chosen.text, weights.text, experts.count(), x.text, experts.count());
    }
    return switch (experts.weightsApplyTo()) {
      case EXPERT_OUTPUT -> term("Σ_{e∈%s} %s · expert_e(%s)", chosen.text, weights.text, x.text);
      case EXPERT_INPUT -> term("Σ_{e∈%s} expert_e(%s · %s)", chosen.text, weights.text, x.text);
    };
  }

  @Override
  public Term note(Step step, Term x) {
    if (step == Step.INPUT) {
      name(x, "h");
    }
    return x;
  }
}
