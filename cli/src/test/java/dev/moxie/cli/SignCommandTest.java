package dev.moxie.cli;

import static dev.moxie.cli.CommandLineTest.moxie;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whoever has a package and a key knows whether the package is what the key's owner signed. */
class SignCommandTest {
  private static final String CHECKPOINT = Fixtures.randomMixtrals().getFirst().toString();

  @TempDir Path folder;
  private String pack;
  private String signature;
  private KeyFiles keys;

  @BeforeEach
  void convert() throws IOException, GeneralSecurityException {
    pack = folder.resolve("p").toString();
    signature = folder.resolve("p.sig").toString();
    keys = KeyFiles.in(folder);
    assertEquals(0, moxie("convert", CHECKPOINT, pack).status());
    assertEquals(0, sign(pack).status());
  }

  private CommandLineTest.Outcome sign(String signed) {
    return moxie(
        "sign",
        signed,
        "--key",
        keys.key(),
        "--public-key",
        keys.publicKey(),
        "--signature",
        signature);
  }

  private CommandLineTest.Outcome verify(String signed, String... more) {
    String[] words = {"verify", signed, "--signature", signature, "--public-key", keys.publicKey()};
    String[] all = Arrays.copyOf(words, words.length + more.length);
    System.arraycopy(more, 0, all, words.length, more.length);
    return moxie(all);
  }

  @Test
  void aSignedPackageIsVerifiedAsAnyOther() {
    CommandLineTest.Outcome found = verify(pack, "--source", CHECKPOINT);
    assertEquals(0, found.status(), found::err);
    assertTrue(found.err().contains("signature    pass"), found::err);
    assertTrue(found.out().contains("equivalence  pass"), found::out);
  }

  @Test
  void aFileMoreIsADifferenceAndNothingElseIsSaid() throws IOException {
    Path more = Files.writeString(Path.of(pack).resolve("more.txt"), "");
    CommandLineTest.Outcome found = verify(pack, "--json");
    assertEquals(1, found.status());
    assertTrue(found.err().contains("moxie: " + more + ": expected no file"), found::err);
    assertTrue(found.out().startsWith("{"), found::out);
  }

  @Test
  void aCheckpointIsSignedAndVerifiedToo() {
    assertEquals(0, sign(CHECKPOINT).status());
    CommandLineTest.Outcome found = verify(CHECKPOINT);
    assertEquals(0, found.status(), found::err);
    assertEquals("", found.out());
    assertEquals(1, verify(pack).status());
  }

  @Test
  void aSignatureNeedsAKeyAndAKeyASignature() {
    assertEquals(2, moxie("verify", pack, "--signature", signature).status());
    assertEquals(2, moxie("verify", pack, "--public-key", keys.publicKey()).status());
  }

  @Test
  void whatIsNoSignatureIsBadInput() throws IOException {
    Files.writeString(Path.of(signature), "{}");
    CommandLineTest.Outcome found = verify(pack);
    assertEquals(3, found.status());
    assertTrue(found.err().contains("p.sig, mediaType: expected"), found::err);
  }
}
