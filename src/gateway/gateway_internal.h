/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the gateway.
 *
 *   connection --(http.c: route, token, body)--> handler --ANSWERED--> answer
 *        ^                                          |LATER
 *        +---- gateway_resume <-- pool, planner, watch: whoever owns the request then
 *
 * A request is owned by one at a time: by the thread of its connection, or, while the
 * connection is suspended, by who is to end it. Who owns it sets its answer and calls
 * gateway_resume, and touches it no more. Handlers that wait for a disk run on the threads
 * of a pool; those of GATEWAY_HERE must not.
 */
#ifndef WEFT_GATEWAY_INTERNAL_H
#define WEFT_GATEWAY_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "compile/compile.h"
#include "gateway/gateway.h"
#include "gateway/json.h"
#include "gateway/parse.h"

/* address.c, files.c and deploy.c have what is in them; collect.c reads all. */
#define GATEWAY_TABLE_BLOB  "tenant-blob"
#define GATEWAY_TABLE_FILE  "tenant-file"
#define GATEWAY_TABLE_IMAGE "image"

#define GATEWAY_VERSION           "1" /* of the interface */
#define GATEWAY_PATH_BYTES_MAX    2048u
#define GATEWAY_STATE_PATH        "/v1/state/" /* left as it came: serve.c */
#define GATEWAY_PARTS_MAX         3u
#define GATEWAY_NOTHING_BYTES_MAX 4096u /* of a body that nobody reads */
#define GATEWAY_JSON_BYTES_MAX    (UINT64_C(1) << 20)
#define GATEWAY_BATCH_BYTES_MAX   (UINT64_C(32) << 20)
#define GATEWAY_BATCH_MAX         1000u
#define GATEWAY_RANKS_MAX         4096u               /* as group.h has it */
#define GATEWAY_HEAP_BYTES_MAX    (UINT64_C(1) << 30) /* of all bodies that are not in files */
#define GATEWAY_WAIT_MS           60000u
#define GATEWAY_WAIT_MS_MAX       900000u
#define GATEWAY_POOL_THREADS      8u
#define GATEWAY_POOL_QUEUE_MAX    1024u
#define GATEWAY_STREAMS_MAX       256u  /* of a tenant */
#define GATEWAY_RECENT_MAX        4096u /* of a tenant */
#define GATEWAY_PAGE              100u
#define GATEWAY_PAGE_MAX          1000u
#define GATEWAY_BUCKETS           4096u
#define GATEWAY_LOCKS             64u
#define GATEWAY_LARGE_BYTES       (256u << 10) /* more than this is looked at on the pool */

struct gateway_request;
struct gateway_space;

/* --------------------------------------------------------------------------- routes */

enum gateway_next {
    GATEWAY_ANSWERED, /* the answer is set; who called goes on with it */
    GATEWAY_LATER,    /* it is another's: not to be touched any more */
};
typedef enum gateway_next (*gateway_handler)(struct gateway_request *request);

enum gateway_scope {
    GATEWAY_OPEN,   /* no token */
    GATEWAY_TENANT, /* acts for a tenant */
    GATEWAY_EITHER, /* for a tenant; an admin's also for none: tenant "" */
    GATEWAY_ADMIN,  /* an admin's token */
};
enum gateway_place { GATEWAY_HERE, GATEWAY_POOL, GATEWAY_COMPILE };
enum gateway_intake { GATEWAY_NOTHING, GATEWAY_JSON, GATEWAY_INPUT, GATEWAY_BATCH, GATEWAY_UPLOAD };

struct gateway_route {
    const char *method;
    const char *pattern; /* "/v1/functions/{name}"; "{path*}": all that is left */
    enum gateway_scope scope;
    uint32_t roles; /* one of these bits is enough; 0: any token */
    enum gateway_place place;
    enum gateway_intake intake;
    gateway_handler handle;
};
extern const struct gateway_route gateway_routes[];
extern const size_t gateway_route_count;

