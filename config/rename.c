/*
 * rename.c - see rename.h.
 */
#include "config/rename.h"

#include <string.h>

#include "config/config.h"
#include "config/value.h"

bool topic_name_is_valid(const char *name)
{
    size_t len = value_name_span(name);

    return len >= 1 && len <= TOPIC_NAME_MAX && name[len] == '\0' &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

struct span {
    const char *at;
    size_t len;
};

static bool is_word(struct span word, const char *name)
{
    return word.len == strlen(name) && memcmp(word.at, name, word.len) == 0;
}

/* The capture group that a placeholder names, or 0. */
static unsigned group_of(struct span word)
{
    return word.len == 1 && word.at[0] >= '1' && word.at[0] <= '9'
               ? (unsigned)(word.at[0] - '0')
               : 0;
}

/* Takes the next piece off *template: a placeholder without its braces, or
 * literal text. False at the end and at a brace that is not closed. */
static bool next_piece(const char **template, struct span *piece,
                       bool *placeholder)
{
    const char *at = *template;

    *placeholder = *at == '{';
    if (*placeholder) {
        const char *end = strchr(at, '}');
        *piece = (struct span){at + 1, end == NULL ? 0 : end - at - 1};
        *template = end == NULL ? at : end + 1;
        return end != NULL;
    }
    *piece = (struct span){at, strcspn(at, "{")};
    *template = at + piece->len;
    return piece->len > 0;
}

static enum err_kind check_piece(struct span piece, bool placeholder,
                                 unsigned *groups, struct err *e)
{
    unsigned group = placeholder ? group_of(piece) : 0;

    if (group > *groups) {
        *groups = group;
    }
    if (placeholder && group == 0 && !is_word(piece, "topic") &&
        !is_word(piece, "cluster")) {
        return err_set(e, ERR_CONFIG,
                       "{%.*s} is no placeholder; there are {topic}, {cluster} "
                       "and {1} to {9}",
                       piece.len > 40 ? 40 : (int)piece.len, piece.at);
    }
    if (!placeholder && value_name_span(piece.at) < piece.len) {
        return err_set(e, ERR_CONFIG,
                       "a topic name has only letters, digits, \".\", \"_\" "
                       "and \"-\"");
    }
    return ERR_NONE;
}

enum err_kind rename_check(const char *template, unsigned *groups,
                           struct err *e)
{
    struct span piece;
    bool placeholder;

    *groups = 0;
    if (*template == '\0') {
        return err_set(e, ERR_CONFIG, "a template cannot be empty");
    }
    while (next_piece(&template, &piece, &placeholder)) {
        if (check_piece(piece, placeholder, groups, e) != ERR_NONE) {
            return ERR_CONFIG;
        }
    }
    if (*template != '\0') {
        return err_set(e, ERR_CONFIG, "{ without a closing }");
    }
    return ERR_NONE;
}

static struct span value_of(struct span word, const struct rename_values *v)
{
    unsigned group = group_of(word);

    if (group > 0) {
        size_t start = v->captures->group[group].start;
        size_t end = v->captures->group[group].end;
        return (struct span){v->topic + start, end - start};
    }
    if (is_word(word, "cluster")) {
        return (struct span){v->cluster, strlen(v->cluster)};
    }
    return (struct span){v->topic, strlen(v->topic)};
}

bool rename_expand(const char *template, const struct rename_values *values,
                   char *out)
{
    struct span piece;
    bool placeholder;
    size_t len = 0;

    while (next_piece(&template, &piece, &placeholder)) {
        if (placeholder) {
            piece = value_of(piece, values);
        }
        if (piece.len > TOPIC_NAME_MAX - len) {
            return false;
        }
        memcpy(out + len, piece.at, piece.len);
        len += piece.len;
    }
    out[len] = '\0';
    return topic_name_is_valid(out);
}
