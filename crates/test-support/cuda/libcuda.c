/* A stand-in for NVIDIA's driver: as much of the CUDA driver interface as GStreamer's cudaupload and cudadownload need, and the detector
 * for frames that stay on the GPU, on memory of the processor. For tests on machines without a GPU, of caps, pitches, contexts, lifetimes
 * and the order of copies. Of races and speed it shows nothing.
 *
 * "Device" memory is mapped twice: where its pointer leads nobody may read or write, so that whoever takes it for the processor's dies;
 * the copying functions here use the other mapping. Memory of the primary context is the exception: there, the processor takes the place
 * of the device that computes with it. What needs a context fails without one, as with the real driver. A copy that is asked for on a
 * stream is done when somebody waits for the stream, and not before. When the process ends, the memory that nobody has freed is counted on
 * stderr, and copies that nobody has waited for.
 *
 * Where the environment has IMG2POSE_STAND_IN_REFUSES, copies from device to device are refused.
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

enum {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, INVALID_CONTEXT = 201, INVALID_HANDLE = 400,
    ILLEGAL_ADDRESS = 700, NOT_SUPPORTED = 801
};
enum { MEMORY_HOST = 1, MEMORY_DEVICE = 2, MEMORY_UNIFIED = 4 };
/* GStreamer is told of the first device only. */
enum { PITCH = 512, MOST_BLOCKS = 4096, DEEPEST = 16, DEVICES = 2, MOST_COPIES = 1024 };

struct Context {
    int device;
};

/* A piece of device memory. */
typedef struct {
    DevicePointer start;
    char *bytes;
    size_t size;
    Context *context;
} Block;

typedef struct {
    Context *context;
} Stream;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Block blocks[MOST_BLOCKS];
static int taken;
static _Thread_local Context *stack[DEEPEST];
static _Thread_local int depth;
static Context primary[DEVICES] = {{0}, {1}};
/* How many of the next calls are to fail. */
static int refused_copies, refused_allocations;

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

/* Copies that were asked for and that nobody has waited for, in order. */
typedef struct {
    Copy2D copy;
    Stream *stream;
    Context *context;
} Pending;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static Pending queue[MOST_COPIES];
static int queued;

static int has_context(void) { return depth > 0; }
static Context *current(void) { return has_context() ? stack[depth - 1] : NULL; }
static int takes(Stream *stream) { return !stream || stream->context == current(); }

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
    if (queued) fprintf(stderr, "%d copies were not waited for\n", queued);
}

Result cuInit(unsigned flags) { return flags ? INVALID_VALUE : SUCCESS; }
Result cuDriverGetVersion(int *version) { *version = 12000; return SUCCESS; }
Result cuGetErrorName(Result error, const char **name) { *name = error ? "STAND_IN_ERROR" : "SUCCESS"; return SUCCESS; }
Result cuGetErrorString(Result error, const char **text) {
    *text = error == INVALID_CONTEXT ? "no context is current" : error ? "the stand-in for CUDA has failed" : "no error";
    return SUCCESS;
}

Result cuDeviceGetCount(int *count) { *count = 1; return SUCCESS; }
Result cuDeviceGet(int *device, int number) {
    *device = number;
    return number >= 0 && number < DEVICES ? SUCCESS : INVALID_DEVICE;
}
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

