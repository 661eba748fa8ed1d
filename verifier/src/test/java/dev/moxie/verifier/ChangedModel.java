package dev.moxie.verifier;

import dev.moxie.runtime.execution.Model;
import java.util.function.BiFunction;

/**
 * A model whose logits are changed.
 *
 * @param change from the tokens that were appended, and their logits
 */
public record ChangedModel(Model model, BiFunction<long[], float[], float[]> change)
    implements Model {
  @Override
  public void begin(int capacity) {
    model.begin(capacity);
  }

  @Override
  public float[] append(long[] ids) {
    return change.apply(ids, model.append(ids));
  }

  @Override
  public int length() {
    return model.length();
  }

  @Override
  public void close() {}
}
