/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A JudyL array, keyed by the last address of a mapping, of pointers to the rest of it: Judy holds
 * one word a key.
 */
#ifndef BENCH_PEERS_JUDY_H
#define BENCH_PEERS_JUDY_H

#include <cstddef>
#include <cstdint>
#include <new>

#include <Judy.h>

#include <tidemark/tidemark.h>

#include "pieces.h"

class judy_peer
{
  public:
    static constexpr const char *name = "judy";

    judy_peer() = default;

    ~judy_peer()
    {
        Word_t last = 0;

        for (void **at = JudyLFirst(array_, &last, PJE0); at; at = JudyLNext(array_, &last, PJE0))
            delete static_cast<value *>(*at);
        JudyLFreeArray(&array_, PJE0);
    }

    judy_peer(const judy_peer &) = delete;
    judy_peer &operator=(const judy_peer &) = delete;

    bool
    map(const tide_mapping &m)
    {
        Word_t after = m.start;
        const value *v = not_below(&after);

        if (v && v->start <= m.last)
            return false;
        insert(m.last, new value{ m.start, m.target, m.flags });
        return true;
    }

    size_t
    unmap(uint64_t start, uint64_t last)
    {
        size_t count = 0;
        Word_t at = start;

        for (value *v = not_below(&at); v && v->start <= last; v = not_below(&at)) {
            tide_mapping m = { v->start, at, v->target, v->flags };
            bool below = sticks_out_below(m, start), above = sticks_out_above(m, last);

            count++;
            if (above) { /* the key stays */
                tide_mapping rest = piece_above(m, last);

                v->start = rest.start;
                v->target = rest.target;
                if (below)
                    insert(start - 1, new value{ m.start, m.target, m.flags });
                break;
            }
            JudyLDel(&array_, at, PJE0);
            if (below)
                insert(start - 1, v);
            else
                delete v;
            if (at == last)
                break;
            at++;
        }
        return count;
    }

    bool
    lookup(uint64_t address, tide_mapping *m) const
    {
        return first_overlap(address, address, m);
    }

    bool
    first_overlap(uint64_t start, uint64_t last, tide_mapping *m) const
    {
        Word_t at = start;
        const value *v = not_below(&at);

        if (!v || v->start > last)
            return false;
        *m = { v->start, at, v->target, v->flags };
        return true;
    }

    template <typename F>
    void
    each(uint64_t start, uint64_t last, F &&f) const
    {
        Word_t at = start;

        for (void **slot = JudyLFirst(array_, &at, PJE0); slot;
             slot = JudyLNext(array_, &at, PJE0)) {
            const value *v = static_cast<const value *>(*slot);

            if (v->start > last)
                break;
            f(tide_mapping{ v->start, at, v->target, v->flags });
        }
    }

    bool
    high_watermark(uint64_t *last) const
    {
        Word_t at = ~Word_t{ 0 };

        if (!JudyLLast(array_, &at, PJE0))
            return false;
        *last = at;
        return true;
    }

  private:
    struct value {
        uint64_t start, target;
        uint32_t flags;
    };

    static_assert(sizeof(Word_t) == sizeof(uint64_t), "Judy's words must hold an address");

    /* The entry with the lowest key not below *at, which becomes the key; NULL: none. */
    value *
    not_below(Word_t *at) const
    {
        void **slot = JudyLFirst(array_, at, PJE0);

        return slot ? static_cast<value *>(*slot) : nullptr;
    }

    void
    insert(uint64_t last, value *v)
    {
        void **slot = JudyLIns(&array_, last, PJE0);

        if (slot == PPJERR)
            throw std::bad_alloc();
        *slot = v;
    }

    void *array_ = nullptr;
};

#endif /* BENCH_PEERS_JUDY_H */
