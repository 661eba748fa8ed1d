package dev.moxie.runtime.ort;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;

/**
 * The functions that are used: their places in {@code struct OrtApi} (onnxruntime_c_api.h), to
 * which versions only add, and their parameters. Each gives a status, which is null where it
 * succeeded.
 */
enum Function {
  CREATE_SESSION_FROM_ARRAY(8, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS),
  CREATE_SESSION_OPTIONS(10, ADDRESS),
  CREATE_RUN_OPTIONS(39, ADDRESS),
  CREATE_TENSOR_WITH_DATA_AS_ORT_VALUE(
      49, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG, JAVA_INT, ADDRESS),
  CREATE_MEMORY_INFO(68, ADDRESS, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS),
  CREATE_ENV_WITH_GLOBAL_THREAD_POOLS(119, JAVA_INT, ADDRESS, ADDRESS, ADDRESS),
  DISABLE_PER_SESSION_THREADS(120, ADDRESS),
  CREATE_THREADING_OPTIONS(121, ADDRESS),
  ADD_SESSION_CONFIG_ENTRY(130, ADDRESS, ADDRESS, ADDRESS),
  RUN_WITH_BINDING(133, ADDRESS, ADDRESS, ADDRESS),
  CREATE_IO_BINDING(134, ADDRESS, ADDRESS),
  BIND_INPUT(136, ADDRESS, ADDRESS, ADDRESS),
  BIND_OUTPUT(137, ADDRESS, ADDRESS, ADDRESS),
  SET_GLOBAL_INTRA_OP_NUM_THREADS(147, ADDRESS, JAVA_INT),
  SET_GLOBAL_INTER_OP_NUM_THREADS(148, ADDRESS, JAVA_INT),
  ADD_RUN_CONFIG_ENTRY(165, ADDRESS, ADDRESS, ADDRESS),
  SESSION_OPTIONS_APPEND_EXECUTION_PROVIDER_CUDA_V2(204, ADDRESS, ADDRESS),
  CREATE_CUDA_PROVIDER_OPTIONS(205, ADDRESS),
  UPDATE_CUDA_PROVIDER_OPTIONS(206, ADDRESS, ADDRESS, ADDRESS, JAVA_LONG),
  UPDATE_CUDA_PROVIDER_OPTIONS_WITH_VALUE(263, ADDRESS, ADDRESS, ADDRESS);

  private final int index;

  @SuppressWarnings("ImmutableEnumChecker") // It is, and does not say so.
  private final FunctionDescriptor descriptor;

  Function(int index, MemoryLayout... parameters) {
    this.index = index;
    this.descriptor = FunctionDescriptor.of(ADDRESS, parameters);
  }

  int index() {
    return index;
  }

  FunctionDescriptor descriptor() {
    return descriptor;
  }
}
