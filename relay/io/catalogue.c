/*
 * catalogue.c - see catalogue.h. librdkafka has no call that lists its
 * properties, but prints its manual page: a Markdown table.
 */
#include "relay/io/catalogue.h"

#include <ctype.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/suggest.h"
#include "relay/base/mem.h"
#include "relay/io/owned.h"

static char *manual(void)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    VERIFY(out != NULL);
    rd_kafka_conf_properties_show(out);
    fclose(out);
    return text;
}

/* "Alias for `name`: ..." */
static char *alias_of(const char *line)
{
    const char *at = strstr(line, "Alias for `");

    if (at == NULL) {
        return NULL;
    }
    at += strlen("Alias for `");
    return mem_printf("%.*s", (int)strcspn(at, "`"), at);
}

/* "name   |  C  | range | default | importance | description": a default may
 * hold a "|", so only the first two columns are told by it. */
static void add_row(struct catalogue *c, const char *line)
{
    const char *bar = strchr(line, '|');
    size_t n = c->count;

    if (bar == NULL || !islower((unsigned char)*line)) {
        return; /* a heading */
    }
    c->rows = mem_realloc(c->rows, n + 1, sizeof(*c->rows));
    c->rows[n] = (struct catalogue_row){
        .name = mem_printf("%.*s", (int)strcspn(line, " |"), line),
        .scope = bar[1 + strspn(bar + 1, " ")],
        .alias_of = alias_of(line),
        .from_c = strstr(line, "see dedicated API") != NULL,
        .no_effect = strstr(line, "No longer used") != NULL,
    };
    c->count++;
}

void catalogue_open(struct catalogue *c)
{
    char *text = manual();
    char *save = NULL;

    *c = (struct catalogue){0};
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        add_row(c, line);
    }
    free(text);
}

void catalogue_close(struct catalogue *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->rows[i].name);
        free(c->rows[i].alias_of);
    }
    free(c->rows);
    *c = (struct catalogue){0};
}

const struct catalogue_row *catalogue_find(const struct catalogue *c,
                                           const char *name)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->rows[i].name, name) == 0) {
            return &c->rows[i];
        }
    }
    return NULL;
}

const char *catalogue_suggest(const struct catalogue *c, const char *name)
{
    struct suggestion near = suggest_begin(name);

    for (size_t i = 0; i < c->count; i++) {
        /* no use in naming what would be refused next */
        if (property_owned_reason(c->rows[i].name) == NULL) {
            suggest_offer(&near, c->rows[i].name);
        }
    }
    return near.best;
}
