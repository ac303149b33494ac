/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The DMA of a vfio-user server. A client says which memory its device may use: VFIO_USER_DMA_MAP, with a
 * file descriptor where the server may map the memory itself. The device copies from one DMA address to another:
 * a list of entries says where the bytes are; those without memory are asked of the client by messages.
 * What the device writes is logged, for the client migrates while it runs.
 *
 * There is no socket here: the client is the lower half of this file, and receive() is what a server does with a
 * message. A thread that serves messages is the writer of the container. Where the device runs on others,
 * options.tree.rcu is its RCU; one thread needs none.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tidemark/vfio-user.h>

enum { PAGE = 4096, ENTRIES = 8, LOG_WORDS = 1 };

/* ------------------------------------------------------------------------------------ server -- */

static struct tide_container *container;
static unsigned mapped_files; /* by the server */

static void client_dma_read(uint64_t address, void *bytes, uint64_t size);
static void client_dma_write(uint64_t address, const void *bytes, uint64_t size);

/* A server calls mmap, with the descriptor of the message, its offset and its size. */
static void *
map_file(void *file, uint64_t offset, uint64_t size)
{
    (void)size;
    mapped_files++;
    return (char *)file + offset;
}

static void
unmap_file(void *memory, uint64_t size)
{
    (void)memory;
    (void)size;
    mapped_files--;
}

/* After the grace period: what was found before may be in use until then. */
static void
on_released(void *context, const struct tide_mapping *region)
{
    (void)context;
    if ((region->flags & TIDE_OPAQUE) == 0)
        unmap_file((void *)(uintptr_t)region->target, region->last - region->start + 1);
}

static struct tide_listener unmapper = { .released = on_released };

static int
server_open(void)
{
    struct tide_container_options options =
        tide_container_options_default(TIDE_CONTAINER_VFIO_USER);
    int error;

    options.tree.max_mappings = 256; /* what the server says of itself as max_dma_maps */
    error = tide_container_create(&options, &container);
    return error != 0 ? error : tide_container_attach(container, &unmapper);
}

/* file: NULL where the message has no descriptor. */
static int
on_dma_map(const void *payload, size_t size, void *file)
{
    struct tide_vfio_user_dma_map message;
    void *memory = NULL;
    int error = tide_vfio_user_plan_map(container, payload, size);

    if (error != 0)
        return error; /* a region that will be refused is not mapped for nothing */
    memcpy(&message, payload, sizeof(message));
    if (file != NULL)
        memory = map_file(file, message.offset, message.size);
    error = tide_vfio_user_dma_map(container, payload, size, memory);
    if (error != 0 && memory != NULL)
        unmap_file(memory, message.size);
    return error;
}

static int
on_dma_unmap(const void *payload, size_t size)
{
    int error = tide_vfio_user_dma_unmap(container, payload, size);

    tide_container_barrier(container); /* the reply says that nothing uses the region any more */
    return error;
}

/* Returns what the error field of the reply has, negative. */
static int
receive(unsigned command, const void *payload, size_t size, void *file)
{
    switch (command) {
    case TIDE_VFIO_USER_DMA_MAP:
        return on_dma_map(payload, size, file);
    case TIDE_VFIO_USER_DMA_UNMAP:
        return on_dma_unmap(payload, size);
    default:
        return -ENOTSUP;
    }
}

/* ------------------------------------------------------------------------------------ device -- */

static unsigned messages; /* that the device needed */

static void
read_entry(const struct tide_vfio_user_entry *entry, void *bytes)
{
    if (entry->memory != NULL) {
        memcpy(bytes, entry->memory, entry->size);
        return;
    }
    messages++;
    client_dma_read(entry->address, bytes, entry->size);
}

static void
write_entry(const struct tide_vfio_user_entry *entry, const void *bytes)
{
    if (entry->memory != NULL) {
        memcpy(entry->memory, bytes, entry->size);
    } else {
        messages++;
        client_dma_write(entry->address, bytes, entry->size);
    }
    /* After the write: who finds the bit finds the bytes. */
    tide_container_dirty_mark(container, entry->address, entry->address + (entry->size - 1));
}

/* Copy size bytes from one DMA address to another, through a buffer as a controller has it. Both lists
 * are asked for first, so that a transfer that can't be made has done nothing. With an RCU all of it is one
 * read-side section. */
static int
device_copy(uint64_t to, uint64_t from, uint64_t size)
{
    struct tide_vfio_user_entry in[ENTRIES], out[ENTRIES];
    size_t ins, outs, at = 0;
    char *buffer;
    int error;

    error = tide_vfio_user_sgl(container, from, size, TIDE_READ, in, ENTRIES, &ins);
    if (error == 0)
        error = tide_vfio_user_sgl(container, to, size, TIDE_WRITE, out, ENTRIES, &outs);
    if (error != 0)
        return error; /* -EMSGSIZE: again, with room for as many as are needed, or in parts */
    buffer = malloc(size);
    if (buffer == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < ins; at += in[i++].size)
        read_entry(&in[i], buffer + at);
    at = 0;
    for (size_t i = 0; i < outs; at += out[i++].size)
        write_entry(&out[i], buffer + at);
    free(buffer);
    printf("copied %" PRIu64 " bytes: %zu entries to read, %zu to write\n", size, ins, outs);
    return 0;
}

