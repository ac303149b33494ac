/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two searches of a descent: which child owns an address, and which slots share an address with
 * a range (a lookup asks for a range of one). Each looks at the whole node, with no early exit and
 * no branch that depends on the data, because a mispredicted branch costs more than the
 * comparisons. A file that includes this is compiled for one instruction set; what is neither AVX2
 * nor AVX-512 is plain C, but for the match of a leaf, which GNU C can write with vectors of the
 * machine's own kind.
 *
 * The vector forms load slots that are not live, perhaps while the writer fills them, and discard
 * their lanes by the live mask; docs/memory-model.md says why that is sound on the machines that
 * have them. The scalar form of the compact leaf does the same with relaxed atomics: it is the one
 * that the standard's memory model covers, and TIDE_PORTABLE_SEARCH and ThreadSanitizer get it.
 */
#ifndef TIDE_LIB_SEARCH_H
#define TIDE_LIB_SEARCH_H

#include "node.h"

#if !defined(TIDE_PORTABLE_SEARCH) && !defined(TIDE_TINY) && defined(__AVX512F__)
#define TIDE__SEARCH_AVX512 1
#include <immintrin.h>
#elif !defined(TIDE_PORTABLE_SEARCH) && !defined(TIDE_TINY) && defined(__AVX2__)
#define TIDE__SEARCH_AVX2 1
#include <immintrin.h>
#elif !defined(TIDE_PORTABLE_SEARCH) && !defined(TIDE_TINY) && defined(__GNUC__) && \
    !defined(__SANITIZE_THREAD__)
#define TIDE__SEARCH_VECTORS 1
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef TIDE__SEARCH_VECTORS
#endif
#endif
#endif

#if defined(TIDE__SEARCH_AVX512)

static tide__always_inline size_t
tide__rank_narrow(const struct tide__inner *node, uint32_t granule)
{
    return (size_t)_mm_popcnt_u64(
        _mm512_cmplt_epu32_mask(_mm512_load_si512(node->narrow), _mm512_set1_epi32((int)granule)));
}

static tide__always_inline size_t
tide__rank_wide(const struct tide__inner *node, uint64_t address)
{
    __m512i key = _mm512_set1_epi64((long long)address);
    __mmask16 low = _mm512_cmplt_epu64_mask(_mm512_load_si512(&node->wide[0]), key);
    __mmask16 high = _mm512_cmplt_epu64_mask(_mm512_load_si512(&node->wide[8]), key);

    return (size_t)_mm_popcnt_u64(_mm512_kunpackb(high, low));
}

static tide__always_inline uint32_t
tide__compact_match(const struct tide__compact *leaf, uint32_t low, uint32_t high)
{
    __mmask16 begun =
        _mm512_cmple_epu32_mask(_mm512_load_si512(leaf->start), _mm512_set1_epi32((int)high));
    __mmask16 not_over =
        _mm512_cmpge_epu32_mask(_mm512_load_si512(leaf->last), _mm512_set1_epi32((int)low));

    /* Hidden from the compiler, which would make one comparison wait for the other. */
    __asm__("" : "+k"(begun));
    return _kand_mask16(begun, not_over);
}

static tide__always_inline uint32_t
tide__plain_match(const struct tide__plain *leaf, uint32_t live, uint64_t low, uint64_t high)
{
    unsigned begun =
        _mm512_cmple_epu64_mask(_mm512_load_si512(leaf->start), _mm512_set1_epi64((long long)high));
    unsigned not_over =
        _mm512_cmpge_epu64_mask(_mm512_load_si512(leaf->last), _mm512_set1_epi64((long long)low));

    return live & begun & not_over;
}

#elif defined(TIDE__SEARCH_AVX2)

/* There are only signed comparisons of 64 bits: flip the sign bits. */
static tide__always_inline __m256i
tide__flipped4(const uint64_t *words)
{
    return _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)words),
                            _mm256_set1_epi64x(INT64_MIN));
}

static tide__always_inline __m256i
tide__flipped_key4(uint64_t address)
{
    return _mm256_set1_epi64x((long long)(address ^ UINT64_C(1) << 63));
}

