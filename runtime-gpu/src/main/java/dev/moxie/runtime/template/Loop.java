package dev.moxie.runtime.template;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** Where a loop is. */
final class Loop {
  private final List<@Nullable Object> items;
  private int index;
  private @Nullable Object seen = this;

  Loop(List<@Nullable Object> items) {
    this.items = items;
  }

  void at(int index) {
    this.index = index;
  }

  @Nullable Object get(String name) {
    long left = (long) items.size() - index;
    return switch (name) {
      case "index" -> index + 1L;
      case "index0" -> (long) index;
      case "revindex" -> left;
      case "revindex0" -> left - 1;
      case "first" -> index == 0;
      case "last" -> left == 1;
      case "length" -> (long) items.size();
      case "depth" -> 1L; // Recursive loops are refused.
      case "depth0" -> 0L;
      case "previtem" ->
          index == 0 ? new Undefined("the item before the first") : items.get(index - 1);
      case "nextitem" ->
          left == 1 ? new Undefined("the item after the last") : items.get(index + 1);
      case "cycle" -> (Callable) this::cycle;
      case "changed" -> (Callable) this::changed;
      default -> new Undefined("loop." + name);
    };
  }

  private @Nullable Object cycle(Given given) {
    if (given.positional().isEmpty()) {
      throw new TemplateException("loop.cycle goes through at least one value");
    }
    return given.positional().get(index % given.positional().size());
  }

  private Object changed(Given given) {
    Tuple now = new Tuple(given.positional());
    boolean changed = !(seen instanceof Tuple before && Values.equal(before, now));
    seen = now;
    return changed;
  }
}
