package dev.moxie.format.pack;

import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.safetensors.TensorInfo;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Where each tensor of one shard lies. Data start on a page, and so does every expert stack:
 * tensors that fill whole pages come first, and a filler of zeros stands before a stack that would
 * not start on one. Other tensors are ordered by falling element width, so that each is aligned to
 * its own elements.
 *
 * @param file name of the shard
 * @param rank that the shard is for; null if it is for all
 * @param header composed, and padded so that the data start on a page
 * @param tensors in the order of their bytes, fillers included
 */
public record ShardLayout(
    String file, @Nullable Integer rank, SafetensorsHeader header, List<Placed> tensors) {
  /** Bytes of a page: the granularity of mapping and of direct reads. */
  public static final int PAGE = 4096;

  /**
   * A tensor in its place.
   *
   * @param offset of the first byte, from the start of the file
   */
  public record Placed(TensorSpec spec, Dtype dtype, Encoding encoding, long offset, long bytes) {}

  /**
   * A tensor to place.
   *
   * @param spec in the shape in which it is stored
   */
  public record Item(TensorSpec spec, Dtype dtype, Encoding encoding) {
    /** A tensor whose elements are as its dtype says. */
    public Item(TensorSpec spec, Dtype dtype) {
      this(spec, dtype, Encoding.PLAIN);
    }

    long bytes() {
      return spec.shape().bytes(dtype);
    }
  }

  public ShardLayout {
    tensors = List.copyOf(tensors);
  }

  /** Lays out the items; among equals, their order is kept. */
  public static ShardLayout of(String file, @Nullable Integer rank, List<Item> items) {
    List<Item> ordered = new ArrayList<>(items);
    ordered.sort(
        Comparator.comparing((Item item) -> item.spec().stack() == null)
            .thenComparing(item -> item.spec().stack() != null && item.bytes() % PAGE != 0)
            .thenComparingInt(item -> -item.dtype().bits()));
    List<Item> filled = new ArrayList<>();
    long end = 0;
    for (Item item : ordered) {
      if (item.spec().stack() != null && end % PAGE != 0) {
        Item filler = filler(filled.size(), PAGE - end % PAGE);
        filled.add(filler);
        end += filler.bytes();
      }
      filled.add(item);
      end += item.bytes();
    }
    List<TensorInfo> infos = new ArrayList<>();
    long begin = 0;
    for (Item item : filled) {
      long next = begin + item.bytes();
      infos.add(new TensorInfo(item.spec().name(), item.dtype(), item.spec().shape(), begin, next));
      begin = next;
    }
    SafetensorsHeader header = SafetensorsHeader.compose(Map.of("format", "moxie"), infos, PAGE);
    List<Placed> placed = new ArrayList<>();
    for (int i = 0; i < filled.size(); i++) {
      placed.add(
          new Placed(
              filled.get(i).spec(),
              filled.get(i).dtype(),
              filled.get(i).encoding(),
              header.bytes() + infos.get(i).begin(),
              infos.get(i).bytes()));
    }
    return new ShardLayout(file, rank, header, placed);
  }

  private static Item filler(int index, long bytes) {
    return new Item(
        new TensorSpec("padding." + index, Role.PADDING, null, Shape.of(bytes), null), Dtype.U8);
  }
}
