// The kernels on the host as a library: a launch by name, as the driver would do it.
#include "decode.cu"

struct Entry {
  const char* name;
  size_t bytes;  // of its first parameter
  void (*run)(void**);
};
#define ONE(name, type) {#name, sizeof(type), [](void** p) { name(*(const type*)p[0]); }}
#define ENCODING(n)                                                                                                  \
  ONE(project_##n##_m1_slots, ProjectArgs), ONE(project_##n##_m2_slots, ProjectArgs), ONE(project_##n##_m1_t4, ProjectArgs), \
  ONE(project_##n##_m1_t4_slots, ProjectArgs), ONE(gate_up_##n##_t4_slots, ExpertsArgs), ONE(down_##n##_m1_t4_slots, ExpertsArgs), \
  ONE(gate_up_##n##_slots, ExpertsArgs), ONE(gate_up_##n##_t4, ExpertsArgs), ONE(down_##n##_m1_slots, ExpertsArgs),    \
  ONE(down_##n##_m2_slots, ExpertsArgs), ONE(down_##n##_m1_t4, ExpertsArgs), ONE(down_##n##_m1_t4_far, ExpertsArgs),   \
  ONE(absorb_##n, LatentArgs), ONE(latent_output_##n, LatentArgs)
static const Entry ENTRIES[] = {
  ENCODING(bf16), ENCODING(f16), ENCODING(fp8), ENCODING(int8), ENCODING(int4), ENCODING(mxfp4),
  ONE(attend_latent_512, LatentArgs), ONE(attend_64, AttendArgs), ONE(attend_128, AttendArgs), ONE(append_64, AttendArgs),
  ONE(append_128, AttendArgs), ONE(embed_any, AnyEmbedArgs), ONE(project_any, AnyProjectArgs), ONE(norm_any, AnyNormArgs),
  ONE(columns_any, AnyColumnsArgs), ONE(rotate_any, AnyRotateArgs), ONE(append_any, AnyAppendArgs),
  ONE(attend_any, AnyAttendArgs), ONE(latent_any, AnyLatentArgs), ONE(route_any, RouteArgs), ONE(gate_up_any, AnyExpertsArgs),
  ONE(down_any, AnyExpertsArgs),
  {"route_experts", sizeof(RouteArgs), [](void** p) { route_experts(*(const RouteArgs*)p[0], *(const int*)p[1]); }},
};

// 0: done; 1: no such kernel; 2: its first parameter has not `bytes` bytes.
extern "C" int moxie_launch(const char* name, int x, int y, int z, int threads, size_t shared, void** parameters, size_t bytes) {
  for (const Entry& e : ENTRIES)
    if (!strcmp(e.name, name)) {
      if (e.bytes != bytes) return 2;
      emulated::run(dim3(x, y, z), dim3(threads), shared, [&] { e.run(parameters); });
      return 0;
    }
  return 1;
}
