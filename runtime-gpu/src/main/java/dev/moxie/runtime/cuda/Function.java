package dev.moxie.runtime.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;

/**
 * The functions of cuda.h that are used, under the names that its macros give them, and their
 * parameters. Each gives a CUresult, which is 0 where it succeeded.
 */
enum Function {
  INIT("cuInit", JAVA_INT),
  DEVICE_GET_COUNT("cuDeviceGetCount", ADDRESS),
  DEVICE_GET("cuDeviceGet", ADDRESS, JAVA_INT),
  DEVICE_GET_NAME("cuDeviceGetName", ADDRESS, JAVA_INT, JAVA_INT),
  DEVICE_GET_ATTRIBUTE("cuDeviceGetAttribute", ADDRESS, JAVA_INT, JAVA_INT),
  DEVICE_TOTAL_MEM("cuDeviceTotalMem_v2", ADDRESS, JAVA_INT),
  DEVICE_PRIMARY_CTX_RETAIN("cuDevicePrimaryCtxRetain", ADDRESS, JAVA_INT),
  DEVICE_PRIMARY_CTX_RELEASE("cuDevicePrimaryCtxRelease_v2", JAVA_INT),
  CTX_SET_CURRENT("cuCtxSetCurrent", ADDRESS),
  MEM_GET_INFO("cuMemGetInfo_v2", ADDRESS, ADDRESS),
  MEM_ALLOC("cuMemAlloc_v2", ADDRESS, JAVA_LONG),
  MEM_FREE("cuMemFree_v2", ADDRESS),
  MEM_HOST_ALLOC("cuMemHostAlloc", ADDRESS, JAVA_LONG, JAVA_INT),
  MEM_FREE_HOST("cuMemFreeHost", ADDRESS),
  STREAM_CREATE("cuStreamCreate", ADDRESS, JAVA_INT),
  STREAM_DESTROY("cuStreamDestroy_v2", ADDRESS),
  STREAM_SYNCHRONIZE("cuStreamSynchronize", ADDRESS),
  MEMCPY_HTOD_ASYNC("cuMemcpyHtoDAsync_v2", ADDRESS, ADDRESS, JAVA_LONG, ADDRESS),
  MEMCPY_DTOH_ASYNC("cuMemcpyDtoHAsync_v2", ADDRESS, ADDRESS, JAVA_LONG, ADDRESS),
  MEMSET_D8_ASYNC("cuMemsetD8Async", ADDRESS, JAVA_BYTE, JAVA_LONG, ADDRESS),
  MODULE_LOAD_DATA_EX("cuModuleLoadDataEx", ADDRESS, ADDRESS, JAVA_INT, ADDRESS, ADDRESS),
  MODULE_UNLOAD("cuModuleUnload", ADDRESS),
  MODULE_GET_FUNCTION("cuModuleGetFunction", ADDRESS, ADDRESS, ADDRESS),
  FUNC_SET_ATTRIBUTE("cuFuncSetAttribute", ADDRESS, JAVA_INT, JAVA_INT),
  LAUNCH_KERNEL_EX("cuLaunchKernelEx", ADDRESS, ADDRESS, ADDRESS, ADDRESS),
  STREAM_BEGIN_CAPTURE("cuStreamBeginCapture_v2", ADDRESS, JAVA_INT),
  STREAM_END_CAPTURE("cuStreamEndCapture", ADDRESS, ADDRESS),
  GRAPH_INSTANTIATE("cuGraphInstantiateWithFlags", ADDRESS, ADDRESS, JAVA_LONG),
  GRAPH_LAUNCH("cuGraphLaunch", ADDRESS, ADDRESS),
  GRAPH_DESTROY("cuGraphDestroy", ADDRESS),
  GRAPH_EXEC_DESTROY("cuGraphExecDestroy", ADDRESS),
  GET_ERROR_NAME("cuGetErrorName", JAVA_INT, ADDRESS),
  GET_ERROR_STRING("cuGetErrorString", JAVA_INT, ADDRESS);

  private final String symbol;

  @SuppressWarnings("ImmutableEnumChecker") // It is, and does not say so.
  private final FunctionDescriptor descriptor;

  Function(String symbol, MemoryLayout... parameters) {
    this.symbol = symbol;
    this.descriptor = FunctionDescriptor.of(JAVA_INT, parameters);
  }

  String symbol() {
    return symbol;
  }

  FunctionDescriptor descriptor() {
    return descriptor;
  }
}