/* How many of eight words are below a key, of which the sign bit is flipped: as above. */
static tide__always_inline size_t
tide__count_below8(const uint32_t *words, __m256i flipped_key)
{
    __m256i word = _mm256_xor_si256(_mm256_load_si256((const __m256i *)(const void *)words),
                                    _mm256_set1_epi32(INT32_MIN));
    __m256i below = _mm256_cmpgt_epi32(flipped_key, word);

    return (size_t)__builtin_popcountll((uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(below)));
}

static tide__always_inline size_t
tide__rank_narrow(const struct tide__inner *node, uint32_t granule)
{
    __m256i key = _mm256_set1_epi32((int)(granule ^ UINT32_C(0x80000000)));

    return tide__count_below8(node->narrow, key) + tide__count_below8(node->narrow + 8, key);
}

static tide__always_inline size_t
tide__count_below4(const uint64_t *words, __m256i flipped_key)
{
    __m256i below = _mm256_cmpgt_epi64(flipped_key, tide__flipped4(words));

    return (size_t)__builtin_popcountll((uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(below)));
}

static tide__always_inline size_t
tide__rank_wide(const struct tide__inner *node, uint64_t address)
{
    __m256i key = tide__flipped_key4(address);

    return tide__count_below4(&node->wide[0], key) + tide__count_below4(&node->wide[4], key) +
           tide__count_below4(&node->wide[8], key) + tide__count_below4(&node->wide[12], key);
}

static tide__always_inline uint32_t
tide__match8(const tide__atomic_u32 *start, const tide__atomic_u32 *last, __m256i low, __m256i high)
{
    __m256i starts = _mm256_loadu_si256((const __m256i *)(const void *)start);
    __m256i lasts = _mm256_loadu_si256((const __m256i *)(const void *)last);
    __m256i begun = _mm256_cmpeq_epi32(_mm256_max_epu32(starts, high), high);
    __m256i not_over = _mm256_cmpeq_epi32(_mm256_min_epu32(lasts, low), low);

    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_and_si256(begun, not_over)));
}

static tide__always_inline uint32_t
tide__compact_match(const struct tide__compact *leaf, uint32_t low, uint32_t high)
{
    __m256i lows = _mm256_set1_epi32((int)low), highs = _mm256_set1_epi32((int)high);

    return tide__match8(leaf->start, leaf->last, lows, highs) |
           tide__match8(leaf->start + 8, leaf->last + 8, lows, highs) << 8;
}

static tide__always_inline uint32_t
tide__wrong4(const uint64_t *start, const uint64_t *last, __m256i low, __m256i high)
{
    __m256i not_begun = _mm256_cmpgt_epi64(tide__flipped4(start), high);
    __m256i over = _mm256_cmpgt_epi64(low, tide__flipped4(last));

    return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_or_si256(not_begun, over)));
}

static tide__always_inline uint32_t
tide__plain_match(const struct tide__plain *leaf, uint32_t live, uint64_t low, uint64_t high)
{
    __m256i lows = tide__flipped_key4(low), highs = tide__flipped_key4(high);

    return live & ~(tide__wrong4(leaf->start, leaf->last, lows, highs) |
                    tide__wrong4(leaf->start + 4, leaf->last + 4, lows, highs) << 4);
}

#else

/* Which quarter of the separators, then which of that quarter: two waits and six comparisons, each
 * of which is one instruction and an addition of its carry. The highest of a quarter is not
 * compared again; that of the last is never below anything. */
static tide__always_inline size_t
tide__rank_narrow(const struct tide__inner *node, uint32_t granule)
{
    const uint32_t *separator = node->narrow;
    size_t rank = 0;

    for (unsigned i = 3; i + 1 < TIDE__FANOUT; i += 4)
        rank += separator[i] < granule;
    rank *= 4;
    separator += rank;
    rank += separator[0] < granule;
    rank += separator[1] < granule;
    rank += separator[2] < granule;
    return rank;
}

static tide__always_inline size_t
tide__rank_wide(const struct tide__inner *node, uint64_t address)
{
    const uint64_t *separator = node->wide;
    size_t rank = 0;

    for (unsigned i = 3; i + 1 < TIDE__FANOUT; i += 4)
        rank += separator[i] < address;
    rank *= 4;
    separator += rank;
    rank += separator[0] < address;
    rank += separator[1] < address;
    rank += separator[2] < address;
    return rank;
}

