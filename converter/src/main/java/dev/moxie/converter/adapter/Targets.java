package dev.moxie.converter.adapter;

import dev.moxie.converter.checkpoint.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Which modules have an adapter, and which parameters that are no module's weight.
 *
 * @param modules by their names in the model
 * @param all whether every linear map is one
 * @param parameters what the names of parameters are, or end in after a dot
 */
record Targets(Predicate<String> modules, boolean all, List<String> parameters) {
  private static final String ALL = "all-linear";

  /** A module in a list, and its place in it. */
  private static final Pattern NUMBERED = Pattern.compile("\\.([^.]*)\\.(\\d{1,8})\\.");

  static Targets of(Config config) {
    Predicate<String> excluded = names(config, "exclude_modules");
    Predicate<String> targeted = names(config, "target_modules");
    boolean all =
        config.isText("target_modules") && config.text("target_modules").equalsIgnoreCase(ALL);
    List<String> exact =
        config.isOff("target_modules") || config.isText("target_modules")
            ? List.of()
            : config.texts("target_modules");
    Predicate<String> layers = config.isText("target_modules") ? name -> true : layers(config);
    List<String> parameters =
        config.isOff("target_parameters") ? List.of() : config.texts("target_parameters");
    return new Targets(
        name ->
            !excluded.test(name)
                && (all || exact.contains(name) || (targeted.test(name) && layers.test(name))),
        all,
        List.copyOf(parameters));
  }

  boolean hasParameter(String name) {
    return endsInOneOf(name, parameters);
  }

  private static boolean endsInOneOf(String name, List<String> ends) {
    return ends.stream().anyMatch(end -> name.equals(end) || name.endsWith("." + end));
  }

  /** A pattern that all of a name must be like, or a list of names that it may end in. */
  private static Predicate<String> names(Config config, String key) {
    if (config.isOff(key)) {
      return name -> false;
    }
    if (config.isText(key)) {
      return Names.like(config, key, config.text(key))::matches;
    }
    List<String> ends = config.texts(key);
    return name -> endsInOneOf(name, ends);
  }

  private static Predicate<String> layers(Config config) {
    if (config.isOff("layers_to_transform")) {
      config.has("layers_pattern");
      return name -> true;
    }
    List<Integer> layers =
        config.isNumber("layers_to_transform")
            ? List.of(config.whole("layers_to_transform", 0, Integer.MAX_VALUE))
            : config.numbers("layers_to_transform");
    List<Names> lists = new ArrayList<>();
    if (config.isText("layers_pattern")) {
      lists.add(Names.like(config, "layers_pattern", config.text("layers_pattern")));
    } else if (!config.isOff("layers_pattern")) {
      config
          .texts("layers_pattern")
          .forEach(text -> lists.add(Names.like(config, "layers_pattern", text)));
    }
    return name -> {
      Matcher numbered = NUMBERED.matcher("." + name);
      while (numbered.find()) {
        String list = numbered.group(1);
        if (lists.isEmpty() || lists.stream().anyMatch(one -> one.matches(list))) {
          return layers.contains(Integer.parseInt(numbered.group(2)));
        }
        numbered.region(numbered.end(1), name.length() + 1);
      }
      return false;
    };
  }
}
