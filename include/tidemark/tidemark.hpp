/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tidemark for C++17: handles that give back what they hold, answers as std::optional, walks for range-for.
 * Header only; without exceptions and run-time types. Errors are what C returns. tidemark.h is the manual:
 * contexts, guarantees and errors are those of the function of the same name, and get() is for what is not
 * here. Readers beside the writer ask inside of a read-side section of the caller's RCU, as in C.
 *
 *     tidemark::tree tree;
 *     if (int error = tree.create())
 *         return error;
 *     if (int error = tree.map({ 0x1000, 0x1fff, 0x7f0000000000, TIDE_READ }))
 *         return error;
 *     for (const tide_mapping &mapping : tree.ask().overlaps(0, UINT64_MAX))
 *         use(mapping);
 */
#ifndef TIDEMARK_HPP
#define TIDEMARK_HPP

#include <memory>
#include <optional>
#include <type_traits>

#include <tidemark/tidemark.h>

namespace tidemark
{
/* A walk that was begun, for one range-for. */
template <typename State, typename Item, auto next> class walk
{
  public:
    class iterator
    {
      public:
        explicit iterator(State *state) : state_(state)
        {
        }
        const Item &
        operator*() const
        {
            return item_;
        }
        iterator &
        operator++()
        {
            if (state_ != nullptr && !next(state_, &item_))
                state_ = nullptr;
            return *this;
        }
        bool
        operator!=(const iterator &other) const
        {
            return state_ != other.state_;
        }

      private:
        State *state_; /* null: at the end */
        Item item_{};
    };

    using begin_fn = void(State *, const tide *, uint64_t, uint64_t);
    walk(begin_fn *begin_walk, const tide *asked, uint64_t start, uint64_t last)
    {
        begin_walk(&state_, asked, start, last);
    }
    iterator
    begin()
    {
        return ++iterator(&state_);
    }
    iterator
    end()
    {
        return iterator(nullptr);
    }

  private:
    State state_;
};

using overlaps_walk = walk<tide_iterator, tide_mapping, tide_iterate_next>;

/* The questions. Whoever made the tree says how long it may be asked. */
class view
{
  public:
    explicit view(const tide *asked) : asked_(asked)
    {
    }
    const tide *
    get() const
    {
        return asked_;
    }
    std::optional<tide_mapping>
    lookup(uint64_t address) const
    {
        return answer<tide_mapping>(tide_lookup, address);
    }
    std::optional<tide_mapping>
    next(uint64_t address) const
    {
        return answer<tide_mapping>(tide_next, address);
    }
    std::optional<uint64_t>
    high_watermark() const
    {
        return answer<uint64_t>(tide_high_watermark);
    }
    overlaps_walk
    overlaps(uint64_t start, uint64_t last) const
    {
        return overlaps_walk(tide_iterate_up, asked_, start, last);
    }

  private:
    template <typename Answer, typename Question, typename... Arguments>
    std::optional<Answer>
    answer(Question question, Arguments... arguments) const
    {
        Answer found;

        return question(asked_, arguments..., &found) ? std::optional<Answer>(found) : std::nullopt;
    }

    const tide *asked_;
};

/* A unique_ptr, of what C made. */
template <typename Held, auto free> struct releaser {
    void
    operator()(Held *held) const
    {
        free(held);
    }
};
template <typename Held, auto free>
class handle : public std::unique_ptr<Held, releaser<Held, free>>
{
  protected:
    /* Hold what make(&made) made, and return what it returned. */
    template <typename Make>
    int
    hold(Make make)
    {
        Held *made = nullptr;
        int error = make(&made);

        if (error == 0)
            this->reset(made);
        return error;
    }
};

/* The writes, of trees and of transactions. */
template <typename Held, auto free, auto do_map, auto do_replace, auto do_protect, auto do_unmap>
class writer : public handle<Held, free>
{
  public:
    [[nodiscard]] int
    map(const tide_mapping &mapping)
    {
        return do_map(this->get(), &mapping);
    }
    [[nodiscard]] int
    replace(const tide_mapping &mapping)
    {
        return do_replace(this->get(), &mapping, nullptr, nullptr);
    }
    [[nodiscard]] int
    protect(uint64_t start, uint64_t last, uint32_t flags)
    {
        return do_protect(this->get(), start, last, flags);
    }
    int
    unmap(uint64_t start, uint64_t last, tide_unmap_policy policy = TIDE_UNMAP_SPLIT,
          tide_unmap_result *result = nullptr)
    {
        return do_unmap(this->get(), start, last, policy, nullptr, nullptr, result);
    }
    /* The same, and told(const tide_mapping &) is called with each piece. It must not throw. */
    template <typename Told>
    int
    unmap_told(uint64_t start, uint64_t last, tide_unmap_policy policy, Told &&told)
    {
        auto call = [](const tide_mapping *piece, void *arg) noexcept {
            (**static_cast<std::remove_reference_t<Told> **>(arg))(*piece);
        };
        auto *callee = &told;

        return do_unmap(this->get(), start, last, policy, call, &callee, nullptr);
    }
};

/* Destroyed when the handle goes. */
class tree : public writer<tide, tide_destroy, tide_map, tide_replace, tide_protect, tide_unmap>
{
  public:
    [[nodiscard]] int
    create(const tide_options &options = tide_options_default())
    {
        return this->hold([&](tide **made) { return tide_create(&options, made); });
    }
    view
    ask() const
    {
        return view(get());
    }
};

/* Aborted when the handle goes, unless it was committed. It goes before its tree. */
class transaction : public writer<tide_txn, tide_txn_abort, tide_txn_map, tide_txn_replace,
                                  tide_txn_protect, tide_txn_unmap>
{
  public:
    [[nodiscard]] int
    begin(tree &of)
    {
        return this->hold([&](tide_txn **made) { return tide_txn_begin(of.get(), made); });
    }
    void
    commit()
    {
        tide_txn_commit(this->release());
    }
    view
    ask() const
    {
        return view(tide_txn_tree(get()));
    }
};

/* Released when the handle goes, which is before its tree. */
class snapshot : public handle<tide_snapshot, tide_snapshot_release>
{
  public:
    [[nodiscard]] int
    take(tree &of)
    {
        return this->hold([&](tide_snapshot **made) { return tide_snapshot_take(of.get(), made); });
    }
    view
    ask() const
    {
        return view(tide_snapshot_tree(get()));
    }
};

} // namespace tidemark

#endif /* TIDEMARK_HPP */
