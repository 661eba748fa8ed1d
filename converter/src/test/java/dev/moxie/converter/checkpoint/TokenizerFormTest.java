package dev.moxie.converter.checkpoint;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnsupportedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A checkpoint whose text nothing could read is refused before it is converted, not after. */
class TokenizerFormTest {
  private static final Path MODELS = Fixtures.root().resolve("sentencepiece");

  private static final Path SOUND = Fixtures.tinyMixtral().resolve("tokenizer.json");

  @TempDir Path folder;

  @BeforeEach
  void copy() throws IOException {
    try (Stream<Path> files = Files.list(Fixtures.root().resolve("random/mixtral"))) {
      for (Path file : files.toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
  }

  private void require() {
    TokenizerForm.require(Checkpoint.open(folder));
  }

  private void assertRefused(String culprit) {
    UnsupportedException e = assertThrows(UnsupportedException.class, this::require);
    assertTrue(e.getMessage().contains(culprit), e.getMessage());
    assertTrue(e.getMessage().contains("--token-ids-only"), e.getMessage());
  }

  @Test
  void noTokenizerIsNoneThatIsNotRead() {
    assertDoesNotThrow(this::require);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "tiktoken.model",
        "qwen.tiktoken",
        "spiece.model",
        "sentencepiece.bpe.model",
        "vocab.json",
        "merges.txt",
        "vocab.txt"
      })
  void anotherFormAloneIsRefusedWithWhatToDo(String file) throws IOException {
    Files.writeString(folder.resolve(file), "IQ== 0\n");
    assertRefused(file + ": expected tokenizer.json");
    Files.copy(SOUND, folder.resolve("tokenizer.json"));
    assertDoesNotThrow(this::require);
  }

  @Test
  void aSoundOneThatIsNotReadIsRefusedToo() throws IOException {
    Files.writeString(
        folder.resolve("tokenizer.json"),
        Files.readString(SOUND).replaceFirst("\"dropout\": *null", "\"dropout\": 0.1"));
    assertRefused("dropout");
  }

  @Test
  void ranksOfTiktokenUnderTheNameOfSentencePieceAreToldApart() throws IOException {
    Files.writeString(folder.resolve("tokenizer.model"), "IQ== 0\nIg== 1\n");
    assertRefused("ranks of tiktoken");
  }

  @ParameterizedTest
  @ValueSource(strings = {"bpe", "bpe_cut", "bpe_plain", "unigram", "unigram_plain"})
  void modelsOfSentencePieceAreRead(String model) throws IOException {
    Files.copy(MODELS.resolve(model + ".model"), folder.resolve("tokenizer.model"));
    assertDoesNotThrow(this::require);
    Files.writeString(folder.resolve("added_tokens.json"), "{\"<pad>\": 4000}");
    assertRefused("added_tokens.json");
  }

  @Test
  void aDamagedModelIsNoOtherForm() throws IOException {
    byte[] model = Files.readAllBytes(MODELS.resolve("bpe.model"));
    Files.write(folder.resolve("tokenizer.model"), Arrays.copyOf(model, model.length - 1));
    assertThrows(CorruptException.class, this::require);
  }
}
