/*
 * yaml.c - see yaml.h. Over libyaml's events and not its documents: loading
 * 200,000 "[" as a document takes a minute.
 */
#include "config/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "relay/base/mem.h"

struct reader {
    yaml_parser_t parser;
    const char *text;
    size_t len;
    size_t nodes;
    struct problems *p;
};

static bool read_node(struct reader *r, yaml_event_t *event, int depth,
                      struct node *out);

static struct place place_of(yaml_mark_t mark)
{
    return (struct place){(int)mark.line + 1, (int)mark.column + 1};
}

/* The reader of libyaml knows only a byte offset. */
static struct place place_at(const struct reader *r, size_t offset)
{
    struct place at = {1, 1};

    for (size_t i = 0; i < offset && i < r->len; i++) {
        unsigned char c = (unsigned char)r->text[i];
        if (c == '\n') {
            at.line++;
            at.column = 1;
        } else if ((c & 0xc0) != 0x80) { /* not inside a character */
            at.column++;
        }
    }
    return at;
}

static const char *hint(const char *problem)
{
    static const struct {
        const char *part, *hint;
    } hints[] = {
        {"tab character", "; indent with spaces"},
        {"unknown escape", "; write regexes in 'single quotes'"},
        {"cannot start any token", "; indent with spaces, and quote a text "
                                   "that begins with a special character"},
        {"alphabetic or numeric", "; quote a text that begins with * or &"},
        {"mapping values are not allowed", "; quote a text that holds \": \""},
    };

    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        if (strstr(problem, hints[i].part) != NULL) {
            return hints[i].hint;
        }
    }
    return "";
}

static void syntax_error(struct reader *r)
{
    const yaml_parser_t *parser = &r->parser;
    const char *problem =
        parser->problem != NULL ? parser->problem : "cannot be read";

    if (parser->error == YAML_READER_ERROR) {
        problem_error(r->p, place_at(r, parser->problem_offset),
                      "not valid YAML: %s", problem);
    } else if (parser->context != NULL) {
        problem_error(r->p, place_of(parser->problem_mark),
                      "not valid YAML: %s, %s that begins at line %zu%s",
                      problem, parser->context, parser->context_mark.line + 1,
                      hint(problem));
    } else {
        problem_error(r->p, place_of(parser->problem_mark),
                      "not valid YAML: %s%s", problem, hint(problem));
    }
}

/* On true the caller deletes *event. */
static bool next_event(struct reader *r, yaml_event_t *event)
{
    if (!yaml_parser_parse(&r->parser, event)) {
        syntax_error(r);
        return false;
    }
    return true;
}

/* A tag or an anchor would be dropped without a word: refuse them. */
static bool refuse_decoration(struct reader *r, const yaml_event_t *event,
                              const yaml_char_t *anchor, const yaml_char_t *tag)
{
    struct place at = place_of(event->start_mark);

    if (anchor != NULL) {
        problem_error(r->p, at, "anchors (&%.40s) are not supported",
                      (const char *)anchor);
        return false;
    }
    if (tag != NULL) {
        problem_error(r->p, at, "tags (%.40s) are not supported",
                      (const char *)tag);
        return false;
    }
    return true;
}

static bool read_scalar(struct reader *r, const yaml_event_t *event,
                        struct node *out)
{
    const char *text = (const char *)event->data.scalar.value;

    out->kind = NODE_SCALAR;
    out->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (strlen(text) != event->data.scalar.length) {
        problem_error(r->p, out->at, "a NUL character is not allowed");
        return false;
    }
    out->text = mem_strdup(text);
    return refuse_decoration(r, event, event->data.scalar.anchor,
                             event->data.scalar.tag);
}

static bool read_list(struct reader *r, const yaml_event_t *start, int depth,
                      struct node *out)
{
    yaml_event_t event;
    bool good = true;

    out->kind = NODE_LIST;
    out->flow = start->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    if (!refuse_decoration(r, start, start->data.sequence_start.anchor,
                           start->data.sequence_start.tag)) {
        return false;
    }
    while (good && next_event(r, &event)) {
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return true;
        }
        good = read_node(r, &event, depth + 1, node_append(out));
        yaml_event_delete(&event);
    }
    return false;
}

/* The key into `child`, the value behind it still to come. */
static bool read_key(struct reader *r, yaml_event_t *event, struct node *child)
{
    struct node key = {.at = place_of(event->start_mark)};
    bool good;

    if (event->type != YAML_SCALAR_EVENT && event->type != YAML_ALIAS_EVENT) {
        problem_error(r->p, key.at, "a key must be a plain word");
        return false;
    }
    good = read_node(r, event, 0, &key);
    child->key = key.text;
    child->key_at = key.at;
    return good;
}

