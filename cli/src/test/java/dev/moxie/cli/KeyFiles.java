package dev.moxie.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.spec.ECGenParameterSpec;
import java.util.Base64;

/** A new key of P-256, as openssl writes it. */
record KeyFiles(String key, String publicKey) {
  static KeyFiles in(Path folder) throws IOException, GeneralSecurityException {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
    generator.initialize(new ECGenParameterSpec("secp256r1"));
    KeyPair pair = generator.generateKeyPair();
    return new KeyFiles(
        pem(folder.resolve("key.pem"), "PRIVATE KEY", pair.getPrivate().getEncoded()),
        pem(folder.resolve("public.pem"), "PUBLIC KEY", pair.getPublic().getEncoded()));
  }

  private static String pem(Path file, String kind, byte[] der) throws IOException {
    String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der);
    return Files.writeString(
            file, "-----BEGIN %1$s-----\n%2$s\n-----END %1$s-----\n".formatted(kind, body))
        .toString();
  }
}
