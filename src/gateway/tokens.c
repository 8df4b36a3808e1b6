/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens of a tenant; of the cluster where an admin names no tenant.
 */
#include <string.h>
#include <time.h>

#include "gateway/gateway_internal.h"

#define EXPIRES_S_MAX (UINT64_C(100) * 365 * 86400)

static const struct {
    const char *name;
    uint32_t role;
} roles[] = {
    {"read", CATALOG_READ},     {"invoke", CATALOG_INVOKE}, {"deploy", CATALOG_DEPLOY},
    {"manage", CATALOG_MANAGE}, {"admin", CATALOG_ADMIN},
};

static void
put_roles(struct buffer *out, uint32_t bits)
{
    gateway_json_open(out, "roles", '[');
    for (size_t i = 0; i < ARRAY_COUNT(roles); i++)
        if ((bits & roles[i].role) != 0)
            gateway_json_text(out, NULL, roles[i].name);
    gateway_json_close(out, ']');
}

static bool
put_token(void *context, const struct catalog_token *token)
{
    struct buffer *out = context;

    gateway_json_open(out, NULL, '{');
    gateway_json_text(out, "name", token->name);
    put_roles(out, token->roles);
    if (token->expires_s != 0)
        gateway_json_number(out, "expires", token->expires_s);
    else
        gateway_json_null(out, "expires");
    gateway_json_close(out, '}');
    return out->err == 0;
}

static int
list_tokens(struct gateway_request *request, struct buffer *out, struct diag *diag)
{
    return catalog_token_list(request->gateway->config.catalog, request->tenant, put_token, out,
                              diag);
}

enum gateway_next
gateway_token_list(struct gateway_request *request)
{
    return gateway_answer_list(request, "tokens", list_tokens);
}

static bool
read_roles(const json_t *array, uint32_t *bits)
{
    size_t index;
    json_t *value;

    json_array_foreach(array, index, value)
    {
        const char *name = json_string_value(value);
        size_t i = 0;

        while (i < ARRAY_COUNT(roles) && (name == NULL || strcmp(roles[i].name, name) != 0))
            i++;
        if (i == ARRAY_COUNT(roles))
            return false;
        *bits |= roles[i].role;
    }
    return *bits != 0;
}

static enum gateway_next
create(struct gateway_request *request, struct catalog_token *token)
{
    char secret[CATALOG_TOKEN_BYTES_MAX];
    struct buffer out = {0};
    struct diag diag;
    int err;

    diag_init(&diag);
    err = catalog_token_create(request->gateway->config.catalog, token, secret, &diag);
    if (err != 0)
        return gateway_refuse(request, err, "tenant_unknown", &diag);
    gateway_json_open(&out, NULL, '{');
    gateway_json_text(&out, "token", secret);
    gateway_json_text(&out, "name", token->name);
    put_roles(&out, token->roles);
    gateway_json_close(&out, '}');
    explicit_bzero(secret, sizeof(secret));
    (void)gateway_answer_json(request, MHD_HTTP_CREATED, &out);
    gateway_add_header(request->response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    return GATEWAY_ANSWERED;
}

/* An admin's token is the cluster's: only without a tenant, and never with other roles. */
static enum gateway_next
check_and_create(struct gateway_request *request, struct catalog_token *token)
{
    bool is_cluster = request->tenant[0] == '\0';

    if (is_cluster && token->roles != CATALOG_ADMIN)
        return gateway_fail(request, MHD_HTTP_BAD_REQUEST, "tenant_needed",
                            "name a tenant, or ask for the role admin alone",
                            "a token without a tenant is an admin's");
    if (!is_cluster && (token->roles & CATALOG_ADMIN) != 0)
        return gateway_fail(request, MHD_HTTP_FORBIDDEN, "role_needed",
                            "an admin makes it, without naming a tenant",
                            "a tenant's token cannot have the role admin");
    return create(request, token);
}

enum gateway_next
gateway_token_post(struct gateway_request *request)
{
    struct catalog_token token = {.tenant = request->tenant};
    json_t *role_names = NULL, *body;
    uint64_t expires_s = 0;
    const struct gateway_field fields[] = {
        {"name", GATEWAY_TEXT, true, &token.name},
        {"roles", GATEWAY_ARRAY, true, &role_names},
        {"expires_s", GATEWAY_NUMBER, false, &expires_s},
    };
    enum gateway_next next;

    body = gateway_body_fields(request, fields, ARRAY_COUNT(fields));
    if (body == NULL)
        return GATEWAY_ANSWERED;
    if (expires_s > EXPIRES_S_MAX)
        expires_s = EXPIRES_S_MAX;
    if (expires_s > 0)
        token.expires_s = (uint64_t)time(NULL) + expires_s;
    if (read_roles(role_names, &token.roles))
        next = check_and_create(request, &token);
    else
        next = gateway_fail(request, MHD_HTTP_BAD_REQUEST, "field_invalid",
                            "name at least one of read, invoke, deploy, manage",
                            "field \"roles\" must be an array of names of roles");
    json_decref(body);
    return next;
}

enum gateway_next
gateway_token_delete(struct gateway_request *request)
{
    struct diag diag;
    int err;

    diag_init(&diag);
    err = catalog_token_remove(request->gateway->config.catalog, request->tenant, request->part[0],
                               &diag);
    return err == 0 ? gateway_answer_ok(request)
                    : gateway_refuse(request, err, "token_unknown", &diag);
}