/* Cuts request->path into its parts. NULL: none; *allowed: methods of the path, or "". */
const struct gateway_route *gateway_route_find(struct gateway_request *request, char *allowed,
                                               size_t size);

/* ------------------------------------------------------------------------- requests */

struct gateway_body {
    uint8_t *bytes; /* owned; or of the file, mapped by gateway_body_map */
    size_t count, capacity;
    uint64_t max;
    int fd; /* the file, or -1 */
    bool is_mapped, is_too_large;
    int err;
};

struct gateway_client { /* one per connection: who is too slow is cut off */
    struct gateway_client *next, **at;
    int fd;
    _Atomic uint64_t due_ns; /* until when a request must be whole; 0: one is */
};

/* A thread that serves. */
struct gateway_server {
    struct gateway *gateway;
    struct MHD_Daemon *daemon;
    int listening, epoll, event; /* owned */
    pthread_t thread;
    bool has_thread;
    bool is_closed; /* the thread's: it accepts nobody any more */
    _Atomic bool has_resumed, is_asleep;
};

struct gateway_request {
    struct gateway *gateway;
    struct gateway_server *server;
    struct MHD_Connection *connection;
    struct gateway_client *client;
    const struct gateway_route *route;
    const char *method; /* HEAD is GET here */
    char path[GATEWAY_PATH_BYTES_MAX + 1];
    const char *part[GATEWAY_PARTS_MAX];
    struct catalog_identity who;
    char tenant[CATALOG_NAME_BYTES_MAX + 1]; /* that it acts for, or "" */
    struct gateway_space *space;             /* where it is counted, or NULL */
    struct gateway_body body;
    bool is_suspended;
    bool is_woken; /* is here again, after a wait */
    bool is_late;  /* what it waited for did not happen in time */
    unsigned status;
    struct MHD_Response *response; /* the answer, owned */
    gateway_handler then;          /* to be run when it is resumed without an answer */
    struct gateway_request *next;  /* in a pool's queue */
    void *state;                   /* of the handler, between its visits; freed by: */
    void (*state_free)(void *state);
};

/* The connection waits; the request is counted as under way. Once. */
void gateway_suspend(struct gateway_request *request);
/* With an answer, or `then`. */
void gateway_resume(struct gateway_request *request);
/* To a pool, suspended before where it was not; answered with 503 where the queue is full. */
enum gateway_next gateway_defer(struct gateway_request *request, enum gateway_place place,
                                gateway_handler handle);
/* Something is under way, which the gateway's end waits for. */
void gateway_enter(struct gateway *gateway);
void gateway_leave(struct gateway *gateway);
bool gateway_is_ending(const struct gateway *gateway);

/* Whether the client has closed its end; while the request is suspended. */
bool gateway_is_gone(const struct gateway_request *request);

/* NULL: absent. */
const char *gateway_query(const struct gateway_request *request, const char *name);
const char *gateway_header(const struct gateway_request *request, const char *name);
/* False: answered with 400. Absent: out is left alone. */
bool gateway_query_number(struct gateway_request *request, const char *name, uint64_t max,
                          uint64_t *out);
/* Finds out who it is. False: answered. */
bool gateway_authenticate(struct gateway_request *request);
/* The same, without an answer and for any route: -EACCES. */
int gateway_identify(struct gateway_request *request) MUST_CHECK;

/* --------------------------------------------------------------------------- bodies */

void gateway_body_begin(struct gateway_request *request);
void gateway_body_append(struct gateway_request *request, const void *bytes, size_t count);
void gateway_body_end(struct gateway_request *request);
void gateway_body_fini(struct gateway_request *request);
/* A spooled one as bytes, at most so many. False: answered. */
bool gateway_body_map(struct gateway_request *request, uint64_t max);
/* NULL: answered. The caller's to json_decref. */
json_t *gateway_body_json(struct gateway_request *request);
/* Reads it by fields; NULL: answered. The caller's to json_decref. */
json_t *gateway_body_fields(struct gateway_request *request, const struct gateway_field *fields,
                            size_t count);

