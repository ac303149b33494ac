/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two searches of a descent: which child owns an address, and which slots share an address with
 * a range. Of a compact leaf a lookup asks which slots have one granule, and gets by with one comparison:
 * how far the granule is into a slot, modulo 2^32, is at most the slot's extent. (From a slot that begins
 * above the granule it is 2^32 less the distance, and no slot of a frame extends so far.) Each looks at the whole node, with no early exit and
 * no branch that depends on the data, because a mispredicted branch costs more than the
 * comparisons. A file that includes this is compiled for one instruction set; what is neither AVX2
 * nor AVX-512 is plain C, but for the match of a leaf, which GNU C can write with vectors of the
 * machine's own kind.
 *
 * The vector forms load slots that are not live, perhaps while the writer fills them, and discard
 * their lanes by the live mask; docs/memory-model.md says why that is sound on the machines that
 * have them. The scalar forms of leaves in granules do the same with relaxed atomics: they are what the
 * standard's memory model covers, and TIDE_PORTABLE_SEARCH and ThreadSanitizer get them.
 */
#ifndef TIDE_LIB_SEARCH_H
#define TIDE_LIB_SEARCH_H

#include "node.h"
#include "probe.h"

#if !defined(TIDE_PORTABLE_SEARCH) && !defined(TIDE_TINY) && defined(__AVX512F__)
#define TIDE__SEARCH_AVX512 1
#include <immintrin.h>
#elif !defined(TIDE_PORTABLE_SEARCH) && !defined(TIDE_TINY) && defined(__AVX2__)
#define TIDE__SEARCH_AVX2 1
#include <immintrin.h>
#elif !defined(TIDE_PORTABLE_SEARCH) && !defined(TIDE_TINY) && defined(__GNUC__) && \
    !defined(__SANITIZE_THREAD__) &&                                                \
    (defined(__SSE2__) || defined(__ARM_NEON) || defined(__VSX__) || defined(__VX__))
/* Where the machine has none of sixteen bytes the compiler would take them apart, through memory. */
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

/* The sixteenth word is none of the separators. */
static tide__always_inline size_t
tide__rank_wide(const struct tide__inner *node, uint64_t address)
{
    __m512i key = _mm512_set1_epi64((long long)address);
    __mmask16 low = _mm512_cmplt_epu64_mask(_mm512_load_si512(&node->wide[0]), key);
    __mmask16 high = _mm512_mask_cmplt_epu64_mask(0x7f, _mm512_load_si512(&node->wide[0] + 8), key);

    return (size_t)_mm_popcnt_u64(_mm512_kunpackb(high, low));
}

static tide__always_inline __m512i
tide__extents16(const struct tide__compact *leaf)
{
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)leaf->extent));
}

static tide__always_inline uint32_t
tide__compact_point(const struct tide__compact *leaf, uint32_t granule)
{
    __m512i into =
        _mm512_sub_epi32(_mm512_set1_epi32((int)granule), _mm512_load_si512(leaf->start));

    return _mm512_cmple_epu32_mask(into, tide__extents16(leaf));
}

static tide__always_inline uint32_t
tide__match16(__m512i start, __m512i last, uint32_t low, uint32_t high)
{
    __mmask16 begun = _mm512_cmple_epu32_mask(start, _mm512_set1_epi32((int)high));
    __mmask16 not_over = _mm512_cmpge_epu32_mask(last, _mm512_set1_epi32((int)low));

    /* Hidden from the compiler, which would make one comparison wait for the other. */
    __asm__("" : "+k"(begun));
    return _kand_mask16(begun, not_over);
}

static tide__always_inline uint32_t
tide__compact_match(const struct tide__compact *leaf, uint32_t low, uint32_t high)
{
    __m512i start = _mm512_load_si512(leaf->start);

    return tide__match16(start, _mm512_add_epi32(start, tide__extents16(leaf)), low, high);
}

