package dev.moxie.runtime.template;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Where a loop is. Items are taken as they are needed: a turn may decide whether others come. */
final class Loop {
  private final Iterator<@Nullable Object> source;
  private final Budget budget;
  private final List<@Nullable Object> items = new ArrayList<>();
  private int index;
  private @Nullable Object seen = this;

  Loop(Iterator<@Nullable Object> source, Budget budget) {
    this.source = source;
    this.budget = budget;
  }

  /** Whether there is an item of a number, from 0. */
  boolean has(int number) {
    while (items.size() <= number && source.hasNext()) {
      items.add(source.next());
    }
    return items.size() > number;
  }

  @Nullable Object item(int number) {
    return items.get(number);
  }

  private long length() {
    source.forEachRemaining(items::add);
    return items.size();
  }

  void at(int index) {
    this.index = index;
  }

  @Nullable Object get(String name) {
    return switch (name) {
      case "index" -> index + 1L;
      case "index0" -> (long) index;
      case "revindex" -> length() - index;
      case "revindex0" -> length() - index - 1;
      case "first" -> index == 0;
      case "last" -> !has(index + 1);
      case "length" -> length();
      case "depth" -> 1L; // Recursive loops are refused.
      case "depth0" -> 0L;
      case "previtem" ->
          index == 0 ? new Undefined("the item before the first") : items.get(index - 1);
      case "nextitem" ->
          has(index + 1) ? items.get(index + 1) : new Undefined("the item after the last");
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
    boolean changed = !(seen instanceof Tuple before && Values.equal(before, now, budget));
    seen = now;
    return changed;
  }
}
