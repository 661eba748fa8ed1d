package dev.moxie.format.pack;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.json.StrictJson;
import java.util.List;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * The tokens that end a text: {@code eos_token_id} of generation_config.json, else of config.json,
 * a number or a list of numbers. One outside the vocabulary can never be chosen, so that it ends
 * nothing.
 *
 * @param ids that a model of this vocabulary can choose
 * @param outside those that it cannot
 * @param statedIn the file that states them, or null if none does
 */
public record EndTokens(SortedSet<Long> ids, SortedSet<Long> outside, @Nullable String statedIn) {
  private static final List<String> FILES = List.of("generation_config.json", "config.json");

  /**
   * Reads them from the files of a checkpoint.
   *
   * @param files the bytes of a file by its name, if there is one
   * @param where the files lie, for messages
   * @throws CorruptException if a file is no JSON object, or states what is no number of a token
   */
  public static EndTokens of(
      Function<String, Optional<byte[]>> files, Function<String, Object> where, int vocabSize) {
    @Nullable EndTokens first = null;
    for (String name : FILES) {
      Optional<byte[]> bytes = files.apply(name);
      if (bytes.isPresent()) {
        String file = where.apply(name).toString();
        JsonNode json = StrictJson.parseObject(file, bytes.get());
        // A model with more parts than text states it with those of text.
        JsonNode stated = json.path("eos_token_id");
        stated = stated.isMissingNode() ? json.path("text_config").path("eos_token_id") : stated;
        // Both are read before one is taken: neither may be nonsense.
        EndTokens tokens = read(name, file, stated, vocabSize);
        if (first == null && tokens.statedIn != null) {
          first = tokens;
        }
      }
    }
    return first != null ? first : new EndTokens(new TreeSet<>(), new TreeSet<>(), null);
  }

  /**
   * Reads them from what a package took over.
   *
   * @throws CorruptException as above, or if such a file is not the one that was taken over
   */
  public static EndTokens of(MoxiePackage pack) {
    return of(
        pack::sourceBytes,
        name -> pack.folder().resolve(PackagePaths.SOURCE + name),
        pack.architecture().vocabSize());
  }

  private static EndTokens read(String name, String file, JsonNode stated, int vocabSize) {
    var ids = new TreeSet<Long>();
    var outside = new TreeSet<Long>();
    boolean states = !stated.isMissingNode() && !stated.isNull();
    if (states) {
      for (JsonNode item : stated.isArray() ? stated.values() : List.of(stated)) {
        if (!item.isIntegralNumber() || !item.canConvertToLong()) {
          throw new CorruptException(
              file + ", key \"eos_token_id\"",
              "the number of a token, or a list of such numbers",
              item.toString(),
              "correct the file, then convert the checkpoint (again)");
        }
        long id = item.longValue();
        (id >= 0 && id < vocabSize ? ids : outside).add(id);
      }
    }
    return new EndTokens(ids, outside, states ? name : null);
  }

  /** What is to be said about tokens that can never end a text, if there are any. */
  public Optional<String> warning() {
    return outside.isEmpty()
        ? Optional.empty()
        : Optional.of(
            "eos_token_id of %s: %s outside the vocabulary, which can never occur, ignored"
                .formatted(
                    statedIn,
                    outside.stream().limit(8).toList() + (outside.size() > 8 ? " and more," : "")));
  }
}