/* Twelve words each, and four of what comes after them. */
static tide__always_inline uint32_t
tide__granular_match(const struct tide__granular *leaf, uint32_t low, uint32_t high)
{
    return tide__match16(_mm512_load_si512(leaf->start), _mm512_loadu_si512(leaf->last), low, high);
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

/* The sixteenth word is none of the separators. */
static tide__always_inline size_t
tide__rank_wide(const struct tide__inner *node, uint64_t address)
{
    __m256i key = tide__flipped_key4(address);
    __m256i most = _mm256_and_si256(_mm256_cmpgt_epi64(key, tide__flipped4(&node->wide[0] + 12)),
                                    _mm256_set_epi64x(0, -1, -1, -1));

    return tide__count_below4(&node->wide[0], key) + tide__count_below4(&node->wide[4], key) +
           tide__count_below4(&node->wide[8], key) +
           (size_t)__builtin_popcountll((uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(most)));
}

static tide__always_inline uint32_t
tide__mask8(__m256i words)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(words));
}

static tide__always_inline __m256i
tide__load8(const void *words)
{
    return _mm256_loadu_si256((const __m256i *)words);
}

static tide__always_inline __m256i
tide__extents8(const tide__atomic_u16 *extent)
{
    return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)extent));
}

static tide__always_inline uint32_t
tide__point8(const struct tide__compact *leaf, unsigned from, __m256i granule)
{
    __m256i into = _mm256_sub_epi32(granule, tide__load8(leaf->start + from));

    return tide__mask8(
        _mm256_cmpeq_epi32(_mm256_min_epu32(into, tide__extents8(leaf->extent + from)), into));
}

static tide__always_inline uint32_t
tide__compact_point(const struct tide__compact *leaf, uint32_t granule)
{
    __m256i key = _mm256_set1_epi32((int)granule);

    return tide__point8(leaf, 0, key) | tide__point8(leaf, 8, key) << 8;
}

static tide__always_inline uint32_t
tide__match8(__m256i starts, __m256i lasts, __m256i low, __m256i high)
{
    __m256i begun = _mm256_cmpeq_epi32(_mm256_max_epu32(starts, high), high);
    __m256i not_over = _mm256_cmpeq_epi32(_mm256_min_epu32(lasts, low), low);

    return tide__mask8(_mm256_and_si256(begun, not_over));
}

static tide__always_inline uint32_t
tide__compact_match(const struct tide__compact *leaf, uint32_t low, uint32_t high)
{
    __m256i lows = _mm256_set1_epi32((int)low), highs = _mm256_set1_epi32((int)high);
    __m256i first = tide__load8(leaf->start), second = tide__load8(leaf->start + 8);

    return tide__match8(first, _mm256_add_epi32(first, tide__extents8(leaf->extent)), lows, highs) |
           tide__match8(second, _mm256_add_epi32(second, tide__extents8(leaf->extent + 8)), lows,
                        highs)
               << 8;
}

/* Twelve words each, and four of what comes after them. */
static tide__always_inline uint32_t
tide__granular_match(const struct tide__granular *leaf, uint32_t low, uint32_t high)
{
    __m256i lows = _mm256_set1_epi32((int)low), highs = _mm256_set1_epi32((int)high);

    return tide__match8(tide__load8(leaf->start), tide__load8(leaf->last), lows, highs) |
           tide__match8(tide__load8(leaf->start + 8), tide__load8(leaf->last + 8), lows, highs)
               << 8;
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
    if (TIDE__FANOUT > 3)
        rank += separator[2] < address;
    return rank;
}

#if defined(TIDE__SEARCH_VECTORS)

/* They may alias the atomic slots. */
typedef uint32_t tide__four __attribute__((vector_size(16), may_alias));
typedef uint64_t tide__two __attribute__((vector_size(16), may_alias));

typedef int32_t tide__four_signed __attribute__((vector_size(16), may_alias));
typedef uint16_t tide__four_short __attribute__((vector_size(8), may_alias));

/* The four extents from a slot on. */
static tide__always_inline tide__four
tide__extents4(const struct tide__compact *leaf, unsigned from)
{
    return __builtin_convertvector(*(const tide__four_short *)(const void *)(leaf->extent + from),
                                   tide__four);
}

static tide__always_inline uint32_t
tide__any4(tide__four words)
{
    tide__two halves = (tide__two)words;
    uint64_t both = halves[0] | halves[1];

    return (uint32_t)(both | both >> 32);
}

/* What fails is collected rather than what matches: for lack of unsigned comparisons that include
 * equality SSE2 would invert every one. */
