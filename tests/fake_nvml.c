/* A libnvidia-ml.so.1 without a GPU: the driver's real interface (nvml.h), as the file that
 * FAKE_NVML names says. Lines are "key value"; a negative value is an error code, negated.
 *
 *   init 0            what nvmlInit returns          count 1         GPUs
 *   0.handle -15      of GPU 0: an error             0.mig 1         MIG is on
 *   0.percent 57      its use                        0.samples 57    the mean of its last samples
 *   0.processes -3    no figures of processes        0.hang 3        seconds until it answers
 *   0.process 4711 93 1073741824                     a pid, its use, the memory that it holds
 *
 * Each call is written to the file FAKE_NVML_LOG, where there is that variable. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { UNINITIALIZED = 1, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, NOT_LOADED = 9 };
enum { MOST = 64 };

typedef unsigned long long u64;
typedef struct { unsigned gpu, memory; } utilization;
typedef struct { u64 at; union { double d; unsigned ui; u64 ull; } value; } sample;
typedef struct { unsigned pid; u64 at; unsigned sm, mem, enc, dec; } process_sample;
typedef struct { unsigned pid; u64 memory; unsigned gpu_instance, compute_instance; } process_info;
typedef struct { unsigned pid, percent; u64 memory; } process;

static int initialized = 0;

static void note(const char *name) {
  const char *path = getenv("FAKE_NVML_LOG");
  FILE *log = path ? fopen(path, "a") : NULL;
  if (log) {
    fprintf(log, "%s\n", name);
    fclose(log);
  }
}

static u64 microseconds(void) {
  struct timeval now;
  gettimeofday(&now, NULL);
  return (u64)now.tv_sec * 1000000 + now.tv_usec;
}

static int get(const char *wanted, int otherwise) {
  char line[256], key[64];
  int value;
  const char *path = getenv("FAKE_NVML");
  FILE *file = path ? fopen(path, "r") : NULL;
  if (!file) return otherwise;
  while (fgets(line, sizeof line, file))
    if (sscanf(line, "%63s %d", key, &value) == 2 && strcmp(key, wanted) == 0) otherwise = value;
  fclose(file);
  return otherwise;
}

static int of(void *gpu, const char *what, int otherwise) {
  char key[64];
  snprintf(key, sizeof key, "%d.%s", (int)(size_t)gpu - 1, what);
  return get(key, otherwise);
}

static unsigned processes(void *gpu, process *found) {
  char line[256], key[64], wanted[64];
  unsigned count = 0;
  const char *path = getenv("FAKE_NVML");
  FILE *file = path ? fopen(path, "r") : NULL;
  snprintf(wanted, sizeof wanted, "%d.process", (int)(size_t)gpu - 1);
  while (file && count < MOST && fgets(line, sizeof line, file)) {
    process p;
    if (sscanf(line, "%63s %u %u %llu", key, &p.pid, &p.percent, &p.memory) == 4 &&
        strcmp(key, wanted) == 0)
      found[count++] = p;
  }
  if (file) fclose(file);
  return count;
}

int nvmlInitWithFlags(unsigned flags) {
  int error = -get("init", -NOT_LOADED);
  (void)flags;
  note("init");
  if (error <= 0) initialized = 1;
  return error > 0 ? error : 0;
}

int nvmlShutdown(void) {
  note("shutdown");
  if (!initialized) return UNINITIALIZED;
  initialized = 0;
  return 0;
}

const char *nvmlErrorString(int error) {
  static char text[32];
  snprintf(text, sizeof text, "NVML error %d", error);
  return text;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
  int value = get("count", 0);
  if (!initialized) return UNINITIALIZED;
  if (value < 0) return -value;
  *count = value;
  return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **gpu) {
  int value;
  if (!initialized) return UNINITIALIZED;
  *gpu = (void *)(size_t)(index + 1);
  note("handle");
  sleep(of(*gpu, "hang", 0));
  value = of(*gpu, "handle", 0);
  return value < 0 ? -value : 0;
}

int nvmlDeviceGetName(void *gpu, char *name, unsigned size) {
  (void)gpu;
  snprintf(name, size, "Paper T4");
  return 0;
}

int nvmlDeviceGetUtilizationRates(void *gpu, utilization *rates) {
  int value = of(gpu, "percent", 0);
  if (value < 0) return -value;
  rates->gpu = value;
  rates->memory = 0;
  return 0;
}

int nvmlDeviceGetSamples(void *gpu, unsigned type, u64 last, unsigned *value_type, unsigned *count,
                         sample *samples) {
  int value = of(gpu, "samples", of(gpu, "percent", 0));
  (void)type;
  if (value < 0) return -value;
  if (microseconds() <= last) return NOT_FOUND;
  *value_type = 1;
  *count = 1;
  if (samples) {
    samples[0].at = microseconds();
    samples[0].value.ui = value;
  }
  return 0;
}

int nvmlDeviceGetProcessUtilization(void *gpu, process_sample *samples, unsigned *count, u64 last) {
  process found[MOST];
  unsigned room = *count, used = 0, i, all = processes(gpu, found);
  int value = of(gpu, "processes", 0);
  (void)last;
  if (value < 0) return -value;
  for (i = 0; i < all; i++)
    if (found[i].percent) found[used++] = found[i];
  *count = used;
  if (used == 0) return NOT_FOUND;
  if (!samples || room < used) return INSUFFICIENT_SIZE;
  for (i = 0; i < used; i++) {
    memset(&samples[i], 0, sizeof samples[i]);
    samples[i].pid = found[i].pid;
    samples[i].at = microseconds();
    samples[i].sm = found[i].percent;
  }
  return 0;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *gpu, unsigned *count, process_info *infos) {
  process found[MOST];
  unsigned room = *count, i, all = processes(gpu, found);
  *count = all;
  if (all == 0) return 0;
  if (!infos || room < all) return INSUFFICIENT_SIZE;
  for (i = 0; i < all; i++) {
    memset(&infos[i], 0, sizeof infos[i]);
    infos[i].pid = found[i].pid;
    infos[i].memory = found[i].memory;
  }
  return 0;
}

int nvmlDeviceGetMigMode(void *gpu, unsigned *current, unsigned *pending) {
  int value = of(gpu, "mig", -NOT_SUPPORTED);
  if (value < 0) return -value;
  *current = *pending = value;
  return 0;
}