/* -------------------------------------------------------------------------- answers */

/* All answer and return GATEWAY_ANSWERED; an answer that was there is forgotten. */
enum gateway_next gateway_answer(struct gateway_request *request, unsigned status,
                                 struct MHD_Response *response);
/* Takes the buffer's bytes. */
enum gateway_next gateway_answer_buffer(struct gateway_request *request, unsigned status,
                                        const char *type, struct buffer *out);
enum gateway_next gateway_answer_json(struct gateway_request *request, unsigned status,
                                      struct buffer *out);
/* {"KEY":[...]}, of which list writes the elements; where it fails, its error. */
typedef int (*gateway_list_fn)(struct gateway_request *request, struct buffer *out,
                               struct diag *diag);
enum gateway_next gateway_answer_list(struct gateway_request *request, const char *key,
                                      gateway_list_fn list);
/* {"ok":true} */
enum gateway_next gateway_answer_ok(struct gateway_request *request);
enum gateway_next gateway_fail(struct gateway_request *request, unsigned status, const char *code,
                               const char *hint, const char *format, ...) PRINTF_LIKE(5, 6);
/* An errno of a lower room with its words; -ENOENT: 404 with this code. */
enum gateway_next gateway_refuse(struct gateway_request *request, int err, const char *missing,
                                 const struct diag *diag);
/* {"error":{"code":,"message":,"hint": with more to come: the inner object is open. */
void gateway_error_open(struct buffer *out, const char *code, const char *message,
                        const char *hint);
void gateway_add_header(struct MHD_Response *response, const char *name, const char *value);
void gateway_add_number(struct MHD_Response *response, const char *name, uint64_t value);

/* ---------------------------------------------------------------------------- pools */

struct gateway_work;
int gateway_work_create(unsigned threads, uint32_t queue_max, struct gateway_work **out,
                        struct diag *diag) MUST_CHECK;
/* What is queued is run first. */
void gateway_work_destroy(struct gateway_work *work);
/* -EAGAIN. */
int gateway_work_push(struct gateway_work *work, struct gateway_request *request) MUST_CHECK;

/* ---------------------------------------------------------------- waiting for calls */

/* One wait of one request. Whoever takes it first (the end of the call, the clock, a client
 * that has gone, the gateway's end) owns the request. */
struct gateway_ticket {
    struct gateway_ticket *next, **at; /* in its bucket, under its lock */
    struct gateway *gateway;
    struct gateway_request *request;
    _Atomic bool is_taken;
    _Atomic uint32_t references;
    bool is_poll;        /* for a call that may be over any time: woken by gateway_over */
    _Atomic uint64_t id; /* of the call; 0: not known yet */
    uint64_t due_ns;     /* of the clock */
    uint32_t bucket;
    int fd;               /* of the connection */
    gateway_handler wake; /* run when it is taken but by the end of its call */
    /* Of what is no call: nobody waits for it any more. Or NULL; set before it begins. */
    void (*cancel)(struct gateway_ticket *ticket);
    char tenant[CATALOG_NAME_BYTES_MAX + 1];
};

/* Suspends the request where it is not. id 0: of a call that is not submitted yet. NULL: no
 * memory. The ticket is given with one reference of its own for the caller. */
struct gateway_ticket *gateway_park(struct gateway_request *request, uint64_t id, uint64_t wait_ms,
                                    gateway_handler wake);
/* The same for what is no call: in no sweep until it begins, from which moment on the request
 * may be another's. */
struct gateway_ticket *gateway_park_other(struct gateway_request *request, uint64_t wait_ms,
                                          gateway_handler wake);
