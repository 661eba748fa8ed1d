package dev.moxie.runtime.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Whether a client is still there, of one that sends nothing and is sent nothing. */
class PeerTest {
  @ParameterizedTest
  @ValueSource(strings = {"127.0.0.1", "::1"})
  void aClientIsThereUntilItLeaves(String host) throws Exception {
    InetAddress address = InetAddress.getByName(host);
    Assumptions.assumeTrue(
        host.contains(".") || Files.exists(Path.of("/proc/self/net/if_inet6")), "without IPv6");
    try (ServerSocketChannel server = ServerSocketChannel.open()) {
      server.bind(new InetSocketAddress(address, 0));
      var client = new Socket(address, server.socket().getLocalPort());
      try (SocketChannel accepted = server.accept()) {
        var peer =
            new Peer(
                (InetSocketAddress) accepted.getLocalAddress(),
                (InetSocketAddress) accepted.getRemoteAddress());
        assertFalse(peer.hasLeft());
        client.close();
        boolean told = Files.isReadable(Path.of("/proc/self/net/tcp"));
        assertEquals(told, peer.hasLeft());
      }
    }
  }
}
