package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Attention;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.IntUnaryOperator;
import java.util.stream.Stream;

/** Projections that hold several kinds of rows, which were taken in another order. */
final class RowOrders {
  private final Evidence evidence;
  private final String prefix;
  private final Attention attention;

  RowOrders(Evidence evidence, int layer) {
    this.evidence = evidence;
    this.prefix = "layers." + layer + ".";
    this.attention = evidence.architecture().layers().get(layer).attention();
  }

  /**
   * Kinds of rows, which follow each other in every group.
   *
   * @param tensor within its layer
   * @param sizes rows of each kind in a group
   */
  private record Cut(String tensor, int groups, List<String> kinds, List<Integer> sizes) {
    int group() {
      return sizes.stream().mapToInt(Integer::intValue).sum();
    }

    int before(int kind) {
      return sizes.subList(0, kind).stream().mapToInt(Integer::intValue).sum();
    }

    int kindOf(int inGroup) {
      int kind = 0;
      while (inGroup >= before(kind + 1)) {
        kind++;
      }
      return kind;
    }

    /** Where a row lies if two kinds of one size are in each other's place. */
    int swapped(int row, int one, int other) {
      int inGroup = row % group();
      int kind = kindOf(inGroup);
      if (kind != one && kind != other) {
        return row;
      }
      return row - before(kind) + before(kind == one ? other : one);
    }

    /** Where a row lies if all groups of a kind stand together. */
    int byKind(int row) {
      int inGroup = row % group();
      int kind = kindOf(inGroup);
      int ofKind = row / group() * sizes.get(kind) + inGroup - before(kind);
      return before(kind) * groups + ofKind;
    }

    /** Where a row lies in groups, counted as if all groups of a kind stood together. */
    int byGroup(int row) {
      int kind = kindOf(row / groups);
      int ofKind = row - before(kind) * groups;
      int size = sizes.get(kind);
      return ofKind / size * group() + before(kind) + ofKind % size;
    }
  }

  /** All that may be so in the layer's attention. */
  Stream<Suspect> suspects() {
    List<Suspect> suspects = new ArrayList<>();
    switch (attention) {
      case Attention.GroupedQuery a when a.outputGate() -> {
        List<Integer> sizes = List.of(a.headSize(), a.headSize());
        add(new Cut("attention.query.", a.heads(), List.of("query", "gate"), sizes), suspects);
      }
      case Attention.GatedDelta a -> {
        states(a, suspects);
        suspects.add(reversed("convolution.weight", a.convolution()));
      }
      case Attention.ShortConvolution a -> {
        List<Integer> sizes = Collections.nCopies(3, a.width());
        List<String> kinds = List.of("input gate", "output gate", "value");
        add(new Cut("convolution.input.", 1, kinds, sizes), suspects);
        suspects.add(reversed("convolution.taps.weight", a.convolution()));
      }
      case Attention.Mamba a -> {
        List<Integer> halves = List.of(a.width(), a.width());
        add(new Cut("mamba.input.", 1, List.of("value", "gate"), halves), suspects);
        List<Integer> sizes = List.of(a.stepRank(), a.stateSize(), a.stateSize());
        List<String> kinds = List.of("step", "key", "query");
        add(new Cut("mamba.parameters.", 1, kinds, sizes), suspects);
        suspects.add(reversed("mamba.convolution.weight", a.convolution()));
      }
      case Attention.Mamba2 a -> {
        List<Integer> sizes = List.of(a.values(), a.values(), a.keys(), a.keys(), a.heads());
        List<String> kinds = List.of("gate", "value", "key", "query", "step");
        add(new Cut("mamba.input.", 1, kinds, sizes), suspects);
        suspects.add(reversed("mamba.convolution.weight", a.convolution()));
      }
      case Attention.Lightning a -> {
        List<Integer> sizes = Collections.nCopies(3, a.headSize());
        List<String> kinds = List.of("query", "key", "value");
        add(new Cut("lightning.input.", a.heads(), kinds, sizes), suspects);
      }
      case Attention.None _,
          Attention.GroupedQuery _,
          Attention.MultiHeadLatent _,
          Attention.Compressed _ -> {}
    }
    return suspects.stream();
  }

  /**
   * Factors the other way round.
   *
   * @param end of the names of the tensors that hold them
   */
  private Suspect reversed(String end, int taps) {
    return Suspect.of(
        "factors of a convolution in reverse",
        evidence,
        row -> row.name().startsWith(prefix) && row.name().endsWith(end),
        (row, stored) -> stored.get(row).withColumns(c -> taps - 1 - c));
  }

  private void states(Attention.GatedDelta a, List<Suspect> suspects) {
    int served = Math.toIntExact(a.values() / a.keyHeads());
    List<Integer> sizes = List.of(a.keySize(), a.keySize(), served, served);
    List<String> kinds = List.of("query", "key", "value", "gate");
    switch (a.projections()) {
      case BY_KEY_HEAD -> {
        add(new Cut("delta.mixed.", a.keyHeads(), kinds, sizes), suspects);
        int each = a.valueHeads() / a.keyHeads();
        List<String> both = List.of("write", "decay");
        add(new Cut("delta.write_decay.", a.keyHeads(), both, List.of(each, each)), suspects);
      }
      case BY_KIND -> {
        int keys = Math.toIntExact(a.keys());
        List<Integer> whole = List.of(keys, keys, Math.toIntExact(a.values()));
        add(new Cut("delta.mixed.", 1, kinds.subList(0, 3), whole), suspects);
        var cut = new Cut("delta.mixed.", a.keyHeads(), kinds.subList(0, 3), sizes.subList(0, 3));
        suspects.add(
            reordered("rows that stand head by head read as kind by kind", cut, cut::byGroup));
      }
      case APART -> {} // No matrix has rows of several kinds.
    }
  }

  private void add(Cut cut, List<Suspect> suspects) {
    for (int i = 0; i < cut.kinds().size(); i++) {
      for (int j = i + 1; j < cut.kinds().size(); j++) {
        if (cut.sizes().get(i).equals(cut.sizes().get(j))) {
          int one = i;
          int other = j;
          String cause = "%s and %s rows swapped".formatted(cut.kinds().get(i), cut.kinds().get(j));
          suspects.add(reordered(cause, cut, row -> cut.swapped(row, one, other)));
        }
      }
    }
    if (cut.groups() > 1) {
      suspects.add(
          reordered("rows that stand kind by kind read as head by head", cut, cut::byKind));
    }
  }

  /** The rows of a matrix, and the elements of its bias. */
  private Suspect reordered(String cause, Cut cut, IntUnaryOperator source) {
    return Suspect.of(
        cause + " in " + prefix + cut.tensor() + "weight",
        evidence,
        row -> row.name().startsWith(prefix + cut.tensor()),
        (row, stored) ->
            row.shape().rank() == 1
                ? stored.get(row).withColumns(source)
                : stored.get(row).reordered(source));
  }
}
