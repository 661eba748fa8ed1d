package dev.moxie.runtime.generation;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.LibUtils;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.tokenizer.AddedTokens;
import dev.moxie.format.tokenizer.SentencePieceFile;
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
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** The tokenizer that came with the checkpoint. */
public final class TextTokenizer implements AutoCloseable {
  /** Some text, to see what is put around it. */
  private static final String PROBE = "a";

  private static final String TOKENIZER_CONFIG = "tokenizer_config.json";

  private static boolean loaded;

  private final Path file;
  private final int vocabSize;
  private final Form form;
  private final long beginToken;

  private TextTokenizer(Path file, int vocabSize, Form form, long beginToken) {
    this.file = file;
    this.vocabSize = vocabSize;
    this.form = form;
    this.beginToken = beginToken;
  }

  /** What a kind of file is read as. */
  private interface Form extends AutoCloseable {
    /**
     * Tokens of a text.
     *
     * @param whole whether what begins or ends a text is put around it
     */
    long[] encode(String text, boolean whole);

    /** Text of tokens, special ones left out. */
    String decode(long[] ids);

    /** The id of a special token, or -1. */
    long special(String text);

    @Override
    void close();
  }

  /** Whether a package has a file that is one. */
  public static boolean isThere(MoxiePackage pack) {
    return Stream.of(TokenizerFile.NAME, SentencePieceFile.NAME)
        .anyMatch(name -> pack.sourceFile(name).isPresent());
  }

  /**
   * Loads {@code source/tokenizer.json} or, without it, SentencePiece's {@code
   * source/tokenizer.model}.
   *
   * @throws UnsupportedException if the package has neither
   */
  public static TextTokenizer of(MoxiePackage pack) {
    Optional<Path> json = pack.sourceFile(TokenizerFile.NAME);
    Optional<Path> model = pack.sourceFile(SentencePieceFile.NAME);
    if (json.isPresent()) {
      return of(pack, json.get(), new HuggingFace(json.get(), open(json.get())), null);
    }
    if (model.isPresent()) {
      SentencePieceFile file = SentencePieceFile.read(model.get());
      AddedTokens.requireNone(file, pack::sourceFile);
      return of(pack, model.get(), new Pieces(new SentencePiece(file)), file.beginning());
    }
    throw new UnsupportedException(
        pack.folder().toString(),
        "the checkpoint's tokenizer.json or SentencePiece's tokenizer.model",
        "neither",
        "pass token ids instead of text");
  }

  private static TextTokenizer of(
      MoxiePackage pack, Path file, Form form, @Nullable String beginning) {
    try {
      return new TextTokenizer(
          file, pack.architecture().vocabSize(), form, beginToken(pack, form, beginning));
    } catch (RuntimeException e) {
      form.close();
      throw e;
    }
  }

  private record HuggingFace(Path file, HuggingFaceTokenizer tokenizer) implements Form {
    @Override
    public long[] encode(String text, boolean whole) {
      return library(file, () -> tokenizer.encode(text, whole, false).getIds());
    }

    @Override
    public String decode(long[] ids) {
      return library(file, () -> tokenizer.decode(ids, true));
    }

    @Override
    public long special(String text) {
      long[] ids = encode(text, false);
      return ids.length == 1 ? ids[0] : -1;
    }

    @Override
    public void close() {
      tokenizer.close();
    }
  }

  private record Pieces(SentencePiece model) implements Form {
    @Override
    public long[] encode(String text, boolean whole) {
      return model.encode(text);
    }

    @Override
    public String decode(long[] ids) {
      return model.decode(ids);
    }

    @Override
    public long special(String text) {
      return model.id(text);
    }

    @Override
    public void close() {}
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

  /**
   * The token that tokenizer_config.json asks to put in front, or -1.
   *
   * @param beginning that token where tokenizer_config.json names none; null if it has to
   */
  private static long beginToken(MoxiePackage pack, Form form, @Nullable String beginning) {
    Optional<Path> file = pack.sourceFile(TOKENIZER_CONFIG);
    if (file.isEmpty()) {
      return -1;
    }
    JsonNode config = StrictJson.readObject(file.get());
    JsonNode token = config.path("bos_token");
    String text = token.isObject() ? token.path("content").asString("") : token.asString("");
    if (text.isEmpty() && beginning != null) {
      text = beginning;
    }
    // The class of these models begins every text unless it is told not to.
    boolean begins =
        beginning != null && config.path("tokenizer_class").asString("").startsWith("Llama");
    return config.path("add_bos_token").asBoolean(begins) && !text.isEmpty()
        ? form.special(text)
        : -1;
  }

  /**
   * Tokens of a text, with the begin token if the checkpoint wants one.
   *
   * @throws CorruptException if the model has no such token
   */
  public long[] encode(String text) {
    List<Long> ids = new ArrayList<>();
    for (long id : form.encode(text, true)) {
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
    long[] ids = form.encode(piece, false);
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
    return form.decode(ids);
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
    form.close();
  }
}
