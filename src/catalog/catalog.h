/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog: what there is to call, and who may.
 *
 *   tenant -- tokens (role, expiry)
 *          -- functions -- versions 1, 2, 3 ... (immutable: module, image, limits)
 *                       -- aliases: name -> version, or two with a weight
 *                       -- triggers: an HTTP path, a time table
 *          -- variables and secrets, which versions name and calls get
 *          -- grants: which other tenant's calls may call which function
 *
 * All of it is records of a store: what a function here has said 0 to survives. Several
 * processes may change one store at once: changes of one tenant happen one after the other,
 * each made from what the one before it left. A change reads the newest first, and is
 * decided again where another came first; -EAGAIN only where that never ends. Reads come
 * from memory: what this process did, and what others did before the last catalog_refresh.
 *
 * Secrets are sealed with the cluster's key before they reach the store, and opened only
 * by catalog_environment; no text that this room makes (diag, lists) holds one.
 *
 * -EINVAL: a name, text or number; diag names the field and the byte. -ENOENT: it is not
 * there, or the tenant is not. -EBADMSG: a record cannot be read; diag names table and key,
 * its tenant stays as it was and the others go on. Else what store.h says.
 *
 * All functions may be called from any thread; visits may call all of them.
 */
#ifndef WEFT_CATALOG_H
#define WEFT_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/diag.h"
#include "base/macros.h"
#include "store/store.h"

/* Names are a letter, then letters, digits, - and _; of variables a letter or _, then
 * letters, digits and _. */
#define CATALOG_NAME_BYTES_MAX     63u
#define CATALOG_KEY_BYTES          32u /* the cluster's key */
#define CATALOG_TOKEN_BYTES_MAX    96u
#define CATALOG_VARIABLES_MAX      256u
#define CATALOG_VARIABLE_BYTES_MAX 65536u
#define CATALOG_VERSIONS_KEPT      32u   /* of a function; older ones go unless an alias has them */
#define CATALOG_FUNCTIONS_MAX      4096u /* of a tenant */
#define CATALOG_TENANTS_MAX        16384u
#define CATALOG_TOKENS_MAX         1024u /* of a tenant */
#define CATALOG_TRIGGERS_MAX       1024u /* of a tenant */
#define CATALOG_ALIASES_MAX        64u   /* of a function */
#define CATALOG_GRANTS_MAX         256u  /* of a function */
#define CATALOG_PATH_BYTES_MAX     1024u
#define CATALOG_FILES_MAX          4096u /* of a version */
#define CATALOG_ARGS_MAX           256u
#define CATALOG_ARG_BYTES_MAX      (1u << 20)

struct catalog;

/* Borrows the store. key: seals secrets; the same for all processes of a cluster. -EACCES:
 * the store was made with another cluster's key. */
int catalog_open(struct store *store, const uint8_t key[CATALOG_KEY_BYTES], struct catalog **out,
                 struct diag *diag) MUST_CHECK;
void catalog_close(struct catalog *catalog); /* NULL is fine */

/* Reads what others changed: one record where nothing did. A token that was removed
 * elsewhere is valid here until then. */
int catalog_refresh(struct catalog *catalog, struct diag *diag) MUST_CHECK;

/* -------------------------------------------------------------------------- tenants */

struct catalog_tenant {
    const char *name;
    uint32_t cpu_share;   /* weight between tenants; 0: 100 */
    uint32_t cpu_percent; /* of its cell on each host, 100 is one core; 0: none */
    uint64_t memory_bytes;
    uint32_t files;
    uint64_t network_rate;  /* bytes per second; 0: no network */
    uint32_t calls_max;     /* running at one time in the cluster; 0: no limit */
    uint32_t queue_max;     /* waiting; 0: the planner's default */
    uint32_t priority;      /* 0 to 9, higher first; between tenants fairness decides */
    uint64_t storage_bytes; /* of modules, images, files together; 0: no limit */
};

/* Makes or changes one. -EINVAL: diag names the field. -ENOSPC: CATALOG_TENANTS_MAX, or a few
 * more where several processes make them. */