void gateway_park_begin(struct gateway_ticket *ticket);
/* Whether it is the caller's now. */
bool gateway_ticket_take(struct gateway_ticket *ticket);
void gateway_ticket_put(struct gateway_ticket *ticket);
/* Wakes those who poll for this call. */
void gateway_park_wake(struct gateway *gateway, uint64_t id);
/* What is late (now_ns UINT64_MAX: everything), and where looks, whose client has gone. */
void gateway_park_sweep(struct gateway *gateway, uint64_t now_ns, bool looks);

/* ---------------------------------------------------------------------------- calls */

/* What a call came to, as its request needs it. */
struct gateway_outcome {
    Ledger__Kind kind;
    uint64_t id;
    uint32_t version;
    int32_t exit_code;
    uint64_t queue_ns, start_ns, wall_ns, cpu_ns;
    bool was_cold;
    char host[HOSTS_NAME_BYTES_MAX + 1];
    uint8_t *bytes; /* owned: of a failed one, its error as JSON */
    size_t count;
    unsigned status;
};
typedef enum gateway_next (*gateway_render)(struct gateway_request *request,
                                            struct gateway_outcome *outcome);

/* A wish to call, from a request or a trigger. All borrowed. */
struct gateway_wish {
    const char *reference, *entry, *key, *trace;
    const char *const *args;
    size_t arg_count;
    const uint8_t *input;
    size_t input_count;
    uint64_t wait_ms; /* 0: the function's, or the default */
    uint32_t priority;
    bool has_priority;
};
/* Starts a synchronous call and waits for it; render answers. */
enum gateway_next gateway_invoke(struct gateway_request *request, const struct gateway_wish *wish,
                                 gateway_render render);
/* Resolves for a tenant and fills in the call from the version; call's texts are borrowed
 * from wish and callable. */
struct gateway_call {
    Ledger__Call call;
    Ledger__Request request;
    struct catalog_callable *callable;
    char token[2 * CATALOG_NAME_BYTES_MAX + 4];
};
int gateway_call_make(struct gateway *gateway, const char *tenant, const char *token,
                      const struct gateway_wish *wish, struct gateway_call *out,
                      struct diag *diag) MUST_CHECK;
void gateway_call_fini(struct gateway_call *call);
/* Renders as POST /v1/invoke does. */
enum gateway_next gateway_render_result(struct gateway_request *request,
                                        struct gateway_outcome *outcome);
void gateway_outcome_set(struct gateway_outcome *outcome, const Ledger__Call *call,
                         bool is_foreign);
void gateway_outcome_fini(struct gateway_outcome *outcome);
const char *gateway_kind_name(Ledger__Kind kind);
/* The first of the bits of Result.limit or Result.refused; NULL: there is none. */
const char *gateway_limit_name(uint32_t limit);
bool gateway_is_success(const Ledger__Result *result);
void gateway_call_json(struct buffer *out, const char *key, const Ledger__Call *call);
/* From the planner, else from the ring. -ENOENT. */
int gateway_call_find(struct gateway *gateway, const char *tenant, uint64_t id, Ledger__Call **out,
                      struct diag *diag) MUST_CHECK;

/* --------------------------------------------------------------------------- spaces */

/* What the gateway keeps of a tenant: what ended lately, who follows, how many ask. */
struct gateway_recent {
    struct gateway_recent *next;
    uint64_t id, output_bytes;
    size_t count;
    uint8_t bytes[]; /* a Ledger__Call, without its request, its result cut */
};
struct gateway_stream;
struct gateway_space {
    struct gateway_space *next; /* in its bucket; never removed while the gateway lives */
    char name[CATALOG_NAME_BYTES_MAX + 1];
    _Atomic uint32_t requests, priority, deploys;
    pthread_mutex_t lock; /* of what follows */
    struct gateway_recent *first, **last;
    size_t bytes, count;
    struct gateway_stream *streams;
    uint32_t stream_count;
};
/* NULL: no memory. No lock on the way to one that is there. */
struct gateway_space *gateway_space_get(struct gateway *gateway, const char *tenant);
void gateway_spaces_destroy(struct gateway *gateway);
void gateway_recent_add(struct gateway *gateway, const Ledger__Call *call);
/* Before who asked is answered; the next gateway_recent_add of it on this thread is void. */
void gateway_recent_add_early(struct gateway *gateway, const Ledger__Call *call);
typedef bool (*gateway_recent_fn)(void *context, const Ledger__Call *call);
/* Oldest first, until visit says false; copies are made first. */
void gateway_recent_list(struct gateway *gateway, const char *tenant, gateway_recent_fn visit,
                         void *context);
