package dev.moxie.converter.checkpoint;

import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * An adapter as peft saves it: only what it changes in another model. Loading a model with one
 * beside it gives other numbers than the model's.
 */
public final class Adapter {
  /** What to do about one. */
  public static final String REMEDY =
      "merge it into its base model, as in moxie convert BASE PACKAGE --adapter FOLDER";

  static final Pattern FILES = Pattern.compile("adapter_(config\\.json|model[.-].*)");

  private static final Pattern TENSORS =
      Pattern.compile(
          "(.+\\.)?(lora_\\w+|base_layer|hada_w\\w+|lokr_w\\w+|ia3_l|oft_[rRsS]|vera_lambda_[bd]"
              + "|modules_to_save|original_module)(\\..+)?");

  private Adapter() {}

  /** Whether a tensor of such a name is of an adapter, or of what one was put around. */
  public static boolean isTensor(String name) {
    return TENSORS.matcher(name).matches();
  }

  /** The files of an adapter that lie beside a checkpoint's weights, or are among them; sorted. */
  public static List<String> files(Checkpoint checkpoint) {
    return Stream.of(
            checkpoint.headers().keySet().stream(),
            checkpoint.companions().stream(),
            checkpoint.left().stream().map(LeftBehind::name))
        .flatMap(names -> names)
        .filter(FILES.asMatchPredicate())
        .sorted()
        .toList();
  }
}
