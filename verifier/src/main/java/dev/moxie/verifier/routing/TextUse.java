package dev.moxie.verifier.routing;

import java.util.List;

/**
 * Which experts of a layer one text uses, and how that differs from the other texts; {@link
 * RoutingReport#equations} has the formula.
 *
 * @param text as the report names its source
 * @param tokens T
 * @param counts tokens that chose each expert, [E]
 * @param blocks of {@value BlockTally#TOKENS} tokens, of which differences were judged
 * @param told whether there were enough of them, here and elsewhere, to tell a difference
 * @param more experts that it uses more, largest difference first
 * @param less experts that it uses less, likewise
 */
public record TextUse(
    String text,
    long tokens,
    List<Long> counts,
    long blocks,
    boolean told,
    List<Preference> more,
    List<Preference> less) {
  public TextUse {
    counts = List.copyOf(counts);
    more = List.copyOf(more);
    less = List.copyOf(less);
  }
}
