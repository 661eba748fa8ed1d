package dev.moxie.runtime.template;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.ZonedDateTime;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.node.ObjectNode;

/** Where a package has its chat template. */
class ChatPromptTest {
  private static final String SETTINGS =
      "{\"bos_token\": {\"content\": \"<s>\"}, \"eos_token\": \"</s>\"%s}";

  @TempDir Path folder;

  private Optional<ChatPrompt> of(String... files) throws IOException {
    Path checkpoint = Files.createDirectories(folder.resolve("c"));
    try (Stream<Path> all = Files.list(Fixtures.randomMixtrals().getFirst())) {
      for (Path file : all.toList()) {
        Files.copy(file, checkpoint.resolve(file.getFileName()));
      }
    }
    for (int i = 0; i < files.length; i += 2) {
      Files.writeString(checkpoint.resolve(files[i]), files[i + 1]);
    }
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"))) {
      return ChatPrompt.of(pack);
    }
  }

  private static String rendered(Optional<ChatPrompt> prompt) {
    ObjectNode given = StrictJson.mapper(false).createObjectNode();
    given.putArray("messages").addObject().put("role", "user").put("content", "hi");
    return prompt.orElseThrow().render(given, ZonedDateTime.now());
  }

  @Test
  void aFileOfItsOwnGoesBeforeTheSettings() throws IOException {
    String settings = SETTINGS.formatted(", \"chat_template\": \"other\"");
    assertEquals(
        "<s>hi</s>",
        rendered(
            of(
                "chat_template.jinja",
                "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}",
                "tokenizer_config.json",
                settings)));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "\"a{{ eos_token }}\"; a</s>",
        "[{\"name\": \"tools\", \"template\": \"t\"}, {\"name\": \"default\", \"template\":"
            + " \"d\"}]; d"
      })
  void elseTheSettingsHaveIt(String value, String expected) throws IOException {
    String settings = SETTINGS.formatted(", \"chat_template\": " + value);
    assertEquals(expected, rendered(of("tokenizer_config.json", settings)));
  }

  @Test
  void elseAnotherFileOrNone() throws IOException {
    assertTrue(of("tokenizer_config.json", SETTINGS.formatted("")).isEmpty());
  }

  @Test
  void oneThatIsNotSupportedIsNamedWithItsPlace() {
    InvalidInputException refusal =
        assertThrows(
            InvalidInputException.class, () -> of("chat_template.jinja", "a\n{% include 'x' %}"));
    String message = String.valueOf(refusal.getMessage());
    assertTrue(message.contains("chat_template.jinja, line 2"), message);
    assertTrue(message.contains("include"), message);
  }
}
