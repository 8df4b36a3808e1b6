/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog, inside.
 *
 *   record   key and value of the store  <->  item: immutable, counted, what the views of
 *            the door point into                                              (record.c)
 *   index    all items in memory, by key, by tenant, tokens by hash           (index.c)
 *   delta    items to be put into the index together, once nothing can fail   (delta.c)
 *   sync     what others changed -> delta -> index                            (sync.c)
 *   change   decide -> delta -> commit -> index, again where another was first (change.c)
 *
 * The index changes only with catalog->changing and with the lock for writing: who has the
 * first may read without the second.
 */
#ifndef WEFT_CATALOG_INTERNAL_H
#define WEFT_CATALOG_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <openssl/evp.h>
#include <protobuf-c/protobuf-c.h>

#include "catalog/catalog.h"
#include "catalog/records.pb-c.h"

#define CATALOG_TABLE            "catalog"
#define CATALOG_TABLE_GENERATION "catalog-generation"
#define CATALOG_TABLE_KEY        "catalog-key"
#define CATALOG_TABLE_CLAIM      "catalog-claim" /* see change.c */

#define CATALOG_HASH_BYTES       32u
#define CATALOG_RECORD_KEY_MAX   144u /* tenant, kind, two names, a number */
#define CATALOG_RECORD_BYTES_MAX (2u << 20)
#define CATALOG_LOG_COMMITS      16u
#define CATALOG_LOG_KEYS         256u
#define CATALOG_LATEST           "latest"

/* ---------------------------------------------------------------------------- checks */

/* Each: 0 or -EINVAL; diag begins with `what` and names the byte. */
int catalog_check_name(const char *what, const char *name, struct diag *diag) MUST_CHECK;
int catalog_check_variable(const char *what, const char *name, struct diag *diag) MUST_CHECK;
int catalog_check_text(const char *what, const char *text, size_t bytes_max,
                       struct diag *diag) MUST_CHECK; /* UTF-8 without control characters */
int catalog_check_value(const char *what, const char *text, size_t bytes_max,
                        struct diag *diag) MUST_CHECK; /* UTF-8 */
int catalog_check_number(const char *what, uint64_t number, uint64_t max,
                         struct diag *diag) MUST_CHECK;
int catalog_check_method(const char *method, struct diag *diag) MUST_CHECK;
int catalog_check_path(const char *path, struct diag *diag) MUST_CHECK; /* of a trigger */
int catalog_check_file(const char *path, struct diag *diag) MUST_CHECK; /* a file's path */
/* "." and ".." and empty names lead elsewhere. */
bool catalog_path_is_normal(const char *path, size_t count);

/* "name", "name:alias", "name:7", "tenant/name..." */
struct catalog_reference {
    char tenant[CATALOG_NAME_BYTES_MAX + 1]; /* "": the caller's */
    char function[CATALOG_NAME_BYTES_MAX + 1];
    char alias[CATALOG_NAME_BYTES_MAX + 1]; /* "": the version is meant */
    uint32_t version;
};
int catalog_reference_parse(const char *text, struct catalog_reference *out,
                            struct diag *diag) MUST_CHECK;

uint64_t catalog_now_s(void);

/* ------------------------------------------------------------------------------- map */

/* Values by a key that they hold themselves. Keys are hashed with a seed that nobody
 * outside knows. */
typedef const void *(*catalog_map_key_fn)(const void *value, size_t *count);
struct catalog_map {
    struct catalog_map_slot *slots; /* owned */
    size_t count, capacity;         /* capacity: a power of two or 0 */
    uint64_t seed;
    catalog_map_key_fn key_of;
};
void catalog_map_init(struct catalog_map *map, uint64_t seed, catalog_map_key_fn key_of);
void catalog_map_fini(struct catalog_map *map);
/* So many more can be set without fail. */
int catalog_map_reserve(struct catalog_map *map, size_t more) MUST_CHECK;
void *catalog_map_get(const struct catalog_map *map, const void *key, size_t count);
void catalog_map_set(struct catalog_map *map, void *value); /* its key is not there yet */
void catalog_map_remove(struct catalog_map *map, const void *key, size_t count);
/* All values: from position 0, until NULL. */
void *catalog_map_next(const struct catalog_map *map, size_t *position);