int catalog_tenant_put(struct catalog *catalog, const struct catalog_tenant *tenant,
                       struct diag *diag) MUST_CHECK;
/* With all it has. -ENOENT. Where it fails half-way, nothing of it is seen any more; what is
 * left goes when it is removed or made again. */
int catalog_tenant_remove(struct catalog *catalog, const char *name, struct diag *diag) MUST_CHECK;
typedef bool (*catalog_tenant_fn)(void *context, const struct catalog_tenant *tenant);
/* One (-ENOENT) or, where name is NULL, all in order of names, until visit says false.
 * What visit is shown is valid during it, as everywhere here. */
int catalog_tenant_list(struct catalog *catalog, const char *name, catalog_tenant_fn visit,
                        void *context, struct diag *diag) MUST_CHECK;

/* --------------------------------------------------------------------------- tokens */

enum catalog_role {
    CATALOG_READ = 1,   /* look at functions, calls, logs, usage */
    CATALOG_INVOKE = 2, /* call, and see one's results */
    CATALOG_DEPLOY = 4, /* change functions, variables, triggers, files, state */
    CATALOG_MANAGE = 8, /* tokens and secrets of the tenant */
    CATALOG_ADMIN = 16, /* of the cluster: tenants, hosts; its tenant is "" */
};

struct catalog_token {
    const char *tenant; /* "" where roles has ADMIN, and only there */
    const char *name;   /* for people, unique in the tenant */
    uint32_t roles;     /* enum catalog_role bits */
    uint64_t expires_s; /* of the epoch; 0: never */
};

/* Makes a token, 256 bits of it random: "weft_" and letters and digits. It is told once;
 * the store has its hash. -EEXIST: the name. -ENOSPC: CATALOG_TOKENS_MAX. */
int catalog_token_create(struct catalog *catalog, const struct catalog_token *token,
                         char secret[CATALOG_TOKEN_BYTES_MAX], struct diag *diag) MUST_CHECK;
int catalog_token_remove(struct catalog *catalog, const char *tenant, const char *name,
                         struct diag *diag) MUST_CHECK;
typedef bool (*catalog_token_fn)(void *context, const struct catalog_token *token);
int catalog_token_list(struct catalog *catalog, const char *tenant, catalog_token_fn visit,
                       void *context, struct diag *diag) MUST_CHECK;

/* Who says this. -EACCES: no such token, or it has expired (the same words for both, after
 * the same time). From memory. */
struct catalog_identity {
    char tenant[CATALOG_NAME_BYTES_MAX + 1];
    char token[CATALOG_NAME_BYTES_MAX + 1];
    uint32_t roles;
};
int catalog_identify(struct catalog *catalog, const char *secret, size_t count,
                     struct catalog_identity *out) MUST_CHECK;

/* ------------------------------------------------------------------------ functions */

enum catalog_kind {
    CATALOG_COMMAND,  /* _start, once a call: arguments, standard streams */
    CATALOG_LIBRARY,  /* an exported function a call, after its initialisation */
    CATALOG_SNAPSHOT, /* goes on from its Proto-Faaslet in mid-run */
};

struct catalog_limits { /* of a call; each 0: none, or what the tenant has */
    uint64_t wall_ns, cpu_ns, memory_bytes, output_bytes;
    uint32_t files, threads;
};

struct catalog_retry {
    uint32_t attempts; /* beside the first; 0: none */
    uint64_t pause_ns; /* before the second; doubled for each after it, with jitter */
    bool only_if_lost; /* not where the program itself failed */
};

struct catalog_file {
    const char *path; /* "/data/model": from /, no empty name, . or .. */
    struct store_hash hash;
};

