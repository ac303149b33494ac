/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The comparison. Each peer gets a loop of its own, compiled for its class, so that what is inline
 * in a header is inline here; the library is called as any program calls it.
 */
#include "peers.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <iterator>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <vector>

#include "peers/all.h"

namespace
{

/* A trace that is over at once is worked through so often that a pass has this many operations. */
constexpr uint64_t pass_operations = 500000;

/* Told of when this build has not got them, whatever the reason. */
constexpr const char *known_peers[] = { "absl",      "std_map", "gtree",        "judy",
                                        "boost_icl", "maple",   "interval_tree" };

/* Of this thread: another program that gets the processor meanwhile is not part of the cost. */
uint64_t
now_ns()
{
    timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

template <typename Peer> using tables_of = std::vector<std::unique_ptr<Peer>>;

/* Ask the whole list. watch is told before and after each operation. */
template <typename Peer, typename Watch>
[[gnu::noinline]] void
run(const plan &plan, tables_of<Peer> &tables, Watch &watch)
{
    tide_mapping found = { 0, 0, 0, 0 };

    for (size_t i = 0; i < plan.step_count; i++) {
        const step &step = plan.steps[i];
        std::unique_ptr<Peer> &table = tables[step.space];

        watch.begin();
        switch (step.kind) {
        case STEP_MAP:
            watch.counted(i, step,
                          table->map({ step.start, step.last, step.target, step.flags }) ? 1 : 0);
            break;
        case STEP_UNMAP:
            watch.counted(i, step, table->unmap(step.start, step.last));
            break;
        case STEP_TRANSLATE:
            watch.looked(i, step, table->lookup(step.start, &found), found);
            break;
        case STEP_FIND:
            watch.looked(i, step, table->first_overlap(step.start, step.last, &found), found);
            break;
        case STEP_DESTROY:
            watch.counted(i, step, table->unmap(step.start, step.last));
            table.reset();
            break;
        default:
            table = std::make_unique<Peer>();
            break;
        }
    }
}

/* ---------------------------------------------------------------------------------- watches -- */

/* Uses each answer as a caller would, and keeps a sum by which passes can be told to be alike. */
struct summing {
    uint64_t sum = 0;

    void
    begin()
    {
    }

    void
    counted(size_t, const step &, size_t count)
    {
        sum += count;
    }

    void
    looked(size_t, const step &step, bool found, const tide_mapping &mapping)
    {
        if (found && (step.flags & ~mapping.flags) == 0)
            sum += mapping.target + (step.start - mapping.start);
    }
};

/* Compares each answer with that of the reference model. */
class checking
{
  public:
    checking(const plan &plan, peer_result &result) : plan_(plan), result_(result)
    {
    }

    void
    begin()
    {
    }

    void
    counted(size_t i, const step &step, size_t count)
    {
        if (count != plan_.answers[i])
            wrong("%s of [%" PRIx64 ", %" PRIx64 "]: expected %" PRIu32 ", got %zu",
                  step.kind == STEP_MAP ? "map" : "unmap", step.start, step.last, plan_.answers[i],
                  count);
    }

    void
    looked(size_t i, const step &step, bool found, const tide_mapping &mapping)
    {
        uint32_t answer = plan_.answers[i];

        if (found != (answer != PLAN_NOTHING))
            wrong("look for [%" PRIx64 ", %" PRIx64 "]: %s", step.start, step.last,
                  found ? "a hit, expected a miss" : "a miss, expected a hit");
        else if (found)
            compare(mapping, plan_.mappings[answer]);
    }

    /* What is left at the end, by a walk. */
    template <typename Peer>
    void
    walk(const tables_of<Peer> &tables)
    {
        size_t at = 0, begin, end;
        uint64_t high;

        for (size_t i = 0; i < tables.size(); i++) {
            begin = at = i == 0 ? 0 : plan_.left_end[i - 1];
            end = plan_.left_end[i];
            if (!tables[i])
                continue;
            tables[i]->each(0, UINT64_MAX, [&](const tide_mapping &mapping) {
                if (at < end)
                    compare(mapping, plan_.mappings[plan_.left[at]]);
                at++;
            });
            if (at != end)
                wrong("a walk at the end: expected %zu mappings, got %zu", end - begin, at - begin);
            high = 0;
            if (tables[i]->high_watermark(&high) != (begin != end) ||
                (begin != end && high != plan_.mappings[plan_.left[end - 1]].last))
                wrong("a wrong highest address at the end, %" PRIx64, high);
        }
    }

  private:
    void
    compare(const tide_mapping &got, const tide_mapping &wanted)
    {
        if (got.start != wanted.start || got.last != wanted.last || got.target != wanted.target ||
            got.flags != wanted.flags)
            wrong("expected [%" PRIx64 ", %" PRIx64 "] -> %" PRIx64 " flags %" PRIx32
                  ", got [%" PRIx64 ", %" PRIx64 "] -> %" PRIx64 " flags %" PRIx32,
                  wanted.start, wanted.last, wanted.target, wanted.flags, got.start, got.last,
                  got.target, got.flags);
    }

    template <typename... Arguments>
    void
    wrong(const char *format, Arguments... arguments)
    {
        if (result_.wrong++ == 0)
            snprintf(result_.first_wrong, sizeof(result_.first_wrong), format, arguments...);
    }

    const plan &plan_;
    peer_result &result_;
};

/* Times each call. */
class timing_each
{
  public:
    explicit timing_each(const timing &timing) : timing_(timing)
    {
    }

    void
    begin()
    {
        began_ = timing_begin(&timing_);
    }

    /* The compiler must take the answers for used, or it leaves out what only leads to them. */
    void
    counted(size_t, const step &step, size_t count)
    {
        asm volatile("" : : "r"(count) : "memory");
        ended(step);
    }

    void
    looked(size_t, const step &step, bool found, const tide_mapping &mapping)
    {
        asm volatile("" : : "r"(found), "r"(&mapping) : "memory");
        ended(step);
    }

    double
    mean(unsigned kind, uint64_t count) const
    {
        return count == 0 ? 0
                          : static_cast<double>(ticks_[kind]) / timing_.ticks_per_ns /
                                static_cast<double>(count);
    }

  private:
    void
    ended(const step &step)
    {
        uint64_t ticks = timing_end(&timing_) - began_;

        ticks_[step.kind] += ticks > timing_.overhead ? ticks - timing_.overhead : 0;
    }

    const timing &timing_;
    uint64_t began_ = 0;
    uint64_t ticks_[STEP_KINDS] = {};
};

/* ------------------------------------------------------------------------------------ peers -- */

/* Does nothing, and lets the compiler assume nothing of it. */
class nothing_peer
{
  public:
    static constexpr const char *name = "loop";

    bool
    map(const tide_mapping &mapping)
    {
        asm volatile("" : : "r"(&mapping) : "memory");
        return true;
    }

    size_t
    unmap(uint64_t start, uint64_t last)
    {
        asm volatile("" : "+r"(start) : "r"(last) : "memory");
        return start;
    }

    bool
    lookup(uint64_t address, tide_mapping *mapping) const
    {
        asm volatile("" : : "r"(address), "r"(mapping) : "memory");
        return true;
    }

    bool
    first_overlap(uint64_t start, uint64_t last, tide_mapping *mapping) const
    {
        asm volatile("" : : "r"(start), "r"(last), "r"(mapping) : "memory");
        return true;
    }

    template <typename F>
    void
    each(uint64_t, uint64_t, F &&) const
    {
    }

    bool
    high_watermark(uint64_t *) const
    {
        return false;
    }
};

/* One who takes part, whatever its class. */
class contestant
{
  public:
    contestant(const char *name, bool answers) : name(name), answers(answers)
    {
    }

    virtual ~contestant() = default;

    virtual void check(const plan &plan, peer_result &result) const = 0;
    /* Returns nanoseconds; sum: of the answers. */
    virtual uint64_t pass(const plan &plan, uint64_t &sum) const = 0;
    virtual void time_each(const plan &plan, const timing &timing, peer_result &result) const = 0;

    const char *const name;
    const bool answers; /* else there is nothing to check */
};

template <typename Peer> class contestant_of final : public contestant
{
  public:
    contestant_of() : contestant(Peer::name, !std::is_same_v<Peer, nothing_peer>)
    {
    }

    void
    check(const plan &plan, peer_result &result) const override
    {
        tables_of<Peer> tables(plan.space_count);
        checking watch(plan, result);

        run(plan, tables, watch);
        watch.walk(tables);
    }

    uint64_t
    pass(const plan &plan, uint64_t &sum) const override
    {
        tables_of<Peer> tables(plan.space_count);
        summing watch;
        uint64_t began = now_ns();

        run(plan, tables, watch);
        began = now_ns() - began;
        sum = watch.sum;
        return began;
    }

    void
    time_each(const plan &plan, const timing &timing, peer_result &result) const override
    {
        tables_of<Peer> tables(plan.space_count);
        timing_each watch(timing);

        run(plan, tables, watch);
        for (unsigned i = 0; i < STEP_KINDS; i++)
            result.kinds[i] = watch.mean(i, plan.kinds[i]);
    }
};

/* The library is the first, and only once: the others are asked without any RCU as well. */
std::vector<std::unique_ptr<contestant>>
all_contestants()
{
    std::vector<std::unique_ptr<contestant>> all;

    all.push_back(std::make_unique<contestant_of<tidemark_peer>>());
    for_each_writable_peer([&](auto peer) {
        using type = typename decltype(peer)::type;

        if (strncmp(type::name, tidemark_peer::name, strlen(tidemark_peer::name)) != 0)
            all.push_back(std::make_unique<contestant_of<type>>());
    });
    return all;
}

/* --------------------------------------------------------------------------- the comparison -- */

/* Who is timed, and its passes so far. */
struct entry {
    const contestant *who;
    peer_result *result;
    std::vector<double> passes;
};

/* One timed pass, of many through a short trace. */
void
time_pass(const plan &plan, entry &entry, uint64_t expected)
{
    const uint64_t rounds = std::max<uint64_t>(pass_operations / plan.operations, 1);
    uint64_t ns = 0, sum;

    for (uint64_t i = 0; i < rounds; i++) {
        ns += entry.who->pass(plan, sum);
        if (sum != expected && entry.who->answers && entry.result->wrong++ == 0)
            snprintf(entry.result->first_wrong, sizeof(entry.result->first_wrong),
                     "right answers when asked first, others when asked again");
    }
    entry.passes.push_back(static_cast<double>(ns) / static_cast<double>(rounds) /
                           static_cast<double>(plan.operations));
}

/* The passes of all are interleaved, for a processor is not equally fast at all times; and each
 * goes first in its turn. */
void
time_all(const plan &plan, std::vector<entry> &entries, uint64_t expected, unsigned repeats)
{
    for (unsigned i = 0; i < repeats; i++)
        for (size_t k = 0; k < entries.size(); k++)
            time_pass(plan, entries[(i + k) % entries.size()], expected);
    for (entry &entry : entries) {
        std::vector<double> &passes = entry.passes;

        std::sort(passes.begin(), passes.end());
        entry.result->lowest = passes.front();
        entry.result->highest = passes.back();
        entry.result->median = (passes[(passes.size() - 1) / 2] + passes[passes.size() / 2]) / 2;
    }
}

/* The sum that a pass comes to when all answers are right. */
uint64_t
expected_sum(const plan &plan)
{
    summing watch;

    for (size_t i = 0; i < plan.step_count; i++) {
        const step &step = plan.steps[i];
        const uint32_t answer = plan.answers[i];

        if (step.kind == STEP_TRANSLATE || step.kind == STEP_FIND)
            watch.looked(i, step, answer != PLAN_NOTHING,
                         answer == PLAN_NOTHING ? tide_mapping() : plan.mappings[answer]);
        else
            watch.counted(i, step, answer);
    }
    return watch.sum;
}

void
compare(comparison &comparison, const plan &plan, const timing &timing)
{
    const std::unique_ptr<contestant> loop = std::make_unique<contestant_of<nothing_peer>>();
    const std::vector<std::unique_ptr<contestant>> all = all_contestants();
    peer_result loop_result = {};
    std::vector<entry> entries = { { loop.get(), &loop_result, {} } };

    for (const auto &who : all) {
        if (comparison.count == PEERS_MAX)
            break;
        peer_result &result = comparison.peers[comparison.count++];

        result.name = who->name;
        who->check(plan, result);
        if (result.wrong == 0)
            entries.push_back({ who.get(), &result, {} });
    }
    if (comparison.repeats == 0)
        return;
    time_all(plan, entries, expected_sum(plan), comparison.repeats);
    for (entry &entry : entries)
        entry.who->time_each(plan, timing, *entry.result);
    comparison.loop = loop_result.median;
}

} // namespace

const char *
peers_missing()
{
    static const std::string missing = [] {
        const auto all = all_contestants();
        std::string names;

        for (const char *name : known_peers)
            if (std::none_of(all.begin(), all.end(),
                             [&](const auto &who) { return strcmp(who->name, name) == 0; }))
                names += std::string(" ") + name;
        return names;
    }();

    return missing.c_str();
}

bool
peers_compare(comparison *comparison, const trace *trace, const timing *timing, unsigned repeats)
{
    plan plan;
    bool good = true;

    *comparison = {};
    comparison->findings.trace = trace;
    if (!plan_build(&plan, trace, &comparison->findings))
        return false;
    comparison->operations = plan.operations;
    comparison->most_live = plan.most_live;
    std::copy(std::begin(plan.kinds), std::end(plan.kinds), comparison->kinds);
    comparison->repeats = plan.operations == 0 ? 0 : repeats;
    try {
        compare(*comparison, plan, *timing);
    } catch (const std::bad_alloc &) {
        good = false;
    }
    comparison->findings.trace = nullptr;
    plan_free(&plan);
    return good;
}

const peer_result *
peers_find(const comparison *comparison, const char *name)
{
    for (unsigned i = 0; i < comparison->count; i++) {
        const peer_result *peer = &comparison->peers[i];

        if (strcmp(peer->name, name) == 0)
            return peer->wrong == 0 && comparison->repeats != 0 ? peer : nullptr;
    }
    return nullptr;
}

const peer_result *
peers_fastest_other(const comparison *comparison)
{
    const peer_result *fastest = nullptr;

    for (unsigned i = 1; i < comparison->count; i++) {
        const peer_result *peer = peers_find(comparison, comparison->peers[i].name);

        if (peer != nullptr && (fastest == nullptr || peer->median < fastest->median))
            fastest = peer;
    }
    return fastest;
}
