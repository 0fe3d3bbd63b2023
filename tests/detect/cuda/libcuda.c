/* A stand-in for NVIDIA's driver: as much of the CUDA driver interface as GStreamer's cudaupload and cudadownload need, on memory of the
 * processor. For tests on machines without a GPU, of caps, pitches, contexts and lifetimes. Everything is done at once, so of
 * streams, races and speed it shows nothing.
 *
 * "Device" memory is mapped twice: where its pointer leads nobody may read or write, so that whoever takes it for the processor's dies;
 * the copying functions here use the other mapping. What needs a context fails without one, as with the real driver. When the process
 * ends, the memory that nobody has freed is counted on stderr.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef int Result;
typedef uintptr_t DevicePointer;
typedef struct Context Context;

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_CONTEXT = 201, NOT_SUPPORTED = 801 };
enum { MEMORY_HOST = 1, MEMORY_DEVICE = 2 };
enum { PITCH = 512, MOST_BLOCKS = 4096, DEEPEST = 16 };

struct Context {
    int device;
};

/* A piece of device memory. */
typedef struct {
    DevicePointer start;
    char *bytes;
    size_t size;
} Block;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Block blocks[MOST_BLOCKS];
static int taken;
static _Thread_local Context *stack[DEEPEST];
static _Thread_local int depth;

/* cuMemcpy2D's argument, as the interface describes it. */
typedef struct {
    size_t source_x, source_y;
    int source_type;
    const void *source_host;
    DevicePointer source_device;
    void *source_array;
    size_t source_pitch;
    size_t target_x, target_y;
    int target_type;
    void *target_host;
    DevicePointer target_device;
    void *target_array;
    size_t target_pitch;
    size_t width, height;
} Copy2D;

static int has_context(void) { return depth > 0; }

