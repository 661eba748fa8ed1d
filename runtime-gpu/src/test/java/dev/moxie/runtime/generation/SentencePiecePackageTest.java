package dev.moxie.runtime.generation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.tokenizer.SentencePieceFile;
import dev.moxie.runtime.Packages;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A package that has a tokenizer.model and no tokenizer.json. */
class SentencePiecePackageTest {
  private static final Path MODELS = Fixtures.root().resolve("sentencepiece");
  private static final String TEXT = "the fox and the dog";

  /** In this model words end with their space. */
  private static final String DECODED = TEXT + " ";

  @TempDir Path folder;
  private Path checkpoint;

  @BeforeEach
  void copy() throws IOException {
    checkpoint = Files.createDirectory(folder.resolve("c"));
    try (Stream<Path> files = Files.list(Fixtures.root().resolve("random/mixtral"))) {
      for (Path file : files.toList()) {
        Files.copy(file, checkpoint.resolve(file.getFileName()));
      }
    }
  }

  private MoxiePackage pack(String model, String config) throws IOException {
    Files.copy(MODELS.resolve(model), checkpoint.resolve(SentencePieceFile.NAME));
    Files.writeString(checkpoint.resolve("tokenizer_config.json"), config);
    return Packages.convert(checkpoint, folder.resolve("p"));
  }

  private static long[] alone(String model) {
    return new SentencePiece(SentencePieceFile.read(MODELS.resolve(model))).encode(TEXT);
  }

  private void assertBegins(String config, long... beginning) throws IOException {
    try (MoxiePackage pack = pack("unigram_plain.model", config);
        TextTokenizer tokenizer = TextTokenizer.of(pack)) {
      long[] alone = alone("unigram_plain.model");
      long[] all = LongStream.concat(LongStream.of(beginning), LongStream.of(alone)).toArray();
      assertArrayEquals(all, tokenizer.encode(TEXT));
      assertArrayEquals(alone, tokenizer.encodeInside(TEXT));
      assertArrayEquals(beginning, tokenizer.beginning());
      assertEquals(DECODED, tokenizer.decode(all));
    }
  }

  @Test
  void aTextOfLlamasClassBegins() throws IOException {
    assertBegins("{\"tokenizer_class\": \"LlamaTokenizer\"}", 1);
  }

  @Test
  void aTextOfAnotherClassDoesNot() throws IOException {
    assertBegins("{\"tokenizer_class\": \"T5Tokenizer\", \"bos_token\": \"<s>\"}");
  }

  @Test
  void whatIsSaidOfTheBeginningHolds() throws IOException {
    assertBegins("{\"tokenizer_class\": \"LlamaTokenizer\", \"add_bos_token\": false}");
  }

  @Test
  void theBeginningMayBeAnotherPiece() throws IOException {
    assertBegins("{\"add_bos_token\": true, \"bos_token\": {\"content\": \"</s>\"}}", 2);
  }

  @Test
  void tokensThatFollowAreToldAsTheyCome() throws IOException {
    try (MoxiePackage pack = pack("unigram_plain.model", "{}");
        TextTokenizer tokenizer = TextTokenizer.of(pack)) {
      var told = new StringBuilder();
      long[] ids = tokenizer.encode(TEXT);
      var stream = new TextStream(tokenizer, new long[] {ids[0]}, told::append);
      LongStream.of(ids).skip(1).forEach(stream::accept);
      stream.finish();
      assertEquals(DECODED, tokenizer.decode(new long[] {ids[0]}) + told);
    }
  }

  @Test
  void tokensThatTheModelLacksAreRefused() throws IOException {
    try (MoxiePackage pack = pack("bpe.model", "{}");
        TextTokenizer tokenizer = TextTokenizer.of(pack)) {
      assertThrows(CorruptException.class, () -> tokenizer.encode("\u72d0"));
    }
  }

  @Test
  void tokensBesideThePiecesAreRefused() throws IOException {
    String config = "{\"added_tokens_decoder\": {\"300\": {\"content\": \"<pad>\"}}}";
    try (MoxiePackage pack = pack("unigram_plain.model", config)) {
      assertThrows(UnsupportedException.class, () -> TextTokenizer.of(pack));
    }
  }
}