struct catalog_version {
    const char *tenant, *function;
    uint32_t version; /* 1 ...; given by catalog_version_put */
    enum catalog_kind kind;
    const char *entry;    /* "" for COMMAND and SNAPSHOT: their own */
    const char *language; /* "c", "python" ...: for people and templates; 32 bytes at most */
    struct store_hash module, image, proto;
    bool has_proto;
    struct catalog_limits limits;
    struct catalog_retry retry;
    uint32_t ranks, threads; /* of a gang: MPI ranks, threads of each; 0: 1 */
    const char *const *args; /* of every call; first the program's name. None: the function's */
    size_t arg_count;
    const struct catalog_file *files; /* read-only, for its calls; in order of paths */
    size_t file_count;
    const char *const *env; /* "NAME=value", plain */
    size_t env_count;
    const char *const *secrets; /* names of the tenant's secrets to be in the environment */
    size_t secret_count;
    const char *note;       /* of who deployed it; 1024 bytes at most */
    uint64_t created_s;     /* set by catalog_version_put */
    const char *created_by; /* token's name */
};

/* A new version, the function's newest; the function is made where there is none. Its blobs
 * are in the store already. *number: from 1, without gaps, never given again while there is
 * the function. NULL texts are "". -EINVAL: diag names the field (all of it together: 2 MiB);
 * -ENOENT: a secret or blob that is not there; -ENOSPC: CATALOG_FUNCTIONS_MAX. */
int catalog_version_put(struct catalog *catalog, const struct catalog_version *version,
                        uint32_t *number, struct diag *diag) MUST_CHECK;
int catalog_version_remove(struct catalog *catalog, const char *tenant, const char *function,
                           uint32_t version, struct diag *diag) MUST_CHECK; /* -EBUSY: aliased */
int catalog_function_remove(struct catalog *catalog, const char *tenant, const char *function,
                            struct diag *diag) MUST_CHECK;

/* "latest" is an alias that every new version moves, unless it was set by hand; removing it
 * gives it back to the newest version. -ENOENT: a version, or a secret that it needs;
 * -ENOSPC: CATALOG_ALIASES_MAX. */
struct catalog_alias {
    const char *tenant, *function, *name;
    uint32_t version;
    uint32_t other; /* 0: none; else that much of a hundred calls go to this version: */
    uint32_t other_percent;
    bool moves_on; /* "latest": not by hand, the next new version moves it again */
};
int catalog_alias_put(struct catalog *catalog, const struct catalog_alias *alias,
                      struct diag *diag) MUST_CHECK;
int catalog_alias_remove(struct catalog *catalog, const char *tenant, const char *function,
                         const char *name, struct diag *diag) MUST_CHECK;
typedef bool (*catalog_alias_fn)(void *context, const struct catalog_alias *alias);
int catalog_alias_list(struct catalog *catalog, const char *tenant, const char *function,
                       catalog_alias_fn visit, void *context, struct diag *diag) MUST_CHECK;

/* The versions of one function, newest first, or, where function is NULL, the version that
 * "latest" is of each, in order of names. */
typedef bool (*catalog_version_fn)(void *context, const struct catalog_version *version);
int catalog_version_list(struct catalog *catalog, const char *tenant, const char *function,
                         catalog_version_fn visit, void *context, struct diag *diag) MUST_CHECK;

/* A version as it is to be called. Immutable; valid until put back, also where it is removed
 * meanwhile. From memory. */
struct catalog_callable;
/* reference: "name", "name:alias" or "name:7"; of another tenant "tenant/name...", where a
 * grant allows it. dice: 0 to 99, for aliases with two versions. -ENOENT, -EINVAL; what may
 * not be seen is -ENOENT too. */
int catalog_resolve(struct catalog *catalog, const char *tenant, const char *reference,
                    unsigned dice, struct catalog_callable **out, struct diag *diag) MUST_CHECK;
const struct catalog_version *catalog_callable_version(const struct catalog_callable *callable);
struct catalog_callable *catalog_callable_get(struct catalog_callable *callable);
void catalog_callable_put(struct catalog_callable *callable); /* NULL is fine */

/* ------------------------------------------------------ variables, secrets, grants */

/* A variable is told again, a secret never. value: UTF-8; NULL: removes it. -EBUSY: a version
 * that an alias has needs the secret. -ENOSPC: CATALOG_VARIABLES_MAX. */