int gateway_recent_find(struct gateway *gateway, const char *tenant, uint64_t id,
                        Ledger__Call **out) MUST_CHECK;
/* Its files and blobs are not its any more. */
int gateway_files_forget(struct gateway *gateway, const char *tenant, struct diag *diag) MUST_CHECK;
/* One that is not there any more. */
void gateway_recent_remove(struct gateway *gateway, const char *tenant, uint64_t id);
/* Its recent calls are nobody's any more. */
void gateway_tenant_forget(struct gateway *gateway, const char *tenant);
/* Tells the planner of a tenant's share; NULL: of all. */
void gateway_shares(struct gateway *gateway, const char *tenant);

/* -------------------------------------------------------------------------- streams */

/* Server-sent events of the tenant's calls: of one that is there (id: how it stands, and its
 * end), else the logs of all that end, or of one function's (NULL: all). */
enum gateway_next gateway_stream_answer(struct gateway_request *request, uint64_t id,
                                        const char *function);
void gateway_stream_tell(struct gateway *gateway, const Ledger__Call *call);
void gateway_log_json(struct buffer *out, const Ledger__Call *call);
/* A comment to each, or (all) its end. */
void gateway_stream_sweep(struct gateway *gateway, bool all);

/* -------------------------------------------------------------------------- metrics */

struct gateway_metrics;
int gateway_metrics_create(struct gateway_metrics **out) MUST_CHECK;
void gateway_metrics_destroy(struct gateway_metrics *metrics);
void gateway_metrics_over(struct gateway_metrics *metrics, const Ledger__Call *call);
void gateway_metrics_answered(struct gateway_metrics *metrics, unsigned status);
/* tenant NULL: all. */
void gateway_metrics_text(struct gateway_metrics *metrics, const char *tenant, struct buffer *out);

/* ------------------------------------------------------------------- cron and watch */

/* All minutes that have begun since the last time. From the thread: unless it is off. */
void gateway_cron_tick(struct gateway *gateway, uint64_t now_s);
void gateway_cron_step(struct gateway *gateway, uint64_t now_s);
int gateway_watch_start(struct gateway *gateway, struct diag *diag) MUST_CHECK;
void gateway_watch_stop(struct gateway *gateway);
void gateway_client_notify(void *gateway, struct MHD_Connection *connection, void **socket_context,
                           enum MHD_ConnectionNotificationCode code);
/* serve.c: threads that serve at a socket that listens, which it takes, also on failure;
 * nobody new is accepted; they end. */
int gateway_serve_start(struct gateway *gateway, int fd, struct diag *diag) MUST_CHECK;
void gateway_serve_close(struct gateway *gateway);
void gateway_serve_stop(struct gateway *gateway);

/* A connection of it that is suspended goes on. Any thread. */
void gateway_server_resume(struct gateway_server *server, struct MHD_Connection *connection);

/* http.c: what libmicrohttpd calls, with the server, and with the gateway */
enum MHD_Result gateway_on_request(void *context, struct MHD_Connection *connection,
                                   const char *url, const char *method, const char *version,
                                   const char *upload, size_t *upload_count, void **own);
void gateway_on_completed(void *context, struct MHD_Connection *connection, void **own,
                          enum MHD_RequestTerminationCode code);