/* --------------------------------------------------------------------------- records */

enum catalog_record {
    CATALOG_RECORD_SETTINGS, /* of a tenant */
    CATALOG_RECORD_TOKEN,
    CATALOG_RECORD_FUNCTION,
    CATALOG_RECORD_VERSION,
    CATALOG_RECORD_VARIABLE,
    CATALOG_RECORD_TRIGGER,
    CATALOG_RECORD_COUNT,
};

/* tenant 0 kind name                       kind: a letter (record.c)
 * tenant 0 kind function 0 number          of a version; 4 bytes, big-endian */
struct catalog_key {
    uint8_t bytes[CATALOG_RECORD_KEY_MAX];
    size_t count;
};
/* Names have been checked. name is "" for settings. */
void catalog_key_make(struct catalog_key *out, const char *tenant, enum catalog_record kind,
                      const char *name);
void catalog_key_make_version(struct catalog_key *out, const char *tenant, const char *function,
                              uint32_t number);

struct catalog_item {
    atomic_uint refs;
    enum catalog_record kind;
    ProtobufCMessage *message; /* owned */
    const char *tenant, *name; /* in the key; of a version: its function */
    union {
        struct catalog_tenant settings;
        struct catalog_token token;
        struct catalog_version version;
        struct catalog_variable variable;
        struct catalog_trigger trigger;
    };
    struct catalog_item **callables; /* of a function: owned; as its message's versions */
    struct catalog_file *files;      /* of a version: owned, with paths of the message */
    size_t stem_count;               /* of a trigger's path, without what * stands for */
    bool is_below;                   /* its path ends with a * */
    size_t key_count;
    uint8_t key[]; /* and a NUL */
};

/* Strict: what comes out holds every promise of the door. -EINVAL: diag names the field.
 * The key is one that catalog_key_make has made. */
int catalog_item_build(const struct catalog_key *key, const void *value, size_t value_count,
                       struct catalog_item **out, struct diag *diag) MUST_CHECK;
/* The same of a record of the store. -EBADMSG: diag names table and key. */
int catalog_item_decode(const void *key, size_t key_count, const void *value, size_t value_count,
                        struct catalog_item **out, struct diag *diag) MUST_CHECK;
struct catalog_item *catalog_item_get(struct catalog_item *item);
void catalog_item_put(struct catalog_item *item); /* NULL is fine */

/* "acme function/f 3": a key for people. */
#define CATALOG_KEY_TEXT_BYTES 256u
void catalog_key_print(const void *key, size_t count, char out[CATALOG_KEY_TEXT_BYTES]);

/* Appends the message; -ENOMEM. */
int catalog_message_pack(const ProtobufCMessage *message, struct buffer *out) MUST_CHECK;
int catalog_generation_decode(const void *value, size_t count,
                              Catalog__Generation **out) MUST_CHECK; /* -EBADMSG, -ENOMEM */

static inline const Catalog__Function *
catalog_function_of(const struct catalog_item *item)
{
    return (const Catalog__Function *)(const void *)item->message;
}

/* ----------------------------------------------------------------------------- index */

/* A tenant's, or that of admins: "". One without settings is none for anybody: it was
 * removed, or is about to be made. */
struct catalog_space {
    char name[CATALOG_NAME_BYTES_MAX + 1];
    uint64_t version;                /* of its generation's record; 0: there is none yet */
    Catalog__Generation *generation; /* owned */
    struct catalog_item **items;     /* owned, in order of keys */
    size_t count, capacity;
    size_t counts[CATALOG_RECORD_COUNT];
    struct catalog_item **http; /* owned array of borrowed: not paused, in order of paths */
    size_t http_count, http_capacity;
    size_t stem_max; /* the longest of them */
    bool is_listed;  /* GUARDED_BY changing: while a refresh looks for those that went */
};

