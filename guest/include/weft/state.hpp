/* SPDX-License-Identifier: Apache-2.0
 *
 * weft/objects.h as classes, for C++20. Header only, without exceptions: what can fail returns
 * an error (0, or a number of <errno.h>), which the compiler wants to be looked at; or hand it to
 * weft::must, which ends the program with a message. What a reader sees, and what is lost when a
 * host dies, is what weft/objects.h says of each object.
 *
 *     weft::hogwild_array<double> weights;
 *     weft::must(weights.open("weights", 1000), "weights");
 *     weights.add(7, 0.5);
 *     weft::must(weights.sync(), "sync");
 */
#ifndef WEFT_STATE_HPP
#define WEFT_STATE_HPP

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "objects.h"

namespace weft {

using error = int;
inline constexpr int64_t for_ever = WEFT_FOR_EVER;

inline void
must(error err, const char *what)
{
    if (err == 0)
        return;
    (void)std::fprintf(stderr, "weft: %s: %s\n", what, std::strerror(err));
    std::abort();
}

template <typename T> struct type_of;
template <> struct type_of<int32_t> {
    static constexpr weft_type value = WEFT_INT32;
};
template <> struct type_of<int64_t> {
    static constexpr weft_type value = WEFT_INT64;
};
template <> struct type_of<float> {
    static constexpr weft_type value = WEFT_FLOAT;
};
template <> struct type_of<double> {
    static constexpr weft_type value = WEFT_DOUBLE;
};

/* What is mapped by one is not copied; it is closed with it. */
class only_moved {
  public:
    only_moved() = default;
    only_moved(const only_moved &) = delete;
    only_moved &operator=(const only_moved &) = delete;
};

/* ---------------------------------------------------------------------------- arrays */

template <typename T> class basic_array : only_moved {
  public:
    ~basic_array() { close(); }
    void close() { weft_array_close(&own); }
    [[nodiscard]] error pull() { return weft_array_pull(&own); }
    [[nodiscard]] error pull(uint64_t first, uint64_t count)
    {
        return weft_array_pull_part(&own, first, count);
    }
    /* What is open of it, and where that begins. */
    uint64_t size() const { return own.count; }
    uint64_t first() const { return own.first; }
    uint64_t length() const { return own.length; }

  protected:
    T *items() const { return static_cast<T *>(own.items); }
    weft_array own = {};
};

template <typename T> class array : public basic_array<T> {
  public:
    [[nodiscard]] error open(const char *key, uint64_t length, uint32_t flags = 0)
    {
        return weft_array_open(&this->own, key, type_of<T>::value, length,
                               flags | WEFT_STATE_WRITE | WEFT_STATE_CREATE);
    }
    [[nodiscard]] error open_part(const char *key, uint64_t first, uint64_t count,
                                  uint32_t flags = 0)
    {
        return weft_array_open_part(&this->own, key, type_of<T>::value, {first, count},
                                    flags | WEFT_STATE_WRITE);
    }
    [[nodiscard]] error push() { return weft_array_push(&this->own); }
    [[nodiscard]] error push(uint64_t first, uint64_t count)
    {
        return weft_array_push_part(&this->own, first, count);
    }
    T &operator[](uint64_t i) const { return this->items()[i]; }
    T *begin() const { return this->items(); }
    T *end() const { return this->items() + this->size(); }
};

/* Immutable: mapped to be read, never synchronised. */
template <typename T> class fixed_array : public basic_array<T> {
  public:
    [[nodiscard]] static error publish(const char *key, std::span<const T> items)
    {
        return weft_array_publish(key, type_of<T>::value, items.data(), items.size());
    }
    [[nodiscard]] error open(const char *key, uint32_t flags = 0)
    {
        return weft_array_open(&this->own, key, type_of<T>::value, 0, flags | WEFT_FIXED);
    }
    const T &operator[](uint64_t i) const { return this->items()[i]; }
    const T *begin() const { return this->items(); }
    const T *end() const { return this->items() + this->size(); }
};

template <typename T> class hogwild_array : public basic_array<T> {
    static_assert(std::is_floating_point_v<T>);

  public:
    [[nodiscard]] error open(const char *key, uint64_t length)
    {
        return weft_hogwild_open(&this->own, key, type_of<T>::value, length);
    }
    [[nodiscard]] error sync() { return weft_hogwild_sync(&this->own); }
    T get(uint64_t i) const
    {
        T value;

        __atomic_load(this->items() + i, &value, __ATOMIC_RELAXED);
        return value;
    }
    void add(uint64_t i, T value)
    {
        T *item = this->items() + i, old = get(i), sum = old + value;

        if (!WEFT_HAS_ATOMICS) {
            __atomic_store(item, &sum, __ATOMIC_RELAXED);
            return;
        }
        while (
            !__atomic_compare_exchange(item, &old, &sum, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            sum = old + value;
    }
};

/* -------------------------------------------------------------------------- matrices */

template <typename T> class matrix : only_moved {
  public:
    ~matrix() { close(); }
    [[nodiscard]] static error create(const char *key, uint64_t rows, uint64_t columns,
                                      uint64_t leading = 0)
    {
        weft_shape shape = {type_of<T>::value, rows, columns, leading};

        return weft_matrix_create(key, &shape);
    }
    /* EPROTO: its elements have another type. */
    [[nodiscard]] error open(const char *key, uint32_t flags)
    {
        return check(weft_matrix_open(&own, key, flags));
    }
    [[nodiscard]] error open_columns(const char *key, weft_range columns, uint32_t flags)
    {
        return check(weft_matrix_open_columns(&own, key, columns, flags));
    }
    void close() { weft_matrix_close(&own); }
    [[nodiscard]] error pull() { return weft_matrix_pull(&own); }
    [[nodiscard]] error push() { return weft_matrix_push(&own); }
    [[nodiscard]] error pull_block(weft_range rows, weft_range columns)
    {
        return weft_matrix_pull_block(&own, rows, columns);
    }
    [[nodiscard]] error push_block(weft_range rows, weft_range columns)
    {
        return weft_matrix_push_block(&own, rows, columns);
    }
    uint64_t rows() const { return own.rows; }
    uint64_t columns() const { return own.columns; }
    uint64_t leading() const { return own.leading; }
    T &operator()(uint64_t row, uint64_t column) const
    {
        return static_cast<T *>(own.items)[(column - own.open.first) * own.leading + row];
    }
    std::span<T> column(uint64_t column) const { return {&(*this)(0, column), own.rows}; }

  private:
    error check(error err)
    {
        if (err == 0 && own.type != type_of<T>::value) {
            close();
            return EPROTO;
        }
        return err;
    }
    weft_matrix own = {};
};

template <typename T> class sparse_matrix : only_moved {
  public:
    ~sparse_matrix() { close(); }
    /* The triplets are sorted. */
    [[nodiscard]] static error build(const char *key, weft_order order, uint32_t rows,
                                     uint32_t columns, std::span<weft_triplet> triplets)
    {
        weft_sparse_shape shape = {order, type_of<T>::value, rows, columns};

        return weft_sparse_build(key, &shape, triplets.data(),
                                 static_cast<uint32_t>(triplets.size()));
    }
    [[nodiscard]] error open(const char *key, uint32_t flags = 0)
    {
        return check(weft_sparse_open(&own, key, flags));
    }
    [[nodiscard]] error open_lines(const char *key, weft_range lines, uint32_t flags = 0)
    {
        return check(weft_sparse_open_lines(&own, key, lines, flags));
    }
    void close() { weft_sparse_close(&own); }
    uint32_t rows() const { return own.shape.rows; }
    uint32_t columns() const { return own.shape.columns; }
    uint64_t nonzeros() const { return own.nonzeros; }
    /* A column (CSC) or a row (CSR). */
    struct line {
        std::span<const uint32_t> indices;
        std::span<const T> elements;
    };
    line operator[](uint32_t at) const
    {
        const uint32_t *indices;
        const void *elements;
        uint32_t count = weft_sparse_line(&own, at, &indices, &elements);

        return {{indices, count}, {static_cast<const T *>(elements), count}};
    }

  private:
    error check(error err)
    {
        if (err == 0 && own.shape.type != type_of<T>::value) {
            close();
            return EPROTO;
        }
        return err;
    }
    weft_sparse own = {};
};

/* ------------------------------------------------------------- what is asked for */

class named {
  public:
    explicit named(std::string key) : name(std::move(key)) {}

  protected:
    const char *key() const { return name.c_str(); }

  private:
    std::string name;
};

class counter : named {
  public:
    using named::named;
    [[nodiscard]] error add(int64_t value, int64_t *sum = nullptr)
    {
        return weft_counter_add(key(), value, sum);
    }
    [[nodiscard]] error get(int64_t &value) const { return weft_counter_get(key(), &value); }
};

/* Of records that are plain values. */
template <typename T> class list : named {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    using named::named;
    [[nodiscard]] error append(const T &item, uint64_t *index = nullptr)
    {
        return weft_list_append(key(), &item, sizeof(item), index);
    }
    /* ENOENT: not yet; EIDRM: it was trimmed; EMSGSIZE: what is there has another size. */
    [[nodiscard]] error get(uint64_t index, T &item) const
    {
        uint32_t count = 0;
        error err = weft_list_get(key(), index, &item, sizeof(item), &count);

        return err == ENOBUFS || (err == 0 && count != sizeof(item)) ? EMSGSIZE : err;
    }
    [[nodiscard]] error length(uint64_t &length) const { return weft_list_length(key(), &length); }
};

template <typename T> class map : named {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    using named::named;
    [[nodiscard]] error put(const char *name, const T &item)
    {
        return weft_map_put(key(), name, &item, sizeof(item));
    }
    [[nodiscard]] error put_new(const char *name, const T &item)
    {
        return weft_map_put_new(key(), name, &item, sizeof(item));
    }
    [[nodiscard]] error get(const char *name, T &item) const
    {
        uint32_t count = 0;
        error err = weft_map_get(key(), name, &item, sizeof(item), &count);

        return err == ENOBUFS || (err == 0 && count != sizeof(item)) ? EMSGSIZE : err;
    }
    [[nodiscard]] error remove(const char *name) { return weft_map_remove(key(), name); }
    [[nodiscard]] error names(std::vector<std::string> &out) const
    {
        char name[WEFT_KEY_BYTES] = "";
        error err;

        out.clear();
        while ((err = weft_map_next(key(), name)) == 0)
            out.emplace_back(name);
        return err == ENOENT ? 0 : err;
    }
};

template <typename T> class queue {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    [[nodiscard]] error open(const char *key) { return weft_queue_open(&own, key); }
    [[nodiscard]] error push(const T &item) { return weft_queue_push(&own, &item, sizeof(item)); }
    [[nodiscard]] error pop(T &item, int64_t timeout_ns = for_ever)
    {
        uint32_t count = 0;
        error err = weft_queue_pop(&own, &item, sizeof(item), &count, timeout_ns);

        return err == 0 && count != sizeof(item) ? EMSGSIZE : err;
    }
    [[nodiscard]] error length(uint64_t &length) { return weft_queue_length(&own, &length); }

  private:
    weft_queue own = {};
};

class barrier : named {
  public:
    barrier(std::string key, uint32_t parties) : named(std::move(key)), parties(parties) {}
    [[nodiscard]] error wait(int64_t timeout_ns = for_ever)
    {
        return weft_barrier_wait(key(), parties, timeout_ns);
    }

  private:
    uint32_t parties;
};

class semaphore : named {
  public:
    using named::named;
    [[nodiscard]] error create(uint32_t count) { return weft_semaphore_create(key(), count); }
    [[nodiscard]] error acquire(int64_t timeout_ns = for_ever)
    {
        return weft_semaphore_acquire(key(), timeout_ns);
    }
    [[nodiscard]] error release() { return weft_semaphore_release(key()); }
};

/* Held from take until drop or its end, whichever comes first. */
class lock : named, only_moved {
  public:
    explicit lock(std::string key, uint32_t how = WEFT_STATE_LOCK_WRITE)
        : named(std::move(key)), how(how)
    {
    }
    ~lock()
    {
        if (is_held)
            (void)drop();
    }
    [[nodiscard]] error take(int64_t timeout_ns = for_ever)
    {
        error err = weft_state_lock(key(), how, timeout_ns);

        is_held = is_held || err == 0;
        return err;
    }
    /* ESTALE: it was lost meanwhile. */
    [[nodiscard]] error drop()
    {
        is_held = false;
        return weft_state_unlock(key(), how);
    }

  private:
    uint32_t how;
    bool is_held = false;
};

/* For a block: ends the program where the lock is not to be had. */
class lock_guard {
  public:
    explicit lock_guard(std::string key, uint32_t how = WEFT_STATE_LOCK_WRITE)
        : own(std::move(key), how)
    {
        must(own.take(), "a lock");
    }

  private:
    lock own;
};

} // namespace weft

#endif