/* Waits for so long, or until the gateway ends: false. */
bool gateway_tick(struct gateway *gateway, uint64_t ns);

/* collect.c: one round, at a moment of the clock; by the thread, or a test that has none. */
struct gateway_collector;
int gateway_collect(struct gateway *gateway, uint64_t now_ns, struct diag *diag) MUST_CHECK;
int gateway_collect_start(struct gateway *gateway, struct diag *diag) MUST_CHECK;
/* When the gateway is ending. */
void gateway_collect_stop(struct gateway *gateway);

/* Makes the Proto-Faaslet of a version and waits for it. False: answered. */
bool gateway_prepare(struct gateway_request *request, struct catalog_version *version,
                     const char *save_at);
/* Who compiles, for the names of images in the store. */
int gateway_compiler_name(struct gateway *gateway, struct diag *diag) MUST_CHECK;
/* address.c: the cluster's load addresses. With another change in the same commit, or NULL.
 * -EEXIST: some of the range is another image's. */
int gateway_address_take(struct gateway *gateway, const char *id, struct compile_range range,
                         const struct store_change *with, struct diag *diag) MUST_CHECK;
/* unless: a condition, or NULL. */
void gateway_address_give_back(struct gateway *gateway, const char *id, struct compile_range range,
                               const struct store_change *unless);
/* That tenant may name this blob. */
int gateway_blob_own(struct gateway *gateway, const char *tenant, const struct store_hash *hash,
                     uint64_t bytes, struct diag *diag) MUST_CHECK;
/* -ENOENT. */
int gateway_blob_check(struct gateway *gateway, const char *tenant, const struct store_hash *hash,
                       struct diag *diag) MUST_CHECK;
/* Whether so many bytes more are within what the tenant may store: -ENOSPC. */
int gateway_storage_check(struct gateway *gateway, const char *tenant, uint64_t more,
                          struct diag *diag) MUST_CHECK;

enum gateway_serving { GATEWAY_SERVE, GATEWAY_CLOSE, GATEWAY_STOP };

struct gateway {
    struct gateway_config config;   /* its texts are owned */
    struct gateway_server *servers; /* owned */
    unsigned server_count;
    _Atomic enum gateway_serving serving;
    unsigned closed_count;   /* with the end's lock: servers that accept nobody any more */
    char *certificate, *key; /* what the files hold */
    char address[80];
    char compiler[4096];
    uint8_t compiler_id[32];
    struct gateway_work *pool, *compilers;
    struct gateway_metrics *metrics;
    _Atomic bool is_ending;
    _Atomic uint64_t heap_bytes, ring_bytes;
    _Atomic uint32_t under_way; /* requests that begin or are suspended */
    _Atomic uint32_t requests;  /* from their first line to the last of their answers */
    pthread_mutex_t end_lock;
    pthread_cond_t end_change;
    struct gateway_ticket *tickets[GATEWAY_BUCKETS];
    pthread_mutex_t ticket_locks[GATEWAY_LOCKS];
    struct gateway_space *_Atomic spaces[GATEWAY_BUCKETS];
    pthread_mutex_t client_lock;
    struct gateway_client *clients;
    pthread_t watch, cron;
    bool has_watch, has_cron, has_collecting;
    pthread_t collecting;
    struct gateway_collector *collector; /* its thread's */
    pthread_mutex_t tick_lock;
    pthread_cond_t tick;
    _Atomic uint64_t cron_again_s; /* a minute of which a call was not accepted; 0: none */
    pthread_mutex_t cron_lock;     /* of what follows */
    uint64_t cron_minute_s;        /* the last that was looked at */
    bool cron_is_off;              /* the thread leaves it alone: a test's clock is another */
};