#if defined(TIDE__SEARCH_VECTORS)

/* Sixteen bytes, which every machine with vectors has; elsewhere the compiler takes them apart. They
 * may alias the atomic slots. */
typedef uint32_t tide__four __attribute__((vector_size(16), may_alias));
typedef uint64_t tide__two __attribute__((vector_size(16), may_alias));

/* What fails is collected rather than what matches: for lack of unsigned comparisons that include
 * equality SSE2 would invert every one. */
static tide__always_inline uint32_t
tide__compact_match(const struct tide__compact *leaf, uint32_t low, uint32_t high)
{
    const tide__four *start = (const tide__four *)(const void *)leaf->start;
    const tide__four *last = (const tide__four *)(const void *)leaf->last;
    tide__four lows = { low, low, low, low }, highs = { high, high, high, high };
    tide__four bits = { 1, 2, 4, 8 }, wrong = { 0, 0, 0, 0 };

    for (unsigned i = 0; i < TIDE__COMPACT_SLOTS / 4; i++) {
        wrong |= ((tide__four)(start[i] > highs) | (tide__four)(last[i] < lows)) & bits;
        bits <<= 4;
    }
    return TIDE__USED_UP ^ (wrong[0] | wrong[1] | wrong[2] | wrong[3]);
}

static tide__always_inline uint32_t
tide__plain_match(const struct tide__plain *leaf, uint32_t live, uint64_t low, uint64_t high)
{
    const tide__two *start = (const tide__two *)(const void *)leaf->start;
    const tide__two *last = (const tide__two *)(const void *)leaf->last;
    tide__two lows = { low, low }, highs = { high, high };
    tide__two bits = { 1, 2 }, wrong = { 0, 0 };

    for (unsigned i = 0; i < TIDE__PLAIN_SLOTS / 2; i++) {
        wrong |= ((tide__two)(start[i] > highs) | (tide__two)(last[i] < lows)) & bits;
        bits <<= 2;
    }
    return live & ~(uint32_t)(wrong[0] | wrong[1]);
}

#else

static tide__always_inline uint32_t
tide__compact_match(const struct tide__compact *leaf, uint32_t low, uint32_t high)
{
    uint32_t match = 0;

    for (unsigned i = 0; i < TIDE__COMPACT_SLOTS; i++) {
        uint32_t begun = tide__u32_load_relaxed(&leaf->start[i]) <= high;
        uint32_t not_over = tide__u32_load_relaxed(&leaf->last[i]) >= low;

        match |= (begun & not_over) << i;
    }
    return match;
}

/* 64-bit atomics are not lock-free everywhere: look at live slots only, which nobody writes. */
static tide__always_inline uint32_t
tide__plain_match(const struct tide__plain *leaf, uint32_t live, uint64_t low, uint64_t high)
{
    uint32_t match = 0;

    for (uint32_t left = live; left != 0; left &= left - 1) {
        unsigned i = tide__lowest_bit(left);
        uint32_t begun = leaf->start[i] <= high, not_over = leaf->last[i] >= low;

        match |= (begun & not_over) << i;
    }
    return match;
}

#endif

#endif

/* Which child owns an address that may lie outside the node's frame. */
static tide__always_inline size_t
tide__rank(tide__ref ref, uint64_t address)
{
    const struct tide__inner *node = tide__inner_of(ref);
    uint32_t granule;

    if (tide__unlikely(tide__kind_of(ref) == TIDE__WIDE))
        return tide__rank_wide(node, address);
    granule = tide__granule(address, node->shift);
    if (tide__unlikely(!tide__is_in_frame(address, node->base, node->shift)))
        granule = address < node->base ? 0 : TIDE__FRAME_MASK;
    return tide__rank_narrow(node, granule);
}

static tide__always_inline bool
tide__compact_lookup(const struct tide__compact *leaf, uint64_t address, uint32_t granule,
                     struct tide_mapping *mapping)
{
    /* [ACQ-LIVE] acquire: the slots of the mask are read as they were written before it.
       Pairs with PUB-LIVE in publish.h. Without it: a slot just made live is read half filled. */
    uint32_t live = tide__live_acquire(&leaf->live);
    uint32_t hit = tide__compact_match(leaf, granule, granule) & live;

