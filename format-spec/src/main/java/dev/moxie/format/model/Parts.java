package dev.moxie.format.model;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** Parts of an architecture that differ from others in one member. */
public final class Parts {
  private Parts() {}

  /**
   * The same part with one member changed.
   *
   * @param member its name, as in the manifest
   * @throws IllegalArgumentException if the part has no such member, or does not allow the value
   */
  public static <P extends Record> P with(P part, String member, @Nullable Object value) {
    return with(part, Collections.singletonMap(member, value));
  }

  /** The same part with some members changed, which go together alone. */
  public static <P extends Record> P with(P part, Map<String, ? extends @Nullable Object> others) {
    @SuppressWarnings("unchecked") // A part's class is a class of parts.
    var type = (Class<P>) part.getClass();
    RecordComponent[] components = type.getRecordComponents();
    Class<?>[] types = new Class<?>[components.length];
    @Nullable Object[] values = new @Nullable Object[components.length];
    Set<String> unknown = new TreeSet<>(others.keySet());
    try {
      for (int i = 0; i < components.length; i++) {
        String name = components[i].getName();
        types[i] = components[i].getType();
        values[i] =
            unknown.remove(name) ? others.get(name) : components[i].getAccessor().invoke(part);
      }
      if (!unknown.isEmpty()) {
        throw new IllegalArgumentException(
            "expected some of " + Arrays.toString(components) + ", found " + unknown);
      }
      return type.getConstructor(types).newInstance(values);
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof IllegalArgumentException refused) {
        throw refused;
      }
      throw new IllegalStateException(e);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }
}