static bool read_entry(struct reader *r, yaml_event_t *event, int depth,
                       struct node *out)
{
    struct node *child = node_append(out);
    yaml_event_t value;
    bool good;

    if (!read_key(r, event, child) || !next_event(r, &value)) {
        return false;
    }
    good = read_node(r, &value, depth + 1, child);
    yaml_event_delete(&value);
    return good;
}

static int by_key(const void *left, const void *right)
{
    const struct node *a = *(const struct node *const *)left;
    const struct node *b = *(const struct node *const *)right;
    int order = strcmp(a->key, b->key);

    return order != 0 ? order : (a < b ? -1 : a > b);
}

/* Sorted, because a hostile map has ten thousand keys. */
static void find_duplicates(struct reader *r, const struct node *map)
{
    const struct node **sorted = mem_calloc(map->count, sizeof(*sorted));
    const struct node *first = NULL;

    for (size_t i = 0; i < map->count; i++) {
        sorted[i] = &map->items[i];
    }
    qsort(sorted, map->count, sizeof(*sorted), by_key);
    for (size_t i = 0; i < map->count; i++) {
        if (first == NULL || strcmp(first->key, sorted[i]->key) != 0) {
            first = sorted[i];
            continue;
        }
        problem_error(r->p, sorted[i]->key_at,
                      "\"%.60s\" is given twice; it is already at line %d",
                      first->key, first->key_at.line);
    }
    free(sorted);
}

static bool read_map(struct reader *r, const yaml_event_t *start, int depth,
                     struct node *out)
{
    yaml_event_t event;
    bool good = true;

    out->kind = NODE_MAP;
    out->flow = start->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
    if (!refuse_decoration(r, start, start->data.mapping_start.anchor,
                           start->data.mapping_start.tag)) {
        return false;
    }
    while (good && next_event(r, &event)) {
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            find_duplicates(r, out);
            return true;
        }
        good = read_entry(r, &event, depth, out);
        yaml_event_delete(&event);
    }
    return false;
}

static bool within_limits(struct reader *r, struct place at, int depth)
{
    if (depth > NODE_MAX_DEPTH) {
        problem_error(r->p, at, "nested deeper than %d levels", NODE_MAX_DEPTH);
        return false;
    }
    if (++r->nodes > NODE_MAX_COUNT) {
        problem_error(r->p, at, "more than %d values in one config",
                      NODE_MAX_COUNT);
        return false;
    }
    return true;
}

/* Recursion is bounded by NODE_MAX_DEPTH. */
static bool read_node(struct reader *r, yaml_event_t *event, int depth,
                      struct node *out)
{
    out->at = place_of(event->start_mark);
    if (out->key == NULL) {
        out->key_at = out->at;
    }
    if (!within_limits(r, out->at, depth)) {
        return false;
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r, event, out);
    case YAML_SEQUENCE_START_EVENT:
        return read_list(r, event, depth, out);
    case YAML_MAPPING_START_EVENT:
        return read_map(r, event, depth, out);
    case YAML_ALIAS_EVENT:
        problem_error(r->p, out->at,
                      "aliases (*%.40s) are not supported; quote a text that "
                      "begins with *",
                      (const char *)event->data.alias.anchor);
        return false;
    default:
        problem_error(r->p, out->at, "the file is empty; it must be a map");
        return false;
    }
}

/* Stream start, document start, the root, document end, stream end. */
static bool read_stream(struct reader *r, struct node *root)
{
    yaml_event_t event;
    bool good = true;

    while (good && next_event(r, &event)) {
        yaml_event_type_t type = event.type;

        if (type == YAML_DOCUMENT_START_EVENT && root->at.line > 0) {
            problem_error(r->p, place_of(event.start_mark),
                          "a second document begins here; a config file holds "
                          "one relay");
            good = false;
        } else if (type == YAML_STREAM_END_EVENT && root->at.line > 0) {
            yaml_event_delete(&event);
            return true;
        } else if (type != YAML_STREAM_START_EVENT &&
                   type != YAML_DOCUMENT_START_EVENT &&
                   type != YAML_DOCUMENT_END_EVENT) {
            good = read_node(r, &event, 0, root);
        }
        yaml_event_delete(&event);
    }
    return false;
}

struct node *node_parse(const char *text, size_t len, struct problems *p)
{
    struct reader r = {.text = text, .len = len, .p = p};
    struct node *root = mem_calloc(1, sizeof(*root));
    bool good;

    VERIFY(yaml_parser_initialize(&r.parser));
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    good = read_stream(&r, root);
    yaml_parser_delete(&r.parser);
    if (!good) {
        node_free(root);
        return NULL;
    }
    return root;
}