/* Handlers, by file. */
enum gateway_next gateway_health(struct gateway_request *request);
enum gateway_next gateway_ready(struct gateway_request *request);
enum gateway_next gateway_openapi(struct gateway_request *request);
enum gateway_next gateway_function_put(struct gateway_request *request);
enum gateway_next gateway_function_list(struct gateway_request *request);
enum gateway_next gateway_function_get(struct gateway_request *request);
enum gateway_next gateway_function_delete(struct gateway_request *request);
enum gateway_next gateway_version_delete(struct gateway_request *request);
enum gateway_next gateway_alias_put(struct gateway_request *request);
enum gateway_next gateway_alias_delete(struct gateway_request *request);
enum gateway_next gateway_rollback(struct gateway_request *request);
enum gateway_next gateway_grant_put(struct gateway_request *request);
enum gateway_next gateway_grant_delete(struct gateway_request *request);
enum gateway_next gateway_blob_post(struct gateway_request *request);
enum gateway_next gateway_blob_get(struct gateway_request *request);
enum gateway_next gateway_file_put(struct gateway_request *request);
enum gateway_next gateway_file_get(struct gateway_request *request);
enum gateway_next gateway_file_delete(struct gateway_request *request);
enum gateway_next gateway_file_list(struct gateway_request *request);
enum gateway_next gateway_state_keys(struct gateway_request *request);
enum gateway_next gateway_state_get(struct gateway_request *request);
enum gateway_next gateway_state_head(struct gateway_request *request);
enum gateway_next gateway_state_put(struct gateway_request *request);
enum gateway_next gateway_state_delete(struct gateway_request *request);
enum gateway_next gateway_state_add(struct gateway_request *request);
enum gateway_next gateway_state_append(struct gateway_request *request);
enum gateway_next gateway_state_records(struct gateway_request *request);
enum gateway_next gateway_state_expire(struct gateway_request *request);
enum gateway_next gateway_state_watch(struct gateway_request *request);
enum gateway_next gateway_invoke_post(struct gateway_request *request);
enum gateway_next gateway_batch_post(struct gateway_request *request);
enum gateway_next gateway_call_list(struct gateway_request *request);
enum gateway_next gateway_call_get(struct gateway_request *request);
enum gateway_next gateway_call_result(struct gateway_request *request);
enum gateway_next gateway_call_log(struct gateway_request *request);
enum gateway_next gateway_call_cancel(struct gateway_request *request);
enum gateway_next gateway_call_retry(struct gateway_request *request);
enum gateway_next gateway_call_bury(struct gateway_request *request);
enum gateway_next gateway_call_events(struct gateway_request *request);
enum gateway_next gateway_log_list(struct gateway_request *request);
enum gateway_next gateway_variable_list(struct gateway_request *request);
enum gateway_next gateway_variable_put(struct gateway_request *request);
enum gateway_next gateway_variable_delete(struct gateway_request *request);
enum gateway_next gateway_secret_put(struct gateway_request *request);
enum gateway_next gateway_secret_delete(struct gateway_request *request);
enum gateway_next gateway_token_post(struct gateway_request *request);
enum gateway_next gateway_token_list(struct gateway_request *request);
enum gateway_next gateway_token_delete(struct gateway_request *request);
enum gateway_next gateway_tenant_put(struct gateway_request *request);
enum gateway_next gateway_tenant_list(struct gateway_request *request);
enum gateway_next gateway_tenant_delete(struct gateway_request *request);
enum gateway_next gateway_trigger_put(struct gateway_request *request);
enum gateway_next gateway_trigger_list(struct gateway_request *request);
enum gateway_next gateway_trigger_delete(struct gateway_request *request);
enum gateway_next gateway_trigger_call(struct gateway_request *request);
enum gateway_next gateway_host_list(struct gateway_request *request);
enum gateway_next gateway_host_drain(struct gateway_request *request);
enum gateway_next gateway_cluster(struct gateway_request *request);
enum gateway_next gateway_usage(struct gateway_request *request);
enum gateway_next gateway_metrics_get(struct gateway_request *request);

#endif
