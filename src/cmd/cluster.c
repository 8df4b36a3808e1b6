/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cluster_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define KEY_DIGITS (2 * NET_SECRET_BYTES)

int
cluster_directory(const char *data, struct diag *diag)
{
    char path[4096];

    if (strlen(data) + 2 > sizeof(path))
        return diag_set(diag, -ENAMETOOLONG, "the data directory's name is too long");
    (void)snprintf(path, sizeof(path), "%s/", data);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return diag_set(diag, -errno, "cannot make %s: %s", path, strerror(errno));
        *slash = '/';
    }
    return 0;
}

static int
make_key(const char *path, struct diag *diag)
{
    uint8_t key[NET_SECRET_BYTES];
    char text[KEY_DIGITS + 2];
    mode_t mask;
    int err;

    if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
        return diag_set(diag, -EIO, "no random numbers");
    for (size_t i = 0; i < sizeof(key); i++)
        (void)snprintf(text + 2 * i, 3, "%02x", key[i]);
    text[KEY_DIGITS] = '\n';
    mask = umask(077);
    err = file_replace(path, text, KEY_DIGITS + 1, diag);
    (void)umask(mask);
    explicit_bzero(key, sizeof(key));
    explicit_bzero(text, sizeof(text));
    return err;
}

static int
digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
parse_key(const char *path, const struct buffer *text, uint8_t key[NET_SECRET_BYTES],
          struct diag *diag)
{
    size_t count = text->count;

    while (count > 0 && (text->bytes[count - 1] == '\n' || text->bytes[count - 1] == '\r'))
        count--;
    for (size_t i = 0; i < NET_SECRET_BYTES && count == KEY_DIGITS; i++) {
        int high = digit_of((char)text->bytes[2 * i]), low = digit_of((char)text->bytes[2 * i + 1]);

        if (high < 0 || low < 0)
            count = 0;
        key[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
    }
    if (count == KEY_DIGITS)
        return 0;
    return diag_set(diag, -EINVAL, "%s: a cluster's key is %u hexadecimal digits", path,
                    KEY_DIGITS);
}

int
cluster_key(const char *path, bool is_made, uint8_t key[NET_SECRET_BYTES], struct diag *diag)
{
    struct buffer text = {0};
    struct stat status;
    int err = 0;

    if (stat(path, &status) != 0 && errno == ENOENT && is_made) {
        err = make_key(path, diag);
        if (err != 0)
            return err;
    }
    if (stat(path, &status) != 0)
        return diag_set(diag, -errno,
                        "%s: %s: workers need the file " CLUSTER_KEY
                        " from the data directory of the planner (--key)",
                        path, strerror(errno));
    if ((status.st_mode & 077) != 0)
        return diag_set(diag, -EACCES, "%s: others can read it: chmod 600 it", path);
    err = file_read_all(path, 4096, &text, diag);
    if (err == 0)
        err = parse_key(path, &text, key, diag);
    if (text.bytes != NULL)
        explicit_bzero(text.bytes, text.count);
    buffer_fini(&text);
    return err;
}

static void
signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGTERM);
}

void
cluster_block_signals(void)
{
    sigset_t set;

    signals(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

int
cluster_wait(void)
{
    sigset_t set;
    int number = 0;

    signals(&set);
    while (sigwait(&set, &number) != 0)
        continue;
    return number;
}

bool
cluster_is_signalled(unsigned wait_ms)
{
    const struct timespec wait = {wait_ms / 1000, (long)(wait_ms % 1000) * 1000000};
    sigset_t set;

    signals(&set);
    return sigtimedwait(&set, NULL, &wait) > 0;
}
