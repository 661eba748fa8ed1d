package dev.moxie.runtime.plain;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec.Leaf;
import java.util.Objects;

/**
 * The weights of the same model with its experts, and the rows of its routers, in another order
 * ({@link ExpertOrder}).
 */
public record PermutedWeights(Architecture architecture, Weights of) implements Weights {
  @Override
  public StoredMatrix matrix(Leaf leaf) {
    Integer layer = leaf.tensor().layer();
    if (layer == null
        || !(architecture.layers().get(layer).feedForward()
            instanceof FeedForward.MixtureOfExperts m)) {
      return of.matrix(leaf);
    }
    int[] order = ExpertOrder.of(layer, m);
    if (leaf.expert() != null) {
      int expert = order[leaf.expert()];
      return of.matrix(leaf.tensor().leaf(expert, Objects.requireNonNull(leaf.projection())));
    }
    return switch (leaf.tensor().role()) {
      case Role.ROUTER -> new Rows(of.matrix(leaf), order);
      case Role.ROUTER_BIAS, Role.ROUTER_FACTORS -> new Columns(of.matrix(leaf), order);
      case Role.ROUTER_TABLE -> new Ids(of.matrix(leaf), order);
      default -> of.matrix(leaf);
    };
  }

  /** The same numbers in other rows or other columns. */
  private abstract static class Moved implements StoredMatrix {
    final StoredMatrix of;
    final int[] order;

    Moved(StoredMatrix of, int[] order) {
      this.of = of;
      this.order = order;
    }

    @Override
    public int rows() {
      return of.rows();
    }

    @Override
    public int columns() {
      return of.columns();
    }

    @Override
    public long storedBytes() {
      return of.storedBytes();
    }
  }

  private static final class Rows extends Moved {
    Rows(StoredMatrix of, int[] order) {
      super(of, order);
    }

    @Override
    public void read(int row, float[] into, int at) {
      of.read(order[row], into, at);
    }
  }

  /** Experts by the places that they have in the other order. */
  private static final class Ids extends Moved {
    private final int[] places;

    Ids(StoredMatrix of, int[] order) {
      super(of, order);
      places = new int[order.length];
      for (int place = 0; place < order.length; place++) {
        places[order[place]] = place;
      }
    }

    @Override
    public void read(int row, float[] into, int at) {
      of.read(row, into, at);
      for (int i = at; i < at + columns(); i++) {
        into[i] = places[(int) into[i]];
      }
    }
  }

  private static final class Columns extends Moved {
    Columns(StoredMatrix of, int[] order) {
      super(of, order);
    }

    @Override
    public void read(int row, float[] into, int at) {
      float[] first = new float[columns()];
      of.read(row, first, 0);
      for (int c = 0; c < first.length; c++) {
        into[at + c] = first[order[c]];
      }
    }
  }
}
