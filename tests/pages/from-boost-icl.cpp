/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the code of docs/from-boost-icl.md: the old and the new are told the same, and have to answer the same.
 */
#include "from-boost-icl.h" // the page

#include <vector>

#include "../support/random.h"
#include "check.h"

enum { CHANGES = 20000, SPACE = 256, LONGEST = 32, OWNERS = 3 };

struct segment {
    std::uint64_t start, last, owner;

    bool
    operator==(const segment &other) const
    {
        return start == other.start && last == other.last && owner == other.owner;
    }
};

template <typename Owners>
static std::vector<segment>
segments_of(const Owners &owners)
{
    std::vector<segment> all;

    owners.each([&](std::uint64_t start, std::uint64_t last, std::uint64_t owner) {
        all.push_back({ start, last, owner });
    });
    return all;
}

int
main()
{
    random_source source = { 1 };
    owners_before before;
    owners after;
    std::size_t most = 0;

    for (int i = 0; i < CHANGES; i++) {
        /* Up to the last address of all, as often as not. */
        std::uint64_t base = i % 2 == 0 ? 0 : UINT64_MAX - (SPACE + LONGEST - 2);
        std::uint64_t start = base + random_below(&source, SPACE);
        std::uint64_t last = start + random_below(&source, LONGEST);
        std::uint64_t owner = random_below(&source, OWNERS), was = 0, is = 0;

        switch (random_below(&source, 3)) {
        case 0:
            before.assign(start, last, owner);
            after.assign(start, last, owner);
            break;
        case 1:
            before.claim(start, last, owner);
            after.claim(start, last, owner);
            break;
        default:
            before.release(start, last);
            after.release(start, last);
        }
        CHECK(before.find(last, &was) == after.find(last, &is) && was == is);
        if (i % 4 < 2) {
            std::vector<segment> all = segments_of(before);

            CHECK(all == segments_of(after));
            if (all.size() > most)
                most = all.size();
        }
    }
    CHECK(most > 20);
    return 0;
}