static tide__always_inline uint32_t
tide__compact_point(const struct tide__compact *leaf, uint32_t granule)
{
    const tide__four *start = (const tide__four *)(const void *)leaf->start;
    uint32_t flip = UINT32_C(1) << 31,
             flipped = granule ^ flip; /* signed comparisons are cheaper */
    tide__four key = { flipped, flipped, flipped, flipped };
    tide__four bits = { 1, 2, 4, 8 }, wrong = { 0, 0, 0, 0 };

    for (unsigned i = 0; i < TIDE__COMPACT_SLOTS / 4; i++) {
        tide__four_signed into = (tide__four_signed)(key - start[i]);
        tide__four_signed extent = (tide__four_signed)(tide__extents4(leaf, 4 * i) | flip);

        wrong |= (tide__four)(into > extent) & bits;
        bits *= 16;
    }
    return ~tide__any4(wrong);
}

static tide__always_inline uint32_t
tide__compact_match(const struct tide__compact *leaf, uint32_t low, uint32_t high)
{
    const tide__four *start = (const tide__four *)(const void *)leaf->start;
    tide__four lows = { low, low, low, low }, highs = { high, high, high, high };
    tide__four bits = { 1, 2, 4, 8 }, wrong = { 0, 0, 0, 0 };

    for (unsigned i = 0; i < TIDE__COMPACT_SLOTS / 4; i++) {
        tide__four last = start[i] + tide__extents4(leaf, 4 * i);

        wrong |= ((tide__four)(start[i] > highs) | (tide__four)(last < lows)) & bits;
        bits *= 16;
    }
    return ~tide__any4(wrong);
}

static tide__always_inline uint32_t
tide__granular_match(const struct tide__granular *leaf, uint32_t low, uint32_t high)
{
    const tide__four *start = (const tide__four *)(const void *)leaf->start;
    const tide__four *last = (const tide__four *)(const void *)leaf->last;
    tide__four lows = { low, low, low, low }, highs = { high, high, high, high };
    tide__four bits = { 1, 2, 4, 8 }, wrong = { 0, 0, 0, 0 };

    for (unsigned i = 0; i < TIDE__GRANULAR_SLOTS / 4; i++) {
        wrong |= ((tide__four)(start[i] > highs) | (tide__four)(last[i] < lows)) & bits;
        bits *= 16;
    }
    return ~tide__any4(wrong);
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
        bits *= 4;
    }
    return live & ~(uint32_t)(wrong[0] | wrong[1]);
}

#else

static tide__always_inline uint32_t
tide__compact_point(const struct tide__compact *leaf, uint32_t granule)
{
    uint32_t match = 0;

    for (unsigned i = 0; i < TIDE__COMPACT_SLOTS; i++) {
        uint32_t into = granule - tide__u32_load_relaxed(&leaf->start[i]);

        match |= (uint32_t)(into <= tide__u16_load_relaxed(&leaf->extent[i])) << i;
    }
    return match;
}

static tide__always_inline uint32_t
tide__compact_match(const struct tide__compact *leaf, uint32_t low, uint32_t high)
{
    uint32_t match = 0;

    for (unsigned i = 0; i < TIDE__COMPACT_SLOTS; i++) {
        uint32_t start = tide__u32_load_relaxed(&leaf->start[i]);
        uint32_t last = start + tide__u16_load_relaxed(&leaf->extent[i]);
        uint32_t begun = start <= high, not_over = last >= low;

        match |= (begun & not_over) << i;
    }
    return match;
}

