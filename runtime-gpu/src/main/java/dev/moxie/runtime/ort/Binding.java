package dev.moxie.runtime.ort;

import dev.moxie.format.error.EnvironmentException;
import java.lang.foreign.Arena;

/**
 * What a session reads and writes when it runs. What is bound stays so until something else is
 * under the same name, and so long its tensor's memory must be there; the tensor itself may be
 * closed.
 */
public final class Binding extends Handle {
  private final Session session;

  Binding(Session session) {
    super(
        session.library(),
        Release.IO_BINDING,
        session.library().make("binding tensors", Function.CREATE_IO_BINDING, session.address()));
    this.session = session;
  }

  /**
   * Binds an input. Where the graph needs it in other memory than it lies in, it is copied there
   * now.
   */
  public void input(String name, Tensor tensor) {
    bind(Function.BIND_INPUT, name, tensor);
  }

  /** Binds an output, which may be the memory of an input. */
  public void output(String name, Tensor tensor) {
    bind(Function.BIND_OUTPUT, name, tensor);
  }

  private void bind(Function function, String name, Tensor tensor) {
    try (Arena arena = Arena.ofConfined()) {
      library()
          .call("binding " + name, function, address(), arena.allocateFrom(name), tensor.address());
    }
  }

  /**
   * Computes the outputs from the inputs.
   *
   * @throws EnvironmentException if that fails
   */
  public void run(RunOptions options) {
    library()
        .call(
            "running a graph",
            Function.RUN_WITH_BINDING,
            session.address(),
            options.address(),
            address());
  }
}