    if (hit == 0 || tide__unlikely(!tide__is_in_frame(address, leaf->base, leaf->shift)))
        return false;
    tide__compact_get(leaf, tide__lowest_bit(hit), mapping);
    return true;
}

static tide__always_inline bool
tide__plain_lookup(const struct tide__plain *leaf, uint64_t address, struct tide_mapping *mapping)
{
    uint32_t live = tide__live_acquire(&leaf->live); /* [ACQ-LIVE] as above */
    uint32_t hit = tide__plain_match(leaf, live & TIDE__LIVE_SLOTS, address, address);

    if (hit == 0)
        return false;
    tide__plain_get(leaf, tide__lowest_bit(hit), mapping);
    return true;
}

/* Look one address up in the leaf that owns it; granule is its number in its own frame. */
static tide__always_inline bool
tide__leaf_lookup(tide__ref ref, uint64_t address, uint32_t granule, struct tide_mapping *mapping)
{
    if (tide__likely(tide__kind_of(ref) == TIDE__COMPACT))
        return tide__compact_lookup(tide__compact_of(ref), address, granule, mapping);
    return tide__plain_lookup(tide__plain_of(ref), address, mapping);
}

/* The live slots that share an address with start..last. */
static tide__always_inline uint32_t
tide__leaf_overlaps(tide__ref ref, uint32_t live, uint64_t start, uint64_t last)
{
    const struct tide__compact *leaf = tide__compact_of(ref);
    uint64_t low, high;

    if (tide__unlikely(tide__kind_of(ref) != TIDE__COMPACT))
        return tide__plain_match(tide__plain_of(ref), live, start, last);
    if (last < leaf->base)
        return 0;
    low = start < leaf->base ? 0 : (start - leaf->base) >> leaf->shift;
    high = (last - leaf->base) >> leaf->shift;
    if (low > TIDE__FRAME_MASK)
        return 0;
    if (high > TIDE__FRAME_MASK)
        high = TIDE__FRAME_MASK;
    return tide__compact_match(leaf, (uint32_t)low, (uint32_t)high) & live;
}

/* Which of these slots, at least one, starts lowest, or highest with flip all ones. Numbers of granules
 * are in the order of addresses. */
static tide__always_inline unsigned
tide__extreme_slot(tide__ref ref, uint32_t slots, uint64_t flip)
{
    bool compact = tide__kind_of(ref) == TIDE__COMPACT;
    unsigned extreme = tide__lowest_bit(slots);
    uint64_t least = UINT64_MAX;

    if ((slots & (slots - 1)) == 0)
        return extreme;
    for (; slots != 0; slots &= slots - 1) {
        unsigned slot = tide__lowest_bit(slots);
        uint64_t start =
            flip ^ (compact ? tide__u32_load_relaxed(&tide__compact_of(ref)->start[slot])
                            : tide__plain_of(ref)->start[slot]);

        extreme = start < least ? slot : extreme;
        least = start < least ? start : least;
    }
    return extreme;
}

static tide__always_inline unsigned
tide__lowest_slot(tide__ref ref, uint32_t slots)
{
    return tide__extreme_slot(ref, slots, 0);
}

static tide__always_inline unsigned
tide__highest_slot(tide__ref ref, uint32_t slots)
{
    return tide__extreme_slot(ref, slots, UINT64_MAX);
}

/* Which child of an inner node owns address; granule is its number in its own frame. In a node of another
 * frame the number leads astray, to any child: nothing is mapped there that has the address (I8), and
 * every leaf can tell. */
static tide__always_inline size_t
tide__step_rank(tide__ref ref, uint64_t address, uint32_t granule)
{
    return tide__likely(tide__kind_of(ref) == TIDE__NARROW)
               ? tide__rank_narrow(tide__narrow_of(ref), granule)
               : tide__rank_wide(tide__wide_of(ref), address);
}

/* To that child. */
static tide__always_inline tide__ref
tide__step(tide__ref ref, uint64_t address, uint32_t granule)
{
    /* [ACQ-CHILD] acquire: the child is read as it was built before it was linked. Pairs with
       PUB-CHILD in publish.h. Without it: a node just linked is read before it is filled. */
    return tide__child_acquire(tide__inner_of(ref), tide__step_rank(ref, address, granule));
}

#endif