int catalog_variable_put(struct catalog *catalog, const char *tenant, const char *name,
                         const char *value, bool is_secret, struct diag *diag) MUST_CHECK;
struct catalog_variable {
    const char *name;
    const char *value; /* NULL: a secret */
    uint64_t changed_s;
};
typedef bool (*catalog_variable_fn)(void *context, const struct catalog_variable *variable);
int catalog_variable_list(struct catalog *catalog, const char *tenant, catalog_variable_fn visit,
                          void *context, struct diag *diag) MUST_CHECK;

/* "NAME=value", one after the other with a NUL behind each, appended to out: the tenant's
 * variables, the version's, its secrets; of one name the last of these; in order of names.
 * *count of them. The caller wipes it (explicit_bzero) after use, and appends nothing more
 * before: memory that grows leaves a copy. -ENOENT: a secret has been removed since. -EBADMSG:
 * one is damaged. */
int catalog_environment(struct catalog *catalog, const struct catalog_version *version,
                        struct buffer *out, size_t *count, struct diag *diag) MUST_CHECK;

/* Calls of `caller` may name tenant's function. Whether there is such a tenant is not told.
 * -ENOSPC: CATALOG_GRANTS_MAX. */
int catalog_grant(struct catalog *catalog, const char *tenant, const char *function,
                  const char *caller, bool is_granted, struct diag *diag) MUST_CHECK;
typedef bool (*catalog_grant_fn)(void *context, const char *caller);
int catalog_grant_list(struct catalog *catalog, const char *tenant, const char *function,
                       catalog_grant_fn visit, void *context, struct diag *diag) MUST_CHECK;

/* ------------------------------------------------------------------------- triggers */

enum catalog_trigger_kind { CATALOG_HTTP, CATALOG_CRON };
struct catalog_trigger {
    const char *tenant, *name;
    enum catalog_trigger_kind kind;
    const char *reference; /* of what to call; need not be there yet */
    const char *method;    /* HTTP: "GET", or "" for any */
    const char *path;      /* HTTP: "/shop/items"; with a * behind its last /: the path before
                            * that / and all below it */
    bool is_public;        /* HTTP: without a token */
    const char *schedule;  /* CRON: minute hour day month weekday, five fields; UTC */
    const char *input;     /* CRON: for each call */
    bool is_paused;
};
/* -EEXIST: another has this method and path. -ENOSPC: CATALOG_TRIGGERS_MAX. */
int catalog_trigger_put(struct catalog *catalog, const struct catalog_trigger *trigger,
                        struct diag *diag) MUST_CHECK;
int catalog_trigger_remove(struct catalog *catalog, const char *tenant, const char *name,
                           struct diag *diag) MUST_CHECK;
typedef bool (*catalog_trigger_fn)(void *context, const struct catalog_trigger *trigger);
int catalog_trigger_list(struct catalog *catalog, const char *tenant, catalog_trigger_fn visit,
                         void *context, struct diag *diag) MUST_CHECK; /* NULL tenant: of all */
/* The HTTP trigger for a request that is not paused: the longest path that fits wins, then
 * the one without a *, then the one with a method. Paths are compared byte for byte: percent
 * signs have been decoded before; one with an empty name, . or .. in it fits nothing. From
 * memory. -ENOENT. */
int catalog_trigger_find(struct catalog *catalog, const char *tenant, const char *method,
                         const char *path, catalog_trigger_fn visit, void *context) MUST_CHECK;
/* When a schedule is due next, after a moment; both seconds of the epoch. Fields are lists
 * (,) of values, ranges (-) and *, the last two with steps (/); months and weekdays have
 * names (JAN, MON), Sunday is 0 and 7; or @hourly, @daily, @weekly, @monthly, @yearly. Where
 * neither day of month nor weekday begins with *, one of them is enough; else both must fit.
 * The month must, always. -EINVAL: it is none: diag says which field. -ENOENT: never. */
int catalog_schedule_next(const char *schedule, uint64_t after_s, uint64_t *next_s,
                          struct diag *diag) MUST_CHECK;

#endif
