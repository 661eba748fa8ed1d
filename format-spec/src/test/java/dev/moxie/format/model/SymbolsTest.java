package dev.moxie.format.model;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.format.safetensors.Dtype;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** The equations that people are shown. */
class SymbolsTest {
  private static final Rotary ROTARY = new Rotary(10000, 16, Rotary.Pairing.HALVES, null);

  @Test
  void groupedAttentionAndExpertsReadAsInTheirPapers() {
    var attention = new Attention.GroupedQuery(4, 2, 16, 0.25, 8, ROTARY);
    assertEquals(
        """
        x = rmsnorm(h)
        q = rotate(W_query x)
        k = rotate(W_key x)
        v = W_value x
        o = softmax(0.2500 · q kᵀ, over i − 8 < j ≤ i) v
        h = h + W_output o
        x′ = rmsnorm(h)
        l = W_router x′
        s = softmax(l)
        S = top-2(s)
        w_e = s_e / Σ_{j∈S} s_j
        expert_e(x′) = W_down,e (silu(W_gate,e x′) ∘ W_up,e x′)
        h = h + Σ_{e∈S} w_e · expert_e(x′)\
        """,
        layer(attention, mixture(Routing.Score.SOFTMAX, null, null, 0, 1, null)));
  }

  @Test
  void latentAttentionGroupsBiasAndSharedExpertsReadAsInTheirPapers() {
    var attention = new Attention.MultiHeadLatent(4, 24, 32, 8, 16, 0.2, 1e-6, ROTARY);
    var groups =
        new Routing.Groups(
            4,
            2,
            Routing.Groups.Aggregate.SUM_OF_TOP_TWO,
            Routing.Groups.MaskValue.NEGATIVE_INFINITY);
    assertEquals(
        """
        x = rmsnorm(h)
        x′ = rmsnorm(W_query_down x)
        d = W_latent_down x
        q = rotate(W_query_up x′)
        c = rmsnorm(d[0:32])
        r = rotate(d[32:48])
        [k_i; v_i] = W_latent_up c, per head i
        o = softmax(0.2000 · q_i [k_i; r]ᵀ, over j ≤ i) v_i
        h = h + W_output o
        x′′ = rmsnorm(h)
        l = W_router x′′
        s = sigmoid(l)
        c′ = s + b,  b stored per expert
        G = top-2 of 4 groups by sum of the two largest c′ of group
        c′′ = c′ in G, −∞ outside
        S = top-2(c′′)
        w_e = s_e / (Σ_{j∈S} s_j + 0.5) · 2.5
        expert_e(x′′) = W_down,e (silu(W_gate,e x′′) ∘ W_up,e x′′)
        y = Σ_{e∈S} w_e · expert_e(x′′)
        y = y + W_shared_down (silu(W_shared_gate x′′) ∘ W_shared_up x′′)
        h = h + y\
        """,
        layer(
            attention,
            mixture(
                Routing.Score.SIGMOID,
                Routing.Bias.SELECTION,
                groups,
                0.5,
                2.5,
                new FeedForward.SharedExperts(48))));
  }

  @Test
  void aDenseLayerHasOneNetwork() {
    var attention = new Attention.GroupedQuery(4, 4, 16, 0.25, null, ROTARY);
    assertEquals(
        """
        x = rmsnorm(h)
        q = rotate(W_query x)
        k = rotate(W_key x)
        v = W_value x
        o = softmax(0.2500 · q kᵀ, over j ≤ i) v
        h = h + W_output o
        x′ = rmsnorm(h)
        h = h + W_down (silu(W_gate x′) ∘ W_up x′)\
        """,
        layer(attention, new FeedForward.Dense(96, FeedForward.Activation.SILU)));
  }

  private static String layer(Attention attention, FeedForward feedForward) {
    var model =
        new Architecture(
            128,
            64,
            512,
            1e-5,
            false,
            List.of(new Architecture.Blocks(1, attention, feedForward)),
            null);
    var run = new Architecture.Blocks(1, attention, feedForward);
    return String.join("\n", Symbols.layer(Parts.with(model, "blocks", List.of(run)), 0));
  }

  private static FeedForward.MixtureOfExperts mixture(
      Routing.Score score,
      Routing.@Nullable Bias bias,
      Routing.@Nullable Groups groups,
      double epsilon,
      double scale,
      FeedForward.@Nullable SharedExperts shared) {
    var routing =
        new Routing(
            2,
            score,
            bias,
            groups,
            new Routing.Normalisation(epsilon),
            scale,
            Routing.WeightsApplyTo.EXPERT_OUTPUT,
            Routing.Capacity.UNLIMITED,
            Routing.Ties.LOWER_EXPERT_ID,
            Dtype.F32);
    return new FeedForward.MixtureOfExperts(8, 32, FeedForward.Activation.SILU, routing, shared);
  }
}
