package dev.moxie.runtime.template;

import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Values that loops can set beyond themselves. */
record Namespace(Map<String, @Nullable Object> values) {
  static Namespace of(Given given) {
    Map<String, @Nullable Object> values = new HashMap<>();
    for (Object from : given.positional()) {
      if (!(from instanceof Map<?, ?> map)) {
        throw new TemplateException("a namespace is made of mappings and names");
      }
      map.forEach((key, value) -> values.put(Values.text(key), value));
    }
    values.putAll(given.named());
    return new Namespace(values);
  }
}
