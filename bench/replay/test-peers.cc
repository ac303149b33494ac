/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Proves that the comparison finds a peer that answers wrongly: each way to lie is found, and the
 * honest ones are not accused. Takes the comparison in as source, for its insides.
 */
#include "peers.cc"

namespace
{

enum class lie {
    none,
    map_overlap,
    map_refused,
    unmap_count,
    unmap_nothing,
    lookup_miss,
    lookup_hit,
    lookup_last,
    lookup_flags,
    overlap_not_lowest,
    walk_short,
    walk_long,
    watermark,
};

template <lie told> class lying_peer : public std_map_peer
{
  public:
    bool
    map(const tide_mapping &m)
    {
        bool mapped = std_map_peer::map(m);

        if (told == lie::map_refused)
            return false;
        return told == lie::map_overlap || mapped;
    }

    size_t
    unmap(uint64_t start, uint64_t last)
    {
        if (told == lie::unmap_nothing) {
            size_t count = 0;

            std_map_peer::each(start, last, [&](const tide_mapping &) { count++; });
            return count;
        }
        return std_map_peer::unmap(start, last) + (told == lie::unmap_count);
    }

    bool
    lookup(uint64_t address, tide_mapping *m) const
    {
        bool found = std_map_peer::lookup(address, m);

        m->last += told == lie::lookup_last;
        m->flags ^= told == lie::lookup_flags ? 1u << 16 : 0;
        return told == lie::lookup_hit || (told != lie::lookup_miss && found);
    }

    bool
    first_overlap(uint64_t start, uint64_t last, tide_mapping *m) const
    {
        bool found = std_map_peer::first_overlap(start, last, m);

        if (told == lie::overlap_not_lowest)
            std_map_peer::each(start, last, [&](const tide_mapping &other) { *m = other; });
        return found;
    }

    template <typename F>
    void
    each(uint64_t start, uint64_t last, F &&f) const
    {
        bool first = true;

        std_map_peer::each(start, last, [&](const tide_mapping &m) {
            if (told != lie::walk_short || !first)
                f(m);
            if (told == lie::walk_long && first)
                f(m);
            first = false;
        });
    }

    bool
    high_watermark(uint64_t *last) const
    {
        bool any = std_map_peer::high_watermark(last);

        *last -= told == lie::watermark;
        return any;
    }
};

op
write_of(op_kind kind, uint32_t space, uint64_t start, uint64_t last, uint64_t value)
{
    op op = {};

    op.kind = static_cast<uint8_t>(kind);
    op.space = space;
    op.start = start;
    op.last = last;
    op.value = value;
    op.access = 3;
    return op;
}

op
read_of(op_kind kind, uint32_t space, uint64_t start, uint64_t last, op_answer answer,
        uint64_t value)
{
    op op = write_of(kind, space, start, last, value);

    op.answer = answer;
    return op;
}

/* Every kind of operation and of answer; what is left at the end lies in two of three spaces. */
std::vector<op>
story()
{
    return {
        write_of(OP_MAP, 0, 0x1000, 0x1fff, 0x50000),
        write_of(OP_MAP, 0, 0x2000, 0x3fff, 0x60000),
        write_of(OP_MAP, 0, 0x3000, 0x4fff, 0x70000), /* refused */
        write_of(OP_MAP, 1, 0, UINT64_MAX, 0),
        read_of(OP_TRANSLATE, 0, 0x2010, 0x2010, ANSWER_HIT, 0x60010),
        read_of(OP_TRANSLATE, 0, 0x4010, 0x4010, ANSWER_MISS, 0),
        read_of(OP_FIND, 0, 0, UINT64_MAX, ANSWER_HIT, 0),
        read_of(OP_FIND, 0, 0, 0xfff, ANSWER_MISS, 0),
        write_of(OP_UNMAP_SET, 0, 0x1800, 0x3fff, 0), /* one sticks out: only looked at */
        write_of(OP_UNMAP_ONE, 0, 0x1000, 0x1fff, 0),
        read_of(OP_TRANSLATE, 0, 0x1010, 0x1010, ANSWER_MISS, 0),
        write_of(OP_UNMAP_ANY, 1, 0x800, 0x8ff, 0), /* takes the whole */
        write_of(OP_MAP, 1, UINT64_MAX, UINT64_MAX, 7),
        write_of(OP_MAP, 2, 0x1000, 0x1fff, 0),
        write_of(OP_DESTROY, 2, 0, UINT64_MAX, 0),
    };
}

unsigned failures;

void
expect(bool good, const char *what, int number)
{
    if (good)
        return;
    fprintf(stderr, "FAILED: %s (%d)\n", what, number);
    failures++;
}

template <lie told>
uint64_t
wrong_answers(const plan &plan)
{
    peer_result result = {};

    contestant_of<lying_peer<told>>().check(plan, result);
    expect((result.wrong == 0) == (result.first_wrong[0] == '\0'), "an answer is described",
           static_cast<int>(told));
    return result.wrong;
}

template <lie... told>
void
expect_found(const plan &plan)
{
    (expect(wrong_answers<told>(plan) != 0, "a lie is found", static_cast<int>(told)), ...);
}

/* One that is right as long as it is not timed. */
void
expect_passes_compared(const plan &plan)
{
    contestant_of<lying_peer<lie::unmap_count>> who;
    peer_result result = {};
    std::vector<entry> entries = { { &who, &result, {} } };

    time_all(plan, entries, expected_sum(plan), 1);
    expect(result.wrong != 0, "a lie in a timed pass is found", 0);
}

} // namespace

int
main()
{
    std::vector<op> ops = story();
    uint64_t domains[] = { 0, 1, 2 };
    trace trace = {};
    comparison outcome;
    findings findings = {};
    timing timing;
    plan plan;

    trace.ops = ops.data();
    trace.op_count = ops.size();
    trace.space_domain = domains;
    trace.space_count = std::size(domains);
    findings.trace = &trace;
    timing_calibrate(&timing);
    if (!plan_build(&plan, &trace, &findings) || !peers_compare(&outcome, &trace, &timing, 1))
        return EXIT_FAILURE;

    expect(findings.count == 0, "the reference agrees with the trace", 0);
    expect(plan.operations == ops.size() && plan.kinds[STEP_CREATE] == 3, "the plan is whole", 0);
    expect(plan.left_count == 2, "two mappings are left", 0);
    for (unsigned i = 0; i < outcome.count; i++)
        expect(outcome.peers[i].wrong == 0, outcome.peers[i].name, 0);

    expect(wrong_answers<lie::none>(plan) == 0, "an honest peer", 0);
    expect_found<lie::map_overlap, lie::map_refused, lie::unmap_count, lie::unmap_nothing,
                 lie::lookup_miss, lie::lookup_hit, lie::lookup_last, lie::lookup_flags,
                 lie::walk_short, lie::walk_long, lie::watermark, lie::overlap_not_lowest>(plan);
    expect_passes_compared(plan);
    plan_free(&plan);
    if (failures == 0)
        printf("peers: every lie found\n");
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