struct catalog {
    struct store *store; /* borrowed */
    uint8_t sealing_key[CATALOG_KEY_BYTES];
    EVP_MD *sha256;

    pthread_mutex_t changing;  /* who changes, or reads the store */
    pthread_rwlock_t lock;     /* of the index */
    struct catalog_map items;  /* by key; borrowed from the spaces */
    struct catalog_map tokens; /* items by hash; borrowed */
    struct catalog_map spaces; /* by name; owned */
    uint64_t seen;             /* GUARDED_BY changing: version of the mark at the last refresh */
};

/* A change of the index that is ready. */
struct catalog_entry {
    struct catalog_key key;
    struct catalog_item *item; /* owned; NULL: a removal */
    struct buffer value;       /* of a change to be committed */
};
struct catalog_delta {
    struct catalog_entry *entries; /* owned */
    size_t count, capacity;
    bool is_whole; /* nothing of the index stays but what is here */
};
void catalog_delta_fini(struct catalog_delta *delta);
/* Takes the item, also where it fails. NULL is a removal. */
int catalog_delta_add(struct catalog_delta *delta, const struct catalog_key *key,
                      struct catalog_item *item) MUST_CHECK;
/* Gives functions their callables, from the delta or the index. -EBADMSG: one is missing. */
int catalog_delta_link(struct catalog *catalog, struct catalog_delta *delta,
                       struct diag *diag) MUST_CHECK;

struct catalog_space *catalog_space_find(const struct catalog *catalog, const char *tenant);
/* Made where there is none. -ENOMEM. */
int catalog_space_make(struct catalog *catalog, const char *tenant,
                       struct catalog_space **out) MUST_CHECK;
/* All of it goes, and the space. */
void catalog_space_drop(struct catalog *catalog, struct catalog_space *space);
struct catalog_item *catalog_index_find(const struct catalog *catalog, const char *tenant,
                                        enum catalog_record kind, const char *name);
/* Room for the delta; then applying it cannot fail. It takes the generation and the items,
 * and leaves those that went in their place. */
int catalog_index_reserve(struct catalog *catalog, struct catalog_space *space,
                          const struct catalog_delta *delta) MUST_CHECK;
void catalog_index_apply(struct catalog *catalog, struct catalog_space *space,
                         struct catalog_delta *delta, Catalog__Generation *generation,
                         uint64_t version);

/* References to what the index holds now, in order of keys. */
struct catalog_items {
    struct catalog_item **items; /* owned */
    size_t count;
};
/* tenant NULL: of all. -ENOENT: no such tenant. */
int catalog_index_collect(struct catalog *catalog, const char *tenant, enum catalog_record kind,
                          struct catalog_items *out, struct diag *diag) MUST_CHECK;
void catalog_items_fini(struct catalog_items *items);
/* A reference to one. -ENOENT. */
int catalog_index_get(struct catalog *catalog, const char *tenant, enum catalog_record kind,
                      const char *name, struct catalog_item **out, struct diag *diag) MUST_CHECK;

/* The place of the first item of the space whose key begins with this, or comes after. */
size_t catalog_space_lower(const struct catalog_space *space, const void *key, size_t count);

/* The trigger for a path, in the space; NULL. */
struct catalog_item *catalog_space_match(const struct catalog_space *space, const char *method,
                                         const char *path);

/* ------------------------------------------------------------------- sync and change */

/* The key of a generation: the tenant's name and a NUL. The mark of all: "*". */
void catalog_generation_key(struct catalog_key *out, const char *tenant);

/* With changing: makes this tenant's part of the index what the store has. */
int catalog_sync(struct catalog *catalog, const char *tenant, struct diag *diag) MUST_CHECK;

struct catalog_change {
    struct catalog *catalog;
    const char *tenant;
    const struct catalog_space *space; /* NULL: there is none */
    struct catalog_delta delta;
    bool is_removal; /* of the tenant */
    struct diag *diag;
};
/* Called with the newest index, and again where another's commit came first. */
typedef int (*catalog_decide_fn)(struct catalog_change *change, void *context);

