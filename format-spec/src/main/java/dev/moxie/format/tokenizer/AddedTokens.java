package dev.moxie.format.tokenizer;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.json.StrictJson;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Function;
import tools.jackson.databind.JsonNode;

/**
 * Tokens that files beside a {@code tokenizer.model} add to its pieces. A {@code tokenizer.json}
 * says how such are cut out of a text; nothing does without it.
 */
public final class AddedTokens {
  private AddedTokens() {}

  /**
   * Refuses tokens that are no pieces of the model.
   *
   * @param pieces the model
   * @param files those beside it, by their names
   * @throws UnsupportedException if there is one
   */
  public static void requireNone(SentencePieceFile pieces, Function<String, Optional<Path>> files) {
    files
        .apply("added_tokens.json")
        .ifPresent(
            file ->
                StrictJson.readObject(file)
                    .forEachEntry((text, id) -> require(pieces, file, text, id.asString())));
    files
        .apply("tokenizer_config.json")
        .ifPresent(
            file -> {
              JsonNode added = StrictJson.readObject(file).path("added_tokens_decoder");
              added.forEachEntry(
                  (id, token) -> require(pieces, file, token.path("content").asString(""), id));
            });
  }

  private static void require(SentencePieceFile pieces, Path file, String text, String id) {
    boolean piece =
        id.matches("\\d{1,9}")
            && Integer.parseInt(id) < pieces.pieces().size()
            && pieces.pieces().get(Integer.parseInt(id)).text().equals(text);
    if (!piece) {
      throw new UnsupportedException(
          file.toString(),
          "tokens that are pieces of " + SentencePieceFile.NAME,
          "\"" + text + "\" with id " + id,
          SentencePieceFile.REMEDY);
    }
  }
}
