package dev.moxie.cli;

import dev.moxie.format.signature.ModelSignature;
import dev.moxie.format.text.Line;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie sign}. */
@Command(
    name = "sign",
    description = {
      "Signs every file of a package, or of a checkpoint, with a key of yours, in the form of"
          + " OpenSSF Model Signing 1.0: verify --signature and other tools of that form tell who"
          + " signed it, and whether a file was changed, added or removed since.",
      "Files of git itself are left out, and the signature says so."
    },
    footer = {
      "",
      "Keys:    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem",
      "         openssl pkey -in key.pem -pubout -out key-public.pem",
      "Example: moxie sign mixtral.moxie --key key.pem --public-key key-public.pem \\",
      "           --signature mixtral.sig"
    })
final class SignCommand implements Callable<Integer> {
  @Parameters(paramLabel = "FOLDER", description = "A package, or a checkpoint.")
  private Path folder = Path.of("");

  @Option(
      names = "--key",
      paramLabel = "PEM",
      required = true,
      description = "The private key, PKCS #8 without a password, of P-256, P-384 or P-521.")
  private Path key = Path.of("");

  @Option(
      names = "--public-key",
      paramLabel = "PEM",
      required = true,
      description = "Its public half, which the signature names.")
  private Path publicKey = Path.of("");

  @Option(
      names = "--signature",
      paramLabel = "FILE",
      required = true,
      description = "The file to make, outside the folder; an earlier one is replaced.")
  private Path signature = Path.of("");

  @Override
  public Integer call() {
    int files = ModelSignature.sign(folder, key, publicKey, signature);
    System.out.println(Line.of("%s: %d files of %s".formatted(signature, files, folder)));
    return 0;
  }
}
