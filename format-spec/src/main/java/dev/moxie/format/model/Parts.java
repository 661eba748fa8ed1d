package dev.moxie.format.model;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import java.util.Arrays;
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
    @SuppressWarnings("unchecked") // A part's class is a class of parts.
    var type = (Class<P>) part.getClass();
    RecordComponent[] components = type.getRecordComponents();
    Class<?>[] types = new Class<?>[components.length];
    @Nullable Object[] values = new @Nullable Object[components.length];
    boolean found = false;
    try {
      for (int i = 0; i < components.length; i++) {
        boolean meant = components[i].getName().equals(member);
        found |= meant;
        types[i] = components[i].getType();
        values[i] = meant ? value : components[i].getAccessor().invoke(part);
      }
      if (!found) {
        throw new IllegalArgumentException(
            "expected one of " + Arrays.toString(components) + ", found " + member);
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