/* Decides, commits, and shows it in the index. The tenant must be there; _any: need not, and
 * may be "". */
int catalog_change(struct catalog *catalog, const char *tenant, catalog_decide_fn decide,
                   void *context, struct diag *diag) MUST_CHECK;
int catalog_change_any(struct catalog *catalog, const char *tenant, catalog_decide_fn decide,
                       void *context, struct diag *diag) MUST_CHECK;
/* What decide calls. */
int catalog_change_put(struct catalog_change *change, const struct catalog_key *key,
                       const ProtobufCMessage *message) MUST_CHECK;
int catalog_change_remove(struct catalog_change *change, const struct catalog_key *key) MUST_CHECK;
struct catalog_item *catalog_change_find(const struct catalog_change *change,
                                         enum catalog_record kind, const char *name);

/* ------------------------------------------------------------------------- functions */

/* A function's record while it is changed: a copy whose arrays are here and whose parts
 * are borrowed. One alias of it may be made or changed. */
struct catalog_edit {
    Catalog__Function message;
    Catalog__Alias made;
    uint32_t versions[CATALOG_VERSIONS_KEPT + 2 * CATALOG_ALIASES_MAX + 1];
    Catalog__Alias *aliases[CATALOG_ALIASES_MAX + 1];
    char *callers[CATALOG_GRANTS_MAX + 1];
};
void catalog_edit_init(struct catalog_edit *edit, const struct catalog_item *function);
/* For sorted arrays of names: where it is, or where it would be. */
bool catalog_edit_find_alias(const struct catalog_edit *edit, const char *name, size_t *at);
/* Points the alias, made where there is none, to a version. */
void catalog_edit_point(struct catalog_edit *edit, const char *name, uint32_t version,
                        bool is_automatic);
void catalog_edit_drop_alias(struct catalog_edit *edit, size_t at);
bool catalog_edit_is_aliased(const struct catalog_edit *edit, uint32_t version, const char **alias);
int catalog_edit_put(struct catalog_change *change, const char *function,
                     struct catalog_edit *edit) MUST_CHECK;

/* The function's alias or version; NULL. */
const Catalog__Alias *catalog_function_alias(const struct catalog_item *function, const char *name);
struct catalog_item *catalog_function_version(const struct catalog_item *function, uint32_t number);
int catalog_function_find(const struct catalog_change *change, const char *name,
                          struct catalog_item **out) MUST_CHECK; /* -ENOENT, with text */
/* -ENOENT: the tenant has no such secret; its name is to be checked before. */
int catalog_secrets_check(const struct catalog_change *change,
                          const struct catalog_version *version) MUST_CHECK;

/* ----------------------------------------------------------------------------- seals */

#define CATALOG_NONCE_BYTES 12u
#define CATALOG_TAG_BYTES   16u
#define CATALOG_SCHEME      1u

/* out = HKDF-SHA256(key, label). */
int catalog_derive(const uint8_t key[CATALOG_KEY_BYTES], const char *label,
                   uint8_t out[CATALOG_KEY_BYTES]) MUST_CHECK;
/* Appends nonce, sealed text and tag, for this record's key alone. */
int catalog_seal(const struct catalog *catalog, const struct catalog_key *key, const char *plain,
                 size_t count, struct buffer *out) MUST_CHECK;
/* The text of a secret, which has so many bytes. */
size_t catalog_sealed_count(const struct catalog_item *item);
/* -EBADMSG: it was not sealed for this name with this key. Then out holds zeros. */
int catalog_unseal(const struct catalog *catalog, const struct catalog_item *item, uint8_t *out,
                   struct diag *diag) MUST_CHECK;

int catalog_hash(const struct catalog *catalog, const void *bytes, size_t count,
                 uint8_t out[CATALOG_HASH_BYTES]) MUST_CHECK;

#endif
