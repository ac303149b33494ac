/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ranges cut into aligned powers of two, against the plainest way to do it: halve the whole space
 * until a half lies inside the range.
 */
#include "support/random.h"
#include "support/unit.h"

static struct tide_pieces pieces;

/* The piece of an order that starts at start, so far as it lies in the range. */
static void
expect_within(uint64_t start, unsigned order, uint64_t first, uint64_t last, unsigned most)
{
    uint64_t end = start + (order == 64 ? UINT64_MAX : (UINT64_C(1) << order) - 1);
    struct tide_piece piece;

    if (end < first || start > last) {
        return;
    }
    if (start >= first && end <= last && order <= most) {
        cr_assert(tide_pieces_next(&pieces, &piece));
        cr_assert_eq(piece.start, start);
        cr_assert_eq(piece.last, end);
        cr_assert_eq(piece.order, order);
        return;
    }
    expect_within(start, order - 1, first, last, most);
    expect_within(start + (UINT64_C(1) << (order - 1)), order - 1, first, last, most);
}

static void
expect_pieces(uint64_t start, uint64_t last, unsigned most)
{
    struct tide_piece piece = { 1, 2, 3 };

    tide_pieces_begin(&pieces, start, last, most);
    expect_within(0, 64, start, last, most);
    cr_assert_not(tide_pieces_next(&pieces, &piece));
    cr_assert_not(tide_pieces_next(&pieces, &piece));
    cr_assert(piece.start == 1 && piece.last == 2 && piece.order == 3);
}

static unsigned
count_pieces(uint64_t start, uint64_t last)
{
    struct tide_piece piece;
    unsigned count = 0;

    tide_pieces_begin(&pieces, start, last, 64);
    while (tide_pieces_next(&pieces, &piece)) {
        count++;
    }
    return count;
}

Test(pieces, pieces_of_the_whole_space_are_one)
{
    struct tide_piece piece;

    tide_pieces_begin(&pieces, 0, UINT64_MAX, 64);
    cr_assert(tide_pieces_next(&pieces, &piece));
    cr_assert(piece.start == 0 && piece.last == UINT64_MAX && piece.order == 64);
    cr_assert_not(tide_pieces_next(&pieces, &piece));
    cr_assert_eq(count_pieces(0, UINT64_MAX - 1), 64);
    cr_assert_eq(count_pieces(1, UINT64_MAX), 64);
    cr_assert_eq(count_pieces(1, UINT64_MAX - 1), 126);
}

Test(pieces, pieces_of_start_above_last_are_none)
{
    cr_assert_eq(count_pieces(1, 0), 0);
    cr_assert_eq(count_pieces(UINT64_MAX, 0), 0);
}

Test(pieces, pieces_of_every_range_of_both_ends_are_the_fewest)
{
    const uint64_t bases[] = { 0, UINT64_MAX - 255 };

    for (unsigned i = 0; i < 2; i++) {
        for (unsigned a = 0; a < 256; a++) {
            for (unsigned b = a; b < 256; b++) {
                expect_pieces(bases[i] + a, bases[i] + b, (a * 7 + b) % 5 == 0 ? b % 10 : 64);
            }
        }
    }
}

Test(pieces, pieces_of_random_ranges_are_the_fewest)
{
    struct random_source source = { 1 };

    for (unsigned i = 0; i < 20000; i++) {
        uint64_t start = random_next(&source) << random_below(&source, 64);
        uint64_t last = start | random_next(&source) >> random_below(&source, 64);

        expect_pieces(start, last, 64 + i % 3);
    }
}

Test(pieces, pieces_keep_to_the_highest_order)
{
    struct tide_piece piece;

    expect_pieces(0, UINT64_MAX, 63);
    expect_pieces(0, UINT64_MAX, 56);
    expect_pieces(12, 4000, 0);
    expect_pieces(0x1000, UINT64_MAX - 0x1000, 58);
    tide_pieces_begin(&pieces, 0, UINT64_MAX, 0); /* 2^64 of them */
    for (uint64_t i = 0; i < 1000; i++) {
        cr_assert(tide_pieces_next(&pieces, &piece));
        cr_assert(piece.start == i && piece.last == i && piece.order == 0);
    }
}
