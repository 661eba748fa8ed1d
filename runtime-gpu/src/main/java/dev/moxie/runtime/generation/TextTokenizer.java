package dev.moxie.runtime.generation;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.LibUtils;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.tokenizer.TokenizerFile;
import dev.moxie.runtime.execution.NativeLibraries;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import tools.jackson.databind.JsonNode;

/** The tokenizer that came with the checkpoint. */
public final class TextTokenizer implements AutoCloseable {
  /** Some text, to see what is put around it. */
  private static final String PROBE = "a";

  private static boolean loaded;

  private final Path file;
  private final int vocabSize;
  private final HuggingFaceTokenizer tokenizer;
  private final long beginToken;

  private TextTokenizer(Path file, int vocabSize, HuggingFaceTokenizer tokenizer, long beginToken) {
    this.file = file;
    this.vocabSize = vocabSize;
    this.tokenizer = tokenizer;
    this.beginToken = beginToken;
  }

  /**
   * Loads {@code source/tokenizer.json}.
   *
   * @throws UnsupportedException if the package has none
   */
  public static TextTokenizer of(MoxiePackage pack) {
    Path file =
        pack.sourceFile(TokenizerFile.NAME)
            .orElseThrow(
                () ->
                    new UnsupportedException(
                        pack.folder().toString(),
                        "the checkpoint's tokenizer.json",
                        "none",
                        "pass token ids instead of text"));
    HuggingFaceTokenizer tokenizer = open(file);
    try {
      return new TextTokenizer(
          file, pack.architecture().vocabSize(), tokenizer, beginToken(pack, file, tokenizer));
    } catch (RuntimeException e) {
      tokenizer.close();
      throw e;
    }
  }

  /** Loads a file that keeps the rules without which the library ends the process. */
  static HuggingFaceTokenizer open(Path file) {
    TokenizerFile.check(file);
    // The library cuts at 512 tokens and fetches GPU builds of itself unless told otherwise.
    System.setProperty("ai.djl.offline", "true");
    requireLibrary();
    return library(
        file,
        () -> {
          try {
            return HuggingFaceTokenizer.builder()
                .optTokenizerPath(file)
                .optTruncation(false)
                .optPadding(false)
                .build();
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
  }

  /** Calls the library, which throws what it likes at a file that it cannot use. */
  static <T> T library(Path file, Supplier<T> call) {
    try {
      return call.get();
    } catch (UncheckedIOException e) {
      throw e;
    } catch (RuntimeException e) {
      throw new CorruptException(
          file.toString(),
          "a tokenizer of the Hugging Face form",
          String.valueOf(e.getMessage()).replace('\n', ' '),
          "fetch the checkpoint's tokenizer.json again and convert again");
    }
  }

  /** Without it every tokenizer.json would seem damaged. */
  private static synchronized void requireLibrary() {
    if (loaded) {
      return;
    }
    NativeLibraries.start(
        "the tokenizer library",
        folder -> {
          // Else it stays in the user's home folder, and so does what it looks for a GPU with.
          System.setProperty("ENGINE_CACHE_DIR", folder.toString());
          System.setProperty("jna.tmpdir", folder.toString());
          LibUtils.checkStatus();
          return LibUtils.class;
        });
    loaded = true;
  }

  /** The token that tokenizer_config.json asks to put in front, or -1. */
  private static long beginToken(
      MoxiePackage pack, Path tokenizerFile, HuggingFaceTokenizer tokenizer) {
    Optional<Path> file = pack.sourceFile("tokenizer_config.json");
    if (file.isEmpty()) {
      return -1;
    }
    JsonNode config = StrictJson.readObject(file.get());
    JsonNode token = config.path("bos_token");
    String text = token.isObject() ? token.path("content").asString("") : token.asString("");
    if (!config.path("add_bos_token").asBoolean(false) || text.isEmpty()) {
      return -1;
    }
    long[] ids = library(tokenizerFile, () -> tokenizer.encode(text, false, false).getIds());
    return ids.length == 1 ? ids[0] : -1;
  }

  /**
   * Tokens of a text, with the begin token if the checkpoint wants one.
   *
   * @throws CorruptException if the model has no such token
   */
  public long[] encode(String text) {
    Encoding encoding = library(file, () -> tokenizer.encode(text, true, false));
    List<Long> ids = new ArrayList<>();
    for (long id : encoding.getIds()) {
      ids.add(id);
    }
    if (beginToken >= 0 && (ids.isEmpty() || ids.getFirst() != beginToken)) {
      ids.addFirst(beginToken);
    }
    for (long id : ids) {
      requireToken(file, id, vocabSize);
    }
    return ids.stream().mapToLong(Long::longValue).toArray();
  }

  /**
   * Tokens of a piece out of the middle of a text, without any that only begin or end one.
   *
   * @throws CorruptException if the model has no such token
   */
  public long[] encodeInside(String piece) {
    long[] ids = library(file, () -> tokenizer.encode(piece, false, false).getIds());
    for (long id : ids) {
      requireToken(file, id, vocabSize);
    }
    return ids;
  }

  /** What {@link #encode} puts in front of a text: the begin token, or nothing. */
  public long[] beginning() {
    long[] text = encode(PROBE);
    long[] inside = encodeInside(PROBE);
    for (int start = 0; start + inside.length <= text.length; start++) {
      if (Arrays.equals(text, start, start + inside.length, inside, 0, inside.length)) {
        return Arrays.copyOf(text, start);
      }
    }
    return new long[0];
  }

  /** Text of tokens, special ones left out. */
  public String decode(long[] ids) {
    return library(file, () -> tokenizer.decode(ids, true));
  }

  private static void requireToken(Path file, long id, int vocabSize) {
    if (id < 0 || id >= vocabSize) {
      throw new CorruptException(
          file.toString(),
          "tokens of the model, from 0 to " + (vocabSize - 1),
          String.valueOf(id),
          "the file belongs to another model, fetch the checkpoint again and convert again");
    }
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
