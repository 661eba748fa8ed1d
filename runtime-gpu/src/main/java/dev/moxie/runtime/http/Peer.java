package dev.moxie.runtime.http;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;

/**
 * The client at the other end of a connection to which nothing is written yet. The JDK's server
 * notices that a client left only when it writes; Linux tells before, in its tables of connections
 * (proc_pid_net(5)). Without such tables a client counts as there.
 */
final class Peer {
  private static final List<Path> TABLES =
      Stream.of("/proc/self/net/tcp", "/proc/self/net/tcp6").map(Path::of).toList();

  /** The state TCP_ESTABLISHED; a client that has closed its side leaves another, or none. */
  private static final String ESTABLISHED = "01";

  private static final long INTERVAL = Duration.ofSeconds(1).toNanos();

  private final InetSocketAddress local;
  private final InetSocketAddress remote;
  private long asked = System.nanoTime();

  Peer(InetSocketAddress local, InetSocketAddress remote) {
    this.local = local;
    this.remote = remote;
  }

  /**
   * Looks once a second.
   *
   * @throws IOException if it has left
   */
  void require() throws IOException {
    long now = System.nanoTime();
    if (now - asked > INTERVAL) {
      asked = now;
      if (hasLeft()) {
        throw new IOException("the client has gone");
      }
    }
  }

  /** Looks now. */
  boolean hasLeft() throws IOException {
    for (Path table : TABLES) {
      if (!Files.isReadable(table)) {
        return false;
      }
      try (Stream<String> lines = Files.lines(table)) {
        if (lines.skip(1).anyMatch(this::isOpen)) {
          return false;
        }
      }
    }
    return true;
  }

  /** Whether a line, {@code sl local_address rem_address st …}, is of this connection, open. */
  private boolean isOpen(String line) {
    String[] fields = line.strip().split("\\s+", 5);
    return fields.length == 5
        && fields[3].equals(ESTABLISHED)
        && isAddress(fields[1], local)
        && isAddress(fields[2], remote);
  }

  /** Whether {@code 0100007F:1F90} is an address: words of four bytes in the machine's order. */
  private static boolean isAddress(String field, InetSocketAddress address) {
    int colon = field.indexOf(':');
    if (HexFormat.fromHexDigits(field, colon + 1, field.length()) != address.getPort()) {
      return false;
    }
    ByteBuffer words = ByteBuffer.wrap(HexFormat.of().parseHex(field, 0, colon));
    var bytes = ByteBuffer.allocate(words.capacity()).order(ByteOrder.nativeOrder());
    while (words.hasRemaining()) {
      bytes.putInt(words.getInt());
    }
    try {
      // An IPv4 address within an IPv6 one becomes what it is.
      return InetAddress.getByAddress(bytes.array()).equals(address.getAddress());
    } catch (UnknownHostException e) {
      return false;
    }
  }
}