Result cuDevicePrimaryCtxRetain(Context **context, int device) {
    if (device < 0 || device >= DEVICES) return INVALID_DEVICE;
    *context = &primary[device];
    return SUCCESS;
}
/* The context that memory belongs to, and the number of its device. */
Result cuPointerGetAttribute(void *data, int attribute, DevicePointer pointer) {
    Result result = INVALID_VALUE;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MOST_BLOCKS; i++) {
        Block *block = &blocks[i];
        if (!block->bytes || pointer < block->start || pointer - block->start >= block->size) continue;
        if (attribute == 1) *(Context **)data = block->context;
        if (attribute == 9) *(int *)data = block->context->device;
        result = attribute == 1 || attribute == 9 ? SUCCESS : NOT_SUPPORTED;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static int is_primary(const Context *context) { return context >= primary && context < primary + DEVICES; }

Result cuMemAlloc_v2(DevicePointer *pointer, size_t size) {
    if (!has_context()) return INVALID_CONTEXT;
    if (!size) return INVALID_VALUE;
    if (refused_allocations > 0) {
        refused_allocations--;
        return OUT_OF_MEMORY;
    }
    int file = memfd_create("device", 0);
    if (file < 0 || ftruncate(file, (off_t)size)) return OUT_OF_MEMORY;
    char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    void *start = mmap(NULL, size, is_primary(current()) ? PROT_READ | PROT_WRITE : PROT_NONE, MAP_SHARED, file, 0);
    close(file);
    if (bytes == MAP_FAILED || start == MAP_FAILED) return OUT_OF_MEMORY;
    /* A device's memory is not blank. */
    memset(bytes, 0xA5, size);
    Result result = OUT_OF_MEMORY;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MOST_BLOCKS && result; i++) {
        if (blocks[i].bytes) continue;
        blocks[i] = (Block){(DevicePointer)start, bytes, size, current()};
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
static Result finish(Stream *stream, int all);

Result cuMemFree_v2(DevicePointer pointer) {
    if (!has_context()) return INVALID_CONTEXT;
    /* The real one waits for the device, too. */
    finish(NULL, 1);
    Result result = INVALID_VALUE;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MOST_BLOCKS; i++) {
        Block *block = &blocks[i];
        if (!block->bytes || block->start != pointer) continue;
        munmap(block->bytes, block->size);
        munmap((void *)block->start, block->size);
        *block = (Block){0, NULL, 0, NULL};
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
    if (type == MEMORY_DEVICE || type == MEMORY_UNIFIED) return bytes_of(device + first, (copy->height - 1) * pitch + copy->width);
    return NULL;
}
static char *source_of(const Copy2D *copy) {
    return side(copy->source_type, (void *)copy->source_host, copy->source_device, copy->source_x, copy->source_y, copy->source_pitch,
                copy);
}
static char *target_of(const Copy2D *copy) {
    return side(copy->target_type, copy->target_host, copy->target_device, copy->target_x, copy->target_y, copy->target_pitch, copy);
}
static Result do_copy(const Copy2D *copy) {
    if (!copy->width || !copy->height) return SUCCESS;
    const char *from = source_of(copy);
    char *to = target_of(copy);
    if (!from || !to) return INVALID_VALUE;
    for (size_t row = 0; row < copy->height; row++) {
        memcpy(to + row * copy->target_pitch, from + row * copy->source_pitch, copy->width);
    }
    return SUCCESS;
}

/* Does what is queued on a stream, in order, and before it what was queued on the default stream of its context. `all`: whatever is
 * queued. The default stream of the current context (NULL) waits for all others of it. */
static Result finish(Stream *stream, int all) {
    Result result = SUCCESS;
    Context *here = current();
    int kept = 0, barrier = 0;
    pthread_mutex_lock(&queue_lock);
    for (int i = 0; i < queued; i++) {
        if (queue[i].context == here && !queue[i].stream) barrier = i + 1;
    }
    for (int i = 0; i < queued; i++) {
        int is_due = all || (queue[i].context == here && (!stream || queue[i].stream == stream || i < barrier));
        if (!is_due) {
            queue[kept++] = queue[i];
        } else if (do_copy(&queue[i].copy)) {
            fprintf(stderr, "the stand-in for CUDA: a copy meets memory that is not there any more\n");
            result = ILLEGAL_ADDRESS;
        }
    }
    queued = kept;
    pthread_mutex_unlock(&queue_lock);
    return result;
}

static int refuses(const Copy2D *copy) {
    int is_inside = copy->source_type != MEMORY_HOST && copy->target_type != MEMORY_HOST;
    if (is_inside && getenv("IMG2POSE_STAND_IN_REFUSES")) return 1;
    if (refused_copies <= 0) return 0;
    refused_copies--;
    return 1;
}

Result cuMemcpy2D_v2(const Copy2D *copy) {
    if (!has_context()) return INVALID_CONTEXT;
    if (refuses(copy)) return NOT_SUPPORTED;
    Result result = finish(NULL, 0);
    return result ? result : do_copy(copy);
}
Result cuMemcpy2DAsync_v2(const Copy2D *copy, Stream *stream) {
    if (!has_context()) return INVALID_CONTEXT;
    if (!takes(stream)) return INVALID_HANDLE;
    if (refuses(copy)) return NOT_SUPPORTED;
    if (!copy->width || !copy->height) return SUCCESS;
    /* They must be there already. */
    if (!source_of(copy) || !target_of(copy)) return INVALID_VALUE;
    Result result = OUT_OF_MEMORY;
    pthread_mutex_lock(&queue_lock);
    if (queued < MOST_COPIES) {
        queue[queued++] = (Pending){*copy, stream, current()};
        result = SUCCESS;
    }
    pthread_mutex_unlock(&queue_lock);
    return result;
}

Result cuStreamCreate(Stream **stream, unsigned flags) {
    (void)flags;
    if (!has_context()) return INVALID_CONTEXT;
    *stream = malloc(sizeof **stream);
    if (!*stream) return OUT_OF_MEMORY;
    (*stream)->context = current();
    return SUCCESS;
}
Result cuStreamDestroy(Stream *stream) {
    finish(stream, 1);
    free(stream);
    return SUCCESS;
}
Result cuStreamSynchronize(Stream *stream) {
    if (!has_context()) return INVALID_CONTEXT;
    return takes(stream) ? finish(stream, 0) : INVALID_HANDLE;
}

/* For tests: how deep the contexts of this thread are, how many copies nobody has waited for, and how many of the next calls fail. */
int stand_in_depth(void) { return depth; }
int stand_in_pending(void) { return queued; }
void stand_in_refuse_copies(int count) { refused_copies = count; }
void stand_in_refuse_allocations(int count) { refused_allocations = count; }

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