static tide__always_inline uint32_t
tide__granular_match(const struct tide__granular *leaf, uint32_t low, uint32_t high)
{
    uint32_t match = 0;

    for (unsigned i = 0; i < TIDE__GRANULAR_SLOTS; i++) {
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

/* The answer of a lookup that finds nothing. */
static tide__always_inline bool
tide__missed(const struct tide *tree, uint64_t address)
{
    tide__probe_miss(tree, address);
    return false;
}

static tide__always_inline bool
tide__compact_lookup(const struct tide *tree, const struct tide__compact *leaf, uint64_t address,
                     uint32_t granule, struct tide_mapping *mapping)
{
    /* [ACQ-LIVE] acquire: the slots of the mask are read as they were written before it.
       Pairs with PUB-LIVE in publish.h. Without it: a slot just made live is read half filled. */
    uint32_t live = tide__live_acquire(&leaf->leaf.live);
    uint32_t hit = tide__compact_point(leaf, granule) & live & TIDE__USED_UP;
    uint64_t start, extent, into;
    size_t slot;

    if (hit == 0)
        return tide__missed(tree, address);
    slot = tide__lowest_bit(hit);
    start = tide__compact_start(leaf, slot);
    extent = tide__compact_extent(leaf, slot);
    into = address - start;
#if defined(__GNUC__)
    /* Neither address nor a multiple of slot is kept: with the tree, for the probe, there would be one
     * more than there are registers that a hit need not save. */
    __asm__("" : "+r"(into), "+r"(slot));
#endif
    if (tide__unlikely(into > extent)) /* it has the granule's number in another frame */
        return tide__missed(tree, start + into);
    mapping->start = start;
    mapping->last = start + extent;
    mapping->target = leaf->target[slot];
    mapping->flags = leaf->access[slot];
    return true;
}

static tide__never_inline bool
tide__other_lookup(const struct tide *tree, tide__ref ref, uint64_t address, uint32_t granule,
                   struct tide_mapping *mapping)
{
    const struct tide__leaf *leaf = tide__leaf_of(ref);
    uint32_t hit = tide__live_acquire(&leaf->live) & TIDE__LIVE_SLOTS; /* [ACQ-LIVE] as above */

    if (tide__kind_of(ref) == TIDE__PLAIN)
        hit = tide__plain_match(tide__plain_of(ref), hit, address, address);
    else if (tide__is_in_frame(address, tide__leaf_base(leaf), leaf->shift))
        hit &= tide__granular_match(tide__granular_of(ref), granule, granule);
    else
        hit = 0;
    if (hit == 0)
        return tide__missed(tree, address);
    tide__slot_get(ref, tide__lowest_bit(hit), mapping);
    return true;
}

/* Look one address up in the leaf that owns it; granule is its number in its own frame. The tree is for the
 * probe. */
static tide__always_inline bool
tide__leaf_lookup(const struct tide *tree, tide__ref ref, uint64_t address, uint32_t granule,
                  struct tide_mapping *mapping)
{
    if (tide__likely(tide__kind_of(ref) == TIDE__COMPACT))
        return tide__compact_lookup(tree, tide__compact_of(ref), address, granule, mapping);
    return tide__other_lookup(tree, ref, address, granule, mapping);
}

/* The live slots that share an address with start..last. */
static tide__always_inline uint32_t
tide__leaf_overlaps(tide__ref ref, uint32_t live, uint64_t start, uint64_t last)
{
    const struct tide__leaf *leaf = tide__leaf_of(ref);
    uint64_t low, high;

    if (tide__unlikely(tide__kind_of(ref) == TIDE__PLAIN))
        return tide__plain_match(tide__plain_of(ref), live, start, last);
    if (tide__is_in_leaf_frame(start, leaf) && tide__is_in_leaf_frame(last, leaf)) {
        low = tide__granule(start, leaf->shift);
        high = tide__granule(last, leaf->shift);
    } else {
        uint64_t base = tide__leaf_base(leaf);

        if (last < base)
            return 0;
        low = start < base ? 0 : (start - base) >> leaf->shift;
        high = (last - base) >> leaf->shift;
        if (low > TIDE__FRAME_MASK)
            return 0;
        if (high > TIDE__FRAME_MASK)
            high = TIDE__FRAME_MASK;
    }
    return live &
           (tide__likely(tide__kind_of(ref) == TIDE__COMPACT)
                ? tide__compact_match(tide__compact_of(ref), (uint32_t)low, (uint32_t)high)
                : tide__granular_match(tide__granular_of(ref), (uint32_t)low, (uint32_t)high));
}

/* Which of these slots, at least one, starts lowest, or highest with flip all ones. Numbers of granules
 * are in the order of addresses. */
static tide__always_inline unsigned
tide__extreme_slot(tide__ref ref, uint32_t slots, uint64_t flip)
{
    bool plain = tide__kind_of(ref) == TIDE__PLAIN;
    unsigned extreme = tide__lowest_bit(slots);
    uint64_t least = UINT64_MAX;

    if ((slots & (slots - 1)) == 0)
        return extreme;
    for (; slots != 0; slots &= slots - 1) {
        unsigned slot = tide__lowest_bit(slots);
        uint64_t start = flip ^ (plain ? tide__plain_of(ref)->start[slot]
                                       : tide__u32_load_relaxed(tide__starts_of(ref) + slot));

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