/* Where the processor finds `size` bytes of device memory; NULL: they are not within one block. */
static char *bytes_of(DevicePointer pointer, size_t size) {
    char *found = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MOST_BLOCKS; i++) {
        Block *block = &blocks[i];
        if (block->bytes && pointer >= block->start && pointer - block->start + size <= block->size) {
            found = block->bytes + (pointer - block->start);
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

__attribute__((destructor)) static void count(void) {
    int left = 0;
    for (int i = 0; i < MOST_BLOCKS; i++) left += blocks[i].bytes != NULL;
    fprintf(stderr, "%d of %d pieces of device memory are left\n", left, taken);
}

Result cuInit(unsigned flags) { return flags ? INVALID_VALUE : SUCCESS; }
Result cuDriverGetVersion(int *version) { *version = 12000; return SUCCESS; }
Result cuGetErrorName(Result error, const char **name) { *name = error ? "STAND_IN_ERROR" : "SUCCESS"; return SUCCESS; }
Result cuGetErrorString(Result error, const char **text) {
    *text = error == INVALID_CONTEXT ? "no context is current" : error ? "the stand-in for CUDA has failed" : "no error";
    return SUCCESS;
}

Result cuDeviceGetCount(int *count) { *count = 1; return SUCCESS; }
Result cuDeviceGet(int *device, int number) { *device = number; return number == 0 ? SUCCESS : INVALID_VALUE; }
Result cuDeviceGetName(char *name, int length, int device) {
    (void)device;
    strncpy(name, "stand-in for a GPU", (size_t)length);
    name[length - 1] = 0;
    return SUCCESS;
}
/* The alignment of textures is asked for; nothing else is true of this device. */
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    *value = attribute == 14 ? PITCH : 0;
    return SUCCESS;
}
Result cuDeviceCanAccessPeer(int *can, int device, int peer) { (void)device; (void)peer; *can = 0; return SUCCESS; }

Result cuCtxPushCurrent_v2(Context *context) {
    if (!context || depth == DEEPEST) return INVALID_CONTEXT;
    stack[depth++] = context;
    return SUCCESS;
}
Result cuCtxPopCurrent_v2(Context **context) {
    if (!has_context()) return INVALID_CONTEXT;
    depth--;
    if (context) *context = stack[depth];
    return SUCCESS;
}
Result cuCtxCreate_v2(Context **context, unsigned flags, int device) {
    (void)flags;
    *context = malloc(sizeof **context);
    if (!*context) return OUT_OF_MEMORY;
    (*context)->device = device;
    return cuCtxPushCurrent_v2(*context);
}
Result cuCtxDestroy_v2(Context *context) { free(context); return SUCCESS; }
Result cuCtxEnablePeerAccess(Context *peer, unsigned flags) { (void)peer; (void)flags; return NOT_SUPPORTED; }
Result cuCtxDisablePeerAccess(Context *peer) { (void)peer; return NOT_SUPPORTED; }

Result cuMemAlloc_v2(DevicePointer *pointer, size_t size) {
    if (!has_context()) return INVALID_CONTEXT;
    if (!size) return INVALID_VALUE;
    int file = memfd_create("device", 0);
    if (file < 0 || ftruncate(file, (off_t)size)) return OUT_OF_MEMORY;
    char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    void *start = mmap(NULL, size, PROT_NONE, MAP_SHARED, file, 0);
    close(file);
    if (bytes == MAP_FAILED || start == MAP_FAILED) return OUT_OF_MEMORY;
    /* A device's memory is not blank. */
    memset(bytes, 0xA5, size);
    Result result = OUT_OF_MEMORY;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MOST_BLOCKS && result; i++) {
        if (blocks[i].bytes) continue;
        blocks[i] = (Block){(DevicePointer)start, bytes, size};
        *pointer = blocks[i].start;
        taken++;
        result = SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return result;
}
Result cuMemAllocPitch_v2(DevicePointer *pointer, size_t *pitch, size_t width, size_t height, unsigned element) {
    (void)element;
    *pitch = (width + PITCH - 1) / PITCH * PITCH;
    return cuMemAlloc_v2(pointer, *pitch * height);
}
Result cuMemFree_v2(DevicePointer pointer) {
    if (!has_context()) return INVALID_CONTEXT;
    Result result = INVALID_VALUE;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MOST_BLOCKS; i++) {
        Block *block = &blocks[i];
        if (!block->bytes || block->start != pointer) continue;
        munmap(block->bytes, block->size);
        munmap((void *)block->start, block->size);
        *block = (Block){0, NULL, 0};
        result = SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return result;
}
Result cuMemAllocHost_v2(void **pointer, size_t size) {
    if (!has_context()) return INVALID_CONTEXT;
    *pointer = malloc(size);
    return *pointer ? SUCCESS : OUT_OF_MEMORY;
}
Result cuMemFreeHost(void *pointer) { free(pointer); return SUCCESS; }

/* One side of a copy: where its first byte lies for the processor. */
static char *side(int type, void *host, DevicePointer device, size_t x, size_t y, size_t pitch, const Copy2D *copy) {
    size_t first = y * pitch + x;
    if (pitch < copy->width) return NULL;
    if (type == MEMORY_HOST) return host ? (char *)host + first : NULL;
    if (type == MEMORY_DEVICE) return bytes_of(device + first, (copy->height - 1) * pitch + copy->width);
    return NULL;
}
Result cuMemcpy2D_v2(const Copy2D *copy) {
    if (!has_context()) return INVALID_CONTEXT;
    if (!copy->width || !copy->height) return SUCCESS;
    const char *from = side(copy->source_type, (void *)copy->source_host, copy->source_device, copy->source_x, copy->source_y,
                            copy->source_pitch, copy);
    char *to = side(copy->target_type, copy->target_host, copy->target_device, copy->target_x, copy->target_y,
                    copy->target_pitch, copy);
    if (!from || !to) return INVALID_VALUE;
    for (size_t row = 0; row < copy->height; row++) {
        memcpy(to + row * copy->target_pitch, from + row * copy->source_pitch, copy->width);
    }
    return SUCCESS;
}
Result cuMemcpy2DAsync_v2(const Copy2D *copy, void *stream) { (void)stream; return cuMemcpy2D_v2(copy); }

Result cuStreamCreate(void **stream, unsigned flags) { (void)flags; *stream = malloc(1); return *stream ? SUCCESS : OUT_OF_MEMORY; }
Result cuStreamDestroy(void *stream) { free(stream); return SUCCESS; }
Result cuStreamSynchronize(void *stream) { (void)stream; return has_context() ? SUCCESS : INVALID_CONTEXT; }

/* GStreamer looks for them when it loads the library, and calls none of them for copies from and to the processor. */
#define ABSENT(name) Result name(void) { return NOT_SUPPORTED; }
ABSENT(cuGLGetDevices_v2)
ABSENT(cuGraphicsGLRegisterBuffer)
ABSENT(cuGraphicsGLRegisterImage)
ABSENT(cuGraphicsMapResources)
ABSENT(cuGraphicsResourceGetMappedPointer_v2)
ABSENT(cuGraphicsResourceSetMapFlags_v2)
ABSENT(cuGraphicsSubResourceGetMappedArray)
ABSENT(cuGraphicsUnmapResources)
ABSENT(cuGraphicsUnregisterResource)
ABSENT(cuLaunchKernel)
ABSENT(cuModuleGetFunction)
ABSENT(cuModuleLoadData)
ABSENT(cuModuleUnload)
ABSENT(cuTexObjectCreate)
ABSENT(cuTexObjectDestroy)
