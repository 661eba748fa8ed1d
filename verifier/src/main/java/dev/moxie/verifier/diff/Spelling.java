package dev.moxie.verifier.diff;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.family.Families;
import dev.moxie.converter.family.Family;
import dev.moxie.converter.family.HarmlessKeys;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.json.StrictJson;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Whether a setting that is written otherwise means the same. What a config.json means is what this
 * build makes of it: its families understand every key, or refuse the file.
 */
final class Spelling {
  private static final String GENERATION_CONFIG = "generation_config.json";
  private static final String DERIVED = "_from_model_config";

  /** Keys that say how a file came to be. */
  private static final Map<String, Set<String>> ORIGIN =
      Map.of(GENERATION_CONFIG, Set.of(DERIVED, "transformers_version"));

  private static final Set<String> DTYPE = Set.of("dtype", "torch_dtype");
  private static final String QUANTISATION = "quantization_config";
  private static final String END = "eos_token_id";
  private static final String NULL = "null";
  private static final Pattern WHOLE = Pattern.compile("-?\\d+");

  private final Family.@Nullable Description a;
  private final Family.@Nullable Description b;

  /**
   * Reads what both config.json say.
   *
   * @param ignoredConfigKeys keys that were declared to be without effect
   */
  Spelling(Side a, Side b, Set<String> ignoredConfigKeys) {
    this.a = description(a, ignoredConfigKeys);
    this.b = description(b, ignoredConfigKeys);
  }

  private static Family.@Nullable Description description(Side side, Set<String> ignored) {
    if (!side.companions().contains(Companions.CONFIG)) {
      return null;
    }
    try {
      Config config = Config.parse(Companions.CONFIG, side.companion(Companions.CONFIG), ignored);
      return Families.of(config).describe(config);
    } catch (InvalidInputException e) {
      // That it is not understood is said elsewhere; every key may then mean something.
      return null;
    }
  }

  /** Whether a file that only one side has repeats config.json, as transformers writes it. */
  static boolean isRestated(String file, byte[] bytes) {
    if (!file.equals(GENERATION_CONFIG)) {
      return false;
    }
    try {
      return StrictJson.parseObject(file, bytes).path(DERIVED).asBoolean(false);
    } catch (CorruptException e) {
      return false;
    }
  }

  /** Whether a member of a file that differs says the same on both sides. */
  boolean same(String file, Diff.Change change) {
    String key = change.what().split("[.\\[]", 2)[0];
    if (key.equals(END)) {
      return unlisted(change.a()).equals(unlisted(change.b()));
    }
    boolean sameNumber =
        change.a() != null && change.b() != null && same(change.a(), change.b(), NULL);
    if (!file.equals(Companions.CONFIG)) {
      return sameNumber
          || ORIGIN.getOrDefault(file, Set.of()).contains(key)
          || (file.equals(GENERATION_CONFIG) && same(change.a(), change.b(), NULL));
    }
    if (a == null || b == null) {
      // A side that is not understood alone may be so for the way in which this is written.
      return a == null && b == null && sameNumber;
    }
    String meant = HarmlessKeys.use().get(key);
    if (meant != null) {
      return same(change.a(), change.b(), meant);
    }
    if (DTYPE.contains(key)) {
      return a.dtype() == b.dtype();
    }
    if (key.equals(QUANTISATION)) {
      return a.encodings().equals(b.encodings());
    }
    // How many layers for prediction there are, the weight files say.
    return a.architecture().withPrediction(0).equals(b.architecture().withPrediction(0));
  }

  /** A token that ends a text is the same as a list of it alone. */
  private static String unlisted(@Nullable String tokens) {
    return value(tokens).replaceFirst("^\\[(\\d+)]$", "$1");
  }

  private static boolean same(@Nullable String a, @Nullable String b, String meant) {
    String ofA = value(a).equals(NULL) ? meant : value(a);
    String ofB = value(b).equals(NULL) ? meant : value(b);
    boolean whole = WHOLE.matcher(ofA).matches() && WHOLE.matcher(ofB).matches();
    return ofA.equals(ofB) || (!whole && number(ofA).equals(number(ofB)));
  }

  private static String value(@Nullable String value) {
    return value == null ? NULL : value;
  }

  /** 1 and 1.0 are the same number; two whole numbers may be too large for it. */
  private static Object number(String value) {
    try {
      return Double.valueOf(value);
    } catch (NumberFormatException e) {
      return value;
    }
  }
}
