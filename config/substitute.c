/*
 * substitute.c - see substitute.h.
 */
#include "config/substitute.h"

#include <stdlib.h>
#include <string.h>

#include "config/file.h"
#include "relay/base/mem.h"

struct work {
    const char *config_path;
    struct problems *p;
    size_t left; /* bytes that may still be put in */
};

struct text {
    char *bytes; /* always ends in NUL */
    size_t len, room;
};

static void append(struct text *to, const char *bytes, size_t len)
{
    if (to->len + len >= to->room) {
        to->room = 2 * (to->len + len + 1);
        to->bytes = mem_realloc(to->bytes, to->room, 1);
    }
    memcpy(to->bytes + to->len, bytes, len);
    to->len += len;
    to->bytes[to->len] = '\0';
}

/* PATH as it is, or beside the config. The caller frees. */
static char *beside_config(const char *config_path, const char *path)
{
    const char *slash = strrchr(config_path, '/');

    if (path[0] == '/' || slash == NULL) {
        return mem_strdup(path);
    }
    return mem_printf("%.*s/%s", (int)(slash - config_path), config_path, path);
}

static enum err_kind from_path(char **out, const char *path, struct err *e)
{
    size_t len;
    enum err_kind rc = file_read(out, &len, path, SUBSTITUTE_FILE_BYTES, e);

    if (rc != ERR_NONE) {
        return rc;
    }
    if (strlen(*out) != len) {
        free(*out);
        return err_set(e, ERR_CONFIG, "%s holds a NUL byte", path);
    }
    if (len > 0 && (*out)[len - 1] == '\n') {
        (*out)[len - 1] = '\0';
    }
    return ERR_NONE;
}

static enum err_kind from_file(char **out, const struct work *w,
                               const char *name, struct err *e)
{
    char *path;
    enum err_kind rc;

    if (*name == '\0') {
        return err_set(e, ERR_CONFIG, "${file:} names no file");
    }
    path = beside_config(w->config_path, name);
    rc = from_path(out, path, e);
    free(path);
    return rc;
}

static enum err_kind from_credential(char **out, const char *name,
                                     struct err *e)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    char *path;
    enum err_kind rc;

    if (*name == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0) {
        return err_set(e, ERR_CONFIG,
                       "${cred:NAME}: NAME is a file name without /");
    }
    if (directory == NULL) {
        return err_set(e, ERR_CONFIG,
                       "${cred:%.60s}: CREDENTIALS_DIRECTORY is not set; "
                       "systemd sets it for a unit with LoadCredential=",
                       name);
    }
    path = mem_printf("%s/%s", directory, name);
    rc = from_path(out, path, e);
    free(path);
    return rc;
}

static size_t variable_span(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    return text[0] >= '0' && text[0] <= '9' ? 0 : len;
}

static enum err_kind from_environment(char **out, char *word, struct err *e)
{
    size_t len = variable_span(word);
    const char *rest = word + len;
    bool fallback = strncmp(rest, ":-", 2) == 0;
    bool message = strncmp(rest, ":?", 2) == 0;
    const char *value;

    if (len == 0 || (*rest != '\0' && !fallback && !message)) {
        return err_set(e, ERR_CONFIG,
                       "${%.60s} is not understood; there are ${VAR}, "
                       "${VAR:-default}, ${VAR:?message}, ${file:PATH} and "
                       "${cred:NAME}, and $${ for a literal ${",
                       word);
    }
    word[len] = '\0'; /* rest still sees what follows the ":" */
    value = getenv(word);
    if (fallback && (value == NULL || *value == '\0')) {
        value = rest + 2;
    }
    if (value == NULL || (message && *value == '\0')) {
        return err_set(e, ERR_CONFIG,
                       "environment variable %.60s is not set%s%s", word,
                       message ? ": " : "", message ? rest + 2 : "");
    }
    *out = mem_strdup(value);
    return ERR_NONE;
}

/* The value of one ${word}. */
static enum err_kind look_up(char **out, const struct work *w, char *word,
                             struct err *e)
{
    if (strncmp(word, "file:", 5) == 0) {
        return from_file(out, w, word + 5, e);
    }
    if (strncmp(word, "cred:", 5) == 0) {
        return from_credential(out, word + 5, e);
    }
    return from_environment(out, word, e);
}

/* The name of a ${...} without its default, which may be a secret too. */
static char *origin_of(const char *word)
{
    size_t len = strcspn(word, ":");

    if (word[len] == ':' && (word[len + 1] == '-' || word[len + 1] == '?')) {
        return mem_printf("${%.*s}", (int)len, word);
    }
    return mem_printf("${%s}", word);
}

static enum err_kind put_in(struct work *w, struct text *to, char *word,
                            struct err *e)
{
    char *value;
    size_t len;

    if (look_up(&value, w, word, e) != ERR_NONE) {
        return ERR_CONFIG;
    }
    len = strlen(value);
    if (len > w->left) {
        free(value);
        return err_set(e, ERR_CONFIG, "${...} put in more than %d MiB in all",
                       SUBSTITUTE_TOTAL_BYTES >> 20);
    }
    w->left -= len;
    append(to, value, len);
    free(value);
    return ERR_NONE;
}

/* Takes one "${word}" at `at`; returns what follows it, or NULL on error. */
static const char *take(struct work *w, struct node *node, struct text *to,
                        const char *at, struct err *e)
{
    const char *end = strchr(at, '}');
    char *word;
    enum err_kind rc;

    if (end == NULL) {
        err_set(e, ERR_CONFIG, "${ without a closing }; $${ is a literal ${");
        return NULL;
    }
    word = mem_printf("%.*s", (int)(end - at - 2), at + 2);
    if (node->origin == NULL) {
        node->origin = origin_of(word);
    }
    rc = put_in(w, to, word, e);
    free(word);
    return rc == ERR_NONE ? end + 1 : NULL;
}

static void substitute_scalar(struct work *w, struct node *node)
{
    const char *at = node->text;
    struct text to = {0};
    struct err e;

    if (strstr(at, "${") == NULL) {
        return;
    }
    append(&to, "", 0);
    while (at != NULL && *at != '\0') {
        if (strncmp(at, "$${", 3) == 0) {
            append(&to, "${", 2);
            at += 3;
        } else if (strncmp(at, "${", 2) == 0) {
            at = take(w, node, &to, at, &e);
        } else {
            append(&to, at++, 1);
        }
    }
    if (at == NULL) {
        problem_error(w->p, node->at, "%s", e.text);
        node->broken = true;
    }
    free(node->text);
    node->text = to.bytes;
}

static void walk(struct work *w, struct node *node)
{
    if (node->kind == NODE_SCALAR) {
        substitute_scalar(w, node);
    }
    for (size_t i = 0; i < node->count; i++) {
        walk(w, &node->items[i]);
    }
}

void substitute(struct node *root, const char *config_path, struct problems *p)
{
    struct work w = {
        .config_path = config_path, .p = p, .left = SUBSTITUTE_TOTAL_BYTES};

    walk(&w, root);
}