/* ------------------------------------------------------------------------------------ client -- */

/* Four regions: two that lie side by side and may be mapped, one read-only, one that only messages reach. */
static char low[2 * PAGE], high[2 * PAGE], rom[PAGE], hidden[2 * PAGE];

enum { LOW = 0x10000, HIGH = 0x12000, HIDDEN = 0x14000, ROM = 0x20000 };

static void
client_dma_read(uint64_t address, void *bytes, uint64_t size)
{
    memcpy(bytes, hidden + (address - HIDDEN), size);
}

static void
client_dma_write(uint64_t address, const void *bytes, uint64_t size)
{
    memcpy(hidden + (address - HIDDEN), bytes, size);
}

static int
send_map(uint32_t flags, uint64_t address, uint64_t size, void *file)
{
    struct tide_vfio_user_dma_map message = { sizeof(message), flags, 0, address, size };

    return receive(TIDE_VFIO_USER_DMA_MAP, &message, sizeof(message), file);
}

static int
send_unmap(uint32_t flags, uint64_t address, uint64_t size)
{
    struct tide_vfio_user_dma_unmap message = { sizeof(message), flags, address, size };

    return receive(TIDE_VFIO_USER_DMA_UNMAP, &message, sizeof(message), NULL);
}

/* The data of VFIO_USER_DEVICE_FEATURE. */
static int
start_logging(void)
{
    struct tide_vfio_user_logging_start data = { PAGE, 0, 0 };

    return tide_vfio_user_logging_start(container, &data, sizeof(data));
}

static int
show_written(void)
{
    struct tide_vfio_user_logging_report data = { LOW, HIDDEN + 2 * PAGE - LOW, PAGE };
    uint64_t bitmap[LOG_WORDS];
    int error = tide_vfio_user_logging_report(container, &data, sizeof(data), bitmap, LOG_WORDS);

    if (error == 0)
        printf("pages written: 0x%" PRIx64 "\n", bitmap[0]);
    return error;
}

static int
map_all(void)
{
    int error = send_map(3, LOW, sizeof(low), low);

    if (error == 0)
        error = send_map(3, HIGH, sizeof(high), high);
    if (error == 0)
        error = send_map(1, ROM, sizeof(rom), rom);
    if (error == 0)
        error = send_map(3, HIDDEN, sizeof(hidden), NULL);
    return error;
}

/* What a client must not do, and what the device can't: nothing has changed after each. */
static int
show_refusals(void)
{
    if (send_map(3, HIGH - PAGE, 2 * PAGE, low) != -EEXIST ||
        send_map(3, UINT64_MAX - (PAGE - 1), 2 * PAGE, low) != -EOVERFLOW ||
        send_map(3, 0, 0, low) != -EINVAL || send_unmap(0, LOW, PAGE) != -ENOENT ||
        device_copy(ROM, LOW, 16) != -EACCES || device_copy(LOW, ROM, PAGE + 1) != -ENOENT)
        return -1;
    printf("refused: an overlap, a wrap, no bytes, half of a region; writing to ROM, reading "
           "beyond it\n");
    return 0;
}

int
main(void)
{
    memset(rom, 'r', sizeof(rom));
    memset(low, 'l', sizeof(low));
    if (server_open() != 0 || map_all() != 0 || start_logging() != 0 || show_refusals() != 0)
        return 1;

    /* Out of ROM; then to two regions, the second of which has no memory here; then back. */
    if (device_copy(LOW + 100, ROM, PAGE) != 0 || show_written() != 0 ||
        device_copy(HIDDEN - PAGE, LOW, 2 * PAGE) != 0 || show_written() != 0 ||
        memcmp(high + PAGE, low, PAGE) != 0 || memcmp(hidden, low + PAGE, PAGE) != 0)
        return 1;
    memset(low, 0, sizeof(low));
    if (device_copy(LOW, HIDDEN - PAGE, 2 * PAGE) != 0 || show_written() != 0 ||
        show_written() != 0 || memcmp(low + 100, rom, PAGE) != 0)
        return 1;
    printf("%u messages to the client\n", messages);

    if (send_unmap(0, LOW, sizeof(low)) != 0 || device_copy(HIGH, LOW, 1) != -ENOENT)
        return 1;
    printf("%u files mapped\n", mapped_files);
    if (send_unmap(TIDE_VFIO_USER_UNMAP_ALL, 0, 0) != 0)
        return 1;
    printf("%u when the client is gone\n", mapped_files);
    tide_container_destroy(container);
    return mapped_files != 0;
}
